// Other code under the module name hotfix1: the same name is not the same livepatch.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#define LAB_MARK "hotfix1 rebuilt"
#include "lab.h"

LAB_LIVEPATCH(true, , LAB_OBJECT(NULL, LAB_FIX_VERSION));
