# What livepatch_facts costs the target, side by side with ansible.builtin.ping on the same real kernel.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures user + system CPU seconds of the two modules as the target runs them.

Ansible leaves the programs that it sends on the host (ANSIBLE_KEEP_REMOTE_FILES); a script there runs them
in turn, A B A B ..., and takes the kernel's own accounting of each finished child. The fastest of each are compared.

Run as `python -m tests.bench.facts_cost`; the collection must be linked (`make setup`).
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from tests.lab.fleet import Fleet

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
MODULES = ("ansible.builtin.ping", "kernel.livepatch.livepatch_facts")

ON_TARGET = """
import json, os, resource, subprocess, sys
programs, runs = sys.argv[1:3], int(sys.argv[3])
def cpu(program):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, program], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
for program in programs:
    cpu(program)
print(json.dumps([[cpu(program) for program in programs] for run in range(runs)]))
"""


def measure(inventory, host, guest, runs=7):
    """Return [(ping, livepatch_facts), ...]: CPU seconds on the target, pair by pair."""
    programs = [_program(inventory, host, guest, module) for module in MODULES]
    answer = guest.ssh(["python3", "-c", ON_TARGET] + programs + [str(runs)], timeout=600)
    assert answer.returncode == 0, answer.stderr
    return [tuple(pair) for pair in json.loads(answer.stdout)]


def _program(inventory, host, guest, module):
    """Let Ansible leave the program of a module on the guest, and return its path there."""
    settings = dict(os.environ, ANSIBLE_KEEP_REMOTE_FILES="true", ANSIBLE_PIPELINING="false",
                    ANSIBLE_COLLECTIONS_PATH=str(CHECKOUT / ".work" / "collections"))
    command = [str(pathlib.Path(sys.executable).with_name("ansible")), host, "-i", str(inventory), "-m", module]
    subprocess.run(command, env=settings, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    name = "AnsiballZ_%s.py" % module.rsplit(".", 1)[1]
    found = guest.ssh(["find", "/home/admin/.ansible/tmp", "-name", name]).stdout.split()
    assert found, "Ansible left no %s on %s" % (name, host)
    return found[-1]


def ratio(pairs):
    """Return livepatch_facts / ping, of the fastest run of each: what else the machine does only adds to a run."""
    return min(facts for ping, facts in pairs) / min(ping for ping, facts in pairs)


def main():
    kernels = os.environ.get("KERNELS", "6.1").split()
    with tempfile.TemporaryDirectory() as directory, Fleet(pathlib.Path(directory), hosts=len(kernels), kernels=kernels) as fleet:
        for name, guest in sorted(fleet.guests.items()):
            pairs = measure(fleet.inventory, name, guest)
            print("%s, CPU milliseconds on the target, %d pairs: minimum, median, maximum" % (guest.kernel_release, len(pairs)))
            for column, module in enumerate(MODULES):
                values = sorted(pair[column] * 1000 for pair in pairs)
                print("  %-36s %6.0f %6.0f %6.0f" % (module, values[0], statistics.median(values), values[-1]))
            print("  ratio of the fastest                 %6.2f" % ratio(pairs))


if __name__ == "__main__":
    main()
