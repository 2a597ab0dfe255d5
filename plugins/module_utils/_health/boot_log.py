# The kernel's log of this boot: which alarms are new, which were there before, what was lost, what the journal kept.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# The journal (journalctl(1), systemd.journal-fields(7)) is the one source that needs a process, so it is only asked
# where the kernel's own log cannot tell: after a reboot, and where the log has turned over.

import collections
import json
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files import bounded
from ansible_collections.kernel.livepatch.plugins.module_utils._health import dmesg, kernel_alarms, livepatch_log
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.kernel_log import Record

# Alarms of one signature within so many seconds of the first of them are one occurrence: what comes in bursts is as frequent
# as its bursts.
BURST_SECONDS = 10
# The kernel's clock for its log is not corrected, and parts from that of the host.
_CLOCK_SECONDS = 600

THIS_BOOT, PREVIOUS_BOOT = 0, -1

# Bounds of one question: lines (the last ones), seconds.
MAX_LINES = 5000
MAX_SECONDS = 20
_TIMED_OUT = 124  # timeout(1)

# How journalctl says, from 219 to 260, that this boot is not in the journal.
_NOT_KEPT = re.compile(
    r"no such boot|no persistent journal|no journal boot entry|no journal files were found|failed to look up boot", re.I
)

Journal = collections.namedtuple("Journal", "records booted end status reason")
Journal.__doc__ = """records: list of Record, sequence is the number of the line. booted, end: when that boot began, and
its last message (seconds since 1970, None without any). status: of bounded. reason: in words, None when all was
read (str)."""


class BootLog(object):
    """The log from the beginning of a window on, and what is left of it from before.

    reading: kernel_log.Reading from record `begin` on. since_boot: seconds from this boot to the beginning of the
    window, None when that is not known. journal: function from a boot to a Journal; asked only when the
    kernel has lost records.
    """

    def __init__(self, reading, begin, since_boot, journal):
        self.reading = reading
        self.reasons = [reading.reason] if reading.reason else []
        self.journal_status = bounded.ABSENT
        self.begin_sequence = begin
        self._records = list(reading.earlier) + list(reading.records)
        self._whole = bool(self._records) and self._records[0].sequence == 0
        self._gap_begin, self._is_filled = None, False
        # Seconds from the boot to the beginning of the window, None where nobody knows.
        self.begin = self._beginning(None) if since_boot is None else max(0.0, since_boot)
        incomplete = reading.status in (kernel_log.LOST, kernel_log.TRUNCATED)
        self._gap_end = reading.records[0].seconds if incomplete and reading.records else 0.0
        if reading.status == kernel_log.LOST:
            self._fill(journal(THIS_BOOT), since_boot)
        self.alarms = kernel_alarms.alarms(self._records)

    def new_alarms(self):
        """Return the alarms (list of Alarm) in the window. One from the journal has no sequence."""
        return [alarm for alarm in self.alarms if not self._is_earlier(alarm)]

    @property
    def status(self):
        """How much there is of the log of the window, with what the journal has of it: as of a kernel_log.Reading."""
        return kernel_log.READ if self._is_filled else self.reading.status

    def told(self):
        """Return the kinds (list of str) of the alarms that tell of what was counted in the window.

        The kernel counts an alarm after its first line: one that was being written when the window began may be among them.
        """
        return [alarm.kind for alarm in self.alarms if not self._is_earlier(alarm) or self._was_being_written(alarm)]

    def known(self):
        """Return {signature: (occurrences, seconds)} of the alarms before the window, in the time of which the log tells."""
        first = 0.0 if self._whole or not self._records else self._records[0].seconds
        seconds = 0.0 if self.begin is None else max(0.0, self.begin - first)
        found = occurrences(alarm for alarm in self.alarms if self._is_earlier(alarm))
        return {signature: (count, seconds) for signature, count in found.items()}

    def signatures(self, now):
        """Return {signature: (occurrences, seconds)} of the alarms in the window, in the time of which the log tells.

        now: seconds since boot.
        """
        begin = 0.0 if self.begin_sequence == 0 or self.begin is None else self.begin
        seconds = max(0.0, now - max(begin, self._gap_end))
        return {signature: (count, seconds) for signature, count in occurrences(self.new_alarms()).items()}

    def history(self, kernel_release, enabled):
        """Return the livepatch_log.History of this boot. enabled: names of the livepatches that are enabled now."""
        return livepatch_log.History(self._records, self._whole, kernel_release, enabled)

    def _is_earlier(self, alarm):
        if alarm.sequence is not None:
            return alarm.sequence < self.begin_sequence
        return alarm.seconds < self._gap_begin

    def _was_being_written(self, alarm):
        """Was it in the last lines before the window?"""
        last = self.reading.earlier[-1].seconds if self.reading.earlier else None
        if last is None or alarm.sequence is None or last - alarm.seconds > kernel_alarms.ALARM_SECONDS:
            return False
        return self.begin - alarm.seconds <= _CLOCK_SECONDS

    def _fill(self, journal, since_boot):
        """Put what the kernel has lost into its place, as far as the journal has kept it."""
        self.journal_status = journal.status
        if journal.reason:
            self.reasons.append(journal.reason)
        if not journal.records:
            return
        self._gap_begin = self._beginning(since_boot)
        if self._gap_begin is None:
            self.reasons.append(
                "since.time is not known: the journal has older messages, but not which of them are older than "
                "since.sequence. Hand on since.time with the rest."
            )
            return
        kept = set(record.seconds for record in self._records)
        lost = [record._replace(sequence=None) for record in journal.records if record.seconds not in kept]
        # A message that came after the log was read belongs to the next window.
        end = self._records[-1].seconds if self._records else float("inf")
        merged = [record for record in lost if record.seconds <= end] + self._records
        self._records = sorted(merged, key=lambda record: record.seconds)
        self._whole = self._whole or (journal.status == bounded.READ and dmesg.is_whole(journal.records))
        # From before what was lost to what the kernel still has: a journal that was not read to its end may stop between.
        if journal.records[0].seconds <= self._gap_begin and journal.records[-1].seconds >= self._gap_end:
            self._gap_end, self._is_filled = 0.0, True

    def _beginning(self, since_boot):
        """Seconds since boot from which on a lost record belongs to the window, None when that is not known."""
        if self.begin_sequence == 0:
            return 0.0
        if self.reading.earlier:
            return self.reading.earlier[-1].seconds
        return since_boot


def occurrences(alarms):
    """Return {signature: how often it came (int)} of alarms, oldest first; a burst is one occurrence."""
    found, begun = {}, {}
    for alarm in alarms:
        if alarm.signature not in begun or alarm.seconds - begun[alarm.signature] > BURST_SECONDS:
            begun[alarm.signature] = alarm.seconds
            found[alarm.signature] = found.get(alarm.signature, 0) + 1
    return found


def read_journal(run_command, find, boot):
    """Return the Journal of the kernel's messages of a boot, at most the last MAX_LINES.

    run_command: AnsibleModule.run_command. find: function from a program's name to its path, or None. boot: one of the
    numbers above.
    """
    program, limit = find("journalctl"), find("timeout")
    if not program or not limit:
        return Journal([], None, None, bounded.ABSENT, None)
    command = [limit, "%d" % MAX_SECONDS, program, "--quiet", "--no-pager", "-k", "--boot=%d" % boot]
    code, output, errors = run_command(
        command + ["-n", "%d" % MAX_LINES, "-o", "json"],
        environ_update={"LC_ALL": "C", "LANG": "C", "LANGUAGE": "C", "SYSTEMD_COLORS": "0"},
        encoding=None,
    )
    return _journal(code, _journal_text(output), _journal_text(errors))


def _journal(code, output, errors):
    # JSON has no line feed in a line, but may well have the other characters at which splitlines() would split.
    lines = [line for line in output.split("\n") if line]
    entries = [entry for entry in (_entry(number, line) for number, line in enumerate(lines)) if entry]
    status, reason = _judge(code, len(lines), errors)
    if not entries:
        return Journal([], None, None, bounded.ABSENT if status == bounded.READ else status, reason)
    return Journal([record for record, unused in entries], _booted(entries), entries[-1][1], status, reason)


def _judge(code, count, errors):
    """Return (status, reason) of an answer."""
    if code == _TIMED_OUT:
        return (
            bounded.TRUNCATED,
            "journal: expected journalctl to answer within %d seconds, it did not. Look at the disk of this host."
            % MAX_SECONDS,
        )
    if code != 0 and _NOT_KEPT.search(errors):
        return bounded.ABSENT, None
    if code != 0:
        found = " ".join(errors.split())[:200] or "exit status %d" % code
        return bounded.UNREADABLE, "journal: expected journalctl to show it, found: %s. Use become." % found
    if "insufficient permissions" in errors:
        return bounded.UNREADABLE, "journal: expected to read it, found: insufficient permissions. Use become."
    if count >= MAX_LINES:
        return bounded.TRUNCATED, "journal: read only the last %d messages of the kernel" % MAX_LINES
    return bounded.READ, None


def _entry(number, line):
    """Return (Record, seconds since 1970) of one line of JSON, None where it is no message."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    received = _microseconds(fields.get("__REALTIME_TIMESTAMP"))
    logged = _microseconds(fields.get("_SOURCE_MONOTONIC_TIMESTAMP"))
    if logged is None:
        logged = _microseconds(fields.get("__MONOTONIC_TIMESTAMP"))
    text = _message(fields.get("MESSAGE"))
    if received is None or logged is None or text is None:
        return None
    # What a program wrote into /dev/kmsg comes here too, with a facility of its own.
    kernel = fields.get("SYSLOG_FACILITY") in (None, "0")
    priority = fields.get("PRIORITY")
    level = int(priority) if isinstance(priority, str) and re.match(r"[0-7]\Z", priority) else 4
    return Record(number, logged, level, kernel, text), received


def _booted(entries):
    """When this boot began. A message is received at once or late, never early: the smallest difference is right."""
    return min(received - record.seconds for record, received in entries)


def _message(value):
    """A field's text. journalctl gives the bytes of what is no UTF-8 as numbers, and null for what is too long."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
        return bytes(value).decode("utf-8", "replace")
    return None


def _microseconds(value):
    """The number of seconds (float) in a field with microseconds, None where there is none."""
    if not isinstance(value, str) or not re.match(r"[0-9]{1,17}\Z", value):
        return None
    return int(value) / 1e6


def _journal_text(output):
    return output.decode("utf-8", "replace") if isinstance(output, bytes) else output
