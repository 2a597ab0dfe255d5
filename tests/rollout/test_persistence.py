# A rollout on machines with systemd: what has passed its tier survives a reboot, and nothing else does.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from tests.lab.fleet import Fleet
from tests.rollout.conftest import KERNELS, PROCESSORS, Rollouts


@pytest.fixture(scope="module")
def rollouts(tmp_path_factory):
    """Two guests that boot with systemd."""
    with Fleet(tmp_path_factory.mktemp("systemd"), hosts=2, kernels=KERNELS, processors=PROCESSORS, init="systemd") as running:
        yield Rollouts(running, tmp_path_factory.mktemp("rollouts"))


# A timer that patches its host by itself, and a mark of each time that it did.
TIMER = """
cat > /etc/systemd/system/nightly.service << 'EOF'
[Service]
Type=oneshot
ExecStart=/usr/bin/touch /run/it-ran
ExecStartPost=-/usr/bin/dnf -C -q upgrade --security
EOF
cat > /etc/systemd/system/nightly.timer << 'EOF'
[Timer]
OnCalendar=weekly
[Install]
WantedBy=timers.target
EOF
systemctl daemon-reload && systemctl --quiet enable --now nightly.timer
"""


def test_what_patches_hosts_by_itself_is_told_held_back_and_given_back_when_the_rollout_is_over(rollouts):
    guests = rollouts.fleet.guests
    names = sorted(guests)
    assert [guests[name].ssh(["sh", "-c", TIMER]).returncode for name in names] == [0, 0]
    plan = rollouts.run("rollout", "warns", arguments=["--check"])
    line = "livepatch | 2 hosts patch themselves (dnf by nightly.timer, security updates): %s" % ", ".join(names)
    assert plan.status == 0 and line in plan.output and "livepatch_hold_automation holds timers back" in plan.output

    tiers = [{"name": "canary", "hosts": 1, "soak": "30s"}, {"name": "rest", "share": "100%"}]
    first = rollouts.rollout("warns", livepatch_hold_automation=True, livepatch_tiers=tiers, livepatch_look_interval="10s")
    assert first.status == 2 and sorted(first.of("held")[0]["hosts"]) == names and not first.of("given_back")
    assert "What patches 2 hosts without being asked is held back until " in first.output
    start = "rm -f /run/it-ran; systemctl start nightly.service; ls /run/it-ran 2>/dev/null; "
    assert [guests[name].ssh(["sh", "-c", start]).stdout for name in names] == ["", ""], "what was stopped would come again"

    back = rollouts.rollback("warns")
    assert back.status == 0 and sorted(back.of("given_back")[0]["hosts"]) == names
    found = [guests[name].ssh(["sh", "-c", start + "ls -d /run/systemd/system/nightly*"]).stdout.split() for name in names]
    assert found == [["/run/it-ran"], ["/run/it-ran"]]
    second = rollouts.rollout("hotfix1", livepatch_hold_automation=True)
    assert second.status == 0 and sorted(second.of("held")[0]["hosts"]) == sorted(second.of("given_back")[0]["hosts"]) == names
    end = "systemctl --quiet disable --now nightly.timer; rm /etc/systemd/system/nightly.*; ls /run/systemd/system/nightly*"
    assert [guests[name].ssh(["sh", "-c", end]).stdout for name in names] == ["", ""]
    assert rollouts.rollback("hotfix1").status == 0


def recorded(rollouts):
    """Name of the livepatch that the next boot of each host enables, None without."""
    script = "cd /etc/livepatch/boot.d 2>/dev/null && sed -n 's/^name=//p' \"$(uname -r)\" 2>/dev/null"
    found = {name: guest.ssh(["sh", "-c", script]).stdout.strip() for name, guest in rollouts.fleet.guests.items()}
    return {name: livepatch or None for name, livepatch in found.items()}


def everywhere(rollouts, value):
    return {name: value for name in rollouts.fleet.guests}


def test_hosts_keep_over_reboots_what_passed_its_tier_until_it_is_rolled_back_and_who_cannot_is_told(rollouts):
    kept = {"livepatch_persist": True}
    first = rollouts.rollout("hotfix1", **kept)
    assert first.status == 0
    assert [entry["hosts"] for entry in first.of("persisted")] == [[host] for host in first.outcomes]
    assert "livepatch | 1 of 1 hosts keep the livepatch over reboots" in first.output
    assert recorded(rollouts) == everywhere(rollouts, "hotfix1")

    forgetful, other = sorted(rollouts.fleet.guests)
    guest = rollouts.fleet.guests[forgetful]
    # A file stands where the directory of the records should be.
    assert guest.ssh(["sh", "-c", "rm -rf /etc/livepatch/boot.d; touch /etc/livepatch/boot.d"]).returncode == 0
    second = rollouts.rollout("hotfix2", **kept)
    assert second.status == 0 and rollouts.running() == everywhere(rollouts, ["hotfix2"])
    failed = {name: reason for entry in second.of("persisted") for name, reason in entry["failed"].items()}
    assert list(failed) == [forgetful] and "/etc/livepatch" in failed[forgetful], failed
    line = "%s is without the livepatch after the next boot: " % forgetful
    assert "livepatch | " + line in second.output
    assert line in rollouts.run("status", "hotfix2", journal="hotfix2").output

    assert guest.ssh(["rm", "/etc/livepatch/boot.d"]).returncode == 0
    for name in rollouts.fleet.guests:
        rollouts.fleet.boot_again(name)
    assert rollouts.running() == {forgetful: [], other: ["hotfix2"]}

    back = rollouts.rollback("hotfix2", **kept)
    assert back.status == 0
    assert rollouts.running() == everywhere(rollouts, ["hotfix1"])
    assert recorded(rollouts) == {forgetful: None, other: "hotfix1"}, "what kept the newer one keeps the older one"
