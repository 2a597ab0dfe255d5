# Tests of the file of events.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import events as events_source
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import sources
from hypothesis import given, settings
from hypothesis import strategies as st

SETTINGS = settings(max_examples=150, deadline=None, database=None, derandomize=True)
NOW = 1_800_000_000
SINCE = NOW - 3600
ARMS = {"patched": ["web1", "web2"], "control": ["web3"], "addresses": {"web1": "10.0.0.1"}}
CRASH = {"host": "web1", "kind": "crash", "time": NOW - 60, "signature": "crash:do_harm", "text": "it died"}


@pytest.fixture
def events(tmp_path):
    return File(tmp_path / "events.jsonl")


class File:
    def __init__(self, path):
        self.path = path

    def write(self, *lines, end="\n"):
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        self.path.write_text("\n".join(texts) + end)
        os.utime(self.path, (NOW, NOW))
        return self

    def read(self, **changes):
        spec = {"name": "e", "type": "events", "path": str(self.path), **changes}
        return sources.read(sources.check([spec])[0], ARMS, SINCE, NOW, None)


def test_events_are_given_with_their_host_and_time(events):
    other = {"host": "web3", "kind": "nginx_restarts", "time": "2027-01-15T07:59:30Z"}
    found = events.write(CRASH, {**CRASH, "host": "10.0.0.1", "time": NOW - 30}, other).read()
    assert found["events"] == [
        {"host": "web1", "kind": "crash", "time": NOW - 60, "signature": "crash:do_harm", "text": "it died"},
        {"host": "web1", "kind": "crash", "time": NOW - 30, "signature": "crash:do_harm", "text": "it died"},
        {"host": "web3", "kind": "nginx_restarts", "time": NOW - 30, "signature": "nginx_restarts", "text": ""},
    ]
    assert (found["status"], found["verdict"], found["patched"], found["control"], found["lost"]) == ("ok", "pass", 2, 1, 0)
    assert found["reason"] == "e: 2 events on 2 patched hosts, 1 on 1 control host"
    json.dumps(found, allow_nan=False)


def test_what_does_not_count_is_counted_by_reason(events):
    found = events.write(
        CRASH, CRASH, {**CRASH, "host": "db9"}, {**CRASH, "time": SINCE - 2}, "{broken", "[]", {**CRASH, "kind": "a b"}
    ).read()
    assert len(found["events"]) == 1 and found["lost"] == 6 and found["status"] == "ok"
    for said in ("3 broken lines", "1 events of unknown hosts", "1 events from before the rollout", "1 duplicates"):
        assert said + " left out" in found["reason"]


def test_an_event_from_the_future_is_taken_for_now_and_said(events):
    found = events.write({**CRASH, "time": NOW + 60}, {**CRASH, "time": NOW + 61}).read()
    assert [event["time"] for event in found["events"]] == [NOW, NOW]
    assert "1 events dated more than 60 s in the future taken for now" in found["reason"]


@pytest.mark.parametrize(
    "change",
    [
        {"host": None}, {"host": 3}, {"kind": None}, {"kind": ""}, {"kind": "x" * 101}, {"kind": "1a"}, {"time": None},
        {"time": "soon"}, {"time": True}, {"time": "NaN"}, {"time": 10**400}, {"text": "x" * 70000},
    ],
)  # fmt: skip
def test_a_line_without_a_proper_host_kind_or_time_is_broken(events, change):
    found = events.write(CRASH, {**CRASH, **change}).read()
    assert found["lost"] == 1 and len(found["events"]) == 1


def test_a_line_that_is_still_being_written_counts_the_next_time(events):
    found = events.write(CRASH, json.dumps(CRASH)[:30], end="").read()
    assert (found["lost"], len(found["events"])) == (0, 1)
    assert len(events.write(CRASH, end="").read()["events"]) == 1


def test_a_file_that_is_no_file_of_events_is_missing(events):
    found = events.write("<html>", "no", "no").read()
    assert (found["status"], found["verdict"]) == ("missing", "hold")
    assert "has 3 lines and not one event: expected a JSON object a line" in found["reason"]


def test_an_empty_file_is_silence(events):
    assert events.write("").read()["verdict"] == "pass"


def test_a_file_that_is_not_there_is_missing(events, tmp_path):
    found = events.read()
    assert found["verdict"] == "hold" and "cannot be read: No such file or directory" in found["reason"]
    assert "not a regular file" in events.read(path=str(tmp_path))["reason"]


def test_silence_is_a_hold_only_where_stale_after_was_given(events):
    events.write(CRASH)
    os.utime(events.path, (NOW - 600, NOW - 600))
    assert events.read()["verdict"] == "pass"
    assert events.read(stale_after="10m")["verdict"] == "pass"
    found = events.read(stale_after="9m")
    assert found["verdict"] == "hold" and "did not change for 600 s, at most 540 s expected" in found["reason"]


def test_a_rule_limits_the_events_of_patched_hosts(events):
    events.write(CRASH, {**CRASH, "time": NOW})
    found = events.read(rule={"max": 1}, on_violation="stop")
    assert (found["status"], found["verdict"]) == ("violated", "stop")
    found = events.read(rule={"max_ratio_to_control": 2})
    assert found["status"] == "violated" and "no ratio, as the control is 0" in found["reason"]


def test_of_a_long_file_the_end_is_read_and_a_gap_since_the_rollout_holds(events, monkeypatch):
    monkeypatch.setattr(events_source, "MAX_BYTES", 1000)
    events.write(*[{**CRASH, "time": NOW - 100 + number} for number in range(30)])
    found = events.read()
    assert found["verdict"] == "hold" and "the file is longer than" in found["reason"] and found["events"]
    events.write(*[{**CRASH, "time": SINCE - 100 + number} for number in range(30)])
    assert events.read()["verdict"] == "pass"


def test_a_flood_of_events_is_cut_and_those_of_patched_hosts_stay(events):
    events.write(*[{**CRASH, "host": f"web{1 + number % 3}", "time": NOW - number} for number in range(300)])
    found = events.read()
    assert len(found["events"]) == 60 and found["lost"] == 240 and found["patched"] == 200
    assert "240 further events are not in the journal" in found["reason"]


EVENT = st.fixed_dictionaries({
    "host": st.sampled_from(["web1", "web3", "db"]) | st.text(max_size=4),
    "kind": st.sampled_from(["crash", "oops"]) | st.text(max_size=4),
    "time": st.sampled_from([NOW, "2027-01-15T08:00:00Z"]) | st.floats() | st.integers() | st.text(max_size=20) | st.none(),
}, optional={"signature": st.text() | st.integers() | st.lists(st.none()), "text": st.text() | st.none()})


@given(st.lists(EVENT.map(lambda event: json.dumps(event).encode()) | st.binary(max_size=50)).map(b"\n".join))
@SETTINGS
def test_no_bytes_of_a_file_raise(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("events") / "events"
    path.write_bytes(data)
    found = sources.read(sources.check([{"name": "e", "type": "events", "path": str(path)}])[0], ARMS, 0, NOW, None)
    assert found["status"] in ("ok", "missing")
    assert all(event["time"] <= NOW for event in found["events"])
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("line", ["[" * 50000, '{"host":' * 5000, "9" * 60000])
def test_a_line_made_to_break_a_parser_is_broken(events, line):
    assert events.write(CRASH, line).read()["lost"] == 1
