# What the module livepatch is asked for, and what it reports.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import vendors

# systemd.unit(5); a leading dash would be an option of systemctl.
_UNIT = re.compile(r"\A[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,254}\Z")
_HAS_TYPE = re.compile(r"\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)\Z")


def installs(params):
    """Return whether the options (dict) ask for a package that may have to be installed (bool)."""
    return params.get("release") is not None or bool(params.get("install"))


def check(params):
    """Raise LivepatchError (bad_option) for options (dict) that cannot be meant."""
    if installs(params) and params["state"] != "enabled":
        raise _bad(
            "%s: expected state enabled with it, found %s. Give the livepatch's name."
            % ("release" if params.get("release") is not None else "install", params["state"])
        )
    if params.get("install") and params["package"] is None:
        raise _bad("install: expected a package with it, found none. A release is installed anyway.")
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


def result(run, before, after, replaced, unloaded, proven):
    """Return the result (dict) of a livepatch.Run.

    before, after: {"enabled": [oldest first], "inert": [sorted]}. replaced, unloaded: names. proven: bool.
    """
    release = sysfs.kernel_release(run.root)
    actions = run.actions
    return {
        "changed": before != after or bool(unloaded),
        "name": run.name,
        "before": _top(before, release),
        "effective_release": _top(after, release)["effective_release"],
        "diff": {"before": before, "after": after},
        "replaced": replaced,
        "unloaded": unloaded,
        "transition": _stall(actions.seconds, actions.found),
        "remedies": actions.remedies,
        "forced": actions.forced,
        "build_id": run.file.build_id if run.file else None,
        "since": run.since,
        "proven": proven,
    }


def _stall(seconds, found):
    """found: stalls.Found, None where nothing stalled."""
    return {
        "seconds": round(seconds, 2),
        "blockers": found.tasks if found else [],
        "blocking": found.count if found else 0,
        "summary": found.summary if found else None,
    }


def _top(view, release):
    topmost = view["enabled"][-1] if view["enabled"] else None
    return {"enabled": topmost, "effective_release": sysfs.effective_release(release, topmost)}


def explain_gone(error, params, root="/"):
    """Add to a not_found (LivepatchError, changed in place) that the livepatch runs all the same, when it does.

    params: the options of the module livepatch. Its name is known from the name, or from how generic packages are called;
    a vendor's livepatch is looked for under that vendor's name.
    """
    if error.code != "not_found":
        return
    for name in _names_in_kernel(params, root):
        patch = sysfs.read_patch(root, name)
        if patch is not None and patch.enabled:
            error.message += (
                " The livepatch %s runs all the same: its package was removed while it ran. By name it is proven where the host "
                "has a copy of its own; state absent takes it out by name." % name
            )
            error.details.update(running=name, package_removed=True)
            return


def _names_in_kernel(params, root):
    """Return the names (list of str) that the livepatch asked for may have in the kernel."""
    if params["name"] is not None:
        return [params["name"].replace("-", "_")]
    package = params["package"] or ""
    # A name and version is enough for rpm, and is what the generic pattern gives.
    found = vendors.parse(package) or vendors.parse(package + "-1")
    if found is None:
        return []
    row = next((row for row in vendors.VENDORS if row.name == found.vendor), None)
    values = vendors.placeholders(sysfs.kernel_release(root), "", found.release)
    name = vendors.module_name(row, values) if row is None or row.module else None
    return [name] if name else []
