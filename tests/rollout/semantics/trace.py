# Callback that writes what ran where, one JSON object a line, for the tests of Ansible's own semantics.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: trace
type: aggregate
short_description: Writes what ran where
description: Writes one JSON object a line to the file that E(SEMANTICS_TRACE) names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "trace"

    def _write(self, **event):
        with open(os.environ["SEMANTICS_TRACE"], "a", encoding="utf-8") as trace:
            trace.write(json.dumps(event) + "\n")

    def _result(self, status, result):
        message = result._result.get("msg")
        self._write(
            status=status, host=result._host.get_name(), task=result._task.get_name(), msg=json.loads(json.dumps(message))
        )

    def v2_playbook_on_play_start(self, play):
        self._write(status="play", task=play.get_name())

    def v2_runner_on_ok(self, result):
        self._result("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_unreachable(self, result):
        self._result("unreachable", result)

    def v2_runner_on_skipped(self, result):
        self._result("skipped", result)
