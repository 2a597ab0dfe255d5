# Tests of what people say to a rollout from outside, and of the rules they give it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal, overrides
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.plugin_utils.rollouts import Rollout, hosts


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "web.jsonl")


def ids(entries):
    return {entry["id"] for entry in entries}


def test_what_was_said_is_taken_once_and_in_its_order(path):
    first = overrides.say(path, "pause", "ann", "lunch")
    second = overrides.say(path, "resume", "bob", "back again")
    entries = overrides.new(path, set())
    assert [(entry["id"], entry["override"], entry["user"], entry["reason"]) for entry in entries] == [
        (first, "pause", "ann", "lunch"),
        (second, "resume", "bob", "back again"),
    ]
    assert [entry["id"] for entry in overrides.new(path, {first})] == [second]
    assert overrides.new(path, {first, second}) == []


def test_what_is_said_after_the_file_was_tidied_away_or_left_behind_is_taken(path):
    taken = {overrides.say(path, "pause", "ann", f"reason {turn}") for turn in range(3)}
    os.remove(overrides.path(path))
    assert overrides.new(path, taken) == []
    identity = overrides.say(path, "abort", "ann", "now")
    assert ids(overrides.new(path, taken)) == {identity}


def test_whether_something_was_taken_is_told_by_the_journal(path):
    identity = overrides.say(path, "abort", "ann", "now")
    journal = [{"kind": "rollout"}, {"kind": "override", "id": "another"}]
    assert not overrides.is_taken(journal, identity)
    assert overrides.is_taken(journal + overrides.new(path, set()), identity)


def test_what_was_said_last_or_holds_already_need_not_be_said_again(path):
    state = SimpleNamespace(overrides=set(), paused=None, aborted=None)
    assert not overrides.holds(path, state, "pause", "lunch")
    first = overrides.say(path, "pause", "ann", "lunch")
    assert overrides.holds(path, state, "pause", " lunch ") == first
    assert not overrides.holds(path, state, "pause", "dinner")
    overrides.say(path, "resume", "ann", "back again")
    assert not overrides.holds(path, state, "pause", "lunch"), "it was taken back"
    state.overrides = ids(overrides.new(path, set()))
    state.paused = {"id": first, "override": "pause", "reason": "lunch"}
    assert overrides.holds(path, state, "pause", "lunch") == first and not overrides.holds(path, state, "abort", "lunch")
    overrides.say(path, "promote", "ann", "enough", 2)
    assert overrides.holds(path, state, "promote", "enough", 2) and not overrides.holds(path, state, "promote", "enough", 3)
    assert not overrides.holds(path, state, "pause", "lunch"), "something else was said since"


def test_who_asks_for_no_more_than_a_stop_takes_no_rollback_back_and_need_not_be_heard():
    rollout = Rollout(hosts(2))
    rollout.say("rollback")
    rollout.say("abort")
    assert rollout.state.aborted["override"] == "rollback"
    assert overrides.holds("/none/web.jsonl", rollout.state, "abort", "another reason") == rollout.state.aborted["id"]
    assert not overrides.holds("/none/web.jsonl", rollout.state, "rollback", "another reason")
    stopped = Rollout(hosts(2))
    stopped.say("abort")
    stopped.say("rollback")
    assert stopped.state.aborted["override"] == "rollback"


def test_where_nobody_has_said_anything_there_is_nothing(path):
    assert overrides.new(path, set()) == []


def write(path, *lines, end=b"\n"):
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    with open(overrides.path(path), "ab") as stream:
        stream.write(b"\n".join(texts) + end)


BY_HAND = {"kind": "override", "override": "abort", "user": "ann", "reason": "now"}


@pytest.mark.parametrize(
    "line",
    [
        b"abort!",
        b'{"kind": "override"',
        b"[]",
        b"7",
        b"\xff\xfe\x1b[2J",
        b"[" * 50000,
        b'{"a": "' + b"x" * 200000 + b'"}',
        {**BY_HAND, "kind": "note"},
        {key: BY_HAND[key] for key in ("override", "user", "reason")},
        {**BY_HAND, "override": "report_only"},
        {**BY_HAND, "override": ["abort"]},
        {**BY_HAND, "override": "promote"},
        {**BY_HAND, "override": "promote", "tier": True},
        {**BY_HAND, "override": "promote", "tier": 10**9},
        {**BY_HAND, "reason": None},
        {**BY_HAND, "user": " "},
    ],
)
def test_a_line_that_is_no_override_is_left_out_and_said_once(path, line):
    write(path, line)
    identity = overrides.say(path, "abort", "ann", "now")
    unread, abort = overrides.new(path, set())
    assert (unread["kind"], abort["id"]) == ("override_unread", identity)
    words = overrides.unread(unread)
    assert "is left out, as it is no override" in words and words.isprintable() and len(words) < 400
    assert overrides.new(path, ids([unread, abort])) == []


def test_a_line_that_is_still_being_written_is_taken_when_it_is_whole(path):
    write(path, BY_HAND, b'{"kind": "override", "overr', end=b"")
    assert [entry["override"] for entry in overrides.new(path, set())] == ["abort"]
    write(path, b'ide": "pause", "user": "bob", "reason": "lunch"}')
    assert [entry["override"] for entry in overrides.new(path, set())] == ["abort", "pause"]


def test_a_line_written_by_hand_is_taken_once_whatever_it_has_besides(path):
    write(path, {**BY_HAND, "id": "../../x", "time": 5, "number": {}, "reason": "a\x1b[1mb"})
    (entry,) = overrides.new(path, set())
    assert set(entry) == {"kind", "id", "override", "user", "reason"} and entry["reason"] == "a [1mb"
    assert overrides.new(path, {entry["id"]}) == []
    assert ids(overrides.new(path, set())) == {entry["id"]}, "its id is the same each time"


FIELDS = st.sampled_from([*BY_HAND, "id", "tier", "time"])
CONTENT = st.none() | st.integers() | st.text(max_size=9) | st.sampled_from([*overrides.OVERRIDES, "override"])
LINES = st.dictionaries(FIELDS, CONTENT).map(lambda line: json.dumps(line).encode())


@given(st.lists(st.binary(max_size=60) | LINES))
@settings(max_examples=150, deadline=None, database=None, derandomize=True)
def test_no_bytes_of_the_file_raise(tmp_path_factory, lines):
    path = str(tmp_path_factory.mktemp("said") / "web.jsonl")
    write(path, *lines)
    entries = overrides.new(path, set())
    assert len(ids(entries)) == len(entries)
    for entry in entries:
        assert json.dumps(entry).isprintable() and len(json.dumps(entry)) < 5000
    assert overrides.new(path, ids(entries)) == []


def test_a_file_that_cannot_be_read_is_a_clear_error_as_nobody_would_be_heard(path):
    os.mkdir(overrides.path(path))
    with pytest.raises(RolloutError, match="What was said to the rollout cannot be read: .* Is a directory"):
        overrides.new(path, set())


def begin(directory, rollout, release, *entries):
    path = str(directory / f"{rollout}.jsonl")
    entries = [{"kind": "rollout", "rollout": rollout, "release": release}, {"kind": "run"}, *entries]
    journal.append(path, journal.stamped(entries, 1))
    return path


def test_the_rollouts_of_a_release_that_are_not_over_are_found_by_its_name_and_by_their_own(tmp_path):
    end = {"kind": "end", "result": "complete"}
    paths = [
        begin(tmp_path, "hotfix3-eu", "hotfix3"),
        begin(tmp_path, "hotfix3-us", "hotfix3", {"kind": "end", "result": "stopped"}),
        begin(tmp_path, "hotfix3-waits", "hotfix3", {"kind": "end", "result": "waiting"}),
        begin(tmp_path, "hotfix3-again", "hotfix3", end, {"kind": "rollout", "rollout": "x", "release": "x"}, {"kind": "run"}),
        begin(tmp_path, "hotfix3-back", "hotfix3", end, {"kind": "rollback", "hosts": []}),
    ]
    begin(tmp_path, "hotfix3", "hotfix3", end)
    begin(tmp_path, "done", "hotfix3", {"kind": "rollback"}, {"kind": "end", "result": "rolled_back"}, {"kind": "takeover"})
    begin(tmp_path, "other", "hotfix4")
    (tmp_path / "broken.jsonl").write_bytes(b"\xff{\n")
    (tmp_path / "hotfix3.jsonl.lock").write_text("{}")
    (tmp_path / "folder.jsonl").mkdir()
    assert overrides.unfinished(str(tmp_path), "hotfix3") == sorted(paths)
    assert overrides.unfinished(str(tmp_path), "hotfix3-eu") == [paths[0]]
    assert overrides.unfinished(str(tmp_path), "hotfix5") == []
    assert overrides.unfinished(str(tmp_path / "none"), "hotfix3") == []


def test_a_rollout_with_builds_is_known_by_what_its_livepatches_are_called_too(tmp_path):
    def build(livepatch):
        return {"kind": "build", "kernel_release": "6.1.0-1", "package": "x-1-1.noarch", "livepatch": livepatch}

    rollout = {"kind": "rollout", "rollout": "newest", "release": "newest"}
    path = begin(tmp_path, "newest", "newest", build("kpatch_1_4"), rollout, build("kpatch_1_5"), build(None))
    begin(tmp_path, "web", "hotfix3")
    assert overrides.unfinished(str(tmp_path), "kpatch_1_5") == [path] == overrides.unfinished(str(tmp_path), "newest")
    assert overrides.unfinished(str(tmp_path), "kpatch_1_4") == [], "that was brought by a round before"
    journal.append(path, journal.stamped([{"kind": "end", "result": "complete"}], 2))
    assert overrides.unfinished(str(tmp_path), "kpatch_1_5") == []


def test_of_a_long_journal_the_end_tells_whether_it_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(overrides, "TAIL", 1000)
    looks = [{"kind": "look", "host": f"web{number}"} for number in range(100)]
    path = begin(tmp_path, "web", "hotfix3", {"kind": "end", "result": "complete"}, *looks)
    assert overrides.unfinished(str(tmp_path), "hotfix3") == [path], "what its end does not tell is not taken for over"
    journal.append(path, journal.stamped([{"kind": "end", "result": "complete"}], 2))
    assert overrides.unfinished(str(tmp_path), "hotfix3") == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("stop", "ann", "x"), "override is 'stop': expected one of pause"),
        (("report_only", "ann", "x"), "override is 'report_only': expected one of pause"),
        (("abort", "ann", ""), "is not a reason"),
        (("abort", "ann", "two\nlines"), "is not a reason"),
        (("promote", "ann", "enough"), "give the tier's number"),
    ],
)
def test_what_makes_no_sense_is_refused_and_not_written(path, arguments, message):
    with pytest.raises(RolloutError, match=message):
        overrides.say(path, *arguments)
    assert overrides.new(path, set()) == []


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
    entries = overrides.new(path, set())
    assert len(entries) == 80
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
