/* What every livepatch of the lab shares: its declaration, and the functions it puts in place. */
/* Copyright: (c) 2026, kernel.livepatch contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef LAB_H
#define LAB_H

#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/utsname.h>

struct pid;
struct pid_namespace;

#define LAB_FUNCTION(old, new) { .old_name = (old), .new_func = (new) }

/* An object is vmlinux (NULL) or the name of a module. */
#define LAB_OBJECT(object, ...) \
	{ .name = (object), .funcs = (struct klp_func[]) { __VA_ARGS__, { } } }

#define LAB_OBJECT_WITH_HARM(start, stop, ...) \
	{ .funcs = (struct klp_func[]) { __VA_ARGS__, { } }, \
	  .callbacks = { .post_patch = (start), .pre_unpatch = (stop) } }

#define LAB_LIVEPATCH(replaces, at_exit, ...) \
	static struct klp_object lab_objects[] = { __VA_ARGS__, { } }; \
	static struct klp_patch lab_patch = { \
		.mod = THIS_MODULE, .objs = lab_objects, .replace = (replaces) }; \
	static int __init lab_init(void) { return klp_enable_patch(&lab_patch); } \
	static void __exit lab_exit(void) { at_exit; } \
	module_init(lab_init); \
	module_exit(lab_exit); \
	MODULE_INFO(livepatch, "Y"); \
	MODULE_LICENSE("GPL"); \
	MODULE_DESCRIPTION("Livepatch " KBUILD_MODNAME " of the kernel.livepatch lab")

#ifndef LAB_MARK
#define LAB_MARK KBUILD_MODNAME
#endif

/* /proc/version: the usual fields, then which livepatch answers. */
static int __maybe_unused lab_version_show(struct seq_file *m, void *v)
{
	seq_printf(m, "%s version %s %s [%s]\n", utsname()->sysname,
		   utsname()->release, utsname()->version, LAB_MARK);
	return 0;
}

/* /proc/execdomains: the one line it has had for decades, and the mark. */
static int __maybe_unused lab_execdomains_show(struct seq_file *m, void *v)
{
	seq_printf(m, "0-0\tLinux           \t[kernel]\t[%s]\n", LAB_MARK);
	return 0;
}

/* /proc/dma: only the cascade channel is ever taken on a virtual machine. */
static int __maybe_unused lab_dma_show(struct seq_file *m, void *v)
{
	seq_printf(m, " 4: cascade [%s]\n", LAB_MARK);
	return 0;
}

/* /proc/PID/personality */
static int __maybe_unused lab_personality_show(struct seq_file *m, struct pid_namespace *ns,
					       struct pid *pid, struct task_struct *task)
{
	seq_printf(m, "%08x [%s]\n", task->personality, LAB_MARK);
	return 0;
}

#define LAB_FIX_VERSION LAB_FUNCTION("version_proc_show", lab_version_show)
#define LAB_FIX_EXECDOMAINS LAB_FUNCTION("execdomains_proc_show", lab_execdomains_show)
#define LAB_FIX_DMA LAB_FUNCTION("proc_dma_show", lab_dma_show)
#define LAB_FIX_PERSONALITY LAB_FUNCTION("proc_pid_personality", lab_personality_show)

#endif
