# The one exception of the controller side.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


class RolloutError(Exception):
    """A failure that a person can cause or meet.

    Its text (str) says what was expected, what was found and what to do next.
    """
