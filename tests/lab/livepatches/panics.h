/* A livepatch that panics the machine some time after it is in: HARM_DELAY_MS, where HARM_HERE is true. */
/* Copyright: (c) 2026, kernel.livepatch contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */

#include <linux/version.h>
#include <linux/workqueue.h>
#include "lab.h"

static unsigned int delay_ms = HARM_DELAY_MS;
module_param(delay_ms, uint, 0444);

static void panic_now(struct work_struct *work)
{
	panic("lab: livepatch %s ends this machine", LAB_MARK);
}

static DECLARE_DELAYED_WORK(harm, panic_now);

static void start_harm(struct klp_object *object)
{
	if (HARM_HERE)
		schedule_delayed_work(&harm, msecs_to_jiffies(delay_ms));
}

static void stop_harm(struct klp_object *object)
{
	cancel_delayed_work_sync(&harm);
}

LAB_LIVEPATCH(true, stop_harm(NULL), LAB_OBJECT_WITH_HARM(start_harm, stop_harm, LAB_FIX_VERSION));
