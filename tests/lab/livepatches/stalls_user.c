// A livepatch that waits for whoever sleeps in the functions of lab_target.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#include <linux/kthread.h>
#include "lab.h"

static int awake_show(struct seq_file *m, void *v)
{
	seq_printf(m, "awake [%s]\n", LAB_MARK);
	return 0;
}

static int patched_thread(void *unused)
{
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ);
	return 0;
}

LAB_LIVEPATCH(true, , LAB_OBJECT("lab_target",
	LAB_FUNCTION("lab_sleep_interruptible", awake_show),
	LAB_FUNCTION("lab_sleep_killable", awake_show),
	LAB_FUNCTION("lab_sleep_uninterruptible", awake_show),
	LAB_FUNCTION("lab_target_thread", patched_thread)));
