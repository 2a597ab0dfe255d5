# Tests of what people say to a rollout from outside, and of the rules they give it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import subprocess
import sys

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import overrides
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout.state import State
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "web.jsonl")


def test_what_was_said_is_taken_once_and_in_its_order(path):
    overrides.say(path, "pause", "ann", "lunch")
    overrides.say(path, "resume", "bob", "back again")
    entries = overrides.new(path, 0)
    assert [(entry["number"], entry["override"], entry["user"], entry["reason"]) for entry in entries] == [
        (1, "pause", "ann", "lunch"),
        (2, "resume", "bob", "back again"),
    ]
    assert [entry["number"] for entry in overrides.new(path, 1)] == [2]
    assert overrides.new(path, 2) == []


def test_what_was_said_last_or_holds_already_need_not_be_said_again(path):
    state = State()
    assert not overrides.holds(path, state, "pause", "lunch")
    overrides.say(path, "pause", "ann", "lunch")
    assert overrides.holds(path, state, "pause", " lunch ") and not overrides.holds(path, state, "pause", "dinner")
    overrides.say(path, "resume", "ann", "back again")
    assert not overrides.holds(path, state, "pause", "lunch"), "it was taken back"
    state.overrides, state.paused = 2, {"override": "pause", "reason": "lunch"}
    assert overrides.holds(path, state, "pause", "lunch") and not overrides.holds(path, state, "abort", "lunch")
    overrides.say(path, "promote", "ann", "enough", 2)
    assert overrides.holds(path, state, "promote", "enough", 2) and not overrides.holds(path, state, "promote", "enough", 3)
    assert not overrides.holds(path, state, "pause", "lunch"), "something else was said since"


def test_where_nobody_has_said_anything_there_is_nothing(path):
    assert overrides.new(path, 0) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("stop", "ann", "x"), "override is 'stop': expected one of pause"),
        (("abort", "ann", ""), "is not a reason"),
        (("abort", "ann", "two\nlines"), "is not a reason"),
        (("promote", "ann", "enough"), "give the tier's number"),
    ],
)
def test_what_makes_no_sense_is_refused_and_not_written(path, arguments, message):
    with pytest.raises(RolloutError, match=message):
        overrides.say(path, *arguments)
    assert overrides.new(path, 0) == []


SPEAKER = """
import sys
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import overrides
for turn in range(20):
    overrides.say(sys.argv[1], "pause", f"user {sys.argv[2]}", f"reason {turn}")
"""


def test_many_may_speak_at_once_and_nobody_is_lost(path):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry))
    command = [sys.executable, "-c", SPEAKER, path]
    speakers = [subprocess.Popen([*command, str(number)], env=environment) for number in range(4)]
    assert [speaker.wait(timeout=60) for speaker in speakers] == [0, 0, 0, 0]
    entries = overrides.new(path, 0)
    assert [entry["number"] for entry in entries] == list(range(1, 81))
    for number in range(4):
        said = [entry["reason"] for entry in entries if entry["user"] == f"user {number}"]
        assert said == [f"reason {turn}" for turn in range(20)]


def test_the_rules_have_defaults_in_numbers():
    found = rules.parse({})
    assert (found["stop_evidence"], found["hold_evidence"], found["look_interval"], found["max_hold"]) == (
        20,
        5,
        900,
        28800,
    )
    assert found["history"] is None and found["report_only"] is False
    assert rules.parse({"history": None, "unreachable_grace": "", "report_lag": "0"}) == found


def test_numbers_that_come_through_templates_as_text_are_numbers():
    found = rules.parse(
        {
            "stop_evidence": "30",
            "control_hosts": "7",
            "report_only": "True",
            "history": {"crashes": "3", "hosts": "10", "days": "7"},
        }
    )
    assert (found["stop_evidence"], found["control_hosts"], found["report_only"]) == (30.0, 7, True)
    assert found["history"] == {"crashes": 3, "host_hours": 1680.0}


@pytest.mark.parametrize(
    "given_rules, message",
    [
        ({"surprise": 1}, "gate has 'surprise'"),
        ([], "gate has"),
        ({"look_interval": "soon"}, "livepatch_look_interval is 'soon'"),
        ({"look_interval": 0}, "livepatch_look_interval is 0"),
        ({"control_hosts": "5%"}, "livepatch_control_hosts is '5%'"),
        ({"control_hosts": -1}, "livepatch_control_hosts is -1"),
        ({"stop_evidence": True}, "livepatch_stop_evidence is True"),
        ({"stop_evidence": "many"}, "livepatch_stop_evidence is 'many'"),
        ({"stop_evidence": 3, "hold_evidence": 4}, "is above livepatch_stop_evidence"),
        ({"on_alarm": "ignore"}, "livepatch_on_alarm is 'ignore'"),
        ({"report_only": "perhaps"}, "livepatch_report_only is 'perhaps'"),
        ({"history": {"crashes": 1}}, "expected a dictionary with crashes, hosts and days"),
        ({"history": {"crashes": 1, "hosts": 0, "days": 14}}, "hosts is 0"),
        ({"history": {"crashes": 1, "hosts": 5, "days": 3}}, "days is 3: expected a number of at least 7"),
        ({"history": {"crashes": "nan", "hosts": 5, "days": 7}}, "crashes is 'nan'"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(given_rules, message):
    with pytest.raises(RolloutError, match=message):
        rules.parse(given_rules)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.lists(st.integers(), max_size=2)
)


@given(st.dictionaries(st.sampled_from(sorted(rules.DEFAULTS)), VALUES))
def test_whatever_is_given_as_rules_is_numbers_or_a_clear_error(given_rules):
    try:
        found = rules.parse(given_rules)
    except RolloutError as error:
        assert "expected" in str(error)
    else:
        assert found["look_interval"] >= 1 and found["stop_evidence"] > 1
