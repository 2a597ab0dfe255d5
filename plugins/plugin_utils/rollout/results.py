# What a slice, a look or a rollback adds to the journal. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal, outcomes

REGISTERED = {"package": "livepatch_result_package", "apply": "livepatch_result_apply", "look": "livepatch_result_look"}


def of_slice(state, hosts, results, now):
    """Return the outcome and look entries of a slice that was just patched.

    hosts: names; results: function of a name to {package, apply, look} as registered; now: seconds since 1970.
    A host of this slice that is not among `hosts` was lost on the way and counts as unreachable.
    """
    begun = state.last_slice["hosts"] if state.last_slice else []
    entries = []
    for name in dict.fromkeys([*hosts, *begun]):
        if name not in state.begun:
            continue
        found = results(name) if name in hosts else {"package": {"unreachable": True}}
        begin, former = state.begun[name], state.forgiven.get(name)
        again = begin["run"] != state.runs or former is not None
        entry = outcomes.of_slice(
            state.hosts[name], found, now - journal.seconds(begin["time"]), again, state.boot_ids.get(name)
        )
        entries.append(outcomes.tried_again(entry, former) if former else entry)
        if found.get("look") and not found["look"].get("skipped"):
            entries.append(outcomes.look_entry(name, found["look"]))
    return entries


def of_looks(state, looks, now):
    """Return the look entries of these hosts, and an outcome entry for each patched one that has gone bad since.

    looks: name -> result of livepatch_health, {} for a host whose look did not come back; now: seconds since 1970.
    A host that does not answer may be behind a broken switch: only after the grace it counts as crashed, except in the
    first tier, which tolerates nothing.
    """
    entries = []
    for name, look in looks.items():
        look = look or {"failed": True, "msg": "livepatch_health did not run"}
        entries.append(outcomes.look_entry(name, look))
        last = state.outcomes.get(name, {})
        if last.get("outcome") != "patched":
            continue
        if look.get("unreachable") and not state.tolerates_nothing(last["tier"]):
            continue
        worse = outcomes.of_look(last, look, now - journal.seconds(last["time"]))
        entries += [worse] if worse else []
    return entries


def of_silence(state, now):
    """Return an outcome entry for each patched host that has not answered for longer than the grace."""
    grace = state.rules["unreachable_grace"]
    return [
        outcomes.of_silence(state.outcomes[name], round((now - since) / 60))
        for name, since in state.lost.items()
        if now - since >= grace and state.outcomes.get(name, {}).get("outcome") == "patched"
    ]


def of_sources(state, readings):
    """Return the entries of what sources on the controller have told (results of sources.read): readings, and new events."""
    entries = []
    for reading in readings:
        kept = {key: value for key, value in reading.items() if key not in ("name", "events")}
        entries.append({"kind": "reading", "source": reading["name"], **kept})
        for event in reading["events"]:
            name, known = event["host"], state.crashes if event["kind"] == "crash" else state.alarms
            watched = name in state.patched_at or name in state.seen_control
            # What a dump tells late may have happened before the host was patched.
            late = event["time"] < state.patched_at.get(name, 0)
            if watched and not late and name not in known and event["kind"] != "coredump":
                entries.append(_event(reading["name"], event))
                if state.outcomes.get(name, {}).get("outcome") == "patched":
                    entries.append(outcomes.of_event(state.outcomes[name], entries[-1]))
    return entries


def _event(source, event):
    text = f"{event['kind']}: {event.get('text') or event.get('signature') or 'no text'} (told by {source})"
    return {"kind": "event", "host": event["host"], "event": event["kind"], "at": event["time"], "text": text}


def of_rollback(state, hosts, results):
    """Return the outcome entries of these hosts; results: name -> livepatch_result_rollback."""
    found = []
    for name in hosts:
        if name in state.hosts or name in state.earlier:
            planned, last = state.before(name)
            found.append(outcomes.of_rollback(last, planned, results(name)))
    return found


def of_persistence(results):
    """Return the entry (dict) that tells which hosts keep the livepatch over reboots; results: name -> livepatch_result_persistence."""
    reasons = {name: outcomes.not_persistent(result) for name, result in results.items()}
    return {
        "kind": "persisted",
        "hosts": [name for name, reason in reasons.items() if not reason],
        "failed": {name: reason for name, reason in reasons.items() if reason},
    }
