# Tasks that sleep in functions which hold a transition up.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import os
import re
from collections import namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils import _sysfs

Sleeper = namedtuple("Sleeper", "pid comm state kthread object function")
Sleeper.__doc__ = """A task. state: the letter that ps shows. object, function: the innermost of those looked for."""

# A host with more tasks is looked at in part, and the finding says so.
MOST_TASKS = 20000
SECONDS = 10.0

_PF_KTHREAD = 0x00200000  # include/linux/sched.h
_FRAME = re.compile(r"\A(?:\[<[0-9a-fx]*>\]\s*)?(?P<function>[^\s+]+)(?:\+\S+)?(?:\s+\[(?P<module>[^\]\s]+)\])?")


def find(root, functions, modules, now):
    """Return (list of Sleeper, whether all tasks were looked at); (None, False) where no stack can be read.

    functions: set of (object, name) to look for. modules: names of modules all of whose functions are looked for.
    now: seconds, of a clock that only goes forward. Needs root.
    """
    sleepers, readable, number = [], False, 0
    deadline = now() + SECONDS
    for number, task in enumerate(_tasks(root), 1):
        if number > MOST_TASKS or now() > deadline:
            return (sleepers, False) if readable else (None, False)
        text = _sysfs.read_text(os.path.join(task, "stack"))
        readable = readable or text is not None
        key = _function(text or "", functions, modules)
        if key is not None:
            sleepers.append(_sleeper(task, key))
    return (sleepers, True) if readable else (None, False)


def _function(stack, functions, modules):
    for match in map(_FRAME.match, stack.splitlines()):
        if match is None:
            continue
        name, owner = match.group("function"), match.group("module") or "vmlinux"
        # Optimised copies keep the name before the dot.
        for key in ((owner, name), (owner, name.split(".", 1)[0])):
            if key in functions or owner in modules:
                return key
    return None


def _sleeper(task, key):
    text = _sysfs.read_text(os.path.join(task, "stat")) or ""
    fields = text.rpartition(")")[2].split()  # proc(5): state is the first field behind the name, flags the seventh
    flags = int(fields[6]) if len(fields) > 6 and fields[6].isdigit() else 0
    return Sleeper(
        int(os.path.basename(task)),
        _sysfs.read_text(os.path.join(task, "comm")) or "?",
        fields[0] if fields else "?",
        bool(flags & _PF_KTHREAD),
        *key
    )


def _tasks(root):
    proc = os.path.join(root, "proc")
    for process in _numbers(proc):
        directory = os.path.join(proc, process, "task")
        for task in _numbers(directory):
            yield os.path.join(directory, task)


def _numbers(directory):
    try:
        return sorted((name for name in os.listdir(directory) if name.isdigit()), key=int)
    except EnvironmentError:
        return []
