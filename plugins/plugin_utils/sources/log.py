# Evidence from logs that reach the controller (netconsole, syslog): the kernel's alarms in them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import datetime
import os
import re
import stat
import time
from dataclasses import replace

from ansible_collections.kernel.livepatch.plugins.module_utils._health import kernel_alarms
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.kernel_log import Record
from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import common, events
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources.common import Missing

RULES = ("none", "max", common.RATIO)
REQUIRED = ("directory",)
OPTIONAL = ("pattern",)

# Bounds of one reading. Of a longer file the end is read.
MAX_ENTRIES = 50000
MAX_FILES = 20000
MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_TOTAL_BYTES = 64 * 1024 * 1024
MAX_LINE = 4096
NAMED = 3

# What loggers add to a host's name, as often as they like; anything else makes it the name of another host.
SUFFIX = re.compile(
    r"(?:[._-](?:log|txt|msg|kern|kernel|console|netconsole|messages|syslog|\d{6,14}|\d{4}-\d\d-\d\d)|\.\d{1,5})\Z",
    re.ASCII | re.IGNORECASE,
)
PACKED = re.compile(r"(.*)\.(gz|bz2|xz|zst)")
SYSLOG = re.compile(r"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?", re.ASCII)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAY = 86400
PRIORITY = re.compile(r"<(\d{1,3})>(?:1 )?", re.ASCII)
EXTENDED = re.compile(r"(?:[^\s,;]{1,64},)?(\d{1,4}),(\d{1,20}),(\d{1,20}),[-+c](?:,[^;\s]{0,200})?;", re.ASCII)
PRINTK = re.compile(r"\[ *(\d{1,12}\.\d{1,9})\](?:\[ *[TC]\d{1,10}\])? ?", re.ASCII)
KERNEL_TAG = re.compile(r"(?:\S{1,255} )?kernel(?:\[\d+\])?(?:: ?| - - - | - - )", re.ASCII)
OTHER_TAG = re.compile(r"(\S{1,255}) [\w./@-]{1,64}(\[\d+\])?: ", re.ASCII)
# A boot starts the kernel's clock anew; lines of several processors may be a little out of order.
OUT_OF_ORDER = 5.0


def check(source, spec, what):
    """Return the Source with what a log needs, or raise RolloutError."""
    pattern = common.text(spec, "pattern", what, 1000)
    if pattern is not None:
        try:
            groups = re.compile(pattern).groupindex
        except (re.error, RecursionError, OverflowError) as error:
            raise RolloutError(f"{what}: pattern is {pattern!r}: expected a regular expression ({error}).") from None
        if "host" not in groups:
            raise RolloutError(f"{what}: pattern is {pattern!r}: expected a group that names the host, (?P<host>...).")
    return replace(source, options={"directory": common.path(spec, "directory", what), "pattern": pattern})


def read(source, sides, since, now, fetch, clock=time.monotonic):
    """Return the alarms in the logs since the rollout began (common.Found), or raise Missing."""
    reading = _Reading(source, sides, since, now, clock() + source.timeout, clock)
    files = _listed(source, now, reading)
    for path, host, status in files:
        reading.take(path, host, status)
    return reading.found(len(files))


def _listed(source, now, reading):
    """Return (path, host or None, status) of each file that is to be read, the latest first."""
    directory = source.options["directory"]
    try:
        names = _names(directory, reading)
    except OSError as error:
        raise Missing(f"the log directory {directory} cannot be read: {error.strerror}") from None
    newest = max((status.st_mtime for unused, unused, status in names), default=None)
    if source.stale_given and (newest is None or now - newest > source.stale_after):
        age = "it is empty" if newest is None else f"the last change was {now - newest:.0f} s ago"
        raise Missing(f"no file in {directory} changed for {source.stale_after} s: {age}")
    known = [(path, reading.file_host(name), status) for path, name, status in names]
    if not source.options["pattern"]:
        if names and not any(host for unused, host, unused in known):
            raise Missing(
                f"none of the {len(names)} files in {directory} is named after a host of this rollout: "
                "expected inventory names or addresses, like web1.log"
            )
        known = [entry for entry in known if reading.sides.counts(entry[1])]
    changed = [entry for entry in known if entry[2].st_mtime >= int(reading.since)]
    return sorted(changed, key=lambda entry: -entry[2].st_mtime)


def _names(directory, reading):
    """Return (path, name, status) of the files of a directory, or of the one file that it is."""
    status = os.stat(directory)
    if not stat.S_ISDIR(status.st_mode):
        if not reading.source.options["pattern"]:
            raise Missing(f"{directory} is no directory: expected one with a file for each host, or a pattern")
        return [(directory, os.path.basename(directory), status)] if stat.S_ISREG(status.st_mode) else []
    found = []
    with os.scandir(directory) as entries:
        for number, entry in enumerate(entries):
            if number >= MAX_ENTRIES:
                reading.gap(f"{directory} has more than {MAX_ENTRIES} entries")
                break
            try:
                if entry.is_file(follow_symlinks=False):
                    found.append((entry.path, entry.name, entry.stat(follow_symlinks=False)))
            except OSError:
                continue  # It has been rotated away meanwhile.
    return found


class _Reading:
    """One reading of all files: bounds, what was found, and what was not read."""

    def __init__(self, source, sides, since, now, end, clock):
        self.source, self.sides, self.since, self.now, self.end, self.clock = source, sides, since, now, end, clock
        self.pattern = re.compile(source.options["pattern"]) if source.options["pattern"] else None
        self.strangers, self.known = {}, False
        self.events, self.gaps, self.lost, self.bytes, self.files = [], [], 0, 0, 0

    def gap(self, text, lost=1):
        self.gaps.append(text)
        self.lost += lost

    def file_host(self, name):
        """Return the host of the rollout whose file it is (str), the longest name that fits; None for one of somebody else."""
        packed = PACKED.fullmatch(name)
        stem = packed.group(1) if packed else name
        while not self.sides.named(stem):
            ending = SUFFIX.search(stem)
            if not ending:
                # One dot may be that of a file's kind (web1.bak), and no domain.
                return self.sides.find(stem) if stem.count(".") != 1 else None
            stem = stem[: ending.start()]
        return self.sides.named(stem)

    def take(self, path, host, status):
        """Read one file, within all bounds."""
        name = os.path.basename(path)
        if PACKED.fullmatch(name):
            return self.gap(f"{name} was packed since the rollout began and cannot be read")
        if self.files >= MAX_FILES or self.bytes >= MAX_TOTAL_BYTES or self.clock() > self.end:
            return self.gap(f"{name} was left out, as too much was written")
        self.files += 1
        try:
            data, whole = events.tail(path, min(MAX_FILE_BYTES, MAX_TOTAL_BYTES - self.bytes))
        except OSError as error:
            return self.gap(f"{name} cannot be read: {error.strerror}")
        self.bytes += len(data)
        lines = [line[:MAX_LINE] for line in data.decode("utf-8", "replace").split("\n") if line]
        covered = whole
        for owner, some in self._by_host(lines, host):
            records, begin = self._records(some, owner, status.st_mtime)
            covered = covered or (begin is not None and begin < self.since)
            self._alarms(records, owner)
        if not covered:
            self.gap(f"{name} is too long: its beginning was not read")
        return None

    def _by_host(self, lines, host):
        """Return (host, its lines) for one file; lines of hosts that are not of this rollout are left out."""
        if self.pattern is None:
            return [(host, lines)]
        found = {}
        for number, line in enumerate(lines):
            if number % 1000 == 0 and self.clock() > self.end:
                self.gap(f"{len(lines) - number} lines were not read in time", len(lines) - number)
                break
            match = self.pattern.search(line)
            named = match.group("host") if match else None
            owner = self.sides.find(named) if named else None
            self.known = self.known or owner is not None
            if self.sides.counts(owner):
                found.setdefault(owner, []).append(line)
            elif named and not owner:
                self.strangers[named] = True
        return list(found.items())

    def _records(self, lines, host, changed):
        """Return ([(Record, time)], time of the first line that has its own) of one host's lines."""
        alias = {host.lower(), host.lower().partition(".")[0], self.sides.addresses.get(host, host).lower()}
        read = [_line(line, alias, self.now) for line in lines]
        times = _times(read, changed)
        begin = next((line.wall for line in read if line.wall is not None), times[0] if times else None)
        records, seconds = [], 0.0
        for number, (line, moment) in enumerate(zip(read, times)):
            seconds = line.uptime if line.uptime is not None else line.wall if line.wall is not None else seconds
            records.append((Record(number, seconds, line.level, line.kernel, line.text), moment))
        return records, begin

    def _alarms(self, records, host):
        waiting = {}
        for record, moment in records:
            if record.kernel:
                waiting.setdefault(record.seconds, []).append((record.text, moment))
        for alarm in kernel_alarms.alarms([record for record, unused in records]):
            moment = _moment(waiting.get(alarm.seconds, []), alarm.text)
            if moment is not None and moment >= int(self.since) and self.sides.counts(host, moment):
                self.events.append(
                    {
                        "host": host,
                        "kind": alarm.kind,
                        "time": min(moment, self.now),
                        "signature": values.words(alarm.signature, common.MAX_WORD),
                        "text": values.words(alarm.text, common.MAX_WORD),
                    }
                )

    def found(self, files):
        if self.strangers and not self.known:
            raise Missing(
                f"no line in {self.source.options['directory']} names a host of this rollout, but "
                f"{common.some(list(self.strangers), NAMED)}: expected inventory names or addresses in (?P<host>...)"
            )
        gaps = self.gaps[:NAMED] + [f"{len(self.gaps) - NAMED} more gaps"] * (len(self.gaps) > NAMED)
        note = f"{files} files changed since the rollout began"
        return events.found(self.events, self.sides, "kernel alarms", self.lost, (note,), gaps)


def _moment(waiting, text):
    """Return the time of the first record that waits with this text, and take it out; None if there is none."""
    for number, (line, moment) in enumerate(waiting):
        if line[:40] == text[:40]:
            del waiting[number]
            return moment
    return waiting[0][1] if waiting else None


class _Line:
    """wall: the time at its beginning, None without; uptime: the kernel's own; level, kernel, text: as in a Record."""

    def __init__(self):
        self.wall = self.uptime = None
        self.level, self.kernel, self.text = 6, True, ""


def _line(raw, alias, now):
    """Return the _Line that a raw line (str) of any of these logs is; alias: what its host may call itself."""
    line, text = _Line(), raw.strip("\r\0 \t")
    match = PRIORITY.match(text)
    if match:
        line.level, line.kernel = int(match.group(1)) & 7, int(match.group(1)) >> 3 == 0
        text = text[match.end() :]
    text = _after_time(line, text, now)
    text = _after_tag(line, text, alias)
    match = EXTENDED.match(text)
    if match:
        line.level, line.kernel = int(match.group(1)) & 7, int(match.group(1)) >> 3 == 0
        line.uptime = int(match.group(3)) / 1e6
        text = text[match.end() :]
    match = PRIORITY.match(text)
    text = text[match.end() :] if match else text
    match = PRINTK.match(text)
    if match:
        line.uptime = float(match.group(1))
        text = text[match.end() :]
    line.text = text
    return line


def _after_time(line, text, now):
    match = common.ISO.match(text)
    if match:
        line.wall = common.of_iso(match)
    else:
        match = SYSLOG.match(text)
        line.wall = _of_syslog(match, now) if match else None
    return text[match.end() :].lstrip(" ") if match and line.wall is not None else text


def _of_syslog(match, now):
    """Return seconds since 1970 (float) of a match of SYSLOG, None for a time that does not exist.

    It has no year: the latest one is taken in which it is not in the future by more than a day.
    """
    if match.group(1) not in MONTHS:
        return None
    month = MONTHS.index(match.group(1)) + 1
    day, hour, minute, second = (int(text) for text in match.group(2, 3, 4, 5))
    fraction = float(f"0.{match.group(6) or 0}")
    year = datetime.datetime.fromtimestamp(now + DAY).year
    # 29 February may lie more than one year back.
    for candidate in range(year, year - 9, -1):
        found = common.seconds((candidate, month, day, hour, minute, second), fraction, None)
        if found is not None and found <= now + DAY:
            return found
    return None


def _after_tag(line, text, alias):
    match = KERNEL_TAG.match(text)
    if match:
        return text[match.end() :]
    other = OTHER_TAG.match(text)
    if other and not other.group(1).endswith(":") and (other.group(2) or _is_alias(other.group(1), alias)):
        line.kernel = False
        return text
    host, unused, rest = text.partition(" ")
    return rest.lstrip(" ") if _is_alias(host, alias) else text


def _is_alias(word, alias):
    text = word.lower().rstrip(":")
    return text in alias or text.partition(".")[0] in alias


def _times(lines, changed):
    """Return the time (float) of each line: its own, else reckoned back from the next one that has one.

    changed: when the file last changed. A line is never taken for older than it is: where the kernel's clock starts
    anew, the time of the later boot counts.
    """
    found, wall, uptime = [], changed, None
    for line in reversed(lines):
        if line.wall is not None:
            wall, uptime = line.wall, line.uptime
        elif line.uptime is not None and uptime is None:
            uptime = line.uptime
        elif line.uptime is not None:
            if line.uptime > uptime + OUT_OF_ORDER:
                wall, uptime = wall - uptime, line.uptime
            elif line.uptime < uptime:
                wall, uptime = wall - (uptime - line.uptime), line.uptime
        found.append(wall)
    return found[::-1]
