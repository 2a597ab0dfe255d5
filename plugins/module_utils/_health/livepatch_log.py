# Which livepatch was in effect at a moment, as the kernel's own log tells it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# From its first task to its last one a livepatch's code may run, so a moment inside a transition belongs to the
# livepatch in transition. The lines were seen on 5.10 to 7.2 (kernel/livepatch/core.c, transition.c).

import bisect
import collections
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs

_STEP = re.compile(
    r"livepatch: (?:enabling patch '([^']{1,64})'"
    r"|'([^']{1,64})': (starting patching|patching complete|starting unpatching|unpatching complete))"
)

# What a transition begins with.
_BEGIN = ("enabling", "starting patching")

# What ran is not known.
_UNKNOWN = object()
# The same, for what may have been replaced by what lies on it.
_MAYBE = object()


class History(object):
    """What ran when, in one boot.

    records: the boot's log, oldest first (list of kernel_log.Record); whole: whether it begins with the boot.
    kernel_release: of that boot, None when it is not known. enabled: names of the livepatches that are enabled now,
    oldest first; None for a former boot, of which nobody can ask that.
    """

    def __init__(self, records, whole, kernel_release, enabled=None):
        self._kernel_release = kernel_release
        steps = [step for step in map(_step, records) if step is not None]
        self._begin = _before(steps, whole, enabled)
        self._changes, self._stack = _replay(steps, whole, enabled)
        self._pending = _pending(steps)

    def at(self, seconds):
        """Return the effective release (str) at a moment (seconds since that boot), None when it is not known."""
        topmost = self._begin
        for moment, name in self._changes:
            if moment > seconds:
                break
            topmost = name
        if topmost in (_UNKNOWN, _MAYBE) or not self._kernel_release:
            return None
        return sysfs.effective_release(self._kernel_release, topmost)

    def at_end(self):
        """Return the effective release (str) at the end of the log, None when it is not known."""
        return self.at(float("inf"))

    def stack_at_end(self):
        """Return the livepatches (names, oldest first) that were enabled or in transition at the end of a former boot.

        None when that is not known. Whether the topmost one has replaced the others the log does not say: it is taken for
        granted, until it goes out and what was below it matters.
        """
        is_known = _UNKNOWN not in self._stack and self._stack[-1:] != [_MAYBE]
        return [name for name in self._stack if name is not _MAYBE] if is_known else None

    def pending_at_end(self):
        """Return (name, patching or unpatching) of the livepatch that was in transition at the end, None for none."""
        return self._pending


def began(records, name):
    """Return when the last transition of a livepatch began (seconds since the boot, float), None when the log does not say.

    records: of the log, oldest first (list of kernel_log.Record). The lines before "starting" may come seconds earlier.
    """
    steps = [step for step in map(_step, records) if step is not None and step[2] == name]
    return next((seconds for seconds, what, unused in reversed(steps) if what.startswith("starting")), None)


def lasts(records, name, root="/"):
    """Return for how long (seconds, float) the transition of a livepatch has lasted, None when the log does not say.

    The log's clock is not corrected and parts from the uptime by seconds in a month.
    """
    since, uptime = began(records, name), reading.uptime(root)
    return None if since is None or uptime is None else max(0.0, uptime - since)


def _step(record):
    """Return (seconds, what, name) for a line about a livepatch, None for any other."""
    found = record.kernel and record.text.startswith("livepatch: ") and _STEP.match(record.text)
    return (record.seconds, found.group(3) or "enabling", found.group(1) or found.group(2)) if found else None


def _before(steps, whole, enabled):
    """What was in effect before the first of these lines: a name, None for no livepatch, or _UNKNOWN."""
    if not steps and enabled is not None:
        return enabled[-1] if enabled else None
    if whole:
        return None
    if not steps or steps[0][1] in _BEGIN:
        return _UNKNOWN
    # In a transition it is what is in transition; one that only begins may lie below others.
    name = steps[0][2]
    return name if steps[0][1] != "starting unpatching" else next(reversed(_below_a_torn_log(steps, enabled)))


def _below_a_torn_log(steps, enabled):
    """Return the stack (names as keys, oldest first, or _UNKNOWN) before a log that does not begin with the boot."""
    first = {}
    for unused, what, name in steps:
        first.setdefault(name, what)
    # What is enabled and never named was so all the time, and what goes out was there: nobody knows on which others.
    stack = collections.OrderedDict.fromkeys([_UNKNOWN] + [name for name in enabled or [] if name not in first])
    there = sorted(name for name, what in first.items() if what not in _BEGIN)
    stack.update(collections.OrderedDict.fromkeys(there))
    if there and len(stack) > 2:
        stack.move_to_end(_UNKNOWN)
    return stack


def _replay(steps, whole, enabled):
    """Return (list of (seconds, topmost livepatch from then on or None), the stack at the end, oldest first)."""
    told = _Told(steps, enabled)
    stack = collections.OrderedDict() if whole else _below_a_torn_log(steps, enabled)
    changes = []
    for number, (seconds, what, name) in enumerate(steps):
        if what in _BEGIN:
            stack.pop(name, None)
            stack[name] = None
        elif what == "starting unpatching" or (what == "patching complete" and told.is_back(number)):
            stack.setdefault(name)  # where it was, and others may lie on it
        elif what == "patching complete":
            stack.pop(name, None)
            below, stack = stack, collections.OrderedDict()
            for other in below:
                replaced = told.was_replaced(other, number)
                if replaced is None:
                    stack.pop(_MAYBE, None)
                if not replaced:
                    stack[_MAYBE if replaced is None else other] = None
            stack[name] = None
        elif what == "unpatching complete":
            stack.pop(name, None)
        changes.append((seconds, name if what == "starting unpatching" else next(reversed(stack), None)))
    if enabled is not None and steps and _pending(steps) is None and (not whole or changes[-1][1] in (_UNKNOWN, _MAYBE)):
        changes[-1] = (steps[-1][0], enabled[-1] if enabled else None)
    return changes, list(stack)


class _Told(object):
    """What the lines (steps) tell of a livepatch that others came over: the log does not say what was replaced."""

    def __init__(self, steps, enabled):
        self._steps, self._enabled = steps, enabled
        self._named, self._came = {}, []
        for number, (unused, what, name) in enumerate(steps):
            self._named.setdefault(name, []).append(number)
            if what == "patching complete" and not self.is_back(number):
                self._came.append(number)

    def is_back(self, number):
        """Whether this line, of a livepatch that is complete, tells that its way out was turned round."""
        named = self._named[self._steps[number][2]]
        place = bisect.bisect_left(named, number)
        # Without an earlier line it may be either: it is left where it is known to be.
        return place == 0 or self._steps[named[place - 1]][1] == "starting unpatching"

    def was_replaced(self, name, number):
        """Whether a livepatch was replaced by the one that came in with this line; None when that is not known.

        One that goes out later, or is enabled now, was not. One that has gone without a line was replaced by what has come
        in since its last one: nobody knows by which, where that is more than one.
        """
        named = self._named.get(name, [])
        place = bisect.bisect_right(named, number)
        if place < len(named):
            end = named[place]
            if self._steps[end][1] not in _BEGIN:
                return False
        elif self._enabled is None:
            return None
        elif name in self._enabled:
            return False
        else:
            end = len(self._steps)
        begin = named[place - 1] if place else -1
        return True if _between(self._came, begin, end) == 1 else None


def _between(numbers, begin, end):
    return bisect.bisect_left(numbers, end) - bisect.bisect_right(numbers, begin)


def _pending(steps):
    what, name = steps[-1][1:] if steps else (None, None)
    if what in _BEGIN:
        return name, "patching"
    return (name, "unpatching") if what == "starting unpatching" else None
