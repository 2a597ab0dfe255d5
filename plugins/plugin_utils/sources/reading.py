# From what a source gave to a reading: the rule, the verdict, and the sentence that says why. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import math
from dataclasses import dataclass

MAX_REASON = 800
MAX_WORD = 200
# What one reading may put into the journal. A host counts once, so a few events of each are enough.
MAX_EVENTS, MAX_EVENTS_PER_HOST = 1000, 20


class Missing(Exception):
    """There is no value to judge: the text says why, and what to do about it."""


class NoControl(Missing):
    """There is nobody to compare with; by the plan that is so at the end of a rollout."""


@dataclass(frozen=True)
class Found:
    """What a source gave.

    patched, control: numbers of the arms, None where there is none. said: what they are, for people. pair: what the
    ratio compares, where it is not these two. notes: what a person should know. gaps: what could not be read and may
    hide harm: with one of them there is no pass.
    """

    patched: float | None
    control: float | None
    said: str
    pair: tuple | None = None
    events: tuple = ()
    lost: int = 0
    notes: tuple = ()
    gaps: tuple = ()


def missing(source, gap, sides):
    """Return the reading of a source that gave nothing to judge; gap: the Missing that says why."""
    verdict = "report" if isinstance(gap, NoControl) and sides.last_tier else "hold"
    return _reading(source, "missing", verdict, reason=str(gap))


def judged(source, found, sides):
    """Return the reading of a source that gave something."""
    ratio, broken, words = _rule(source, found)
    gaps, verdict = list(found.gaps), "hold"
    if broken is None:
        gaps.append(words)
        if not sides.control and sides.last_tier and not found.gaps:
            verdict = "report"  # By the plan nobody is left to compare with: this is no dead source.
    status = "violated" if broken else "missing" if gaps else "ok"
    parts = [found.said + (f": {words}" if words and broken is not None else ""), *gaps, *found.notes]
    return _reading(
        source,
        status,
        {"ok": "pass", "violated": source.on_violation, "missing": verdict}[status],
        patched=found.patched,
        control=found.control,
        ratio=ratio,
        reason="; ".join(part for part in parts if part),
        events=list(found.events),
        lost=found.lost,
    )


def _rule(source, found):
    """Return (ratio or None, whether the rule is violated or None where it cannot be told, words)."""
    limit, unit = source.limit, unit_of(source)
    if source.rule == "max":
        return _ratio(found), found.patched > limit, f"at most {shown(limit)}{unit} allowed"
    if source.rule == "min":
        return _ratio(found), found.patched < limit, f"at least {shown(limit)}{unit} expected"
    if source.rule is None:
        return _ratio(found), False, ""
    patched, control = found.pair or (found.patched, found.control)
    if control is None:
        return None, None, "there is no control to compare with"
    if patched < 0 or control < 0:
        return None, None, "a ratio needs numbers from 0 on: let the query or expression give such"
    allowed = f"at most {shown(limit)} times the control allowed"
    # A control of 0 has no ratio. Anything on patched hosts is then more than it, unless it is below at_least.
    broken = patched > limit * control and patched >= source.at_least
    if source.at_least:
        allowed += f" from {shown(source.at_least)}{unit} on"
    ratio = _ratio(found)
    many = f"{shown(ratio)} times the control" if ratio is not None else "no ratio, as the control is 0"
    return ratio, broken, f"{many}, {allowed}"


def _ratio(found):
    patched, control = found.pair or (found.patched, found.control)
    if patched is None or not control or patched < 0 or control < 0:
        return None
    ratio = patched / control
    return ratio if math.isfinite(ratio) else None


def _reading(source, status, verdict, patched=None, control=None, ratio=None, reason="", events=(), lost=0):
    return {
        "name": source.name,
        "type": source.type,
        "status": status,
        "verdict": "report" if source.report_only else verdict,
        "patched": patched,
        "control": control,
        "ratio": ratio,
        "rule": source.rule,
        "limit": source.limit,
        "reason": cut(source.masked(f"{source.name}: {reason}"), MAX_REASON),
        "events": list(events),
        "lost": lost,
    }


def finite(value, what):
    """Return a number that a source gave as float; what is no finite number is missing."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise Missing(f"{what} is {cut(repr(value), 60)}: expected a finite number")
    return found


def shown(value):
    """Return a number as people write it (str)."""
    return f"{value:.6g}"


def unit_of(source):
    return f" {source.options['unit']}" if source.options.get("unit") else ""


def cut(text, most=MAX_WORD):
    """Return at most so many characters of a text in one printable line; a foreign text may hold anything."""
    line = "".join(character if character.isprintable() else " " for character in text[: most + 1])
    return line if len(line) <= most else line[: most - 3] + "..."


def hosts_text(number, arm):
    return f"{number} {arm} host" + ("" if number == 1 else "s")


def kept(events, sides):
    """Return (events within bounds, how many were left out): those of patched hosts first, oldest first."""
    chosen, per_host = [], {}
    for event in sorted(events, key=lambda event: (event["host"] not in sides.patched, event["time"])):
        per_host[event["host"]] = per_host.get(event["host"], 0) + 1
        if per_host[event["host"]] <= MAX_EVENTS_PER_HOST and len(chosen) < MAX_EVENTS:
            chosen.append(event)
    return sorted(chosen, key=lambda event: event["time"]), len(events) - len(chosen)


def of_events(events, sides, what, lost=0, notes=(), gaps=()):
    """Return the Found of events (dicts): the arms' numbers count them, a ratio compares them per host."""
    counts = [sum(event["host"] in arm for event in events) for arm in (sides.patched, sides.control)]
    sizes = [len(sides.patched), len(sides.control)]
    per_host = tuple(count / size if size else None for count, size in zip(counts, sizes))
    chosen, left_out = kept(events, sides)
    if left_out:
        notes = (*notes, f"{left_out} further events are not in the journal")
    said = f"{counts[0]} {what} on {hosts_text(sizes[0], 'patched')}"
    if sizes[1]:
        said += f", {counts[1]} on {hosts_text(sizes[1], 'control')}"
    return Found(
        patched=counts[0],
        control=counts[1] if sizes[1] else None,
        said=said,
        pair=(per_host[0] or 0.0, per_host[1]),
        events=tuple(chosen),
        lost=lost + left_out,
        notes=tuple(notes),
        gaps=tuple(gaps),
    )
