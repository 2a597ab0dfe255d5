// A livepatch whose transition never ends: kswapd never leaves the function it patches.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#include <linux/kthread.h>
#include "lab.h"

/* Runs only where a kswapd is born after the livepatch: nowhere, unless memory is hot-added. */
static int idle_kswapd(void *node)
{
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ);
	return 0;
}

LAB_LIVEPATCH(true, , LAB_OBJECT(NULL, LAB_FIX_VERSION, LAB_FUNCTION("kswapd", idle_kswapd)));
