# A rollout on machines with systemd: what has passed its tier survives a reboot, and nothing else does.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from tests.lab.fleet import Fleet
from tests.rollout.conftest import KERNELS, Rollouts
from tests.rollout.test_rollout import assert_stopped


@pytest.fixture(scope="module")
def rollouts(tmp_path_factory):
    """Two guests that boot with systemd."""
    with Fleet(tmp_path_factory.mktemp("systemd"), hosts=2, kernels=KERNELS, init="systemd") as running:
        yield Rollouts(running, tmp_path_factory.mktemp("rollouts"))


def recorded(rollouts):
    """Name of the livepatch that the next boot of each host enables, None without."""
    script = "cd /etc/livepatch/boot.d 2>/dev/null && sed -n 's/^name=//p' \"$(uname -r)\" 2>/dev/null"
    found = {name: guest.ssh(["sh", "-c", script]).stdout.strip() for name, guest in rollouts.fleet.guests.items()}
    return {name: livepatch or None for name, livepatch in found.items()}


def everywhere(rollouts, value):
    return {name: value for name in rollouts.fleet.guests}


def test_hosts_keep_over_reboots_what_passed_its_tier_until_it_is_rolled_back(rollouts):
    kept = {"livepatch_persist": True}
    first = rollouts.rollout("hotfix1", **kept)
    assert first.status == 0
    assert [entry["hosts"] for entry in first.of("persisted")] == [[host] for host in first.outcomes]
    assert "livepatch | 1 of 1 hosts keep the livepatch over reboots" in first.output
    assert recorded(rollouts) == everywhere(rollouts, "hotfix1")

    again = rollouts.rollout("hotfix1", **kept)
    assert again.status == 0 and len(again.of("persisted")) == 2, "a host that keeps it is not asked again"

    harmful = rollouts.rollout("warns", livepatch_on_stop="rollback", **kept)
    assert_stopped(harmful)
    assert not harmful.of("persisted") and recorded(rollouts) == everywhere(rollouts, "hotfix1")
    for name in rollouts.fleet.guests:
        rollouts.fleet.boot_again(name)
    assert rollouts.running() == everywhere(rollouts, ["hotfix1"])

    back = rollouts.rollback("hotfix1", **kept)
    assert back.status == 0
    assert recorded(rollouts) == everywhere(rollouts, None) and rollouts.running() == everywhere(rollouts, [])


def test_a_host_that_cannot_keep_it_stays_patched_and_its_reason_is_in_the_journal_and_in_the_status(rollouts):
    host = sorted(rollouts.fleet.guests)[0]
    guest = rollouts.fleet.guests[host]
    # A file stands where the directory of the records should be.
    assert guest.ssh(["sh", "-c", "rm -rf /etc/livepatch; touch /etc/livepatch"]).returncode == 0
    run = rollouts.rollout("hotfix2", livepatch_persist=True)
    assert run.status == 0 and rollouts.running() == everywhere(rollouts, ["hotfix2"])
    failed = {name: reason for entry in run.of("persisted") for name, reason in entry["failed"].items()}
    assert list(failed) == [host] and "/etc/livepatch" in failed[host], failed
    line = "%s is without the livepatch after the next boot: " % host
    assert "livepatch | " + line in run.output
    status = rollouts.run("status", "hotfix2", journal="hotfix2")
    assert line in status.output
