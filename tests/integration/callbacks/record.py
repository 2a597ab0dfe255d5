# Writes the result of every task on every host as a line of JSON, so that tests can look at data instead of text.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = """
name: record
type: notification
short_description: Records results as JSON lines
description: Appends each result to the file named in the environment variable RECORD_FILE.
"""

import json
import os

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "record"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, result, failed=False):
        # 2.19 renamed these, and keeps the old names for now.
        data = dict({"failed": failed}, **result._result)
        entry = {"task": result._task.name, "host": result._host.name, "result": data}
        with open(os.environ["RECORD_FILE"], "a") as stream:
            stream.write(json.dumps(entry, default=str) + "\n")

    def v2_runner_on_ok(self, result):
        self._write(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write(result, failed=True)

    def v2_runner_on_unreachable(self, result):
        self._write(result)
