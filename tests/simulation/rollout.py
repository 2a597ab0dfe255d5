# One simulated rollout: slices, looks, holds and soaks, as the product goes through them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import zlib
from collections import namedtuple

import numpy

from tests.simulation import fleet as fleets
from tests.simulation import gates, models, verdict
from tests.simulation.world import Luck, World

STEP = verdict.RULES["look_interval"] / 3600
MAX_HOLD = verdict.RULES["max_hold"] / 3600

Result = namedtuple("Result", "outcome rule crashed patched held hours hold_hours highest others")
Result.__doc__ = """How a rollout ended: outcome (complete, stop or held), the rule that stopped it, patched hosts
crashed by then, share patched, whether it ever held, hours taken and held, the highest evidence, and what other gates
would have done: name -> (stopped, crashed, share patched)."""


class Progress:
    """Where a rollout stands in its plan: which slices come next, and when the tier is over. Times in hours."""

    def __init__(self, tiers):
        self.left = list(tiers)
        self.tier, self.begun, self.slices, self.until = None, 0.0, [], 0.0

    def next(self, now):
        """Return the slices to be patched now, [] for none; None when the last tier is over."""
        if not self.slices and now >= self.until:
            if not self.left:
                return None
            self.tier, self.begun = self.left.pop(0), now
            self.slices = list(self.tier.slices)
        spread, soak, count = self.tier.spread / 3600, self.tier.soak / 3600, len(self.tier.slices)
        found = []
        while self.slices and self.begun + spread * (count - len(self.slices)) / count <= now:
            found.append(self.slices.pop(0))
        if found and not self.slices:
            # A hold between the slices prolongs the soak.
            self.until = max(self.begun + soak, now + max(0, soak - spread))
        return found

    def ends(self, now):
        """True at the look at which the current tier is judged for the last time."""
        return self.tier is not None and not self.slices and now >= self.until


class Rollout:
    """A rollout under the product's gate."""

    def __init__(self, world, **options):
        self.world, self.gate = world, gates.Product(world, **options)
        self.progress = Progress(world.fleet.tiers)
        self.now, self.hold_since, self.held, self.hold_hours = 0.0, None, False, 0.0

    def run(self):
        """Return (outcome, rule) of the whole rollout."""
        while True:
            said, rule = self.gate.look(self.now)
            if said == "pass":
                self.hold_since = None
                said, rule = self._go_on()
            elif said == "hold":
                self._hold()
                if self.now - self.hold_since >= MAX_HOLD:
                    return "held", rule
            if said in ("stop", "complete"):
                return said, rule
            self.now += STEP

    def _hold(self):
        if self.hold_since is None:
            self.hold_since, self.held = self.now, True
        else:
            self.hold_hours += STEP

    def _go_on(self):
        before = self.progress.tier
        slices = self.progress.next(self.now)
        if slices is None:
            return "complete", None
        if self.progress.tier is not before:
            self.gate.begin(self.progress.tier)
        for size in slices:
            said, rule = self.gate.slice(self.world.patch(size, self.now))
            if said == "stop":
                return said, rule
        return "pass", None


def ungated(world, others):
    """Run a rollout to its end, whatever happens, and let other gates watch; return what they did (Result.others)."""
    progress, now = Progress(world.fleet.tiers), 0.0
    while True:
        if not others.done():
            others.look(now, progress.ends(now))
        before = progress.tier
        slices = progress.next(now)
        if slices is None:
            break
        if progress.tier is not before:
            others.begin(progress.tier)
        for size in slices:
            clean = world.failed
            world.patch(size, now)
            others.slice(size, world.failed - clean, now)
        now += STEP
    end = (False, world.crashed(now), world.patched / world.fleet.hosts)
    return {name: (True, *others.stops[name]) if name in others.stops else end for name in others.NAMES + ("no gate",)}


def simulate(
    hosts, name, seed, run, plans=300, change="scheduled", control_hosts=None, compare=True, boot_ids=True, **options
):
    """Return the Result of one run of a model; the same seed and run give the same.

    plans: how many different plans the runs share; compare: let other gates watch the same luck; boot_ids: see World.
    """
    model = models.parse(name)
    fleet = fleets.make(hosts, f"{seed}/{run % plans}", change, model.habits)
    luck = Luck(fleet, model, numpy.random.default_rng([seed, run, zlib.crc32(name.encode())]))
    rollout = Rollout(World(luck, control_hosts, boot_ids), **options)
    outcome, rule = rollout.run()
    world = World(luck) if compare else None
    return Result(
        outcome,
        rule,
        rollout.world.crashed(rollout.now),
        rollout.world.patched / hosts,
        rollout.held,
        rollout.now,
        rollout.hold_hours,
        rollout.gate.highest,
        ungated(world, gates.Others(world, fleet.tiers)) if compare else {},
    )
