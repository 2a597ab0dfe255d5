# When each host of a simulated fleet crashes, on either arm, and what the gate is shown of it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from collections import Counter

import numpy
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate.exposure import Event, Span, Tally

from tests.simulation import fleet as fleets

HOUR = 3600.0
START = 1_800_000_000.0
NEVER = 1e6  # hours
HORIZON = 130.0  # hours that no rollout outlives; a crash after them is none
HISTORY = 14 * 24.0
LEMONS, LEMON_RATE = 0.001, 0.02
RACK_RATE = 1e-4
STORM, STORM_HOURS = 50.0, 10.0
SURGE, SURGE_HOURS = 5.0, 8.0
LATEST_TROUBLE = 30.0
TRANSITION = 60.0  # seconds within which a host that crashes at its transition does


class Luck:
    """All that is left to chance in one run, drawn before it begins: the same for every gate that is compared."""

    def __init__(self, fleet, model, rng):
        """rng: a numpy Generator."""
        self.fleet, self.model = fleet, model
        self.phase = rng.uniform(0, 900)
        self.rate = fleets.RATES[fleet.cohort]
        if model.lemons:
            self.rate[rng.random(fleet.hosts) < LEMONS] = LEMON_RATE
        self.clocks = _clocks(model, rng)
        self.until_crash = rng.exponential(size=fleet.hosts)
        self.until_patched_crash = rng.exponential(size=fleet.hosts)
        self.at_transition = rng.random(fleet.hosts)
        self.delay = rng.uniform(1, TRANSITION, fleet.hosts) / HOUR
        racks = int(fleet.rack.max()) + 1
        self.rack_dies = rng.exponential(1 / RACK_RATE, racks) if model.racks else numpy.full(racks, NEVER)
        self.history = self._history(rng, racks)

    def _history(self, rng, racks):
        """Return (events, host-hours) of the days before: a host counts once, then too."""
        crash = rng.exponential(size=self.fleet.hosts) / self.rate
        events = int((crash < HISTORY).sum()) + int(rng.poisson(racks * RACK_RATE * HISTORY) if self.model.racks else 0)
        return events, float(numpy.minimum(crash, HISTORY).sum())

    def suffers(self, places):
        """Return which (array of bool) of the hosts at these places (slice) the livepatch may harm."""
        return self.fleet.cohort[places] == fleets.SMALLEST if self.model.only_smallest else slice(None)

    def crash(self, begin, units, rate, places):
        """Return when (hours) hosts crash that are watched from `begin` and use up so many units at this rate."""
        cohorts = self.fleet.cohort[places]
        found = numpy.full(len(units), NEVER)
        for cohort, (hours, used) in enumerate(self.clocks):
            mine = cohorts == cohort
            end = numpy.interp(begin, hours, used) + units[mine] / rate[mine]
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
    """One run's hosts: patched one after the other in the order of the plan, crashing as luck has it. Hours."""

    def __init__(self, luck, control_hosts=None):
        """control_hosts: how many hosts, from the end of the order, are the control arm; None: all unpatched."""
        self.luck, self.fleet = luck, luck.fleet
        hosts = self.fleet.hosts
        self.first_control = 0 if control_hosts is None else max(0, hosts - control_hosts)
        self.patched = 0  # hosts before this place are patched
        self.failed = 0  # clean failures
        everywhere = slice(0, hosts)
        own = luck.crash(0.0, luck.until_crash, luck.rate, everywhere)
        self.crash = numpy.minimum(own, luck.rack_dies[self.fleet.rack])
        self.crashes = []  # hours, of patched hosts
        self._crash_places = []
        self._patched_rows, self._patched_events = [], []
        self._control_rows, self._control_events = [], []  # of hosts that are patched by now
        self._waiting = self._watched(everywhere, None)

    def patch(self, size, now):
        """Patch the next slice; return how many of its hosts crash or fail in their transition."""
        places = slice(self.patched, self.patched + size)
        luck, rate = self.luck, self.luck.rate[places].copy()
        suffers = numpy.zeros(size, bool)
        suffers[luck.suffers(places)] = True
        alive = self.crash[places] > now
        chance = luck.at_transition[places]
        crashes = alive & suffers & (chance < luck.model.crash)
        fails = alive & suffers & (chance > 1 - luck.model.fail)
        rate[suffers] *= luck.model.times
        later = luck.crash(now, luck.until_patched_crash[places], rate, places)
        dies = luck.rack_dies[self.fleet.rack[places]]
        crash = numpy.where(
            crashes, now + luck.delay[places], numpy.minimum(later, numpy.where(dies > now, dies, NEVER))
        )
        rows, events = self._watched(places, now)
        self._control_rows += rows
        self._control_events += events
        self.crash[places] = crash
        self._add_patched(places, now, alive & ~fails)
        self.patched += size
        self._waiting = None
        self.failed += int(fails.sum())
        return int((crashes | fails).sum())

    def _watched(self, places, now):
        """Return (rows, events) of the control hosts among these places, watched until `now` (None: they still are)."""
        places = slice(max(places.start, self.first_control), places.stop)
        if places.start >= places.stop:
            return [], []
        return self._rows(places, 0.0, NEVER if now is None else now, self.crash[places], None)

    def _add_patched(self, places, now, chosen):
        rows, events = self._rows(places, now, NEVER, self.crash[places], now, chosen)
        self._patched_rows += rows
        self._patched_events += events
        self.crashes += [event[0] for event in events]
        self._crash_places += (places.start + numpy.flatnonzero(chosen & (self.crash[places] < HORIZON))).tolist()

    def _rows(self, places, start, end, crash, patched_at, chosen=None):
        """Return (rows, events): a row for all hosts of a cohort that live on, and one for each that crashes."""
        cohort, rack = self.fleet.cohort[places], self.fleet.rack[places]
        until = numpy.minimum(end, HORIZON)
        crashes = crash < until
        if chosen is None:
            chosen = numpy.ones(len(crash), bool)
        lives = numpy.bincount(cohort[chosen & ~crashes], minlength=len(fleets.COHORTS))
        rows = Counter({(kind, end): int(count) for kind, count in enumerate(lives) if count})
        events = []
        at = None if patched_at is None else self.seconds(patched_at)
        for place in numpy.flatnonzero(chosen & crashes):
            kind, hour = int(cohort[place]), float(crash[place])
            rows[kind, hour] += 1  # a rack dies at once
            events.append((hour, Event(self.seconds(hour), fleets.NAMES[kind], int(rack[place]), at)))
        begin = self.seconds(start)
        return [
            Span(fleets.NAMES[kind], begin, self.seconds(stop), hosts) for (kind, stop), hosts in rows.items()
        ], events

    def seconds(self, hours):
        """Return the time (seconds since 1970) so many hours after the beginning, which lies anywhere in a bin."""
        return START + self.luck.phase + hours * HOUR

    def tally(self, cutoff):
        """Return the product's Tally of everything until the cutoff (hours)."""
        if self._waiting is None:
            self._waiting = self._watched(slice(self.patched, self.fleet.hosts), None)
        rows, waiting = self._waiting
        known = [
            event
            for source in (self._patched_events, self._control_events, waiting)
            for hour, event in source
            if hour <= cutoff
        ]
        return Tally(self._patched_rows, self._control_rows + rows, known, self.seconds(cutoff))

    def reported(self, after, cutoff):
        """Return how many crashes of patched hosts lie after `after` and until the cutoff (hours)."""
        return sum(after < hour <= cutoff for hour in self.crashes)

    def crashed(self, now):
        """Return how many patched hosts have crashed by now (hours), reported or not, or do in a transition of now."""
        return self.reported(-1.0, now + TRANSITION / HOUR)

    def crashed_in(self, begin, end, cutoff):
        """Return how many of the patched hosts at these places have crashed until the cutoff (hours)."""
        found = zip(self._crash_places, self.crashes)
        return sum(begin <= place < end and hour <= cutoff for place, hour in found)
