# Property tests need hypothesis, which today's Pythons have and those of old targets do not.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import sys

if sys.version_info < (3, 10):
    collect_ignore_glob = ["test_*_properties.py"]
