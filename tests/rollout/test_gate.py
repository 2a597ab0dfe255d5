# The gate on real kernels: it compares cohorts and arms, remembers across controllers, and listens to people.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import signal
import time

import pytest

from tests.lab.fleet import Fleet
from tests.rollout.conftest import KERNELS, PROCESSORS, Rollouts
from tests.rollout.test_rollout import assert_stopped, entries, wait_for


@pytest.fixture
def four(tmp_path):
    """Rollouts on four guests: two of each kernel."""
    with Fleet(tmp_path / "four", hosts=4, kernels=KERNELS, processors=PROCESSORS) as running:
        yield Rollouts(running, tmp_path)


# A Python whose host has been up for a day longer: what came once in that time is rare. Only root makes such a namespace.
OLD = """#!/bin/sh
[ $(id -u) = 0 ] || exec python3 "$@"
exec unshare --time --boottime 86400 --fork python3 "$@"
"""
WARN_ONCE = """insmod /root/warns.ko delay_ms=100 every_ms=0
until dmesg | grep -q 'WARNING.* warn_now'; do sleep 0.2; done
until [ $(cat /sys/kernel/livepatch/warns/transition) = 0 ]; do sleep 0.2; done
echo 0 > /sys/kernel/livepatch/warns/enabled
until rmmod warns 2> /dev/null; do sleep 0.2; done
"""


@pytest.fixture
def pair(tmp_path):
    """Rollouts on two guests that have been up for a day, and have warned once in that time."""
    with Fleet(tmp_path / "pair", hosts=2, kernels=KERNELS[:1], processors=1) as running:
        (tmp_path / "python-old").write_text(OLD)
        for guest in running.guests.values():
            guest.copy(running.module("warns", KERNELS[0]), "/root/warns.ko")
            guest.copy(tmp_path / "python-old", "/usr/local/bin/python-old")
            done = guest.ssh(["sh", "-c", "chmod 755 /usr/local/bin/python-old; " + WARN_ONCE])
            assert done.returncode == 0, done.stderr
        yield Rollouts(running, tmp_path)


def looks(rollouts, release):
    """The verdicts that were given after a look, by now."""
    return [entry for entry in entries(rollouts, release) if entry["kind"] == "verdict" and entry.get("looked")]


def waiting(rollouts, release):
    """A host that is planned and not touched yet."""
    found = entries(rollouts, release)
    touched = {name for entry in found if entry["kind"] == "slice" for name in entry["hosts"]}
    return next(entry["host"] for entry in found if entry["kind"] == "host" and entry["host"] not in touched)


def end(process, log):
    process.wait(timeout=900)
    return process.returncode, log.read_text(encoding="utf-8")


def test_a_release_that_hurts_one_cohort_loses_two_guests_at_most(four):
    run = four.rollout("panics_old", livepatch_slice=2, livepatch_tiers=[
        {"name": "canary", "hosts": 2, "soak": "30s"}, {"name": "rest", "share": "100%"}])
    assert_stopped(run)
    cohorts = {entry["host"]: entry["kernel_release"] for entry in run.of("host")}
    canaries = run.first_tier()
    assert len({cohorts[host] for host in canaries}) == 2, "a canary of each cohort"
    assert set(run.outcomes) == set(canaries)
    hurt = [host for host, outcome in run.outcomes.items() if outcome in ("rebooted", "unreachable")]
    assert len(hurt) == 1, "one guest was lost"
    assert {outcome for host, outcome in run.outcomes.items() if host not in hurt} == {"patched"}


def test_a_release_with_which_a_known_warning_comes_far_more_often_is_stopped_in_the_first_tier(pair):
    hosts = {name: {"ansible_python_interpreter": "/usr/local/bin/python-old"} for name in pair.fleet.guests}
    run = pair.rollout("warns", inventory=pair.inventory(**hosts), livepatch_look_interval="10s", livepatch_tiers=[
        {"name": "canary", "hosts": 1, "soak": "5m"}, {"name": "rest", "share": "100%"}])
    assert_stopped(run)
    canary, = run.first_tier()
    assert run.outcomes == {canary: "alarmed"}
    reason = next(entry for entry in run.of("outcome") if entry["outcome"] == "alarmed")["reason"]
    assert "warn_now comes far more often: " in reason and "before 1 in 24 h" in reason, reason
    told = [event for entry in run.of("look") if entry["host"] == canary for event in entry.get("events", ())]
    assert told == [], "each warning alone was there before"


def test_a_good_release_passes_although_its_controller_is_killed_an_unpatched_guest_crashes_and_a_person_pauses_it(rollouts):
    options = {"livepatch_look_interval": "15s", "livepatch_tiers": [
        {"name": "canary", "hosts": 1, "soak": "2m"}, {"name": "rest", "share": "100%"}]}
    process = rollouts.start("rollout", "hotfix1", **options)
    wait_for(lambda: looks(rollouts, "hotfix1"))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = looks(rollouts, "hotfix1")

    process = rollouts.start("rollout", "hotfix1", **options)
    log = rollouts.log
    wait_for(lambda: len(looks(rollouts, "hotfix1")) > len(before))
    hours = [entry["evidence"]["crashes"]["patched"]["host_hours"] for entry in (before[-1], looks(rollouts, "hotfix1")[-1])]
    assert 0 < hours[0] < hours[1], "the host-hours of before count"
    assert looks(rollouts, "hotfix1")[: len(before)] == before

    rollouts.fleet.guests[waiting(rollouts, "hotfix1")].ssh(["sh", "-c", "echo b > /proc/sysrq-trigger"])
    said = rollouts.run("halt", "hotfix1", livepatch_override="pause", livepatch_reason="lunch")
    assert said.status == 0
    wait_for(lambda: any("paused by" in entry["reasons"][0] for entry in entries(rollouts, "hotfix1") if entry["kind"] == "verdict"))
    assert rollouts.run("halt", "hotfix1", livepatch_override="resume", livepatch_reason="lunch is over").status == 0
    status, output = end(process, log)
    assert status == 0, output
    found = entries(rollouts, "hotfix1")
    assert {entry["outcome"] for entry in found if entry["kind"] == "outcome"} == {"patched"}
    assert looks(rollouts, "hotfix1")[-1]["evidence"]["crashes"]["control"]["incidents"] == 1
    assert [(entry["override"], entry["reason"]) for entry in found if entry["kind"] == "override"] == [
        ("pause", "lunch"), ("resume", "lunch is over")]
    assert rollouts.running() == {host: ["hotfix1"] for host in rollouts.fleet.guests}


def test_a_person_elsewhere_ends_a_long_soak_and_has_its_hosts_rolled_back(rollouts):
    process = rollouts.start("rollout", "hotfix2", livepatch_look_interval="10s", livepatch_tiers=[
        {"name": "canary", "hosts": 1, "soak": "15m"}, {"name": "rest", "share": "100%"}])
    log = rollouts.log
    wait_for(lambda: looks(rollouts, "hotfix2"))
    begin = time.monotonic()
    assert rollouts.run("halt", "hotfix2", livepatch_override="rollback", livepatch_reason="errors in the shop").status == 0
    status, output = end(process, log)
    assert status != 0
    assert "stop: aborted by" in output and "errors in the shop" in output
    assert time.monotonic() - begin < 300, "it does not wait for the soak to end"
    assert rollouts.running() == {host: [] for host in rollouts.fleet.guests}, "they were rolled back"
    assert [entry["outcome"] for entry in entries(rollouts, "hotfix2") if entry["kind"] == "outcome"] == ["patched", "rolled_back"]
