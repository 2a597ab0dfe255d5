# What hosts answer is foreign: types, ranges and lengths are checked here, before anything of it is judged or written. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import math
import re

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import builds

MOST_EVENTS, MOST_SIGNATURES = 100, 50
MOST_CVES, MOST_ADVISORIES = 200, 20
MOST_SECONDS = 1e10
MOST_COUNT = 2**63
# How a task that Ansible has ended for its time limit says so: newer versions by a key, 2.16 in words.
TIMED_OUT = ("expected time frame", "timed out", "timeout expired")


class _Odd(Exception):
    """An answer that the module cannot have given: its text says which part, and what was expected."""


def _text(value, what):
    if value is not None and not isinstance(value, str):
        raise _Odd(f"{what} is {_shown(value)}: expected text")
    return value if value is None else values.words(value)


def _name(value, what):
    if value is not None and (not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= 200):
        raise _Odd(f"{what} is {_shown(value)}: expected a name")
    return value


def _number(most):
    def check(value, what):
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (good and (isinstance(value, int) or math.isfinite(value)) and 0 <= value <= most):
            raise _Odd(f"{what} is {_shown(value)}: expected a number between 0 and {most:.0g}")
        return value

    return check


def _flag(value, what):
    if value is not None and not isinstance(value, bool):
        raise _Odd(f"{what} is {_shown(value)}: expected true or false")
    return value


def _of(fields):
    def check(value, what):
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _Odd(f"{what} is {_shown(value)}: expected a dictionary")
        return {key: check(value[key], f"{what}.{key}") for key, check in fields.items() if key in value}

    return check


def _events(value, what):
    if value is None:
        return []
    if not isinstance(value, list):
        raise _Odd(f"{what} is {_shown(value)}: expected a list")
    return [_EVENT(event or {}, f"{what}[{number}]") for number, event in enumerate(value[:MOST_EVENTS])]


def _kinds(value, what):
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _Odd(f"{what} is {_shown(value)}: expected a list of words")
    return [values.words(item, 50) for item in value[:20]]


def _words(value, what):
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _Odd(f"{what} is {_shown(value)}: expected a dictionary")
    return {values.words(str(key), 50): _text(item, f"{what}.{key}") for key, item in list(value.items())[:20]}


def _signatures(value, what):
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _Odd(f"{what} is {_shown(value)}: expected a dictionary")
    found = {}
    for signature, counted in list(value.items())[:MOST_SIGNATURES]:
        counted = _of({"count": _count, "seconds": _seconds})(counted, f"{what}.{values.words(str(signature), 50)}") or {}
        if None in (counted.get("count"), counted.get("seconds")):
            raise _Odd(f"{what} has no count or no seconds of {_shown(signature)}: expected both")
        found[values.words(str(signature))] = counted
    return found


def _shown(value):
    return values.words(type(value).__name__ if isinstance(value, (list, dict, int)) else repr(value), 60)


_seconds, _count = _number(MOST_SECONDS), _number(MOST_COUNT)
_EVENT = _of(
    {
        "kind": _name,
        "signature": _text,
        "text": _text,
        "age_seconds": _seconds,
        "new": _flag,
        "source": _name,
        "effective_release": _text,
    }
)
_COUNTERS = _of({"oops_count": _count, "warn_count": _count})
_SINCE = _of({"boot_id": _name, "sequence": _count, "time": _text, "counters": _COUNTERS, "taint": _count})


def _list_of_names(value, what):
    if value is not None and not isinstance(value, list):
        raise _Odd(f"{what} is {_shown(value)}: expected a list")
    return [_name(item, what) for item in (value or [])[:20]]


_FIELDS = {
    # Of every task:
    "failed": _flag,
    "unreachable": _flag,
    "skipped": _flag,
    "changed": _flag,
    "msg": _text,
    "error": _text,
    # livepatch_package
    "outcome": _name,
    "package": _text,
    "package_before": _text,
    "before": lambda value, what: _of({"enabled": _name})(value, what) if isinstance(value, dict) else _text(value, what),
    "kernel_release": _text,
    "image_based": _text,
    # livepatch
    "name": _name,
    "proven": _flag,
    "since": _SINCE,
    "transition": _of({"seconds": _seconds}),
    # livepatch_health
    "boot_id": _name,
    "rebooted": _flag,
    "enabled": _name,
    "effective_release": _text,
    "uptime_seconds": _seconds,
    "sequence": _count,
    "time": _text,
    "counters": _COUNTERS,
    "taint": _count,
    "signatures": _signatures,
    "known_signatures": _signatures,
    "sources": _words,
    "unseen": _kinds,
    "events": _events,
    # livepatch_persistence
    "by": _name,
    "boot_guard": _of({"state": _name, "reason": _text}),
    # livepatch_automation
    "held": _list_of_names,
    "not_held": _list_of_names,
}


_FIELDS["health"] = _of(dict(_FIELDS))  # of livepatch: what livepatch_health would have said


def result(raw):
    """Return the result (dict) of a task on a host with what the rollout goes by, each field checked and cut to size.

    raw: as Ansible registered it, {} where the task did not run. One that the module cannot have given becomes a failure
    that says what is odd about it. A task that was ended for its time limit is `unreachable`: nobody knows what it did.
    """
    if not isinstance(raw, dict):
        raw = {"failed": True, "msg": f"its result is {_shown(raw)}: expected a dictionary"}
    try:
        found = {key: check(raw[key], key) for key, check in _FIELDS.items() if key in raw}
    except _Odd as odd:
        return {"failed": True, "msg": values.words(f"an answer that the module cannot have given, {odd}")}
    if found.get("failed") and is_timeout(raw):
        found.update(unreachable=True, timed_out=True)
    return found


def is_timeout(raw):
    """Tell whether Ansible ended this task (its result, dict) for its time limit."""
    text = str(raw.get("msg") or "").lower()
    return bool(raw.get("timedout")) or ("error" not in raw and any(words in text for words in TIMED_OUT))


def facts(raw):
    """Return (facts, problem): ansible_facts.livepatch as far as the rollout goes by it, checked; problem (str) if odd."""
    try:
        return _FACTS(raw, "livepatch"), None
    except _Odd as odd:
        return None, values.words(f"facts that livepatch_facts cannot have given, {odd}")


def _engines(value, what):
    if value is not None and not isinstance(value, list):
        raise _Odd(f"{what} is {_shown(value)}: expected a list")
    return [_of({"name": _name, "active": _flag})(item or {}, what) for item in (value or [])[:20]]


def _automation(value, what):
    if value is not None and not isinstance(value, list):
        raise _Odd(f"{what} is {_shown(value)}: expected a list")
    return [_of({"by": _name, "timer": _name, "applies": _name})(item or {}, what) for item in (value or [])[:20]]


def _transition(value, what):
    return bool(value)


_FACTS = _of(
    {
        "supported": _flag,
        "kernel_release": _name,
        "architecture": _name,
        "effective_release": _text,
        "boot_id": _name,
        "uptime_seconds": _seconds,
        "enabled": _name,
        "transition": _transition,
        "os_family_ids": _list_of_names,
        "engines": _engines,
        "automation": _automation,
    }
)


# name-version-release.arch: it is handed to the package managers of other hosts.
PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~^-]{0,200}-[A-Za-z0-9._+~^]{1,60}-[A-Za-z0-9._+~^]{1,60}\.[a-z0-9_]{2,20}", re.ASCII)
WITHOUT_BUILD = ("no_build", "empty", "not_in_advisory", "excluded")


def _form(pattern, expected):
    def check(value, what):
        if value is not None and (not isinstance(value, str) or not pattern.fullmatch(value)):
            raise _Odd(f"{what} is {_shown(value)}: expected {expected}")
        return value

    return check


def _list(most, item):
    def check(value, what):
        if value is not None and not isinstance(value, list):
            raise _Odd(f"{what} is {_shown(value)}: expected a list")
        found = [item(one, what) for one in (value or [])[:most]]
        if None in found:
            raise _Odd(f"{what} has an item that is nothing")
        return found

    return check


_cves = _list(MOST_CVES, _form(builds.CVE, "a CVE"))
_day = _form(builds.DAY, "a day like 2026-11-30")
_BUILD = _of(
    {
        "package": _form(PACKAGE, "name-version-release.arch"),
        "version": _name,
        "livepatch": _name,
        "built": _text,
        "cves": _cves,
        "advisories": _list(MOST_ADVISORIES, _name),
    }
)
_BUILDS = _of(
    {
        "kernel_release": _name,
        "architecture": _name,
        "build": _BUILD,
        "reason": _name,
        "missing": _cves,
        "unknown_cves": _cves,
        "advisory_known": _flag,
        "newer_installed": _text,
        "held_back": _text,
        "supported_until": _day,
        "sources": _words,
    }
)


def build(raw):
    """Return what livepatch_builds says of a kernel (dict), with all keys, or a failure: as result() has it.

    One that the module cannot have given becomes a failure that says what is odd about it.
    """
    found = result(raw)
    if found.get("failed") or found.get("unreachable"):
        return found
    try:
        told = _BUILDS(raw, "livepatch_builds")
        named = told.get("build")
        if not (told.get("kernel_release") and told.get("architecture")):
            raise _Odd("it names no kernel")
        if named is not None and not named.get("package"):
            raise _Odd("its build has no package")
        if named is None and told.get("reason") not in WITHOUT_BUILD:
            raise _Odd(f"reason is {_shown(told.get('reason'))}: expected one of {', '.join(WITHOUT_BUILD)} where there is no build")
    except _Odd as odd:
        return {"failed": True, "msg": values.words(f"an answer that the module cannot have given, {odd}")}
    lists = {name: told.get(name) or [] for name in ("missing", "unknown_cves")}
    others = {name: told.get(name) for name in ("reason", "advisory_known", "newer_installed", "held_back", "supported_until")}
    named = named and {name: named.get(name) for name in ("package", "version", "livepatch", "built")} | {"cves": named.get("cves") or []}
    return {"kernel_release": told["kernel_release"], "architecture": told["architecture"], "build": named, **lists, **others}
