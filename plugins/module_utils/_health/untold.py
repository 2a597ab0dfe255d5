# What needs no words: the kernel's own counts and taint, and what of them its log does not tell.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# They are the same on every architecture, whatever its lines look like, and nothing overwrites them. oops_count rises with
# each task that dies in the kernel (make_task_dead(), kernel/exit.c), warn_count with each WARN() and each report of UBSAN,
# KASAN, KCSAN and KFENCE (check_panic_on_warn(), kernel/panic.c), each after the alarm's first line. Both came with 6.2, and
# into the stable kernels before it; where they are missing taint alone tells.
# Taint is set once and stays (Documentation/admin-guide/tainted-kernels.rst).

import collections

from ansible_collections.kernel.livepatch.plugins.module_utils._health import kernel_alarms
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log, sysfs

KIND = "untold"
COUNTERS, TAINT = "counters", "taint"

# Which kinds of alarm tell of it. An oops that follows on a BUG: line at once is one alarm with it.
_COUNTED = {"oops_count": ("oops", "bug"), "warn_count": ("warning", "bug")}
# letter: (bit, what it says, kinds of alarm that tell of it, the usual one first, counter that tells of it as well)
_TAINT = {
    "D": (7, "a task died in the kernel", ("oops", "bug"), "oops_count"),
    "W": (9, "the kernel has warned", ("warning", "bug"), "warn_count"),
    "L": (14, "a CPU was locked up", ("lockup",), None),
    "B": (5, "memory was found to be corrupt", ("bug", "warning"), None),
    "M": (4, "a machine check", (), None),
}
_WHY = {
    kernel_log.READ: "no line of it is known as such an alarm",
    kernel_log.LOST: "records of it were overwritten before they were read",
    kernel_log.TRUNCATED: "it is longer than what is read of it",
    kernel_log.UNREADABLE: "it could not be read",
}

Marks = collections.namedtuple("Marks", "counters taint")
Marks.__doc__ = """counters: {name: int, None where this kernel has none}. taint: the kernel's taint (int or None)."""

Untold = collections.namedtuple("Untold", "signature source text count")
Untold.__doc__ = """signature: "untold:" and the counter, or "taint_" and its letter (str). source: COUNTERS or TAINT.
text: what is known (str). count: of how much the log does not tell (int)."""


def read(root="/"):
    """Return the Marks of this moment.

    Before a log is read: what they count then has its line there already.
    """
    return Marks(sysfs.counters(root), sysfs.taint(root)["value"])


def at_begin(since, rebooted):
    """Return the Marks at the beginning of a window: as handed on in `since` (dict), and nothing yet after a reboot."""
    if rebooted:
        return Marks(dict.fromkeys(sysfs.COUNTERS, 0), 0)
    counters = since.get("counters") or {}
    return Marks({name: _number(counters.get(name)) for name in sysfs.COUNTERS}, _number(since.get("taint")))


def find(before, now, kinds, status):
    """Return the list of Untold between two Marks.

    kinds: of the alarms in the log of that time (list of str). status: of the kernel_log.Reading.
    """
    found = []
    for name in sysfs.COUNTERS:
        rise = _rise(before.counters[name], now.counters[name])
        told = sum(kind in _COUNTED[name] for kind in kinds)
        if rise > told:
            text = "%s rose by %d to %d, the kernel's log tells of %d: " % (name, rise, now.counters[name], told)
            found.append(Untold("%s:%s" % (KIND, name), COUNTERS, text + _WHY[status], rise - told))
    by_counters = [one.signature.split(":")[1] for one in found]
    for letter, (bit, words, telling, counter) in _TAINT.items():
        is_new = None not in (before.taint, now.taint) and (now.taint & ~before.taint) >> bit & 1
        if is_new and counter not in by_counters and not any(kind in telling for kind in kinds):
            text = "taint %s (%s) came up, the kernel's log does not tell of it: %s" % (letter, words, _WHY[status])
            found.append(Untold("%s:taint_%s" % (KIND, letter), TAINT, text, 1))
    return found


def unseen(before, now, status):
    """Return the kinds of alarm (list of str) that may have come between two Marks without anything that tells of them.

    status: of what there is of the log of that time. Where some of it is lost they are those of a taint that had been there
    before, and that no counter counts; where it was not read to its end, all.
    """
    if status in (kernel_log.TRUNCATED, kernel_log.UNREADABLE):
        return list(kernel_alarms.KINDS)
    if status == kernel_log.READ or before.taint is None:
        return []
    return [
        telling[0]
        for bit, unused, telling, counter in _TAINT.values()
        if telling and before.taint >> bit & 1 and None in (before.counters.get(counter), now.counters.get(counter))
    ]


def known(before, seconds):
    """Return {signature: (count, seconds)} of what was counted before the window, which began `seconds` after the boot."""
    return {
        "%s:%s" % (KIND, name): (count, seconds) for name, count in before.counters.items() if count and seconds > 0
    }


def _rise(before, now):
    return 0 if None in (before, now) else max(0, now - before)


def _number(value):
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
