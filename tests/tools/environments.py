# Runs a suite in every Python environment it must hold in, one pytest run each, as many at once as there are processors.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: environments.py unit|semantics|playbooks ENVIRONMENT... [-- pytest arguments]; "all" is every supported ansible-core

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from collection import ROOT, link
from venvs import NoPython, environment, named

TARGET_SIDE = ["tests/unit/module_utils", "tests/unit/modules"]
# What module_utils holds imports no Ansible: it is tested with the newest and the oldest Python, not with each Ansible.
WITH_ANSIBLE = ["tests/unit", "--ignore=tests/unit/module_utils"]
SEMANTICS = ["--noconftest"] + ["tests/rollout/test_ansible_%s.py" % name for name in ("semantics", "traps", "facts", "looks")]
PLAYBOOKS = ["--noconftest", "tests/rollout/test_ansible_playbooks.py", "tests/rollout/test_ansible_looks.py"]
# suite: {environment: what it tests there}, and for all other environments
SUITES = {
    "unit": ({"current": ["tests/unit"], "target": TARGET_SIDE}, WITH_ANSIBLE),
    "semantics": ({}, SEMANTICS),
    "playbooks": ({}, PLAYBOOKS),
}


def run(suite, name, arguments):
    """Run one environment's tests, show what pytest wrote, and return whether they passed."""
    try:
        python = environment(name) / "bin/python"
    except NoPython as error:
        return missing(suite, name, error)
    print("%s tests, %s environment: begun" % (suite, name), flush=True)
    special, usual = SUITES[suite]
    command = [str(python), "-m", "pytest"] + special.get(name, usual) + arguments
    done = subprocess.run(command, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    print("\n== %s tests, %s environment\n%s" % (suite, name, done.stdout.decode(errors="replace")), flush=True)
    return done.returncode == 0


def missing(suite, name, error):
    """Say what was not run; where everything must run (CI) that is a failure."""
    print("\nNOT RUN: %s tests in the %s environment. %s" % (suite, name, error), flush=True)
    return os.environ.get("CI") != "true"


def main():
    suite, *words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    link()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        passed = list(pool.map(lambda name: run(suite, name, words[split + 1 :]), named(words[:split])))
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit("%s failed; its messages are above." % " ".join(map(str, error.cmd)))
