# Tests of what hosts answer: whatever it is, it is checked, cut to size, and ends nothing but the trust in that host.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages, rollout_page, rollout_report
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import answers, fleet, outcomes, schedule
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.plugin_utils.rollouts import Rollout, facts, good, hosts

# What a whole answer may come to in a journal, in bytes.
MOST = 400000
HUGE = 10**400

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(HUGE) | st.just(-HUGE) | st.floats() | st.text(max_size=600) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=20), inner, max_size=5),
    max_leaves=10,
)
FIELDS = sorted(answers._FIELDS)
EVENT = st.dictionaries(st.sampled_from(["kind", "signature", "text", "age_seconds", "new", "source"]), ANYTHING, max_size=4)
RAW = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=10), ANYTHING, max_size=8) | st.fixed_dictionaries(
    {"events": st.lists(EVENT, max_size=4)}
)


@given(RAW | ANYTHING)
@settings(max_examples=400, deadline=None)
def test_whatever_a_host_answers_the_result_is_plain_data_of_bounded_size(raw):
    found = answers.result(raw)
    text = json.dumps(found, allow_nan=False)
    assert len(text) < MOST and json.loads(text) == found
    assert answers.result(found) == found, "what was checked once is well"
    assert all(character.isprintable() for character in str(found.get("msg") or ""))


@given(st.dictionaries(st.sampled_from(sorted(facts("x"))) | st.text(max_size=10), ANYTHING, max_size=6) | ANYTHING)
@settings(max_examples=200, deadline=None)
def test_whatever_facts_a_host_has_they_are_plain_data_or_the_host_is_left_out(changed):
    raw = {"host-1": {"facts": {**facts("host-1"), **changed} if isinstance(changed, dict) else changed, "result": {}}}
    host = fleet.survey(raw, "hotfix3")["host-1"]
    json.dumps(host, allow_nan=False)
    assert host["problem"] or host["boot_id"] is None or isinstance(host["boot_id"], str)


def test_long_lists_and_texts_are_cut():
    found = answers.result({"events": [{"text": "x" * 10**6}] * 10**4, "msg": "y\x1b[2J\n" * 10**5, "sources": {"k" * 999: "v" * 9999}})
    assert len(found["events"]) == answers.MOST_EVENTS and len(found["events"][0]["text"]) == 500
    assert len(found["msg"]) == 500 and "\x1b" not in found["msg"] and "\n" not in found["msg"]
    assert [(len(key), len(value)) for key, value in found["sources"].items()] == [(50, 500)]


@pytest.mark.parametrize(
    "answer, said",
    [
        ({"uptime_seconds": HUGE}, "uptime_seconds is int: expected a number between 0 and 1e+10"),
        ({"uptime_seconds": -1}, "uptime_seconds is int"),
        ({"uptime_seconds": float("nan")}, "uptime_seconds is nan"),
        ({"uptime_seconds": float("inf")}, "uptime_seconds is inf"),
        ({"sequence": True}, "sequence is bool"),
        ({"events": "none"}, "events is 'none': expected a list"),
        ({"events": ["none"]}, "events[0] is 'none': expected a dictionary"),
        ({"events": [{"age_seconds": "old"}]}, "events[0].age_seconds is 'old'"),
        ({"boot_id": ["x"]}, "boot_id is list: expected a name"),
        ({"boot_id": "x" * 201}, "expected a name"),
        ({"enabled": "hot\nfix"}, "expected a name"),
        ({"counters": {"oops_count": "many"}}, "counters.oops_count is 'many'"),
        ({"failed": "no"}, "failed is 'no': expected true or false"),
        ({"sources": []}, "sources is list: expected a dictionary"),
    ],
)
def test_an_answer_that_the_module_cannot_have_given_is_a_failure_that_says_what_is_odd(answer, said):
    found = answers.result({"boot_id": "b", **answer})
    assert set(found) == {"failed", "msg"} and found["failed"]
    assert found["msg"].startswith("an answer that the module cannot have given, ") and said in found["msg"]


@pytest.mark.parametrize(
    "raw",
    [
        {"failed": True, "msg": "The livepatch action failed to execute in the expected time frame (300) and was terminated"},
        {"failed": True, "msg": "Task failed: Timed out after 300 second(s).", "timedout": {"frame": "x", "period": 300}},
        {"failed": True, "timedout": {"period": 300}},
    ],
)
def test_a_task_that_was_ended_for_its_time_limit_is_silence_as_nobody_knows_what_it_did(raw):
    found = answers.result(raw)
    assert found["unreachable"] and found["timed_out"]


def test_a_module_that_says_itself_that_something_timed_out_has_answered():
    found = answers.result({"failed": True, "error": "stalled", "msg": "the transition timed out"})
    assert "unreachable" not in found and answers.result({"failed": False, "msg": "timed out"}).get("unreachable") is None


ODD = [{"uptime_seconds": HUGE}, {"events": "none"}, {"events": [7]}, {"boot_id": []}, {"sequence": "x"}, {"counters": 5}, {"msg": {}}]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: next(iter(odd)))
def test_one_odd_answer_ends_neither_the_rollout_nor_its_status_nor_its_rollback(odd):
    found = Rollout(hosts(6), slice="100%", rules=rules.parse({"control_hosts": 100}))
    found.patch(1)
    patched, waits = found.tier(1)[0], found.tier(2)[0]
    key = patched.replace("-", "_")
    verdict = found.look(1, after=300, **{key: {"look": odd}, waits.replace("-", "_"): {"look": odd}})
    assert found.outcome(patched) == "patched" and not found.failures() and not found.crashes()
    verdict = found.look(1, after=1000, **{key: {"look": odd}})
    if odd != {"msg": {}}:
        assert verdict["verdict"] == "hold" and "an answer that the module cannot have given" in verdict["reasons"][0]
    json.dumps(found.entries, allow_nan=False)
    assert messages.report(found.state, "/j/web.jsonl")["lines"]
    assert rollout_page.render(rollout_report.report(found.entries, "/j/web.jsonl", found.now))
    found.open()
    assert found.look(1)["verdict"] == "pass", "it goes on when the host is well again"
    names = [target["host"] for target in schedule.to_roll_back(found.state)]
    back = {name: answers.result({"changed": True, **odd}) for name in names}
    found.write(outcomes.of_rollback(found.state, names, back.get))
    assert {found.outcome(name) for name in names} <= {"rolled_back", "rollback_failed"}


@pytest.mark.parametrize("step", ["package", "apply", "look"])
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: next(iter(odd)))
def test_an_odd_answer_while_a_host_is_patched_is_that_hosts_failure(step, odd):
    found = Rollout(hosts(2), slice=2)
    found.patch(1, host_1={step: odd})
    host = found.state.hosts["host-1"]
    assert host.arm == "patched" and found.outcome("host-2") == "patched"
    assert host.outcome["outcome"] == ("patched" if step == "look" else "failed")
    assert step != "look" or "cannot have given" in host.blind[1]
    json.dumps(found.entries, allow_nan=False)


@given(st.lists(st.tuples(st.sampled_from(["package", "apply", "look"]), RAW), max_size=4))
@settings(max_examples=100, deadline=None)
def test_whatever_a_host_answers_in_its_slice_it_has_an_outcome_and_the_journal_can_be_read_again(changed):
    found = Rollout(hosts(2), slice=2)
    found.begin(1)
    found.now += 10
    bad = {step: answers.result({**good("host-1")[step], **(raw if isinstance(raw, dict) else {})}) for step, raw in changed}
    found.write(outcomes.of_slice(found.state, lambda name: {**good(name), **(bad if name == "host-1" else {})}, found.now))
    found.judge(1, 1)
    assert all(host.done for host in found.state.hosts.values())
    found.entries = json.loads(json.dumps(found.entries, allow_nan=False))
    assert found.state.hosts["host-1"].done
