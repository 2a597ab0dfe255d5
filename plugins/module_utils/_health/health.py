# What has happened to this host since a moment, by its own clock: reboots, crashes, alarms, core dumps, counters.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# A further source of evidence adds its events to `events` and says in `sources` whether it could be read.

import time

from ansible_collections.kernel.livepatch.plugins.module_utils._files import bounded, reading, times
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._health import (
    boot_log,
    crash_events,
    dmesg,
    dumps,
    kernel_alarms,
    livepatch_log,
    untold,
)
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log, sysfs

MAX_EVENTS = 50
MAX_SIGNATURES = 50

KMSG, JOURNAL, KDUMP, PSTORE, COREDUMP = "kmsg", "journal", "kdump", "pstore", "coredump"

# Without a moment to begin at, a dump belongs to the last reboot when it is not older than this.
_BEFORE_BOOT_SECONDS = 3600
# Times are whole seconds, and the kernel's clock and that of the host are not read at once.
_SAME_SECONDS = 1
# A look takes no longer than this.
_LOOK_SECONDS = 30


def look(
    since,
    root="/",
    read_log=kernel_log.read,
    now=time.time,
    kdump_directories=(),
    coredump_directories=(),
    journal=None,
):
    """Return the module's result (dict) for what happened after `since`; LivepatchError for a wrong option.

    since: {"boot_id": str, "sequence": int, "time": str, "counters": dict, "taint": int}, as this function and the module
    livepatch return it; each may be None or missing. read_log: function from a sequence to a kernel_log.Reading. now:
    function to seconds since 1970. journal: function from a boot to a boot_log.Journal, None for a host without one; it starts a process.
    """
    return _Look(since, root, read_log, now(), journal or _no_journal).at(kdump_directories, coredump_directories)


class _Look(object):
    """One look at a host: the sources one after the other, then the result."""

    def __init__(self, since, root, read_log, now, journal):
        self.root = root
        self.window = Window(since, root, now)
        self.host = sysfs.read_host(root)
        self.journal = journal
        self.before, self.marks = untold.at_begin(since, self.window.rebooted), untold.read(root)
        begin = 0 if self.window.rebooted else since.get("sequence") or 0
        since_boot = None if self.window.begin is None else self.window.begin - self.window.booted
        reading, set_back = read_log(begin), None
        if reading.status == kernel_log.READ and (reading.next_sequence or 0) < begin:
            set_back = (
                "the kernel's log ends before record %d, where since.sequence is: this machine was set back, as to a "
                "snapshot. Its whole log is told." % begin
            )
            begin, reading = 0, read_log(0)
        self.log = boot_log.BootLog(reading, begin, since_boot, journal)
        self.history = self.log.history(self.host.kernel_release, self.host.enabled)
        self.former = None
        self.sources = {}
        self.reasons = self.log.reasons + ([set_back] if set_back else [])

    def at(self, kdump_directories, coredump_directories):
        """Return the result (dict)."""
        crashes = self._crashes(kdump_directories)
        known, counted = self.log.known(), self.log.signatures(self.window.uptime)
        unsaid = self._untold(crashes)
        events = [self._crash(crash) for crash in crashes if not self._is_told(crash)] + self._alarms()
        events = [
            dict(event, new=event["signature"] not in known) for event in events + self._dumped(coredump_directories)
        ]
        events += [self._unsaid(one) for one in unsaid]
        kept = _chosen(events)
        if self.log.begin is not None:
            known.update(untold.known(self.before, self.log.begin))
            seconds = max(0.0, self.window.uptime - self.log.begin)
            counted.update((one.signature, (one.count, seconds)) for one in unsaid)
        return {
            "boot_id": self.window.boot_id,
            "time": times.to_text(self.window.now),
            "uptime_seconds": int(self.window.uptime),
            "window_seconds": self.window.seconds,
            "up_seconds": self.window.up_seconds(self._ended(crashes)),
            "rebooted": self.window.rebooted,
            "effective_release": self.host.effective_release,
            "enabled": self.host.topmost,
            "sequence": self.log.reading.next_sequence,
            "events": kept,
            "events_left_out": len(events) - len(kept),
            "signatures": _counts(counted),
            "known_signatures": _counts(known),
            "taint": self.marks.taint,
            "counters": self.marks.counters,
            "unseen": untold.unseen(self.before, self.marks, self.log.status),
            "sources": dict(self.sources, kmsg=self.log.reading.status, journal=self._journal_status()),
            "reasons": self.reasons + self.window.reasons,
        }

    def _crashes(self, directories):
        since = self.window.dumps_from()
        kdump, pstore = bounded.Source(KDUMP), bounded.Source(PSTORE)
        evidence = dumps.find_kdump(kdump, directories, since, self.root)
        evidence += dumps.find_pstore(pstore, since, self.window.booted, self.root)
        evidence = [one for one in evidence if self.window.holds(one.time)]
        self._note(kdump)
        self._note(pstore)
        return crash_events.tell(evidence, self._ends(since) if self.window.rebooted else ())

    def _ends(self, since):
        """What tells of the end of the boot before this one, and that there was one."""
        text = "booted %d seconds ago: boot id %s, expected %s" % (
            self.window.uptime,
            self.window.boot_id,
            self.window.expected_boot_id,
        )
        ends = [crash_events.Evidence(crash_events.BOOT, self.window.booted, [], None, True, text)]
        self.former = self.journal(boot_log.PREVIOUS_BOOT)
        if self.former.reason:
            self.reasons.append(self.former.reason)
        if self.former.records:
            ends.append(self._former_end(since))
        return ends

    def _former_end(self, since):
        """The Evidence in the journal of the boot before this one; older alarms did not end it."""
        former = self.former
        alarms = [alarm for alarm in kernel_alarms.alarms(former.records) if former.booted + alarm.seconds >= since]
        alarm = crash_events.cause(alarms)
        moment = former.booted + alarm.seconds if alarm else former.end
        return crash_events.Evidence(crash_events.JOURNAL, moment, alarms, self._former_history().at_end(), True, "")

    def _former_history(self):
        records = self.former.records
        whole = self.former.status == bounded.READ and dmesg.is_whole(records)
        return livepatch_log.History(records, whole, dmesg.kernel_release(records))

    def _ended(self, crashes):
        """When the boot ended in which the window began, None when nobody knows."""
        # The journal may tell of an alarm that the host survived for a while: its last message is nearer to the end.
        unknown = (crash_events.BOOT, crash_events.JOURNAL)
        known = [crash.time for crash in crashes if crash.kind == "crash" and crash.source not in unknown]
        if known:
            return known[0]
        return self.former.end if self.former is not None else None

    def _journal_status(self):
        return bounded.worst([self.log.journal_status] + ([self.former.status] if self.former else []))

    def _note(self, source):
        self.sources[source.name] = source.status
        self.reasons += source.reasons

    def _is_told(self, crash):
        """Whether the kernel's log of this boot tells of it too: pstore keeps an oops that the host survived."""
        return crash.kind != "crash" and crash.signature in [alarm.signature for alarm in self.log.alarms]

    def _crash(self, crash):
        return self._event(
            crash.kind, crash.time, None, crash.signature, crash.text, crash.source, crash.effective_release
        )

    def _alarms(self):
        events = []
        for alarm in self.log.new_alarms():
            source = JOURNAL if alarm.sequence is None else KMSG
            release = self.history.at(alarm.seconds)
            moment = self.window.moment(alarm.seconds, is_within=bool(self.log.begin_sequence))
            events.append(self._event(alarm.kind, moment, alarm.sequence, alarm.signature, alarm.text, source, release))
        return events

    def _untold(self, crashes):
        """Return what the kernel has counted and nothing here tells of (list of untold.Untold).

        What pstore keeps of an oops that the host survived tells of it, too.
        """
        kinds = self.log.told() + [crash.kind for crash in crashes if not self._is_told(crash)]
        return untold.find(self.before, self.marks, kinds, self.log.reading.status)

    def _unsaid(self, one):
        release = self.history.at_end()
        if self.log.begin is None or self.history.at(self.log.begin) != release:
            release = None  # When it was is not known.
        # Nobody knows whether it is what was counted before.
        event = self._event(untold.KIND, self.window.now, None, one.signature, one.text, one.source, release)
        return dict(event, new=True)

    def _dumped(self, directories):
        """The events of the core dumps of programs."""
        source = bounded.Source(COREDUMP)
        since = self.window.core_dumps_from()
        found = dumps.find_core_dumps(source, directories, since, self.root) if since is not None else []
        self._note(source)
        return [
            self._event(
                COREDUMP,
                dump.time,
                None,
                "%s:%s" % (COREDUMP, dump.comm),
                ("core dump of %s: %s" % (dump.comm, dump.path))[: kernel_alarms.TEXT_CHARACTERS],
                COREDUMP,
                self._release_at(dump.time),
            )
            for dump in found
            if self.window.holds(dump.time)
        ]

    def _release_at(self, moment):
        if moment >= self.window.booted:
            return self.history.at(moment - self.window.booted)
        if self.former is not None and self.former.records and moment <= self.former.end:
            return self._former_history().at(moment - self.former.booted)
        return None

    def _event(self, kind, moment, sequence, signature, text, source, effective_release):
        return {
            "kind": kind,
            "time": times.to_text(moment),
            "age_seconds": self.window.age(moment, signature),
            "sequence": sequence,
            "signature": signature,
            "text": text,
            "source": source,
            "effective_release": effective_release,
        }


def _chosen(events):
    """Return at most MAX_EVENTS of them, in the order of time.

    First what needs no words, then the first event of each signature, those that are new before the others, then the oldest.
    Core dumps never crowd out what the kernel says.
    """
    events, ranks, met = sorted(events, key=lambda event: event["time"]), [], set()
    for number, event in enumerate(events):
        wordless = event["kind"] in ("crash", untold.KIND)
        again = event["signature"] in met
        met.add(event["signature"])
        ranks.append((event["kind"] == COREDUMP, not wordless, again, not event["new"], number))
    return [events[number] for number in sorted(rank[-1] for rank in sorted(ranks)[:MAX_EVENTS])]


def _counts(found):
    """Return {signature: {count, seconds}} of the MAX_SIGNATURES that came most often."""
    kept = sorted(found, key=lambda signature: (-found[signature][0], signature))[:MAX_SIGNATURES]
    return {
        signature: {"count": found[signature][0], "seconds": int(found[signature][1])} for signature in sorted(kept)
    }


def _no_journal(unused_boot):
    return boot_log.Journal([], None, None, bounded.ABSENT, None)


class Window(object):
    """From `since` (dict with boot_id, sequence and time, all may be None or missing) to now.

    now: seconds since 1970 (float).
    """

    def __init__(self, since, root, now):
        self.now = now
        self.boot_id = reading.boot_id(root)
        self.uptime = reading.uptime(root) or 0.0
        self.booted = now - self.uptime
        self.expected_boot_id = since.get("boot_id")
        self.rebooted = None not in (self.expected_boot_id, self.boot_id) and self.expected_boot_id != self.boot_id
        self.begin = _seconds_of(since.get("time"))
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

    def moment(self, seconds, is_within):
        """When (seconds since 1970) something was logged, so many seconds after this boot by the clock of the log.

        That is not corrected, and parts from the host's by seconds in a month. is_within: it is known to lie in the window.
        """
        found = self.booted + seconds
        if not is_within or self.rebooted or self.begin is None or self.clock_set_back:
            return found
        return max(found, self.begin)

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


def _seconds_of(text):
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
