# Tests of the file of events.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import time

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
    for said in ("3 broken lines", "1 events of unknown hosts (db9)", "1 events from before the rollout", "1 duplicates"):
        assert said + " left out" in found["reason"]


STOP = {"rule": {"max": 0}, "on_violation": "stop"}


def crashes(host, count=50):
    return [{**CRASH, "host": host, "time": NOW - number} for number in range(count)]


def test_events_of_none_but_unknown_hosts_are_missing_and_hold(events):
    found = events.write(*crashes("db1"), *crashes("db2.example.com")).read(**STOP)
    assert (found["status"], found["verdict"]) == ("missing", "hold")
    assert "names a host of this rollout, but db1, db2.example.com: expected inventory names or addresses" in found["reason"]
    known = {**CRASH, "time": SINCE - 9}
    found = events.write(*crashes("db1"), known).read(**STOP)
    assert (found["verdict"], found["lost"]) == ("pass", 51), "an old line of a known host shows that names fit"
    old = [{**CRASH, "host": "db1", "time": SINCE - 9}]
    assert events.write(*old).read(**STOP)["verdict"] == "pass", "nothing happened since"


@pytest.mark.parametrize(
    "name, host",
    [
        ("web1.example.com", "web1"),
        ("WEB1.Example.com.", "web1"),
        ("web1.example.com:9100", "web1"),
        ("web2.mgmt", "web2"),
        ("app1", "app1.eu.example.com"),
        ("app1.eu", "app1.eu.example.com"),
        ("app1.us", None),
        ("app1.us.example.com", None),
        ("db", None),
        ("db.example.com", None),
        ("db.eu.example.com", None),
        ("10", None),
        ("10.0.0", None),
        ("10.0.0.1.example.com", None),
        ("web", None),
        ("web1example.com", None),
    ],
)
def test_a_name_with_more_or_fewer_domains_means_a_host_where_no_other_begins_with_its_label(name, host):
    arms = sources.Arms({
        "patched": ["web1", "web2", "app1.eu.example.com"], "control": ["db.eu", "db.us"],
        "addresses": {"web1": "10.0.0.1", "web2": "web2.mgmt.example.com"},
    })  # fmt: skip
    assert arms.host(name) == host
    assert bool(arms.notes()) == bool(host) and arms.gaps() == []


def test_crashes_of_hosts_with_their_domain_stop_where_the_inventory_has_short_names(events):
    found = events.write(*crashes("web1.example.com")).read(**STOP)
    assert (found["verdict"], found["patched"]) == ("stop", 50)
    assert "web1.example.com is web1" in found["reason"]


def test_two_names_that_may_be_one_host_hold(events):
    found = events.write(*crashes("web1.eu.example.com", 1), *crashes("web1.us.example.com", 2)).read()
    assert (found["status"], found["verdict"], found["patched"]) == ("missing", "hold", 1)
    assert "web1.eu.example.com and web1.us.example.com may both be web1: let them be named as in the inventory" in found["reason"]


def test_an_event_of_a_host_that_is_no_longer_compared_is_not_one_of_an_unknown_host(events):
    spec = {"name": "e", "type": "events", "path": str(events.write(*crashes("web9", 2)).path), **STOP}
    arms = {**ARMS, "addresses": {"web9": "10.0.0.9"}}
    found = sources.read(sources.check([spec])[0], arms, SINCE, NOW, None)
    assert (found["verdict"], found["lost"]) == ("pass", 2) and "2 events of hosts on no arm left out" in found["reason"]


def test_what_happened_to_a_host_counts_on_although_it_has_crashed_and_is_compared_no_more(events):
    events.write(CRASH, {**CRASH, "host": "web3"})
    spec = {"name": "e", "type": "events", "path": str(events.path), "rule": {"max": 0}}
    arms = {"patched": ["web2"], "control": ["web4"], "crashed": {"patched": ["web1"], "control": ["web3"]}}
    found = sources.read(sources.check([spec])[0], arms, SINCE, NOW, None)
    assert (found["verdict"], found["patched"], found["control"]) == ("hold", 1, 1)
    assert "1 events on 2 patched hosts, 1 on 2 control hosts" in found["reason"]


def test_what_happened_to_a_host_before_it_was_patched_is_not_the_livepatchs(events):
    events.write(CRASH, {**CRASH, "host": "web2"})
    spec = {"name": "e", "type": "events", "path": str(events.path), **STOP}
    arms = {**ARMS, "patched_at": {"web1": NOW - 59.5, "web2": NOW - 59}}
    found = sources.read(sources.check([spec])[0], arms, SINCE, NOW, None)
    assert (found["verdict"], found["patched"]) == ("stop", 1), "a time in whole seconds may be rounded"
    arms["patched_at"]["web1"] = NOW - 50
    found = sources.read(sources.check([spec])[0], arms, SINCE, NOW, None)
    assert (found["verdict"], found["lost"]) == ("pass", 2)
    assert "2 events from before their host was patched left out" in found["reason"]


def test_a_long_file_is_read_in_a_time_that_grows_with_it(events):
    events.write(*crashes("web1", 40000))
    begin = time.monotonic()
    found = events.read()
    assert found["patched"] == 3601 and "36399 events from before the rollout left out" in found["reason"]
    assert time.monotonic() - begin < 10


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
