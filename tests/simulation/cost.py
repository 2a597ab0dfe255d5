# What the plan and one verdict over a huge fleet cost: python3 -m tests.simulation.cost [hosts]
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import random
import resource
import subprocess
import sys
import time

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import findings, rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states

from tests.simulation import ROOT, fleet
from tests.simulation.world import HOUR, START

WATCHED = 36 * HOUR


def plan(hosts):
    """Return what a plan costs: 6 cohorts, racks of 40."""
    known = fleet.inventory(hosts)
    return _timed(lambda: fleet.planned(known, 1))


def watched(hosts):
    """Return (state, now) after 36 hours: what the product knows of so many hosts that slices of 250 have patched."""
    rng = random.Random(1)
    names = rng.choices(fleet.NAMES, [cohort[1] for cohort in fleet.COHORTS], k=hosts)
    begins = sorted(START + rng.uniform(0, 30 * HOUR) for unused in range(-(-hosts // 250)))
    gate = rules.parse({"history": {"crashes": hosts * 336 // 31250, "hosts": hosts, "days": 14}})
    found, now = states.State(parameters={"rules": gate}), START + WATCHED
    for number, name in enumerate(names):
        begin = begins[number // 250]
        host = states.Host(str(number), 1, 1, name, f"rack{number // fleet.RACK}", "6.1", "", None, None, None, START)
        host.control, host.patched = (START, begin), (begin, now)
        found.hosts[host.name] = host
    for number in rng.sample(range(hosts), hosts * 36 // 31250):
        found.hosts[str(number)].crash = (START + rng.uniform(0, WATCHED), "rebooted")
    return found, now


def verdict(hosts):
    """Return what the evidence of one look costs."""
    state, now = watched(hosts)
    return _timed(lambda: findings.evidence(state, now))


def _timed(work):
    begun = time.process_time()
    work()
    return {
        "seconds": round(time.process_time() - begun, 2),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


JOBS = {
    "plan": plan,
    "verdict": verdict,
}


def measure(job, hosts):
    """Return the cost (dict: CPU seconds, and megabytes of the whole process) of a job, in a process of its own."""
    command = [sys.executable, "-m", "tests.simulation.cost", job, str(hosts)]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)


def lines(hosts):
    """Yield a line (str) for each job."""
    for job in JOBS:
        found = measure(job, hosts)
        yield f"- {job}, {hosts} hosts: {found['seconds']} s of CPU time, {found['megabytes']} MB"


def main(words):
    if len(words) == 2:
        print(json.dumps(JOBS[words[0]](int(words[1]))))
        return
    for line in lines(int(words[0]) if words else 1_000_000):
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
