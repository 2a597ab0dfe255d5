# The options of the module livepatch that variables of a host stand for, and whether it is left alone after role install. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# livepatch_OPTION, each of them a variable of role apply.
OPTIONS = (
    "gpg_check",
    "drift",
    "package_timeout",
    "kdump_directories",
    "coredump_directories",
    "replace",
    "replaces",
    "unload_inert",
    "timeout",
    "on_stall",
    "other_engines",
    "stall_restart_units",
    "lock_timeout",
)
WHICH = ("path", "package", "release")
VARIABLES = (*OPTIONS, *WHICH, "install", "package_pattern", "result_package", "not_applicable")
# What a rollout looks up itself, for each kernel another package: no host can.
NEWEST = "newest"


def nothing_to_do(variables, check_mode):
    """Return why a host is left alone after role install (str), None where it is not."""
    installed = variables.get("result_package")
    if installed is None:
        return None
    if installed.get("failed") or installed.get("unreachable"):
        return "Its package could not be installed."
    if check_mode and installed.get("changed"):
        return "Check mode has installed no package."
    if not installed.get("package") and not {"path", "package"} & set(variables):
        return "There is no package for it."
    return None


def build(variables, host):
    """Return the very package (str) that the rollout gives this host in the slice that is open, None where there is none.

    variables: of the task (dict), among which the gate has left it.
    """
    return ((variables.get("livepatch_gate") or {}).get("packages") or {}).get(host)


def refusal(variables, package):
    """Return why (str) nothing can be brought with these variables (dict), None where it can; package: from build()."""
    if package or variables.get("release") != NEWEST or {"path", "package", "result_package"} & set(variables):
        return None
    return (
        "livepatch_release is newest: expected the name of a release here, as which build is the newest is asked once for the whole "
        "fleet, by the playbook kernel.livepatch.rollout. Give the release, or livepatch_package with livepatch_install."
    )


def options(variables, given=(), package=None):
    """Return the options (dict) of the module that these variables (dict) stand for.

    given: options that the task has itself; package: from build(): it, and no newer one, whatever the variables say.
    """
    found = {name: variables[name] for name in OPTIONS if name in variables}
    if not {"name", "all", *WHICH}.isdisjoint(given):
        return found
    if package:
        return dict(found, package=package, install=True, allow_downgrade=False)
    if "path" in variables:
        return dict(found, path=variables["path"])
    if "package" in variables:
        return dict(found, package=variables["package"], install=variables.get("install", False))
    if "result_package" in variables:  # Role install was here.
        return dict(found, package=variables["result_package"].get("package"))
    if "release" in variables:
        found["release"] = variables["release"]
        if variables.get("package_pattern"):
            found["pattern"] = variables["package_pattern"]
    return found


def seconds(options):
    """Return how long (int, seconds) one host may take for all of it with these options (dict): one that dies may leave its connection open.

    Each unit has 100 seconds to restart. A value that is no number counts as its default: the module refuses it.
    """
    units = options.get("stall_restart_units")
    return (
        _whole(options.get("timeout"), 60) * 4
        + _whole(options.get("package_timeout"), 600)
        + _whole(options.get("lock_timeout"), 0)
        + (len(units) if isinstance(units, (list, tuple)) else 0) * 110
        + 180
    )


def _whole(value, default):
    try:
        return max(0, int(value))
    except (TypeError, ValueError):
        return default
