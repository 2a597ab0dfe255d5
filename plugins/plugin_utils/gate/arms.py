# The two arms of a rollout: which hosts were watched with the livepatch and without it, how long, and what befell them. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from collections import Counter

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate.exposure import Event, Span, Tally

# More cohorts would leave each of them too little to tell anything; the smallest are taken together.
MOST_COHORTS = 20


def crashes(state, now):
    """Return {name: (time, reason)} of the hosts that crashed, or have not answered for longer than the grace."""
    grace = state.rules["unreachable_grace"]
    silent = {
        name: (since, "does not answer")
        for name, since in state.lost.items()
        if now - since >= grace and name not in state.crashes
    }
    return {**state.crashes, **silent}


def unresolved(state, now):
    """Return the names of the patched hosts that do not answer, and have not been silent for the whole grace."""
    known, watched = crashes(state, now), set(state.watched())
    return [name for name in state.lost if name in watched and name not in known]


def tally(state, now, events):
    """Return the Tally of these events (name -> (time, ...)): a host's first one ends its host-hours on either arm.

    A host counts as watched for as long as looks have found it in good health. On the control arm that is every host that
    was looked at before it was patched.
    """
    cohorts = _cohorts(state)
    found = {name: entry[0] for name, entry in events.items() if _counts(state, name, entry[0])}
    return Tally(
        _spans(state, cohorts, True, found),
        _spans(state, cohorts, False, found),
        [_event(state, cohorts, name, moment) for name, moment in found.items()],
        now - state.rules["report_lag"],
    )


def _counts(state, name, moment):
    return moment >= state.evidence_from and (name in state.patched_at or name in state.seen_control)


def _with_livepatch(state, name, moment):
    return name in state.patched_at and moment >= state.patched_at[name]


def _spans(state, cohorts, with_livepatch, events):
    begins, ends = (state.patched_at, state.seen_patched) if with_livepatch else (state.planned_at, state.seen_control)
    rows = Counter()
    for name in begins if with_livepatch else ends:
        begin, end = begins[name], ends.get(name)
        if name in events:
            moment = events[name]
            if _with_livepatch(state, name, moment) == with_livepatch:
                end = moment  # It was alive until then, though that lies between two looks.
            elif with_livepatch:
                continue  # It had its event on the control arm, and counts once.
        begin = max(begin, state.evidence_from)
        if end is not None and end > begin:
            rows[cohorts[state.hosts[name]["cohort"]], begin, end] += 1
    return [Span(cohort, begin, end, hosts) for (cohort, begin, end), hosts in rows.items()]


def _event(state, cohorts, name, moment):
    host = state.hosts[name]
    # Without a declared failure domain every host has its own fate.
    fate = ("domain", host["domain"]) if host["domain"] else ("host", name)
    patched_at = state.patched_at[name] if _with_livepatch(state, name, moment) else None
    return Event(moment, cohorts[host["cohort"]], fate, patched_at)


def _cohorts(state):
    """Return {cohort: the one it counts for}."""
    sizes = Counter(entry["cohort"] for entry in state.hosts.values())
    kept = [cohort for cohort, unused in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))]
    if len(kept) <= MOST_COHORTS:
        return {cohort: cohort for cohort in kept}
    return {cohort: cohort if number < MOST_COHORTS - 1 else "" for number, cohort in enumerate(kept)}


def control_sample(state):
    """Return the names of the hosts to compare with: those that are patched last, and one of each cohort at least.

    The planned order mixes cohorts and domains, so that its end is a fair sample, and one that stays.
    """
    waiting = [name for name in state.waiting() if name not in state.crashes]
    wanted = state.rules["control_hosts"]
    if len(waiting) <= wanted:
        return waiting
    last = {state.hosts[name]["cohort"]: name for name in waiting}
    sample = set(sorted(last.values())[:wanted])
    for name in reversed(waiting):
        if len(sample) >= wanted:
            break
        sample.add(name)
    return [name for name in waiting if name in sample]
