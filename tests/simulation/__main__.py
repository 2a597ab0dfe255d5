# Simulates rollouts on the command line: python3 -m tests.simulation --hosts 10000 --runs 300 --models good,x20
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import argparse
import functools
import importlib.util
import multiprocessing
import sys
import time

for library in ("numpy", "yaml"):
    if importlib.util.find_spec(library) is None:
        sys.exit(f"{library} is missing: run `make setup`, then `.venv/bin/python -m tests.simulation ...`.")
try:
    from tests.simulation import ROOT, cost, fleet, models, report, rollout, verdict
except ImportError as error:
    sys.exit(f"{error}: run `make setup`, which makes the checkout importable as a collection.")

GOOD = "good,lemons,flaps,racks,storm,surge,worst,selfs,f0.2%"
BAD = "x2,x5,x20,x200,late-x20,late-x20+lost,selfs+x20,h0.5%,q.1%,q1%,q10%,c-x200,c-q10%,c-q100%"
# So many hosts are ordered at most, over all plans of a fleet: a plan of a large fleet serves several runs.
PLANNED_HOSTS = 3_000_000


def arguments(words):
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.simulation", description="Simulate rollouts under the gate."
    )
    parser.add_argument("--hosts", default="10000", help="fleet sizes, separated by commas (%(default)s)")
    parser.add_argument(
        "--runs", default="60", help="runs of each model; several, separated by commas, for several sizes"
    )
    parser.add_argument(
        "--models", default=f"{GOOD},{BAD}", help="separated by commas, e.g. good,x20,q1%%,c-x200,x5+storm"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes (%(default)s)")
    parser.add_argument(
        "--control-hosts",
        type=int,
        default=verdict.RULES["control_hosts"],
        help="hosts of the control arm, from the end of the order (%(default)s)",
    )
    parser.add_argument(
        "--change", default="scheduled", help="whose plan: scheduled, emergency or incident (%(default)s)"
    )
    parser.add_argument("--no-history", action="store_true", help="leave out the bet against the days before")
    parser.add_argument("--no-comparison", action="store_true", help="leave out the other gates")
    parser.add_argument(
        "--cost", type=int, metavar="HOSTS", help="measure the plan and a verdict of a fleet of this size, too"
    )
    parser.add_argument("--output", default="simulation.md", help="file under tests/output (%(default)s)")
    options = parser.parse_args(words)
    options.models = options.models.split(",")
    sizes, counts = ([int(number) for number in text.split(",")] for text in (options.hosts, options.runs))
    if len(counts) not in (1, len(sizes)):
        parser.error(f"--runs has {len(counts)} numbers: expected one, or one for each of the {len(sizes)} sizes")
    options.sizes = list(zip(sizes, counts * len(sizes) if len(counts) == 1 else counts))
    for name in options.models:
        try:
            models.parse(name)
        except ValueError as error:
            parser.error(str(error))
    return options


def one(task, options, plans):
    """Return (model, Result) of a task (model, run)."""
    hosts, name, run = task
    found = rollout.simulate(
        hosts,
        name,
        options.seed,
        run,
        plans=plans,
        change=options.change,
        control_hosts=options.control_hosts,
        compare=not options.no_comparison,
        history=not options.no_history,
    )
    return name, found


def runs(hosts, count, options):
    """Return {model: [Result]} of all runs on fleets of this size, with a progress line."""
    plans = max(1, min(count, PLANNED_HOSTS // hosts))
    if plans <= 3:
        for names in {models.parse(name).habits for name in options.models}:
            fleet.make(hosts, f"{options.seed}/0", options.change, names)  # before the processes part, so that they share it
    tasks = [(hosts, name, run) for run in range(count) for name in options.models]
    work = functools.partial(one, options=options, plans=plans)
    found = {name: [] for name in options.models}
    begun, shown = time.monotonic(), 0.0
    with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
        for number, (name, result) in enumerate(pool.imap(work, tasks, chunksize=len(options.models)), 1):
            found[name].append(result)
            if time.monotonic() - shown > 1 or number == len(tasks):
                shown = time.monotonic()
                print(
                    f"\r{hosts} hosts: {number} of {len(tasks)} rollouts, {shown - begun:.0f} s",
                    end="",
                    file=sys.stderr,
                )
    print(file=sys.stderr)
    return found


def main(words):
    options = arguments(words)
    text = ["# Simulated rollouts", "", f"`python3 -m tests.simulation {' '.join(words)}`", ""]
    for hosts, count in options.sizes:
        found = runs(hosts, count, options)
        text += [f"## {hosts} hosts, {count} runs of each model", "", report.own_table(found)]
        if not options.no_comparison:
            text += ["Each cell: stopped % / patched hosts crashed / patched %.", "", report.others_table(found)]
    if options.cost:
        text += ["## Cost", "", *cost.lines(options.cost), ""]
    output = ROOT / "tests/output" / options.output
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n".join(text), encoding="utf-8")
    print("\n".join(text))
    print(f"Written to {output.relative_to(ROOT)}.")


if __name__ == "__main__":
    main(sys.argv[1:])
