# What became of hosts: from what their tasks answered to the journal's entries. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Results of tasks are those of answers.result: checked already.

from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout.state import alarms, another_machine

STEPS = (("package", "livepatch_package"), ("apply", "livepatch"), ("look", "livepatch_health"))
LOOKED = (
    "boot_id",
    "rebooted",
    "uptime_seconds",
    "effective_release",
    "enabled",
    "sequence",
    "events",
    "signatures",
    "counters",
    "taint",
    "sources",
)
UNSEEN = {
    "lost": "records of its kernel log are lost",
    "truncated": "its kernel log cannot be read to its end",
    "unreadable": "its kernel log cannot be read",
}


def open_slice(state):
    """Return the Hosts of the slice that is open; those that a dead controller had begun elsewhere wait for theirs."""
    return [host for host in map(state.hosts.get, (state.last_slice or {}).get("hosts", ())) if host and host.begun]


def of_slice(state, results, now):
    """Return the outcome and look entries of the hosts whose slice was just patched.

    results: function of a name to {package, apply, look}, {} for a task that did not run; now: seconds since 1970.
    A host that is lost on the way has {package: {unreachable: True}}.
    """
    entries = []
    for host in open_slice(state):
        found = results(host.name)
        entries.append(_of_slice(state, host, found, now))
        if found.get("look") and not found["look"].get("skipped"):
            entries.append(look_entry(host, found["look"]))
    return entries


def _of_slice(state, host, results, now):
    package, apply, look = (results.get(step) or {} for step, unused in STEPS)
    before = state.before.get(host.name) or {}
    outcome, reason = _slice_outcome(host, before.get("enabled"), package, apply, look, now)
    changed = bool(package.get("changed") or apply.get("changed"))
    # A controller that died, or a former round, may have changed the host before this run looked at it.
    again = before.get("run", state.runs) != state.runs
    if outcome == "patched" and not changed and not again:
        outcome = "already"
    blind = look_entry(host, look).get("error") if _ran(look) else "livepatch_health did not run"
    entry = {
        "kind": "outcome",
        "host": host.name,
        "tier": host.tier,
        "slice": host.slice,
        "outcome": outcome,
        "reason": reason,
        "changed": changed,
        "package": package.get("package"),
        "package_before": package.get("before"),
        "enabled_before": before["enabled"] if again else _enabled_before(apply, host.enabled),
        "livepatch": look.get("enabled") or apply.get("name"),
        "effective_release": look.get("effective_release") or apply.get("effective_release"),
        "age_seconds": _age(outcome, host, look, now),
        "boot_id": look.get("boot_id") or (apply.get("since") or {}).get("boot_id"),
        "boot_id_before": (apply.get("since") or {}).get("boot_id"),
        "sequence": look.get("sequence"),
        "since": apply.get("since"),
        "seconds": (apply.get("transition") or {}).get("seconds"),
    }
    if outcome in ("patched", "already") and blind:
        entry["blind"] = blind
    return entry


def _enabled_before(apply, planned):
    """Return the livepatch (str or None) that ran before; what the package was before, a text, says nothing of it."""
    before = apply.get("before")
    return before.get("enabled", planned) if isinstance(before, dict) else planned


def _slice_outcome(host, had, package, apply, look, now):
    """Return (outcome, reason). had: the livepatch (str or None) that ran before the rollout first touched the host."""
    rebooted = _rebooted_in_slice(host, apply, look, now - journal.seconds(host.begun["time"]))
    if rebooted:
        return "rebooted", rebooted
    image = apply.get("error") == "image_based"
    # Which kernel runs may have become another one since the plan, with whatever it boots with: nothing was touched then.
    other = bool(host.package) and apply.get("error") == "other_kernel" and not apply.get("changed")
    lacks = f"no repository has a build for kernel {package.get('kernel_release') or ''}".strip()
    lacks = f"its system is an image ({apply.get('image_based')}) that does not have the package" if image else lacks
    lacks = f"runs another kernel than {host.kernel_release} by now: it comes with the next round" if other else lacks
    if image or other or package.get("outcome") == "not_applicable":
        if not (image or other) and (apply.get("error") or apply.get("unreachable")):
            return _problem(apply, "livepatch")
        runs = look["enabled"] if _ran(look) and "enabled" in look else _enabled_before(apply, None)
        # A controller, or a module, that died may have brought it, from a repository that had it then.
        if runs and (runs == host.livepatch or runs != had and not other):
            return "failed", f"{lacks}, but it runs {runs}"
        return "failed" if apply.get("failed") and not (image or other) else "not_applicable", lacks
    for result, (unused, module) in zip((package, apply), STEPS):
        problem = _problem(result, module)
        if problem:
            return problem
    if not _ran(apply):
        return "failed", "livepatch did not run"
    newer = package.get("outcome") == "already" and package.get("package")
    if host.package and package.get("package") != host.package and not newer:
        return "failed", f"its answer names package {package.get('package')}: expected the build {host.package}"
    if newer and not apply.get("name"):
        return "failed", f"has {newer}, which is newer than the build {host.package}, and does not run it: load it, or remove the package"
    if apply.get("proven") is not True or not apply.get("name"):
        return "failed", "the livepatch is not proven to run" if apply.get("name") else "its answer does not name a livepatch that runs"
    if look.get("unreachable"):
        return _problem(look, "livepatch_health")
    well = ("already", f"has {newer}, which is newer than the build {host.package}") if newer else ("patched", "")
    return _worse(host, look, apply.get("name"), now) or well


def of_looks(state, looks, now):
    """Return the entries of a round of looks, and an outcome entry for each patched host that has gone bad since.

    looks: name -> result of livepatch_health, {} for a host whose look did not come back; now: seconds since 1970.
    A host that does not answer may be behind a broken switch: only after the grace it counts as crashed, except in the
    first tier, which tolerates nothing. A look that fails, though the host answers, tells nothing.
    """
    well, entries = {}, []
    for name, look in looks.items():
        host = state.hosts.get(name)
        if host is None:
            continue
        if _is_well(host, look):
            sequence = look.get("sequence")
            well[name] = None if sequence == host.told.get("sequence") else sequence
            continue
        entries.append(look_entry(host, look))
        if not host.is_("patched", "already"):
            continue
        if another_machine(host, look, now) or _is_silent(look) and not state.tolerates_nothing(host.tier):
            continue
        worse = _of_look(host, look, now)
        entries += [worse] if worse else []
    return ([{"kind": "looks", "well": well}] if well else []) + entries


def _is_well(host, look):
    """Does this look tell nothing but that the host is as it was? Most do: they are written as a name alone."""
    return (
        _ran(look)
        and not look.get("failed")
        and not look.get("unreachable")
        and not look.get("events")
        and not look.get("rebooted")
        and not _lacking(look)
        and look["boot_id"] == host.boot_id
        and host.told.get("boot_id", host.boot_id) == host.boot_id
        and bool(host.told)
        and host.habits is not None
        and all(look.get(key) == host.told.get(key) for key in ("counters", "taint"))
        and not look.get("unseen")
        and look.get("enabled") == (host.livepatch if host.arm == "patched" else host.enabled)
    )


def _of_look(host, look, now):
    found, last = None, host.outcome
    if look.get("boot_id") and host.boot_id and look["boot_id"] != host.boot_id:
        found = "rebooted", f"rebooted {_after(look, now - journal.seconds(last['time']), 'patching')}(boot id changed)"
    if not found and (look.get("unreachable") or not look.get("failed") and _ran(look)):
        found = _problem(look, "livepatch_health") or _worse(host, look, last.get("livepatch"), now)
    if not found:
        return None
    return dict(_changed(last, found, look), age_seconds=_age(found[0], host, look, now))


def of_silence(state, now):
    """Return an outcome entry for each patched host that has not answered for longer than the grace."""
    grace = state.rules["unreachable_grace"]
    return [
        _changed(host.outcome, ("unreachable", f"did not answer for {round((now - host.lost) / 60)} min"), {})
        for host in state.hosts.values()
        if host.lost is not None and now - host.lost >= grace and host.is_("patched", "already")
    ]


def of_sources(state, readings):
    """Return the entries of what sources on the controller have told (results of sources.read): readings, and new events."""
    entries = []
    for reading in readings:
        kept = {key: value for key, value in reading.items() if key not in ("name", "events")}
        entries.append({"kind": "reading", "source": reading["name"], **kept})
        for event in reading["events"]:
            host = state.hosts.get(event["host"])
            if host is None or not host.counts or event["kind"] == "coredump":
                continue
            known = host.crash if event["kind"] == "crash" else host.alarm
            # What a dump tells late may have happened before the host was patched.
            if known or (host.patched and event["time"] < host.patched[0]):
                continue
            entries.append(_event(reading["name"], event))
            if host.is_("patched", "already"):
                outcome = "rebooted" if event["kind"] == "crash" else "alarmed"
                entries.append(_changed(host.outcome, (outcome, entries[-1]["text"]), {}))
    return entries


def _event(source, event):
    text = f"{event['kind']}: {event.get('text') or event.get('signature') or 'no text'} (told by {source})"
    return {"kind": "event", "host": event["host"], "event": event["kind"], "at": event["time"], "text": text}


def of_facts(host, facts, problem):
    """Return the new outcome entry (dict) of a Host that is done, from the facts at a resume, None if all is well.

    facts: ansible_facts.livepatch or None; problem: (outcome, reason) if they are missing.
    """
    last, found = host.outcome, problem
    if facts and host.boot_id and facts.get("boot_id") != host.boot_id:
        found = "rebooted", "rebooted since it was patched (boot id changed)"
    elif facts and last.get("livepatch") and facts.get("enabled") != last["livepatch"]:
        found = "failed", f"runs {facts.get('enabled') or 'no livepatch'} instead of {last['livepatch']}"
    if not found:
        return None
    return _changed(last, found, facts or {})


def of_begun(host, facts, problem):
    """Return the outcome entry (dict) of a Host whose slice a controller had begun that then died, None if it is done again.

    A host that is gone, or was booted anew, may be so because of the livepatch.
    """
    if problem:
        found = problem
    elif facts.get("boot_id") != host.boot_id:
        found = "rebooted", "rebooted after its slice began (boot id changed)"
    else:
        return None
    return {
        "kind": "outcome",
        "host": host.name,
        "tier": host.tier,
        "slice": host.slice,
        "outcome": found[0],
        "reason": found[1],
        "changed": None,
        "enabled_before": host.enabled,
        "boot_id": (facts or {}).get("boot_id"),
        "effective_release": (facts or {}).get("effective_release"),
    }


def of_rollback(state, names, results, inventory=None):
    """Return the outcome entries of these hosts; results: function of a name to what the rollback's tasks answered.

    A host that is in no inventory any more (a container of names) is gone: there is nothing to be rolled back.
    """
    return [
        _of_rollback(state.hosts.get(name), name, had, results(name) if inventory is None or name in inventory else None)
        for name, had in ((name, state.before.get(name)) for name in names)
        if had is not None
    ]


def _of_rollback(host, name, had, result):
    last = (host.outcome if host else None) or {
        "kind": "outcome",
        "host": name,
        "tier": host.tier if host else None,
        "slice": host.slice if host else None,
    }
    if result is None:
        return dict(_changed(last, ("gone", "it is in the inventory no longer"), {}), changed=False)
    found = _problem(result, "the rollback") or _not_back(had["enabled"], result)
    back = "with its next boot" if _is_at_boot(result) else ""
    entry = _changed(last, ("rollback_failed", found[1]) if found else ("rolled_back", back), result)
    return dict(entry, changed=bool(result.get("changed")))


def _not_back(wanted, result):
    """Return (outcome, reason) where the answer of livepatch does not say that a host runs `wanted` (name or None), else None."""
    if not _ran(result):
        return "failed", "the rollback did not run"
    if _is_at_boot(result):
        return ("failed", f"its next boot enables {result['name']}") if result.get("name") else None
    if result.get("name") != wanted:
        return "failed", f"runs {result.get('name') or 'nobody knows what'} instead of {wanted or 'no livepatch'}"
    # Taking all out has no name: what is proven then is that nothing is left.
    return None if result.get("proven") is True else ("failed", f"it is not proven that it runs {wanted or 'no livepatch'}")


def _is_at_boot(result):
    """Whether it is livepatch_persistence that has answered: the livepatch was left in the kernel until the next boot."""
    return "by" in result


def of_persistence(results):
    """Return the entry (dict) that tells which hosts keep the livepatch over reboots; results: name -> result."""
    reasons = {name: _not_persistent(result) for name, result in results.items()}
    return {
        "kind": "persisted",
        "hosts": [name for name, reason in reasons.items() if not reason],
        "failed": {name: reason for name, reason in reasons.items() if reason},
    }


def _not_persistent(result):
    """Return why (str) a host does not keep its livepatch over reboots, None if it does; result: of livepatch_persistence."""
    problem = _problem(result, "livepatch_persistence")
    if problem:
        return problem[1]
    if not _ran(result):
        return "livepatch_persistence did not run"
    guard = result.get("boot_guard") or {}
    if guard.get("state") == "tripped":
        return guard.get("reason") or "its boot guard has tripped"
    # A host without systemd is no failure.
    return _message(result) if result.get("error") else None


def look_entry(host, look):
    """Return the look entry (dict) of a Host for the journal; one that does not answer is silent, a look that failed an error.

    Of alarms that were there before it has the number alone, and what was before the first look on an arm only there.
    """
    entry = {"kind": "look", "host": host.name}
    if _is_silent(look):
        return dict(entry, silent=_message(look) if look else "livepatch_health did not run")
    if look.get("failed"):
        return dict(entry, error=_message(look))
    lacking = _lacking(look)
    if lacking:
        return dict(entry, error=f"its answer has no {lacking}: expected what livepatch_health tells")
    entry.update({key: look[key] for key in LOOKED if key in look})
    entry["events"] = [event for event in entry["events"] if event.get("new") is not False]
    if host.habits is None and look.get("known_signatures"):
        entry["known_signatures"] = look["known_signatures"]
    if look.get("unseen"):
        why = UNSEEN.get((look["sources"] or {}).get("kmsg"), "its kernel log does not tell")
        entry["error"] = f"{why}, so an alarm would not be seen: {', '.join(look['unseen'])}"
    if look.get("time"):
        entry["host_time"] = look["time"]  # of the host's own clock: only differences of it mean anything
    return entry


def _lacking(look):
    """Return what (str) a look does not tell that every look tells, None if nothing: what is not told is not well."""
    if not look.get("boot_id"):
        return "boot id"
    return next((key for key in ("enabled", "events", "unseen", "sources") if key not in look), None)


def _is_silent(look):
    return not look or bool(look.get("unreachable"))


def _changed(last, found, seen):
    entry = {key: value for key, value in last.items() if key not in ("time", "run", "schema", "boot_id_before", "blind")}
    entry.update(outcome=found[0], reason=found[1])
    for key in ("boot_id", "effective_release", "sequence"):
        if seen.get(key) is not None:
            entry[key] = seen[key]
    return entry


def _rebooted_in_slice(host, apply, look, elapsed):
    before = (apply.get("since") or {}).get("boot_id")
    seen = look.get("boot_id")
    sure = look.get("rebooted") is True or bool(before and seen and before != seen)
    # Without a reading from before, a boot id other than the planned one may be a reboot of last week:
    # only one that is younger than the slice is ours.
    uptime = look.get("uptime_seconds")
    unsure = bool(host.boot_id and not before and seen and seen != host.boot_id) and (uptime is None or uptime < elapsed)
    if not sure and not unsure:
        return None
    return f"rebooted {_after(look, elapsed, 'its slice began')}(boot id changed)"


def _after(look, elapsed, event):
    uptime = look.get("uptime_seconds")
    if uptime is None or uptime > elapsed:
        return ""
    return f"{int(elapsed - uptime)} s after {event} "


def _age(outcome, host, look, now):
    """How many seconds before the look it happened, by the host's own clock."""
    if outcome == "rebooted":
        return look.get("uptime_seconds")
    found = alarms(host, look, now) if outcome == "alarmed" else None
    return found[0].get("age_seconds") if found else None


def _worse(host, look, livepatch, now):
    """Return (outcome, reason) of a look that was made and tells of harm, None for one that does not."""
    if look.get("rebooted") is True:
        return "rebooted", "rebooted since it was patched (boot id changed)"
    for event in alarms(host, look, now)[:1]:
        text = event.get("text") or event.get("signature") or ""
        return "alarmed", f"kernel alarm, {event.get('kind', 'event')}: {text}".strip()
    if livepatch and "enabled" in look and look["enabled"] != livepatch:
        return "failed", f"runs {look['enabled'] or 'no livepatch'} instead of {livepatch}"
    return None


def _problem(result, module):
    if result.get("timed_out"):
        return "unreachable", f"did not answer in time at {module}"
    if result.get("unreachable"):
        return "unreachable", f"unreachable at {module}"
    if not result.get("failed"):
        return None
    if result.get("error") == "stalled":
        return "stalled", _message(result)
    error = f" ({result['error']})" if result.get("error") else ""
    return "failed", f"{module} failed{error}: {_message(result)}"


def _ran(result):
    return bool(result) and not result.get("skipped")


def _message(result):
    return result.get("msg") or "no message"
