# Events and host-hours of two arms, cut into time bins and cohorts: what the bets are made on. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from collections import namedtuple

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import bets

# Fixed before any data are seen: merging or moving bins afterwards would be choosing the result.
BIN = 900
FRESH = 3600
# The control hosts are asked for these times around a bin, with history as if it were a quarter of an event more.
GUARDS = (1 * 3600, 2 * 3600, 6 * 3600)
PRIOR = 0.25
HOUR = 3600.0

Span = namedtuple("Span", "cohort start end hosts")
Span.__doc__ = """So many hosts (int) of a cohort (str) watched on one arm from start to end (seconds since 1970)."""

Event = namedtuple("Event", "time cohort fate patched_at")
Event.__doc__ = """One event: when (seconds since 1970), in which cohort (str), sharing which fate (hashable: a failure domain,
or the host itself where it has none), and since when the host was patched (seconds), None on the control arm."""


class Tally:
    """Host-hours and incidents by cohort and bin, on both arms; `fresh` are hosts patched less than an hour before."""

    def __init__(self, patched, control, events, cutoff):
        """patched, control: iterables of Span; events: iterable of Event; cutoff: nothing later counts, on either arm."""
        self.hours = {"patched": {}, "fresh": {}, "control": {}}  # arm -> cohort -> bin -> host-hours
        self.events = {"patched": {}, "fresh": {}, "control": {}}  # arm -> (cohort, bin) -> incidents
        for span in patched:
            self._add_span("patched", span, cutoff)
            self._add_span("fresh", span._replace(end=min(span.end, span.start + FRESH)), cutoff)
        for span in control:
            self._add_span("control", span, cutoff)
        for arm in self.hours.values():
            for cohort in arm:
                arm[cohort] = _running(arm[cohort])
        self.incidents = {"patched": 0, "control": 0}
        self._count(events, cutoff)

    def _add_span(self, arm, span, cutoff):
        end = min(span.end, cutoff)
        if end <= span.start:
            return
        part, step = self.hours[arm].setdefault(span.cohort, ({}, {}))
        first, last = int(span.start // BIN), int(end // BIN)
        if first == last:
            part[first] = part.get(first, 0.0) + span.hosts * (end - span.start)
            return
        part[first] = part.get(first, 0.0) + span.hosts * ((first + 1) * BIN - span.start)
        part[last] = part.get(last, 0.0) + span.hosts * (end - last * BIN)
        step[first + 1] = step.get(first + 1, 0) + span.hosts
        step[last] = step.get(last, 0) - span.hosts

    def _count(self, events, cutoff):
        """Events of one fate, arm and bin are one incident: a rack that loses power is no ten crashes."""
        seen = set()
        for event in sorted(events, key=lambda event: (event.time, str(event.cohort), str(event.fate))):
            arm = "control" if event.patched_at is None else "patched"
            place = int(event.time // BIN)
            if event.time > cutoff or (event.fate, arm, place) in seen:
                continue
            seen.add((event.fate, arm, place))
            self.incidents[arm] += 1
            self._note(arm, event.cohort, place)
            if arm == "patched" and event.time < event.patched_at + FRESH:
                self._note("fresh", event.cohort, place)

    def _note(self, arm, cohort, place):
        counts = self.events[arm]
        counts[cohort, place] = counts.get((cohort, place), 0) + 1

    def cells(self, arm="patched"):
        """Return {cohort: [(patched events, control events, patched hours, control hours)]}, of bins with events only.

        arm: patched, or fresh for the hosts patched less than an hour before alone.
        """
        found = {}
        for cohort, place in sorted({*self.events[arm], *self.events["control"]}, key=str):
            found.setdefault(cohort, []).append(self._cell(arm, cohort, place))
        return found

    def _cell(self, arm, cohort, place):
        key = (cohort, place)
        hours = [self.hours[side].get(cohort, {}).get(place, 0.0) for side in (arm, "control")]
        return (self.events[arm].get(key, 0), self.events["control"].get(key, 0), *hours)

    def total(self, arm):
        """Return the host-hours (float) of an arm."""
        return sum(sum(bins.values()) for bins in self.hours[arm].values())

    def cohorts(self):
        """Return the cohorts (list) with hosts on either arm."""
        return sorted({*self.hours["patched"], *self.hours["control"]}, key=str)

    def rate_cells(self, history):
        """Return [(patched events, patched hours, expected rate)] a bin.

        history: (events, host-hours) of the days before the rollout. The rate is the upper bound of history, or the highest
        that the control hosts had in one, two or six hours around the bin: a storm is not the livepatch's. History counts as
        a quarter of an event there, so that few control hosts say little.
        """
        known = bets.upper_rate(*history)
        patched_hours, patched_events = _by_bin(self.hours, self.events, "patched")
        control = _sums(*_by_bin(self.hours, self.events, "control"))
        return [
            (patched_events.get(place, 0), patched_hours.get(place, 0.0), _at_that_time(control, place, known))
            for place in sorted({*patched_hours, *patched_events})
        ]


def weigh(tally, history=None):
    """Return the evidence (dict): the e-values fleet, cohort, fresh, rate (None without history), and their mean, `e`."""
    cohorts, fresh = tally.cells(), tally.cells("fresh")
    return together(
        [cell for cells in cohorts.values() for cell in cells],
        [cohorts.get(cohort, []) for cohort in tally.cohorts()],
        [cell for cells in fresh.values() for cell in cells],
        tally.rate_cells(history) if history else None,
    )


def together(fleet, cohorts, fresh, rate=None):
    """Return the evidence (dict) of the cells of each bet; cohorts: a list of cells for each cohort; rate: None for no bet."""
    found = {
        "fleet": bets.concurrent(fleet),
        "cohort": bets.mean(bets.concurrent(cells) for cells in cohorts),
        "fresh": bets.concurrent(fresh),
        "rate": None if rate is None else bets.against_rate(rate),
    }
    return dict(found, e=bets.mean(value for value in found.values() if value is not None))


def crashes_to(tally, evidence, history=None, most=1000):
    """Return how many crashes (int), spread evenly over the patched host-hours so far, would have brought this evidence.

    None when even `most` would not. What happened on the control hosts stays as it was.
    """
    total = tally.total("patched")
    if total <= 0:
        return None
    rate = tally.rate_cells(history) if history else None

    def reaches(crashes):
        per_hour = crashes / total
        fleet, cohorts, fresh = [], [], []
        for cohort in tally.cohorts():
            cohorts.append(_spread(tally, "patched", cohort, per_hour))
            fleet += cohorts[-1]
            fresh += _spread(tally, "fresh", cohort, per_hour)
        expected = None if rate is None else [(per_hour * hours, hours, known) for unused, hours, known in rate]
        return together(fleet, cohorts, fresh, expected)["e"] >= evidence

    low, high = 0, 1
    while not reaches(high):
        if high >= most:
            return None
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def _spread(tally, arm, cohort, per_hour):
    control = tally.hours["control"].get(cohort, {})
    return [
        (per_hour * hours, tally.events["control"].get((cohort, place), 0), hours, control.get(place, 0.0))
        for place, hours in tally.hours[arm].get(cohort, {}).items()
    ]


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


def _by_bin(hours, events, arm):
    sums, counts = {}, {}
    for bins in hours[arm].values():
        for place, found in bins.items():
            sums[place] = sums.get(place, 0.0) + found
    for (unused, place), found in events[arm].items():
        counts[place] = counts.get(place, 0) + found
    return sums, counts


def _sums(hours, events):
    """Return (first bin, [(events, host-hours) of all bins before]) of an arm."""
    places = sorted({*hours, *events})
    if not places:
        return 0, [(0, 0.0)]
    found = [(0, 0.0)]
    for place in range(places[0], places[-1] + 1):
        found.append((found[-1][0] + events.get(place, 0), found[-1][1] + hours.get(place, 0.0)))
    return places[0], found


def _at_that_time(control, place, known):
    """Return the highest rate that control hosts had in a stretch around this bin, and at least `known`.

    Stretches that end later count as soon as they are seen. They can only raise the rate, so the bet stays a fair one.
    """
    first, sums = control
    last = len(sums) - 1
    rate = known
    for width in (guard // BIN for guard in GUARDS):
        for end in range(place - first + 1, min(place - first + width, last) + 1):
            before, after = sums[max(0, end - width)], sums[max(0, end)]
            rate = max(rate, (PRIOR + after[0] - before[0]) / (PRIOR / known + after[1] - before[1]))
    return rate
