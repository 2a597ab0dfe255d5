# Waiting for a transition, and the tasks that hold it up.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import os
import re
import time

from ansible_collections.kernel.livepatch.plugins.module_utils import _sysfs

# The kernel tries again once a second; most transitions end within the first two.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
# More blockers than a person can read, or a result should carry.
_MAX_BLOCKERS = 50
_MAX_FRAMES = 32
_PF_KTHREAD = 0x00200000  # include/linux/sched.h
_UNIT = re.compile(r"\.(service|scope|socket|mount|swap|timer)\Z")
_FRAME = re.compile(r"\A(?:\[<[0-9a-fx]*>\]\s*)?(?P<function>[^\s+]+)(?:\+\S+)?(?:\s+\[(?P<module>[^\]\s]+)\])?")


class Clock(object):
    """Time as the waiting sees it; tests bring their own."""

    now = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)


def wait(condition, timeout, clock):
    """Ask until condition() is true or timeout seconds are over; return its last answer."""
    deadline = clock.now() + timeout
    pause = _FIRST_PAUSE
    while True:
        answer = condition()
        left = deadline - clock.now()
        if answer or left <= 0:
            return answer
        clock.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def is_over(root, name):
    """Whether the livepatch is in no transition: it is enabled for all tasks, or gone."""
    patch = _sysfs.read_patch(root, name)
    return patch is None or not patch.transition


def blockers(root, name):
    """Return (tasks that have not switched yet, at most 50 of them described; the number of all).

    A task blocks when its patch_state is neither -1 (no transition) nor what `enabled` says
    (Documentation/livepatch/livepatch.rst, "Consistency model"). Needs root.
    """
    patch = _sysfs.read_patch(root, name)
    if patch is None or not patch.transition:
        return [], 0
    target = 1 if patch.enabled else 0
    functions = {function for parts in patch.objects.values() for function in parts["functions"]}
    tasks = [task for task in _tasks(root) if _sysfs.read_number(os.path.join(task, "patch_state")) == 1 - target]
    host_patches = set(_sysfs.read_host(root).patches)
    found = [_describe(task, functions, host_patches) for task in tasks[:_MAX_BLOCKERS]]
    return found, len(tasks)


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


def _describe(task, functions, livepatches):
    stack = (_sysfs.read_text(os.path.join(task, "stack")) or "").splitlines()[:_MAX_FRAMES]
    state, flags = _stat(task)
    function, reason = _why(state, stack, functions, livepatches)
    return {
        "pid": int(os.path.basename(task)),
        "comm": _sysfs.read_text(os.path.join(task, "comm")),
        "kthread": bool(flags & _PF_KTHREAD),
        "state": state,
        "unit": _unit(task),
        "reason": reason,
        "function": function,
        "stack": stack,
    }


def _why(state, stack, functions, livepatches):
    frames = [match.group("function", "module") for match in map(_FRAME.match, stack) if match]
    for function, module in frames:
        # Optimised copies keep the name before the dot; code in a livepatch is the new version of a function.
        if function.split(".", 1)[0] in functions or function in functions or module in livepatches:
            return function, "sleeping in %s, which the livepatch changes" % function
    if state == "R":
        return None, "running: it switches when it next leaves the kernel or sleeps outside the changed functions"
    if not frames:
        return None, "its stack cannot be read: it may just be switching, or the kernel cannot tell what it runs"
    return (
        frames[0][0],
        "no changed function on its stack (top: %s): the kernel has no reliable stack of it, or it is just switching"
        % frames[0][0],
    )


def _stat(task):
    """State letter and flags (proc(5), fields 3 and 9); the comm before them may hold anything."""
    fields = (_sysfs.read_text(os.path.join(task, "stat")) or "").rpartition(")")[2].split()
    if len(fields) < 7 or not fields[6].isdigit():
        return None, 0
    return fields[0], int(fields[6])


def _unit(task):
    for line in (_sysfs.read_text(os.path.join(task, "cgroup")) or "").splitlines():
        for part in reversed(line.split(":", 2)[-1].split("/")):
            if _UNIT.search(part):
                return part
    return None
