// A livepatch that stalls on its way back too: its own code sleeps in lab_target until it is killed.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#include <linux/wait.h>
#include "lab.h"

static DECLARE_WAIT_QUEUE_HEAD(sleepers);

static int awake_show(struct seq_file *m, void *v)
{
	seq_printf(m, "awake [%s]\n", LAB_MARK);
	return 0;
}

/* Whoever comes here while others have not switched yet sleeps in the new code. */
static int sleeps_in_new_code(struct seq_file *m, void *v)
{
	seq_printf(m, "asleep [%s]\n", LAB_MARK);
	return wait_event_killable(sleepers, false);
}

LAB_LIVEPATCH(true, , LAB_OBJECT("lab_target",
	LAB_FUNCTION("lab_sleep_uninterruptible", awake_show),
	LAB_FUNCTION("lab_sleep_killable", sleeps_in_new_code)));
