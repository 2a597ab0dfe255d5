# The tiers of a rollout in time, a line each.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import progress, timeline

from tests.unit.plugin_utils.rollouts import REBOOTED, Rollout, hosts

TIERS = [{"name": "canary", "hosts": 2, "soak": "10m"}, {"name": "rest", "share": "100%", "soak": "10m"}]


def rollout(**options):
    return Rollout(hosts(6), tiers=TIERS, slice="50%", **options)


def told(found):
    return {entry["tier"]: (entry["mark"], entry["line"]) for entry in timeline.tiers(found.state, found.now)}


def test_a_tier_waits_is_patched_soaks_and_has_passed():
    found = rollout()
    assert told(found) == {"canary": ("wait", "tier canary  wait   2 hosts"), "rest": ("wait", "tier rest    wait   4 hosts")}
    found.patch(1)
    found.now += 50
    assert told(found)["canary"] == (
        "patch",
        "tier canary  patch  2 hosts, began 13:46:40 UTC, 1m; 1 to be patched",
    )
    found.patch(1)
    found.look(1, after=0)
    assert told(found)["canary"][0] == "soak" and told(found)["canary"][1].endswith("; soaks for 10m")
    found.look(1, after=700)
    mark, line = told(found)["canary"]
    assert (mark, line) == ("pass", "tier canary  pass   2 hosts, began 13:46:40 UTC, 12m")
    assert told(found)["rest"][0] == "wait"


def test_a_tier_that_is_stopped_says_why():
    found = rollout()
    found.patch(1, **{found.state.remaining(1)[0].replace("-", "_"): REBOOTED})
    mark, line = told(found)["canary"]
    assert mark == "stop" and "1 of 2 hosts of tier canary failed" in line


def test_a_tier_on_hold_says_why():
    found = rollout()
    found.patch(1)
    found.say("pause", reason="lunch")
    found.judge(1)
    mark, line = told(found)["canary"]
    assert mark == "hold" and line.endswith("; hold: paused by ann: lunch")


def test_one_host_is_no_hosts():
    found = Rollout(hosts(1), tiers=[{"name": "all", "share": "100%"}])
    assert told(found)["all"][1] == "tier all  wait   1 host"


def test_without_a_plan_there_is_nothing_to_tell():
    from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout.state import State

    assert timeline.tiers(State(), 0) == []


def test_the_time_over_which_slices_were_spread_is_part_of_the_soak():
    tiers = [{"name": "all", "share": "100%", "soak": "2h", "spread": "1h"}]
    found = Rollout(hosts(2), tiers=tiers, slice="50%")
    found.patch(1)
    found.now += 1800
    found.patch(1)
    mark, line = told(found)["all"]
    assert mark == "soak" and line.endswith("; soaks for 1h 29m")


def test_a_tier_is_told_once_for_each_mark_and_not_while_it_waits():
    found = rollout()
    begin = timeline.tiers(found.state, found.now)
    assert progress.news({}, begin) == []
    found.patch(1)
    later = timeline.tiers(found.state, found.now)
    assert [tier["tier"] for tier in progress.news(progress.marks(begin), later)] == ["canary"]
    assert progress.news(progress.marks(later), later) == []


def test_a_line_of_progress_is_one_line_whatever_hosts_say_and_a_command_in_it_is_whole():
    assert progress.line("x\x1b[1m\ny") == "livepatch | x [1m y"
    assert progress.line("ansible-playbook " + "-i x " * 300).endswith("-i x ")
