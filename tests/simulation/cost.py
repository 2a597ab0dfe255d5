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
from collections import Counter

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import exposure
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate.exposure import Event, Span, Tally

from tests.simulation import ROOT, fleet
from tests.simulation.world import HOUR, START

WATCHED = 36 * HOUR


def plan(hosts):
    """Return what a plan costs: 6 cohorts, racks of 40."""
    known = fleet.inventory(hosts)
    return _timed(lambda: fleet.planned(known, 1))


def watched(hosts):
    """Return (patched, control, events) after 36 hours: a row for each host and arm, as slices of 250 patched them."""
    rng = random.Random(1)
    names = rng.choices(fleet.NAMES, [cohort[1] for cohort in fleet.COHORTS], k=hosts)
    slices = -(-hosts // 250)
    begins = sorted(START + rng.uniform(0, 30 * HOUR) for unused in range(slices))
    patched = [Span(name, begins[number // 250], START + WATCHED, 1) for number, name in enumerate(names)]
    control = [Span(name, START, begins[number // 250], 1) for number, name in enumerate(names)]
    events = []
    for number in rng.sample(range(hosts), hosts * 36 // 31250):
        moment, begin = START + rng.uniform(0, WATCHED), begins[number // 250]
        events.append(Event(moment, names[number], number // fleet.RACK, begin if moment > begin else None))
    return patched, control, events


def aggregated(rows):
    """Return the rows with those of the same cohort and time taken together."""
    sums = Counter((row.cohort, row.start, row.end) for row in rows)
    return [Span(*key, hosts) for key, hosts in sums.items()]


def verdict(hosts, together):
    """Return what one look costs, from the rows of single hosts; together: rows alike are counted first."""
    patched, control, events = watched(hosts)
    history = (hosts * 336 // 31250, hosts * 336.0)

    def look():
        rows = (aggregated(patched), aggregated(control)) if together else (patched, control)
        return exposure.weigh(Tally(*rows, events, START + WATCHED), history)

    return _timed(look)


def _timed(work):
    begun = time.process_time()
    work()
    return {
        "seconds": round(time.process_time() - begun, 2),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


JOBS = {
    "plan": plan,
    "verdict": lambda hosts: verdict(hosts, True),
    "verdict without aggregation": lambda hosts: verdict(hosts, False),
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
