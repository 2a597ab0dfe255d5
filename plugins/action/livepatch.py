# livepatch: takes the options that a task leaves to variables from those of the host, and executes the module.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as Normal

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
OTHERS = ("install", "package_pattern", "result_package", "not_applicable")


class ActionModule(Normal):
    """Executes the module as any other; with from_variables it fills in what the task does not give."""

    def run(self, tmp=None, task_vars=None):
        if not boolean(self._task.args.get("from_variables", False)):
            return super().run(tmp, task_vars)
        variables = self._variables(task_vars)
        reason = nothing_to_do(variables, self._task.check_mode)
        if reason:
            return {"skipped": True, "changed": False, "skip_reason": reason}
        given = {key: value for key, value in self._task.args.items() if key != "from_variables"}
        self._task.args = {**options(variables, given), **given}
        result = super().run(tmp, task_vars)
        if result.get("outcome") == "not_applicable" and variables.get("not_applicable") == "fail":
            result.update(failed=True, msg="No repository has a build of it for this kernel, and livepatch_not_applicable is fail.")
        return result

    def _variables(self, task_vars):
        """Return {name without livepatch_: value} of the variables that the host has. A value that is no template costs nothing."""
        found = {name: task_vars["livepatch_" + name] for name in OPTIONS + WHICH + OTHERS if "livepatch_" + name in task_vars}
        omitted = task_vars.get("omit")
        return {name: value for name, value in self._templar.template(found).items() if value != omitted}


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


def options(variables, given=()):
    """Return the options (dict) of the module that these variables (dict) stand for; given: options that the task has itself."""
    found = {name: variables[name] for name in OPTIONS if name in variables}
    if not {"name", "all", *WHICH}.isdisjoint(given):
        return found
    if "path" in variables:
        return dict(found, path=variables["path"])
    if "package" in variables:
        return dict(found, package=variables["package"], install=boolean(variables.get("install", False)))
    if "result_package" in variables:  # Role install was here.
        return dict(found, package=variables["result_package"].get("package"))
    if "release" in variables:
        found["release"] = variables["release"]
        if variables.get("package_pattern"):
            found["pattern"] = variables["package_pattern"]
    return found
