# Writes how much processor time each task took, of the controller and of its workers, into the file COST_FILE.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = """
name: cost
type: aggregate
short_description: Processor time by task
description: Writes [task, processor seconds] as JSON; what lies between two plays is called so.
"""

import json
import os
from collections import Counter

from ansible.plugins.callback import CallbackBase

BETWEEN = "between plays"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "cost"

    def __init__(self):
        super().__init__()
        self._task, self._since, self._spent = BETWEEN, 0.0, Counter()
        # Plays that a worker runs are part of its task.
        self._outermost = os.getppid() == int(os.environ["COST_PARENT"])

    def _begin(self, task):
        now = sum(os.times()[:4])
        self._spent[self._task] += now - self._since
        self._task, self._since = task, now

    def v2_playbook_on_play_start(self, play):
        self._begin(BETWEEN)

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._begin(task.name)

    def v2_playbook_on_handler_task_start(self, task):
        self._begin(task.name)

    def v2_playbook_on_stats(self, stats):
        self._begin(BETWEEN)
        if self._outermost:
            with open(os.environ["COST_FILE"], "w", encoding="utf-8") as stream:
                json.dump(self._spent.most_common(), stream)
