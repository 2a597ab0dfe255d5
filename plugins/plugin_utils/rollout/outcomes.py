# What became of one host: from the results that its tasks registered to an outcome and a reason. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

STEPS = (("package", "livepatch_package"), ("apply", "livepatch"), ("look", "livepatch_health"))


def of_slice(planned, results, seconds_since_begin, again=False, boot_id=None):
    """Return the outcome entry (dict) of a host whose slice was just patched.

    planned: the journal's host entry; results: {package, apply, look} as registered, {} where a task did not run;
    seconds_since_begin: since the host's slice was begun; again: it was begun by a controller that then died;
    boot_id: the last one known, for hosts begun before.
    """
    package, apply, look = (results.get(step, {}) for step, unused in STEPS)
    outcome, reason = _slice_outcome(package, apply, look, seconds_since_begin, boot_id or planned["boot_id"])
    changed = bool(package.get("changed") or apply.get("changed"))
    if outcome == "patched" and not changed and not again:
        outcome = "already"
    return {
        "kind": "outcome",
        "host": planned["host"],
        "tier": planned["tier"],
        "slice": planned["slice"],
        "outcome": outcome,
        "reason": reason,
        "changed": changed,
        "package": package.get("package"),
        "package_before": package.get("before"),
        # A controller that died may have changed the host before this run looked at it.
        "enabled_before": (
            planned["enabled"] if again else (apply.get("before") or {}).get("enabled", planned["enabled"])
        ),
        "livepatch": look.get("enabled") or apply.get("name"),
        "effective_release": look.get("effective_release") or apply.get("effective_release"),
        "age_seconds": _age(outcome, look),
        "boot_id": look.get("boot_id") or (apply.get("since") or {}).get("boot_id"),
        "sequence": look.get("sequence"),
        "since": apply.get("since"),
        "seconds": (apply.get("transition") or {}).get("seconds"),
    }


def _slice_outcome(package, apply, look, elapsed, boot_id):
    rebooted = _rebooted_in_slice(apply, look, elapsed, boot_id)
    if rebooted:
        return "rebooted", rebooted
    if package.get("error") == "image_based":
        return "not_applicable", f"its system is an image ({package['image_based']}) that does not have the package"
    for result, (unused, module) in zip((package, apply), STEPS):
        problem = _problem(result, module)
        if problem:
            return problem
        if package.get("outcome") == "not_applicable":
            return "not_applicable", f"no repository has a build for kernel {package.get('kernel_release', '')}".strip()
    if not _ran(apply):
        return "failed", "livepatch did not run"
    if apply.get("proven") is not True:
        return "failed", "the livepatch is not proven to run"
    return _look_outcome(look, apply.get("name")) or ("patched", "")


def tried_again(entry, former):
    """Return the outcome entry of a host that a retry has done again; what it had before, `former` knows."""
    package = {"package_before": former.get("package_before")} if former.get("package") else {}
    return dict(entry, enabled_before=former.get("enabled_before"), **package)


def of_look(last, look, seconds_since_outcome):
    """Return the new outcome entry (dict) of a patched host that a later look found bad, None for one in good health.

    last: its outcome entry; look: the result of livepatch_health.
    """
    found = None
    if look.get("boot_id") and last.get("boot_id") and look["boot_id"] != last["boot_id"]:
        found = "rebooted", f"rebooted {_after(look, seconds_since_outcome, 'patching')}(boot id changed)"
    found = found or _look_outcome(look, last.get("livepatch"))
    if not found:
        return None
    return dict(_changed(last, found, look), age_seconds=_age(found[0], look))


def of_event(last, event):
    """Return the new outcome entry (dict) of a patched host of which a source on the controller has told an event."""
    return _changed(last, ("rebooted" if event["event"] == "crash" else "alarmed", event["text"]), {})


def of_silence(last, minutes):
    """Return the new outcome entry (dict) of a patched host that has not answered for so many minutes."""
    return _changed(last, ("unreachable", f"did not answer for {minutes} min"), {})


def of_facts(last, facts, problem):
    """Return the new outcome entry (dict) of a host that is done, from the facts at a resume, None if all is well.

    last: its outcome entry; facts: ansible_facts.livepatch or None; problem: (outcome, reason) if they are missing.
    """
    found = problem
    if facts and last.get("boot_id") and facts.get("boot_id") != last["boot_id"]:
        found = "rebooted", "rebooted since it was patched (boot id changed)"
    elif facts and last.get("livepatch") and facts.get("enabled") != last["livepatch"]:
        found = "failed", f"runs {facts.get('enabled') or 'no livepatch'} instead of {last['livepatch']}"
    if not found:
        return None
    return _changed(last, found, facts or {})


def of_rollback(last, planned, result):
    """Return the outcome entry (dict) of a host whose rollback was tried; result: livepatch_result_rollback."""
    found = _problem(result, "the rollback") or (None if _ran(result) else ("failed", "the rollback did not run"))
    wanted = (last or {}).get("enabled_before", planned["enabled"])
    if not found and result.get("name") not in (None, wanted):
        found = "failed", f"runs {result['name']} instead of {wanted or 'no livepatch'}"
    base = last or {"kind": "outcome", "host": planned["host"], "tier": planned["tier"], "slice": planned["slice"]}
    entry = _changed(base, ("rollback_failed", found[1]) if found else ("rolled_back", ""), result)
    return dict(entry, changed=bool(result.get("changed")))


def not_persistent(result):
    """Return why (str) a host does not keep its livepatch over reboots, None if it does; result: of livepatch_persistence."""
    problem = _problem(result, "livepatch_persistence")
    if problem:
        return problem[1]
    if not _ran(result):
        return "livepatch_persistence did not run"
    guard = result.get("boot_guard") or {}
    if guard.get("state") == "tripped":
        return guard["reason"]
    # A host without systemd is no failure.
    return _text(result) if result.get("error") else None


def look_entry(host, look):
    """Return the look entry (dict) for the journal."""
    kept = (
        "boot_id",
        "rebooted",
        "uptime_seconds",
        "effective_release",
        "enabled",
        "sequence",
        "events",
        "counters",
        "sources",
    )
    entry = {"kind": "look", "host": host}
    entry.update({key: look[key] for key in kept if key in look})
    if look.get("time"):
        entry["host_time"] = look["time"]  # of the host's own clock: only differences of it mean anything
    if look.get("unreachable") or look.get("failed"):
        entry["error"] = _text(look)
    return entry


def _changed(last, found, seen):
    entry = {key: value for key, value in last.items() if key not in ("time", "run", "schema")}
    entry.update(outcome=found[0], reason=found[1])
    for key in ("boot_id", "effective_release", "sequence"):
        if seen.get(key) is not None:
            entry[key] = seen[key]
    return entry


def _rebooted_in_slice(apply, look, elapsed, boot_id):
    before = (apply.get("since") or {}).get("boot_id")
    seen = look.get("boot_id")
    sure = look.get("rebooted") is True or bool(before and seen and before != seen)
    # Without a reading from before, a boot id other than the planned one may be a reboot of last week:
    # only one that is younger than the slice is ours.
    younger = look.get("uptime_seconds") is None or look["uptime_seconds"] < elapsed
    unsure = bool(boot_id and (seen or before) and (seen or before) != boot_id) and younger
    if not sure and not unsure:
        return None
    return f"rebooted {_after(look, elapsed, 'its slice began')}(boot id changed)"


def _after(look, elapsed, event):
    uptime = look.get("uptime_seconds")
    if uptime is None or uptime > elapsed:
        return ""
    return f"{int(elapsed - uptime)} s after {event} "


def alarms(look):
    """Return the events (list of dicts) of a look that nobody had before: new kernel alarms, and crashes on record."""
    found = look.get("events") or []
    return [event for event in found if event.get("new") is not False and event.get("kind") != "coredump"]


def _age(outcome, look):
    """How many seconds before the look it happened, by the host's own clock."""
    if outcome == "rebooted":
        return look.get("uptime_seconds")
    found = alarms(look)
    return found[0].get("age_seconds") if outcome == "alarmed" and found else None


def _look_outcome(look, livepatch):
    problem = _problem(look, "livepatch_health")
    if problem:
        return problem
    if not _ran(look):
        return "failed", "livepatch_health did not run"
    if look.get("rebooted") is True:
        return "rebooted", "rebooted since it was patched (boot id changed)"
    for event in alarms(look)[:1]:
        return (
            "alarmed",
            f"kernel alarm, {event.get('kind', 'event')}: {event.get('text') or event.get('signature') or ''}".strip(),
        )
    if (look.get("sources") or {}).get("kmsg") in ("unreadable", "truncated"):
        return "failed", "the kernel log cannot be read to its end, so an alarm would not be seen"
    if livepatch and "enabled" in look and look["enabled"] != livepatch:
        return "failed", f"runs {look['enabled'] or 'no livepatch'} instead of {livepatch}"
    return None


def _problem(result, module):
    if result.get("unreachable"):
        return "unreachable", f"unreachable at {module}"
    if not result.get("failed"):
        return None
    if result.get("error") == "stalled":
        return "stalled", _text(result)
    error = f" ({result['error']})" if result.get("error") else ""
    return "failed", f"{module} failed{error}: {_text(result)}"


def _ran(result):
    return bool(result) and not result.get("skipped")


def _text(result):
    return " ".join(str(result.get("msg") or "no message").split())[:500]
