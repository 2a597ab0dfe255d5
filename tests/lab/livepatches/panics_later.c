// A livepatch that panics the machine a minute after it is in.
// Copyright: (c) 2026, kernel.livepatch contributors
// SPDX-License-Identifier: GPL-3.0-or-later

#define HARM_DELAY_MS 60000
#define HARM_HERE 1
#include "panics.h"
