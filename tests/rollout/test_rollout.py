# Whole rollouts on real kernels: good releases arrive, harmful ones are stopped, nothing is lost.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import re
import signal
import threading
import time

import pytest
import yaml


ONE_TIER = [{"name": "all", "share": "100%"}]
# Writes more than the kernel's log holds, many times a second.
NOISE = """
import time
with open("/proc/sys/kernel/printk_devkmsg", "w") as switch:
    switch.write("on" + chr(10))
with open("/dev/kmsg", "w", 1) as log:
    while True:
        for number in range(250):
            log.write("<6>noise %d %s" % (number, "x" * 900) + chr(10))
        time.sleep(0.05)
"""


def wait_for(condition, seconds=600):
    """Wait until the condition holds; it is an error if it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("waited %d s in vain" % seconds)


def written(rollouts, release, kind, **fields):
    """Whether the journal of a release has an entry of this kind with these fields."""
    def found():
        return any(entry["kind"] == kind and all(entry.get(key) == value for key, value in fields.items())
                   for entry in entries(rollouts, release))

    return found


def entries(rollouts, release):
    """What the journal of a release holds by now."""
    path = rollouts.directory / "journals" / (release + ".jsonl")
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def forget_executions(rollouts):
    for guest in rollouts.fleet.guests.values():
        guest.ssh(["rm", "-rf", "/home/admin/.ansible/tmp"])


def count_executions(rollouts):
    """How often each module was executed on each host, from the programs that Ansible left there."""
    counts = {}
    for name, guest in rollouts.fleet.guests.items():
        programs = guest.ssh(["find", "/home/admin/.ansible/tmp", "-name", "AnsiballZ_*.py"]).stdout.split()
        modules = [re.search("AnsiballZ_(.*)[.]py", program).group(1) for program in programs]
        counts[name] = {module: modules.count(module) for module in modules}
    return counts


def assert_stopped(run):
    assert run.status != 0
    assert run.of("verdict")[-1]["verdict"] == "stop"
    assert "kernel.livepatch.rollback" in run.output
    assert "livepatch_retry" in run.output


class TestGoodReleases:
    def test_two_releases_reach_every_host_the_first_a_tier_at_a_time_and_both_are_taken_back(self, rollouts):
        hosts = sorted(rollouts.fleet.guests)
        canary = rollouts.rollout("hotfix1", livepatch_last_tier="next")
        assert canary.status == 0
        assert canary.outcomes == {host: "patched" for host in canary.first_tier()}
        assert canary.of("end")[-1]["result"] == "waiting" and "waiting, tier rest is next" in canary.output
        first = rollouts.rollout("hotfix1", livepatch_last_tier="rest")
        assert first.status == 0
        assert first.outcomes == {host: "patched" for host in hosts}
        assert first.of("end")[-1]["result"] == "complete"
        forget_executions(rollouts)
        second = rollouts.rollout("hotfix2", settings={"ANSIBLE_KEEP_REMOTE_FILES": "true", "ANSIBLE_PIPELINING": "false"})
        assert second.status == 0
        for host, executions in count_executions(rollouts).items():
            # One look at the end of the other tier: as one to compare with, or as a patched one.
            assert executions == {"livepatch_facts": 1, "livepatch": 1, "livepatch_health": 1}, host
        assert rollouts.running() == {host: ["hotfix2"] for host in hosts}
        for guest in rollouts.fleet.guests.values():
            assert "hotfix1" not in guest.ssh(["cat", "/proc/modules"]).stdout

        again = rollouts.rollout("hotfix2")
        assert again.status == 0
        assert "changed=0" in again.output and "changed=1" not in again.output
        assert len(again.of("outcome")) == len(second.of("outcome")), "the second run touched a host"

        back = rollouts.rollback("hotfix2", livepatch_package_pattern="klp-{kernel}-{release}")
        assert back.status == 0
        assert rollouts.running() == {host: ["hotfix1"] for host in hosts}
        none = rollouts.rollback("hotfix1")
        assert none.status == 0
        assert rollouts.running() == {host: [] for host in hosts}
        for guest in rollouts.fleet.guests.values():
            assert guest.ssh(["rpm", "-qa", "klp-*"]).stdout == ""

    def test_a_check_run_shows_the_plan_and_touches_nothing(self, rollouts):
        run = rollouts.rollout("hotfix1", arguments=["--check"], livepatch_persist=True)
        assert run.status == 0
        assert not run.journal.exists()
        assert rollouts.running() == {host: [] for host in rollouts.fleet.guests}
        for guest in rollouts.fleet.guests.values():
            assert guest.ssh(["rpm", "-qa", "klp-*"]).stdout == ""

    def test_a_host_without_a_build_is_reported_and_not_failed(self, rollouts):
        victim = sorted(rollouts.fleet.guests)[-1]
        inventory = rollouts.inventory(**{victim: {"livepatch_package_pattern": "klp-{kernel}-no-such-{release}"}})
        run = rollouts.rollout("hotfix1", inventory=inventory, livepatch_tiers=ONE_TIER)
        assert run.status == 0
        assert run.outcomes[victim] == "not_applicable"
        assert sorted(run.outcomes.values()) == ["not_applicable"] + ["patched"] * (len(rollouts.fleet.guests) - 1)


class TestHarmfulReleases:
    def test_a_release_that_panics_its_hosts_a_minute_later_is_stopped_in_the_first_tier(self, rollouts):
        run = rollouts.rollout("panics_later", livepatch_look_interval="20s", livepatch_tiers=[
            {"name": "canary", "hosts": 1, "soak": "5m"}, {"name": "rest", "share": "100%"}])
        assert_stopped(run)
        canary, = run.first_tier()
        assert list(run.outcomes) == [canary]
        assert canary in run.of("verdict")[-1]["reasons"][0]
        assert [entry["verdict"] for entry in run.of("verdict") if entry.get("looked")].count("pass") >= 1, "it was well at first"
        for host, guest in rollouts.fleet.guests.items():
            if host != canary:
                assert guest.ssh(["rpm", "-qa", "klp-*"]).stdout == "", "%s was touched" % host

    def test_a_warning_stops_the_rollout_and_its_hosts_are_rolled_back_when_asked(self, rollouts):
        assert rollouts.rollout("hotfix2", livepatch_tiers=ONE_TIER).status == 0
        run = rollouts.rollout("warns", livepatch_on_stop="rollback", livepatch_tiers=[
            {"name": "canary", "hosts": 1, "soak": "15s"}, {"name": "rest", "share": "100%"}])
        assert_stopped(run)
        canary, = run.first_tier()
        assert run.outcomes == {canary: "rolled_back"}
        assert "alarmed" in [entry["outcome"] for entry in run.of("outcome")]
        assert rollouts.running() == {host: ["hotfix2"] for host in rollouts.fleet.guests}

    def test_a_warning_that_a_noisy_log_has_overwritten_stops_the_rollout(self, rollouts):
        for guest in rollouts.fleet.guests.values():
            begin = "echo '%s' > /run/noise.py; nohup python3 /run/noise.py > /dev/null 2>&1 & echo $! > /run/noise.pid"
            guest.ssh(["sh", "-c", begin % NOISE])
        try:
            run = rollouts.rollout("warns", livepatch_tiers=[
                {"name": "canary", "hosts": 1, "soak": "15s"}, {"name": "rest", "share": "100%"}])
        finally:
            for guest in rollouts.fleet.guests.values():
                guest.ssh(["sh", "-c", "kill $(cat /run/noise.pid)"])
        assert_stopped(run)
        canary, = run.first_tier()
        assert run.outcomes == {canary: "alarmed"}
        reason = next(entry for entry in run.of("outcome") if entry["outcome"] == "alarmed")["reason"]
        assert "untold: warn_count rose by" in reason and "overwritten" in reason

    def test_a_stalled_transition_is_reverted_and_stops_the_rollout(self, rollouts):
        run = rollouts.rollout("stalls", livepatch_timeout=20)
        assert_stopped(run)
        assert list(run.outcomes.values()) == ["stalled"]
        assert "kswapd" in run.output
        assert rollouts.running() == {host: [] for host in rollouts.fleet.guests}

    def test_a_release_that_no_host_has_a_build_of_is_stopped_with_that_reason(self, rollouts):
        run = rollouts.rollout("hotfix99")
        assert run.status != 0
        assert "no host of tier canary has a build of release hotfix99" in run.output
        assert set(run.outcomes.values()) == {"not_applicable"}

    def test_a_package_with_a_bad_signature_is_refused(self, rollouts):
        run = rollouts.rollout("badsig")
        assert_stopped(run)
        assert "bad_signature" in run.output
        assert rollouts.running() == {host: [] for host in rollouts.fleet.guests}

    def test_a_repository_that_is_down_is_a_failure_and_a_person_may_go_on_with_a_reason(self, rollouts):
        rollouts.fleet.repository.stop()
        try:
            run = rollouts.rollout("hotfix1", livepatch_tiers=ONE_TIER)
        finally:
            rollouts.fleet.repository.start()
        assert_stopped(run)
        assert "repository_unavailable" in run.output
        refused = rollouts.rollout("hotfix1", livepatch_tiers=ONE_TIER)
        assert refused.status != 0 and "livepatch_retry" in refused.output
        assert rollouts.running() == {host: [] for host in rollouts.fleet.guests}
        run = rollouts.rollout("hotfix1", livepatch_retry="the repository is back", livepatch_tiers=ONE_TIER)
        assert run.status == 0
        assert run.of("retry")[0]["reason"] == "the repository is back"
        assert rollouts.running() == {host: ["hotfix1"] for host in rollouts.fleet.guests}


class TestInterruptions:
    def test_a_killed_controller_loses_nothing_and_the_same_command_goes_on(self, rollouts):
        process = rollouts.start("rollout", "hotfix1")
        wait_for(written(rollouts, "hotfix1", "slice", tier=2))
        time.sleep(2)  # into the slice: somewhere in dnf or in the load
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        plan = [entry for entry in entries(rollouts, "hotfix1") if entry["kind"] in ("rollout", "host", "planned")]

        run = rollouts.rollout("hotfix1")
        assert run.status == 0
        assert run.outcomes == {host: "patched" for host in rollouts.fleet.guests}
        assert rollouts.running() == {host: ["hotfix1"] for host in rollouts.fleet.guests}
        assert [entry for entry in run.entries if entry["kind"] in ("rollout", "host", "planned")] == plan, "the plan was made anew"
        canary, = run.first_tier()
        assert len([entry for entry in run.of("outcome") if entry["host"] == canary]) == 1, "the canary was done again"


class TestLostHosts:
    @pytest.mark.parametrize("moment", ["installing", "looking"])
    def test_a_host_that_is_lost_counts_as_a_failure(self, rollouts, moment):
        tiers = [{"name": "canary", "hosts": 1, "soak": "5s" if moment == "looking" else "0"}, {"name": "rest", "share": "100%"}]
        process = rollouts.start("rollout", "hotfix1", livepatch_tiers=tiers)
        kind = "slice" if moment == "installing" else "soak"
        wait_for(written(rollouts, "hotfix1", kind, tier=1))
        canary = next(iter(_tier_hosts(rollouts, "hotfix1", 1)))
        time.sleep(1)
        rollouts.fleet.guests[canary].kill()
        process.wait(timeout=900)
        output = rollouts.log.read_text(encoding="utf-8")
        assert process.returncode != 0
        assert "unreachable" in output
        assert all(livepatches == [] for host, livepatches in _running_but(rollouts, canary).items())

    def test_a_reboot_between_two_runs_is_found_by_the_second_and_rolled_back_when_asked_for(self, rollouts):
        tiers = [{"name": "canary", "hosts": 1, "soak": "1h"}, {"name": "rest", "share": "100%"}]
        process = rollouts.start("rollout", "hotfix1", livepatch_tiers=tiers)
        wait_for(written(rollouts, "hotfix1", "soak", tier=1))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        canary, other = (next(iter(_tier_hosts(rollouts, "hotfix1", tier))) for tier in (1, 2))
        guest = rollouts.fleet.guests[canary]
        before = guest.ssh(["cat", "/proc/sys/kernel/random/boot_id"]).stdout
        guest.ssh(["sh", "-c", "echo b > /proc/sysrq-trigger"])
        wait_for(lambda: guest.ssh(["cat", "/proc/sys/kernel/random/boot_id"]).stdout not in ("", before))

        run = rollouts.rollout("hotfix1", livepatch_tiers=tiers, livepatch_on_stop="rollback")
        assert_stopped(run)
        assert [entry["outcome"] for entry in run.of("outcome")] == ["patched", "rebooted", "rolled_back"]
        assert guest.ssh(["rpm", "-qa", "klp-*"]).stdout == ""
        assert other not in run.outcomes
        assert rollouts.running() == {host: [] for host in rollouts.fleet.guests}

    def test_a_host_that_answers_slowly_is_waited_for(self, rollouts):
        """The guest stands still for eight seconds in the middle of its slice."""
        process = rollouts.start("rollout", "hotfix1", livepatch_tiers=ONE_TIER)
        wait_for(written(rollouts, "hotfix1", "slice"))
        guest = rollouts.fleet.guests[sorted(rollouts.fleet.guests)[0]]
        guest.pause()
        timer = threading.Timer(8, guest.resume)
        timer.start()
        process.wait(timeout=900)
        timer.join()
        assert process.returncode == 0, rollouts.log.read_text(encoding="utf-8")


def _tier_hosts(rollouts, release, tier):
    return [entry["host"] for entry in entries(rollouts, release) if entry["kind"] == "host" and entry["tier"] == tier]


def _running_but(rollouts, lost):
    guest = rollouts.fleet.guests.pop(lost)
    try:
        return rollouts.running()
    finally:
        rollouts.fleet.guests[lost] = guest


class TestBadInput:
    @pytest.mark.parametrize("variables, words", [
        ({"livepatch_tiers": [{"name": "half", "share": "50%"}]}, "100%"),
        ({"livepatch_tiers": [{"name": "a", "group": "lab"}, {"name": "b", "group": "rack_a"}]}, "two tiers"),
        ({"livepatch_on_stop": "panic"}, "panic"),
        ({"livepatch_on_stall": "panic"}, "livepatch_on_stall"),
        ({"arguments": ["--limit", "lab-1"]}, "livepatch_hosts=lab-1"),
    ])
    def test_bad_input_is_refused_before_anything_is_touched(self, rollouts, variables, words):
        run = rollouts.rollout("hotfix1", **variables)
        assert run.status != 0
        assert words in " ".join(run.output.split())
        assert "Traceback" not in run.output
        assert rollouts.running() == {host: [] for host in rollouts.fleet.guests}

    def test_one_machine_under_two_names_is_refused(self, rollouts):
        name = sorted(rollouts.fleet.guests)[0]
        inventory = yaml.safe_load(rollouts.fleet.inventory.read_text(encoding="utf-8"))
        path = rollouts.directory / "twice.yml"
        path.write_text(yaml.safe_dump(_with_twin(inventory, name)), encoding="utf-8")
        run = rollouts.rollout("hotfix1", inventory=path)
        assert run.status != 0
        assert name in run.output and "twin are one machine" in run.output
        assert rollouts.running() == {host: [] for host in rollouts.fleet.guests}


def _with_twin(node, name):
    if isinstance(node, dict):
        if isinstance(node.get("hosts"), dict) and (node["hosts"].get(name) or {}).get("ansible_port"):
            node["hosts"]["twin"] = dict(node["hosts"][name])
        for child in node.values():
            _with_twin(child, name)
    return node
