# A fleet of real kernels for whole rollouts, and a way to run them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import yaml

from tests.lab.fleet import Fleet

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
# Three workers, each with a fleet of its own, keep two cores busy and meet all four generations.
KERNELS = {"gw0": ["5.10", "6.12"], "gw1": ["6.1", "7.2"], "gw2": ["6.1", "6.12"]}.get(os.environ.get("PYTEST_XDIST_WORKER"), ["5.10", "6.12"])
# The newest kernel has two processors, the others one: those that one thread emulates wait for each other in a transition.
PROCESSORS = {"lab-%d" % number: 2 for number in (2, 4) if "7.2" in KERNELS}

# What takes longest comes first, so that both workers end at about the same time.
FIRST = (
    "test_hosts_keep_over_reboots",
    "test_two_releases_reach_every_host",
    "test_a_good_release_passes_although",
    "test_a_repository_that_is_down",
    "test_a_release_that_hurts_one_cohort",
    "test_a_warning_stops_the_rollout",
    "test_a_release_that_panics_its_hosts",
    "test_a_killed_controller_loses_nothing",
    "test_a_reboot_between_two_runs",
    "test_a_host_that_answers_slowly",
)

# Takes out every livepatch and its package, without the code under test.
RESET = """
for turn in $(seq 300); do
  for livepatch in /sys/kernel/livepatch/*; do
    [ "$(cat "$livepatch/enabled" 2>/dev/null)" = 1 ] && echo 0 > "$livepatch/enabled"
  done
  for taint in $(grep -l K /sys/module/*/taint); do
    module=${taint%/taint}; [ "$(cat "$module/refcnt")" = 0 ] && rmmod "${module##*/}"
  done
  grep -lq K /sys/module/*/taint || break
  sleep 0.1
done 2>/dev/null
packages=$(rpm -qa 'klp-*'); [ -z "$packages" ] || rpm -e $packages
! grep -lq K /sys/module/*/taint 2>/dev/null
"""

ENVIRONMENT = {
    "ANSIBLE_CONFIG": str(CHECKOUT / "tests" / "ansible.cfg"),
    "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".work" / "collections"),
    "ANSIBLE_CALLBACKS_ENABLED": "kernel.livepatch.rollout",
    "ANSIBLE_PIPELINING": "true",
    "ANSIBLE_NOCOLOR": "true",
    "ANSIBLE_INJECT_FACT_VARS": "false",
}


class Run:
    """What one ansible-playbook run left behind."""

    def __init__(self, status, output, journal):
        self.status = status
        self.output = output
        self.journal = journal

    @property
    def entries(self):
        with open(self.journal, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def of(self, kind):
        return [entry for entry in self.entries if entry["kind"] == kind]

    @property
    def outcomes(self):
        """The last outcome of each host."""
        return {entry["host"]: entry["outcome"] for entry in self.of("outcome")}

    def first_tier(self):
        return [entry["host"] for entry in self.of("host") if entry["tier"] == 1]


class Rollouts:
    """Runs the collection's playbooks against the fleet, each test with journals of its own."""

    def __init__(self, fleet, directory):
        self.fleet = fleet
        self.directory = directory

    def command(self, playbook, release, inventory=None, arguments=(), **variables):
        settings = {
            "livepatch_release": release,
            "livepatch_journal_dir": str(self.directory / "journals"),
            "livepatch_persist": False,  # these guests have no systemd
            "livepatch_tiers": [{"name": "canary", "hosts": 1}, {"name": "rest", "share": "100%"}],
        }
        settings.update(variables)
        program = pathlib.Path(sys.executable).with_name("ansible-playbook")
        return [str(program), "kernel.livepatch." + playbook, "-i", str(inventory or self.fleet.inventory),
                "-e", json.dumps(settings)] + list(arguments)

    def start(self, *args, settings=None, **kwargs):
        """Start a playbook in a process group of its own, and return the process; its output goes to a file.

        settings: environment variables for Ansible on top of the usual ones.
        """
        self.log = self.directory / ("output-%d.log" % time.monotonic_ns())
        with open(self.log, "w", encoding="utf-8") as output:
            return subprocess.Popen(self.command(*args, **kwargs), cwd=str(self.directory),
                                    env={**os.environ, **ENVIRONMENT, "ANSIBLE_FORKS": str(self.fleet.at_once), **(settings or {})},
                                    stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)

    def run(self, playbook, release, journal=None, **kwargs):
        process = self.start(playbook, release, **kwargs)
        try:
            status = process.wait(timeout=1500)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        name = journal or kwargs.get("livepatch_rollout", release)
        output = self.log.read_text(encoding="utf-8")
        print(output)
        assert "DEPRECATION" not in output
        return Run(status, output, self.directory / "journals" / (name + ".jsonl"))

    def rollout(self, release, **kwargs):
        return self.run("rollout", release, **kwargs)

    def rollback(self, release, **kwargs):
        return self.run("rollback", release, **kwargs)

    def inventory(self, **hosts):
        """Return a copy of the inventory in which hosts have been changed: name -> variables, or None to leave it out."""
        content = yaml.safe_load(self.fleet.inventory.read_text(encoding="utf-8"))
        _change(content, hosts)
        path = self.directory / "inventory.yml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    def running(self):
        """Name of the enabled livepatch on each host, read past the code under test."""
        script = "cd /sys/kernel/livepatch && for name in *; do [ -e $name/enabled ] && cat $name/enabled && echo $name; done; true"
        found = {}
        for name, guest in self.fleet.guests.items():
            words = guest.ssh(["sh", "-c", script]).stdout.split()
            found[name] = [livepatch for flag, livepatch in zip(words[::2], words[1::2]) if flag == "1"]
        return found


def _change(node, hosts):
    if not isinstance(node, dict):
        return
    for name, variables in hosts.items():
        if isinstance(node.get("hosts"), dict) and name in node["hosts"]:
            if variables is None:
                del node["hosts"][name]
            else:
                node["hosts"][name] = dict(node["hosts"][name] or {}, **variables)
    for child in node.values():
        _change(child, hosts)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: next((place for place, name in enumerate(FIRST) if item.name.startswith(name)), len(FIRST)))


@pytest.fixture(scope="session")
def fleet(tmp_path_factory):
    with Fleet(tmp_path_factory.mktemp("fleet"), hosts=len(KERNELS), kernels=KERNELS, processors=PROCESSORS) as running:
        yield running


@pytest.fixture
def rollouts(fleet, tmp_path):
    """Rollouts on hosts that run no livepatch and have no package of one."""
    clean(fleet)
    yield Rollouts(fleet, tmp_path)
    end_workers(tmp_path)


def end_workers(directory):
    """End what is left of killed controllers: with ansible-core 2.21 a worker may wait for its own for ever."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended by itself
            if str(directory).encode() in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGKILL)


def clean(fleet):
    """Bring every guest back, without a livepatch and a package of one."""
    stopped = [guest for guest in fleet.guests.values() if not guest.pid]
    for guest in stopped:
        guest.start()
    with concurrent.futures.ThreadPoolExecutor(fleet.at_once) as pool:
        found = dict(zip(fleet.guests, pool.map(_reset, fleet.guests.values())))
    # A kernel that a test has broken beyond that gets a fresh start.
    for name in [name for name in found if not found[name]]:
        fleet.guests[name].kill()
        fleet.guests[name].start()
        assert _reset(fleet.guests[name]), "%s cannot be reset" % name


def _reset(guest):
    """Whether a guest could be brought back; nearly all are up, and to ask first would be another login of each."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = guest.ssh(["sh", "-c", RESET])
        if done.returncode != 255:
            return done.returncode == 0
    guest.wait_for_ssh()
    return guest.ssh(["sh", "-c", RESET]).returncode == 0


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """After a failure show the end of each guest's console and kernel log."""
    report = (yield).get_result()
    running = getattr(item, "funcargs", {}).get("rollouts")
    if report.when == "call" and report.failed and running is not None:
        for name, guest in running.fleet.guests.items():
            report.sections.append(("console of %s" % name, guest.console()[-6000:]))
