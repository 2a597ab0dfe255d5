# What all sources have in common: from what a person wrote to a Source, and from what that gave to a reading. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import datetime
import math
import re
from dataclasses import dataclass, field

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError

COMMON = ("name", "type", "report_only", "on_violation", "timeout", "stale_after", "rule")
# For how many seconds a clock may be ahead of the controller's.
AHEAD = 60
RATIO = "max_ratio_to_control"
TIMEOUT, MAX_TIMEOUT = 30, 300
STALE_AFTER = "15m"
MAX_TEXT = 10000
# A header like "X-Org: 1" is no secret, and would take the digits out of every number.
MIN_SECRET, MIN_SECRET_IN_DATA = 4, 8
MAX_REASON, MAX_WORD = 800, 200
ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)? ?(Z|[+-]\d\d:?(?:\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)


# What a person wrote


@dataclass(frozen=True)
class Source:
    """A checked source. What is secret shows neither in its text nor in anything that masked() returns.

    stale_given: the person asked for stale_after. rule: max, min, max_ratio_to_control or None; at_least: patched
    values below it never violate a ratio. options: what only this type has. url: without credentials, but its query
    string may hold some. headers: for requests.
    """

    name: str
    type: str
    report_only: bool
    on_violation: str
    timeout: int
    stale_after: int
    stale_given: bool
    rule: str | None
    limit: float | None
    at_least: float
    options: dict = field(default_factory=dict)
    url: str = field(default="", repr=False)
    headers: dict = field(default_factory=dict, repr=False)
    secrets: tuple = field(default=(), repr=False)

    def masked(self, text):
        """Return the text without any of this source's secrets."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            if len(secret) >= MIN_SECRET:
                text = text.replace(secret, "***")
        return text

    def masked_bytes(self, data):
        """Return an answer without this source's longer secrets: a server may repeat what it was sent, cut or whole."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            if len(secret) >= MIN_SECRET_IN_DATA:
                data = data.replace(secret.encode("utf-8", "replace"), b"***")
        return data


def source(spec, what, rules):
    """Return the Source with what every type has; rules: "required", "optional", or the names of those allowed."""
    report_only = spec.get("report_only", False)
    if not isinstance(report_only, bool):
        raise RolloutError(f"{what}: report_only is {report_only!r}: expected true or false.")
    one_of(spec, "on_violation", ("hold", "stop"), what, default="hold")
    timeout = values.duration(spec.get("timeout", TIMEOUT), f"{what}: timeout")
    if not 1 <= timeout <= MAX_TIMEOUT:
        raise RolloutError(f"{what}: timeout is {timeout} s: expected 1 to {MAX_TIMEOUT} s.")
    stale_after = values.duration(spec.get("stale_after", STALE_AFTER), f"{what}: stale_after")
    if stale_after < 1:
        raise RolloutError(f"{what}: stale_after is 0 s: expected at least 1 s; leave it out for {STALE_AFTER}.")
    rule, limit, at_least = _rule(spec.get("rule"), what, rules)
    return Source(
        name=spec["name"],
        type=spec["type"],
        report_only=report_only,
        on_violation=spec.get("on_violation", "hold"),
        timeout=timeout,
        stale_after=stale_after,
        stale_given="stale_after" in spec,
        rule=rule,
        limit=limit,
        at_least=at_least,
    )


def _rule(given, what, rules):
    if given is None and "none" in rules:
        return None, None, 0.0
    allowed = [name for name in rules if name != "none"]
    names = [name for name in allowed if isinstance(given, dict) and name in given]
    if len(names) != 1:
        raise RolloutError(
            f"{what}: rule is {kind(given)} with {' and '.join(names) or 'no limit'}: "
            f"expected exactly one of {', '.join(allowed)}, like {{{allowed[0]}: 5}}."
        )
    unknown = sorted(set(given) - {names[0]} - ({"at_least"} if names[0] == RATIO else set()))
    if unknown:
        raise RolloutError(
            f"{what}: rule has the unknown key {unknown[0]!r}: expected {names[0]} alone (at_least only with {RATIO})."
        )
    limit = number(given[names[0]], f"{what}: {names[0]}")
    at_least = number(given.get("at_least", 0), f"{what}: at_least")
    if names[0] == RATIO and (limit <= 0 or at_least < 0):
        raise RolloutError(
            f"{what}: {RATIO} is {limit:g}, at_least {at_least:g}: expected a ratio above 0, at_least from 0."
        )
    return names[0], limit, at_least


def keys(spec, required, optional, what):
    """Raise RolloutError for keys that are unknown or missing."""
    known = (*COMMON, *required, *optional)
    unknown = sorted(set(spec) - set(known))
    if unknown:
        raise RolloutError(
            f"{what} has the unknown key {unknown[0]!r}: type {spec['type']} takes {', '.join(sorted(known))}."
        )
    absent = [key for key in required if spec.get(key) is None]
    if absent:
        raise RolloutError(f"{what} has no {' and no '.join(absent)}: type {spec['type']} needs {', '.join(required)}.")


def one_of(spec, key, allowed, what, default=None):
    """Raise RolloutError unless the key's value is one of the allowed words."""
    value = spec.get(key, default)
    if not isinstance(value, str) or value not in allowed:
        raise RolloutError(f"{what}: {key} is {value!r}: expected one of {', '.join(allowed)}.")


def text(spec, key, what, most=MAX_TEXT):
    """Return the text of a key (str), or None where it is not given."""
    value = spec.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise RolloutError(f"{what}: {key} is {kind(value)}: expected text of 1 to {most} characters.")
    return value.strip()


def number(value, what):
    """Return a finite number (float) that a person gave."""
    found = values.number(value)
    if not math.isfinite(found):
        raise RolloutError(f"{what} is {value!r}: expected a number like 5 or 1.5.")
    return found


def path(spec, key, what):
    """Return an absolute path (str)."""
    value = text(spec, key, what, 4096)
    if not value.startswith("/") or "\0" in value:
        raise RolloutError(f"{what}: {key} is {value!r}: expected an absolute path on the controller.")
    return value


def kind(value):
    """Return what sort of value it is, for a message; the value itself may hold a secret."""
    words = {dict: "a dictionary", list: "a list", str: "text", bool: "true or false", type(None): "not given"}
    if isinstance(value, str):
        return f"text of {len(value)} characters"
    return words.get(type(value)) or ("a number" if isinstance(value, (int, float)) else f"a {type(value).__name__}")


# What a source gave


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
    ratio, broken, words = _judged(source, found)
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


def _judged(source, found):
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
        "reason": values.words(source.masked(f"{source.name}: {reason}"), MAX_REASON),
        "events": list(events),
        "lost": lost,
    }


def finite(value, what):
    """Return a number that a source gave as float; what is no finite number is missing."""
    found = values.number(value)
    if not math.isfinite(found):
        raise Missing(f"{what} is {values.words(repr(value), 60)}: expected a finite number")
    return found


def shown(value):
    """Return a number as people write it (str)."""
    return f"{value:.6g}"


def unit_of(source):
    return f" {source.options['unit']}" if source.options.get("unit") else ""


def some(names, most):
    """Return the first names of a list (str), and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return values.words(", ".join(names[:most]), MAX_WORD) + more


def hosts_text(number, arm):
    return f"{number} {arm} host" + ("" if number == 1 else "s")


# Times


def epoch(value):
    """Return seconds since 1970 (float) of a number or an ISO 8601 text; None for what is neither."""
    if isinstance(value, str):
        match = ISO.fullmatch(value.strip())
        return of_iso(match) if match else None
    found = values.number(value)
    return found if math.isfinite(found) else None


def of_iso(match):
    """Return seconds since 1970 (float) of a match of ISO, None for a time that does not exist.

    A time without a zone is one by the controller's clock.
    """
    year, month, day, hour, minute = (int(text) for text in match.group(1, 2, 3, 4, 5))
    second, fraction = int(match.group(6) or 0), float(f"0.{match.group(7) or 0}")
    return seconds((year, month, day, hour, minute, second), fraction, match.group(8))


def seconds(fields, fraction, zone):
    """Return seconds since 1970 (float) of (year, month, day, hour, minute, second), None for a time that does not exist."""
    try:
        moment = datetime.datetime(*fields)
        if zone:
            moment = moment.replace(tzinfo=_zone(zone))
        return moment.timestamp() + fraction
    except (ValueError, OverflowError, OSError):
        return None


def _zone(text):
    if text in "Zz":
        return datetime.timezone.utc
    digits = text[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return datetime.timezone(datetime.timedelta(minutes=-minutes if text[0] == "-" else minutes))
