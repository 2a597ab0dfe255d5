// The first cumulative livepatch: /proc/version names it.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#include "lab.h"

LAB_LIVEPATCH(true, , LAB_OBJECT(NULL, LAB_FIX_VERSION));
