# Prints how a livepatch rollout gets on, and its table and journal at the end.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
name: rollout
type: aggregate
short_description: Progress and summary of a livepatch rollout
version_added: 0.1.0
description:
  - Prints a line for each step of a rollout as it happens, and the table of hosts and the journal's path at the end.
  - Whenever a tier begins, soaks, is held, is stopped or has passed, a line tells so, with the time at which it began, how long
    ago that was, and what it waits for.
  - All of it comes from the results of M(kernel.livepatch.rollout_plan), M(kernel.livepatch.rollout_gate) and
    M(kernel.livepatch.rollout_journal).
author:
  - kernel.livepatch contributors (@kernel-livepatch)
requirements:
  - enable it with C(callbacks_enabled = kernel.livepatch.rollout) in the configuration of Ansible
"""

from ansible.plugins.callback import CallbackBase

ACTIONS = ("rollout_plan", "rollout_gate", "rollout_journal")
COLORS = {"stop": "red", "hold": "yellow", "pass": "green"}
# A tier that waits for others is told of by the plan.
UNTOLD = "wait"


class CallbackModule(CallbackBase):
    """Adds lines to the output; takes none away."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kernel.livepatch.rollout"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._table = []
        self._marks = {}
        self._journal = None
        self._message = None

    def v2_runner_on_ok(self, result, **unused):
        self._take(result)

    def v2_runner_on_failed(self, result, ignore_errors=False, **unused):
        self._take(result)

    def v2_playbook_on_stats(self, stats):
        if self._journal is None:
            return
        for line in self._table:
            self._line(line)
        self._line(f"journal: {self._journal}")
        for line in (self._message or "").splitlines():
            self._line(line)

    def _take(self, result):
        task, data = _task(result), _data(result)
        if (
            not task.action.startswith(("kernel.livepatch.", "rollout_"))
            or task.action.rpartition(".")[2] not in ACTIONS
        ):
            return
        for line in data.get("progress") or []:
            self._line(line, COLORS.get(data.get("verdict")))
        for tier in data.get("timeline") or []:
            self._tell(tier)
        self._table = data.get("table") or self._table
        self._journal = data.get("journal") or self._journal
        self._message = data.get("stop_message") or data.get("hold_message") or self._message

    def _tell(self, tier):
        if self._marks.get(tier["tier"], UNTOLD) != tier["mark"]:
            self._line(tier["line"], COLORS.get(tier["mark"]))
        self._marks[tier["tier"]] = tier["mark"]

    def _line(self, text, color=None):
        self._display.display(f"livepatch | {text}", color=color)


# The names with an underscore are the only ones that ansible-core 2.16 has.
def _task(result):
    return result.task if hasattr(result, "task") else result._task


def _data(result):
    return result.result if hasattr(result, "result") else result._result
