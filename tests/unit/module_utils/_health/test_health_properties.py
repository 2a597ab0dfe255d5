# Whatever files, dumps and answers hold: no exception, and a result that JSON can carry.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import shutil
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kernel.livepatch.plugins.module_utils._files import bounded, times
from ansible_collections.kernel.livepatch.plugins.module_utils._health import (
    boot_log,
    crash_events,
    dmesg,
    dumps,
    health,
    kernel_alarms,
    livepatch_log,
)
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log

NOW = 1800000000.5
PIECES = st.sampled_from(
    [
        "<4>",
        "<12>",
        "[   12.345678] ",
        "[    0.000000][  T12] ",
        "Linux version 6.1.0 (x)",
        "CPU: 0 PID: 9 Comm: cat Tainted: G 6.1.0 #1",
        "livepatch: enabling patch 'a'",
        "livepatch: 'a': patching complete",
        "livepatch: 'b': unpatching complete",
        "livepatch: 'a': starting patching transition",
        "Kernel panic - not syncing: ",
        "Fatal exception",
        "BUG: kernel NULL pointer dereference",
        "WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2",
        "Panic#1 Part1\n",
        "Oops#2 Part3\n",
        "\n",
        "\x00",
        "ä",
    ]
)
TEXT = st.lists(PIECES | st.text(max_size=8), max_size=25).map("".join)
NAMES = st.sampled_from(
    [
        b"dmesg-ramoops-0",
        b"dmesg-ramoops-1",
        b"dmesg-erst-7000000000000000001",
        b"dmesg-efi-180000000001001",
        b"dmesg-efi-99999999999999999999",
        b"dmesg-x-\xff",
        b"vmcore",
        b"vmcore-dmesg.txt",
        b"dmesg.txt",
        b"core.a.0.00000000000000000000000000000000.1.1800000000000000.zst",
        b"core.\\xff.0.00000000000000000000000000000000.1.99999999999999999",
        b"\xff\xfe",
        b"1800000000",
    ]
)
PLACES = st.sampled_from(
    [
        b"sys/fs/pstore/",
        b"var/lib/systemd/pstore/",
        b"var/lib/systemd/pstore/1/2/",
        b"var/crash/",
        b"var/crash/x/",
        b"cores/",
    ]
)
FIELD = st.none() | st.integers() | st.text(max_size=20) | st.lists(st.integers(-1, 300), max_size=5)
ENTRY = st.dictionaries(
    st.sampled_from(
        [
            "MESSAGE",
            "PRIORITY",
            "SYSLOG_FACILITY",
            "__REALTIME_TIMESTAMP",
            "__MONOTONIC_TIMESTAMP",
            "_SOURCE_MONOTONIC_TIMESTAMP",
        ]
    ),
    FIELD | st.sampled_from(["0", "4", "17", "1800000000000000"]) | TEXT,
)


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_refused(text):
    try:
        seconds = times.to_seconds(text)
    except ValueError:
        return
    assert times.to_seconds(times.to_text(seconds)) == min(max(seconds, 0), 253402300799)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_is_a_moment(seconds):
    assert len(times.to_text(seconds)) == 20


@given(TEXT)
def test_any_dump_is_read(text):
    records = dmesg.records(text)
    assert len(records) <= len(text.splitlines())
    evidence = crash_events.from_text("kdump", 1.0, text)
    crashes = crash_events.tell([evidence])
    assert len(crashes) == 1
    assert len(crashes[0].text) <= kernel_alarms.TEXT_CHARACTERS
    json.dumps(crashes)


@given(TEXT, st.booleans(), st.none() | st.lists(st.sampled_from("ab"), unique=True), st.floats(0, 1e9))
def test_any_log_of_livepatches_gives_a_release_or_none(text, whole, enabled, moment):
    history = livepatch_log.History(dmesg.records(text), whole, "6.1.0", enabled)
    assert history.at(moment) in (None, "6.1.0", "6.1.0-a", "6.1.0-b")


@given(st.integers(0, 255), st.text(max_size=200))
def test_any_answer_of_journalctl_is_read(code, output):
    journal = boot_log.read_journal(lambda *unused, **unused_too: (code, output, output), str, 0)
    assert journal.status in ("read", "absent", "truncated", "unreadable")


@given(st.lists(ENTRY, max_size=8))
def test_any_entries_of_the_journal_are_records_or_passed_over(entries):
    output = "\n".join(json.dumps(entry) for entry in entries)
    journal = boot_log.read_journal(lambda *unused, **unused_too: (0, output.encode("utf-8"), b""), str, 0)
    assert len(journal.records) <= len(entries)
    assert bool(journal.records) == (journal.end is not None)
    kernel_alarms.alarms(journal.records)


@given(st.text(max_size=80), st.text(max_size=60))
def test_any_name_of_a_core_dump_and_any_pattern_give_a_bounded_program(name, pattern):
    dump = dumps.parse_core_dump(name, 5.0, "/p", dumps._core_names("/cores/" + pattern, "/cores"))
    assert dump is None or (len(dump.comm) <= 64 and dump.comm.isprintable())


@given(st.text(max_size=60))
def test_any_name_in_pstore_has_a_time_or_none(name):
    for prefix in ("", "dmesg-efi-", "dmesg-erst-"):
        saved = dumps.saved_at(prefix + name)
        assert saved is None or saved >= 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(PLACES, NAMES, TEXT, st.integers(-5000, 5000)), max_size=8),
    st.sampled_from(["b0", "b1", None]),
    st.sampled_from(["2027-01-15T07:30:00Z", "2027-01-15T09:00:00Z", None]),
)
def test_any_tree_gives_a_result_that_json_can_carry(files, boot_id, moment):
    root = tempfile.mkdtemp()
    try:
        for place, name, text, age in [(b"proc/", b"uptime", "600.0 1", 0)] + files:
            path = os.path.join(os.fsencode(root), place, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if not os.path.isdir(path):
                with open(path, "w", encoding="utf-8") as stream:
                    stream.write(text)
                os.utime(path, (NOW - age, NOW - age))
        os.makedirs(os.path.join(root, "proc/sys/kernel/random"))
        with open(os.path.join(root, "proc/sys/kernel/random/boot_id"), "w") as stream:
            stream.write("b1")
        reading = kernel_log.Reading([], 1, "read", None, [])
        since = {"boot_id": boot_id, "sequence": None, "time": moment}
        result = health.look(since, root, lambda unused: reading, lambda: NOW, ["/var/crash"], ["/cores"])
        json.dumps(result).encode("utf-8")
        assert all(event["age_seconds"] >= 0 for event in result["events"])
        assert result["rebooted"] == (boot_id == "b0")
        assert not result["rebooted"] or "crash" in [event["kind"] for event in result["events"]]
        assert set(result["sources"].values()) <= {"read", "absent", "truncated", "unreadable"}
        assert not result["up_seconds"] or result["up_seconds"] <= result["window_seconds"]
    finally:
        shutil.rmtree(root)


@given(st.lists(st.sampled_from(["absent", "read", "truncated", "unreadable"]), min_size=1))
def test_the_worst_status_is_one_of_those_that_were_met(statuses):
    assert bounded.worst(statuses) in statuses
