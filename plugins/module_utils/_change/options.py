# Options of the module livepatch that do not go together, or say nothing.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError

# systemd.unit(5); a leading dash would be an option of systemctl.
_UNIT = re.compile(r"\A[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,254}\Z")
_HAS_TYPE = re.compile(r"\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)\Z")


def check(params):
    """Raise LivepatchError (bad_option) for options (dict) that cannot be meant."""
    if params["all"] and params["state"] == "enabled":
        raise _bad("all: expected state disabled or absent with it, found enabled. Name one livepatch.")
    if params["all"] and params["force"]:
        raise _bad("force: expected one livepatch that is named, found all. Force by name, one at a time.")
    if params["timeout"] <= 0:
        raise _bad("timeout: expected more than 0 seconds, found %s." % params["timeout"])
    if params["lock_timeout"] < 0:
        raise _bad("lock_timeout: expected at least 0 seconds, found %s." % params["lock_timeout"])
    units(params["stall_restart_units"])


def units(names):
    """Return the units' names as systemd has them (a plain name is a service); raise bad_option."""
    for name in names:
        if not _UNIT.match(name):
            raise _bad(
                "stall_restart_units: expected names of systemd units, found %r. Give them as systemctl shows them."
                % (name,)
            )
    return [name if _HAS_TYPE.search(name) else name + ".service" for name in names]


def _bad(message):
    return LivepatchError("bad_option", message)
