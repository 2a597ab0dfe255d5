# When each host of a simulated fleet crashes, on either arm, and what the gate is shown of it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import numpy
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate.exposure import Event, Span, Stratum, Tally, Watched

from tests.simulation import fleet as fleets

HOUR = 3600.0
START = 1_800_000_000.0
NEVER = 1e6  # hours
HORIZON = 130.0  # hours that no rollout outlives; a crash after them is none
HISTORY = 14 * 24.0
RACK_RATE = 1e-4
STORM, STORM_HOURS = 50.0, 10.0
SURGE, SURGE_HOURS = 5.0, 8.0
LATEST_TROUBLE = 30.0
TRANSITION = 60.0  # seconds within which a host that crashes at its transition does
LATE = 12.0  # hours in which a late harm does nothing
LOST, LOST_AT = 0.24, 9.0  # share of the hosts to compare with, and when they are lost
SELFS = 0.3  # share of the hosts that patch themselves, in the first 30 hours


class Luck:
    """All that is left to chance in one run, drawn before it begins: the same for every gate that is compared."""

    def __init__(self, fleet, model, rng):
        """rng: a numpy Generator."""
        hosts = fleet.hosts
        self.fleet, self.model = fleet, model
        self.phase = rng.uniform(0, 900)
        self.rate = fleet.rate
        self.clocks = _clocks(model, rng)
        self.until_crash = rng.exponential(size=hosts)
        self.until_patched_crash = rng.exponential(size=hosts)
        self.until_late_crash = rng.exponential(size=hosts)
        self.at_transition = rng.random(hosts)
        self.delay = rng.uniform(1, TRANSITION, hosts) / HOUR
        racks = int(fleet.rack.max()) + 1
        self.rack_dies = rng.exponential(1 / RACK_RATE, racks) if model.racks else numpy.full(racks, NEVER)
        self.history = self._history(rng, racks)
        self.lost = rng.random(hosts) < (LOST if model.lost else 0)
        alone = rng.random(hosts) < (SELFS if model.selfs else 0)
        self.patches_itself = numpy.where(alone, rng.uniform(0, LATEST_TROUBLE, hosts), NEVER)

    def _history(self, rng, racks):
        """Return (events, host-hours) of the days before: a host counts once, then too."""
        crash = rng.exponential(size=self.fleet.hosts) / self.rate
        events = int((crash < HISTORY).sum()) + int(rng.poisson(racks * RACK_RATE * HISTORY) if self.model.racks else 0)
        return events, float(numpy.minimum(crash, HISTORY).sum())

    def suffers(self, places):
        """Return which (array of bool) of the hosts at these places (slice) the livepatch may harm."""
        found = numpy.ones(places.stop - places.start, bool)
        return found & (self.fleet.cohort[places] == fleets.SMALLEST) if self.model.only_smallest else found

    def harmful_rate(self, places):
        """Return how often the hosts at these places (slice) crash with the livepatch."""
        return numpy.where(self.suffers(places), self.model.times, 1.0) * self.rate[places]

    def crash(self, begin, units, rate, places):
        """Return when (hours) hosts crash that live from `begin` (hours, or one for each) and use up so many units."""
        cohorts, begin = self.fleet.cohort[places], numpy.broadcast_to(begin, len(units))
        found = numpy.full(len(units), NEVER)
        for cohort, (hours, used) in enumerate(self.clocks):
            mine = cohorts == cohort
            end = numpy.interp(begin[mine], hours, used) + units[mine] / rate[mine]
            found[mine] = numpy.where(end < used[-1], numpy.interp(end, used, hours), NEVER)
        return found


def _clocks(model, rng):
    """Return for each cohort (hours, hours as the hazard feels them): in a storm they pass faster."""
    hit, storm, surge = rng.integers(len(fleets.COHORTS)), *rng.uniform(0, LATEST_TROUBLE, 2)
    found = []
    for cohort in range(len(fleets.COHORTS)):
        times = [(storm, storm + STORM_HOURS, STORM)] if model.storm and cohort == hit else []
        times += [(surge, surge + SURGE_HOURS, SURGE)] if model.surge else []
        hours = numpy.unique([0.0, HORIZON, *(edge for begin, end, unused in times for edge in (begin, end))])
        middles = (hours[1:] + hours[:-1]) / 2
        factor = numpy.ones(len(middles))
        for begin, end, times_more in times:
            factor[(middles > begin) & (middles < end)] *= times_more
        found.append((hours, numpy.concatenate([[0.0], numpy.cumsum(factor * numpy.diff(hours))])))
    return found


class World:
    """One run's hosts: patched one after the other in the order of the plan, crashing as luck has it. Hours.

    A host that crashes comes back with the habits that it had. It is patched all the same when its turn comes, and when it
    has crashed since the plan, watched or not, it is on no arm from then on.
    """

    def __init__(self, luck, control_hosts=None, boot_ids=True):
        """control_hosts: how many hosts, from the end of the order, are looked at to compare with; None: all unpatched.

        boot_ids: False for a gate that puts hosts on the patched arm that crashed while nobody watched them.
        """
        self.luck, self.fleet, self.control_hosts, self.boot_ids = luck, luck.fleet, control_hosts, boot_ids
        hosts, everywhere = self.fleet.hosts, slice(0, self.fleet.hosts)
        self.patched = 0  # hosts before this place are patched
        self.failed = 0  # clean failures
        own = luck.crash(0.0, luck.until_crash, luck.rate, everywhere)
        alone = luck.patches_itself
        own = numpy.where(
            own > alone, luck.crash(alone, luck.until_late_crash, luck.harmful_rate(everywhere), everywhere), own
        )
        self.first = numpy.minimum(own, luck.rack_dies[self.fleet.rack])  # the first crash since the plan, not patched
        self.watched = numpy.full(hosts, NEVER)  # from when on, on the control arm
        self._told = numpy.zeros(hosts, bool)  # a look has found it lost, on the control arm
        self.patched_at = numpy.full(hosts, NEVER)
        self.counts = numpy.zeros(hosts, bool)  # on the patched arm
        self.crash = numpy.full(hosts, NEVER)  # the first crash after being patched
        self._crashes, self._hangs = numpy.zeros(0), numpy.zeros(0)
        self._seats = _seats(self.fleet.rack)
        kinds, counts = numpy.unique(self.fleet.cohort, return_counts=True)
        self._sizes = {fleets.NAMES[kind]: count for kind, count in zip(kinds.tolist(), counts.tolist())}
        self._gone = None  # which hosts were lost at once
        self.watch(0.0, -1.0)

    def watch(self, now, cutoff):
        """Look at the hosts to compare with, chosen as the product does: by what the looks before this one have told.

        What happened until the cutoff is known by now (hours).
        """
        if self.luck.model.lost and self._gone is None and now >= LOST_AT:
            self._gone = self.luck.lost & (self.watched < NEVER) & (self.patched_at == NEVER)
        if self.control_hosts is None:
            self.watched[:] = 0.0
            return
        waiting = slice(self.patched, self.fleet.hosts)
        fit = ~self._told[waiting] & (self.luck.patches_itself[waiting] > now)
        places = numpy.flatnonzero(fit) + self.patched
        if len(places) > self.control_hosts:
            kinds = self.fleet.cohort[places]
            known, chosen = numpy.unique(kinds), numpy.zeros(len(places), bool)
            for kind in known:  # as many of each cohort for a half of them, and the last ones
                chosen[numpy.flatnonzero(kinds == kind)[-max(1, self.control_hosts // 2 // len(known)) :]] = True
            chosen[numpy.flatnonzero(~chosen)[::-1][: max(0, self.control_hosts - int(chosen.sum()))]] = True
            places = places[chosen]
        self.watched[places] = 0.0  # the plan was the first look at it
        self._told |= (self.watched < NEVER) & (self.control_event() <= cutoff)

    def control_event(self):
        """Return when (hours) each host is lost without being patched."""
        return (
            self.first
            if self._gone is None
            else numpy.where(self._gone, numpy.minimum(self.first, LOST_AT), self.first)
        )

    def patch(self, size, now):
        """Patch the next slice; return how many of its hosts crash, hang or fail in their transition."""
        places = slice(self.patched, self.patched + size)
        luck, model = self.luck, self.luck.model
        suffers = luck.suffers(places) & (not model.late or now >= LATE)
        chance = luck.at_transition[places]
        goes = suffers & (chance < model.crash + model.hang)
        fails = suffers & (chance > 1 - model.fail)
        own = luck.crash(now, luck.until_patched_crash[places], luck.harmful_rate(places), places)
        if model.late and now < LATE:
            own = luck.crash(now, luck.until_patched_crash[places], luck.rate[places], places)
            later = luck.crash(LATE, luck.until_late_crash[places], luck.harmful_rate(places), places)
            own = numpy.where(own > LATE, later, own)
        dies = luck.rack_dies[self.fleet.rack[places]]
        own = numpy.minimum(own, numpy.where(dies > now, dies, NEVER))
        seen = self.watched[places] <= now
        before = self.control_event()[places] <= now
        self.patched_at[places] = now
        self.counts[places] = ~fails & ~(before & (seen | self.boot_ids))
        self.crash[places] = numpy.where(goes, now + luck.delay[places], numpy.where(fails, NEVER, own))
        self._crashes = numpy.concatenate([self._crashes, self.crash[places]])
        self._hangs = numpy.concatenate([self._hangs, self.crash[places][goes & (chance < model.hang)]])
        self.patched += size
        self.failed += int(fails.sum())
        return int((goes | fails).sum())

    def seconds(self, hours):
        """Return the time (seconds since 1970) so many hours after the beginning, which lies anywhere in a bin."""
        return START + self.luck.phase + hours * HOUR

    def arms(self, cutoff):
        """Return what is known at the cutoff (hours), an array each: control begin and end, patched begin and end, event.

        A time that is not is NEVER at its begin, and before its begin at its end.
        """
        control = numpy.minimum(self.patched_at, self.luck.patches_itself)
        lost = self.control_event()
        lost = numpy.where((lost >= self.watched) & (lost < control), lost, NEVER)
        crash = numpy.where(self.counts, self.crash, NEVER)
        begin = numpy.where(self.counts, self.patched_at, NEVER)
        ends = numpy.minimum(numpy.minimum(control, lost), cutoff), numpy.minimum(crash, cutoff)
        event = numpy.minimum(lost, crash)
        return self.watched, ends[0], begin, ends[1], numpy.where(event <= cutoff, event, NEVER)

    def tally(self, now, cutoff):
        """Return the product's Tally by now (hours) of everything until the cutoff."""
        watched, until, patched_at, end, event = self.arms(cutoff)
        begin = numpy.minimum(watched, patched_at)
        company = numpy.partition(numpy.append(begin, NEVER)[self._seats], 1, axis=1)[:, 1][self.fleet.rack]
        hit = numpy.flatnonzero(event < NEVER)
        events = [
            Event(
                self.seconds(event[place]),
                Stratum(fleets.NAMES[self.fleet.cohort[place]], bool(event[place] >= company[place])),
                f"rack{self.fleet.rack[place]}",
                self.seconds(patched_at[place]) if event[place] >= patched_at[place] else None,
                True,
            )
            for place in hit.tolist()
        ]
        racks, times = numpy.unique(self.fleet.rack[hit], return_counts=True)
        return Tally(
            self._spans(patched_at, end, company),
            self._spans(watched, until, company),
            events,
            self.seconds(now),
            {f"rack{rack}": self._rack(rack, begin, patched_at, event) for rack in racks[times > 1].tolist()},
            self._sizes,
        )

    def _spans(self, begin, end, company):
        """Return a Span for all the hosts that are alike."""
        parts = [(0, begin, numpy.minimum(end, company)), (1, numpy.maximum(begin, company), end)]
        times = numpy.unique(numpy.concatenate([numpy.unique(time) for unused, *both in parts for time in both]))
        keys = []
        for together, start, stop in parts:
            some = numpy.flatnonzero(stop > start)
            kind = (self.fleet.cohort[some].astype(numpy.int64) * 2 + together) * len(times)
            both = (numpy.searchsorted(times, time[some]) for time in (start, stop))
            keys.append((kind + next(both)) * len(times) + next(both))
        found, hosts = numpy.unique(numpy.concatenate(keys), return_counts=True)
        kinds, stops = numpy.divmod(found, len(times))
        kinds, starts = numpy.divmod(kinds, len(times))
        return [
            Span(Stratum(fleets.NAMES[kind // 2], bool(kind % 2)), self.seconds(start), self.seconds(stop), count)
            for kind, start, stop, count in zip(
                kinds.tolist(), times[starts].tolist(), times[stops].tolist(), hosts.tolist()
            )
        ]

    def _rack(self, rack, begin, patched_at, event):
        there = self._seats[rack][self._seats[rack] < self.fleet.hosts]
        there = there[begin[there] < NEVER]
        return [
            Watched(
                fleets.NAMES[self.fleet.cohort[place]],
                self.seconds(begin[place]),
                self.seconds(event[place]),
                self.seconds(patched_at[place]) if patched_at[place] < NEVER else None,
            )
            for place in there.tolist()
        ]

    def reported(self, after, cutoff):
        """Return how many crashes of patched hosts lie after `after` and until the cutoff (hours)."""
        return int(((self._crashes > after) & (self._crashes <= cutoff)).sum())

    def silent(self, after, now):
        """Tell whether a host hangs by now (hours) that did not yet by `after`."""
        return bool(((self._hangs > after) & (self._hangs <= now + TRANSITION / HOUR)).any())

    def crashed(self, now):
        """Return how many patched hosts have crashed by now (hours), reported or not, or do in a transition of now."""
        return self.reported(-1.0, now + TRANSITION / HOUR)

    def crashed_in(self, begin, end, cutoff):
        """Return how many of the patched hosts at these places have crashed until the cutoff (hours)."""
        return int((self.crash[begin:end] <= cutoff).sum())


def _seats(rack):
    """Return an array with a line for each rack: the places of its hosts, filled up with the count of hosts."""
    order = numpy.argsort(rack, kind="stable")
    racks = rack[order]
    seat = numpy.arange(len(rack)) - numpy.searchsorted(racks, racks)
    found = numpy.full((int(rack.max()) + 1, max(2, int(seat.max()) + 1)), len(rack))
    found[racks, seat] = order
    return found
