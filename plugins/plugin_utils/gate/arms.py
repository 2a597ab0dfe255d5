# The two arms of a rollout: which hosts were watched with the livepatch and without it, how long, and what befell them. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from collections import Counter

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate.exposure import Event, Span, Tally

# More cohorts would leave each of them too little to tell anything; the smallest are taken together.
MOST_COHORTS = 20


def _crashes(state, now):
    """Return {name: (time, reason)} of the hosts that crashed, or have not answered for longer than the grace."""
    grace, found = state.rules["unreachable_grace"], {}
    for name, host in state.hosts.items():
        if host.crash:
            found[name] = host.crash
        elif host.lost is not None and now - host.lost >= grace:
            found[name] = (host.lost, "does not answer")
    return found


def silent(state, now):
    """Return the names of the patched hosts that do not answer, and have not been silent for the whole grace."""
    grace = state.rules["unreachable_grace"]
    return [host.name for host in state.watched() if host.lost is not None and now - host.lost < grace]


def tally(state, now, kind):
    """Return the Tally of the events of a kind (crash or alarm): a host's first one ends its host-hours on either arm."""
    merged = cohorts(state)
    events = _crashes(state, now) if kind == "crash" else {n: h.alarm for n, h in state.hosts.items() if h.alarm}
    found = {name: entry[0] for name, entry in events.items() if _counts(state, state.hosts[name], entry[0])}
    return Tally(
        _spans(state, merged, True, found),
        _spans(state, merged, False, found),
        [_event(state, merged, state.hosts[name], moment) for name, moment in found.items()],
        now - state.rules["report_lag"],
    )


def _counts(state, host, moment):
    return moment >= state.evidence_from and (_with_livepatch(host, moment) or host.control is not None)


def _with_livepatch(host, moment):
    return host.patched is not None and moment >= host.patched[0]


def _spans(state, merged, with_livepatch, events):
    rows = Counter()
    for name, host in state.hosts.items():
        watch = host.patched if with_livepatch else host.control
        if watch is None:
            continue
        begin, end = watch
        first = host.crash if host.crash and not _with_livepatch(host, host.crash[0]) else None
        if with_livepatch and first:
            continue  # It had its event on the control arm, or where nobody watched it, and counts once.
        if name in events:
            if _with_livepatch(host, events[name]) == with_livepatch:
                end = events[name]  # It was alive until then, though that lies between two looks.
            elif with_livepatch:
                continue
        begin = max(begin, state.evidence_from)
        if end > begin:
            rows[merged[host.cohort], begin, end] += 1
    return [Span(cohort, begin, end, hosts) for (cohort, begin, end), hosts in rows.items()]


def _event(state, merged, host, moment):
    # Without a declared failure domain every host has its own fate.
    fate = ("domain", host.domain) if host.domain else ("host", host.name)
    return Event(moment, merged[host.cohort], fate, host.patched[0] if _with_livepatch(host, moment) else None)


def cohorts(state):
    """Return {cohort: the one it counts for}."""
    sizes = Counter(host.cohort for host in state.hosts.values())
    kept = [cohort for cohort, unused in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))]
    if len(kept) <= MOST_COHORTS:
        return {cohort: cohort for cohort in kept}
    return {cohort: cohort if number < MOST_COHORTS - 1 else "" for number, cohort in enumerate(kept)}


def control_sample(state):
    """Return the names of the hosts to compare with: those that are patched last, and one of each cohort at least.

    The planned order mixes cohorts and domains, so that its end is a fair sample, and one that stays.
    """
    waiting = [host for host in state.waiting() if host.arm == "control" and not host.crash]
    wanted = state.rules["control_hosts"]
    if len(waiting) <= wanted:
        return [host.name for host in waiting]
    last = {host.cohort: host.name for host in waiting}
    sample = set(sorted(last.values())[:wanted])
    for host in reversed(waiting):
        if len(sample) >= wanted:
            break
        sample.add(host.name)
    return [host.name for host in waiting if host.name in sample]
