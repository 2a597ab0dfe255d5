// A livepatch that replaces all others though its file does not show it: its description is made when it is loaded.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#include "lab.h"

static struct klp_object objects[] = { LAB_OBJECT(NULL, LAB_FIX_VERSION), { } };
static struct klp_patch patch;

static int __init unseen_init(void)
{
	patch.mod = THIS_MODULE;
	patch.objs = objects;
	patch.replace = true;
	return klp_enable_patch(&patch);
}

static void __exit unseen_exit(void)
{
}

module_init(unseen_init);
module_exit(unseen_exit);
MODULE_INFO(livepatch, "Y");
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Livepatch " KBUILD_MODNAME " of the kernel.livepatch lab");
