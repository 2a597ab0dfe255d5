# Evidence from a file of events, one JSON object a line, that any program may write; and what events are in a reading.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import collections
import json
import os
import re
import stat
from dataclasses import replace

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import common
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources.common import Missing

RULES = ("none", "max", common.RATIO)
REQUIRED = ("path",)
OPTIONAL = ()
MAX_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 65536
# What one reading may put into the journal. A host counts once, so a few events of each are enough.
MAX_EVENTS, MAX_EVENTS_PER_HOST = 1000, 20
UNKNOWN, EARLY = "events of unknown hosts", "events from before the rollout"
NAMED = 3
# crash, oops, bug, warning, lockup, rcu_stall, hung_task, coredump, or what a metric is called.
KIND = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,99}")


def check(source, spec, what):
    """Return the Source with what a file of events needs, or raise RolloutError."""
    return replace(source, options={"path": common.path(spec, "path", what)})


def read(source, sides, since, now, fetch):
    """Return the events since the rollout began (common.Found), or raise Missing."""
    path = source.options["path"]
    try:
        data, whole = tail(path, MAX_BYTES)
        age = now - os.stat(path).st_mtime
    except OSError as error:
        raise Missing(f"the file of events {path} cannot be read: {error.strerror}") from None
    if source.stale_given and age > source.stale_after:
        raise Missing(
            f"the file of events {path} did not change for {age:.0f} s, at most {source.stale_after} s expected"
        )
    lines = _Lines(sides, since, now)
    *ended, last = data.split(b"\n")
    for line in ended:
        lines.take(line)
    lines.take(last, last=True)
    if lines.read == 0 and lines.count["broken lines"]:
        raise Missing(
            f"{path} has {lines.count['broken lines']} lines and not one event: expected a JSON object a line"
        )
    if lines.strangers and not lines.known:
        raise Missing(
            f"none of the events in {path} names a host of this rollout, but {lines.named()}: "
            "expected inventory names or addresses"
        )
    gaps = []
    if not whole and lines.count[EARLY] == 0:
        gaps.append(f"the file is longer than {MAX_BYTES // 1024**2} MiB, and its beginning was not read: rotate it")
    notes = [
        f"{number} {what}{f' ({lines.named()})' * (what == UNKNOWN)} left out" for what, number in lines.count.items()
    ]
    if lines.ahead:
        notes.append(f"{lines.ahead} events dated more than {common.AHEAD} s in the future taken for now")
    return found(lines.events, sides, "events", sum(lines.count.values()), notes, gaps)


class _Lines:
    """The events of the lines taken so far, and how many did not count, by reason."""

    def __init__(self, sides, since, now):
        self.sides, self.since, self.now = sides, since, now
        self.events, self.seen, self.read, self.ahead = [], set(), 0, 0
        self.known, self.strangers = False, {}
        self.count = collections.Counter()

    def take(self, line, last=False):
        """Take one line (bytes); last: no newline has come after it yet, so it may be half of one."""
        if not line.strip():
            return
        event = _event(line)
        if event is None:
            if not last:
                self.count["broken lines"] += 1
            return
        self.read += 1
        host = self.sides.find(event["host"])
        self.known = self.known or host is not None
        if event["time"] < int(self.since):
            self.count[EARLY] += 1
        elif host is None:
            self.count[UNKNOWN] += 1
            self.strangers[event["host"]] = True
        elif not self.sides.counts(host):
            self.count["events of hosts on no arm"] += 1
        elif not self.sides.counts(host, event["time"]):
            self.count["events from before their host was patched"] += 1
        else:
            self._keep(dict(event, host=host))

    def named(self):
        """Return some of the names (str) that are of no host of the rollout."""
        return common.some(list(self.strangers), NAMED)

    def _keep(self, event):
        key = (event["host"], event["kind"], event["time"], event["signature"])
        if key in self.seen:
            self.count["duplicates"] += 1
            return
        self.seen.add(key)
        self.ahead += event["time"] > self.now + common.AHEAD
        self.events.append(dict(event, time=min(event["time"], float(self.now))))


def _event(line):
    """Return the event (dict) of a line, its host as it is named there; None for a line that is none."""
    try:
        given = json.loads(line) if len(line) <= MAX_LINE_BYTES else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict) or not isinstance(given.get("host"), str):
        return None
    kind, moment = given.get("kind"), common.epoch(given.get("time"))
    if not isinstance(kind, str) or not KIND.fullmatch(kind) or moment is None:
        return None
    return {
        "host": values.words(given["host"], common.MAX_WORD),
        "kind": kind,
        "time": moment,
        "signature": values.words(given.get("signature") or kind, common.MAX_WORD),
        "text": values.words(given.get("text") or "", common.MAX_WORD),
    }


# For every source that gives events


def _kept(events, sides):
    """Return (events within bounds, how many were left out): those of patched hosts first, oldest first."""
    chosen, per_host = [], {}
    for event in sorted(events, key=lambda event: (event["host"] not in sides.all_patched, event["time"])):
        per_host[event["host"]] = per_host.get(event["host"], 0) + 1
        if per_host[event["host"]] <= MAX_EVENTS_PER_HOST and len(chosen) < MAX_EVENTS:
            chosen.append(event)
    return sorted(chosen, key=lambda event: event["time"]), len(events) - len(chosen)


def found(events, sides, what, lost=0, notes=(), gaps=()):
    """Return the Found of events (dicts): the arms' numbers count them, a ratio compares them per host."""
    arms = (sides.all_patched, sides.all_control)
    counts = [sum(event["host"] in arm for event in events) for arm in arms]
    sizes = [len(arm) for arm in arms]
    per_host = tuple(count / size if size else None for count, size in zip(counts, sizes))
    chosen, left_out = _kept(events, sides)
    if left_out:
        notes = (*notes, f"{left_out} further events are not in the journal")
    said = f"{counts[0]} {what} on {common.hosts_text(sizes[0], 'patched')}"
    if sizes[1]:
        said += f", {counts[1]} on {common.hosts_text(sizes[1], 'control')}"
    return common.Found(
        patched=counts[0],
        control=counts[1] if sizes[1] else None,
        said=said,
        pair=(per_host[0] or 0.0, per_host[1]),
        events=tuple(chosen),
        lost=lost + left_out,
        notes=tuple(notes),
        gaps=tuple(gaps),
    )


def tail(path, most):
    """Return (the last `most` bytes of a file, whole lines only; whether that is all of it).

    Raises OSError for what is no regular file too: a pipe would let the reader wait for ever.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(22, "not a regular file")
        begin = max(0, status.st_size - most)
        with os.fdopen(fd, "rb", closefd=False) as stream:
            stream.seek(begin)
            data = stream.read(most)
    finally:
        os.close(fd)
    if begin:
        data = data.partition(b"\n")[2]
    return data, begin == 0
