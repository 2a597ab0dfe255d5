# What all sources have in common: the checks of what a person wrote, and the Source that comes of it. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import math
from dataclasses import dataclass, field

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError

COMMON = ("name", "type", "report_only", "on_violation", "timeout", "stale_after", "rule")
RATIO = "max_ratio_to_control"
TIMEOUT, MAX_TIMEOUT = 30, 300
STALE_AFTER = "15m"
MAX_TEXT = 10000
# A header like "X-Org: 1" is no secret, and would take the digits out of every number.
MIN_SECRET, MIN_SECRET_IN_DATA = 4, 8


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


def common(spec, what, rules):
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
    try:
        found = math.nan if isinstance(value, bool) or not isinstance(value, (int, float, str)) else float(value)
    except (ValueError, OverflowError):
        found = math.nan
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
