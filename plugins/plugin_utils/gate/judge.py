# The judge: from the state of a rollout to pass, hold or stop. Pure: same state and time in, same verdict out.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from collections import Counter

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import arms, findings
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate.findings import NAMED_HOSTS


def judge(state, now, tier=None, slice=None, looked=False):
    """Return the verdict entry (dict) on the whole rollout as it stands at `now` (seconds since 1970).

    tier, slice: after which it is given; without slice it is a look during the tier's soak; without tier it is a resume.
    looked: whether all whom looks are for were looked at just now; the entry says so.
    stop: a person said so; the first tier has a failure, or none of its hosts has the livepatch; more hosts of a later tier
    could not be patched than it tolerates; the evidence of crashes reaches stop_evidence; a source of evidence says so; no
    host of a tier has a build and none was patched before.
    hold: a person said so; evidence is strong, missing, or on one arm only; patched hosts do not answer.
    pass: everything else. With report_only a stop or hold is said and not acted on, but for what a person has said.
    """
    tiers = [numbers(state, planned) for planned in state.tiers]
    now_tier = next((entry for entry in tiers if entry["tier"] == tier), None)
    evidence = findings.evidence(state, now)
    said_stops, said_holds = _said("aborted", state.aborted), _said("paused", state.paused)
    by_evidence = findings.reasons(state, evidence, "stop")
    stops, holds = [*_tier_stops(state, tiers, now_tier, slice), *by_evidence], []
    if tier is not None:
        holds = [*_untold(state, now, now_tier, slice, looked), *findings.reasons(state, evidence, "hold")]
    if state.stop and not (said_stops or stops):
        said_stops = [reason.partition(": ")[2] for reason in state.stop["reasons"]]  # Only a person takes a stop back.
    meant = "stop" if said_stops or stops else "hold" if said_holds or holds else "pass"
    verdict = meant
    if state.rules["report_only"] and not state.stop:
        verdict = "stop" if said_stops else "hold" if said_holds and tier is not None else "pass"
    reasons = said_stops + stops or said_holds + holds or [findings.sentence(evidence, now_tier)]
    reasons += _elsewhere(state)
    prefix = meant if verdict == meant else f"report only, {meant}"
    return {
        "kind": "verdict",
        "tier": tier,
        "slice": slice,
        "verdict": verdict,
        "reasons": [f"{prefix}: {reason}" for reason in reasons],
        "by_evidence": bool(by_evidence),
        "failures": {host.name: [host.failure] for host in state.hosts.values() if host.failure},
        "tiers": [{key: value for key, value in entry.items() if key != "reasons"} for entry in tiers if entry["done"]],
        "evidence": evidence,
        **({"looked": True} if looked else {}),
    }


def numbers(state, planned):
    """Return what a tier (planned entry) has come to: counts of hosts, done, failed, tolerated, not_applicable.

    Until the first tier is done every failure of its hosts counts. Later, and in later tiers, it is those of patching:
    what hosts suffer afterwards is evidence. On the second day even a canary may crash for reasons of its own.
    Never all hosts of a tier may fail, whatever is tolerated.
    """
    hosts = state.tier_hosts(planned["number"])
    every = state.tolerates_nothing(planned["number"])
    failures = {host.name: host.failure for host in hosts if host.failure and (every or host.own)}
    return {
        "tier": planned["number"],
        "name": planned["name"],
        "hosts": len(hosts),
        "done": sum(host.done for host in hosts),
        "failed": len(failures),
        "tolerated": min(planned["max_failures"], max(0, len(hosts) - 1)),
        "not_applicable": sum(host.is_("not_applicable") for host in hosts),
        "reasons": failures,
    }


def counts(state):
    """Return how many hosts have which outcome (dict)."""
    planned = outcomes(host for host in state.hosts.values() if host.name not in state.excluded)
    return dict(planned + Counter(entry["outcome"] for entry in state.excluded.values()))


def outcomes(hosts):
    """Return the outcomes of hosts of the plan (Counter); those without one are untouched."""
    return Counter(host.outcome["outcome"] if host.done else "untouched" for host in hosts)


def _said(done, entry):
    return [f"{done} by {entry['user']}: {entry['reason']}"] if entry else []


def _tier_stops(state, tiers, now_tier, slice):
    reasons = [_too_many(entry) for entry in tiers if entry["failed"] > entry["tolerated"]]
    reasons = reasons or [_whole_cohort(state, cohort, names) for cohort, names in lost_cohorts(state).items()]
    if not any(host.done and not host.is_("not_applicable") for host in state.hosts.values()):
        reasons += [
            _no_build(state, entry) for entry in tiers if entry["hosts"] and entry["not_applicable"] == entry["hosts"]
        ]
    # A tier that nobody came through well is no pass, unless there is nothing to patch in it.
    if slice is None and now_tier and not reasons and not state.remaining(now_tier["tier"]):
        runs = any(host.watched and host.is_("patched", "already") for host in state.hosts.values())
        if not runs and not any(host.crash for host in state.hosts.values() if host.patched):
            reasons.append(_nobody_left(now_tier))
    return reasons


def lost_cohorts(state):
    """Return {cohort: names of its hosts} of cohorts that the livepatch has reached, but of which no host has come through.

    A kind of host that is met for the first time in a later tier may not fail as a whole, whatever that tier tolerates.
    Cohorts that are too small to be told apart are taken together, as the evidence does.
    """
    merged, found = arms.cohorts(state), {}
    for host in state.hosts.values():
        if host.done and not host.is_("not_applicable", "rolled_back", "gone"):
            found.setdefault(merged[host.cohort], []).append(host)
    return {
        cohort: [host.name for host in hosts]
        for cohort, hosts in found.items()
        if all(host.failure and host.own for host in hosts)
    }


def _elsewhere(state):
    """Say how many hosts can be compared with no longer: what they run has come to them by another way."""
    number = sum(host.others for host in state.waiting())
    return [f"{number} hosts that wait have changed their livepatch by another way: not compared with"] if number else []


def _whole_cohort(state, cohort, names):
    kind = f"cohort {cohort}" if cohort else "the small cohorts"
    text = "; ".join(f"{name} {state.hosts[name].failure}" for name in names[:NAMED_HOSTS])
    return f"every host of {kind} that was patched so far has failed ({len(names)}): {text}"


def _untold(state, now, now_tier, slice, looked):
    """What is not known, and what there is nothing to compare with."""
    silent = arms.silent(state, now)
    minutes = round(state.rules["unreachable_grace"] / 60)
    if silent:
        yield f"{named(silent)} patched and silent: a host that does not answer for {minutes} min counts as crashed"
    yield from _weightless(state)
    over = slice is None and soak_is_over(state, now_tier["tier"], now)
    grace = 0 if over else state.rules["unreachable_grace"]
    blind = [host for host in state.watched() if host.blind and now - host.blind[0] >= grace]
    if blind:
        names = [host.name for host in blind]
        yield f"{named(names)} patched, and the looks at them fail: {blind[0].name}: {blind[0].blind[1]}"
    if not over:
        return
    until = soak_end(state, now_tier["tier"])
    if not looked and state.looked_at < until:
        return
    unseen = [host.name for host in state.watched() if host.lost is None and not host.blind and host.seen < until]
    if unseen:
        yield f"{named(unseen)} not looked at since the soak of tier {now_tier['name']} ended"
    waiting = [host for host in state.waiting() if host.arm == "control"]
    if waiting and state.watched() and state.rules["control_hosts"] and not _control_was_seen(state, waiting, now_tier):
        yield f"none of the {len(waiting)} hosts without the livepatch was looked at: there is nothing to compare with"


def _weightless(state):
    """Hosts that were hit after their slice, and before it already: they weigh nothing on either arm, so they are counted here."""
    for tier in state.tiers:
        hosts = [
            host.name
            for host in state.tier_hosts(tier["number"])
            if host.crash and host.patched and host.crash[0] < host.patched[0] and host.is_("rebooted", "unreachable", "alarmed")
        ]
        if len(hosts) > tier["max_failures"]:
            yield (
                f"{named(hosts)} in trouble after they were patched, and were so before it already: that is no evidence, but more "
                f"hosts of tier {tier['name']} than the {tier['max_failures']} that it tolerates"
            )


def _control_was_seen(state, waiting, tier):
    begun = state.begun_at.get(tier["tier"], 0.0)
    return any(host.crash or (host.control and host.control[1] >= begun) for host in waiting)


def soak_end(state, tier):
    """Return when (seconds since 1970) the soak of a tier is over: as planned, or when a person has ended it.

    Not before its last host is done: what was said earlier ends no soak without a look.
    """
    said = max(state.promoted.get(tier, float("inf")), state.finished_at.get(tier, 0.0))
    return min(state.soaks.get(tier, float("inf")), said)


def soak_is_over(state, tier, now):
    """Tell whether the tier has lived as long as planned, or a person has ended its soak."""
    return tier in state.tiers_done or now >= soak_end(state, tier)


def _too_many(entry):
    failed = [f"{name} {reason}" for name, reason in list(entry["reasons"].items())[:NAMED_HOSTS]]
    more = entry["failed"] - len(failed)
    return f"{findings.of_tier(entry)}: " + "; ".join(failed) + (f"; and {more} more" if more else "")


def named(names):
    """Return hosts as the begin of a sentence (str): "a, b and 3 more are"."""
    return f"{values.listed(names, NAMED_HOSTS)} {'is' if len(names) == 1 else 'are'}"


def _no_build(state, entry):
    kernels = sorted({host.kernel_release for host in state.tier_hosts(entry["tier"])})
    return (
        f"no host of tier {entry['name']} has a build of release {state.release} "
        f"(kernel releases {', '.join(kernels[:NAMED_HOSTS])})"
    )


def _nobody_left(entry):
    return (
        f"no host of tier {entry['name']} is left that runs the release, nor one before it: there is nothing to judge by. "
        "Bring one of its hosts back, or plan anew with another livepatch_rollout"
    )
