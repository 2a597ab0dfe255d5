// An ordinary module to be patched: a file to read, and functions that tasks sleep in.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/wait.h>

static bool kthread;
module_param(kthread, bool, 0444);
MODULE_PARM_DESC(kthread, "start a kernel thread that never leaves lab_target_thread()");

static DECLARE_WAIT_QUEUE_HEAD(sleepers);
static unsigned int released;
static struct task_struct *thread;

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
		thread = kthread_run(lab_target_thread, NULL, "lab_target");
	return 0;
}

static void __exit target_exit(void)
{
	if (!IS_ERR_OR_NULL(thread))
		kthread_stop(thread);
	/* Removing a /proc file waits for its readers. */
	release_sleepers();
	remove_proc_subtree("lab_target_sleep", NULL);
	remove_proc_entry("lab_target", NULL);
}

module_init(target_init);
module_exit(target_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("The module that the kernel.livepatch lab patches");
