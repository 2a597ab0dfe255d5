# The tasks that hold a transition up, and why, as their stacks tell.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Imported by a run only when a transition has stalled.

import os
import re
from collections import OrderedDict, namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs

RUNNING, UNRELIABLE, SLEEPING, UNKNOWN = "running", "unreliable_stack", "sleeping", "unknown"

# More blockers than a person can read, or a result should carry.
_MAX_BLOCKERS = 50
_MAX_FRAMES = 32
# The kernel tries to switch each blocker once a second (kernel/livepatch/transition.c, klp_try_complete_transition()).
_BETWEEN_LOOKS_SECONDS = 2.2
_MAX_STACKS = 200
_UNIT = re.compile(r"\.(service|scope|socket|mount|swap|timer)\Z")

_SHORT = {RUNNING: "always running", UNRELIABLE: "with an unreliable stack", UNKNOWN: "for an unknown reason"}

Found = namedtuple("Found", "tasks count summary")
Found.__doc__ = """What holds a transition up.

tasks: at most 50 of the blockers, described (list of dict). count: of all (int). summary: one line about those described
(str).
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
    """Return (at most 50 of the blockers, described (list of dict), one line about them (str)), as one look tells.

    It takes no time. Without root there are no stacks, and the reasons are unknown.
    """
    tasks, livepatch = _blocking(root, name), _Livepatch(root)
    described = [_describe(task, livepatch) for task in tasks[:_MAX_BLOCKERS]]
    return described, summary(described, len(tasks))


def reasons(root, name):
    """Return {reason code: number of tasks} for the livepatch in transition, as one look tells.

    So many that reading all of their stacks takes long are told by the first of them; the rest count as unknown.
    """
    tasks, livepatch, found = _blocking(root, name), _Livepatch(root), {}
    for task in tasks[:_MAX_STACKS]:
        code = _describe(task, livepatch)["reason_code"]
        found[code] = found.get(code, 0) + 1
    if len(tasks) > _MAX_STACKS:
        found[UNKNOWN] = found.get(UNKNOWN, 0) + len(tasks) - _MAX_STACKS
    return found


def find(root, name, clock):
    """Return Found for the livepatch in transition; takes some two seconds where one look does not tell each reason.

    clock: transitions.Clock.
    """
    tasks, livepatch = _blocking(root, name), _Livepatch(root)
    described = {task: _describe(task, livepatch) for task in tasks[:_MAX_BLOCKERS]}
    if any(task["reason_code"] != SLEEPING for task in described.values()):
        clock.sleep(_BETWEEN_LOOKS_SECONDS)
        # Who has switched meanwhile is no blocker any more. Nobody else is looked at: on a host with many tasks that takes
        # seconds.
        tasks = _blocking(root, name, tasks)
        described = {
            task: _seen_twice(described.get(task), _describe(task, livepatch)) for task in tasks[:_MAX_BLOCKERS]
        }
    found = [described[task] for task in tasks[:_MAX_BLOCKERS]]
    return Found(found, len(tasks), summary(found, len(tasks)))


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
    """Where a task must not be: in a function that a livepatch changes, or in a livepatch's own code.

    functions: set of (object, function). names: of all livepatches, the one in transition and those that it replaces.
    """

    def __init__(self, root):
        patches = sysfs.read_host(root).patches
        self.names = set(patches)
        self.functions = {function for patch in patches.values() for function in patch.functions}


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


def _describe(task, livepatch):
    pid = int(os.path.basename(task))
    stack = (reading.read_text(os.path.join(task, "stack")) or "").splitlines()
    state, kthread = task_state(task)
    cgroup = _cgroup(task)
    code, owner, function, words = _reason(state, stack, livepatch)
    return {
        "pid": pid,
        "comm": reading.read_text(os.path.join(task, "comm")),
        "kthread": kthread,
        "state": state,
        "unit": _unit(cgroup),
        "cgroup": cgroup,
        "reason": words,
        "reason_code": code,
        "function": function,
        "object": owner,
        "stack": stack[:_MAX_FRAMES],
    }


def _reason(state, stack, livepatch):
    """Return (reason code, object, function, words) of one look."""
    found = innermost(stack, livepatch.functions, livepatch.names)
    if found and found[0] in livepatch.names:
        return (SLEEPING,) + found + ("sleeping in function %s of livepatch %s" % (found[1], found[0]),)
    if found:
        return (SLEEPING,) + found + ("sleeping on patched function %s of object %s" % (found[1], found[0]),)
    if state == "R":
        return RUNNING, None, None, "running when it was looked at"
    if not any(map(FRAME.match, stack)):
        return UNKNOWN, None, None, "its stack cannot be read: it may just be switching"
    return UNKNOWN, None, None, "no patched function on its stack: it may be unreliable, or just be switching"


def _seen_twice(first, second):
    """Return the description of a task of which there are two (dict; first: None for a task that was not looked at before).

    The kernel has tried to switch it between them. It switches what is neither running nor in a patched function, unless
    it cannot rely on the stack (klp_try_switch_task()).
    """
    if first is None or second["reason_code"] == SLEEPING:
        return second
    if first["reason_code"] == SLEEPING:
        return first
    running = [look["reason_code"] for look in (first, second)].count(RUNNING)
    if running:
        words = "running all the time" if running == 2 else "running when it was looked at"
        return dict(second, reason_code=RUNNING, reason=words)
    if first["stack"] and second["stack"]:
        return dict(
            second,
            reason_code=UNRELIABLE,
            reason="unreliable stack: it is in no patched function, and yet not switched",
        )
    return second


def innermost(stack, functions, modules):
    """Return the (object, function) of the innermost frame that is looked for, None without any.

    stack: lines of /proc/PID/stack. functions: set of (object, function). modules: names of those that count as a whole.
    """
    for match in map(FRAME.match, stack):
        if match is None:
            continue
        name, owner = match.group("function"), match.group("module") or "vmlinux"
        # Optimised copies keep the name before the dot.
        for key in ((owner, name), (owner, name.split(".", 1)[0])):
            if key in functions or owner in modules:
                return key
    return None


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
