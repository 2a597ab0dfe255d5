// An ordinary module that holds a function of the kernel as tracers do: a kprobe, or a callback of ftrace.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/version.h>

static char *function = "version_proc_show";
module_param(function, charp, 0444);
static char *kind = "post";
module_param(kind, charp, 0444);
MODULE_PARM_DESC(kind, "kprobe, post (a kprobe with a post handler), return (a kretprobe), ftrace, or ipmodify");
static unsigned int offset;
module_param(offset, uint, 0444);
static unsigned long hits;
module_param(hits, ulong, 0444);

static int before(struct kprobe *probe, struct pt_regs *regs)
{
	hits++;
	return 0;
}

static void after(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static int returned(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	hits++;
	return 0;
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
static void called(unsigned long ip, unsigned long parent, struct ftrace_ops *ops, struct pt_regs *regs)
#else
static void called(unsigned long ip, unsigned long parent, struct ftrace_ops *ops, struct ftrace_regs *regs)
#endif
{
	hits++;
}

static struct kprobe probe = { .pre_handler = before };
static struct kretprobe return_probe = { .handler = returned, .maxactive = 64 };
static struct ftrace_ops ops = { .func = called };

static int __init taps_init(void)
{
	int error;

	if (!strcmp(kind, "return")) {
		return_probe.kp.symbol_name = function;
		return register_kretprobe(&return_probe);
	}
	if (!strcmp(kind, "ftrace") || !strcmp(kind, "ipmodify")) {
		if (!strcmp(kind, "ipmodify"))
			ops.flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY;
		error = ftrace_set_filter(&ops, function, strlen(function), 1);
		return error ? error : register_ftrace_function(&ops);
	}
	probe.symbol_name = function;
	probe.offset = offset;
	if (!strcmp(kind, "post"))
		probe.post_handler = after;
	return register_kprobe(&probe);
}

static void __exit taps_exit(void)
{
	if (!strcmp(kind, "return"))
		unregister_kretprobe(&return_probe);
	else if (ops.flags & FTRACE_OPS_FL_ENABLED)
		unregister_ftrace_function(&ops);
	else
		unregister_kprobe(&probe);
}

module_init(taps_init);
module_exit(taps_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Taps on functions for the kernel.livepatch lab");
