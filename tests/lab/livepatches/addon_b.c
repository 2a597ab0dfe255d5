// A second livepatch without the replace flag: it marks /proc/PID/personality.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#include "lab.h"

LAB_LIVEPATCH(false, , LAB_OBJECT(NULL, LAB_FIX_PERSONALITY));
