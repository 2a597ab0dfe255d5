// A livepatch that panics only the machines with a kernel before 6.5, seconds after it is in.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#define HARM_DELAY_MS 4000
#define HARM_HERE (LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0))
#include "panics.h"
