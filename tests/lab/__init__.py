"""The lab: fleets of small virtual machines that run real kernels.

Copyright: (c) 2026, kernel.livepatch contributors
SPDX-License-Identifier: GPL-3.0-or-later
"""
