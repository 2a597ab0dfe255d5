# The tasks that hold a transition up, and why: what the kernel says itself, else what their stacks tell.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Imported by a run only when a transition has stalled.

import os
import re
from collections import OrderedDict, namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import dynamic_debug, sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.dynamic_debug import (
    RUNNING,
    SLEEPING,
    UNRELIABLE,
)

UNKNOWN = "unknown"

# More blockers than a person can read, or a result should carry.
_MAX_BLOCKERS = 50
_MAX_FRAMES = 32
# The kernel tries once a second: so long it takes to see each blocker twice.
_LISTEN_SECONDS = 2.2
# Each try writes a line for each blocker. More of them would push out of the kernel's log what others look for there.
_MAX_TO_ASK_ABOUT = 200
_UNIT = re.compile(r"\.(service|scope|socket|mount|swap|timer)\Z")

_SHORT = {RUNNING: "always running", UNRELIABLE: "with an unreliable stack", UNKNOWN: "for an unknown reason"}

Found = namedtuple("Found", "tasks count summary told_by note")
Found.__doc__ = """What holds a transition up.

tasks: at most 50 of the blockers, described (list of dict). count: of all (int). summary: one line about those described
(str). told_by: "kernel" when the kernel said why, "stacks" when only stacks were read. note: why not the kernel (str or
None).
"""

# A line of /proc/PID/task/TID/stack: the function, and its module where it is not the kernel's own.
FRAME = re.compile(r"\A(?:\[<[0-9a-fx]*>\]\s*)?(?P<function>[^\s+]+)(?:\+\S+)?(?:\s+\[(?P<module>[^\]\s]+)\])?")

_PF_KTHREAD = 0x00200000  # include/linux/sched.h


def count(root, name):
    """Return how many tasks have not switched yet (int). Needs root, as everything here."""
    return len(_blocking(root, name))


def blocked(root, name):
    """Return whether any task has not switched yet: the search ends at the first."""
    return next(_blockers(root, name), None) is not None


def units(root, name):
    """Return the systemd units (set of str) of all tasks that have not switched yet."""
    return {_unit(_cgroup(task)) for task in _blocking(root, name)} - {None}


def by_stacks(root, name):
    """Return (at most 50 of the blockers, described (list of dict), one line about them (str)), as the stacks tell.

    It takes no time. Without root there are no stacks, and the reasons are unknown.
    """
    tasks, livepatch = _blocking(root, name), _Livepatch(root, name)
    described = [_describe(task, {}, livepatch) for task in tasks[:_MAX_BLOCKERS]]
    return described, summary(described, len(tasks))


def reasons(root, name):
    """Return {reason code: number of tasks} for the livepatch in transition, as the stacks tell.

    So many that reading all of their stacks takes long are told by the first of them; the rest count as unknown.
    """
    tasks, livepatch, found = _blocking(root, name), _Livepatch(root, name), {}
    for task in tasks[:_MAX_TO_ASK_ABOUT]:
        code = _describe(task, {}, livepatch)["reason_code"]
        found[code] = found.get(code, 0) + 1
    if len(tasks) > _MAX_TO_ASK_ABOUT:
        found[UNKNOWN] = found.get(UNKNOWN, 0) + len(tasks) - _MAX_TO_ASK_ABOUT
    return found


def find(root, name, kernel, log, clock):
    """Return Found for the livepatch in transition; takes some two seconds when anything blocks.

    kernel, log: the modules syscalls and kernel_log. clock: transitions.Clock.
    """
    tasks = _blocking(root, name)
    said, note = {}, None
    if len(tasks) > _MAX_TO_ASK_ABOUT:
        note = "%d tasks are too many to have the kernel write about each" % len(tasks)
    elif tasks:
        said, note = _ask(root, kernel, log, clock)
        # Who has switched meanwhile is no blocker any more. Nobody else is looked at: on a host with many tasks that takes
        # seconds.
        tasks = _blocking(root, name, tasks)
    livepatch = _Livepatch(root, name)
    described = [_describe(task, said, livepatch) for task in tasks[:_MAX_BLOCKERS]]
    told_by = "kernel" if any(task["told_by"] == "kernel" for task in described) else "stacks"
    return Found(described, len(tasks), summary(described, len(tasks)), told_by, note)


def summary(tasks, number):
    """Return one line: how many of the described tasks (list of dict) block for which reason; number: of all (int)."""
    groups = OrderedDict()
    for task in tasks:
        words = _SHORT.get(task["reason_code"], "sleeping in %s" % task["function"])
        groups[words] = groups.get(words, 0) + 1
    parts = ["%d %s" % (size, words) for words, size in sorted(groups.items(), key=lambda group: -group[1])]
    if parts:
        first, unused, rest = parts[0].partition(" ")
        parts[0] = "%s task%s %s" % (first, "" if first == "1" else "s", rest)
    if number > len(tasks):
        parts.append("%d more" % (number - len(tasks)))
    return "; ".join(parts)


class _Livepatch(object):
    """What tells its functions apart from others: the livepatch in transition, and all that are enabled."""

    def __init__(self, root, name):
        host = sysfs.read_host(root)
        self.names = set(host.patches)
        self.objects = {}
        newest_last = [patch for other, patch in host.patches.items() if other != name]
        for patch in newest_last + [host.patches[name]] if name in host.patches else newest_last:
            for object_name, parts in patch.objects.items():
                self.objects.update({function: object_name for function in parts["functions"]})


def _blocking(root, name, among=None):
    """The same as a list."""
    return list(_blockers(root, name, among))


def _blockers(root, name, among=None):
    """Yield the directories in proc of the tasks (among these, None: of all) that have not switched.

    A task blocks when its patch_state is neither -1 (no transition) nor what `enabled` says
    (Documentation/livepatch/livepatch.rst, "Consistency model").
    """
    patch = sysfs.read_patch(root, name)
    if patch is None or not patch.transition:
        return
    other = 0 if patch.enabled else 1
    for task in every_task(root) if among is None else among:
        if reading.read_number(task + "/patch_state") == other:
            yield task


def _ask(root, kernel, log, clock):
    """Return ({pid: (reason code, function, how often)} as the kernel says, why it could not be asked or None)."""
    try:
        with dynamic_debug.switched_on(root, kernel):
            sequence = log.position()["sequence"]
            clock.sleep(_LISTEN_SECONDS)
            lines = log.lines_since(sequence, _MAX_TO_ASK_ABOUT * 10)
    except dynamic_debug.NotPossible as error:
        return {}, str(error)
    except LivepatchError as error:
        return {}, error.message
    except EnvironmentError as error:
        return {}, "no note can be made in /run/livepatch (%s)" % error.strerror
    return _sorted_out([found for found in map(dynamic_debug.reason, lines) if found]), None


def _sorted_out(messages):
    # What a task was found sleeping on tells more than that it was running at another moment.
    order = (RUNNING, UNRELIABLE, SLEEPING)
    said = {}
    for pid, code, function in messages:
        former = said.get(pid, (code, function, 0))
        best = former if order.index(former[0]) > order.index(code) else (code, function, 0)
        said[pid] = (best[0], best[1], former[2] + 1)
    return said


def _describe(task, said, livepatch):
    pid = int(os.path.basename(task))
    stack = (reading.read_text(os.path.join(task, "stack")) or "").splitlines()[:_MAX_FRAMES]
    state, kthread = task_state(task)
    cgroup = _cgroup(task)
    if pid in said:
        code, function, words = _as_said(said[pid], livepatch)
    else:
        code, function, words = _by_stack(state, stack, livepatch)
    return {
        "pid": pid,
        "comm": reading.read_text(os.path.join(task, "comm")),
        "kthread": kthread,
        "state": state,
        "unit": _unit(cgroup),
        "cgroup": cgroup,
        "reason": words,
        "reason_code": code,
        "told_by": "kernel" if pid in said else "stack",
        "function": function,
        "object": livepatch.objects.get(function),
        "stack": stack,
    }


def _as_said(said, livepatch):
    code, function, times = said
    if code == SLEEPING:
        return code, function, _sleeping(function, livepatch)
    if code == UNRELIABLE:
        return code, None, "unreliable stack"
    return code, None, "running all the time" if times > 1 else "running when the kernel tried"


def _sleeping(function, livepatch):
    of_object = livepatch.objects.get(function)
    return "sleeping on patched function %s%s" % (function, " of object %s" % of_object if of_object else "")


def _by_stack(state, stack, livepatch):
    frames = [match.group("function", "module") for match in map(FRAME.match, stack) if match]
    for function, module in frames:
        # Optimised copies keep the name before the dot; code in a livepatch is the new version of a function.
        plain = function if function in livepatch.objects else function.split(".", 1)[0]
        if plain in livepatch.objects or module in livepatch.names:
            return SLEEPING, plain, _sleeping(plain, livepatch)
    if state == "R":
        return RUNNING, None, "running, as its state says"
    if not frames:
        return UNKNOWN, None, "its stack cannot be read: it may just be switching"
    return UNKNOWN, frames[0][0], "no patched function on its stack: it may be unreliable, or just be switching"


def _cgroup(task):
    """The task's control group (cgroups(7)): that of systemd, where there is one, or of version 2; None without any."""
    found = {}
    for line in (reading.read_text(os.path.join(task, "cgroup")) or "").splitlines():
        number, unused, rest = line.partition(":")
        controllers, separator, group = rest.partition(":")
        if separator:
            found[controllers if number != "0" else ""] = group
    return found.get("name=systemd", found.get(""))


def _unit(cgroup):
    """The unit of the host's systemd that a control group belongs to, by systemd's own rule: the first one behind the slices.

    What lies below is its own affair: units of a container or of a user's systemd may have the names of the host's.
    """
    parts = [part for part in (cgroup or "").split("/") if part and not part.endswith(".slice")]
    return parts[0] if parts and _UNIT.search(parts[0]) else None


def every_task(root):
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


def task_state(task):
    """Return (state letter or None, whether it is a kthread): proc(5), fields 3 and 9; the comm before may hold anything."""
    fields = (reading.read_text(os.path.join(task, "stat")) or "").rpartition(")")[2].split()
    if len(fields) < 7:
        return None, False
    return fields[0], bool((reading.to_number(fields[6]) or 0) & _PF_KTHREAD)
