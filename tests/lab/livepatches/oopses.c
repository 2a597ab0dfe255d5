// A livepatch with a bad pointer: an Oops soon after it is in; the machine survives.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/sched/task.h>
#include "lab.h"

static unsigned int delay_ms = 2000;
module_param(delay_ms, uint, 0444);

static struct task_struct *victim;

/* A thread of its own: an Oops in a worker would take the kernel's work queue with it. */
static int follow_bad_pointer(void *unused)
{
	unsigned long due = jiffies + msecs_to_jiffies(delay_ms);

	while (!kthread_should_stop()) {
		if (time_after(jiffies, due))
			*(volatile int *)NULL = 1;
		schedule_timeout_interruptible(HZ / 10);
	}
	return 0;
}

static void start_harm(struct klp_object *object)
{
	victim = kthread_create(follow_bad_pointer, NULL, "lab_oopses");
	if (IS_ERR(victim)) {
		victim = NULL;
		return;
	}
	get_task_struct(victim);
	wake_up_process(victim);
}

static void stop_harm(struct klp_object *object)
{
	if (!victim)
		return;
	kthread_stop(victim);
	put_task_struct(victim);
	victim = NULL;
}

LAB_LIVEPATCH(true, stop_harm(NULL), LAB_OBJECT_WITH_HARM(start_harm, stop_harm, LAB_FIX_VERSION));
