# The start of a run: a plan made anew, or the one in the journal read and what was done verified. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import outcomes, plan
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states

PARAMETERS = ("tiers", "slice", "max_failures", "rules")


def opening(state, request, fleet):
    """Return (entries, notes): what this run adds to the journal at its start, and lines for people.

    state: of the journal so far; request: dict with rollout, release, tiers, slice, max_failures, seed, retry
    (reason or None), rules (from rules.parse), groups (inventory group -> names), run (the `run` entry) and former (what
    an earlier job of the same workflow ended with, from summary.summary, or None);
    fleet: from fleet.survey.
    No entries: the last round is complete and nothing is left to do, or the rollout is stopped and no retry given.
    Raises RolloutError for everything that is to be refused.
    """
    if state.rounds and state.release != request["release"]:
        raise RolloutError(
            f"The journal of rollout {request['rollout']} is of release {state.release}, not {request['release']}: "
            "give the new release a livepatch_rollout of its own."
        )
    follows = _follows(state, request)
    if not fleet:
        raise RolloutError("livepatch_hosts matches no host: expected at least one.")
    tiers = plan.parse_tiers(request["tiers"], request["max_failures"])
    plan.check_looks(tiers, request["rules"]["look_interval"])
    slice_size = values.count_or_share(request["slice"], "livepatch_slice")
    if slice_size == 0:
        raise RolloutError("livepatch_slice is 0: expected a count of at least 1, or a share.")
    if follows and state.over:
        return [], ["the rollout is complete and nothing is left to do"]
    # What the survey of a workflow was answered goes to each of its jobs: only the first of them goes on after a stop.
    ignored = ["livepatch_retry is ignored: it was for the first job of the workflow"] if follows and request["retry"] else []
    request = dict(request, retry=None) if ignored else request
    if state.stop and not request["retry"]:
        return [], ignored
    if state.tiers is None or state.over:
        return _new_round(state, request, fleet, tiers, slice_size)
    entries, notes = _resume(state, request, fleet)
    return entries, notes + ignored


def _follows(state, request):
    """Tell whether an earlier job of the same workflow was about this rollout; its journal must be here, and as it left it.

    A new plan would patch other hosts, and what was rolled back or begun anew meanwhile is not what an approval was for.
    """
    former = request.get("former") or {}
    if former.get("rollout") != request["rollout"]:
        return False
    said = f"An earlier job (livepatch_summary) ended with rollout {former['rollout']} of release {former.get('release')}"
    if state.tiers is None or str(former.get("seed")) != state.seed or former.get("release") != state.release:
        raise RolloutError(
            f"{said}, seed {former.get('seed')}, in the journal {former.get('journal')}; found {_found(state)}. "
            "Jobs that run in pods of their own share a journal only on a mounted volume: mount the same one into each, and "
            "give its path as livepatch_journal_dir."
        )
    if former.get("round") != state.rounds or state.ended == "rolled_back":
        raise RolloutError(
            f"{said}, which was {'rolled back' if state.ended == 'rolled_back' else 'begun anew'} since then: expected it as that job "
            "left it. Nothing was touched. Start the rollout anew if it is wanted."
        )
    return True


def _found(state):
    return "no journal" if state.tiers is None else f"one of release {state.release}, seed {state.seed}"


def _new_round(state, request, fleet, tiers, slice_size):
    todo = [host for host in fleet.values() if not host["problem"]]
    out = [host for host in fleet.values() if host["problem"]]
    excluded = [_excluded(host) for host in out]
    if not todo and not any(entry["outcome"] == "already" for entry in excluded):
        raise RolloutError(f"None of the {len(fleet)} hosts can be patched: {_why(excluded)}.")
    if not todo and state.ended == "complete":
        return [], [f"the rollout is complete and nothing is left to do: {_why(excluded)}"]
    planned, skipped = plan.make_plan(
        todo, tiers, slice_size, request["seed"], request["groups"], [host["name"] for host in out]
    )
    first = {
        "kind": "rollout",
        "rollout": request["rollout"],
        "release": request["release"],
        "seed": str(request["seed"]),
    }
    first.update({key: request["run"][key] for key in ("user", "controller")}, parameters=_parameters(request))
    hosts = [entry for tier in planned for entry in _host_entries(tier)]
    entries = [
        first,
        request["run"],
        *hosts,
        *excluded,
        {"kind": "planned", "tiers": [_tier_entry(tier) for tier in planned]},
    ]
    return entries, _plan_notes(planned, skipped if todo else [], excluded, request)


def _plan_notes(planned, skipped, excluded, request):
    total = sum(len(tier["hosts"]) for tier in planned)
    tiers = ", ".join(f"{tier['name']} {len(tier['hosts'])}" for tier in planned)
    notes = [
        f"plan: {total} hosts in {len(planned)} tiers{f' ({tiers})' if tiers else ''}, seed {request['seed']}"
    ] + skipped
    if excluded:
        notes.append(f"not in the plan: {_why(excluded)}")
    if request["retry"]:
        notes.append("livepatch_retry is ignored: nothing was stopped")
    return notes


def _why(excluded):
    found = {}
    for entry in excluded:
        found[entry["outcome"]] = found.get(entry["outcome"], 0) + 1
    return values.count_line(found)


def _parameters(request):
    return {key: request[key] for key in PARAMETERS}


def _host_entries(tier):
    numbers = [number for number, size in enumerate(tier["slices"], 1) for unused in range(size)]
    return [_host_entry(host, tier["number"], number) for host, number in zip(tier["hosts"], numbers)]


def _host_entry(host, tier, number):
    kept = ("cohort", "domain", "kernel_release", "boot_id", "enabled", "effective_release")
    return dict(
        {"kind": "host", "host": host["name"], "tier": tier, "slice": number}, **{key: host[key] for key in kept}
    )


def _tier_entry(tier):
    return dict(tier, hosts=len(tier["hosts"]))


def _excluded(host):
    outcome, reason = host["problem"]
    return {
        "kind": "excluded",
        "host": host["name"],
        "outcome": outcome,
        "reason": reason,
        "kernel_release": host["kernel_release"],
        "effective_release": host["effective_release"],
    }


def _resume(state, request, fleet):
    _check_fleet(state, request, fleet)
    notes = [f"going on with run {state.runs + 1} of rollout {state.rollout}, seed {state.seed}"]
    if _parameters(request) != state.parameters:
        notes.append("tiers, slice, max_failures or rules differ from those of the plan: what the journal says is kept")
    new = [name for name in fleet if name not in state.hosts and name not in state.excluded]
    if new:
        notes.append(
            f"{len(new)} hosts are new since the plan was made: they come with the next run after this rollout is complete"
        )
    found = [entry for name, planned in state.hosts.items() for entry in _verify(state, planned, fleet[name])]
    notes += [f"{entry['host']} {entry['reason']}" for entry in found if entry["kind"] == "outcome"]
    return [request["run"], *found, *_retry(state, request, fleet, found, notes)], notes


def _check_fleet(state, request, fleet):
    missing = [name for name in state.hosts if name not in fleet]
    if not missing:
        return
    raise RolloutError(
        f"The journal of rollout {request['rollout']} is of another fleet: {len(missing)} of its {len(state.hosts)} hosts "
        f"are not among the hosts of this run ({', '.join(missing[:judge.NAMED_HOSTS])}). Run it with the same inventory and "
        "limit as before, or give these hosts a livepatch_rollout of their own."
    )


def _verify(state, planned, host):
    """Return the entries (0 or 1) that the facts of a planned host call for."""
    name, last = host["name"], state.outcomes.get(host["name"])
    unfit = host["problem"] if host["problem"] and host["problem"][0] != "already" else None
    if (last or name in state.begun) and unfit and unfit[0] == "unsupported":
        unfit = None  # It was patched, or nearly: what it runs tells how it is.
    if last:
        if last["outcome"] not in states.DONE_WELL:
            return []
        if unfit and unfit[0] == "unreachable" and not state.tolerates_nothing(planned["tier"]):
            return [{"kind": "look", "host": name, "error": unfit[1]}]  # It may come back before the grace is over.
        entry = outcomes.of_facts(last, host["facts"], unfit)
        return [entry] if entry else []
    if name in state.begun:
        return _verify_begun(state, planned, host, unfit)
    if planned["tier"] in state.tiers_done:
        return []
    return _refresh(state, planned, host, unfit)


def _verify_begun(state, planned, host, unfit):
    """A controller died while it patched this host; if the host died too, that counts."""
    if unfit:
        found = unfit
    elif host["boot_id"] != state.boot_ids.get(host["name"]):
        found = "rebooted", "rebooted after its slice began (boot id changed)"
    else:
        return []
    return [
        {
            "kind": "outcome",
            "host": host["name"],
            "tier": planned["tier"],
            "slice": planned["slice"],
            "outcome": found[0] if found[0] in states.FAILURES else "failed",
            "reason": found[1],
            "changed": None,
            "enabled_before": planned["enabled"],
            "boot_id": host["boot_id"],
            "effective_release": host["effective_release"],
        }
    ]


def _refresh(state, planned, host, unfit):
    """A host that was not touched yet may come and go, and reboot as it likes."""
    if unfit:
        # One that was looked at to compare with is missed like a patched one.
        lost = unfit[0] == "unreachable" and host["name"] in state.seen_control
        look = [{"kind": "look", "host": host["name"], "error": unfit[1]}] if lost else []
        return look + ([] if host["name"] in state.excluded else [_excluded(host)])
    same = all(planned[key] == host[key] for key in ("boot_id", "kernel_release", "enabled"))
    if same and host["name"] not in state.excluded:
        return []
    return [
        _host_entry(dict(host, cohort=planned["cohort"], domain=planned["domain"]), planned["tier"], planned["slice"])
    ]


def _retry(state, request, fleet, found, notes):
    if not request["retry"]:
        return []
    after = states.replay(state, found)
    if not after.stop and not after.failures and not after.aborted:
        notes.append("livepatch_retry is ignored: nothing was stopped and no host failed")
        return []
    entry = {"kind": "retry", "user": request["run"]["user"], "reason": request["retry"]}
    before = set(after.outcomes)
    after = states.replay(after, [entry])
    again = [name for name in after.hosts if name in before and name not in after.outcomes]
    notes.append(f"retry by {entry['user']}: {entry['reason']} ({len(again)} hosts are tried again)")
    still = [name for name in again if fleet[name]["problem"] and fleet[name]["problem"][0] == "already"]
    if still:
        notes.append(
            f"{len(still)} of them still run the release ({', '.join(still[: judge.NAMED_HOSTS])}): only what happens to them "
            "from now on counts; roll back first to see them patched anew"
        )
    refreshed = []
    for name in again:
        host, planned = fleet[name], after.hosts[name]
        unfit = host["problem"] if host["problem"] and host["problem"][0] != "already" else None
        refreshed += _refresh(after, planned, host, unfit)
    return [entry, *refreshed]
