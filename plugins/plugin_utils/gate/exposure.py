# Events and host-hours of two arms, cut into time bins and strata: what the bets are made on. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import math
from bisect import bisect_right
from collections import Counter, namedtuple

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import bets

# Fixed before any data are seen: merging or moving bins afterwards would be choosing the result.
BIN = 900
# Hosts of one failure domain whose events begin within this time are one incident.
WINDOW = 900
FRESH = 3600
# The control hosts are asked for these times around a bin, with history as if it were a quarter of an event more.
GUARDS = (1 * 3600, 2 * 3600, 6 * 3600)
PRIOR = 0.25
# A storm is seen on the control hosts where they are so large a share of all, or should have an event in the longest time.
ENOUGH_CONTROL = 0.1
SMALLEST_COHORT = 0.01
# How the stake is shared among the bets.
SHARES = {"fleet": 3, "cohort": 4, "fresh": 1, "rate": 3}
HOUR = 3600.0

Stratum = namedtuple("Stratum", "cohort company")
Stratum.__doc__ = """Hosts that are compared with each other: of one cohort (str), and in equal company: None without a failure
domain, False for the only watched host of its domain, True among others. A host that is alone may be all that is seen of a
rack that loses power, so what befalls it is not compared with what befalls one host of many."""

Span = namedtuple("Span", "stratum start end hosts")
Span.__doc__ = """So many hosts (int) of a stratum watched on one arm from start to end (seconds since 1970)."""

Event = namedtuple("Event", "time stratum domain patched_at certain")
Event.__doc__ = """A host's event: when (seconds since 1970), of which stratum and domain (str, "" for none), since when the
host was patched (None on the control arm), and whether it is certain: a host that does not answer may come back."""

Watched = namedtuple("Watched", "cohort start end patched_at")
Watched.__doc__ = (
    """A host of a failure domain that might have been hit: watched from start to end, and patched when, or None."""
)

Single = namedtuple("Single", "place stratum arm fresh settled")
Single.__doc__ = """An event of one host: its bin, its arm, whether it was patched less than an hour before, and whether no other
host of its domain can join it any more."""

Shared = namedtuple("Shared", "place groups settled")
Shared.__doc__ = """An incident of several hosts of a domain: its bin, and for each cohort its Group."""

Group = namedtuple("Group", "hosts patched expected fresh fresh_patched fresh_expected")
Group.__doc__ = """The hosts of one cohort that an incident hit: how many, how many patched, and how many of them patched if it had
struck blindly; then the same three without the hosts that were patched more than an hour before."""


class Tally:
    """Host-hours and incidents by stratum and bin, on both arms; `fresh` are hosts patched less than an hour before.

    `singles` and `shared` are the incidents of one host and of several.
    """

    def __init__(self, patched, control, events, cutoff, domains, sizes):
        """patched, control: iterables of Span; events: iterable of Event; cutoff: nothing later counts, on either arm.

        domains: {domain: [Watched]} of the domains with more than one event; sizes: {cohort: how many hosts it has in the plan}.
        """
        self.sizes = sizes
        self.hours = {"patched": {}, "fresh": {}, "control": {}}  # arm -> stratum -> bin -> host-hours
        for span in patched:
            self._add_span("patched", span, cutoff)
            self._add_span("fresh", span._replace(end=min(span.end, span.start + FRESH)), cutoff)
        for span in control:
            self._add_span("control", span, cutoff)
        for arm in self.hours.values():
            for stratum in arm:
                arm[stratum] = _running(arm[stratum])
        self.incidents = {"patched": 0, "control": 0}
        self.singles, self.shared = [], []
        self._count([event for event in events if event.time <= cutoff], cutoff, domains)

    def _add_span(self, arm, span, cutoff):
        end = min(span.end, cutoff)
        if end <= span.start:
            return
        part, step = self.hours[arm].setdefault(span.stratum, ({}, {}))
        first, last = int(span.start // BIN), int(end // BIN)
        if first == last:
            part[first] = part.get(first, 0.0) + span.hosts * (end - span.start)
            return
        part[first] = part.get(first, 0.0) + span.hosts * ((first + 1) * BIN - span.start)
        part[last] = part.get(last, 0.0) + span.hosts * (end - last * BIN)
        step[first + 1] = step.get(first + 1, 0) + span.hosts
        step[last] = step.get(last, 0) - span.hosts

    def _count(self, events, cutoff, domains):
        for hit in incidents(events):
            if not any(event.certain for event in hit):
                continue
            settled = not hit[0].domain or hit[0].time + WINDOW <= cutoff
            for arm in {_arm(event) for event in hit}:
                self.incidents[arm] += 1
            place = int(hit[0].time // BIN)
            if len(hit) == 1:
                fresh = hit[0].patched_at is not None and hit[0].time < hit[0].patched_at + FRESH
                self.singles.append(Single(place, hit[0].stratum, _arm(hit[0]), fresh, settled))
            else:
                self.shared.append(Shared(place, _groups(hit, domains[hit[0].domain]), settled))

    def counts(self, certain=False):
        """Return {arm: {(stratum, bin): events}} of the incidents of one host; certain: of those that are settled."""
        found = {arm: Counter() for arm in self.hours}
        for single in self.singles:
            if single.settled or not certain:
                found[single.arm][single.stratum, single.place] += 1
                if single.fresh:
                    found["fresh"][single.stratum, single.place] += 1
        return found

    def cells(self, arm="patched", certain=False):
        """Return {(stratum, bin): (patched events, control events, patched hours, control hours)}, where there are events.

        arm: patched, or fresh for the hosts patched less than an hour before alone.
        """
        counts = self.counts(certain)
        return {
            (stratum, place): (
                counts[arm][stratum, place],
                counts["control"][stratum, place],
                self.hours[arm].get(stratum, {}).get(place, 0.0),
                self.hours["control"].get(stratum, {}).get(place, 0.0),
            )
            for stratum, place in {*counts[arm], *counts["control"]}
        }

    def total(self, arm):
        """Return the host-hours (float) of an arm."""
        return sum(sum(bins.values()) for bins in self.hours[arm].values())

    def cohorts(self):
        """Return {cohort: its share of the stake of their bet, as a weight (float)} of the cohorts of the plan.

        Where there are many hosts there are many crashes, and a small stake suffices. So a cohort's is the larger the smaller
        it is, down to SMALLEST_COHORT of all hosts: with the root, between equal stakes and equal stakes for each host.
        """
        least = SMALLEST_COHORT * sum(self.sizes.values())
        return {cohort: max(size, least) ** -0.5 for cohort, size in self.sizes.items()}

    def rate_cells(self, history, certain=False):
        """Return {bin: (shares of events on patched hosts, patched hours, expected rate)}.

        history: (events, host-hours) of the days before the rollout. The rate is the upper bound of history, or the highest
        that the control hosts had in one, two or six hours around the bin: a storm is not the livepatch's. History counts as
        a quarter of an event there, so that few control hosts say little. An incident of several hosts is one event, on either
        arm by its share. certain: without incidents that are not settled, and without the bins in which the control hosts are
        too few to show a storm, as they are in the last tiers.
        """
        known = bets.upper_rate(*history)
        shares, control_events = {}, Counter()
        for (unused, place), number in (counts := self.counts(certain))["patched"].items():
            shares.setdefault(place, []).extend([1.0] * number)
        for (unused, place), number in counts["control"].items():
            control_events[place] += number
        for incident in self.shared:
            if incident.settled or not certain:
                share = _share(incident.groups.values())[0]
                shares.setdefault(incident.place, []).append(share)
                control_events[incident.place] += 1 - share
        hours = {arm: _by_bin(self.hours[arm]) for arm in ("patched", "control")}
        first, rates = _control_rates(hours["control"], control_events, known)
        return {
            place: (shares.get(place, ()), patched, _at_that_time(rates, place - first, known))
            for place, patched in hours["patched"].items()
            if not certain or _shows_storms(hours["control"], place, patched, known)
        }


def incidents(events):
    """Yield lists of Events: each by itself, except that those of one domain within WINDOW of the first are together.

    Which hosts an incident hit, and nothing else, decides how it is weighed, so that the weight is fair: where the hosts of a
    domain do not crash more often with the livepatch than without it, as many of those that are hit are patched, on average,
    as of those that might have been. A rack that loses power as a whole so weighs nothing at all, whoever is patched.
    An incident of a domain is settled when its window is over: weighed before, it would be one that some have not joined yet.
    """
    begun = {}
    for event in sorted(events, key=lambda event: (event.time, event.domain, str(event.stratum))):
        if not event.domain:
            yield [event]
            continue
        hit = begun.get(event.domain)
        if hit and event.time < hit[0].time + WINDOW:
            hit.append(event)
            continue
        if hit:
            yield hit
        begun[event.domain] = [event]
    yield from begun.values()


def _arm(event):
    return "control" if event.patched_at is None else "patched"


def _groups(hit, watched):
    """Return {cohort: Group} of an incident; watched: [Watched] of its domain.

    Each of the hosts that were hit might as well have been another one of its cohort and domain.
    """
    begin, found = hit[0].time, {}
    for cohort in {event.stratum.cohort for event in hit}:
        mine = [event for event in hit if event.stratum.cohort == cohort]
        there = [host for host in watched if host.cohort == cohort and host.end >= begin]
        starts = sorted(host.start for host in there)
        patched = sorted(host.patched_at for host in there if host.patched_at is not None)
        sums = [0.0] * 6
        for event in mine:
            sums[0] += 1
            sums[1] += event.patched_at is not None
            at_risk, with_it = bisect_right(starts, event.time), bisect_right(patched, event.time)
            sums[2] += with_it / at_risk
            fresh = with_it - bisect_right(patched, event.time - FRESH)
            if event.patched_at is None or event.time < event.patched_at + FRESH:
                sums[3] += 1
                sums[4] += event.patched_at is not None
                sums[5] += fresh / (at_risk - with_it + fresh)
        found[cohort] = Group(*sums)
    return found


def _share(groups, fresh=False):
    """Return the patched share of the hosts that were hit, and the one to be expected; None where none counts."""
    first = 3 if fresh else 0
    hosts, patched, expected = (sum(group[first + number] for group in groups) for number in range(3))
    return (patched / hosts, expected / hosts) if hosts else None


def weigh(tally, history=None):
    """Return the evidence (dict): the stakes fleet, cohort, fresh, rate (None without history), and their mean, `e`.

    `suspicion` is the same mean where what is not certain counts, too: a crash whose failure domain may still turn out to be
    down as a whole, and more crashes than history knows when too few control hosts are left to show a storm.
    """
    certain, all_of_it = (_together(_bets(tally, history, kind), tally.cohorts()) for kind in (True, False))
    return {**certain, "suspicion": all_of_it["e"]}


def _unbet(tally, history):
    """Return the bets, nothing bet yet: {(fleet, cohort, fresh or rate, which cohort or None): {bin: step}}."""
    alone = ("fleet", "fresh", "rate") if history else ("fleet", "fresh")
    return {**{(kind, None): {} for kind in alone}, **{("cohort", name): {} for name in tally.cohorts()}}


def _bets(tally, history, certain):
    """Return the steps of each bet, as _unbet() does."""
    found = _unbet(tally, history)

    def put(kind, cohort, place, step):
        steps = found[kind, cohort]
        steps[place] = bets.add(steps[place], step) if place in steps else step

    for (stratum, place), numbers in tally.cells(certain=certain).items():
        step = bets.cell(*numbers)
        put("fleet", None, place, step)
        put("cohort", stratum.cohort, place, step)
    for (unused, place), numbers in tally.cells("fresh", certain).items():
        put("fresh", None, place, bets.cell(*numbers))
    for place, groups, settled in tally.shared:
        if settled or not certain:
            put("fleet", None, place, bets.incident(*_share(groups.values())))
            for cohort, group in groups.items():
                put("cohort", cohort, place, bets.incident(*_share([group])))
            young = _share(groups.values(), fresh=True)
            if young:
                put("fresh", None, place, bets.incident(*young))
    if history:
        for place, numbers in tally.rate_cells(history, certain).items():
            put("rate", None, place, bets.above_rate(*numbers))
    return found


def _together(steps, weights):
    """Return the stakes (dict) of bets, and their mean; weights: of the cohorts."""
    stakes = {kind: [] for kind in SHARES}
    for (kind, cohort), found in steps.items():
        stakes[kind].append((bets.stake(found[place] for place in sorted(found)), weights.get(cohort, 1)))
    found = {kind: bets.mean(some) for kind, some in stakes.items()}
    e = bets.mean((found[kind], share) for kind, share in SHARES.items() if stakes[kind])
    return {**found, "rate": found["rate"] if stakes["rate"] else None, "e": e}


def crashes_to(tally, evidence, history=None, most=1000):
    """Return how many crashes (int), spread evenly over the patched host-hours so far, would have brought this evidence.

    None when even `most` would not. What happened on the control hosts stays as it was.
    """
    total = tally.total("patched")
    if total <= 0 or most < 1:
        return None
    spread, weights = _spread(tally, history, total), tally.cohorts()

    def reaches(crashes):
        steps = {
            bet: {place: [crashes * each + without for each, without in zip(*pair)] for place, pair in found.items()}
            for bet, found in spread.items()
        }
        return _together(steps, weights)["e"] >= evidence

    low, high = 0, 1
    while not reaches(high):
        if high >= most:
            return None
        low, high = high, min(most, high * 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def _spread(tally, history, total):
    """Return the bets of one crash spread evenly: like _bets(), with (of each crash, without any) for each ratio."""
    found, control = _unbet(tally, history), tally.counts()["control"]
    for arm in ("patched", "fresh"):
        for stratum, bins in tally.hours[arm].items():
            hit = (("fleet", None), ("cohort", stratum.cohort)) if arm == "patched" else (("fresh", None),)
            for place, hours in bins.items():
                other = tally.hours["control"].get(stratum, {}).get(place, 0.0)
                one = [hours / total * number for number in bets.cell(1, 0, hours, other)]
                pair = [one, bets.cell(0, control[stratum, place], hours, other)]
                for steps in (found[bet] for bet in hit):
                    steps[place] = [bets.add(*both) for both in zip(steps[place], pair)] if place in steps else pair
    if history:
        for place, (unused, hours, known) in tally.rate_cells(history, certain=True).items():
            one = [hours / total * math.log(ratio) for ratio in bets.GRID]
            found["rate", None][place] = [one, bets.above_rate((), hours, known)]
    return found


def _running(found):
    """Turn seconds in single bins, and hosts that come and go, into host-hours by bin."""
    part, step = found
    hours, hosts = dict(part), 0
    if step:
        for place in range(min(step), max(step) + 1):
            hosts += step.get(place, 0)
            if hosts:
                hours[place] = hours.get(place, 0.0) + hosts * BIN
    return {place: seconds / HOUR for place, seconds in hours.items() if seconds}


def _by_bin(hours):
    sums = {}
    for bins in hours.values():
        for place, found in bins.items():
            sums[place] = sums.get(place, 0.0) + found
    return sums


def _sums(hours, events):
    """Return (first bin, [(events, host-hours) of all bins before]) of an arm."""
    places = {*hours, *events}
    if not places:
        return 0, [(0, 0.0)]
    found, first = [(0, 0.0)], min(places)
    for place in range(first, max(places) + 1):
        found.append((found[-1][0] + events.get(place, 0), found[-1][1] + hours.get(place, 0.0)))
    return first, found


def _shows_storms(control, place, patched, known):
    around = sum(control.get(other, 0.0) for other in range(place - GUARDS[-1] // BIN + 1, place + 1))
    there = control.get(place, 0.0)
    return there >= ENOUGH_CONTROL * (there + patched) or around * known >= 1


def _control_rates(hours, events, known):
    """Return (first bin, {width: the rates of the control hosts in the so many bins before each bin, and before the end})."""
    first, sums = _sums(hours, events)
    rates = {}
    for width in (guard // BIN for guard in GUARDS):
        pairs = zip([sums[0]] * width + sums, sums)
        rates[width] = [
            (PRIOR + after[0] - before[0]) / (PRIOR / known + after[1] - before[1]) for before, after in pairs
        ]
    return first, rates


def _at_that_time(rates, number, known):
    """Return the highest rate that control hosts had in a stretch around a bin (its number), and at least `known`.

    Stretches that end later count as soon as they are seen. They can only raise the rate, so the bet stays a fair one.
    """
    around = (found[max(0, number + 1) : max(0, number + width + 1)] for width, found in rates.items())
    return max([known, *(max(part) for part in around if part)])
