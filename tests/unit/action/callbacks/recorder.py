# Writes the result of every task, by the task's name, into $RECORDER_PATH, for the tests beside it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
name: recorder
type: aggregate
short_description: Record results for tests
description: Writes one JSON object a line.
"""

import json
import os

from ansible.parsing.ajson import AnsibleJSONEncoder
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "recorder"

    def v2_runner_on_ok(self, result, **unused):
        task = result.task if hasattr(result, "task") else result._task
        data = result.result if hasattr(result, "result") else result._result
        with open(os.environ["RECORDER_PATH"], "a", encoding="utf-8") as stream:
            stream.write(json.dumps([task.get_name(), data], cls=AnsibleJSONEncoder) + "\n")

    v2_runner_on_failed = v2_runner_on_ok
