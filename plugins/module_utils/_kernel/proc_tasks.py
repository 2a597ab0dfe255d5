# The tasks of a host, as proc shows them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading

# A line of /proc/PID/task/TID/stack: the function, and its module where it is not the kernel's own.
FRAME = re.compile(r"\A(?:\[<[0-9a-fx]*>\]\s*)?(?P<function>[^\s+]+)(?:\+\S+)?(?:\s+\[(?P<module>[^\]\s]+)\])?")

_PF_KTHREAD = 0x00200000  # include/linux/sched.h


def every(root):
    """Yield the directories in proc of all tasks, by number. Tasks that end meanwhile are left out or found empty."""
    proc = os.path.join(root, "proc")
    for process in _numbers(proc):
        directory = os.path.join(proc, process, "task")
        for task in _numbers(directory):
            yield os.path.join(directory, task)


def _numbers(directory):
    try:
        return sorted((name for name in os.listdir(directory) if reading.to_number(name)), key=int)
    except EnvironmentError:
        return []


def state(task):
    """Return (state letter or None, whether it is a kthread): proc(5), fields 3 and 9; the comm before may hold anything."""
    fields = (reading.read_text(os.path.join(task, "stat")) or "").rpartition(")")[2].split()
    if len(fields) < 7:
        return None, False
    return fields[0], bool((reading.to_number(fields[6]) or 0) & _PF_KTHREAD)
