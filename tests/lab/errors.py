"""The one error that the lab shows to its user."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class LabError(Exception):
    """Something the user can act on: what was expected, what was found, what to do next."""
