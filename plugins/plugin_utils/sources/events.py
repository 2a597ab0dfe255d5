# Evidence from a file of events, one JSON object a line, that any program may write.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import re
from dataclasses import replace

from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import files, reading, specification, times
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources.reading import Missing

RULES = ("none", "max", specification.RATIO)
REQUIRED = ("path",)
OPTIONAL = ()
MAX_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 65536
AHEAD = 60
# crash, oops, bug, warning, lockup, rcu_stall, hung_task, coredump, or what a metric is called.
KIND = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,99}")


def check(source, spec, what):
    """Return the Source with what a file of events needs, or raise RolloutError."""
    return replace(source, options={"path": specification.path(spec, "path", what)})


def read(source, sides, since, now, fetch):
    """Return the events since the rollout began (reading.Found), or raise Missing."""
    path = source.options["path"]
    try:
        data, whole = files.tail(path, MAX_BYTES)
        age = now - os.stat(path).st_mtime
    except OSError as error:
        raise Missing(f"the file of events {path} cannot be read: {error.strerror}") from None
    if source.stale_given and age > source.stale_after:
        raise Missing(
            f"the file of events {path} did not change for {age:.0f} s, at most {source.stale_after} s expected"
        )
    lines = _Lines(sides, since, now)
    for number, line in enumerate(data.split(b"\n")):
        lines.take(line, last=number == data.count(b"\n"))
    if lines.read == 0 and lines.count["broken lines"]:
        raise Missing(
            f"{path} has {lines.count['broken lines']} lines and not one event: expected a JSON object a line"
        )
    gaps = []
    if not whole and lines.early == 0:
        gaps.append(f"the file is longer than {MAX_BYTES // 1024**2} MiB, and its beginning was not read: rotate it")
    left_out = {what: number for what, number in lines.count.items() if number}
    notes = [f"{number} {what} left out" for what, number in left_out.items()]
    if lines.ahead:
        notes.append(f"{lines.ahead} events dated more than {AHEAD} s in the future taken for now")
    return reading.of_events(lines.events, sides, "events", sum(left_out.values()), notes, gaps)


class _Lines:
    """The events of the lines taken so far, and how many did not count, by reason."""

    def __init__(self, sides, since, now):
        self.sides, self.since, self.now = sides, since, now
        self.events, self.seen, self.read, self.ahead = [], set(), 0, 0
        self.count = dict.fromkeys(
            ("broken lines", "events of unknown hosts", "events from before the rollout", "duplicates"), 0
        )

    @property
    def early(self):
        return self.count["events from before the rollout"]

    def take(self, line, last=False):
        """Take one line (bytes); last: no newline has come after it yet, so it may be half of one."""
        if not line.strip():
            return
        event = _event(line, self.sides)
        if event is None:
            self.count["broken lines"] += not last
            return
        self.read += 1
        if event["host"] is None:
            self.count["events of unknown hosts"] += 1
        elif event["time"] < int(self.since):
            self.count["events from before the rollout"] += 1
        else:
            self._keep(event)

    def _keep(self, event):
        key = (event["host"], event["kind"], event["time"], event["signature"])
        if key in self.seen:
            self.count["duplicates"] += 1
            return
        self.seen.add(key)
        self.ahead += event["time"] > self.now + AHEAD
        self.events.append(dict(event, time=min(event["time"], float(self.now))))


def _event(line, sides):
    """Return the event (dict) of a line, its host None for one of nobody known; None for a line that is none."""
    try:
        given = json.loads(line) if len(line) <= MAX_LINE_BYTES else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict) or not isinstance(given.get("host"), str):
        return None
    kind, moment = given.get("kind"), times.epoch(given.get("time"))
    if not isinstance(kind, str) or not KIND.fullmatch(kind) or moment is None:
        return None
    return {
        "host": sides.host(given["host"]),
        "kind": kind,
        "time": moment,
        "signature": reading.cut(str(given.get("signature") or kind)),
        "text": reading.cut(str(given.get("text") or "")),
    }
