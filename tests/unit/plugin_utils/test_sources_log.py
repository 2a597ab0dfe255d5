# Tests of the kernel's alarms in logs that reach the controller.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import gzip
import json
import os
import time

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import events, log, sources
from hypothesis import given, settings
from hypothesis import strategies as st

SETTINGS = settings(max_examples=150, deadline=None, database=None, derandomize=True)
NOW = 1_800_000_000
SINCE = NOW - 3600
ARMS = {"patched": ["web1", "web2"], "control": ["web3"], "addresses": {"web1": "10.0.0.1", "web2": "10.0.0.2"}}
PANIC = "Kernel panic - not syncing: Fatal exception"
OOPS = "BUG: kernel NULL pointer dereference, address: 0000000000000000"


@pytest.fixture
def logs(tmp_path):
    return Logs(tmp_path / "logs")


class Logs:
    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()

    def write(self, name, *lines, changed=NOW):
        path = self.directory / name
        path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
        os.utime(path, (changed, changed))
        return path

    def read(self, arms=None, now=NOW, **changes):
        spec = {"name": "l", "type": "log", "directory": str(self.directory), **changes}
        return sources.read(sources.check([spec])[0], arms or ARMS, SINCE, now, None)


def iso(moment):
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(moment))


def syslog(moment):
    return time.strftime("%b %e %H:%M:%S", time.localtime(moment))


FORMS = [
    ("ISO and syslog's tag", f"{iso(NOW - 60)} web1 kernel: [  123.456789] {PANIC}", NOW - 60),
    ("ISO and a short name", f"{iso(NOW - 60)} web1.example.com kernel: {PANIC}", NOW - 60),
    ("ISO alone", f"{iso(NOW - 60)} [  123.456789] {PANIC}", NOW - 60),
    ("ISO and an address", f"{iso(NOW - 60)} 10.0.0.1: {PANIC}", NOW - 60),
    ("the classic syslog", f"{syslog(NOW - 60)} web1 kernel: [  123.456789] {PANIC}", NOW - 60),
    ("syslog with a priority", f"<2>{syslog(NOW - 60)} web1 kernel: {PANIC}", NOW - 60),
    ("the newer syslog", f"<2>1 {iso(NOW - 60)} web1 kernel - - - {PANIC}", NOW - 60),
    ("netconsole", f"[  123.456789] {PANIC}", NOW),
    ("netconsole with its caller", f"[  123.456789][ T1234] {PANIC}", NOW),
    ("netconsole with a level", f"<0>[  123.456789] {PANIC}", NOW),
    ("extended netconsole", f"0,4711,123456789,-;{PANIC}", NOW),
    ("extended netconsole with a release", f"6.12.0-amd64,0,4711,123456789,-,caller=T12;{PANIC}", NOW),
    ("nothing before it", PANIC, NOW),
]


@pytest.mark.parametrize("line, moment", [form[1:] for form in FORMS], ids=[form[0] for form in FORMS])
def test_an_alarm_is_found_in_every_form_of_log(logs, line, moment):
    logs.write("web1.log", "something before", line, "something after")
    found = logs.read()
    (event,) = found["events"]
    assert (event["host"], event["kind"], event["time"], event["text"]) == ("web1", "crash", moment, PANIC)
    assert set(event) == {"host", "kind", "time", "signature", "text"}
    assert (found["status"], found["verdict"], found["patched"], found["control"]) == ("ok", "pass", 1, 0)
    assert found["reason"] == "l: 1 kernel alarms on 2 patched hosts, 0 on 1 control host; 1 files changed since the rollout began"
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    "line",
    [
        f"{iso(NOW - 60)} web1 sshd[12]: {PANIC}",
        f"{iso(NOW - 60)} web1 root: {PANIC}",
        f"<14>{syslog(NOW - 60)} web1 root: {PANIC}",
        f"{iso(NOW - 60)} web1 sshd[12]: Invalid user Watchdog detected hard LOCKUP on cpu",
        f"12,4711,123456789,-;{PANIC}",
        f"{iso(NOW - 60)} web1 kernel: usb 1-1: {PANIC}",
        "",
        "[",
    ],
)
def test_what_programs_say_is_no_alarm(logs, line):
    logs.write("web1.log", line)
    assert logs.read()["events"] == []


def test_the_lines_of_one_alarm_are_one_event_and_its_signature_names_the_function(logs):
    begin = f"{iso(NOW - 60)} web1 kernel: "
    logs.write(
        "web1.log",
        begin + "[ 12.000000] " + OOPS,
        begin + "[ 12.000001] Oops: 0002 [#1] SMP",
        begin + "[ 12.000002] RIP: 0010:do_harm+0x12/0x30 [bad]",
        begin + "[ 12.000003] ---[ end trace 0000000000000000 ]---",
    )
    (event,) = logs.read()["events"]
    assert (event["kind"], event["signature"]) == ("oops", "oops:do_harm")


def test_two_equal_alarms_have_each_their_own_time(logs):
    logs.write("web1.log", *[f"{iso(NOW - age)} web1 kernel: [{500 - age}.5] {PANIC}" for age in (90, 60, 30)])
    assert [event["time"] for event in logs.read()["events"]] == [NOW - 90, NOW - 60, NOW - 30]


def test_an_alarm_from_before_the_rollout_does_not_count(logs):
    logs.write("web1.log", f"{iso(SINCE - 1)} web1 kernel: {PANIC}", f"{iso(SINCE)} web1 kernel: {OOPS}", f"{iso(NOW)} web1 kernel: ok")
    assert [event["kind"] for event in logs.read()["events"]] == ["oops"]


def test_without_a_time_an_alarm_is_dated_by_the_kernels_clock_back_from_the_last_line(logs):
    logs.write(
        "web1.log",
        f"[  100.000000] {PANIC}",  # of an earlier boot: at the latest when the next one began
        "[    0.000000] Linux version 6.12",
        f"[ 1000.000000] {OOPS}",
        "[ 5000.000000] usb 1-1: new device",
        "[ 4999.900000] usb 1-1: out of order",
    )
    found = logs.read()["events"]
    assert [event["kind"] for event in found] == []  # 1000 is 4000 s ago, before the rollout
    logs.write("web1.log", f"[  100.000000] {PANIC}", "[    0.000000] Linux", f"[ 1000.000000] {OOPS}", "[ 1500.000000] usb")
    assert [(event["kind"], event["time"]) for event in logs.read()["events"]] == [
        ("crash", NOW - 1500),
        ("oops", NOW - 500),
    ]


def test_a_time_in_the_future_is_taken_for_now(logs):
    logs.write("web1.log", f"{iso(NOW + 3000)} web1 kernel: {PANIC}")
    assert logs.read()["events"][0]["time"] == NOW


def test_a_file_that_has_not_changed_since_the_rollout_began_is_not_read(logs):
    logs.write("web1.log", PANIC, changed=SINCE - 1)
    found = logs.read()
    assert found["events"] == [] and found["status"] == "ok"
    assert "0 files changed" in found["reason"]


@pytest.mark.parametrize(
    "name, host",
    [
        ("web1", "web1"),
        ("web1.log", "web1"),
        ("WEB1.LOG", "web1"),
        ("web1.log.1", "web1"),
        ("web1-20261002", "web1"),
        ("web1.2026-10-02.log", "web1"),
        ("10.0.0.1", "web1"),
        ("10.0.0.1.log", "web1"),
        ("10.0.0.1_netconsole.log", "web1"),
        ("web1-db.log", "web1-db"),
        ("web1-dc.log", None),
        ("web1-2.log", None),
        ("web1.example.com.log", "web1"),
        ("web1.example.com-20261002.log.1", "web1"),
        ("web1.bak", None),
        ("web1.tar.log", None),
        ("web10.log", None),
        ("10.0.0.11", None),
        ("log", None),
        (".log", None),
    ],
)
def test_a_file_belongs_to_the_host_whose_name_or_address_it_bears(logs, name, host):
    arms = {"patched": ["web1", "web1-db"], "control": [], "addresses": {"web1": "10.0.0.1"}}
    logs.write(name, PANIC)
    logs.write("web1-db", "so that one file is ours")
    assert [event["host"] for event in logs.read(arms)["events"]] == ([host] if host else [])


def test_a_file_with_a_short_name_belongs_to_the_host_whose_long_name_begins_with_it(logs):
    arms = {"patched": ["web1.example.com"], "control": ["db1.eu.example.com", "db1.us.example.com"]}
    for name in ("web1.log", "db1.log"):
        logs.write(name, PANIC)
    assert [event["host"] for event in logs.read(arms)["events"]] == ["web1.example.com"]


def test_files_of_two_domains_for_one_host_hold_as_one_of_them_is_another_machine(logs):
    logs.write("web1.eu.example.com.log", "ok")
    logs.write("web1.us.example.com.log", "ok")
    found = logs.read()
    assert (found["status"], found["verdict"]) == ("missing", "hold") and "may both be web1" in found["reason"]


def test_a_file_of_a_host_that_is_no_longer_compared_shows_that_names_fit_and_is_not_read(logs):
    logs.write("web9.log", PANIC)
    found = logs.read({**ARMS, "addresses": {**ARMS["addresses"], "web9": "10.0.0.9"}})
    assert (found["status"], found["events"]) == ("ok", [])


def test_alarms_of_a_host_count_from_its_slice_on_and_after_its_crash_too(logs):
    logs.write("web1.log", f"{iso(NOW - 90)} web1 kernel: {OOPS}", f"{iso(NOW - 60)} web1 kernel: {PANIC}")
    logs.write("web9.log", f"{iso(NOW - 60)} web9 kernel: {PANIC}")
    arms = {**ARMS, "crashed": {"patched": ["web9"]}, "patched_at": {"web1": NOW - 70}}
    found = logs.read(arms)
    assert [(event["host"], event["kind"]) for event in found["events"]] == [("web1", "crash"), ("web9", "crash")]
    assert "2 kernel alarms on 3 patched hosts" in found["reason"]


def test_lines_that_name_only_unknown_hosts_hold(logs):
    path = logs.write("all", *[f"{iso(NOW - 60)} db{number} kernel: [1.0] {PANIC}" for number in range(9)])
    spec = {"directory": str(path), "pattern": r"^\S+ (?P<host>\S+) kernel:", "rule": {"max": 0}, "on_violation": "stop"}
    found = logs.read(**spec)
    assert (found["status"], found["verdict"]) == ("missing", "hold")
    assert "names a host of this rollout, but db0, db1, db2 and 6 more: expected inventory names" in found["reason"]
    logs.write("all", f"{iso(NOW - 60)} db1 kernel: {PANIC}", f"{iso(NOW - 60)} web1.example.com kernel: {PANIC}")
    assert logs.read(**spec)["verdict"] == "stop"


def test_a_file_name_made_to_break_a_pattern_does_not_take_long(logs):
    begin = time.monotonic()
    logs.write("web1" + "-2026-10-02" * 20 + "-1x", PANIC)
    logs.write("web1" + ".1" * 120 + "x", PANIC)
    logs.read()
    assert time.monotonic() - begin < 2


def test_a_directory_in_which_nothing_is_named_after_a_host_is_missing(logs):
    logs.write("router.log", PANIC)
    logs.write("web9.log", PANIC)
    found = logs.read()
    assert (found["status"], found["verdict"]) == ("missing", "hold")
    assert "none of the 2 files in" in found["reason"] and "is named after a host of this rollout" in found["reason"]


def test_an_empty_directory_is_silence(logs):
    assert logs.read()["verdict"] == "pass"


def test_a_directory_that_is_not_there_or_cannot_be_read_is_missing(logs, tmp_path):
    assert "cannot be read: No such file or directory" in logs.read(directory=str(tmp_path / "none"))["reason"]
    path = logs.write("web1.log", PANIC)
    found = logs.read(directory=str(path))
    assert found["status"] == "missing" and "is no directory: expected one with a file for each host" in found["reason"]
    assert "Not a directory" in logs.read(directory=str(path) + "/x")["reason"]


def test_silence_is_a_hold_only_where_stale_after_was_given(logs):
    logs.write("web1.log", "ok", changed=NOW - 600)
    assert logs.read()["verdict"] == "pass"
    assert logs.read(stale_after="10m")["verdict"] == "pass"
    found = logs.read(stale_after="9m")
    assert found["verdict"] == "hold" and "changed for 540 s: the last change was 600 s ago" in found["reason"]
    os.remove(logs.directory / "web1.log")
    assert "it is empty" in logs.read(stale_after="9m")["reason"]


def test_one_file_for_all_names_the_host_in_each_line(logs):
    path = logs.write(
        "all",
        f"{iso(NOW - 60)} web1 kernel: [1.0] {OOPS}",
        f"{iso(NOW - 60)} web3 kernel: [1.0] {PANIC}",
        f"{iso(NOW - 60)} web2 kernel: [1.0] ok",
        f"{iso(NOW - 60)} db9 kernel: [1.0] {PANIC}",
        f"{iso(NOW - 60)} 10.0.0.2 kernel: [1.0] {PANIC}",
        "nonsense",
    )
    pattern = r"^\S+ (?P<host>\S+) kernel:"
    for directory in (str(path), str(logs.directory)):
        found = logs.read(directory=directory, pattern=pattern)
        assert sorted((event["host"], event["kind"]) for event in found["events"]) == [
            ("web1", "oops"),
            ("web2", "crash"),
            ("web3", "crash"),
        ]
        assert (found["patched"], found["control"]) == (2, 1)


def test_a_rule_counts_the_alarms_of_patched_hosts(logs):
    logs.write("web1.log", f"{iso(NOW)} web1 kernel: {PANIC}")
    found = logs.read(rule={"max": 0}, on_violation="stop")
    assert (found["status"], found["verdict"]) == ("violated", "stop")
    assert "1 kernel alarms on 2 patched hosts, 0 on 1 control host: at most 0 allowed" in found["reason"]
    assert logs.read(rule={"max": 1})["status"] == "ok"
    assert logs.read(rule={"max": 0}, report_only=True)["verdict"] == "report"


def test_a_ratio_compares_alarms_per_host(logs):
    logs.write("web1.log", f"{iso(NOW)} web1 kernel: {PANIC}")
    logs.write("web3.log", f"{iso(NOW)} web3 kernel: {PANIC}")
    found = logs.read(rule={"max_ratio_to_control": 1})
    assert (found["patched"], found["control"], found["ratio"], found["status"]) == (1, 1, 0.5, "ok")


# What was not read is no pass


def test_of_a_long_file_the_end_is_read_and_a_gap_since_the_rollout_holds(logs, monkeypatch):
    monkeypatch.setattr(log, "MAX_FILE_BYTES", 1000)
    late = [f"{iso(NOW - 60)} web1 kernel: noise {number}" for number in range(100)]
    logs.write("web1.log", f"{iso(NOW - 70)} web1 kernel: {PANIC}", *late)
    found = logs.read()
    assert (found["status"], found["verdict"], found["lost"], found["events"]) == ("missing", "hold", 1, [])
    assert "web1.log is too long: its beginning was not read" in found["reason"]
    # Where the part that was read begins before the rollout, nothing of it is missing.
    old = [f"{iso(SINCE - 60)} web1 kernel: noise {number}" for number in range(100)]
    logs.write("web1.log", *old, f"{iso(NOW - 70)} web1 kernel: {PANIC}")
    found = logs.read()
    assert found["status"] == "ok" and len(found["events"]) == 1


def test_an_alarm_that_was_read_counts_whatever_was_not(logs, monkeypatch):
    monkeypatch.setattr(log, "MAX_FILE_BYTES", 1000)
    late = [f"{iso(NOW - 60)} web1 kernel: noise {number}" for number in range(100)]
    logs.write("web1.log", *late, f"{iso(NOW - 50)} web1 kernel: {PANIC}")
    found = logs.read(rule={"max": 0}, on_violation="stop")
    assert (found["status"], found["verdict"], len(found["events"])) == ("violated", "stop", 1)


def test_a_packed_or_unreadable_file_holds(logs, monkeypatch):
    path = logs.directory / "web1.log.1.gz"
    with gzip.open(path, "wb") as stream:
        stream.write(PANIC.encode())
    os.utime(path, (NOW, NOW))
    assert "web1.log.1.gz was packed since the rollout began" in logs.read()["reason"]
    os.remove(path)
    logs.write("web1.log", PANIC)

    def refuse(path, most):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(events, "tail", refuse)
    found = logs.read()
    assert found["verdict"] == "hold" and "web1.log cannot be read: Permission denied" in found["reason"]


@pytest.mark.parametrize("bound, most", [("MAX_FILES", 1), ("MAX_TOTAL_BYTES", 2)])
def test_more_than_the_bounds_of_a_reading_hold(logs, monkeypatch, bound, most):
    monkeypatch.setattr(log, bound, most)
    for number in range(1, 8):
        logs.write(f"web1.log.{number}", "x", changed=NOW - number)
    found = logs.read()
    assert found["verdict"] == "hold" and "web1.log.2 was left out" in found["reason"] and "more gaps" in found["reason"]
    assert found["lost"] >= 6


def test_more_entries_than_the_bound_hold(logs, monkeypatch):
    monkeypatch.setattr(log, "MAX_ENTRIES", 1)
    logs.write("web1.log", "x")
    logs.write("web1.log.1", "x")
    assert "has more than 1 entries" in logs.read()["reason"]


def test_a_reading_ends_when_its_time_is_over(logs):
    for number in range(1, 4):
        logs.write(f"web1.log.{number}", "x", changed=NOW - number)
    all_in_one = logs.write("all", *[f"web1: {number}" for number in range(3000)])
    ticks = iter(range(0, 10**6, 20))
    spec = {"name": "l", "type": "log", "directory": str(logs.directory), "timeout": 30}
    source = sources.check([spec])[0]
    found = log.read(source, sources.Arms(ARMS), SINCE, NOW, None, clock=lambda: next(ticks))
    assert any("was left out" in gap for gap in found.gaps)
    ticks = iter([0, 0, 0, 100] * 100)
    source = sources.check([{**spec, "directory": str(all_in_one), "pattern": "(?P<host>[^:]+)"}])[0]
    found = log.read(source, sources.Arms(ARMS), SINCE, NOW, None, clock=lambda: next(ticks))
    assert any("lines were not read in time" in gap for gap in found.gaps)


def test_a_flood_of_alarms_is_cut_and_counted(logs):
    logs.write("web1.log", *[f"{iso(NOW - 100)} web1 kernel: {PANIC}" for unused in range(50)])
    logs.write("web3.log", *[f"{iso(NOW - 100)} web3 kernel: {PANIC}" for unused in range(50)])
    found = logs.read()
    assert (found["patched"], found["control"]) == (50, 50)
    assert len(found["events"]) == 40 and found["lost"] == 60
    assert "60 further events are not in the journal" in found["reason"]


def test_pipes_links_and_directories_are_passed_over(logs, tmp_path):
    os.mkfifo(logs.directory / "web1.log")
    os.symlink("/etc/passwd", logs.directory / "web2.log")
    (logs.directory / "web3").mkdir()
    assert logs.read()["verdict"] == "pass"
    with pytest.raises(OSError, match="not a regular file"):
        events.tail(str(logs.directory / "web1.log"), 10)


def test_control_characters_of_a_log_do_not_reach_the_journal(logs):
    logs.write("web1.log", f"[1.0] {PANIC}".encode() + b"\x1b[31m\x07\xff" + b"x" * 9000)
    (event,) = logs.read()["events"]
    assert event["text"].isprintable() and len(event["text"]) <= 200 and len(event["signature"]) <= 200


@given(st.binary(max_size=300) | st.lists(st.sampled_from([form[1] for form in FORMS] + ["Oops: 0", "x", "<", "[1.0]", "\0"])).map("\n".join).map(str.encode))
@SETTINGS
def test_no_bytes_of_a_log_raise(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("logs")
    (directory / "web1").write_bytes(data)
    spec = {"name": "l", "type": "log", "directory": str(directory)}
    for changes in ({}, {"pattern": "(?P<host>web1)?"}):
        found = sources.read(sources.check([{**spec, **changes}])[0], ARMS, 0, NOW, None)
        assert found["status"] in ("ok", "missing")
        json.dumps(found, allow_nan=False)


@given(st.text(max_size=120))
@SETTINGS
def test_no_line_raises(text):
    line = log._line(text, {"web1"}, NOW)
    assert isinstance(line.text, str)
