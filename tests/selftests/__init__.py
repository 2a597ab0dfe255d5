# The kernel's own livepatch selftests, driven through the collection on real kernels.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
