# The gate on real kernels: it compares cohorts and arms, remembers across controllers, and listens to people.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import signal
import time

import pytest

from tests.lab.fleet import Fleet
from tests.rollout.conftest import KERNELS, Rollouts, clean
from tests.rollout.test_rollout import assert_stopped, entries, wait_for

CANARIES = [{"name": "canary", "hosts": 2, "soak": "30s"}, {"name": "rest", "share": "100%"}]


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    with Fleet(tmp_path_factory.mktemp("four"), hosts=4, kernels=KERNELS) as running:
        yield running


@pytest.fixture
def rollouts(four, tmp_path):
    clean(four)
    return Rollouts(four, tmp_path)


def looks(rollouts, release):
    """The verdicts that were given after a look, by now."""
    return [entry for entry in entries(rollouts, release) if entry["kind"] == "verdict" and entry.get("looked")]


def waiting(rollouts, release):
    """A host that is planned and not touched yet."""
    found = entries(rollouts, release)
    touched = {name for entry in found if entry["kind"] == "slice" for name in entry["hosts"]}
    return next(entry["host"] for entry in found if entry["kind"] == "host" and entry["host"] not in touched)


def end(process, rollouts):
    process.wait(timeout=900)
    return process.returncode, rollouts.log.read_text(encoding="utf-8")


def test_a_release_that_hurts_one_cohort_loses_two_guests_at_most(rollouts):
    run = rollouts.rollout("panics_old", livepatch_slice=2, livepatch_tiers=CANARIES)
    assert_stopped(run)
    cohorts = {entry["host"]: entry["kernel_release"] for entry in run.of("host")}
    canaries = run.first_tier()
    assert len({cohorts[host] for host in canaries}) == 2, "a canary of each cohort"
    assert set(run.outcomes) == set(canaries)
    hurt = [host for host, outcome in run.outcomes.items() if outcome in ("rebooted", "unreachable")]
    assert len(hurt) == 1, "one guest was lost"
    assert {outcome for host, outcome in run.outcomes.items() if host not in hurt} == {"patched"}


def test_a_good_release_passes_although_an_unpatched_guest_crashes_and_a_person_pauses_it(rollouts):
    process = rollouts.start("rollout", "hotfix1", livepatch_look_interval="15s", livepatch_tiers=[
        {"name": "canary", "hosts": 1, "soak": "1m"}, {"name": "rest", "share": "100%"}])
    log = rollouts.log
    wait_for(lambda: len(looks(rollouts, "hotfix1")) >= 1)
    rollouts.fleet.guests[waiting(rollouts, "hotfix1")].ssh(["sh", "-c", "echo b > /proc/sysrq-trigger"])
    said = rollouts.run("halt", "hotfix1", livepatch_override="pause", livepatch_reason="lunch")
    assert said.status == 0
    wait_for(lambda: any("paused by" in entry["reasons"][0] for entry in entries(rollouts, "hotfix1") if entry["kind"] == "verdict"))
    assert rollouts.run("halt", "hotfix1", livepatch_override="resume", livepatch_reason="lunch is over").status == 0
    rollouts.log = log
    status, output = end(process, rollouts)
    assert status == 0, output
    found = entries(rollouts, "hotfix1")
    assert {entry["outcome"] for entry in found if entry["kind"] == "outcome"} == {"patched"}
    assert looks(rollouts, "hotfix1")[-1]["evidence"]["crashes"]["control"]["incidents"] == 1
    assert [(entry["override"], entry["reason"]) for entry in found if entry["kind"] == "override"] == [
        ("pause", "lunch"), ("resume", "lunch is over")]
    assert rollouts.running() == {host: ["hotfix1"] for host in rollouts.fleet.guests}


def test_a_controller_killed_between_two_looks_goes_on_with_the_same_evidence_and_can_be_halted_from_elsewhere(rollouts):
    options = {"livepatch_look_interval": "10s", "livepatch_tiers": [dict(CANARIES[0], soak="15m"), CANARIES[1]]}
    process = rollouts.start("rollout", "hotfix2", **options)
    wait_for(lambda: len(looks(rollouts, "hotfix2")) >= 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = looks(rollouts, "hotfix2")

    process = rollouts.start("rollout", "hotfix2", **options)
    log = rollouts.log
    wait_for(lambda: len(looks(rollouts, "hotfix2")) > len(before))
    hours = [entry["evidence"]["crashes"]["patched"]["host_hours"] for entry in (before[-1], looks(rollouts, "hotfix2")[-1])]
    assert 0 < hours[0] < hours[1], "the host-hours of before count"
    assert looks(rollouts, "hotfix2")[: len(before)] == before

    begin = time.monotonic()
    assert rollouts.run("halt", "hotfix2", livepatch_override="rollback", livepatch_reason="errors in the shop").status == 0
    rollouts.log = log
    status, output = end(process, rollouts)
    assert status != 0
    assert "stop: aborted by" in output and "errors in the shop" in output
    assert time.monotonic() - begin < 300, "it does not wait for the soak to end"
    assert rollouts.running() == {host: [] for host in rollouts.fleet.guests}, "they were rolled back"
    found = [entry["outcome"] for entry in entries(rollouts, "hotfix2") if entry["kind"] == "outcome"]
    assert sorted(found) == ["patched", "patched", "rolled_back", "rolled_back"]
