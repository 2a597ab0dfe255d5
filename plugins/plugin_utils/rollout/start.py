# The start of a run: a plan made anew, or the one in the journal read and what was done verified. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import automation, builds, outcomes, plan
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states

PARAMETERS = ("tiers", "slice", "max_failures", "rules")


def opening(state, request, fleet):
    """Return (entries, notes): what this run adds to the journal at its start, and lines for people.

    A plan of builds needs them: where plans_anew() says so, request has what builds.resolve returned.

    state: of the journal so far; request: dict with rollout, release, wanted (builds.Wanted, where that is resolved, or None),
    resolved ((entries, lost, notes), or None), today (YYYY-MM-DD), tiers, slice, max_failures, seed, retry (reason or None), rules
    (from rules.parse), groups (inventory group -> names), run (the `run` entry) and former (what an earlier job of the same
    workflow ended with, from summary.summary, or None);
    fleet: from fleet.survey.
    No entries: the last round is complete and nothing is left to do, or the rollout is stopped and no retry given.
    Raises RolloutError for everything that is to be refused.
    """
    if state.rounds and (state.release, state.wanted) != (request["release"], _wanted(request)):
        raise RolloutError(
            f"The journal of rollout {request['rollout']} is of release {state.release}, not {request['release']}: "
            "give the new release a livepatch_rollout of its own."
        )
    follows = _follows(state, request)
    if not fleet:
        raise RolloutError("livepatch_hosts matches no host: expected at least one.")
    anew = plans_anew(state, request)
    if not request.get("wanted"):
        fleet = {name: _known(state, host) for name, host in fleet.items()}
    elif anew and request.get("resolved") is None:
        raise RolloutError("The rollout has ended since it was read. Nothing was touched. Run the same command again: it asks for builds.")
    else:
        entries, lost, unused = request["resolved"] if anew else (state.builds.values(), {}, [])
        found = {builds.key(entry): entry for entry in entries}
        fleet = {name: _fitted(state, host, found, lost, request["today"]) for name, host in fleet.items()}
    tiers = plan.parse_tiers(request["tiers"], request["max_failures"])
    slice_size = values.count_or_share(request["slice"], "livepatch_slice")
    if slice_size == 0:
        raise RolloutError("livepatch_slice is 0: expected a count of at least 1, or a share.")
    if follows and state.over:
        return [], ["the rollout is complete and nothing is left to do"]
    # What the survey of a workflow was answered goes to each of its jobs: only the first of them goes on after a stop.
    ignored = ["livepatch_retry is ignored: it was for the first job of the workflow"] if follows and request["retry"] else []
    request = dict(request, retry=None) if ignored else request
    if (state.stop or state.rollback) and not request["retry"]:
        return [], ignored
    if anew:
        # A plan that was not finished may have been rolled back all the same, with what former rounds had brought.
        again = _retry(state, request) if state.rollback else None
        if request["retry"] and not again:
            ignored = [*ignored, "livepatch_retry is ignored: nothing was stopped"]
        entries, notes = _new_round(state, request, fleet, tiers, slice_size)
        entries = [again, *entries] if again and entries else entries
    else:
        entries, notes = _resume(state, request, fleet)
    return entries, notes + ignored


def plans_anew(state, request):
    """Does a run with this request (see opening) make a new plan? Otherwise it goes on with the one that there is, or ends."""
    follows = (request.get("former") or {}).get("rollout") == request["rollout"]
    stopped = (state.stop or state.rollback) and (follows or not request["retry"])
    return (state.tiers is None or state.over) and not (follows and state.over) and not stopped


def _wanted(request):
    """Return what the journal's first entry has of a word for builds (dict), {} for the name of a release."""
    what = request.get("wanted")
    return {"cves": what.cves, "advisory": what.advisory} if what else {}


def _fitted(state, host, found, lost, today):
    """The build of its kernel decides what a host gets. Its name may be known only from a host where it was brought."""
    build, before = found.get(builds.key(host)), state.builds.get(builds.key(host))
    same = build and before and build["package"] == before["package"]
    called = _called(state, host["name"]) if same else None
    return builds.fitted(host, found, lost, today, called)


def _called(state, name):
    """Return what the release is called on a host (str), as it was brought there once, or None."""
    had, known = state.before.get(name), state.hosts.get(name)
    return (had and had["livepatch"]) or (known and known.livepatch)


def _known(state, host):
    """A host whose vendor's name of the release is not known before it runs there: what was brought there once is called so."""
    livepatch = host["livepatch"] or _called(state, host["name"])
    if host["problem"] or livepatch == host["livepatch"]:
        return host
    runs = host["enabled"] == livepatch and not host["facts"].get("transition")
    return dict(host, livepatch=livepatch, problem=("already", f"runs {livepatch}") if runs else None)


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
    resolved, unused, said = request.get("resolved") or ([], {}, [])
    if not todo and not any(entry["outcome"] == "already" for entry in excluded):
        reasons = sorted({entry["reason"] for entry in excluded if entry["outcome"] == "not_applicable"})
        more = f" ({values.listed(reasons, builds.NAMED)})" if reasons else ""
        raise RolloutError(f"None of the {len(fleet)} hosts can be patched: {_why(excluded)}{more}.")
    if not todo and state.ended == "complete":
        return [], [f"the rollout is complete and nothing is left to do: {_why(excluded)}"]
    already = {host["name"] for host in out if host["problem"][0] == "already"}
    planned, notes = plan.make_plan(
        todo, tiers, slice_size, request["seed"], request["groups"], {host["name"] for host in out} - already, already
    )
    first = {
        "kind": "rollout",
        "rollout": request["rollout"],
        "release": request["release"],
        "seed": str(request["seed"]),
    }
    if _wanted(request):
        first["wanted"] = _wanted(request)
    first.update({key: request["run"][key] for key in ("user", "controller")}, parameters=_parameters(request))
    hosts = [entry for tier in planned for entry in _host_entries(tier)]
    ending = {"kind": "planned", "tiers": [_tier_entry(tier) for tier in planned]}
    found = automation.entries({host["name"]: host for host in todo})
    notes = [*_plan_notes(planned, notes if todo else [], excluded, request), *said, *_automation_notes(found, request)]
    return [first, request["run"], *resolved, *found, *excluded, *hosts, ending], notes


def _plan_notes(planned, skipped, excluded, request):
    total = sum(len(tier["hosts"]) for tier in planned)
    tiers = ", ".join(f"{tier['name']} {len(tier['hosts'])}" for tier in planned)
    one = f"plan: {total} hosts in {len(planned)} tiers{f' ({tiers})' if tiers else ''}, seed {request['seed']}"
    return [one, *skipped, *_lacking(planned), *_left_out(excluded)]


def _automation_notes(found, request):
    """Say which hosts patch themselves beside the rollout, and what becomes of that."""
    if not found or request.get("hold_automation"):
        return automation.lines(found)
    return [*automation.lines(found), "livepatch_hold_automation holds timers back for the time of a rollout"]


def _lacking(planned):
    """Say which cohorts the first tier does not have: they are met for the first time where failures are tolerated."""
    first = {host["cohort"] for host in planned[0]["hosts"]} if planned else set()
    lacking = sorted({host["cohort"] for tier in planned for host in tier["hosts"]} - first)
    if not lacking:
        return []
    more = len(lacking) - judge.NAMED_HOSTS
    shown = ", ".join(lacking[: judge.NAMED_HOSTS]) + (f" and {more} more" if more > 0 else "")
    return [f"the first tier {planned[0]['name']} has no host of cohort {shown}: give it more hosts to try these first"]


def _left_out(excluded):
    return [f"not in the plan: {_why(excluded)}"] if excluded else []


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
    kept = ("cohort", "domain", "kernel_release", "architecture", "boot_id", "enabled", "effective_release", "livepatch")
    return {"kind": "host", "host": host["name"], "tier": tier, "slice": number, **{key: host[key] for key in kept}}


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
        "architecture": host.get("architecture"),
        "effective_release": host["effective_release"],
    }


def _resume(state, request, fleet):
    again = _retry(state, request)
    notes = [f"going on with run {state.runs + 1} of rollout {state.rollout}, seed {state.seed}"]
    changed = [key for key, value in _parameters(request).items() if value != state.parameters.get(key)]
    if changed:
        notes.append(
            f"given otherwise than when the plan was made, and not taken: {', '.join(changed)}. "
            "What the journal says is kept; a new plan takes another livepatch_rollout"
        )
    new = [name for name in fleet if name not in state.hosts and name not in state.excluded]
    if new:
        notes.append(
            f"{len(new)} hosts are new since the plan was made: they come with the next run after this rollout is complete"
        )
    missing = [name for name in state.hosts if name not in fleet]
    if len(missing) == len(state.hosts):
        raise RolloutError(
            f"The journal of rollout {request['rollout']} is of another fleet: none of its {len(missing)} hosts is among the "
            "hosts of this run. Run it with the same inventory as before, or give these hosts a livepatch_rollout of their own."
        )
    if missing:
        notes.append(f"{judge.named(missing)} not among the hosts of this run any more: those that were patched are silent")
    found = [entry for host in state.hosts.values() for entry in _verify(state, host, fleet.get(host.name))]
    notes += [f"{entry['host']} {entry['reason']}" for entry in found if entry["kind"] == "outcome"][: judge.NAMED_HOSTS]
    alone = automation.entries({name: host for name, host in fleet.items() if name in state.hosts})
    notes += _automation_notes(alone, request)
    entries = [request["run"], *alone, *found]
    if not again:
        if request["retry"]:
            notes.append("livepatch_retry is ignored: nothing was stopped")
        return entries, notes
    ends = {host.name: host.outcome["outcome"] for host in state.hosts.values() if host.done}
    ends.update({entry["host"]: entry["outcome"] for entry in found if entry["kind"] == "outcome"})
    failed = {name for name, outcome in ends.items() if state.is_done_again(state.hosts[name], outcome, again["forgets"])}
    fresh = [entry for name in state.hosts if name in failed for entry in _refresh(state.hosts[name], fleet.get(name), True)]
    notes.append(f"retry by {again['user']}: {again['reason']} ({len(failed)} hosts are tried again)")
    if state.aborted and not state.stop:
        notes.append(f"it answers the {state.aborted['override']} that {state.aborted['user']} has asked for: {state.aborted['reason']}")
    if again["forgets"]:
        notes.append("the evidence until now, which had stopped the rollout, counts no longer")
    return [*entries, again, *fresh], notes


def _retry(state, request):
    """Return the retry entry (dict), None where there is nothing to be tried again; raises RolloutError for a used reason."""
    if not request["retry"] or not (state.stop or state.rollback or state.aborted):
        return None
    if request["retry"] in state.retries:
        raise RolloutError(
            f"livepatch_retry is {request['retry']!r}, which a former retry of this rollout has given already: expected the "
            "reason for this one, in your own words."
        )
    forgets = bool(state.stop and state.stop.get("by_evidence"))
    return {"kind": "retry", "user": request["run"]["user"], "reason": request["retry"], "forgets": forgets}


def _verify(state, host, seen):
    """Return the entries (0 to 2) that the facts of a planned host call for; seen: of the fleet, None where it is gone."""
    unfit = _unfit(seen)
    if (host.done or host.begun) and unfit and unfit[0] in ("unsupported", "not_applicable"):
        unfit = None  # It was patched, or nearly: what it runs tells how it is.
    if host.done:
        if not host.is_(*states.DONE_WELL):
            return []
        if unfit and unfit[0] == "unreachable" and not state.tolerates_nothing(host.tier):
            return [{"kind": "look", "host": host.name, "silent": unfit[1]}]  # It may come back before the grace is over.
        if unfit and unfit[0] == "failed":
            return [{"kind": "look", "host": host.name, "error": unfit[1]}]
        entry = outcomes.of_facts(host, seen["facts"] if seen else None, unfit)
        return [entry] if entry else []
    if host.begun:
        problem = (unfit[0] if unfit[0] in states.FAILURES else "failed", unfit[1]) if unfit else None
        entry = outcomes.of_begun(host, seen["facts"] if seen else None, problem)
        return [entry] if entry else []
    if host.tier in state.tiers_done:
        return []
    return _refresh(host, seen, host.name in state.excluded)


def _unfit(seen):
    if seen is None:
        return "unreachable", "is not among the hosts of this run any more"
    return seen["problem"] if seen["problem"] and seen["problem"][0] != "already" else None


def _refresh(host, seen, always):
    """A host that was not touched yet may come and go, and reboot as it likes; always: it is written down in any case."""
    unfit = _unfit(seen)
    if unfit:
        # One that was looked at to compare with is missed like a patched one.
        lost = unfit[0] == "unreachable" and host.control and host.counts
        look = [{"kind": "look", "host": host.name, "silent": unfit[1]}] if lost else []
        gone = seen or {**vars(host), "effective_release": None}
        return look + [_excluded(dict(gone, problem=unfit))]
    same = all(getattr(host, key) == seen[key] for key in ("boot_id", "kernel_release", "enabled"))
    if same and not always:
        return []
    return [_host_entry(dict(seen, cohort=host.cohort, domain=host.domain), host.tier, host.slice)]
