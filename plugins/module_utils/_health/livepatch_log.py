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

_ENABLING = re.compile(r"livepatch: enabling patch '([^']{1,64})'")
_OTHER = re.compile(
    r"livepatch: '([^']{1,64})': (starting patching|patching complete|starting unpatching|unpatching complete)"
)

# What ran is not known.
_UNKNOWN = object()


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
        if topmost is _UNKNOWN or not self._kernel_release:
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
        return None if self._stack and self._stack[0] is _UNKNOWN else self._stack

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
    if not record.kernel or not record.text.startswith("livepatch: "):
        return None
    found = _ENABLING.match(record.text)
    if found:
        return record.seconds, "enabling", found.group(1)
    found = _OTHER.match(record.text)
    return (record.seconds, found.group(2), found.group(1)) if found else None


def _before(steps, whole, enabled):
    """What was in effect before the first of these lines: a name, None for no livepatch, or _UNKNOWN."""
    if not steps and enabled is not None:
        return enabled[-1] if enabled else None
    if whole:
        return None
    if not steps:
        return _UNKNOWN
    unused, what, name = steps[0]
    return _UNKNOWN if what in ("enabling", "starting patching") else name


def _replay(steps, whole, enabled):
    """Return (list of (seconds, topmost livepatch from then on or None), the stack at the end, oldest first)."""
    told = _Told(steps, enabled)
    changes, stack, assumed = [], collections.OrderedDict(), False
    if not whole:
        stack[_UNKNOWN] = None
        # What is enabled and never named was so all the time.
        stack.update((name, None) for name in enabled or [] if name not in set(step[2] for step in steps))
        if steps and steps[0][1] not in ("enabling", "starting patching"):
            stack[steps[0][2]] = None
    for number, (seconds, what, name) in enumerate(steps):
        stack.pop(name, None)
        if what == "patching complete":
            gone = [(other, told.was_replaced(other, number)) for other in stack]
            for other in [other for other, replaced in gone if replaced is not False]:
                del stack[other]
            assumed = assumed or None in [replaced for unused, replaced in gone]
        if what != "unpatching complete":
            stack[name] = None
        elif not stack and assumed:
            stack[_UNKNOWN] = None
        changes.append((seconds, next(reversed(stack), None)))
    if enabled is not None and steps and _pending(steps) is None and (not whole or changes[-1][1] is _UNKNOWN):
        changes[-1] = (steps[-1][0], enabled[-1] if enabled else None)
    return changes, list(stack)


class _Told(object):
    """What the lines (steps) tell of a livepatch that others came over: the log does not say what was replaced."""

    def __init__(self, steps, enabled):
        self._steps, self._enabled = steps, enabled
        self._named, self._complete = {}, []
        for number, (unused, what, name) in enumerate(steps):
            self._named.setdefault(name, []).append(number)
            if what == "patching complete":
                self._complete.append(number)

    def was_replaced(self, name, number):
        """Whether a livepatch was replaced by the one that was complete with this line; None when that is not known.

        One that goes out later, or is enabled now, was not. One that has gone without a line was replaced by what was
        complete since its last one: nobody knows by which, where that is more than one.
        """
        named = self._named.get(name, [])
        place = bisect.bisect_right(named, number)
        if place < len(named):
            end = named[place]
            if self._steps[end][1] not in ("enabling", "starting patching"):
                return False
        elif self._enabled is None:
            return None
        elif name in self._enabled:
            return False
        else:
            end = len(self._steps)
        begin = named[place - 1] if place else -1
        came = bisect.bisect_left(self._complete, end) - bisect.bisect_right(self._complete, begin)
        return True if came == 1 else None


def _pending(steps):
    what, name = steps[-1][1:] if steps else (None, None)
    if what in ("enabling", "starting patching"):
        return name, "patching"
    return (name, "unpatching") if what == "starting unpatching" else None
