# Prints the table of a livepatch rollout, its journal, and why it was stopped or held, at the end of a run, and gives back its lock.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
name: rollout
type: aggregate
short_description: Summary of a livepatch rollout
version_added: 0.1.0
description:
  - Prints at the end of a run the table of hosts, the path of the journal and, when the rollout is stopped or on hold, why, with the
    commands that come next. Without it a run tells how it gets on, but these only in the results of its tasks.
  - All of it comes from the results of M(kernel.livepatch.rollout_plan), M(kernel.livepatch.rollout_gate) and
    M(kernel.livepatch.rollout_journal).
  - What hosts have said in it is printed without control characters, and each line in one.
  - Gives the lock of the rollout back when the run ends, whatever ended it, and when it is told to end (SIGTERM, SIGINT). Without it
    a run that was ended while tasks ran keeps the lock; where nobody can see that it is gone, as from another pod, the next run has
    to wait until it has been silent for long enough.
author:
  - kernel.livepatch contributors (@kernel-livepatch)
requirements:
  - enable it with C(callbacks_enabled = kernel.livepatch.rollout) in the configuration of Ansible
"""

import contextlib
import os
import signal
import threading

from ansible.plugins.callback import CallbackBase
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import progress
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import lock

ACTIONS = ("rollout_plan", "rollout_gate", "rollout_journal")


class CallbackModule(CallbackBase):
    """Adds lines to the output; takes none away."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kernel.livepatch.rollout"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._table = []
        self._journal = None
        self._message = None
        self._before, self._pid = {}, os.getpid()

    def v2_runner_on_ok(self, result, **unused):
        self._take(result)

    def v2_runner_on_failed(self, result, ignore_errors=False, **unused):
        self._take(result)

    def v2_playbook_on_stats(self, stats):
        if self._journal is None:
            return
        for line in [*self._table, f"journal: {self._journal}", *(self._message or "").split("\n")]:
            if line:
                self._display.display(progress.line(line))
        self._release()

    def _take(self, result):
        task, data = _task(result), _data(result)
        if (
            not task.action.startswith(("kernel.livepatch.", "rollout_"))
            or task.action.rpartition(".")[2] not in ACTIONS
        ):
            return
        self._table = data.get("table") or self._table
        self._journal = data.get("journal") or self._journal
        self._message = data.get("stop_message") or data.get("hold_message") or self._message
        # Here is the process whose lock it is; the workers, in which actions run, are gone while others have tasks.
        if self._journal and not self._before and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._end)

    def _end(self, number, frame):
        if os.getpid() == self._pid:  # Workers have this handler too, and may hold the file of the lock just now.
            self._release()
        before = self._before[number]
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, before or signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _release(self):
        with contextlib.suppress(RolloutError, OSError):
            lock.release(self._journal, lock.owner(os.getpid(), ""))


# The names with an underscore are the only ones that ansible-core 2.16 has.
def _task(result):
    return result.task if hasattr(result, "task") else result._task


def _data(result):
    return result.result if hasattr(result, "result") else result._result
