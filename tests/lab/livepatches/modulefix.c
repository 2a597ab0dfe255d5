// A livepatch for a module that may not be loaded: /proc/lab_target.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#include "lab.h"

static int fixed_target_show(struct seq_file *m, void *v)
{
	seq_printf(m, "lab_target [%s]\n", LAB_MARK);
	return 0;
}

LAB_LIVEPATCH(true, , LAB_OBJECT("lab_target", LAB_FUNCTION("lab_target_show", fixed_target_show)));
