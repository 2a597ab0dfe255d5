// A livepatch that makes the kernel warn, soon after it is in and then again and again.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#include <linux/workqueue.h>
#include "lab.h"

static unsigned int delay_ms = 2000;
module_param(delay_ms, uint, 0444);
static unsigned int every_ms = 10000;
module_param(every_ms, uint, 0444);

static void warn_now(struct work_struct *work)
{
	WARN(1, "lab: livepatch %s met a state that it does not expect\n", LAB_MARK);
	if (every_ms)
		schedule_delayed_work(to_delayed_work(work), msecs_to_jiffies(every_ms));
}

static DECLARE_DELAYED_WORK(harm, warn_now);

static void start_harm(struct klp_object *object)
{
	schedule_delayed_work(&harm, msecs_to_jiffies(delay_ms));
}

static void stop_harm(struct klp_object *object)
{
	cancel_delayed_work_sync(&harm);
}

LAB_LIVEPATCH(true, stop_harm(NULL), LAB_OBJECT_WITH_HARM(start_harm, stop_harm, LAB_FIX_VERSION));
