# Runs the unit tests on every Python they must hold on, one pytest run each.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: unit.py [pytest arguments]

import os
import subprocess
import sys

from collection import ROOT, link
from venvs import NoPython, environment

TARGET_SIDE = ["tests/unit/module_utils", "tests/unit/modules"]
RUNS = {"current": ["tests/unit"], "oldest": ["tests/unit"], "target": TARGET_SIDE}


def run(name, paths, arguments):
    """Run one environment's tests; return pytest's exit status."""
    python = environment(name) / "bin/python"
    print("\n== unit tests, %s environment" % name, flush=True)
    return subprocess.call([str(python), "-m", "pytest"] + paths + arguments, cwd=str(ROOT))


def missing(name, error):
    """Say what was not run; where everything must run (CI) that is a failure."""
    print("\nNOT RUN: unit tests in the %s environment. %s" % (name, error), flush=True)
    return 1 if os.environ.get("CI") == "true" else 0


def main():
    link()
    failures = 0
    for name, paths in RUNS.items():
        try:
            failures += run(name, paths, sys.argv[1:]) != 0
        except NoPython as error:
            failures += missing(name, error)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
