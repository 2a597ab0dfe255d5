# Tests of what random rollouts have found, each as small as it can be.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later


from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import outcomes

from tests.unit.plugin_utils.rollouts import Rollout, good, hosts

UNCHANGED = {"package": {"changed": False, "outcome": "present"}, "apply": {"changed": False, "before": {"enabled": "hotfix3"}}}


def outcome(rollout, name):
    return rollout.state.hosts[name].outcome["outcome"]


def close(rollout, **steps):
    rollout.now += 10
    rollout.write(outcomes.of_slice(rollout.state, lambda name: good(name, **steps), rollout.now))


def test_what_a_dead_controller_had_brought_in_is_this_rollouts_though_the_next_run_finds_nothing_to_change():
    rollout = Rollout(hosts(2))
    unused, names = rollout.begin(1)
    rollout.open(**{name.replace("-", "_"): {"enabled": "hotfix3"} for name in names})
    rollout.begin(1)
    close(rollout, **UNCHANGED)
    assert {outcome(rollout, name) for name in names} == {"patched"}
    assert set(rollout.state.to_roll_back()) == set(names)


def test_under_report_only_a_first_tier_without_a_build_lets_the_next_one_begin():
    rollout = Rollout(hosts(4), rules=rules.parse({"report_only": True}))
    none = {"package": {"changed": False, "outcome": "not_applicable", "package": None}, "apply": {"skipped": True}}
    rollout.begin(1)
    close(rollout, **none)
    rollout.begin(1)
    close(rollout, **none)
    assert rollout.judge(1, 2)["verdict"] == "pass"
    rollout.look(1)
    rollout.begin(2)
    assert rollout.state.last_slice["tier"] == 2


def test_a_livepatch_whose_name_is_known_only_once_it_runs_is_known_by_it_in_the_next_round():
    names = hosts(2)
    vendor = {name.replace("-", "_"): {"os_family_ids": ["amzn"]} for name in names}
    rollout = Rollout(names, vendor, release="1.0-2")
    assert rollout.state.hosts["host-1"].livepatch is None
    rollout.begin(1)
    close(rollout, apply={"name": "livepatch_1_0_2"}, look={"enabled": "livepatch_1_0_2"})
    rollout.begin(1)
    close(rollout, apply={"name": "livepatch_1_0_2"}, look={"enabled": "livepatch_1_0_2"})
    rollout.look(1, [])
    rollout.write([{"kind": "tier_done", "tier": 1}, {"kind": "end", "result": "complete"}])
    runs = {name.replace("-", "_"): {"os_family_ids": ["amzn"], "enabled": "livepatch_1_0_2"} for name in names}
    assert rollout.open(**runs) == []


def test_a_patched_host_that_nobody_has_looked_at_in_its_slice_holds_its_tier_until_somebody_does():
    rollout = Rollout(hosts(2), tiers=[{"name": "all", "share": "100%"}], slice="100%")
    rollout.begin(1)
    close(rollout, look={"skipped": True})
    assert rollout.look(1, [], after=0)["verdict"] == "hold"
    assert rollout.look(1)["verdict"] == "pass"


def test_a_waiting_host_whose_livepatch_somebody_has_changed_between_two_runs_is_no_control_host_any_more():
    names = hosts(4)
    vendor = {name.replace("-", "_"): {"os_family_ids": ["amzn"]} for name in names}
    rollout = Rollout(names, vendor, release="1.0-2")
    rollout.patch(1)
    rollout.look(1)
    waiting = rollout.state.remaining(2)[0]
    assert rollout.state.hosts[waiting].arm == "control"
    changed = {key: dict(value, enabled="some_fix") if key == waiting.replace("-", "_") else value for key, value in vendor.items()}
    rollout.open(**changed)
    assert rollout.state.hosts[waiting].arm == ""


def test_another_machine_that_answers_the_first_look_at_a_host_is_told_by_its_uptime():
    rollout = Rollout(hosts(4), rules=rules.parse({"control_hosts": 5}))
    rollout.patch(1)
    rollout.patch(1)
    waiting = rollout.state.remaining(2)[0]
    rollout.look(1, [waiting], **{waiting.replace("-", "_"): {"look": {"boot_id": "elsewhere", "uptime_seconds": 1e6}}})
    assert "another machine answers" in rollout.state.hosts[waiting].blind[1]
    assert rollout.state.hosts[waiting].boot_id == f"boot-{waiting}"


def test_a_host_that_was_gone_at_a_rollback_and_is_back_goes_back_to_what_it_had_before_the_rollout():
    rollout = Rollout(hosts(2), tiers=[{"name": "all", "share": "100%"}], slice="100%")
    rollout.patch(1)
    rollout.write([{"kind": "rollback", "hosts": hosts(2), "reason": "asked for"}])
    rollout.write(outcomes.of_rollback(rollout.state, ["host-1"], lambda name: {}, inventory={"host-2"}))
    assert rollout.state.to_roll_back() == ["host-2"]
    assert set(rollout.state.to_roll_back({"host-1"})) == {"host-1", "host-2"}
    assert rollout.state.before["host-1"]["enabled"] is None


def test_a_look_without_a_boot_id_tells_nothing():
    assert "no boot id" in outcomes.look_entry(Rollout(hosts(1)).state.hosts["host-1"], {"skipped": True})["error"]
    assert "no boot id" in outcomes.look_entry(Rollout(hosts(1)).state.hosts["host-1"], {"boot_id": None, "enabled": "hotfix3"})["error"]


def test_a_slice_that_ends_says_nothing_of_hosts_that_a_dead_controller_had_begun_in_another():
    rollout = Rollout(hosts(4))
    rollout.patch(1)
    rollout.patch(1)
    rollout.look(1)
    unused, begun = rollout.begin(2)
    again = rollout.state.tier_hosts(1)[0].name
    failed = dict(rollout.state.hosts[again].outcome, outcome="failed", reason="x")
    rollout.write([failed, {"kind": "retry", "user": "ann", "reason": "mended", "forgets": False}])
    rollout.begin(1, [again])
    close(rollout)
    assert rollout.state.hosts[again].done and not rollout.state.hosts[begun[0]].done


def test_what_runs_is_compared_with_what_a_host_had_before_the_rollout_and_not_with_what_a_resume_found_there():
    vendor = {"host_1": {"os_family_ids": ["amzn"]}}
    rollout = Rollout(["host-1"], vendor, release="1.0-2", tiers=[{"name": "all", "share": "100%"}])
    rollout.begin(1)
    close(rollout, apply={"failed": True, "msg": "MODULE FAILURE"}, look={"skipped": True})
    rollout.judge(1, 1)
    rollout.open(retry="it was killed", host_1={"os_family_ids": ["amzn"], "enabled": "livepatch_1_0_2"})
    rollout.begin(1)
    close(rollout, package={"outcome": "not_applicable"}, apply={"proven": False, "name": None}, look={"enabled": "livepatch_1_0_2"})
    assert outcome(rollout, "host-1") == "failed" and rollout.state.to_roll_back() == ["host-1"]


def test_what_a_rollout_brought_is_its_own_also_where_its_outcome_was_lost_and_the_rollback_failed_before_a_retry():
    rollout = Rollout(["host-1"], tiers=[{"name": "all", "share": "100%"}])
    rollout.begin(1)  # Its outcome was never written.
    rollout.write([{"kind": "rollback", "hosts": ["host-1"], "reason": "asked for"}])
    rollout.write(outcomes.of_rollback(rollout.state, ["host-1"], lambda name: {"unreachable": True}))
    rollout.open(retry="it is back", host_1={"enabled": "hotfix3"})
    rollout.begin(1)
    close(rollout, **UNCHANGED)
    assert outcome(rollout, "host-1") == "patched"
    assert rollout.state.to_roll_back() == ["host-1"] and rollout.state.before["host-1"]["enabled"] is None
