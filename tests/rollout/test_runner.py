# Rollouts as jobs of ansible-runner, which is what AWX runs jobs with: halted, cancelled, lost with their pod, and gone on with.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import lock, overrides
from tests.lab import processes
from tests.rollout.conftest import CHECKOUT, ENVIRONMENT
from tests.rollout.test_rollout import entries, wait_for, written

PLAYBOOKS = ("rollout", "halt", "rollback")
IMPORT = "- name: Job\n  ansible.builtin.import_playbook: kernel.livepatch.%s\n"
ONE_TIER = [{"name": "all", "share": "100%"}]
SOAK = [{"name": "canary", "hosts": 1, "soak": "1h"}, {"name": "rest", "share": "100%"}]

# What a pod has of its own: processes, a host name, and here a boot id too, as if it were on another node.
POD = """
hostname "$1"; mount --bind "$2" /proc/sys/kernel/random/boot_id
exec setpriv --reuid "$3" --regid "$4" --clear-groups env -C "$5" PATH="$6" HOME="$7" "${@:8}"
"""


@pytest.fixture(scope="session")
def programs():
    """Where ansible-runner and its ansible-playbook are."""
    tool = CHECKOUT / "tests" / "tools" / "venvs.py"
    made = subprocess.run([sys.executable, str(tool), "ee"], check=True, stdout=subprocess.PIPE, text=True)
    return Path(made.stdout.strip()) / "bin"


class Job:
    """One run of ansible-runner over a private data directory."""

    def __init__(self, directory, process):
        self.directory, self.process = directory, process
        self.artifacts = directory / "artifacts" / "job"

    def wait(self):
        """Let it end; return its status."""
        self.process.wait(timeout=900)
        return (self.artifacts / "status").read_text()

    def lose(self):
        """The node of its pod is gone: everything in it ends at once."""
        os.kill(_first_process(self.process.pid), signal.SIGKILL)
        self.process.wait(timeout=60)

    @property
    def output(self):
        return (self.artifacts / "stdout").read_text()

    def events(self, kind):
        """The data of its events of one kind, in their order."""
        found = [json.loads(path.read_text()) for path in (self.artifacts / "job_events").glob("*.json")]
        return [event["event_data"] for event in sorted(found, key=lambda one: one["counter"]) if event["event"] == kind]

    def results(self, action):
        """The results of all tasks of one action that went well."""
        return [data["res"] for data in self.events("runner_on_ok") if data["task_action"] == action]


def _first_process(pid):
    """The pid, as it is known here, of the process that is number 1 in its pod; it was started by `pid`, or by a child of that."""
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        if status.partition("NSpid:")[2].split("\n")[0].split()[1:] == ["1"]:
            return pid
        done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], check=True, stdout=subprocess.PIPE, text=True)
        pid = int(done.stdout.split()[0])


class Site:
    """The project, the inventory and the jobs of one AWX."""

    def __init__(self, rollouts, programs):
        self.rollouts, self.programs, self.jobs = rollouts, programs, []
        self.journal = str(rollouts.directory / "journals" / "hotfix1.jsonl")

    def start(self, playbook, pod=None, **variables):
        """Start the job of a playbook for release hotfix1, with these extra variables; pod: the name of the pod it runs in."""
        number = len(self.jobs) + 1
        directory = self.rollouts.directory / ("job-%d" % number)
        self._lay_out(directory, number, variables)
        command = [str(self.programs / "ansible-runner"), "run", str(directory), "-p", playbook + ".yml", "--ident", "job"]
        # AWX has no say in the environment beyond env/envvars.
        path = "%s:%s" % (self.programs, os.environ["PATH"])
        environment = {"PATH": path, "HOME": str(Path.home())}
        if pod:
            command = self._in_pod(directory, pod, path, command)
        process = subprocess.Popen(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        self.jobs.append(Job(directory, process))
        return self.jobs[-1]

    def _lay_out(self, directory, number, variables):
        for room in ("project", "inventory", "env"):
            (directory / room).mkdir(parents=True)
        for playbook in PLAYBOOKS:
            (directory / "project" / (playbook + ".yml")).write_text(IMPORT % playbook)
        shutil.copy(self.rollouts.fleet.inventory, directory / "inventory" / "hosts.yml")
        settings = {"awx_job_id": number, "tower_job_id": number, "awx_user_name": "ann", "tower_user_name": "ann",
                    "livepatch_release": "hotfix1", "livepatch_journal_dir": str(self.rollouts.directory / "journals"),
                    "livepatch_journal_volume": False, "livepatch_persist": False, "livepatch_tiers": SOAK}  # fmt: skip
        content = {"extravars": dict(settings, **variables), "envvars": dict(ENVIRONMENT, ANSIBLE_TIMEOUT="60"),
                   "settings": {"job_timeout": 900, "suppress_ansible_output": True}}  # fmt: skip
        for name, values in content.items():
            (directory / "env" / name).write_text(json.dumps(values))
        (directory / "env" / "cmdline").write_text("--forks %d" % self.rollouts.fleet.at_once)

    def _in_pod(self, directory, name, path, command):
        boot_id = directory / "boot_id"
        boot_id.write_text("boot-of-%s\n" % name)
        own = [name, boot_id, os.geteuid(), os.getegid(), directory, path, Path.home()]
        unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts"]
        return processes.as_root([*unshare, "bash", "-euc", POD, "pod", *map(str, own), *command])

    def run(self, playbook, **options):
        """Run a job to its end; return it with its status."""
        job = self.start(playbook, **options)
        return job, job.wait()

    def written(self, kind, **fields):
        return written(self.rollouts, "hotfix1", kind, **fields)

    def entries(self, kind):
        return [entry for entry in entries(self.rollouts, "hotfix1") if entry["kind"] == kind]

    def fall_silent(self):
        """Let so much time have passed since the last sign of life of whoever has the lock that it may be taken over."""
        assert Path(self.journal + ".lock").read_text(), "somebody has it"
        os.utime(self.journal + ".lock", (time.time() - lock.SILENCE - 60,) * 2)


@pytest.fixture
def site(rollouts, programs):
    made = Site(rollouts, programs)
    yield made
    for job in made.jobs:
        if job.process.poll() is None:
            job.process.terminate()
            job.process.wait(timeout=60)
        if (job.artifacts / "stdout").exists():
            print(job.output)


def test_a_job_is_halted_by_another_and_a_third_goes_on_all_of_which_the_events_and_artifacts_tell(site):
    first = site.start("rollout")
    wait_for(site.written("soak", tier=1))
    said, status = site.run("halt", livepatch_reason="errors in the shop")
    assert status == "successful"
    assert "livepatch | hotfix1: abort by ann: errors in the shop" in said.output
    assert first.wait() == "failed"
    gate = [result for result in first.results("kernel.livepatch.rollout_gate") if "verdict" in result]
    assert [result["verdict"] for result in gate][0] == "pass" and gate[-1]["verdict"] == "stop"
    assert gate[-1]["reasons"][0] == "stop: aborted by ann: errors in the shop"
    assert first.output.count("livepatch | tier canary  soak ") == 1 and "livepatch | journal: " in first.output
    assert [entry["user"] for entry in site.entries("run")] == ["ann"]

    overrides.say(site.journal, "promote", "ann", "seen enough", 1)
    last, status = site.run("rollout", livepatch_retry="the shop was it")
    assert status == "successful"
    stats, = last.events("playbook_on_stats")
    assert stats["artifact_data"] == last.results("kernel.livepatch.rollout_journal")[-1]["stats"]
    summary, = stats["artifact_data"].values()
    assert (summary["result"], summary["counts"]) == ("complete", {"patched": 2})
    assert site.rollouts.running() == {host: ["hotfix1"] for host in site.rollouts.fleet.guests}


def test_a_job_that_is_cancelled_in_a_slice_leaves_the_journal_whole_and_the_next_one_goes_on(site):
    few = {"livepatch_hosts": "lab-1", "livepatch_tiers": ONE_TIER}
    first, guest = site.start("rollout", **few), site.rollouts.fleet.guests["lab-1"]
    wait_for(site.written("slice"))
    guest.pause()
    try:
        first.process.send_signal(signal.SIGTERM)
        assert first.wait() == "canceled"
    finally:
        guest.resume()
    assert Path(site.journal).read_text().endswith("\n") and site.entries("slice") and not site.entries("outcome")
    next_one, status = site.run("rollout", **few)
    assert status == "successful"
    assert "livepatch | going on with run 2 of rollout hotfix1" in next_one.output
    assert len(site.entries("planned")) == 1
    assert site.rollouts.running()["lab-1"] == ["hotfix1"]


def test_a_rollout_that_was_lost_with_its_pod_is_refused_to_another_pod_until_a_person_takes_it_over(site):
    lost = site.start("rollout", pod="pod-1", livepatch_hosts="lab-1", livepatch_tiers=SOAK[:1])
    wait_for(site.written("soak", tier=1))
    lost.lose()
    refused, status = site.run("rollback", pod="pod-2")
    assert status == "failed"
    assert "ann on pod-1, process " in refused.output and ", job 1, since" in refused.output
    assert "livepatch_takeover" in refused.output
    assert not site.entries("takeover") and not site.entries("rollback")
    site.fall_silent()
    back, status = site.run("rollback", pod="pod-3", livepatch_takeover="its node is gone")
    assert status == "successful"
    assert "livepatch | taken over from ann on pod-1" in back.output
    entry, = site.entries("takeover")
    assert (entry["user"], entry["reason"], entry["of"]["job"]) == ("ann", "its node is gone", "1")
    assert site.rollouts.running() == {host: [] for host in site.rollouts.fleet.guests}
