# Plays the scenarios on each kernel, one kernel after the other, and writes the page about it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Results are kept in .work/selftests/KERNEL.json as they come. A run plays what is not known to be right, so that one
# that was cut goes on; when all is right, it plays all of it again. The page is made of everything that is kept.

import argparse
import json
import pathlib
import sys
import tempfile
import time
import traceback

from tests.integration import runners
from tests.lab import kernels
from tests.lab.fleet import Fleet
from tests.selftests import host, page, sources

WORK = pathlib.Path(__file__).resolve().parents[2] / ".work" / "selftests"
SCENARIOS = host.scenarios()[0]


def parse_arguments(words):
    parser = argparse.ArgumentParser(prog="python -m tests.selftests")
    parser.add_argument("--kernels", default=" ".join(kernels.SUITES), help="default: %(default)s; none: only the page")
    parser.add_argument("--only", default="", help="scenarios with these words in their names, right or not")
    parser.add_argument("--output", type=pathlib.Path, help="the page to write")
    return parser.parse_args(words)


def kept(name):
    """What is known of a kernel: {"release": str, "results": {scenario: list of problems}}."""
    path = WORK / (name + ".json")
    found = json.loads(path.read_text()) if path.exists() else {"release": name, "results": {}}
    return dict(found, results={scenario: found["results"].get(scenario) for scenario in SCENARIOS})


def wanted(results, only):
    """The scenarios to play: those with some words in their names, or what is not known to be right, or all."""
    if only:
        return [scenario for scenario in results if only in scenario]
    return [scenario for scenario, problems in results.items() if problems != []] or list(results)


def play(name, only):
    """Play scenarios on a kernel and keep what was found; returns whether all of them were right."""
    kernel, report = kernels.get(name), kept(name)
    report["release"] = kernel.release
    scenarios = wanted(report["results"], only)
    files, started = sources.get(kernel), runners.Runners()
    with tempfile.TemporaryDirectory() as directory, Fleet(pathlib.Path(directory), 1, [name]) as fleet:
        (guest,) = fleet.guests.values()
        runners.put(guest)
        guest.copy(files, host.FILES.rstrip("/"))
        for scenario in scenarios:
            begin = time.monotonic()
            try:
                problems = host.Host(lambda tasks: started.run(guest, tasks), files).play(SCENARIOS[scenario])
            except Exception:  # whatever it was, the other scenarios are played
                problems = [traceback.format_exc()]
            if any("left behind" in words or "Traceback" in words for words in problems):
                fleet.boot_again(guest.name)
            said = "; ".join(problems) or "right"
            print("%-5s %5.1f s  %s: %s" % (name, time.monotonic() - begin, scenario, said), flush=True)
            report["results"][scenario] = problems
            (WORK / (name + ".json")).write_text(json.dumps(report))
        started.end()
    return not any(report["results"][scenario] for scenario in scenarios)


def main():
    options = parse_arguments(sys.argv[1:])
    WORK.mkdir(parents=True, exist_ok=True)
    right = [play(name, options.only) for name in options.kernels.split()]
    if options.output:
        options.output.write_text(page.write({name: kept(name) for name in kernels.SUITES}, sources.package()))
    sys.exit(0 if all(right) else 1)


if __name__ == "__main__":
    main()
