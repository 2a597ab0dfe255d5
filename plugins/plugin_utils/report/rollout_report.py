# The report of a rollout, as data: tiers in time, evidence over time, events on both arms, and what became of each host. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages, summary
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states

SCHEMA = 1
# More points than a curve on a page can show are thinned out; the last one and the highest of each stretch stay.
MOST_POINTS = 1000


def report(entries, path, now):
    """Return the report (dict, plain values) of the last round of a rollout; its times are seconds since 1970.

    entries: those of the journal (list of dict). path: of the journal. now: seconds since 1970, for what still goes on.
    """
    state = states.state(entries)
    last_round = _last_round(entries)
    begun = journal.seconds(last_round[0]["time"])
    ended = [journal.seconds(entry["time"]) for entry in last_round if entry["kind"] == "end"]
    until = ended[-1] if state.ended and ended else now
    found = summary.summary(state, path)
    rules = state.rules
    return {
        "schema": SCHEMA,
        "rollout": state.rollout,
        "release": state.release,
        "result": found["result"],
        "reasons": found["reasons"],
        "counts": found["counts"],
        "begun": begun,
        "until": until,
        "runs": state.runs,
        "user": state.last_run.get("user"),
        "controller": state.last_run.get("controller"),
        "journal": path,
        "tiers": [_tier(state, tier, last_round, until) for tier in state.tiers or []],
        "rules": {"stop_evidence": rules["stop_evidence"], "hold_evidence": rules["hold_evidence"]},
        "evidence": _thinned([_point(entry) for entry in last_round if entry["kind"] == "verdict"]),
        "events": _events(state),
        "overrides": [_said(entry) for entry in last_round if entry["kind"] in ("override", "retry", "takeover")],
        "builds": messages.build_rows(state),
        "not_persistent": messages.not_persistent_lines(state.persistence),
        "hosts": _hosts(state),
    }


def _last_round(entries):
    begin = max((number for number, entry in enumerate(entries) if entry["kind"] == "rollout"), default=0)
    return entries[begin:]


def _tier(state, planned, entries, until):
    number = planned["number"]
    verdicts = [entry for entry in entries if entry["kind"] == "verdict" and entry["tier"] == number]
    done = [journal.seconds(entry["time"]) for entry in entries if entry["kind"] == "tier_done" and entry["tier"] == number]
    hosts = state.tier_hosts(number)
    begun = state.begun_at.get(number)
    slices = [journal.seconds(entry["time"]) for entry in verdicts if entry["slice"] is not None]
    over = done[-1] if done and number in state.tiers_done else None
    return {
        "number": number,
        "name": planned["name"],
        "hosts": len(hosts),
        "slices": len(planned["slices"]),
        "soak_seconds": planned["soak"],
        "begun": begun,
        "patched": slices[-1] if slices and not state.remaining(number) else None,
        "over": over,
        "until": None if begun is None else over or (journal.seconds(verdicts[-1]["time"]) if state.ended and verdicts else until),
        "verdict": verdicts[-1]["verdict"] if verdicts else None,
        "holds": _holds(verdicts, over or until),
        "counts": dict(judge.outcomes(hosts)),
    }


def _holds(verdicts, until):
    """The stretches [from, to] in which a tier was on hold."""
    found, since = [], None
    for entry in verdicts:
        moment = journal.seconds(entry["time"])
        if entry["verdict"] == "hold":
            since = moment if since is None else since
        elif since is not None:
            found.append([since, moment])
            since = None
    return found + ([[since, until]] if since is not None else [])


def _point(verdict):
    crashes, alarms = verdict["evidence"]["crashes"], verdict["evidence"]["alarms"]
    return {
        "at": journal.seconds(verdict["time"]),
        "tier": verdict["tier"],
        "verdict": verdict["verdict"],
        "crashes": {key: crashes[key] for key in ("e", "patched", "control")},
        "alarms": {key: alarms[key] for key in ("e", "patched", "control")},
    }


def _thinned(points):
    if len(points) <= MOST_POINTS:
        return points
    step = -(-len(points) // MOST_POINTS)
    stretches = [points[start : start + step] for start in range(0, len(points) - 1, step)]
    highest = [max(stretch, key=lambda point: max(point["crashes"]["e"], point["alarms"]["e"])) for stretch in stretches]
    return highest + points[-1:]


def _events(state):
    """Crashes and new kernel alarms, in the order in which they happened."""
    found = []
    for host in state.hosts.values():
        for kind, known in (("crash", host.crash), ("alarm", host.alarm)):
            if known:
                arm = "patched" if host.patched and known[0] >= host.patched[0] else "control"
                found.append({"at": known[0], "host": host.name, "arm": arm, "event": kind, "text": known[1]})
    return sorted(found, key=lambda event: (event["at"], event["host"]))


def _said(entry):
    return {
        "at": journal.seconds(entry["time"]),
        "override": entry.get("override", entry["kind"]),
        "user": entry["user"],
        "reason": entry["reason"],
    }


def _hosts(state):
    found = summary.rows(state)
    for row in found:
        host = state.hosts.get(row["host"])
        outcome = (host.outcome if host else None) or {}
        row["at"] = journal.seconds(outcome["time"]) if outcome.get("time") else None
        row["seconds"] = outcome.get("seconds")
        row["persistent"] = not state.persistence[row["host"]] if row["host"] in state.persistence else None
    return found
