# Tests of the two arms: who is watched how long, what counts once, what a silent host is, and whom to compare with.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import random

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import arms, findings, judge, rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import outcomes, schedule
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states

from tests.unit.plugin_utils.rollouts import REBOOTED, Rollout, hosts

TIERS = [
    {"name": "canary", "hosts": 2},
    {"name": "rest", "share": "50%", "soak": "4h"},
    {"name": "all", "share": "100%"},
]
LOST = {"look": {"unreachable": True, "boot_id": None, "sequence": None}}


def rollout(count=12, **options):
    return Rollout(hosts(count), **{"tiers": TIERS, "slice": "100%", "rules": rules.parse({}), **options})


def key(name):
    return name.replace("-", "_")


def crashed(after):
    """A look at a host that booted `after` seconds before it."""
    return {"look": {"boot_id": "other", "rebooted": True, "enabled": None, "uptime_seconds": after}}


def in_second_tier(**options):
    """A rollout whose second tier is patched, all hosts looked at once."""
    found = rollout(**options)
    found.patch(1)
    assert found.look(1)["verdict"] == "pass"
    while found.state.remaining(2):
        found.patch(2)
    found.look(2)
    return found


def tally(found):
    return arms.tally(found.state, found.now, "crash")


def test_a_host_is_on_the_control_arm_until_its_slice_begins_and_on_the_other_afterwards():
    found = rollout(4, tiers=TIERS[::2])
    begin = found.now
    found.patch(1)
    found.look(1, after=3600)
    both = tally(found)
    patched = len(found.watched()) * (found.now - begin) / 3600
    assert both.total("patched") == pytest.approx(patched)
    assert both.total("control") == pytest.approx((found.now - begin) * 2 / 3600)
    found.patch(2)
    assert tally(found).total("control") == pytest.approx(
        (found.now - 10 - begin) * 2 / 3600
    ), "its time as control stays"


def test_a_host_that_crashes_counts_once_and_is_watched_no_longer():
    found = in_second_tier()
    victim = found.tier(2)[0]
    patched_at = found.state.hosts[victim].patched[0]
    found.look(2, after=1800, **{key(victim): crashed(600)})
    moment = found.now - 600
    assert found.crashes()[victim][0] == pytest.approx(moment)
    assert victim not in found.watched()
    before = tally(found)
    assert before.incidents == {"patched": 1, "control": 0}
    others = sum(found.now - found.state.hosts[name].patched[0] for name in found.watched())
    assert before.total("patched") == pytest.approx((others + moment - patched_at) / 3600)
    found.look(2, after=1800, **{key(victim): crashed(60)})
    assert tally(found).incidents["patched"] == 1


def test_a_control_host_that_crashes_counts_against_the_fleet_and_not_against_the_livepatch():
    found = in_second_tier()
    victim = found.waiting()[0]
    found.look(2, after=1800, **{key(victim): crashed(600)})
    both = tally(found)
    assert both.incidents == {"patched": 0, "control": 1}
    assert found.state.verdict["verdict"] == "pass"
    assert victim in found.state.remaining(3), "it is patched all the same"


def test_the_clock_of_a_host_does_not_matter_only_how_long_ago_it_says():
    found = in_second_tier()
    first, second = found.tier(2)[:2]
    event = {
        "kind": "warning",
        "time": "1999-01-01T00:00:00Z",
        "age_seconds": 30,
        "signature": "w",
        "text": "WARNING: at x",
    }
    future = dict(event, time="2199-01-01T00:00:00Z", age_seconds=0)
    found.look(2, **{key(first): {"look": {"events": [event]}}, key(second): {"look": {"events": [future]}}})
    assert found.alarms()[first][0] == found.now - 30
    assert found.alarms()[second][0] == found.now


def test_an_alarm_that_a_host_had_before_is_not_the_livepatchs():
    found = in_second_tier()
    name = found.tier(2)[0]
    known = {"kind": "warning", "age_seconds": 3, "signature": "w", "text": "WARNING: at x", "new": False}
    core = {"kind": "coredump", "age_seconds": 3, "signature": "coredump:cat", "text": "cat"}
    found.look(2, **{key(name): {"look": {"events": [known, core]}}})
    assert found.alarms() == {} and found.outcome(name) == "patched"


def test_a_silent_host_holds_the_rollout_and_counts_as_crashed_after_the_grace():
    found = in_second_tier()
    name = found.tier(2)[0]
    verdict = found.look(2, after=60, **{key(name): LOST})
    assert verdict["reasons"] == [
        f"hold: {name} is patched and silent: a host that does not answer for 15 min counts as crashed"
    ]
    since = found.now
    verdict = found.look(2, after=600, **{key(name): LOST})
    assert verdict["verdict"] == "hold" and found.outcome(name) == "patched"
    verdict = found.look(2, after=400, **{key(name): LOST})
    assert verdict["evidence"]["crashes"]["patched"]["incidents"] == 1
    assert found.state.hosts[name].lost == since
    assert found.state.hosts[name].outcome["reason"] == "did not answer for 17 min"


def test_a_silent_host_that_comes_back_as_it_was_has_not_crashed():
    found = in_second_tier()
    name = found.tier(2)[0]
    found.look(2, after=60, **{key(name): LOST})
    assert found.look(2, after=60)["verdict"] == "pass"
    assert found.crashes() == {} and tally(found).incidents["patched"] == 0


def test_control_hosts_that_fall_silent_count_like_patched_ones():
    found = in_second_tier()
    name = found.waiting()[0]
    found.look(2, after=60, **{key(name): LOST})
    found.look(2, after=1000, **{key(name): LOST})
    assert tally(found).incidents == {"patched": 0, "control": 1}


def test_crashes_of_one_failure_domain_in_one_bin_are_one_incident_and_hosts_without_a_domain_have_their_own():
    found = in_second_tier()
    names = found.tier(2)[:3]
    found.look(2, **{key(name): crashed(1) for name in names})
    assert tally(found).incidents["patched"] == 3
    state = states.state([dict(entry, domain="rack") if entry["kind"] == "host" else entry for entry in found.entries])
    assert arms.tally(state, found.now, "crash").incidents["patched"] == 1


def test_what_is_younger_than_the_report_lag_counts_on_neither_arm():
    found = in_second_tier(rules=rules.parse({"report_lag": "30m"}))
    found.look(2, after=3600, **{key(found.tier(2)[0]): crashed(60)})
    assert tally(found).incidents["patched"] == 0
    found.look(2, after=1800)
    assert tally(found).incidents["patched"] == 1


def test_evidence_begins_anew_with_a_retry():
    found = in_second_tier(count=60)
    found.look(2, after=1800, **{key(name): crashed(60) for name in found.tier(2)})
    assert found.state.stop
    found.open(retry="the power supply was it")
    both = tally(found)
    assert both.incidents == {"patched": 0, "control": 0} and both.total("patched") == 0


def test_the_sample_to_compare_with_are_the_hosts_that_are_patched_last_and_one_of_each_cohort():
    found = rollout(200, rules=rules.parse({"control_hosts": 20}))
    state = found.state
    for number, host in enumerate(state.waiting()):
        host.cohort = "rare" if number == 7 else f"kind {number % 3}"
    sample = arms.control_sample(state)
    assert len(sample) == 20
    assert {state.hosts[name].cohort for name in sample} == {"rare", "kind 0", "kind 1", "kind 2"}
    waiting = found.waiting()
    assert set(sample) - {waiting[7]} <= set(waiting[-22:])


def test_more_than_twenty_cohorts_are_taken_together_smallest_first():
    found = rollout(100)
    state = found.state
    for number, host in enumerate(state.hosts.values()):
        host.cohort = f"c{number % 30:02}"
    merged = arms.cohorts(state)
    assert len(set(merged.values())) == arms.MOST_COHORTS
    assert merged["c00"] == "c00" and merged["c29"] == ""


def test_without_anybody_to_compare_with_a_tier_is_held_until_one_was_looked_at():
    found = rollout()
    found.patch(1)
    patched = found.state.patched()
    verdict = found.look(1, names=patched)
    assert verdict["reasons"] == [
        "hold: none of the 10 hosts without the livepatch was looked at: there is nothing to compare with"
    ]
    assert found.look(1)["verdict"] == "pass"


def test_a_release_that_crashes_hosts_hours_later_is_stopped_and_the_reason_can_be_read():
    found = in_second_tier(count=200)
    names = found.tier(2)
    found.look(2, after=3600)
    verdict = found.look(2, after=3600, **{key(name): crashed(60) for name in names[:9]})
    assert verdict["verdict"] == "stop"
    assert verdict["reasons"][0].startswith("stop: 9 crashes on 100 patched hosts in 20")
    assert "a harmless livepatch would look this bad in fewer than 1 of " in verdict["reasons"][0]


def test_a_good_release_goes_on_although_hosts_of_both_arms_crash_now_and_then():
    found = in_second_tier(count=200)
    chance = random.Random(1)
    for unused in range(8):
        names = chance.sample([*found.watched(), *found.waiting()], 2)
        verdict = found.look(2, after=1800, **{key(name): crashed(60) for name in names})
        assert verdict["verdict"] != "stop"


def test_the_same_journal_gives_the_same_verdict():
    found = in_second_tier(count=60)
    found.look(2, after=3600, **{key(name): crashed(60) for name in found.tier(2)[:2]})
    again = states.state(found.entries)
    first, second = (judge.judge(state, found.now, 2) for state in (found.state, again))
    assert first == second
    assert {
        key: value for key, value in found.state.verdict.items() if key not in ("time", "run", "looked")
    } == first


def test_history_tells_how_likely_harm_would_have_been_seen():
    found = in_second_tier(count=200, rules=rules.parse({"history": {"crashes": 40, "hosts": 1000, "days": 14}}))
    found.look(2, after=3 * 3600)
    numbers = findings.evidence(found.state, found.now)["crashes"]
    assert numbers["bets"]["rate"] is not None
    assert 0 < numbers["would_have_seen"]["5"] < numbers["would_have_seen"]["20"] < 1
    line = findings.power_line({"evidence": {"crashes": numbers}})
    assert line.startswith("by now this gate would have seen a 20-fold crash rate with ") and "on patched hosts" in line


@pytest.mark.parametrize("action, expected", [("hold", "hold"), ("stop", "stop"), ("report", "pass")])
def test_new_alarms_of_many_patched_hosts_do_what_was_asked_for(action, expected):
    found = in_second_tier(count=200, rules=rules.parse({"on_alarm": action}))
    alarm = {"events": [{"kind": "warning", "age_seconds": 5, "signature": "w", "text": "WARNING: at x"}]}
    verdict = found.look(2, after=1800, **{key(name): {"look": alarm} for name in found.tier(2)[:12]})
    assert verdict["verdict"] == expected
    assert (expected == "pass") or "12 hosts with new kernel alarms on 100 patched hosts" in verdict["reasons"][0]


def test_report_only_says_what_it_would_have_done():
    found = in_second_tier(count=200, rules=rules.parse({"report_only": True}))
    verdict = found.look(2, after=1800, **{key(name): crashed(60) for name in found.tier(2)})
    assert verdict["verdict"] == "pass"
    assert verdict["reasons"][0].startswith("report only, stop: 98 crashes on 100 patched hosts in ")


def said(found, override, **more):
    found.say(override, **more)
    return judge.judge(found.state, found.now, 2)


def test_people_can_pause_resume_and_abort():
    found = in_second_tier()
    assert said(found, "pause")["reasons"] == ["hold: paused by ann: shop"]
    assert said(found, "resume")["verdict"] == "pass"
    assert said(found, "abort")["reasons"] == ["stop: aborted by ann: shop"]


def test_people_can_end_a_soak():
    found = in_second_tier()
    assert schedule.soak_left(found.state, 2, found.now) > 3600
    verdict = said(found, "promote", tier=2)
    assert schedule.step(found.state, 2, verdict, found.now).do == "pass"


def test_a_hold_waits_looks_again_and_ends_after_its_time():
    found = in_second_tier()
    found.say("pause")
    verdict = found.look(2, after=900)
    assert schedule.step(found.state, 2, verdict, found.now) == ("wait", found.now + 900, [])
    step = schedule.step(found.state, 2, verdict, found.now + 900)
    assert step.do == "look" and len(step.hosts) == 12
    assert schedule.step(found.state, 2, verdict, found.now + 8 * 3600).do == "held"


def test_a_soak_is_watched_at_every_interval_and_once_more_at_its_end():
    found = in_second_tier()
    verdict = found.state.verdict
    assert schedule.step(found.state, 2, verdict, found.now) == ("wait", found.now + 900, [])
    step = schedule.step(found.state, 2, verdict, found.now + 900)
    assert step.do == "look" and len(step.hosts) == 12
    until = found.state.soaks[2]
    found.now = until - 100
    found.judge(2, looked=True)
    assert schedule.step(found.state, 2, verdict, found.now) == ("wait", until, [])
    step = schedule.step(found.state, 2, verdict, until)
    assert step.do == "look" and len(step.hosts) == 12


def test_after_a_soak_of_no_time_only_those_are_looked_at_who_were_not_seen_since():
    found = rollout(
        6,
        rules=rules.parse({"control_hosts": 1}),
        tiers=[{"name": "canary", "hosts": 2}, {"name": "all", "share": "100%"}],
    )
    found.patch(1)
    found.write(
        [{"kind": "soak", "tier": 1, "until": states.journal.now(lambda: schedule.soak_until(found.state, 1, found.now))}]
    )
    step = schedule.step(found.state, 1, {"verdict": "pass"}, found.now)
    assert (step.do, step.hosts) == ("look", arms.control_sample(found.state))


def test_slices_are_spread_over_the_time_of_their_tier_and_not_brought_forward_after_a_hold():
    tiers = [{"name": "canary", "hosts": 2}, {"name": "all", "share": "100%", "soak": "2h", "spread": "1h"}]
    found = rollout(10, tiers=tiers, slice="25%")
    found.patch(1)
    found.patch(1)
    found.look(1)
    assert schedule.slice_due(found.state, 2, found.now) == 0.0
    found.patch(2)
    assert schedule.slice_due(found.state, 2, found.now) == found.now - 10 + 900
    found.now += 7200
    found.patch(2)
    assert schedule.slice_due(found.state, 2, found.now) == found.now - 10 + 900
    while found.state.remaining(2):
        found.patch(2)
    assert schedule.soak_until(found.state, 2, found.now) == found.now + 3600, "the hour of the slices is part of the two"


def lost(found):
    return [host.name for host in found.state.hosts.values() if host.lost is not None]


SILENT = {"skipped": True, "enabled": None, "effective_release": None, "boot_id": None, "sequence": None}
DEAD = {
    "apply": {"unreachable": True, "msg": "no route", "name": None, "since": None, "before": None},
    "look": SILENT,
}


def test_a_host_that_dies_while_the_livepatch_comes_in_is_evidence_too():
    found = in_second_tier(count=200, rules=rules.parse({"unreachable_grace": "1m", "hold_evidence": 20}), slice=20, max_failures=100)
    found.pass_tier(2)
    while found.state.remaining(3):
        names = found.state.remaining(3)[:3]
        verdict = found.patch(3, **{key(name): DEAD for name in names})
        assert set(names) <= set(lost(found)) and verdict["verdict"] in ("hold", "stop")
        if verdict["verdict"] == "stop":
            break
        assert schedule.look_due(found.state, found.now) == 0.0, "only a look tells how the others are"
        verdict = found.look(3, after=900, **{key(name): LOST for name in lost(found)})
        if verdict["verdict"] == "stop":
            break
    assert verdict["reasons"][0].startswith("stop: ") and "crashes on" in verdict["reasons"][0]


def test_a_stop_stays_a_stop_when_the_evidence_falls():
    found = in_second_tier(count=200)
    names = found.tier(2)
    found.look(2, after=3600, **{key(name): crashed(60) for name in names[:9]})
    calm = found.state
    for host in calm.hosts.values():
        host.crash = None
    again = judge.judge(calm, found.now, 2)
    assert (again["verdict"], again["reasons"]) == ("stop", calm.stop["reasons"])
    calm.parameters["rules"]["report_only"] = True
    assert judge.judge(calm, found.now, 2)["verdict"] == "stop"


def test_hosts_that_are_tried_again_are_no_crashes_of_the_control_arm():
    found = in_second_tier(count=60)
    names = found.tier(2)
    found.look(2, after=60, **{key(name): LOST for name in names})
    found.look(2, after=1800, **{key(name): LOST for name in names})
    assert found.state.stop
    found.open(retry="the power is back", **{key(name): {"boot_id": f"new {name}", "enabled": None} for name in names})
    assert tally(found).incidents == {"patched": 0, "control": 0}
    assert judge.judge(found.state, found.now)["verdict"] == "pass"


def test_a_power_loss_of_both_arms_and_the_controller_is_seen_on_both_arms():
    found = in_second_tier(count=60)
    gone = found.tier(2)[:5] + found.waiting()[:5]
    found.open(**{key(name): None for name in gone})
    assert set(lost(found)) == set(gone)
    assert schedule.look_due(found.state, found.now) == 0.0, "a run that goes on looks first"
    found.now += 1800
    assert tally(found).incidents == {"patched": 5, "control": 5}


def test_a_soak_ends_when_it_was_to_also_after_a_host_of_the_tier_has_crashed_in_it():
    found = in_second_tier(count=60)
    until = schedule.soak_until(found.state, 2, found.now)
    found.look(2, after=600, **{key(found.tier(2)[0]): crashed(60)})
    assert found.crashes()
    assert schedule.soak_until(found.state, 2, found.now) == until


@pytest.mark.parametrize("from_slice", [False, True])
def test_crashes_that_were_seen_while_the_clock_was_ahead_count_when_it_is_right_again(from_slice):
    found = Rollout(hosts(200), slice="100%", max_failures="50%", rules=rules.parse({"control_hosts": 100}),
                    tiers=[{"name": "canary", "hosts": 20}, {"name": "some", "hosts": 40}, {"name": "rest", "share": "100%"}])
    found.patch(1)
    found.look(1)
    found.now += 86400 if from_slice else 0
    found.patch(2)
    found.look(2)
    found.now += 0 if from_slice else 86400
    down = found.tier(2)[:12]
    verdict = found.look(2, **{name.replace("-", "_"): REBOOTED for name in down})
    assert verdict["verdict"] == "stop" and verdict["by_evidence"]
    found.write([{"kind": "retry", "user": "ann", "reason": "to see", "forgets": False}])
    found.now -= 86400
    assert found.judge(2)["evidence"]["crashes"]["e"] > 20


def test_a_pause_holds_a_rollout_that_only_reports():
    found = in_second_tier(rules=rules.parse({"report_only": True}))
    assert said(found, "pause")["verdict"] == "hold"


def test_a_promoted_tier_soaks_again_when_its_hosts_are_tried_again():
    found = in_second_tier(count=60)
    said(found, "promote", tier=2)
    found.look(2, after=60, **{key(name): crashed(1) for name in found.tier(2)})
    assert found.state.stop
    found.open(retry="the power supply was it")
    assert 2 not in found.state.promoted


def test_a_canary_of_which_a_source_tells_first_fails_all_the_same():
    found = rollout(60)
    found.patch(1)
    name = found.tier(1)[0]
    event = {"host": name, "kind": "crash", "time": found.now, "signature": None, "text": "Kernel panic"}
    reading = {"name": "netconsole", "type": "log", "verdict": "pass", "reason": "1 event", "events": [event]}
    found.write(outcomes.of_sources(found.state, [reading]))
    assert found.outcome(name) == "rebooted"
    verdict = found.look(1)
    assert verdict["verdict"] == "stop" and f"{name} crash: Kernel panic (told by netconsole)" in verdict["reasons"][0]
    assert outcomes.of_sources(found.state, [reading])[1:] == [], "it is told once"


def test_a_crash_from_before_a_host_was_patched_of_which_a_dump_tells_late_is_not_the_livepatchs():
    found = rollout(60)
    before = found.now - 3600
    found.patch(1)
    name = found.tier(1)[0]
    event = {"host": name, "kind": "crash", "time": before, "signature": None, "text": "Kernel panic"}
    reading = {"name": "dumps", "type": "events", "verdict": "pass", "reason": "1 event", "events": [event]}
    assert [entry["kind"] for entry in outcomes.of_sources(found.state, [reading])] == ["reading"]
    event["time"] = found.now
    assert [entry["kind"] for entry in outcomes.of_sources(found.state, [reading])] == ["reading", "event", "outcome"]


def test_what_a_control_host_logged_before_the_rollout_is_nothing_new_when_it_comes_again():
    found = in_second_tier()
    name = found.waiting()[0]
    old = {"kind": "warning", "age_seconds": 10**6, "signature": "w", "text": "WARNING: at x"}
    found.look(2, **{key(name): {"look": {"events": [old, dict(old, age_seconds=5)]}}})
    assert found.alarms() == {}


def test_a_journal_whose_verdicts_tell_no_evidence_can_be_reported():
    found = in_second_tier()
    entries = [{key: value for key, value in entry.items() if key != "evidence"} for entry in found.entries]
    assert "rollout web" in messages.report(states.state(entries), "web.jsonl")["lines"][0]


def test_a_host_that_crashed_before_it_was_patched_counts_once_and_on_the_control_arm():
    found = in_second_tier()
    name = found.waiting()[0]
    found.look(2, after=1800, **{key(name): crashed(600)})
    hours = tally(found).total("patched")
    found.pass_tier(2)
    others = found.watched()
    while found.state.remaining(3):
        found.patch(3)
    found.look(3, after=3600, **{key(name): crashed(60)})
    both = tally(found)
    assert both.incidents == {"patched": 0, "control": 1}
    assert name in found.watched(), "it may have the livepatch"
    new = [other for other in found.watched() if other not in (*others, name)]
    spans = [found.state.hosts[other].patched for other in [*others, *new]]
    expected = sum(end - begin for begin, end in spans)
    assert both.total("patched") == pytest.approx(expected / 3600) and both.total("patched") > hours


def test_a_patched_host_is_read_on_from_where_its_livepatch_came_in_and_not_from_its_look_as_control():
    found = in_second_tier()
    name = found.state.remaining(3)[0]
    assert schedule.since(found.state.hosts[name])["sequence"] == 9
    found.pass_tier(2)
    found.patch(3, **{key(other): LOST for other in found.state.remaining(3)})
    since = schedule.since(found.state.hosts[name])
    assert since == {"boot_id": f"boot-{name}", "sequence": 5}


TIMED_OUT = {
    "failed": True,
    "msg": "The livepatch action failed to execute in the expected time frame (300) and was terminated",
    "name": None,
    "proven": None,
    "since": None,
    "before": None,
}


@pytest.mark.parametrize(
    "apply, outcome, since",
    [
        (TIMED_OUT, "unreachable", True),
        ({"failed": True, "error": "stalled", "msg": "pid 7 blocks", "proven": False}, "stalled", False),
        ({"failed": True, "error": "vermagic", "msg": "other kernel", "proven": False, "name": None}, "failed", False),
    ],
    ids=["timed out", "stalled", "failed"],
)
def test_whatever_a_task_said_a_host_is_watched_with_the_livepatch_from_its_slice_on(apply, outcome, since):
    found = rollout(60, slice="100%")
    found.patch(1)
    found.look(1)
    name = found.state.remaining(2)[0]
    found.patch(2, **{key(name): {"apply": apply, "look": SILENT}})
    host = found.state.hosts[name]
    assert (host.outcome["outcome"], host.arm) == (outcome, "patched")
    assert (host.lost is not None) == since, "who does not answer in time is silent"
    assert name in schedule.to_look_at(found.state) and name not in arms.control_sample(found.state)
    found.look(2, after=1800, **{key(name): crashed(1700)})
    assert found.state.hosts[name].crash and tally(found).incidents == {"patched": 1, "control": 0}


def test_hosts_that_hang_when_the_livepatch_comes_in_stop_a_rollout_though_their_canaries_did_not():
    found = rollout(400, slice=20, max_failures="50%", tiers=[TIERS[0], {"name": "all", "share": "100%"}])
    found.patch(1)
    found.look(1)
    while not found.state.stop and found.state.remaining(2):
        bad = {key(name): {"apply": TIMED_OUT, "look": SILENT} for name in found.state.remaining(2)[:1]}
        if found.patch(2, **bad)["verdict"] != "pass":
            found.look(2, after=1000, **{key(name): LOST for name in lost(found)})
        if found.state.held_since is not None:
            break
    assert len(found.state.remaining(2)) > 100 and len(lost(found)) < 12


def test_a_host_that_could_not_be_patched_is_on_no_arm_once_a_look_proves_that_it_does_not_run_the_livepatch():
    found = rollout(60, slice="100%")
    found.patch(1)
    found.look(1)
    name = found.state.remaining(2)[0]
    refused = {"apply": {"failed": True, "error": "vermagic", "msg": "other kernel", "name": None}, "look": SILENT}
    found.patch(2, **{key(name): refused})
    found.look(2, after=600, **{key(name): {"look": {"enabled": None}}})
    assert found.state.hosts[name].arm == "" and name not in schedule.to_look_at(found.state)
    assert not found.crashes() and found.state.hosts[name].patched[1] > found.state.hosts[name].patched[0]


def test_hosts_that_vanish_while_the_controller_is_dead_are_evidence_as_if_it_had_lived():
    both = []
    for dead in (False, True):
        found = rollout(200, slice=20, tiers=[TIERS[0], {"name": "all", "share": "100%"}], max_failures=10)
        found.patch(1)
        found.look(1)
        for unused in range(2):
            found.patch(2)
        found.look(2, after=900)
        victims = found.state.remaining(2)[:4]
        booted = {"boot_id": "new", "rebooted": True, "enabled": None, "uptime_seconds": 5}
        if dead:
            found.begin(2)
            found.now += 10
            found.open(**{key(name): {"boot_id": f"new {name}"} for name in victims})
            found.judge(2)
        else:
            found.patch(2, **{key(name): {"look": booted} for name in victims})
        assert set(found.crashes()) == set(victims)
        both.append(found.state.verdict["evidence"]["crashes"])
    assert both[1]["patched"]["incidents"] == both[0]["patched"]["incidents"] == 4
    assert both[1]["e"] > 20 and both[0]["e"] > 20


def test_a_begun_host_that_is_gone_when_the_controller_comes_back_is_silent_on_the_patched_arm():
    found = rollout(60, slice="100%")
    found.patch(1)
    found.look(1)
    victims = found.state.remaining(2)[:3]
    found.begin(2)
    found.open(**{key(name): None for name in victims})
    assert [found.outcome(name) for name in victims] == ["unreachable"] * 3
    assert set(victims) <= set(schedule.to_look_at(found.state)) and set(lost(found)) == set(victims)
    found.now += 1000
    assert tally(found).incidents == {"patched": 3, "control": 0}


def test_a_host_that_patches_itself_is_compared_with_no_longer_from_the_first_look_that_shows_it_and_this_is_said():
    found = in_second_tier(count=60)
    first, second, third = found.waiting()[:3]
    itself = {"look": {"enabled": "hotfix3"}}
    verdict = found.look(2, after=600, **{key(first): itself, key(second): {"look": {**crashed(5)["look"], "enabled": "hotfix3"}}})
    assert verdict["verdict"] == "pass"
    assert verdict["reasons"][-1] == "pass: 2 hosts that wait have changed their livepatch by another way: not compared with"
    assert not {first, second} & set(arms.control_sample(found.state)) and third in arms.control_sample(found.state)
    assert tally(found).incidents == {"patched": 0, "control": 0}, "the livepatch may be why it crashed"
    event = {"host": first, "kind": "crash", "time": found.now, "signature": None, "text": "Kernel panic"}
    reading = {"name": "netconsole", "type": "log", "verdict": "pass", "reason": "1 event", "events": [event]}
    found.write(outcomes.of_sources(found.state, [reading]))
    assert tally(found).incidents == {"patched": 0, "control": 0}
    assert first in found.state.remaining(3), "it is patched, or found patched, in its turn"


def test_a_host_that_patched_itself_is_seen_at_a_resume_too():
    found = in_second_tier(count=60)
    name = found.waiting()[0]
    found.open(**{key(name): {"enabled": "hotfix3"}})
    assert found.state.hosts[name].arm == "" and name not in arms.control_sample(found.state)


def test_canaries_that_somebody_else_has_patched_are_watched_like_any_others():
    found = rollout(20)
    idle = {"package": {"changed": False, "outcome": "already_installed"}, "apply": {"changed": False}}
    names = found.tier(1)
    found.patch(1, **{key(name): idle for name in names})
    assert [found.outcome(name) for name in names] == ["already"] * 2
    assert set(names) <= set(schedule.to_look_at(found.state))
    verdict = found.look(1, after=100, **{key(names[0]): crashed(50)})
    assert verdict["verdict"] == "stop" and found.outcome(names[0]) == "rebooted"


def test_a_pause_holds_a_rollout_that_only_reports_whatever_else_there_is_to_report():
    found = in_second_tier(count=200, rules=rules.parse({"report_only": True}))
    found.say("pause")
    verdict = found.look(2, after=1800, **{key(name): crashed(60) for name in found.tier(2)})
    assert verdict["verdict"] == "hold" and any("crashes on" in reason for reason in verdict["reasons"])
    assert found.state.shut(2, found.tier(2)[:1])
    assert said(found, "abort")["verdict"] == "stop"


def test_a_host_that_was_rebooted_between_plan_and_slice_is_on_neither_arm():
    found = rollout(60, slice="100%", rules=rules.parse({"control_hosts": 1}))
    found.patch(1)
    found.look(1)
    name = found.state.remaining(2)[0]
    assert found.state.hosts[name].control is None, "nobody has looked at it"
    anew = {"apply": {"since": {"boot_id": "habit", "sequence": 5}}, "look": {"boot_id": "habit", "uptime_seconds": 5000}}
    found.now += 10000
    found.patch(2, **{key(name): anew})
    assert found.outcome(name) == "patched" and not found.failures()
    hours = tally(found).total("patched")
    found.look(2, after=3600, **{key(name): {"look": {"boot_id": "habit again", "uptime_seconds": 60}}})
    assert tally(found).incidents == {"patched": 0, "control": 0}
    others = [host for host in found.state.hosts.values() if host.patched and host.name != name]
    assert tally(found).total("patched") == pytest.approx(sum(end - begin for begin, end in (host.patched for host in others)) / 3600)
    assert tally(found).total("patched") > hours


@pytest.mark.parametrize("arm", ["canary of yesterday", "control host", "patched host"])
def test_a_look_that_fails_is_neither_a_failure_nor_a_crash_and_holds_after_the_grace_where_it_is_of_a_patched_host(arm):
    found = in_second_tier(count=60)
    name = {"canary of yesterday": found.tier(1)[0], "control host": found.waiting()[0], "patched host": found.tier(2)[0]}[arm]
    failing = {"look": {"failed": True, "msg": "sudo: a password is required", "boot_id": None, "sequence": None}}
    before = found.state.verdict["evidence"]["crashes"]["e"]
    assert found.look(2, after=300, **{key(name): failing})["verdict"] == "pass"
    for unused in range(4):
        verdict = found.look(2, after=600, **{key(name): failing})
    assert verdict["verdict"] == ("pass" if arm == "control host" else "hold")
    if arm != "control host":
        assert verdict["reasons"] == [
            f"hold: {name} is patched, and the looks at them fail: {name}: sudo: a password is required"
        ]
    assert tally(found).incidents == {"patched": 0, "control": 0} and not found.failures() and not lost(found)
    assert verdict["evidence"]["crashes"]["e"] == pytest.approx(before)
    assert found.look(2, after=600)["verdict"] == "pass"


def test_a_machine_that_was_up_before_the_host_was_last_seen_is_another_one_and_no_crash():
    found = in_second_tier(count=60)
    names = found.tier(2)[:3] + found.waiting()[:2]
    moved = {"look": {"boot_id": "other", "rebooted": True, "enabled": None, "uptime_seconds": 10**6}}
    assert found.look(2, after=300, **{key(name): moved for name in names})["verdict"] == "pass"
    assert not found.crashes() and not found.failures(), "nothing is counted"
    verdict = found.look(2, after=1000, **{key(name): moved for name in names})
    assert verdict["verdict"] == "hold"
    assert "another machine answers (boot id other, up for 1000000 s)" in verdict["reasons"][0]
    assert found.look(2, after=100)["verdict"] == "pass"
    booted = {"look": {"boot_id": "other", "rebooted": True, "enabled": None, "uptime_seconds": 50}}
    found.look(2, after=100, **{key(names[0]): booted})
    assert set(found.crashes()) == {names[0]}


def test_a_tier_of_one_host_may_not_fail_whatever_is_tolerated():
    found = rollout(11, tiers=[{"name": "canary", "hosts": 10}, {"name": "rest", "share": "100%"}], max_failures="2 or 1%")
    found.patch(1)
    found.look(1)
    (name,) = found.state.remaining(2)
    verdict = found.patch(2, **{key(name): {"apply": {"failed": True, "error": "vermagic", "msg": "other kernel"}, "look": SILENT}})
    assert verdict["verdict"] == "stop"
    assert verdict["reasons"][0].startswith("stop: 1 of 1 hosts of tier rest failed, 0 tolerated")


def test_a_kind_of_hosts_that_is_met_first_in_a_later_tier_may_not_fail_as_a_whole_and_the_plan_says_which_kinds_it_lacks():
    kernels = {f"host_{number}": {"kernel_release": f"6.{number // 4}"} for number in range(1, 13)}
    found = Rollout(
        hosts(12), kernels, tiers=[{"name": "canary", "hosts": 1}, {"name": "rest", "share": "100%"}], slice="100%", max_failures=5
    )
    seen = found.state.hosts[found.tier(1)[0]].cohort
    lacking = sorted({f"6.{number // 4}" for number in range(1, 13)} - {seen})
    assert f"the first tier canary has no host of cohort {', '.join(lacking)}: give it more hosts to try these first" in found.notes
    found.patch(1)
    found.look(1)
    refused = {"apply": {"failed": True, "error": "vermagic", "msg": "other kernel"}, "look": SILENT}
    kind = [name for name in found.tier(2) if found.state.hosts[name].cohort == lacking[0]]
    verdict = found.patch(2, **{key(name): refused for name in kind})
    assert verdict["verdict"] == "stop"
    assert verdict["reasons"][0].startswith(f"stop: every host of cohort {lacking[0]} that was patched so far has failed")


def test_hosts_that_run_the_livepatch_and_are_tried_again_are_no_control_hosts():
    found = in_second_tier(count=60)
    names = found.tier(2)[:3]
    found.look(2, after=1800, **{key(name): crashed(60) for name in found.tier(2)})
    assert found.state.stop
    found.open(retry="the switch was it", **{key(name): {"enabled": "hotfix3", "boot_id": f"new {name}"} for name in names})
    assert set(names) <= set(found.state.remaining(2))
    assert not set(names) & set(arms.control_sample(found.state)) and set(names) <= set(found.watched())


@pytest.mark.parametrize("crashes", [0, 1])
def test_a_retry_is_taken_after_a_stop_alone_and_forgets_evidence_only_where_that_had_stopped(crashes):
    found = in_second_tier(count=200)
    found.look(2, after=3600, **{key(name): crashed(60) for name in found.tier(2)[:crashes]})
    found.open(retry="habit")
    assert not any(entry["kind"] == "retry" for entry in found.entries) and found.state.evidence_from == 0
    assert tally(found).incidents["patched"] == crashes
    refused = {"apply": {"failed": True, "error": "vermagic", "msg": "other kernel"}, "look": SILENT}
    found.pass_tier(2)
    found.patch(3, **{key(name): refused for name in found.state.remaining(3)[:10]})
    assert found.state.stop and not found.state.stop["by_evidence"]
    found.open(retry="a package was broken")
    assert found.state.evidence_from == 0 and tally(found).incidents["patched"] == crashes


def test_each_reason_for_a_retry_is_taken_once():
    found = in_second_tier(count=60)
    found.look(2, after=1800, **{key(name): crashed(60) for name in found.tier(2)})
    found.open(retry="the switch was it")
    assert not found.state.stop
    found.open(retry="the switch was it")
    assert sum(entry["kind"] == "retry" for entry in found.entries) == 1 and not found.state.stop
    found.say("abort")
    found.judge(2)
    with pytest.raises(RolloutError, match="which a former retry of this rollout has given already"):
        found.open(retry="the switch was it")
    found.open(retry="now the other switch")
    assert not found.state.stop and not found.state.aborted


@pytest.mark.parametrize("override", ["abort", "pause"])
def test_what_was_said_after_the_stop_is_not_forgiven_by_a_retry(override):
    found = in_second_tier(count=60)
    found.say("pause")
    found.look(2, after=1800, **{key(name): crashed(60) for name in found.tier(2)})
    found.now += 60
    found.say(override, reason="wait for me")
    found.open(retry="the switch was it")
    verdict = found.judge(2)
    assert verdict["reasons"][0] == f"{'stop: aborted' if override == 'abort' else 'hold: paused'} by ann: wait for me"


def test_the_door_lets_nobody_through_who_is_not_to_be_patched_now():
    found = rollout(12, slice=2)
    first, later = found.tier(1), found.tier(2)
    assert found.state.shut(1, first) is None
    assert found.state.shut(2, later[:2]) == "tier canary has not passed"
    assert found.state.shut(9, first) == "the plan has no tier 9"
    assert found.state.shut(0, first) == "the plan has no tier 0"
    assert found.state.shut(1, []) == found.state.shut(1, first[:1] * 2) == "its hosts are none, or named twice"
    assert found.state.shut(1, later[:1]) == f"{later[0]} is not to be patched in tier 1"
    assert found.state.shut(1, ["nobody"]) == "nobody is not to be patched in tier 1"
    found.patch(1)
    assert found.state.shut(1, first[:1]) == f"{first[0]} is not to be patched in tier 1"
    found.look(1)
    assert found.state.shut(1, first) == "tier 1 has passed already"
    assert found.state.shut(2, later[:2]) is None
    for override, why in (("pause", "it is paused"), ("resume", None), ("abort", "it is halted")):
        found.say(override)
        assert found.state.shut(2, later[:2]) == why
    with pytest.raises(RolloutError, match="No host may be patched now: it is halted"):
        found.begin(2)


def test_a_tier_of_the_later_ones_is_not_begun_while_nobody_is_patched():
    found = rollout(12)
    found.pass_tier(1)
    assert found.state.shut(2, found.tier(2)[:1]) == "nobody was patched before"


def test_sources_are_asked_about_both_arms_with_those_that_have_crashed_and_when_each_was_patched():
    found = Rollout(hosts(6), rules=rules.parse({"control_hosts": 9}))
    found.look(1, names=hosts(6), after=900)
    begun = found.now
    found.patch(1)
    patched, control = found.watched()[0], found.waiting()[0]
    names = [found.watched()[0], *found.waiting()]
    found.look(1, names=names, after=900, **{key(name): REBOOTED for name in (patched, control)})
    arms = schedule.arms_of(found.state, {})
    assert arms["crashed"] == {"patched": [patched], "control": [control]}
    assert patched not in arms["patched"]
    assert arms["patched_at"][patched] >= begun and control not in arms["patched_at"]


def test_hosts_that_reboot_before_their_slice_and_again_after_it_weigh_nothing_and_hold_where_they_are_many():
    found = rollout(60, max_failures=2, tiers=[TIERS[0], {"name": "rest", "share": "100%", "soak": "4h"}])
    found.patch(1)
    found.look(1)
    again = found.state.remaining(2)[:5]
    anew = {"apply": {"since": {"boot_id": "habit", "sequence": 5}}, "look": {"boot_id": "habit", "uptime_seconds": 5000}}
    while found.state.remaining(2):
        found.patch(2, **{key(name): anew for name in again})
    dead = {"look": {"boot_id": "third", "rebooted": True, "enabled": None, "uptime_seconds": 100}}
    few = found.look(2, after=1000, **{key(name): dead for name in again[:2]})
    assert few["verdict"] == "pass" and few["evidence"]["crashes"]["patched"]["incidents"] == 0
    many = found.look(2, after=1000, **{key(name): dead for name in again})
    assert many["verdict"] == "hold" and "were so before it already" in many["reasons"][0]


def test_many_hosts_are_looked_at_a_thousand_in_a_play_and_each_once():
    names = [f"h{number}" for number in range(2500)]
    plays = schedule.plays(names)
    assert [len(play) for play in plays] == [1000, 1000, 500] and sum(plays, []) == names
    assert schedule.plays([]) == []
