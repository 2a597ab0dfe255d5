# A fleet in the order of the product's own plan for it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import functools
import zlib
from collections import namedtuple

import numpy
import yaml
from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import plan

from tests.simulation import ROOT

# Cohort: share of the fleet, crashes per host-hour. The mean is 3.2e-5.
COHORTS = (
    ("kernel-a", 0.40, 1.0e-5),
    ("kernel-b", 0.25, 3.5e-5),
    ("kernel-c", 0.15, 5.0e-5),
    ("kernel-d", 0.12, 4.3e-5),
    ("kernel-e", 0.07, 8.0e-5),
    ("kernel-f", 0.01, 1.0e-4),
)
NAMES = tuple(cohort[0] for cohort in COHORTS)
RATES = numpy.array([cohort[2] for cohort in COHORTS])
SMALLEST = len(COHORTS) - 1
RACK = 40

Tier = namedtuple("Tier", "number name start slices soak spread max_failures")
Tier.__doc__ = """A planned tier: its first host's place in the order, the sizes of its slices, its soak and the time
that the slices are spread over in seconds, and how many failures of patching it tolerates."""

PLANNED = ("slices", "soak", "spread", "max_failures")

# What makes hosts reboot by themselves: the share of such hosts, and how often (an hour) they do.
HABITS = {"lemons": (0.001, 0.02), "flaps": (0.01, 0.2)}

Fleet = namedtuple("Fleet", "hosts tiers cohort rack rate")
Fleet.__doc__ = (
    """The count of hosts, the tiers, and for each host, in the order of the plan, its cohort, its rack, and how often (an hour) it
crashes by itself."""
)


@functools.lru_cache(maxsize=None)
def settings(change="scheduled"):
    """Return (tiers, size of a slice) of the rollout role's own defaults, parsed by the product; change: which plan."""
    role = ROOT / "roles/rollout"
    known = yaml.safe_load((role / "defaults/main.yml").read_text(encoding="utf-8"))
    plans = yaml.safe_load((role / "vars/plans.yml").read_text(encoding="utf-8"))["livepatch_plans"]
    tiers = plan.parse_tiers(plans[change], known["livepatch_max_failures"])
    return tiers, values.count_or_share(known["livepatch_slice"], "livepatch_slice")


def inventory(hosts, racks=None):
    """Return the hosts (list of dicts) as the plan takes them: names in the order of their cohorts, 40 to a rack."""
    counts = [0] + [max(1, round(share * hosts)) for unused, share, unused2 in COHORTS[1:]]
    counts[0] = hosts - sum(counts)
    cohort = numpy.repeat(numpy.arange(len(COHORTS)), counts)
    size = RACK if racks is None else -(-hosts // racks)
    return [
        {
            "name": f"host{number:07d}",
            "cohort": NAMES[kind],
            "domain": f"rack{number // size}",
            "number": number,
            "kind": kind,
        }
        for number, kind in enumerate(cohort.tolist())
    ]


def habits(hosts, names, rng):
    """Give hosts from `inventory` their habits (names of HABITS): rate, and the uptime that it has left them; rng: a numpy Generator."""
    rates = RATES[[host["kind"] for host in hosts]]
    for name in names:
        share, rate = HABITS[name]
        rates[rng.random(len(hosts)) < share] = rate
    uptimes = rng.exponential(size=len(hosts)) / rates
    for host, rate, uptime in zip(hosts, rates.tolist(), uptimes.tolist()):
        host.update(rate=rate, uptime_seconds=uptime * 3600)
    return hosts


def planned(hosts, seed, change="scheduled"):
    """Return the product's plan (list of tiers) for hosts from `inventory`."""
    return plan.make_plan(hosts, *settings(change), seed)[0]


@functools.lru_cache(maxsize=400)
def make(hosts, seed, change="scheduled", names=()):
    """Return the Fleet of so many hosts with these habits (names of HABITS), planned with this seed for this kind of change."""
    tiers, order, start = [], [], 0
    rng = numpy.random.default_rng(zlib.crc32(f"habits {seed}".encode()))
    for tier in planned(habits(inventory(hosts), names, rng), seed, change):
        tiers.append(Tier(tier["number"], tier["name"], start, *(tier[key] for key in PLANNED)))
        order += tier["hosts"]
        start += len(tier["hosts"])
    return Fleet(
        hosts,
        tuple(tiers),
        numpy.array([host["kind"] for host in order], dtype=numpy.int8),
        numpy.array([host["number"] // RACK for host in order], dtype=numpy.int32),
        numpy.array([host["rate"] for host in order]),
    )
