// The second cumulative livepatch: what hotfix1 does, and /proc/execdomains.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#include "lab.h"

LAB_LIVEPATCH(true, , LAB_OBJECT(NULL, LAB_FIX_VERSION, LAB_FIX_EXECDOMAINS));
