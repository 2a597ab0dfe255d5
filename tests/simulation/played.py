# The same luck as in a simulated rollout, played through the product's journal: answers of hosts go in, its state comes out.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import arms, rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import answers, journal, outcomes, schedule
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states

from tests.simulation import fleet as fleets
from tests.simulation.world import HOUR

RELEASE = "hotfix3"


class Played:
    """A rollout whose journal is written by the product's own code, beside a World: times are those of the world, in hours."""

    def __init__(self, world, control_hosts):
        self.world, self.now = world, 0.0
        self.names = [f"host{place}" for place in range(world.fleet.hosts)]
        self.state = states.State()
        gate = rules.parse({"control_hosts": control_hosts})
        first = {"rollout": "web", "release": RELEASE, "seed": "1", "parameters": {"rules": gate}}
        tiers, entries = [], []
        for tier in world.fleet.tiers:
            places = iter(range(tier.start, tier.start + sum(tier.slices)))
            tiers.append({"number": tier.number, "name": tier.name, "max_failures": tier.max_failures})
            for number, size in enumerate(tier.slices, 1):
                entries += [self._planned(next(places), tier.number, number) for unused in range(size)]
        self.write(
            [{"kind": "rollout", **first}, {"kind": "run", "run": 1}, *entries, {"kind": "planned", "tiers": tiers}]
        )

    def _planned(self, place, tier, number):
        return {
            "kind": "host",
            "host": self.names[place],
            "tier": tier,
            "slice": number,
            "cohort": fleets.NAMES[self.world.fleet.cohort[place]],
            "domain": f"rack{self.world.fleet.rack[place]}",
            "kernel_release": "6.1.0-1",
            "boot_id": self._boot(place)[0],
            "enabled": None,
            "livepatch": RELEASE,
        }

    def write(self, entries):
        clock = self.world.seconds(self.now)
        states.advance(self.state, journal.stamped(entries, 1, lambda: clock))

    def _boot(self, place):
        """Return (boot id, uptime in seconds) of a host: it boots anew with each crash that the world knows."""
        world = self.world
        booted = [hour for hour in (world.first[place],) if hour < world.patched_at[place]] + [world.crash[place]]
        booted = [-100.0, *sorted(hour for hour in booted if hour <= self.now)]
        return f"boot {place} {len(booted)}", (self.now - booted[-1]) * HOUR

    def _look(self, place, patched):
        boot_id, uptime = self._boot(place)
        return {
            "boot_id": boot_id,
            "rebooted": False,
            "enabled": RELEASE if patched else None,
            "uptime_seconds": uptime,
            "events": [],
            "sequence": 9,
            "unseen": [],
            "sources": {"kmsg": "read"},
        }

    def patch(self, tier, number, size):
        """Patch the next slice, in the world too."""
        first = self.world.patched
        before = {self.names[place]: self._boot(place)[0] for place in range(first, first + size)}
        self.world.patch(size, self.now)
        self.write([{"kind": "slice", "tier": tier, "slice": number, "hosts": list(before)}])

        def results(name):
            apply = {"changed": True, "name": RELEASE, "proven": True, "before": {"enabled": None}}
            apply["since"] = {"boot_id": before[name], "sequence": 5}
            package = {"changed": True, "outcome": "installed", "package": "hotfix-3-1.x86_64", "before": None}
            look = self._look(self.names.index(name), True)
            return {
                step: answers.result(found) for step, found in (("package", package), ("apply", apply), ("look", look))
            }

        self.write(outcomes.of_slice(self.state, results, self.world.seconds(self.now)))

    def look(self, now):
        """Look at all whom the product looks at."""
        self.now = now
        self.world.watch(now, now)
        found = {}
        for name in schedule.to_look_at(self.state):
            place = self.names.index(name)
            found[name] = answers.result(self._look(place, place < self.world.patched))
        self.write(outcomes.of_looks(self.state, found, self.world.seconds(now)))

    def watched(self):
        """Return the places (set) of the hosts that the product has looked at without the livepatch."""
        return {place for place, name in enumerate(self.names) if self.state.hosts[name].control}

    def tally(self):
        """Return the product's Tally."""
        return arms.tally(self.state, self.world.seconds(self.now), "crash")
