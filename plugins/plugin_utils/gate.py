# The judge: from the state of a rollout to pass or stop, by thresholds. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import shlex

NAMED_HOSTS = 10


def judge(state, tier=None, slice=None):
    """Return the verdict entry (dict) on the whole rollout as it stands; tier, slice: after which it is given.

    stop: a tier has more failures than it tolerates (counted over the whole tier, each host once); no host of a tier
    has a build and none was patched before; or the first tier has lost all its hosts before they were patched.
    pass: everything else. Same state in, same verdict out.
    """
    tiers = [numbers(state, planned) for planned in state.tiers]
    reasons = [_too_many(entry) for entry in tiers if entry["failed"] > entry["tolerated"]]
    if not any(entry["outcome"] != "not_applicable" for entry in state.outcomes.values()):
        reasons += [
            _no_build(state, entry) for entry in tiers if entry["hosts"] and entry["not_applicable"] == entry["hosts"]
        ]
    now = [entry for entry in tiers if entry["tier"] == tier]
    if slice is None and not state.patched():
        reasons += [_nobody_left(entry) for entry in now if not entry["hosts"]]
    verdict = "stop" if reasons else "pass"
    return {
        "kind": "verdict",
        "tier": tier,
        "slice": slice,
        "verdict": verdict,
        "reasons": [f"{verdict}: {reason}" for reason in reasons or [_tolerable(entry) for entry in now]],
        "failures": {name: [reason] for name, reason in state.failures.items()},
        "tiers": [{key: value for key, value in entry.items() if key != "reasons"} for entry in tiers if entry["done"]],
    }


def numbers(state, planned):
    """Return what a tier (planned entry) has come to: counts of hosts, done, failed, tolerated, not_applicable."""
    names = state.tier_hosts(planned["number"])
    outcomes = [state.outcomes[name]["outcome"] for name in names if name in state.outcomes]
    failures = {name: state.failures[name] for name in names if name in state.failures}
    return {
        "tier": planned["number"],
        "name": planned["name"],
        "hosts": len(names),
        "done": len(outcomes),
        "failed": len(failures),
        "tolerated": planned["max_failures"],
        "not_applicable": outcomes.count("not_applicable"),
        "reasons": failures,
    }


def counts(state):
    """Return how many hosts have which outcome (dict)."""
    found = {}
    for name in state.hosts:
        if name not in state.excluded:
            _count(found, state.outcomes.get(name, {}).get("outcome", "untouched"))
    for entry in state.excluded.values():
        _count(found, entry["outcome"])
    return found


def _count(found, outcome):
    found[outcome] = found.get(outcome, 0) + 1


def _of_tier(entry):
    return f"{entry['failed']} of {entry['hosts']} hosts of tier {entry['name']} failed, {entry['tolerated']} tolerated"


def _too_many(entry):
    named = [f"{name} {reason}" for name, reason in list(entry["reasons"].items())[:NAMED_HOSTS]]
    more = entry["failed"] - len(named)
    return f"{_of_tier(entry)}: " + "; ".join(named) + (f"; and {more} more" if more else "")


def _no_build(state, entry):
    kernels = sorted({state.hosts[name]["kernel_release"] for name in state.tier_hosts(entry["tier"])})
    return (
        f"no host of tier {entry['name']} has a build of release {state.release} "
        f"(kernel releases {', '.join(kernels[:NAMED_HOSTS])})"
    )


def _nobody_left(entry):
    return (
        f"no host of tier {entry['name']} is left to patch, and nobody was patched before it. "
        "Bring one of its hosts back, or plan anew with another livepatch_rollout"
    )


def _tolerable(entry):
    return _of_tier(entry)


def stop_message(state, journal):
    """Return what a person is told when the rollout is stopped (str): where, why, and what they may do next.

    journal: its path, which the commands name.
    """
    verdict = state.stop
    where = next((tier["name"] for tier in state.tiers if tier["number"] == verdict["tier"]), None)
    after = (
        f" after tier {where}" + (f", slice {verdict['slice']}" if verdict["slice"] else "")
        if where
        else " at its resume"
    )
    untouched = counts(state).get("untouched", 0)
    return "\n".join(
        [
            f"The rollout {state.rollout} of release {state.release} was stopped{after}; {untouched} hosts are untouched.",
            *verdict["reasons"],
            f"To roll back the {len(state.to_roll_back())} hosts it touched: {command(state, journal, 'rollback')}",
            "To go on, with the failed hosts tried again, once the reason is known: "
            + command(state, journal, "rollout", "livepatch_retry=<reason>"),
            f"Everything is in the journal {journal}; the commands take the further options of the first one.",
        ]
    )


def command(state, journal, playbook, *more):
    """Return the command line (str) that runs a playbook of this collection on this rollout."""
    words = ["ansible-playbook", f"kernel.livepatch.{playbook}"]
    for source in state.last_run.get("inventory", []):
        words += ["-i", source]
    settings = [f"livepatch_release={state.release}", f"livepatch_rollout={state.rollout}"]
    settings.append("livepatch_journal_dir=" + (journal.rpartition("/")[0] or "/"))
    for setting in settings + list(more):
        words += ["-e", setting]
    return " ".join(shlex.quote(word) for word in words)
