# The two arms of a rollout: which hosts were watched with the livepatch and without it, how long, and what befell them. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from collections import Counter

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate.exposure import Event, Span, Stratum, Tally, Watched

# More cohorts would leave each of them too little to tell anything; the smallest are taken together.
MOST_COHORTS = 20
NEVER = float("inf")


def silent(state, now):
    """Return the names of the patched hosts that do not answer, and have not been silent for the whole grace."""
    return [
        host.name
        for host in state.hosts.values()
        if host.patched and host.lost is not None and not host.crash and not _is_given_up(state, host, now)
    ]


def _is_given_up(state, host, now):
    return now - host.lost >= state.rules["unreachable_grace"]


def tally(state, now, kind):
    """Return the Tally of `crash` or `alarm`: a host's first event ends its host-hours on either arm.

    A host counts as watched for as long as looks have found it in good health; when it was lost it was alive until its event.
    One that has not answered for longer than the grace has crashed when it fell silent. Before that it counts only where
    another host of its failure domain has crashed at that time.
    """
    merged, company = cohorts(state), _company(state)
    alike, events, seen = {}, [], {}
    for host in state.hosts.values():
        patched, control = host.patched, host.control
        if patched is None and control is None:
            continue
        together = company.get(host.domain, NEVER) if host.domain else None
        if host.crash or host.lost is not None or host.alarm:
            happened, certain, counts = _first(state, host, now, kind)
            if happened is not None and happened > now:  # The clock was ahead when it was seen.
                happened, patched, control = now, _until(patched, now), _until(control, now)
            arm = "control" if happened is not None and not (patched and happened >= patched[0]) else "patched"
            watched = patched if arm == "patched" else control
            if counts and watched and happened >= max(watched[0], state.evidence_from):
                stratum = Stratum(merged[host.cohort], happened >= together if host.domain else None)
                since = patched[0] if arm == "patched" else None
                events.append(Event(happened, stratum, host.domain, since, certain))
                seen.setdefault(host.domain, []).append(happened)
            if happened is not None and arm == "control":
                patched = None  # It had its event before, and counts once.
            if certain and arm == "control":
                control = control and (control[0], happened)
            elif certain:
                patched = (patched[0], happened)
        key = (host.cohort, together, control, patched)
        alike[key] = alike.get(key, 0) + 1
    crowded = {domain for domain, times in seen.items() if domain and len(times) > 1}
    return Tally(
        *_spans(state, alike, merged),
        events,
        now - state.rules["report_lag"],
        _domains(state, now, kind, merged, crowded),
        Counter(merged[host.cohort] for host in state.hosts.values()),
    )


def _until(watch, now):
    return watch and (min(watch[0], now), min(watch[1], now))


def _spans(state, alike, merged):
    """Return the Spans of the patched and of the control arm; alike: {(cohort, company, control, patched): hosts}."""
    found = {"patched": Counter(), "control": Counter()}
    for (cohort, together, control, patched), hosts in alike.items():
        for side, watched in (("patched", patched), ("control", control)):
            if watched:
                begin = max(watched[0], state.evidence_from)
                for stratum, start, stop in _cut(merged[cohort], together, begin, watched[1]):
                    found[side][stratum, start, stop] += hosts
    return ([Span(*key, hosts) for key, hosts in found[side].items()] for side in ("patched", "control"))


def _first(state, host, now, kind):
    """Return when a host's first event ends its time (None: it is well), whether that is certain, and is of this kind."""
    moment = host.crash[0] if host.crash else host.lost
    certain = moment is not None and (bool(host.crash) or _is_given_up(state, host, now))
    if kind == "crash":
        return moment, certain, moment is not None
    if host.alarm and not (certain and moment < host.alarm[0]):
        return host.alarm[0], True, True
    return moment if certain else None, certain, False


def _company(state):
    """Return {domain: from when on more than one of its hosts was watched (seconds, NEVER)}."""
    first, second = {}, {}
    for host in state.hosts.values():
        domain = host.domain
        if domain and (host.control or host.patched):
            begin = _begin(host)
            if host.crash and host.crash[0] < begin:
                continue  # It had its event before, and nobody watches it.
            known = first.get(domain, NEVER)
            if begin < known:
                first[domain] = begin
            second[domain] = min(second.get(domain, NEVER), max(begin, known))
    return second


def _begin(host):
    """When a host was watched first (seconds)."""
    if host.control is None:
        return host.patched[0]
    return host.control[0] if host.patched is None else min(host.control[0], host.patched[0])


def _cut(cohort, company, begin, end):
    """Yield (stratum, begin, end) of a time in which a host was watched; company: when others of its domain came to be."""
    if company is None:
        parts = [(None, begin, end)]
    else:
        parts = [(False, begin, min(end, company)), (True, max(begin, company), end)]
    for together, start, stop in parts:
        if stop > start:
            yield Stratum(cohort, together), start, stop


def _domains(state, now, kind, merged, names):
    """Return {domain: [Watched]} of these domains."""
    found = {name: [] for name in names}
    slack = state.rules["look_interval"]
    for host in state.hosts.values() if names else ():
        if host.domain in names and (host.control or host.patched):
            happened = _first(state, host, now, kind)[0]
            # One that is well was when it was looked at last, and so it is until the next look.
            end = max(watched[1] for watched in (host.control, host.patched) if watched) + slack
            begin, patched_at = _begin(host), host.patched[0] if host.patched else None
            if happened is not None and happened > now:  # As in tally: whoever was hit was there.
                happened, begin, patched_at = now, min(begin, now), patched_at and min(patched_at, now)
            found[host.domain].append(Watched(merged[host.cohort], begin, end if happened is None else happened, patched_at))
    return found


def cohorts(state):
    """Return {cohort: the one it counts for}."""
    sizes = Counter(host.cohort for host in state.hosts.values())
    kept = [cohort for cohort, unused in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))]
    if len(kept) <= MOST_COHORTS:
        return {cohort: cohort for cohort in kept}
    return {cohort: cohort if number < MOST_COHORTS - 1 else "" for number, cohort in enumerate(kept)}


def control_sample(state):
    """Return the names of the hosts to compare with: those that are patched last, for a half of them as many of each cohort.

    The planned order mixes cohorts and domains, so that its end is a fair sample, and one that stays; of a small cohort it has
    too few to tell anything. Others take the place of those that do not answer, and these are looked at on: the arm is not
    to shrink when a network is lost.
    """
    waiting = [host for host in state.hosts.values() if host.arm == "control" and not host.crash]
    answering = [host for host in waiting if host.lost is None]
    wanted = state.rules["control_hosts"]
    sample = {host.name for host in answering}
    if len(answering) > wanted:
        kinds = {}
        for host in answering:
            kinds.setdefault(host.cohort, []).append(host.name)
        each = max(1, wanted // 2 // len(kinds))
        sample = set(sorted(name for names in kinds.values() for name in names[-each:])[:wanted])
        for host in reversed(answering):
            if len(sample) >= wanted:
                break
            sample.add(host.name)
    return [host.name for host in waiting if host.name in sample or (host.lost is not None and wanted)]
