# Whether an ansible-core is one that the collection was tested with. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import re

# The newest that the tests run with. The oldest is that of meta/runtime.yml.
NEWEST = "2.22"


def warning(version, newest=NEWEST):
    """Return the words (str) for people on an ansible-core (its version, str) that is newer than the tests know, else None."""
    if _numbers(version) <= _numbers(newest):
        return None
    return (
        f"ansible-core {version} is newer than {newest}, the newest that this version of kernel.livepatch was tested with. "
        "See whether there is a newer kernel.livepatch (`ansible-galaxy collection install --upgrade kernel.livepatch`), "
        f"roll out to hosts that may fail first, or install 'ansible-core~={newest}.0'."
    )


def _numbers(version):
    return [int(number) for number in re.findall(r"\d+", version)[:2]]
