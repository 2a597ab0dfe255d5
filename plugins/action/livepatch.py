# livepatch: takes the options that a task leaves to variables from those of the host, and executes the module.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import contextlib
import signal

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as Normal
from ansible_collections.kernel.livepatch.plugins.plugin_utils import patch_options


class _TooLate(BaseException):
    """Nothing on the way takes it for a failure that it knows; so it is with Ansible's own."""


@contextlib.contextmanager
def _within(seconds):
    """End what takes longer (int, None for no limit) with _TooLate, by an alarm, as Ansible ends a task that has a timeout."""
    if not seconds:
        yield
        return
    before = signal.signal(signal.SIGALRM, _too_late)
    try:
        signal.alarm(seconds)
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _too_late(number, frame):
    raise _TooLate


class ActionModule(Normal):
    """Executes the module as any other; with from_variables it fills in what the task does not give."""

    def run(self, tmp=None, task_vars=None):
        if not boolean(self._task.args.get("from_variables", False)):
            return super().run(tmp, task_vars)
        variables = self._variables(task_vars)
        reason = patch_options.nothing_to_do(variables, self._task.check_mode)
        if reason:
            return {"skipped": True, "changed": False, "skip_reason": reason}
        build = patch_options.build(task_vars, task_vars.get("inventory_hostname"))
        reason = patch_options.refusal(variables, build)
        if reason:
            return {"failed": True, "changed": False, "error": "bad_option", "msg": reason}
        given = {key: value for key, value in self._task.args.items() if key != "from_variables"}
        self._task.args = {**patch_options.options(variables, given, build), **given}
        # A template for the task's own timeout would cost the controller as much as all the options.
        limit = None if self._task.timeout else patch_options.seconds({**variables, **given})
        try:
            with _within(limit):
                result = super().run(tmp, task_vars)
        except _TooLate:
            return {"failed": True, "msg": f"Timed out after {limit} seconds.", "timedout": {"period": limit}}
        if result.get("outcome") == "not_applicable" and variables.get("not_applicable") == "fail":
            result.update(failed=True, msg="No repository has a build of it for this kernel, and livepatch_not_applicable is fail.")
        return result

    def _variables(self, task_vars):
        """Return {name without livepatch_: value} of the variables that the host has. A value that is no template costs nothing."""
        found = {name: task_vars["livepatch_" + name] for name in patch_options.VARIABLES if "livepatch_" + name in task_vars}
        omitted = task_vars.get("omit")
        return {name: value for name, value in self._templar.template(found).items() if value != omitted}
