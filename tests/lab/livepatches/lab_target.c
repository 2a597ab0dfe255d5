// An ordinary module to be patched: a file to read, and functions that tasks sleep in.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/objtool.h>
#include <linux/preempt.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/wait.h>

static bool kthread;
module_param(kthread, bool, 0444);
MODULE_PARM_DESC(kthread, "start a kernel thread that never leaves lab_target_thread()");

static bool unreliable;
module_param(unreliable, bool, 0444);
MODULE_PARM_DESC(unreliable, "start a kernel thread whose stack the kernel cannot tell");

static unsigned int spin_ms;
module_param(spin_ms, uint, 0444);
MODULE_PARM_DESC(spin_ms, "start a kernel thread that keeps a processor busy for so long, 15000 at most");

static DECLARE_WAIT_QUEUE_HEAD(sleepers);
static unsigned int released;
static struct task_struct *threads[3];

static int lab_target_show(struct seq_file *m, void *v)
{
	seq_puts(m, "lab_target original\n");
	return 0;
}

static int lab_sleep_interruptible(struct seq_file *m, void *v)
{
	unsigned int since = READ_ONCE(released);
	int interrupted = wait_event_interruptible(sleepers, READ_ONCE(released) != since);

	seq_puts(m, "awake\n");
	return interrupted;
}

static int lab_sleep_killable(struct seq_file *m, void *v)
{
	unsigned int since = READ_ONCE(released);
	int killed = wait_event_killable(sleepers, READ_ONCE(released) != since);

	seq_puts(m, "awake\n");
	return killed;
}

static int lab_sleep_uninterruptible(struct seq_file *m, void *v)
{
	unsigned int since = READ_ONCE(released);

	wait_event(sleepers, READ_ONCE(released) != since);
	seq_puts(m, "awake\n");
	return 0;
}

static int lab_target_thread(void *unused)
{
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ);
	return 0;
}

/*
 * objtool leaves it out, so the kernel knows nothing of its stack. It is not to be the first function of the module:
 * what lies before all that objtool describes is taken for the first that it does describe.
 */
static noinline __section(".text.lab_unreliable") int lab_unreliable_thread(void *unused)
{
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ);
	return 0;
}
STACK_FRAME_NON_STANDARD(lab_unreliable_thread);

/* Not preempted, it runs whenever the kernel tries to switch it. Less than the watchdogs allow. */
static int lab_spinning_thread(void *unused)
{
	unsigned long end;

	msleep(500);
	end = jiffies + msecs_to_jiffies(min(spin_ms, 15000U));
	preempt_disable();
	while (time_before(jiffies, end) && !kthread_should_stop())
		cpu_relax();
	preempt_enable();
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ);
	return 0;
}

static void release_sleepers(void)
{
	WRITE_ONCE(released, released + 1);
	wake_up_all(&sleepers);
}

static ssize_t release_write(struct file *file, const char __user *data, size_t size, loff_t *at)
{
	release_sleepers();
	return size;
}

static const struct proc_ops release_ops = { .proc_write = release_write };

static int __init target_init(void)
{
	struct proc_dir_entry *sleep = proc_mkdir("lab_target_sleep", NULL);

	if (!sleep)
		return -ENOMEM;
	proc_create_single("lab_target", 0444, NULL, lab_target_show);
	proc_create_single("interruptible", 0444, sleep, lab_sleep_interruptible);
	proc_create_single("killable", 0444, sleep, lab_sleep_killable);
	proc_create_single("uninterruptible", 0444, sleep, lab_sleep_uninterruptible);
	proc_create("release", 0222, sleep, &release_ops);
	if (kthread)
		threads[0] = kthread_run(lab_target_thread, NULL, "lab_target");
	if (unreliable)
		threads[1] = kthread_run(lab_unreliable_thread, NULL, "lab_unreliable");
	if (spin_ms)
		threads[2] = kthread_create(lab_spinning_thread, NULL, "lab_spinning");
	if (!IS_ERR_OR_NULL(threads[2])) {
		/* The first processor is left to whoever tries. */
		kthread_bind(threads[2], num_online_cpus() - 1);
		wake_up_process(threads[2]);
	}
	return 0;
}

static void __exit target_exit(void)
{
	int number;

	for (number = 0; number < ARRAY_SIZE(threads); number++)
		if (!IS_ERR_OR_NULL(threads[number]))
			kthread_stop(threads[number]);
	/* Removing a /proc file waits for its readers. */
	release_sleepers();
	remove_proc_subtree("lab_target_sleep", NULL);
	remove_proc_entry("lab_target", NULL);
}

module_init(target_init);
module_exit(target_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("The module that the kernel.livepatch lab patches");
