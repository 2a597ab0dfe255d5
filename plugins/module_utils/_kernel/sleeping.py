# Tasks that sleep in functions which hold a transition up.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import os
from collections import namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import stalls

Sleeper = namedtuple("Sleeper", "pid comm state kthread object function")
Sleeper.__doc__ = """A task. state: the letter that ps shows. object, function: the innermost of those looked for."""

# A host with more tasks is looked at in part, and the finding says so.
MOST_TASKS = 20000
SECONDS = 10.0


def find(root, functions, modules, now):
    """Return (list of Sleeper, whether all tasks were looked at); (None, False) where no stack can be read.

    functions: set of (object, name) to look for. modules: names of modules all of whose functions are looked for.
    now: seconds, of a clock that only goes forward. Needs root.
    """
    sleepers, readable, number = [], False, 0
    deadline = now() + SECONDS
    for number, task in enumerate(stalls.every_task(root), 1):
        if number > MOST_TASKS or now() > deadline:
            return (sleepers, False) if readable else (None, False)
        text = reading.read_text(os.path.join(task, "stack"))
        readable = readable or text is not None
        key = stalls.innermost((text or "").splitlines(), functions, modules)
        if key is not None:
            sleepers.append(_sleeper(task, key))
    return (sleepers, True) if readable else (None, False)


def _sleeper(task, key):
    state, kthread = stalls.task_state(task)
    comm = reading.read_text(os.path.join(task, "comm")) or "?"
    return Sleeper(int(os.path.basename(task)), comm, state or "?", kthread, *key)
