# What a rollout costs over ssh, on real kernels, beside a playbook that was written by hand.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: python -m tests.bench.ssh [--hosts 4] [--rounds 2] [--kernel 6.1] [--kex curve25519-sha256] [--json file]

"""Measures user + system CPU seconds of ansible-playbook with all that it starts (workers, ssh), and of the guests.

A guest costs what its emulator does, less what it does while nobody asks it for anything. In turn one host and all hosts are
patched, by hand (by_hand.yml: no facts, no look later), by a rollout that ends when they are patched, and by one that looks at
them again after a soak. What lies between is what an additional host costs. The smallest of all rounds counts, as
other load only adds to a run. Nothing is kept over reboots: the guests have no systemd. They compile what Ansible sends at every
start of Python, as hosts do; the lab's guests keep it otherwise.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from tests.lab.fleet import Fleet

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
RELEASE = "hotfix1"
WAYS = ("by hand", "rollout", "rollout with a look")
RESET = """
for patch in /sys/kernel/livepatch/*; do [ -e "$patch/enabled" ] && echo 0 > "$patch/enabled"; done
for turn in $(seq 100); do ls /sys/kernel/livepatch | grep -q . || break; sleep 0.1; done
for taint in $(grep -l K /sys/module/*/taint); do module=${taint%/taint}; rmmod "${module##*/}"; done
packages=$(rpm -qa 'klp-*'); [ -z "$packages" ] || rpm -e $packages
rm -rf /var/lib/livepatch
dmesg -C; dnf -q makecache
! grep -lq K /sys/module/*/taint 2>/dev/null
"""

# What the lab's guests have and hosts have not: a cache of what Python compiles.
CACHE = ("/etc/python3.11/sitecustomize.py", "/var/cache/lab-python")

# Runs a command, ends what it leaves behind (connections that ssh keeps), and prints the CPU seconds of all of them.
ACCOUNT = """
import contextlib, ctypes, os, signal, subprocess, sys
pr_set_child_subreaper = 36
ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)
child, seconds, status = subprocess.Popen(sys.argv[1:], stdout=sys.stderr), 0.0, None
while True:
    try:
        pid, how, spent = os.wait4(-1, 0)
    except ChildProcessError:
        break
    seconds += spent.ru_utime + spent.ru_stime
    if pid == child.pid:
        child.returncode = status = os.waitstatus_to_exitcode(how)
    if status is not None:
        for left in open("/proc/self/task/%d/children" % os.getpid()).read().split():
            with contextlib.suppress(OSError):
                os.kill(int(left), signal.SIGTERM)
print(seconds)
sys.exit(status)
"""


def command(way, fleet, hosts, directory):
    """Return the command (list) of one way to patch these hosts (list of names)."""
    program = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
    common = [program, "-i", str(fleet.inventory)]
    if way == WAYS[0]:
        return [*common, str(HERE / "by_hand.yml"), "--limit", ",".join(hosts), "-e", f"release={RELEASE}"]
    soak = "3s" if way == WAYS[2] else "0"
    variables = {
        "livepatch_release": RELEASE,
        "livepatch_hosts": ",".join(hosts),
        "livepatch_journal_dir": str(directory),
        "livepatch_persist": False,
        "livepatch_slice": "100%",
        "livepatch_tiers": [{"name": "all", "share": "100%", "soak": soak}],
    }
    return [*common, "kernel.livepatch.rollout", "-e", json.dumps(variables)]


def run(way, fleet, hosts, kex=None):
    """Patch these hosts in one way; return (seconds of the controller, seconds of all these guests). kex: as for measure()."""
    guests = [fleet.guests[name] for name in hosts]
    for guest in guests:
        done = guest.ssh(["sh", "-c", RESET], timeout=300)
        assert done.returncode == 0, done.stderr
    rest = idle(guests)
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
            "ANSIBLE_CONFIG": str(CHECKOUT / "tests" / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".work" / "collections"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_FORKS": str(fleet.at_once),
            "ANSIBLE_TIMEOUT": "60",  # an emulated guest takes its time
            # An emulated guest makes its controller wait for minutes: what it asks meanwhile is no cost of a host.
            "ANSIBLE_INTERNAL_POLL_INTERVAL": "0.1",
            "ANSIBLE_SSH_EXTRA_ARGS": f"-o KexAlgorithms={kex}" if kex else "",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(directory / "cp"),  # each run connects anew
        }
        before, begun = used(guests), time.monotonic()
        account = [sys.executable, "-c", ACCOUNT, *command(way, fleet, hosts, directory / "journals")]
        done = subprocess.run(account, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        seconds = used(guests) - before - rest * (time.monotonic() - begun)
        assert done.returncode == 0, done.stderr[-3000:]
    for guest in guests:
        assert guest.ssh(["cat", f"/sys/kernel/livepatch/{RELEASE}/enabled"]).stdout == "1\n"
    return float(done.stdout), seconds


def used(guests):
    """Return the CPU seconds (float) that the emulators of these guests have used so far, together."""
    ticks = 0
    for guest in guests:
        ticks += sum(map(int, pathlib.Path(f"/proc/{guest.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def idle(guests, seconds=5):
    """Return the CPU seconds a second that these guests use for nothing, together."""
    before = used(guests)
    time.sleep(seconds)
    return (used(guests) - before) / seconds


def measure(fleet, rounds, kex=None):
    """Return {way: {"one": [controller, guest], "further": [controller, guest]}}: seconds of one host, and of each further one.

    kex: how ssh is to exchange keys (str), as it is used to when None.
    """
    names = sorted(fleet.guests)
    for guest in fleet.guests.values():
        assert guest.ssh(["rm", "-rf", *CACHE]).returncode == 0
    least = {}
    for number in range(rounds):
        for hosts in (names[:1], names):
            for way in WAYS:
                found = run(way, fleet, hosts, kex)
                print("%s, %d hosts: controller %.2f s, guests %.2f s" % (way, len(hosts), *found), file=sys.stderr, flush=True)
                key = (way, len(hosts))
                least[key] = [min(pair) for pair in zip(found, least.get(key, found))]
    more = len(names) - 1
    return {
        way: {"one": least[way, 1], "further": [(whole - one) / more for one, whole in zip(least[way, 1], least[way, len(names)])]}
        for way in WAYS
    }


def lines(found):
    """Yield the lines of a table (Markdown) about what measure() returned."""
    yield "| processor time | controller, one host | each further host | its share | guest, each further host | its share |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    hand = found[WAYS[0]]["further"]
    for way, seconds in found.items():
        controller, guest = seconds["further"]
        cells = (way, seconds["one"][0], controller * 1000, controller / hand[0], guest * 1000, guest / hand[1])
        yield "| %s | %.2f s | %.0f ms | %.2f | %.0f ms | %.2f |" % cells


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ssh")
    parser.add_argument("--hosts", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--kernel", default="6.1", help="default: %(default)s")
    parser.add_argument("--kex", help="key exchange of ssh (its KexAlgorithms); default: as it is used to")
    parser.add_argument("--json", type=pathlib.Path, help="file for the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, Fleet(pathlib.Path(directory), hosts=options.hosts, kernels=[options.kernel]) as fleet:
        found = measure(fleet, options.rounds, options.kex)
    print("\n".join(lines(found)), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
