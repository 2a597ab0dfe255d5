# The demonstration: good releases reach a fleet of real kernels, a harmful one is stopped in its first tier.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Boots six guests, rolls out hotfix1, replaces it by hotfix2, and lets `panics` be stopped by the gate.

Run as `make demo`. Exit status 0 only if both good releases reached every host and proved to run there,
and the harmful one was stopped in its first tier while no other host was touched.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.lab.fleet import Fleet

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
KERNELS = os.environ.get("KERNELS", "5.10 6.1").split()
HOSTS = int(os.environ.get("HOSTS", "6"))
# Long enough for a guest that panics eight seconds after loading to be seen.
TIERS = [
    {"name": "canary", "hosts": 2, "soak": "10s"},
    {"name": "rest", "share": "100%"},
]
BEGIN = time.monotonic()


def say(text):
    print("[%4d s] %s" % (time.monotonic() - BEGIN, text), flush=True)


def environment(fleet, directory):
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".work" / "collections"),
        "ANSIBLE_CALLBACKS_ENABLED": "kernel.livepatch.rollout",
        "ANSIBLE_FORKS": str(fleet.at_once),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_HOME": str(directory / "ansible"),
    }
    return dict(os.environ, **settings)


def run_rollout(fleet, directory, release):
    """Run the playbook, show its progress lines, and return its exit status."""
    # The guests have no systemd, which would enable a livepatch at boot.
    variables = {"livepatch_release": release, "livepatch_persist": False, "livepatch_tiers": TIERS, "livepatch_slice": 4, "livepatch_control_hosts": 1,
                 "livepatch_journal_dir": str(directory / "journals")}
    command = [str(pathlib.Path(sys.executable).with_name("ansible-playbook")), "kernel.livepatch.rollout",
               "-i", str(fleet.inventory), "-e", json.dumps(variables)]
    log = directory / ("rollout-%s.log" % release)
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(command, env=environment(fleet, directory), cwd=str(directory), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            for line in process.stdout:
                output.write(line)
                if line.startswith("livepatch | "):
                    say(line.rstrip()[len("livepatch | "):])
        finally:
            if process.poll() is None and sys.exc_info()[0]:
                process.terminate()
            process.wait()
    say("ansible-playbook ended with status %d, its whole output is in %s" % (process.returncode, shown(log)))
    return process.returncode


def shown(path):
    return os.path.relpath(path)


def journal(directory, release):
    path = directory / "journals" / (release + ".jsonl")
    with open(path, encoding="utf-8") as lines:
        return path, [json.loads(line) for line in lines]


def outcomes(entries):
    """Return the last outcome entry of each host, and the tier that each host was planned into."""
    tiers = {tier["number"]: tier["name"] for entry in entries if entry["kind"] == "planned" for tier in entry["tiers"]}
    planned = {entry["host"]: tiers[entry["tier"]] for entry in entries if entry["kind"] == "host"}
    return {entry["host"]: entry for entry in entries if entry["kind"] == "outcome"}, planned


def read_fleet(fleet):
    """Ask every guest what it runs, past the code of the collection: host -> {kernel_release, enabled, effective_release}."""
    with ThreadPoolExecutor(fleet.at_once) as pool:
        return dict(zip(fleet.guests, pool.map(_read_guest, fleet.guests.values())))


def _read_guest(guest):
    while True:
        guest.wait_for_ssh()
        answer = guest.ssh(["sh", "-c", "uname -r; ls /sys/kernel/livepatch"])
        if answer.returncode == 0:
            break
    kernel, *livepatches = answer.stdout.split()
    return {"kernel_release": kernel, "enabled": livepatches[0] if livepatches else None,
            "effective_release": "-".join([kernel] + livepatches)}


def check_good(fleet, directory, release, status):
    """Return what is wrong after a good release, a list of sentences."""
    entries = journal(directory, release)[1]
    reached = outcomes(entries)[0]
    wrong = [] if status == 0 else ["the rollout of %s ended with status %d" % (release, status)]
    for host, facts in read_fleet(fleet).items():
        if facts["enabled"] != release:
            wrong.append("%s runs %s instead of %s" % (host, facts["effective_release"], release))
        if reached.get(host, {}).get("outcome") != "patched":
            wrong.append("%s has the outcome %s for %s" % (host, reached.get(host, {}).get("outcome"), release))
    return wrong


def check_bad(directory, release, former, facts, status):
    """Return what is wrong after the harmful release, a list of sentences."""
    entries = journal(directory, release)[1]
    reached, planned = outcomes(entries)
    verdicts = [entry["verdict"] for entry in entries if entry["kind"] == "verdict"]
    wrong = []
    if status == 0 or not verdicts or verdicts[-1] != "stop":
        wrong.append("%s was not stopped" % release)
    for host in planned:
        if planned[host] != "canary" and (host in reached or facts[host]["enabled"] != former):
            wrong.append("%s is outside of the first tier and was touched by %s" % (host, release))
    return wrong


def table(rows):
    head = ("host", "kernel", "tier", "effective release", "outcome")
    widths = [max(len(row[column]) for row in [head] + rows) for column in range(len(head))]
    for row in [head, tuple("-" * width for width in widths)] + rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def main():
    directory = CHECKOUT / ".lab" / "demo"
    shutil.rmtree(str(directory / "journals"), ignore_errors=True)
    wrong = []
    with Fleet(directory, hosts=HOSTS, kernels=KERNELS, processors=1) as fleet:
        say("%d guests answer: %s" % (HOSTS, ", ".join(sorted({guest.kernel_release for guest in fleet.guests.values()}))))
        for release in ("hotfix1", "hotfix2"):
            say("rolling out %s" % release)
            wrong += check_good(fleet, directory, release, run_rollout(fleet, directory, release))
        say("rolling out panics, a release that crashes its hosts")
        status = run_rollout(fleet, directory, "panics")
        facts = read_fleet(fleet)
        wrong += check_bad(directory, "panics", "hotfix2", facts, status)
        path, entries = journal(directory, "panics")
        reached, planned = outcomes(entries)
        print("\nAfter hotfix1 and hotfix2 for everybody, and panics stopped:\n")
        table([(host, facts[host]["kernel_release"], planned.get(host, "-"), facts[host]["effective_release"],
                reached.get(host, {}).get("outcome", "untouched")) for host in sorted(facts)])
        print("\njournal: %s" % shown(path))
    for sentence in wrong:
        print("WRONG: %s" % sentence)
    print("demo %s in %d s" % ("FAILED" if wrong else "passed", time.monotonic() - BEGIN))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
