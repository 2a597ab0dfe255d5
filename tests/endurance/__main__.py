# Replaces livepatches many times on busy guests, one kernel after the other, and writes the page about it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Each kernel's report is kept in .work/endurance/KERNEL.json, and the page is made of all that are there: kernels can be
# done at different times.

import argparse
import json
import pathlib
import sys
import tempfile

from tests.endurance import analysis, guests, page, picture
from tests.lab import kernels
from tests.lab.fleet import Fleet

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / ".work" / "endurance"
PICTURE = "endurance.svg"


def parse_arguments(words):
    parser = argparse.ArgumentParser(prog="python -m tests.endurance")
    parser.add_argument("--kernels", default=" ".join(kernels.SUITES), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--minutes", type=int, default=60, help="for each kernel; default: %(default)s")
    parser.add_argument("--processors", type=int, default=2, help="of each guest; default: %(default)s")
    parser.add_argument("--timeout", type=int, default=60, help="of one transition, in seconds")
    parser.add_argument("--every", type=int, default=10, help="replacements between two readings")
    parser.add_argument("--output", type=pathlib.Path, help="directory of endurance.md and endurance.svg")
    parser.add_argument("--page-only", action="store_true", help="measure nothing, make the page of what is there")
    return parser.parse_args(words)


def measure(kernel, options):
    """Boot a guest of a kernel, have it go through the rounds, keep and return its report."""
    with tempfile.TemporaryDirectory() as directory, Fleet(
        pathlib.Path(directory), hosts=1, kernels=[kernel], processors=options.processors
    ) as fleet:
        (guest,) = fleet.guests.values()
        report = guests.endure(fleet, guest, options.rounds, options.minutes * 60, options.timeout, options.every)
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / (kernel + ".json")).write_text(json.dumps(report))
    return report


def kept():
    """The reports that there are: {kernel: report}, the oldest kernel first."""
    files = {kernel: WORK / (kernel + ".json") for kernel in kernels.SUITES}
    return {kernel: json.loads(file.read_text()) for kernel, file in files.items() if file.exists()}


def main():
    options = parse_arguments(sys.argv[1:])
    bad = False
    for kernel in [] if options.page_only else options.kernels.split():
        report = measure(kernel, options)
        found = analysis.problems(report)
        print(
            "%s: %d replacements, %s" % (kernel, len(analysis.rounds(report)), "; ".join(found) or "nothing found"),
            flush=True,
        )
        bad = bad or bool(found)
    if options.output:
        command = "python -m tests.endurance --rounds %d --minutes %d --output docs" % (options.rounds, options.minutes)
        reports = kept()
        times = {kernel: analysis.transition_times(report) for kernel, report in reports.items()}
        (options.output / PICTURE).write_text(picture.draw(times))
        (options.output / "endurance.md").write_text(
            page.write(reports, command, options.timeout, options.every, PICTURE)
        )
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
