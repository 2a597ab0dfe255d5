# The gates that are compared: the product's, and those that it is measured against.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import math

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import exposure

from tests.simulation import verdict

LAG = 0.5  # hours until a crash is reported, on both arms
ALPHA = 0.05
MANY_EVENTS = 400


class Product:
    """The product's gate, looked at after every slice and every 15 minutes."""

    def __init__(self, world, always=False, history=True):
        """always: weigh the evidence at every look, though it cannot have grown; history: bet on the days before."""
        self.world, self.always = world, always
        self.history = world.luck.history if history else None
        self.evidence, self.highest = {"e": 1.0, "suspicion": 1.0}, 1.0
        self.tiers, self.first_tier_bad = [], 0
        self._seen, self._again = -1.0, False

    def begin(self, tier):
        self.tiers.append([0, tier.max_failures])

    def slice(self, failed):
        """Take note of a slice's transition failures, which are known at once; return the verdict and its rule."""
        self.tiers[-1][0] += failed
        if len(self.tiers) == 1:
            self.first_tier_bad += failed
        return self._decide()

    def look(self, now):
        """Choose whom to compare with, weigh what is reported by now (hours); return the verdict and its rule."""
        cutoff = now - LAG
        self.world.watch(now, cutoff)
        new = self.world.reported(self._seen, cutoff)
        if len(self.tiers) == 1:
            self.first_tier_bad += new
        # Without a new crash of a patched host E only falls, once the bin of the last one is over.
        if self.always or new or self._again or self.evidence["suspicion"] >= verdict.RULES["hold_evidence"]:
            self.evidence = exposure.weigh(self.world.tally(now, cutoff), self.history)
            self.highest = max(self.highest, self.evidence["e"])
        self._seen, self._again = cutoff, bool(new)
        return self._decide(self.world.silent(cutoff, now))

    def _decide(self, silent=False):
        return verdict.decide(self.evidence, self.first_tier_bad, self.tiers, silent)


class Others:
    """What other gates would have said of the same run if nothing had stopped it: for each, when it stops first."""

    NAMES = (
        "max_fail_percentage 1",
        "> 1 crash per 1K",
        "> 1 per 1K, >= 3",
        "p < .05 every look",
        "p < .05 / tiers, tier ends",
    )

    def __init__(self, world, tiers):
        self.world = world
        self.tiers, self.begun = tiers, []  # [hosts, place of the first crash in world.crashes]
        self.stops = {}  # name -> (crashed, share patched)
        self._seen, self._p = -1.0, 1.0

    def begin(self, tier):
        self.begun.append(tier)

    def slice(self, size, clean, now):
        """Take note of a slice: Ansible counts its clean failures, a host that crashed is merely unreachable."""
        if clean > 0.01 * size:
            self._stop(0, now)

    def look(self, now, tier_ends):
        cutoff = now - LAG
        if self.world.reported(self._seen, cutoff):
            self._per_thousand(cutoff, now)
            self._p = p_value(list(self.world.tally(now, cutoff).cells().values()))
        self._seen = cutoff
        if self._p < ALPHA:
            self._stop(3, now)
        if tier_ends and self._p < ALPHA / len(self.tiers):
            self._stop(4, now)

    def _per_thousand(self, cutoff, now):
        for tier in self.begun:
            hosts = sum(tier.slices)
            crashed = self.world.crashed_in(tier.start, tier.start + hosts, cutoff)
            if crashed > hosts / 1000:
                self._stop(1, now)
                if crashed >= 3:
                    self._stop(2, now)

    def _stop(self, number, now):
        self.stops.setdefault(
            self.NAMES[number], (self.world.crashed(now), self.world.patched / self.world.fleet.hosts)
        )

    def done(self):
        """True when every gate that can see crashes has stopped."""
        return len(self.stops) >= len(self.NAMES) - 1


def p_value(cells):
    """Return the chance (float) that at least as many events fall on patched hosts if the livepatch is harmless.

    cells: (patched events, control events, patched hours, control hours). Exact given the events of each cell; of many events
    by the normal approximation.
    """
    chances = [t_p / (t_p + t_u) for x_p, x_u, t_p, t_u in cells if t_p > 0 for unused in range(x_p + x_u)]
    patched = sum(cell[0] for cell in cells if cell[2] > 0)
    if patched == 0:
        return 1.0
    if len(chances) > MANY_EVENTS:
        spread = math.sqrt(sum(p * (1 - p) for p in chances))
        distance = (patched - 0.5 - sum(chances)) / spread if spread else 0.0
        return 0.5 * math.erfc(distance / math.sqrt(2))
    # counts[k]: chance of exactly k events on patched hosts; the last entry is "patched or more".
    counts = [1.0] + [0.0] * patched
    for p in chances:
        counts[patched] += counts[patched - 1] * p
        for k in range(patched - 1, 0, -1):
            counts[k] += (counts[k - 1] - counts[k]) * p
        counts[0] *= 1 - p
    return min(1.0, counts[patched])
