# The time between two looks at a host, by the host's own clock: how long it was, and how much of it the host was up.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading, times
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError

# Without a moment to begin at, a dump belongs to the last reboot when it is not older than this.
_BEFORE_BOOT_SECONDS = 3600
# Times are whole seconds, and the kernel's clock and that of the host are not read at once.
_SAME_SECONDS = 1
# proc_uptime(5)
_UPTIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?(?=\s|\Z)")
# A look takes no longer than this.
_LOOK_SECONDS = 30


class Window(object):
    """From `since` (dict with boot_id, sequence and time, all may be None or missing) to now.

    now: seconds since 1970 (float).
    """

    def __init__(self, since, root, now):
        self.now = now
        self.boot_id = reading.boot_id(root)
        self.uptime = _uptime(root)
        self.booted = now - self.uptime
        self.expected_boot_id = since.get("boot_id")
        self.rebooted = None not in (self.expected_boot_id, self.boot_id) and self.expected_boot_id != self.boot_id
        self.begin = _moment(since.get("time"))
        self.begins_with_boot = not any(since.get(key) for key in ("boot_id", "sequence", "time"))
        self._reasons = []
        self._future = []
        self.clock_set_back = self.begin is not None and self.begin > int(now)
        if self.clock_set_back:
            self._reasons.append(
                "the clock of this host was set back: since.time is %s, now it is %s. The window counts as 0 seconds."
                % (since["time"], times.to_text(now))
            )

    @property
    def reasons(self):
        """What was wrong with the clock, and what could therefore not be said, for people (list of str)."""
        if not self._future:
            return list(self._reasons)
        sentence = "events in the future by the clock of this host: %d, the first is %s. Their age is taken to be 0."
        return self._reasons + [sentence % (len(self._future), self._future[0])]

    @property
    def seconds(self):
        """How long it was (int), None when since.time is not known."""
        return None if self.begin is None else max(0, int(self.now) - self.begin)

    def up_seconds(self, ended):
        """How much of it the host was up as far as known (int), None when since.time is not known.

        ended: when the boot in which it began ended (seconds since 1970), None when that is not known.
        """
        if self.begin is None or not self.rebooted:
            return self.seconds
        before = max(0, int(min(ended, self.booted)) - self.begin) if ended is not None else 0
        return min(self.seconds, before + int(self.uptime))

    def dumps_from(self):
        """From when on a kernel's dump belongs to this window (seconds since 1970)."""
        if self.begin is not None and not self.clock_set_back:
            return self.begin
        if not self.rebooted:
            return self.booted
        self._reasons.append(
            "when the window began is not known: dumps count from an hour before this boot on. Hand on since.time."
        )
        return self.booted - _BEFORE_BOOT_SECONDS

    def core_dumps_from(self):
        """From when on a program's core dump belongs to this window, None when that is not known."""
        if self.begin is not None:
            return min(self.begin, int(self.now))
        if self.begins_with_boot:
            return self.booted
        self._reasons.append(
            "when the window began is not known: core dumps were not looked for. Hand on since.time with the rest."
        )
        return None

    def holds(self, moment):
        """Whether a file of this time (seconds since 1970) is not one for the next look.

        Moments are handed on as whole seconds: the second of this look is the first one of the next. What lies further
        in the future is there because of a wrong clock, and is not kept back.
        """
        return not int(self.now) <= moment <= self.now + _LOOK_SECONDS

    def age(self, moment, what):
        """How long ago a moment (seconds since 1970) was (int); one that is still to come gives 0, and is noted."""
        if moment > self.now + _SAME_SECONDS:
            self._future.append("%s by %d seconds" % (what, moment - self.now))
        return max(0, int(self.now - moment))


def _moment(text):
    """Return since.time as seconds, None for none; raise bad_option for what is no moment."""
    if not text:
        return None
    try:
        return times.to_seconds(text)
    except ValueError:
        raise LivepatchError(
            "bad_option",
            "since.time: expected a moment in UTC such as 2026-05-04T08:15:00Z, found %r. "
            "Hand on what livepatch or livepatch_health returned." % (text,),
        )


def _uptime(root):
    """Seconds since boot (float), 0.0 where /proc/uptime cannot be read."""
    found = _UPTIME.match(reading.read_text(os.path.join(root, "proc/uptime")) or "")
    return float(found.group()) if found else 0.0
