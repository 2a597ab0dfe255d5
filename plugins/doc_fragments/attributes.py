# The attributes block that every module of the collection shares.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


class ModuleDocFragment:
    # A module adds "support" for check_mode and diff_mode itself: there they differ.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the predicted changes without changing the target.
  diff_mode:
    description: Returns what has changed, or would change, when in C(diff_mode).
  platform:
    description: Kinds of target this module works on.
    support: full
    platforms: linux
  action_group:
    description: Use C(group/kernel.livepatch.livepatch) in C(module_defaults) to set defaults for all modules.
    support: full
    membership:
      - kernel.livepatch.livepatch
"""

    # For modules that only read.
    FACTS = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the predicted changes without changing the target.
    support: full
    details:
      - This module only reads.
  diff_mode:
    description: Returns what has changed, or would change, when in C(diff_mode).
    support: none
    details:
      - This module only reads.
  facts:
    description: Returns a dictionary C(ansible_facts) that is added to the facts of the host.
    support: full
"""

    # For modules whose work is done by an action plugin on the controller. A module adds "details" to check_mode.
    ACTION = r"""
options: {}
attributes:
  action:
    description: Has a corresponding action plugin; all of the work is done on the controller.
    support: full
  check_mode:
    description: Can run in C(check_mode) without writing anything.
    support: full
  diff_mode:
    description: Returns what has changed, or would change, when in C(diff_mode).
    support: none
  platform:
    description: Kinds of target this runs on.
    support: full
    details:
      - No connection to the host is made.
    platforms: posix
"""
