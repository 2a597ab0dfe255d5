# Tests of what becomes of a host, and of the judge's verdict on it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import summary
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import outcomes

from tests.unit.plugin_utils.rollouts import REBOOTED, Rollout, hosts

ALARM = {"look": {"events": [{"kind": "bug", "text": "kernel BUG at fs/ext4/inode.c:1", "signature": "bug:ext4"}]}}
LOST = {"apply": {"unreachable": True, "msg": "no route"}, "look": {"unreachable": True}}
REFUSED = {"apply": {"failed": True, "error": "vermagic", "msg": "other kernel"}, "look": {"skipped": True}}
NO_BUILD = {
    "package": {"changed": False, "outcome": "not_applicable", "kernel_release": "6.1.0-1"},
    "apply": {"skipped": True},
    "look": {"skipped": True},
}


def key(name):
    return name.replace("-", "_")


def one(**steps):
    """The outcome entry of a single host with these steps."""
    rollout = Rollout(hosts(1), slice=1)
    rollout.patch(1, host_1=steps)
    return rollout.state.hosts["host-1"].outcome


@pytest.mark.parametrize(
    "steps, outcome, reason",
    [
        ({}, "patched", ""),
        (
            {"package": {"failed": True, "error": "disk_full", "msg": "no space\nleft"}},
            "failed",
            "livepatch_package failed (disk_full): no space left",
        ),
        ({"package": {"unreachable": True}}, "unreachable", "unreachable at livepatch_package"),
        (
            {"apply": {"failed": True, "error": "vermagic", "msg": "other kernel"}},
            "failed",
            "livepatch failed (vermagic): other kernel",
        ),
        ({"apply": {"failed": True, "msg": "boom"}}, "failed", "livepatch failed: boom"),
        ({"apply": {"failed": True, "error": "stalled", "msg": "pid 7 blocks"}}, "stalled", "pid 7 blocks"),
        ({"apply": {"skipped": True}}, "failed", "livepatch did not run"),
        ({"apply": {"proven": False}}, "failed", "the livepatch is not proven to run"),
        ({"apply": {"proven": None}}, "failed", "the livepatch is not proven to run"),
        (LOST, "unreachable", "unreachable at livepatch"),
        ({"look": {"unreachable": True}}, "unreachable", "unreachable at livepatch_health"),
        ({"look": {"enabled": None}}, "failed", "runs no livepatch instead of hotfix3"),
        ({"look": {"enabled": "hotfix2"}}, "failed", "runs hotfix2 instead of hotfix3"),
        (ALARM, "alarmed", "kernel alarm, bug: kernel BUG at fs/ext4/inode.c:1"),
        (REBOOTED, "rebooted", "rebooted 8 s after its slice began (boot id changed)"),
        (
            {"look": {"boot_id": "other", "uptime_seconds": 3}},
            "rebooted",
            "rebooted 7 s after its slice began (boot id changed)",
        ),
        (NO_BUILD, "not_applicable", "no repository has a build for kernel 6.1.0-1"),
        (
            {"apply": {"failed": True, "error": "image_based", "image_based": "ostree"}, "look": {"skipped": True}},
            "not_applicable",
            "its system is an image (ostree) that does not have the package",
        ),
    ],
)
def test_the_outcome_of_a_host_follows_from_its_results(steps, outcome, reason):
    entry = one(**steps)
    assert (entry["outcome"], entry["reason"]) == (outcome, reason)


UNSEEN = "so an alarm would not be seen: warning"


@pytest.mark.parametrize(
    "look, why",
    [
        ({"failed": True, "msg": "no space\nleft"}, "no space left"),
        ({"unseen": ["warning"], "sources": {"kmsg": "truncated"}}, f"its kernel log cannot be read to its end, {UNSEEN}"),
        ({"unseen": ["warning"], "sources": {"kmsg": "unreadable"}}, f"its kernel log cannot be read, {UNSEEN}"),
        ({"unseen": ["warning"], "sources": {"kmsg": "lost"}}, f"records of its kernel log are lost, {UNSEEN}"),
        ({"unseen": ["oops", "warning"], "sources": {}}, "its kernel log does not tell, so an alarm would not be seen: oops, warning"),
    ],
)
def test_a_patched_host_whose_look_fails_has_not_failed_but_holds_the_rollout_until_one_succeeds(look, why):
    rollout = Rollout(hosts(2), slice=2)
    assert rollout.patch(1, host_1={"look": look})["verdict"] == "pass", "it may be a passing trouble"
    assert rollout.outcome("host-1") == "patched" and not rollout.failures()
    verdict = rollout.look(1, after=900, host_1={"look": look})
    assert verdict["reasons"] == [f"hold: host-1 is patched, and the looks at them fail: host-1: {why}"]
    assert rollout.outcome("host-1") == "patched" and not rollout.crashes()
    assert rollout.look(1, after=900)["verdict"] == "pass"


def test_a_patched_host_that_nobody_has_looked_at_yet_is_no_host_in_good_health():
    rollout = Rollout(hosts(2), slice=2)
    rollout.patch(1, host_1={"look": {"skipped": True}})
    assert rollout.state.hosts["host-1"].blind == (rollout.now, "livepatch_health did not run")
    assert rollout.state.hosts["host-1"].seen < rollout.now
    assert rollout.look(1)["verdict"] == "pass" and rollout.state.hosts["host-1"].blind is None


def test_a_host_without_any_result_has_not_been_patched():
    assert one(package={"outcome": None}, apply={"proven": None, "name": None})["outcome"] == "failed"


def test_a_reboot_before_the_slice_began_is_not_blamed_on_it():
    entry = one(apply={"since": {"boot_id": "new"}}, look={"boot_id": "new", "uptime_seconds": 3600})
    assert entry["outcome"] == "patched"


def test_a_reboot_hides_behind_no_failed_task():
    entry = one(apply={"unreachable": True, "since": None}, look={"boot_id": "new", "uptime_seconds": 1})
    assert entry["outcome"] == "rebooted"


def test_the_outcome_keeps_what_a_rollback_needs():
    entry = one(package={"before": "hotfix-2-1.x86_64"}, apply={"before": {"enabled": "hotfix2"}})
    assert (entry["package"], entry["package_before"]) == ("hotfix-3-1.x86_64", "hotfix-2-1.x86_64")
    assert (entry["livepatch"], entry["enabled_before"]) == ("hotfix3", "hotfix2")


def test_one_failure_in_the_first_tier_stops_and_says_which_host_and_why():
    rollout = Rollout(hosts(6), slice=2)
    name = rollout.state.remaining(1)[1]
    verdict = rollout.patch(1, **{key(name): ALARM})
    assert verdict["reasons"] == [
        f"stop: 1 of 2 hosts of tier canary failed, 0 tolerated: {name} kernel alarm, bug: kernel BUG at fs/ext4/inode.c:1"
    ]
    assert verdict["failures"] == {name: ["kernel alarm, bug: kernel BUG at fs/ext4/inode.c:1"]}


def failing(count, **options):
    """A rollout of 22 hosts in slices of 4 after the canary; the first `count` slices of tier 2 lose a host each."""
    rollout = Rollout(hosts(22), **dict({"slice": 4, "max_failures": 2}, **options))
    rollout.patch(1)
    rollout.look(1)
    verdicts = [rollout.patch(2, **{key(rollout.state.remaining(2)[0]): REFUSED})["verdict"] for unused in range(count)]
    return rollout, verdicts


def test_failures_are_counted_over_the_whole_tier_and_not_per_slice():
    unused, verdicts = failing(3)
    assert verdicts == ["pass", "pass", "stop"]


def test_a_share_of_failures_is_of_the_planned_hosts_of_the_tier():
    unused, verdicts = failing(2, max_failures="5%")
    assert verdicts == ["pass", "stop"]


def test_the_verdict_of_a_pass_says_how_much_was_tolerated():
    rollout, unused = failing(1)
    assert rollout.state.verdict["reasons"] == ["pass: 1 of 20 hosts of tier rest failed, 2 tolerated"]


def test_a_host_of_an_earlier_tier_that_no_longer_runs_the_release_counts_for_that_tier():
    rollout, unused = failing(0)
    name = rollout.tier(1)[0]
    while rollout.state.remaining(2):
        rollout.patch(2)
    verdict = rollout.look(2, **{key(name): {"look": {"enabled": None}}})
    assert verdict["verdict"] == "stop" and f"of tier canary failed, 0 tolerated: {name}" in verdict["reasons"][0]


@pytest.mark.parametrize("look", [ALARM["look"], REBOOTED["look"]])
def test_what_a_canary_suffers_after_its_tier_is_done_is_evidence_and_no_stop(look):
    rollout, unused = failing(0)
    name = rollout.tier(1)[0]
    while rollout.state.remaining(2):
        rollout.patch(2)
    assert rollout.look(2, **{key(name): {"look": look}})["verdict"] == "pass"
    assert name in {**rollout.alarms(), **rollout.crashes()}


def test_a_host_counts_once_however_often_it_fails():
    rollout, unused = failing(1)
    while rollout.state.remaining(2):
        rollout.patch(2)
    name = next(iter(rollout.failures()))
    assert name not in rollout.state.patched()
    for unused2 in range(3):
        assert rollout.look(2, **{key(name): ALARM})["verdict"] == "pass"
    assert len(rollout.failures()) == 1


def test_a_later_look_finds_a_reboot_and_says_how_long_after_patching():
    rollout = Rollout(hosts(2), slice=2)
    rollout.patch(1)
    verdict = rollout.look(1, host_1={"look": {"boot_id": "other", "enabled": None, "uptime_seconds": 40}})
    assert "host-1 rebooted 60 s after patching (boot id changed)" in verdict["reasons"][0]


@pytest.mark.parametrize(
    "look, reason",
    [
        ({"unreachable": True, "boot_id": None}, "unreachable at livepatch_health"),
        ({"enabled": None}, "runs no livepatch instead of hotfix3"),
    ],
)
def test_a_later_look_that_goes_wrong_counts(look, reason):
    rollout = Rollout(hosts(2), slice=2)
    rollout.patch(1)
    assert rollout.look(1, host_2={"look": look})["failures"] == {"host-2": [reason]}


def test_a_patched_host_that_was_not_looked_at_after_the_soak_holds_the_rollout():
    rollout = Rollout(hosts(2), slice=2, tiers=[{"name": "all", "share": "100%", "soak": 60}])
    rollout.patch(1)
    verdict = rollout.look(1, names=["host-1"])
    assert verdict["reasons"] == ["hold: host-2 is not looked at since the soak of tier all ended"]
    assert 1 not in rollout.state.tiers_done
    assert rollout.look(1)["verdict"] == "pass"
    assert 1 in rollout.state.tiers_done


def test_a_host_of_the_slice_that_got_lost_on_the_way_counts_as_unreachable():
    rollout = Rollout(hosts(2), slice=2)
    rollout.begin(1)
    rollout.write(outcomes.of_slice(rollout.state, lambda name: {"package": {"unreachable": True}}, rollout.now))
    assert rollout.failures() == dict.fromkeys(hosts(2), "unreachable at livepatch_package")


def test_a_first_tier_in_which_no_host_has_a_build_stops_with_that_reason():
    rollout = Rollout(hosts(6), slice=1)
    first, second = rollout.state.remaining(1)
    assert rollout.patch(1, **{key(first): NO_BUILD})["verdict"] == "pass"
    verdict = rollout.patch(1, **{key(second): NO_BUILD})
    assert verdict["reasons"] == [
        "stop: no host of tier canary has a build of release hotfix3 (kernel releases 6.1.0-1)"
    ]


def test_a_tier_in_which_some_host_has_a_build_goes_on():
    rollout = Rollout(hosts(6), slice=2)
    assert rollout.patch(1, **{key(rollout.state.remaining(1)[0]): NO_BUILD})["verdict"] == "pass"
    assert rollout.look(1)["verdict"] == "pass"


def test_the_same_state_gives_the_same_verdict_and_a_stop_stays_a_stop():
    rollout, unused = failing(3)
    assert judge.judge(rollout.state, rollout.now, 2, 3) == judge.judge(rollout.state, rollout.now, 2, 3)
    assert judge.judge(rollout.state, rollout.now, 2)["verdict"] == "stop"


def test_a_message_about_many_failures_stays_short():
    rollout = Rollout(hosts(40), tiers=[{"name": "all", "share": "100%"}], slice=40)
    verdict = rollout.patch(1, **{key(name): LOST for name in hosts(40)})
    assert verdict["reasons"][0].count("unreachable") == 10 and verdict["reasons"][0].endswith("; and 30 more")


def test_the_table_shows_every_host_of_a_small_fleet():
    rollout = Rollout(hosts(3), {"host_3": None}, slice=2)
    rollout.patch(1, host_1=ALARM)
    lines = summary.table(summary.rows(rollout.state))
    assert [line.split() for line in sorted(lines)] == [
        ["host", "kernel", "release", "tier", "effective", "release", "outcome"],
        ["host-1", "6.1.0-1", "canary", "6.1.0-1-hotfix3", "alarmed"],
        ["host-2", "6.1.0-1", "canary", "6.1.0-1-hotfix3", "patched"],
        ["host-3", "-", "-", "-", "unreachable"],
    ]


def test_the_table_of_a_large_fleet_shows_the_hosts_that_need_a_person():
    rollout = Rollout(hosts(100), tiers=[{"name": "all", "share": "100%"}], slice=100)
    rollout.patch(1, host_7=ALARM)
    lines = summary.table(summary.rows(rollout.state))
    assert len(lines) == 3 and lines[1].startswith("host-7") and lines[2] == "(99 more hosts are in the journal)"


def test_the_table_of_a_large_fleet_in_good_health_is_one_line():
    rollout = Rollout(hosts(100), tiers=[{"name": "all", "share": "100%"}], slice=100)
    rollout.patch(1)
    assert summary.table(summary.rows(rollout.state)) == ["all 100 hosts are in the journal; none needs a person"]


def test_a_later_tier_in_which_no_host_has_a_build_goes_on():
    rollout = Rollout(hosts(4), slice=2)
    rollout.patch(1)
    rollout.look(1)
    verdict = rollout.patch(2, **{key(name): NO_BUILD for name in rollout.state.remaining(2)})
    assert verdict["verdict"] == "pass" and judge.counts(rollout.state) == {"patched": 2, "not_applicable": 2}


def test_a_first_tier_that_has_lost_all_its_hosts_before_they_were_patched_is_no_pass():
    rollout = Rollout(hosts(6))
    lost = {name.replace("-", "_"): None for name in rollout.tier(1)}
    rollout.open(**lost)
    verdict = rollout.look(1)
    assert verdict["verdict"] == "stop"
    assert "no host of tier canary is left that runs the release" in verdict["reasons"][0]
