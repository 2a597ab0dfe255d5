# Tests of whole rollouts in memory: plan, resume, stop, retry, new rounds.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import shlex
from dataclasses import asdict

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages, summary
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import answers as told
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import fleet, outcomes, schedule

from tests.unit.plugin_utils.rollouts import OUT, REBOOTED, Rollout, good, hosts, raw


def outcome(rollout, name):
    return rollout.outcome(name)


def canary(rollout):
    return rollout.tier(1)


def key(name):
    return name.replace("-", "_")


def finished(count=6):
    rollout = Rollout(hosts(count))
    for tier in (1, 2):
        while rollout.state.remaining(tier):
            assert rollout.patch(tier)["verdict"] == "pass"
        assert rollout.look(tier)["verdict"] == "pass"
    rollout.write([{"kind": "end", "result": "complete"}])
    return rollout


def test_a_good_rollout_passes_every_gate_and_ends_with_all_hosts_patched():
    rollout = finished()
    assert judge.counts(rollout.state) == {"patched": 6}
    assert [row["effective_release"] for row in summary.rows(rollout.state)] == ["6.1.0-1-hotfix3"] * 6
    assert summary.summary(rollout.state, "/j/web.jsonl")["result"] == "complete"


def test_hosts_that_run_the_release_or_cannot_are_counted_and_not_planned():
    rollout = Rollout(hosts(6), {"host_1": {"enabled": "hotfix3"}, "host_2": {"supported": False}, "host_3": None})
    assert set(rollout.state.hosts) == {"host-4", "host-5", "host-6"}
    assert judge.counts(rollout.state) == {"already": 1, "unsupported": 1, "unreachable": 1, "untouched": 3}
    assert "not in the plan: 1 already, 1 unreachable, 1 unsupported" in rollout.notes


KSPLICE = {"name": "ksplice", "active": True, "effective_release": "6.1.0-2"}


@pytest.mark.parametrize(
    "engine, policy, planned",
    [(KSPLICE, None, False), (KSPLICE, "ignore", True), (dict(KSPLICE, active=None), None, True)],
)
def test_a_host_whose_kernel_another_engine_has_changed_is_left_out_unless_it_may_be_there(engine, policy, planned):
    found = raw(["host-1"], host_1={"engines": [engine]})
    expected = None if planned else ("unsupported", "ksplice has changed its kernel: two engines must not change one")
    assert fleet.survey(found, "hotfix3", other_engines=policy)["host-1"]["problem"] == expected
    found["host-1"]["other_engines"] = policy
    assert fleet.survey(found, "hotfix3")["host-1"]["problem"] == expected


def test_an_engine_that_comes_after_a_host_was_patched_takes_nothing_from_it_at_a_resume():
    rollout = Rollout(hosts(4), slice=1)
    assert rollout.patch(1)["verdict"] == "pass"
    unused, (begun,) = rollout.begin(1)
    (done,) = rollout.state.patched()
    changed = {key(name): {"engines": [KSPLICE]} for name in (done, begun)}
    changed[key(done)]["transition"] = {"livepatch": "hotfix3", "direction": "patching"}
    rollout.open(**changed)
    assert outcome(rollout, done) == "patched" and begun in rollout.state.remaining(1) and not rollout.failures()


def test_rack_0_is_a_rack_and_only_a_host_of_which_nothing_was_said_has_no_failure_domain():
    found = raw(hosts(3))
    found["host-1"].update(domain=0, cohort=0)
    found["host-2"].update(domain="r1\n", cohort=None)
    seen = fleet.survey(found, "hotfix3")
    assert [(host["domain"], host["cohort"]) for host in seen.values()] == [("0", "0"), ("r1 ", "6.1.0-1"), ("", "6.1.0-1")]


def test_the_plan_says_how_many_hosts_booted_too_lately_for_the_first_tier_and_an_uptime_that_is_odd_is_a_failure():
    first = Rollout(hosts(20)).tier(1)
    found = Rollout(hosts(20), {key(first[0]): {"uptime_seconds": 60}})
    assert "1 host has been up for less than 24 h: another of its cohort is in the first tier instead" in found.notes
    assert set(first) - set(found.tier(1)) == {first[0]} and len(found.tier(1)) == 2
    odd = fleet.survey(raw(hosts(1), host_1={"uptime_seconds": "long"}), "hotfix3")["host-1"]["problem"]
    assert odd[0] == "failed" and "uptime_seconds is 'long': expected a number" in odd[1]


def test_a_host_whose_variables_cannot_be_filled_in_is_left_out_and_named():
    found = raw(hosts(2))
    found["host-1"]["odd"] = "livepatch_domain cannot be filled in: 'rack' is undefined"
    seen = fleet.survey(found, "hotfix3")
    assert seen["host-1"]["problem"] == ("failed", "livepatch_domain cannot be filled in: 'rack' is undefined")
    assert seen["host-2"]["problem"] is None


def kept(rollout, tier=1):
    return list(schedule.to_keep(rollout.state, tier))


def persisted(rollout, *names, **failed):
    rollout.write([{"kind": "persisted", "hosts": list(names), "failed": {key.replace("_", "-"): why for key, why in failed.items()}}])


def test_hosts_of_a_tier_are_asked_once_to_keep_the_livepatch_over_reboots_and_only_while_they_run_it():
    rollout = finished(4)
    first, second = canary(rollout)
    assert kept(rollout) == [first, second]
    persisted(rollout, first, **{key(second): "nobody may write to /etc"})
    assert kept(rollout) == [] and len(kept(rollout, 2)) == 2
    line = f"{second} is without the livepatch after the next boot: nobody may write to /etc"
    assert line in messages.status_lines(rollout.state, "/j")

    rollout.open(**{key(second): {"enabled": None, "boot_id": "other"}})
    assert rollout.state.rounds == 2 and line not in messages.status_lines(rollout.state, "/j"), "it is planned anew"
    assert list(rollout.state.hosts) == [second]
    assert rollout.patch(1)["verdict"] == "pass" and kept(rollout) == [second]
    persisted(rollout, second)
    assert not kept(rollout) and not any("next boot" in line for line in messages.status_lines(rollout.state, "/j"))


def test_a_host_that_failed_in_a_former_round_is_kept_and_rolled_back_by_what_this_round_did():
    rollout = Rollout(hosts(4), slice="100%")
    rollout.patch(1)
    rollout.look(1)
    bad = rollout.state.remaining(2)[0]
    rollout.patch(2, **{key(bad): {"apply": {"failed": True, "name": None, "proven": False}, "look": {"enabled": None}}})
    rollout.look(2)
    rollout.write([{"kind": "end", "result": "complete"}])
    assert outcome(rollout, bad) == "failed"
    rollout.open()
    assert rollout.state.rounds == 2 and list(rollout.state.hosts) == [bad]
    rollout.patch(1)
    assert kept(rollout) == [bad]
    row = next(row for row in schedule.to_roll_back(rollout.state) if row["host"] == bad)
    assert (row["outcome"], row["livepatch"], row["reason"]) == ("patched", "hotfix3", "")


def test_who_cannot_keep_the_livepatch_is_told_in_later_rounds_too():
    rollout = finished(4)
    persisted(rollout, host_1="no systemd")
    rollout.names.append("host-5")
    rollout.open(host_2={"enabled": "hotfix3"})
    assert rollout.state.rounds == 2
    assert any(line.startswith("host-1 is without") for line in messages.status_lines(rollout.state, "/j"))


def test_reasons_without_number_are_cut_and_counted():
    lines = messages.not_persistent_lines({f"h{number}": f"reason {number}" for number in range(12)})
    assert len(lines) == 11 and lines[-1] == "and 2 more reasons, in the journal"


def test_nobody_keeps_what_was_stopped():
    rollout = Rollout(hosts(6), slice="100%")
    rollout.patch(1)
    assert rollout.look(1)["verdict"] == "pass" and len(kept(rollout)) == 2
    rollout.patch(2, **{key(name): {"apply": {"failed": True, "msg": "no"}} for name in rollout.state.remaining(2)})
    assert rollout.state.stop and kept(rollout) == []


def test_a_host_whose_transition_to_the_release_still_runs_is_planned():
    rollout = Rollout(hosts(2), {"host_1": {"enabled": "hotfix3", "transition": {"livepatch": "hotfix3"}}})
    assert "host-1" in rollout.state.hosts


def test_two_names_for_one_machine_are_refused_and_both_named():
    with pytest.raises(RolloutError, match="host-1 and host-3 are one machine"):
        Rollout(hosts(3), {"host_3": {"boot_id": "boot-host-1"}})


@pytest.mark.parametrize(
    "changed", [{"host_1": None, "host_2": None}, {"host_1": {"supported": False}, "host_2": None}]
)
def test_a_fleet_of_which_no_host_can_be_patched_is_refused_with_the_counts(changed):
    with pytest.raises(RolloutError, match="None of the 2 hosts can be patched: .*unreachable"):
        Rollout(hosts(2), changed)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tiers": []}, "at least one tier"),
        ({"slice": "0"}, "livepatch_slice is 0"),
        ({"slice": "x"}, "livepatch_slice is 'x'"),
        ({"max_failures": "200%"}, "max_failures is '200%'"),
    ],
)
def test_bad_options_are_refused_before_anything_is_planned(options, message):
    with pytest.raises(RolloutError, match=message):
        Rollout(hosts(2), **options)


def test_a_resume_reads_the_plan_and_leaves_only_what_is_not_done():
    rollout = Rollout(hosts(6))
    before = list(rollout.state.hosts)
    rollout.patch(1)
    (done,) = rollout.state.patched()
    rollout.open()
    assert list(rollout.state.hosts) == before
    left = [name for name in before if name != done]
    assert schedule.to_patch(rollout.state, 1) == (left[:1], [1])
    assert schedule.to_patch(rollout.state, 2) == (left, [1, 2, 2])
    assert rollout.state.runs == 2


def test_a_rollout_that_is_done_has_no_hosts_left_but_a_serial():
    assert schedule.to_patch(finished().state, 2) == ([], [1])


def test_other_tiers_at_a_resume_do_not_change_the_plan_and_this_is_said():
    rollout = Rollout(hosts(6))
    rollout.open(options={"tiers": [{"name": "all", "share": "100%"}], "max_failures": 5})
    assert [tier["name"] for tier in rollout.state.tiers] == ["canary", "rest"]
    (said,) = [note for note in rollout.notes if "tiers" in note]
    assert said == (
        "given otherwise than when the plan was made, and not taken: tiers, max_failures. What the journal says is kept; "
        "a new plan takes another livepatch_rollout"
    )
    rollout.open()
    assert not any("given otherwise" in note for note in rollout.notes)


def test_a_plan_that_was_not_finished_is_made_anew():
    rollout = Rollout(hosts(6), tiers=[{"name": "all", "share": "100%"}])
    rollout.entries = rollout.entries[:-1]
    rollout.open(options={"seed": 99})
    assert rollout.state.seed == "99" and len(rollout.state.tiers) == 1 and len(rollout.state.hosts) == 6


def test_a_journal_of_another_release_is_refused():
    with pytest.raises(RolloutError, match="is of release hotfix3, not hotfix4"):
        Rollout(hosts(2)).open(options={"release": "hotfix4"})


def test_a_journal_of_another_fleet_is_refused():
    rollout = Rollout(hosts(4))
    rollout.names = ["other"]
    with pytest.raises(RolloutError, match="of another fleet: none of its 4 hosts is among the hosts of this run"):
        rollout.open()


def test_hosts_that_left_the_inventory_end_no_rollout_they_are_named_and_whoever_is_patched_of_them_is_silent():
    rollout = Rollout(hosts(8), slice=2)
    rollout.patch(1)
    rollout.look(1)
    rollout.patch(2)
    done = rollout.state.patched()[-1]
    waits = rollout.state.remaining(2)[-1]
    rollout.names = [name for name in rollout.names if name not in (done, waits)]
    rollout.open()
    gone = " and ".join(sorted([done, waits], key=list(rollout.state.hosts).index)).replace(" and ", ", ")
    assert f"{gone} are not among the hosts of this run any more: those that were patched are silent" in rollout.notes
    assert rollout.state.hosts[done].lost == rollout.now and rollout.outcome(done) == "patched"
    assert rollout.state.excluded[waits]["reason"] == "is not among the hosts of this run any more"
    verdict = rollout.look(2, **{key(done): {"look": {"unreachable": True}}})
    assert verdict["verdict"] == "hold" and f"{done} is patched and silent" in verdict["reasons"][0]


def test_a_host_that_left_the_inventory_is_no_reason_why_a_rollback_never_ends():
    rollout = finished()
    names = rollout.state.to_roll_back()
    left = [name for name in names if name != "host-2"]
    answers = dict.fromkeys(left, OUT)
    found = outcomes.of_rollback(rollout.state, names, answers.get, inventory=left)
    assert {entry["host"]: entry["outcome"] for entry in found} == {**dict.fromkeys(left, "rolled_back"), "host-2": "gone"}
    rollout.write(found)
    assert rollout.state.to_roll_back() == []


def test_a_new_host_waits_for_the_next_round():
    rollout = Rollout(hosts(4))
    rollout.names.append("host-5")
    rollout.open()
    assert "host-5" not in rollout.state.hosts
    assert any("1 hosts are new" in note for note in rollout.notes)


def test_a_done_host_that_rebooted_since_counts_as_failed_at_the_resume():
    rollout = Rollout(hosts(6))
    rollout.patch(1)
    (name,) = rollout.state.patched()
    rollout.open(**{key(name): {"boot_id": "new"}})
    assert outcome(rollout, name) == "rebooted"
    verdict = judge.judge(rollout.state, rollout.now)
    assert verdict["verdict"] == "stop" and f"{name} rebooted since it was patched" in verdict["reasons"][0]


def test_a_done_host_that_no_longer_runs_the_release_counts_as_failed_at_the_resume():
    rollout = Rollout(hosts(6))
    rollout.patch(1)
    (name,) = rollout.state.patched()
    rollout.open(**{key(name): {"enabled": None}})
    assert rollout.failures() == {name: "runs no livepatch instead of hotfix3"}


def test_a_done_host_that_is_well_is_not_written_again_at_the_resume():
    rollout = Rollout(hosts(6))
    rollout.patch(1)
    assert [entry["kind"] for entry in rollout.open()] == ["run"]


def test_a_host_whose_controller_was_killed_is_done_again_and_remembers_what_it_had():
    rollout = Rollout(hosts(6), {key(name): {"enabled": "hotfix2"} for name in hosts(6)})
    unused, names = rollout.begin(1)
    rollout.open(**{key(name): {"enabled": "hotfix3"} for name in hosts(6)})
    assert rollout.state.remaining(1)[0] == names[0]
    idle = {
        "package": {"changed": False, "outcome": "already_installed"},
        "apply": {"changed": False, "before": {"enabled": "hotfix3"}},
    }
    rollout.patch(1, **{key(names[0]): idle})
    entry = rollout.state.hosts[names[0]].outcome
    assert (entry["outcome"], entry["enabled_before"]) == ("patched", "hotfix2")
    assert names[0] in rollout.state.to_roll_back()


def test_a_host_that_ran_the_release_before_its_slice_came_is_already():
    rollout = Rollout(hosts(2))
    idle = {"package": {"changed": False, "outcome": "already_installed"}, "apply": {"changed": False}}
    rollout.patch(1, host_1=idle, host_2=idle)
    assert set(judge.counts(rollout.state)) <= {"already", "untouched"} and rollout.state.to_roll_back() == []


def test_a_begun_host_that_came_back_with_another_boot_id_counts_as_rebooted():
    rollout = Rollout(hosts(6))
    unused, names = rollout.begin(1)
    rollout.open(**{key(names[0]): {"boot_id": "new"}})
    assert outcome(rollout, names[0]) == "rebooted"
    assert judge.judge(rollout.state, rollout.now)["verdict"] == "stop"


def test_a_begun_host_that_did_not_come_back_counts_as_unreachable():
    rollout = Rollout(hosts(6))
    unused, names = rollout.begin(1)
    rollout.open(**{key(names[0]): None})
    assert outcome(rollout, names[0]) == "unreachable"


def test_an_untouched_host_may_reboot_go_and_come_back_without_blame():
    rollout = Rollout(hosts(6))
    name = rollout.tier(2)[0]
    rollout.open(**{key(name): {"boot_id": "new"}})
    assert rollout.state.hosts[name].boot_id == "new" and not rollout.failures()
    rollout.open(**{key(name): None})
    assert name not in rollout.state.remaining(2) and rollout.state.excluded[name]["outcome"] == "unreachable"
    rollout.open()
    assert name in rollout.state.remaining(2) and not rollout.failures()


def test_a_host_excluded_at_a_resume_stays_in_the_summary_once():
    rollout = Rollout(hosts(6))
    name = rollout.tier(2)[0]
    rollout.open(**{key(name): None})
    assert [row["outcome"] for row in summary.rows(rollout.state) if row["host"] == name] == ["unreachable"]
    assert sum(judge.counts(rollout.state).values()) == 6


def stopped():
    rollout = Rollout(hosts(6), tiers=[{"name": "canary", "hosts": 2}, {"name": "rest", "share": "100%"}], slice=2)
    name = rollout.state.remaining(1)[0]
    assert rollout.patch(1, **{key(name): REBOOTED})["verdict"] == "stop"
    return rollout, name


def test_a_stopped_rollout_adds_nothing_when_it_is_run_again():
    rollout, unused = stopped()
    assert rollout.open() == []
    assert rollout.state.stop


def test_the_stop_message_names_hosts_reasons_and_the_two_commands():
    rollout, name = stopped()
    lines = messages.stop_message(rollout.state, "/var/lib/lp/web.jsonl").split("\n")
    assert lines[0] == "The rollout web of release hotfix3 was stopped after tier canary, slice 1; 4 hosts left untouched."
    assert lines[1] == (
        f"stop: 1 of 2 hosts of tier canary failed, 0 tolerated: {name} rebooted 8 s after its slice began (boot id changed)"
    )
    command = "ansible-playbook {} -i site -e livepatch_release=hotfix3 -e livepatch_rollout=web -e livepatch_journal_dir=/var/lib/lp"
    assert lines[2] == f"To roll back what it touched (2 hosts): {command.format('kernel.livepatch.rollback')}"
    assert lines[3].endswith(command.format("kernel.livepatch.rollout") + " -e 'livepatch_retry=\"REASON\"'")


def test_the_command_to_go_on_names_the_playbook_that_was_run_and_survives_spaces():
    state = stopped()[0].state
    state.last_run = dict(state.last_run, playbook="our rollout.yml")
    words = shlex.split(messages.command(state, "/a b/web.jsonl", None, livepatch_retry="REASON"))
    assert words[1] == "our rollout.yml"
    assert 'livepatch_journal_dir="/a b"' in words
    assert 'livepatch_retry="REASON"' in words


def test_a_retry_says_who_gave_which_reason_and_how_many_hosts_are_tried_again():
    rollout, name = stopped()
    rollout.open(retry="the switch was it", **{key(name): {"enabled": "hotfix3"}})
    assert "retry by ann: the switch was it (1 hosts are tried again)" in rollout.notes


def test_a_retry_forgives_is_written_down_and_tries_the_failed_hosts_again():
    rollout, name = stopped()
    rollout.open(retry="firmware was bad", **{key(name): {"boot_id": "new"}})
    retry = next(entry for entry in rollout.entries if entry["kind"] == "retry")
    assert (retry["user"], retry["reason"]) == ("ann", "firmware was bad")
    assert not rollout.state.stop and rollout.state.remaining(1) == [name]
    fresh = {"look": {"boot_id": "new"}, "apply": {"since": {"boot_id": "new"}}}
    assert rollout.patch(1, **{key(name): fresh})["verdict"] == "pass"


def test_a_retry_takes_the_present_state_of_done_hosts_as_it_is():
    rollout, name = stopped()
    other = next(host for host in canary(rollout) if host != name)
    rollout.open(retry="power cut", **{key(name): {"boot_id": "new"}, key(other): {"boot_id": "new2"}})
    assert sorted(rollout.state.remaining(1)) == sorted([name, other])
    assert not rollout.failures()


def test_a_host_that_fails_again_after_a_retry_stops_the_rollout_again():
    rollout, name = stopped()
    rollout.open(retry="once more", **{key(name): {"boot_id": "new"}})
    assert (
        rollout.patch(1, **{key(name): {"apply": {"failed": True, "error": "vermagic", "msg": "other kernel"}}})[
            "verdict"
        ]
        == "stop"
    )
    assert outcome(rollout, name) == "failed"


def test_a_failed_host_that_is_to_be_tried_again_still_counts_as_touched():
    rollout, name = stopped()
    rollout.open(retry="once more", **{key(name): None})
    assert name in rollout.state.to_roll_back()
    assert name not in rollout.state.remaining(1)


def test_a_retry_of_a_rollout_that_never_failed_is_ignored_and_this_is_said():
    rollout = Rollout(hosts(4))
    rollout.open(retry="habit")
    assert not any(entry["kind"] == "retry" for entry in rollout.entries)
    assert any("livepatch_retry is ignored" in note for note in rollout.notes)


def test_a_plan_that_was_not_finished_and_was_rolled_back_is_made_anew_for_a_reason_alone():
    rollout = finished()
    rollout.write(rollout.entries[:2])  # A controller died while it planned a new round.
    assert rollout.state.tiers is None
    roll_back(rollout)
    assert rollout.open() == [] and rollout.state.tiers is None
    rollout.open(retry="mended")
    assert rollout.state.tiers and not rollout.state.rollback and rollout.state.retries == ["mended"]
    assert not any("livepatch_retry is ignored" in note for note in rollout.notes)


def test_rolled_back_hosts_are_patched_again_after_a_retry():
    rollout, name = stopped()
    names = [entry["host"] for entry in schedule.to_roll_back(rollout.state)]
    answers = dict.fromkeys(names, OUT)
    answers[name] = {"failed": True, "msg": "no answer"}
    rollout.write(outcomes.of_rollback(rollout.state, names, answers.get))
    assert sorted(outcome(rollout, host) for host in names) == ["rollback_failed", "rolled_back"]
    assert rollout.state.stop, "a rollback does not undo the verdict"
    assert rollout.state.to_roll_back() == [name]
    rollout.open(retry="fixed build", **{key(name): {"boot_id": "new"}})
    assert sorted(rollout.state.remaining(1)) == sorted(names)


def test_what_is_to_be_rolled_back_tells_what_each_host_had_before():
    rollout = Rollout(hosts(2))
    rollout.patch(1, host_1={"package": {"before": "hotfix-2-1"}, "apply": {"before": {"enabled": "hotfix2"}}})
    rollout.begin(1)
    found = {entry["host"]: entry for entry in schedule.to_roll_back(rollout.state)}
    if rollout.state.hosts["host-1"].done:
        assert (found["host-1"]["package_before"], found["host-1"]["enabled_before"]) == ("hotfix-2-1", "hotfix2")
    assert len(found) == 2, "a host that was begun may have been changed"


def test_a_host_that_a_retry_does_again_keeps_what_it_had_before_the_rollout():
    rollout = Rollout(hosts(4))
    name = canary(rollout)[0]
    had = {"package": {"before": "hotfix-2-1"}, "apply": {"before": {"enabled": "hotfix2"}}}
    rollout.patch(1, **{key(name): dict(had, look={"events": [{"kind": "warning", "text": "WARNING: a.c:1"}]})})
    assert outcome(rollout, name) == "alarmed"
    rollout.open(retry="known and harmless", **{key(name): {"enabled": "hotfix3"}})
    waiting = {entry["host"]: entry for entry in schedule.to_roll_back(rollout.state)}[name]
    assert (waiting["package_before"], waiting["enabled_before"]) == ("hotfix-2-1", "hotfix2")
    idle = {"package": {"changed": False}, "apply": {"changed": False, "before": {"enabled": "hotfix3"}}}
    assert rollout.patch(1, **{key(name): idle})["verdict"] == "pass"
    assert outcome(rollout, name) == "patched", "it is looked at again"
    done = {entry["host"]: entry for entry in schedule.to_roll_back(rollout.state)}[name]
    assert (done["package_before"], done["enabled_before"]) == ("hotfix-2-1", "hotfix2")


def test_a_host_whose_rollback_failed_stays_touched_after_a_retry():
    rollout, name = stopped()
    names = [entry["host"] for entry in schedule.to_roll_back(rollout.state)]
    rollout.write(outcomes.of_rollback(rollout.state, names, {host: {"failed": True} for host in names}.get))
    rollout.open(retry="fixed build", **{key(name): None})
    assert sorted(rollout.state.to_roll_back()) == sorted(names)


def test_a_rollback_takes_the_hosts_of_former_rounds_back_too():
    rollout = finished()
    rollout.names.append("host-7")
    rollout.open()
    rollout.patch(1)
    found = [entry["host"] for entry in schedule.to_roll_back(rollout.state)]
    assert sorted(found) == hosts(7) and found[0] == "host-7", "the latest first"
    rollout.write(outcomes.of_rollback(rollout.state, found, dict.fromkeys(found, OUT).get))
    assert schedule.to_roll_back(rollout.state) == []
    assert rollout.state_after({"kind": "retry", "reason": "again", "user": "ann"}).remaining(1) == ["host-7"]


def test_a_former_rounds_host_that_cannot_be_rolled_back_says_why_and_one_that_waits_again_goes_back_too():
    rollout = finished()
    rollout.open(host_1={"enabled": None, "boot_id": "new"})
    assert rollout.state.remaining(1) == ["host-1"], "planned anew, and not touched by this round"
    found = [entry["host"] for entry in schedule.to_roll_back(rollout.state)]
    assert sorted(found) == hosts(6)
    answers = dict.fromkeys(found, OUT)
    answers["host-2"] = {"failed": True, "msg": "no answer"}
    rollout.write(outcomes.of_rollback(rollout.state, found, answers.get))
    left, = schedule.to_roll_back(rollout.state)
    assert (left["host"], left["outcome"], left["reason"]) == ("host-2", "rollback_failed", "the rollback failed: no answer")
    assert left["enabled_before"] is None


def test_a_rollback_that_enabled_another_livepatch_than_before_has_failed():
    rollout = finished()
    found = outcomes.of_rollback(rollout.state, ["host-1"], {"host-1": {"changed": True, "name": "hotfix2"}}.get)
    assert (found[0]["outcome"], found[0]["reason"]) == ("rollback_failed", "runs hotfix2 instead of no livepatch")


@pytest.mark.parametrize(
    "had, answer, reason",
    [
        ("hotfix2", {"changed": True}, "runs nobody knows what instead of hotfix2"),
        ("hotfix2", {"changed": True, "name": None, "proven": True}, "runs nobody knows what instead of hotfix2"),
        ("hotfix2", {"changed": True, "name": "hotfix2"}, "it is not proven that it runs hotfix2"),
        (None, {"changed": True}, "it is not proven that it runs no livepatch"),
        (None, {"changed": True, "name": None, "proven": False}, "it is not proven that it runs no livepatch"),
        (None, {}, "the rollback did not run"),
    ],
)
def test_an_answer_that_does_not_prove_what_runs_now_is_no_rollback(had, answer, reason):
    rollout = Rollout(hosts(2), dict.fromkeys(("host_1", "host_2"), {"enabled": had}), tiers=[{"name": "all", "share": "100%"}], slice=2)
    rollout.patch(1, **dict.fromkeys(("host_1", "host_2"), {"apply": {"before": {"enabled": had}}}))
    assert rollout.state.before["host-1"]["enabled"] == had
    (entry,) = outcomes.of_rollback(rollout.state, ["host-1"], lambda name: told.result(answer))
    assert (entry["outcome"], entry["reason"]) == ("rollback_failed", reason)
    good_answer = {"changed": True, "name": had, "proven": True}
    assert outcomes.of_rollback(rollout.state, ["host-1"], lambda name: good_answer)[0]["outcome"] == "rolled_back"


@pytest.mark.parametrize(
    "answer, outcome, reason",
    [
        ({"changed": True, "name": None, "by": None}, "rolled_back", "with its next boot"),
        ({"changed": True, "name": "hotfix2", "by": "kpatch.service"}, "rollback_failed", "its next boot enables hotfix2"),
        ({"failed": True, "msg": "no room"}, "rollback_failed", "the rollback failed: no room"),
    ],
)
def test_a_host_that_goes_back_with_its_next_boot_is_rolled_back_where_that_boot_enables_nothing(answer, outcome, reason):
    rollout = finished()
    (entry,) = outcomes.of_rollback(rollout.state, ["host-1"], lambda name: told.result(answer))
    assert (entry["outcome"], entry["reason"]) == (outcome, reason)


def test_a_complete_rollout_with_nothing_left_writes_nothing():
    rollout = finished()
    assert rollout.open() == []
    assert "nothing is left to do" in rollout.notes[0]


def test_a_complete_rollout_plans_a_new_round_for_hosts_that_lack_the_release():
    rollout = finished()
    rollout.names.append("host-7")
    rollout.open()
    assert list(rollout.state.hosts) == ["host-7"] and rollout.state.rounds == 2
    assert judge.counts(rollout.state) == {"already": 6, "untouched": 1}


def test_the_soak_goes_on_where_it_was_after_a_resume():
    rollout = Rollout(hosts(4), tiers=[{"name": "canary", "hosts": 2, "soak": "1h"}, {"name": "rest", "share": "100%"}])
    assert schedule.soak_left(rollout.state, 1, rollout.now) == 3600
    rollout.write([{"kind": "soak", "tier": 1, "until": "1970-01-12T13:46:41.000Z"}])
    assert schedule.soak_left(rollout.state, 1, 1000000) == 1
    assert schedule.soak_left(rollout.state, 1, 1000099) == 0


def test_the_state_is_the_same_however_the_entries_come_in():
    from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states

    rollout, unused = stopped()
    for cut in range(len(rollout.entries)):
        halves = states.advance(states.state(rollout.entries[:cut]), rollout.entries[cut:])
        assert asdict(halves) == asdict(rollout.state)


def test_a_journal_cut_off_anywhere_can_be_resumed():
    whole = finished()
    for cut in range(1, len(whole.entries)):
        rollout = Rollout(hosts(6))
        rollout.entries = whole.entries[:cut]
        rollout.open()
        for tier in (1, 2):
            while rollout.state.remaining(tier):
                assert rollout.patch(tier)["verdict"] == "pass"
            assert rollout.look(tier)["verdict"] == "pass"
        assert judge.counts(rollout.state) == {"patched": 6}


@pytest.mark.parametrize(
    "entry",
    [{"kind": "slice"}, {"kind": "outcome", "host": "x"}, {"kind": "rollout"}, {"kind": "soak", "tier": 1, "until": 5}],
)
def test_an_entry_that_lacks_something_is_a_clear_error(entry):
    with pytest.raises(RolloutError, match="cannot be understood .* expected what this collection writes"):
        Rollout(hosts(2)).state_after(entry)


def test_an_entry_of_an_unknown_kind_is_passed_over():
    assert asdict(Rollout(hosts(2)).state_after({"kind": "weather"})) == asdict(Rollout(hosts(2)).state)


def test_good_results_are_what_the_other_tests_take_them_for():
    rollout = Rollout(hosts(2))
    rollout.begin(1)
    found = outcomes.of_slice(rollout.state, good, rollout.now)
    assert [entry["kind"] for entry in found] == ["outcome", "look"] and found[0]["outcome"] == "patched"


def test_a_package_that_a_dead_controller_had_installed_already_is_not_taken_for_the_one_before():
    rollout = Rollout(hosts(2))
    rollout.patch(1, host_1={"package": {"changed": False, "before": "hotfix-3-1.x86_64"}})
    rollout.patch(1, host_1={"package": {"changed": False, "before": "hotfix-3-1.x86_64"}})
    found = {entry["host"]: entry for entry in schedule.to_roll_back(rollout.state)}
    assert found["host-1"]["package"] == "hotfix-3-1.x86_64" and found["host-1"]["package_before"] is None


def test_a_patched_host_is_looked_at_from_where_the_last_look_ended_and_nobody_after_a_stop():
    rollout = Rollout(hosts(2))
    rollout.patch(1)
    first = rollout.state.patched()[0]
    assert schedule.to_look_at(rollout.state) == [first]
    assert schedule.since(rollout.state.hosts[first]) == {"boot_id": f"boot-{first}", "sequence": 9, "time": None}
    rollout.patch(1, **{key(name): REBOOTED for name in rollout.names if name != first})
    assert rollout.state.stop and schedule.to_look_at(rollout.state) == []


def roll_back(rollout, **failed):
    """Roll back all that was touched but those (name with _ for -) that failed, as the playbook does."""
    names = rollout.state.to_roll_back()
    rollout.write([{"kind": "rollback", "hosts": names, "reason": "oops"}])
    answers = {name: {**OUT, **failed.get(key(name), {})} for name in names}
    rollout.write(outcomes.of_rollback(rollout.state, names, answers.get))
    rollout.write([] if rollout.state.to_roll_back() else [{"kind": "end", "result": "rolled_back"}])


def test_a_rollback_of_a_complete_rollout_is_undone_by_a_retry_with_a_reason_alone_which_begins_with_the_first_tier():
    rollout = finished()
    names = rollout.names
    roll_back(rollout)
    assert rollout.open() == [] and summary.result(rollout.state) == "rolled_back"
    assert "Nobody is patched until a person says why it goes on" in messages.rolled_back_message(rollout.state, "/j/web.jsonl")
    assert rollout.state.shut(1, names[:1]) == "its rollback has begun"
    rollout.open(retry="a fixed build", **{key(name): {"enabled": None} for name in names})
    assert schedule.to_patch(rollout.state, 2) == (list(rollout.state.hosts), [1, 1, 2, 2])
    with pytest.raises(RolloutError, match="tier canary has not passed"):
        rollout.begin(2)
    for tier in (1, 2):
        while rollout.state.remaining(tier):
            assert rollout.patch(tier)["verdict"] == "pass"
        assert rollout.look(tier)["verdict"] == "pass"
    assert judge.counts(rollout.state) == {"patched": 6}


@pytest.mark.parametrize("ended", [True, False], ids=["one host could not go back", "its controller died"])
def test_a_rollout_whose_rollback_is_not_done_patches_nobody_when_it_is_run_again(ended):
    rollout = Rollout(hosts(6), tiers=[{"name": "canary", "hosts": 2, "soak": 3600}, {"name": "rest", "share": "100%"}], slice=2)
    rollout.patch(1)
    rollout.look(1)
    first, second = canary(rollout)
    if ended:
        roll_back(rollout, **{key(second): {"unreachable": True}})
        assert (rollout.outcome(first), rollout.outcome(second)) == ("rolled_back", "rollback_failed")
    else:
        rollout.write([{"kind": "rollback", "hosts": [first, second], "reason": "oops"}])
    before = list(rollout.entries)
    assert rollout.open(**{key(first): {"enabled": None}}) == [] and rollout.entries == before
    for tier, names in ((1, [first]), (2, [host.name for host in rollout.state.tier_hosts(2)])):
        assert rollout.state.shut(tier, names) == "its rollback has begun"


def test_a_tier_of_which_no_host_runs_the_release_any_more_has_not_passed():
    rollout = Rollout(hosts(6), slice=2)
    rollout.patch(1)
    names = canary(rollout)
    rollout.write(outcomes.of_rollback(rollout.state, names, lambda name: OUT))
    verdict = rollout.look(1)
    assert verdict["verdict"] == "stop" and "no host of tier canary is left that runs the release" in verdict["reasons"][0]
    assert 1 not in rollout.state.tiers_done
