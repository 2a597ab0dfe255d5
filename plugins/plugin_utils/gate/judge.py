# The judge: from the state of a rollout to pass, hold or stop. Pure: same state and time in, same verdict out.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import arms, findings
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate.findings import NAMED_HOSTS


def judge(state, now, tier=None, slice=None):
    """Return the verdict entry (dict) on the whole rollout as it stands at `now` (seconds since 1970).

    tier, slice: after which it is given; without slice it is a look during the tier's soak; without tier it is a resume.
    stop: a person said so; the first tier has a failure, or has lost all its hosts; more hosts of a later tier could not be
    patched than it tolerates; the evidence of crashes reaches stop_evidence; a source of evidence says so; no host of a
    tier has a build and none was patched before.
    hold: a person said so; evidence is strong, missing, or on one arm only; patched hosts do not answer.
    pass: everything else. With report_only a stop or hold is said and not acted on.
    """
    tiers = [numbers(state, planned) for planned in state.tiers]
    now_tier = next((entry for entry in tiers if entry["tier"] == tier), None)
    evidence = findings.evidence(state, now)
    stops = [*_said_stop(state), *_tier_stops(state, tiers, now_tier, slice), *findings.stops(state, evidence)]
    holds = (
        []
        if tier is None
        else [*_said_hold(state), *_untold(state, now, now_tier, slice), *findings.holds(state, evidence)]
    )
    if state.stop and not stops:
        stops = [reason.partition(": ")[2] for reason in state.stop["reasons"]]  # Only a person takes a stop back.
    meant = "stop" if stops else "hold" if holds else "pass"
    bound = state.stop or state.aborted or (state.paused and meant == "hold")
    verdict = "pass" if state.report_only and not bound else meant
    reasons = stops or holds or [findings.sentence(state, evidence, now_tier)]
    prefix = meant if verdict == meant else f"report only, {meant}"
    return {
        "kind": "verdict",
        "tier": tier,
        "slice": slice,
        "verdict": verdict,
        "reasons": [f"{prefix}: {reason}" for reason in reasons],
        "failures": {name: [reason] for name, reason in state.failures.items()},
        "tiers": [{key: value for key, value in entry.items() if key != "reasons"} for entry in tiers if entry["done"]],
        "evidence": evidence,
    }


def numbers(state, planned):
    """Return what a tier (planned entry) has come to: counts of hosts, done, failed, tolerated, not_applicable.

    Until the first tier is done every failure of its hosts counts. Later, and in later tiers, it is those of patching:
    what hosts suffer afterwards is evidence. On the second day even a canary may crash for reasons of its own.
    """
    names = state.tier_hosts(planned["number"])
    outcomes = [state.outcomes[name]["outcome"] for name in names if name in state.outcomes]
    counted = state.failures if state.tolerates_nothing(planned["number"]) else state.own_failures
    failures = {name: state.failures[name] for name in names if name in counted}
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


def _said_stop(state):
    entry = state.aborted
    return [f"aborted by {entry['user']}: {entry['reason']}"] if entry else []


def _said_hold(state):
    entry = state.paused
    return [f"paused by {entry['user']}: {entry['reason']}"] if entry else []


def _tier_stops(state, tiers, now_tier, slice):
    reasons = [_too_many(entry) for entry in tiers if entry["failed"] > entry["tolerated"]]
    if not any(entry["outcome"] != "not_applicable" for entry in state.outcomes.values()):
        reasons += [
            _no_build(state, entry) for entry in tiers if entry["hosts"] and entry["not_applicable"] == entry["hosts"]
        ]
    if slice is None and now_tier and not now_tier["hosts"] and not state.patched():
        reasons.append(_nobody_left(now_tier))
    return reasons


def _untold(state, now, now_tier, slice):
    """What is not known, and what there is nothing to compare with."""
    silent = arms.unresolved(state, now)
    if silent:
        grace = round(state.rules["unreachable_grace"] / 60)
        yield f"{named(silent)} patched and silent: a host that does not answer for {grace} min counts as crashed"
    if slice is not None or not soak_is_over(state, now_tier["tier"], now):
        return
    unseen = unlooked(state, now_tier["tier"])
    if unseen:
        yield f"{named(unseen)} not looked at since the soak of tier {now_tier['name']} ended"
    if (
        state.waiting()
        and state.watched()
        and state.rules["control_hosts"]
        and not _control_was_seen(state, now_tier["tier"])
    ):
        yield f"none of the {len(state.waiting())} hosts without the livepatch was looked at: there is nothing to compare with"


def _control_was_seen(state, tier):
    waiting = set(state.waiting())
    begun = state.begun_at.get(tier, 0.0)
    return any(moment >= begun for name, moment in state.seen_control.items() if name in waiting) or any(
        name in state.crashes for name in waiting
    )


def unlooked(state, tier):
    """Return the names of the patched hosts that were not looked at since the tier's soak was over."""
    until = state.soaks.get(tier)
    if until is None or tier in state.promoted:
        return []
    return [name for name in state.watched() if name not in state.lost and state.seen_patched.get(name, 0.0) < until]


def soak_is_over(state, tier, now):
    """Tell whether the tier has lived as long as planned, or a person has ended its soak."""
    return tier in state.promoted or tier in state.tiers_done or now >= state.soaks.get(tier, float("inf"))


def _of_tier(entry):
    return f"{entry['failed']} of {entry['hosts']} hosts of tier {entry['name']} failed, {entry['tolerated']} tolerated"


def _too_many(entry):
    failed = [f"{name} {reason}" for name, reason in list(entry["reasons"].items())[:NAMED_HOSTS]]
    more = entry["failed"] - len(failed)
    return f"{_of_tier(entry)}: " + "; ".join(failed) + (f"; and {more} more" if more else "")


def named(names):
    """Return hosts as the begin of a sentence (str): "a, b and 3 more are"."""
    more = len(names) - NAMED_HOSTS
    listed = ", ".join(names[:NAMED_HOSTS]) + (f" and {more} more" if more > 0 else "")
    return f"{listed} {'is' if len(names) == 1 else 'are'}"


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
