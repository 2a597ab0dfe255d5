# Does something come far more often than before: the comparison of two counts, and what hosts on either arm are judged by.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import math
import random

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import rates, rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import answers, schedule, snapshot
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugin_utils.rollouts import Rollout, hosts

TIERS = [
    {"name": "canary", "hosts": 2},
    {"name": "rest", "share": "50%", "soak": "4h"},
    {"name": "all", "share": "100%"},
]
DAY, LOOK = 86400, 900
FEW = st.integers(0, 60)
SECONDS = st.floats(0, 1e7)
ANY = st.integers(0, 2**63)


def tail(number, chance, least):
    """The binomial tail, term by term."""
    return sum(math.comb(number, k) * chance**k * (1 - chance) ** (number - k) for k in range(least, number + 1))


@given(FEW, SECONDS, FEW, SECONDS)
def test_what_is_surely_above_is_so_by_the_exact_test(count, seconds, before, before_seconds):
    later, earlier = rates.RATIO * max(seconds, 1), max(before_seconds, 1)
    exact = tail(count + before, later / (later + earlier), count)
    if rates.is_surely_above(count, seconds, before, before_seconds):
        assert exact <= rates.CHANCE * 1.0001
        assert rates.is_above(count, seconds, before, before_seconds)
    elif count and rates.is_above(count, seconds, before, before_seconds):
        # The geometric bound of the tail is no worse than this where the tail is as small as that.
        assert exact > rates.CHANCE / (count + 2)


@given(ANY, st.floats(-1e10, 1e10), ANY, st.floats(0, 1e10))
def test_whatever_hosts_say_two_counts_can_be_compared(count, seconds, before, before_seconds):
    if rates.is_surely_above(count, seconds, before, before_seconds):
        assert rates.is_above(count, seconds, before, before_seconds)


@given(st.integers(1, 10**6), st.floats(1, 1e7), st.integers(1, 10**6), st.floats(1, 1e7))
def test_what_came_no_more_often_is_never_above(count, seconds, before, before_seconds):
    if count / seconds <= before / before_seconds:
        assert not rates.is_above(count, seconds, before, before_seconds)


@given(st.integers(1, 1000), st.floats(1, 1e7), st.integers(0, 1000), st.floats(1, 1e7), st.integers(1, 100))
def test_more_of_it_is_never_less_sure(count, seconds, before, before_seconds, more):
    if rates.is_surely_above(count, seconds, before, before_seconds):
        assert rates.is_surely_above(count + more, seconds, before, before_seconds)


def test_an_alarm_that_keeps_its_rate_is_above_in_no_look_of_a_long_rollout():
    dice = random.Random(1)
    for rate in (1 / DAY, 10 / DAY, 1 / 600):
        for unused in range(200):
            before, count = (sum(dice.random() < rate for unused in range(DAY // 60)) for unused in range(2))
            spans = [LOOK * number for number in range(1, 97)]
            assert not any(rates.is_surely_above(count * span // DAY, span, max(before, 1), DAY) for span in spans)


@pytest.mark.parametrize(
    "count,seconds,before,before_seconds,expected",
    [
        (90, 900, 3, DAY, True),  # every second now (a burst counts once in ten), now and then before
        (15, 900, 24, DAY, True),  # once a minute, once an hour before
        (4, 900, 1, DAY, False),  # some in a quarter of an hour may be one bad moment
        (5, 900, 1, DAY, True),
        (18, 900, 3, 1800, False),  # twelve times as often, of so few before that it may be ten times
        (40, 3600, 100, DAY, False),  # a little less than ten times as often
    ],
)
def test_what_is_far_more_often(count, seconds, before, before_seconds, expected):
    assert rates.is_surely_above(count, seconds, before, before_seconds) is expected


def key(name):
    return name.replace("-", "_")


def counted(count, seconds=LOOK, before=None, signature="warning:f", new=False):
    """A look at a host to which an alarm came so often; before: (count, seconds) of the time before its livepatch."""
    event = {"kind": "warning", "age_seconds": 5, "signature": signature, "text": "WARNING: at f", "new": new}
    look = {
        "events": [event] if count else [],
        "signatures": {signature: {"count": count, "seconds": seconds}} if count else {},
    }
    if before:
        look["known_signatures"] = {signature: {"count": before[0], "seconds": before[1]}}
    return {"look": look}


def noisy(before, **patched):
    """A rollout with its second tier patched; a look at each host tells that the alarm came `before` (count, seconds) it."""
    found = Rollout(hosts(12), tiers=TIERS, slice="100%", rules=rules.parse({}))
    found.patch(1, **{key(name): counted(0, before=before) for name in found.tier(1)})
    first = {key(name): counted(before[0], before[1], new=True) for name in found.waiting()}
    for name in found.waiting():
        first[key(name)]["look"]["events"][0]["age_seconds"] = 5000
    found.look(1, **first)
    while found.state.remaining(2):
        found.patch(2, **{key(name): {**counted(0, before=before), **patched} for name in found.tier(2)})
    return found


def test_an_alarm_that_was_there_and_stays_as_frequent_is_none_on_either_arm():
    found = noisy((96, DAY))
    for unused in range(16):
        found.look(2, after=LOOK, **{key(host): counted(1) for host in found.names})
    assert found.alarms() == {}
    assert found.state.hosts[found.tier(2)[0]].habits["since"]["warning:f"][0] == 16


@pytest.mark.parametrize("arm", ["patched", "control"])
def test_an_alarm_that_comes_every_second_now_is_one_though_it_was_there_before(arm):
    found = noisy((3, DAY))
    name = found.tier(2)[0] if arm == "patched" else found.waiting()[0]
    found.look(2, after=LOOK, **{key(name): counted(90)})
    assert found.alarms() == {
        name: (found.now, "warning: f comes far more often: 90 times in 15 min, before 3 in 24 h")
    }
    assert found.outcome(name) == "alarmed" if arm == "patched" else not found.state.hosts[name].done
    found.look(2, after=LOOK, **{key(name): counted(90)})
    assert found.alarms()[name][0] == found.now - LOOK, "a host counts once"
    incidents = found.state.verdict["evidence"]["alarms"]
    assert incidents[arm]["incidents"] == 1


def test_an_alarm_that_comes_more_often_in_many_looks_is_one_though_none_of_them_would_tell():
    found = noisy((1, DAY))
    name = found.tier(2)[0]
    looks = 0
    while not found.alarms() and looks < 50:
        found.look(2, after=LOOK, **{key(name): counted(2)})
        looks += 1
    assert 3 < looks < 12
    assert name in found.alarms()


def test_a_canary_to_which_a_known_alarm_comes_far_more_often_right_after_it_was_patched_stops_the_rollout():
    found = Rollout(hosts(12), tiers=TIERS, slice="100%", rules=rules.parse({}))
    name = found.tier(1)[0]
    verdict = found.patch(1, **{key(name): counted(20, 10, before=(3, DAY))})
    assert (verdict["verdict"], found.outcome(name)) == ("stop", "alarmed")
    assert "f comes far more often: 20 times in 10 s, before 3 in 24 h" in verdict["reasons"][0]


def test_a_log_that_tells_of_the_last_seconds_of_a_look_alone_is_counted_for_these():
    found = noisy((24, DAY))
    name = found.tier(2)[0]
    for unused in range(3):
        found.look(2, after=LOOK, **{key(name): counted(4, 35)})
    assert name in found.alarms(), "12 times in 105 s; in 45 min it would be little"


def test_a_round_in_which_nothing_came_counts_with_its_time():
    found = noisy((3, DAY))
    name = found.tier(2)[0]
    for unused in range(200):
        found.look(2, after=LOOK)
    found.look(2, after=LOOK, **{key(name): counted(14)})
    assert found.alarms() == {}, "14 in two days"


@pytest.mark.parametrize("arm", ["patched", "control"])
def test_an_alarm_that_was_there_is_known_also_when_the_log_has_turned_over_since(arm):
    found = noisy((96, DAY))
    name = found.tier(2)[0] if arm == "patched" else found.waiting()[0]
    found.look(2, after=LOOK, **{key(name): counted(1, new=True)})
    assert found.alarms() == {}
    found.look(2, after=LOOK, **{key(name): counted(1, signature="warning:g", new=True)})
    assert list(found.alarms()) == [name]


def test_what_came_before_a_host_was_patched_is_what_its_log_has_then():
    found = noisy((96, DAY))
    assert all(found.state.hosts[name].habits["before"] == {"warning:f": [96, DAY]} for name in found.waiting())
    found.pass_tier(2)
    name = found.state.remaining(3)[0]
    while found.state.remaining(3):
        found.patch(3, **{key(name): counted(0, before=(1, DAY))})
    assert found.state.hosts[name].habits["before"] == {"warning:f": [1, DAY]}


def test_a_host_whose_first_look_failed_tells_with_the_next_one_what_was_before():
    found = Rollout(hosts(12), tiers=TIERS, slice="100%", rules=rules.parse({}))
    name = found.tier(1)[0]
    found.patch(1, **{key(name): {"look": {"failed": True, "msg": "no space left on device"}}})
    found.look(1, after=60, **{key(name): counted(0, before=(1, DAY))})
    assert found.state.hosts[name].habits["before"] == {"warning:f": [1, DAY]}
    found.look(1, after=LOOK, **{key(name): counted(90)})
    assert name in found.alarms()


def untold(count, **more):
    event = {
        "kind": "untold",
        "age_seconds": 0,
        "signature": "untold:warn_count",
        "text": "warn_count rose",
        "new": True,
    }
    return {"look": {"events": [event], "signatures": {"untold:warn_count": {"count": count, "seconds": LOOK}}, **more}}


def test_what_the_kernel_has_counted_and_its_log_does_not_tell_is_an_alarm_on_either_arm():
    found = noisy((3, DAY))
    patched, control = found.tier(2)[0], found.waiting()[0]
    found.look(2, after=LOOK, **{key(patched): untold(1), key(control): untold(1)})
    assert sorted(found.alarms()) == sorted([patched, control])
    assert found.state.hosts[patched].outcome["reason"] == "kernel alarm, untold: warn_count rose"


def test_what_was_counted_as_often_before_is_none_however_little_the_log_tells():
    before = {"known_signatures": {"untold:warn_count": {"count": DAY, "seconds": DAY}}}
    found = Rollout(hosts(12), tiers=TIERS, slice="100%", rules=rules.parse({}))
    name = found.tier(1)[0]
    found.patch(1, **{key(name): {"look": before}})
    found.look(1, after=LOOK, **{key(name): untold(800)})
    assert found.alarms() == {}
    found.look(1, after=LOOK, **{key(name): untold(20 * LOOK)})
    assert name in found.alarms()


def test_one_warning_long_ago_does_not_excuse_one_that_nobody_could_read():
    before = {"known_signatures": {"untold:warn_count": {"count": 1, "seconds": 30 * DAY}}}
    found = Rollout(hosts(12), tiers=TIERS, slice="100%", rules=rules.parse({}))
    name = found.tier(1)[0]
    found.patch(1, **{key(name): {"look": before}})
    for unused in range(100):
        found.look(1, after=LOOK)
    found.look(1, after=LOOK, **{key(name): untold(1)})
    assert name in found.alarms(), "however long nothing was to be told of the host"


def test_the_next_look_compares_with_the_counts_of_this_one():
    found = noisy((3, DAY))
    host = found.state.hosts[found.tier(2)[0]]
    counters = {"oops_count": 0, "warn_count": 7}
    found.look(2, after=LOOK, **{key(host.name): {"look": {"counters": counters, "taint": 512, "sequence": 12}}})
    since = schedule.since(found.state.hosts[host.name])
    assert (since["counters"], since["taint"], since["sequence"]) == (counters, 512, 12)


def test_of_alarms_that_were_there_before_the_journal_has_the_number_alone():
    found = noisy((96, DAY))
    name = found.tier(2)[0]
    found.look(2, after=LOOK, **{key(name): counted(1)})
    entry = next(entry for entry in reversed(found.entries) if entry["kind"] == "look" and entry["host"] == name)
    assert entry["events"] == [] and "known_signatures" not in entry
    assert entry["signatures"] == {"warning:f": {"count": 1, "seconds": LOOK}}


def test_habits_survive_a_snapshot(tmp_path):
    found = noisy((96, DAY))
    found.look(2, after=LOOK, **{key(name): counted(1) for name in found.names})
    path = tmp_path / "journal"
    path.write_text("x\n")
    assert snapshot.write(str(path), found.state, 2)
    assert {host.name: host.habits for host in snapshot.read(str(path))[0].hosts.values()} == {
        host.name: host.habits for host in found.state.hosts.values()
    }


@pytest.mark.parametrize(
    "said",
    [
        5,
        {"warning:f": 5},
        {"warning:f": {"count": 1}},
        {"warning:f": {"count": -1, "seconds": 1}},
        {"w": {"count": "1", "seconds": 1}},
    ],
)
def test_counts_that_the_module_cannot_have_given_are_a_failure_of_the_look(said):
    assert answers.result({"signatures": said})["failed"]
    assert answers.result({"known_signatures": said})["failed"]


def test_of_many_signatures_some_are_kept_each_on_one_line():
    said = {f"warning:f{number}\n\x1b[31m": {"count": 1, "seconds": 2.5} for number in range(80)}
    found = answers.result({"signatures": said})["signatures"]
    assert len(found) == answers.MOST_SIGNATURES and all(signature.isprintable() for signature in found)
