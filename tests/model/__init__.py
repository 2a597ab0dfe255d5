# Whole rollouts at random: the product's own functions on a fleet whose true state is known, and what must hold at every step.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# Where `make setup` puts the link that makes the checkout importable as a collection.
if str(ROOT / ".work/collections") not in sys.path:
    sys.path.insert(0, str(ROOT / ".work/collections"))
