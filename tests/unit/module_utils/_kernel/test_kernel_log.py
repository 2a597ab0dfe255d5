# Reading the kernel's log: positions, lost records, bounds, and a log that cannot be read.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import errno

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log
from tests.unit.fakes.kmsg import Kmsg, record


@pytest.fixture
def kmsg(monkeypatch):
    """Give the log its content: list of the bytes of records and errnos."""

    def give(items=(), refusal=None):
        device = Kmsg(items, refusal)
        monkeypatch.setattr(kernel_log, "os", device)
        return device

    return give


def test_a_record_is_read_with_its_dictionary_left_out():
    parsed = kernel_log.parse(b"4,215,1673639,-;acpi PNP0A03:00: fail\n SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A03:00\n")
    assert parsed == (215, 1.673639, 4, True, "acpi PNP0A03:00: fail")


def test_the_fields_that_later_kernels_add_are_passed_over():
    assert kernel_log.parse(b"6,339,5140900,-,caller=T1;NET: registered; twice").text == "NET: registered; twice"


def test_escaped_line_ends_are_line_ends_again():
    assert kernel_log.parse(b"4,1,1,-;one\\x0atwo").text == "one\ntwo"


@pytest.mark.parametrize("priority,kernel", [(0, True), (4, True), (7, True), (12, False), (13, False), (30, False)])
def test_what_a_program_wrote_is_told_from_what_the_kernel_wrote(priority, kernel):
    assert kernel_log.parse(record(1, "x", priority)).kernel is kernel


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"x",
        b"4,1,1;x",
        b"4,one,1,-;x",
        b"-4,1,1,-;x",
        b"4,1,1,-",
        b"\xff\xfe;\x00",
        b"4," + b"9" * 40 + b",1,-;x",
    ],
)
def test_what_is_no_record_is_none(data):
    assert kernel_log.parse(data) is None


def test_reading_begins_at_the_wanted_record_and_says_where_to_go_on(kmsg):
    kmsg([record(number, "line %d" % number) for number in range(5)])
    reading = kernel_log.read(3)
    assert [entry.text for entry in reading.records] == ["line 3", "line 4"]
    assert (reading.next_sequence, reading.status, reading.reason) == (5, "read", None)


def test_nothing_new_is_a_complete_reading(kmsg):
    kmsg([record(0, "old")])
    reading = kernel_log.read(1)
    assert (reading.records, reading.next_sequence, reading.status, reading.reason) == ([], 1, "read", None)


def test_where_a_log_ends_before_the_wanted_record_is_said_and_an_empty_one_says_nothing(kmsg):
    kmsg([record(number, "line %d" % number) for number in range(5)])
    assert kernel_log.read(9).next_sequence == 5
    kmsg([])
    assert kernel_log.read(9).next_sequence == 9


def test_what_came_before_the_wanted_records_is_kept_apart(kmsg):
    kmsg([record(number, "line %d" % number) for number in range(5)])
    reading = kernel_log.read(3)
    assert [entry.text for entry in reading.earlier] == ["line 0", "line 1", "line 2"]


def test_records_overwritten_before_they_were_read_are_reported_as_lost(kmsg):
    kmsg([record(10, "ten")])
    reading = kernel_log.read(4)
    assert (reading.status, reading.next_sequence) == ("lost", 11)
    assert "records 4 to 9" in reading.reason


def test_old_records_that_nobody_asked_for_may_be_overwritten(kmsg):
    kmsg([record(10, "ten"), record(11, "eleven")])
    assert kernel_log.read(11).status == "read"


def test_records_overwritten_while_reading_are_reported_and_reading_goes_on(kmsg):
    kmsg([record(0, "zero"), errno.EPIPE, record(7, "seven")])
    reading = kernel_log.read(0)
    assert [entry.sequence for entry in reading.records] == [0, 7]
    assert reading.status == "lost"


def test_a_log_that_may_not_be_read_is_said_and_not_hidden(kmsg):
    kmsg(refusal=errno.EPERM)
    reading = kernel_log.read()
    assert (reading.status, reading.records, reading.next_sequence) == ("unreadable", [], None)
    assert "Operation not permitted" in reading.reason


def test_a_log_that_breaks_while_it_is_read_is_unreadable(kmsg):
    device = kmsg([record(0, "zero"), errno.EIO])
    assert kernel_log.read().status == "unreadable"
    assert device.descriptors == 0


def test_of_more_records_than_are_kept_the_newest_are(kmsg, monkeypatch):
    monkeypatch.setattr(kernel_log, "MAX_RECORDS", 3)
    kmsg([record(number, "x") for number in range(5)])
    reading = kernel_log.read(0)
    assert [entry.sequence for entry in reading.records] == [2, 3, 4]
    assert (reading.status, reading.next_sequence) == ("truncated", 5)
    assert "records from 0 to 1" in reading.reason


def test_of_more_bytes_than_are_kept_the_newest_are(kmsg, monkeypatch):
    monkeypatch.setattr(kernel_log, "MAX_BYTES", 70)
    kmsg([record(number, "x" * 20) for number in range(5)])
    reading = kernel_log.read(0)
    assert [entry.sequence for entry in reading.records] == [3, 4] and reading.status == "truncated"


def test_a_long_log_before_the_wanted_records_takes_nothing_away_from_them(kmsg, monkeypatch):
    monkeypatch.setattr(kernel_log, "MAX_RECORDS", 3)
    kmsg([record(number, "x") for number in range(9)])
    reading = kernel_log.read(7)
    assert [entry.sequence for entry in reading.records] == [7, 8]
    assert [entry.sequence for entry in reading.earlier] == [6]
    assert (reading.status, reading.reason, reading.next_sequence) == ("read", None, 9)


def test_reading_stops_after_some_seconds_also_when_records_come_faster_than_they_are_read(kmsg):
    kmsg([errno.EPIPE] * 50)
    clock = iter([float(second) for second in range(60)])
    assert kernel_log.read(0, clock=lambda: next(clock)).status == "truncated"


def test_the_position_is_the_number_of_the_next_record_and_the_time(kmsg, monkeypatch):
    monkeypatch.setattr(kernel_log.reading, "boot_id", lambda: "b0")
    kmsg([record(41, "x")])
    position = kernel_log.position(now=lambda: 1800000000.7)
    assert position == {"boot_id": "b0", "sequence": 42, "time": "2027-01-15T08:00:00Z"}


def test_the_position_at_the_end_of_a_long_log_is_found_without_looking_at_its_records(kmsg, monkeypatch):
    monkeypatch.setattr(kernel_log, "MAX_RECORDS", 3)
    looked_at, parse = [], kernel_log.parse
    monkeypatch.setattr(kernel_log, "parse", lambda data: looked_at.append(data) or parse(data))
    kmsg([record(number, "x") for number in range(500)])
    assert kernel_log.position(now=lambda: 0.0)["sequence"] == 500
    assert len(looked_at) == 1


def test_the_position_in_an_unreadable_log_is_unknown_and_gives_no_lines(kmsg, monkeypatch):
    monkeypatch.setattr(kernel_log.reading, "boot_id", lambda: None)
    kmsg(refusal=errno.EACCES)
    position = kernel_log.position(now=lambda: 1800000000.7)
    assert position == {"boot_id": None, "sequence": None, "time": "2027-01-15T08:00:00Z"}
    assert kernel_log.lines_since(None, 5) == []
    assert kernel_log.lines_since(0, 5) == []


def test_the_last_lines_of_the_kernel_itself_are_given(kmsg):
    kmsg([record(0, "a"), record(1, "b"), record(2, "from a program", 12), record(3, "c")])
    assert kernel_log.lines_since(0, 2) == ["b", "c"]
    assert kernel_log.lines_since(1, 9) == ["b", "c"]
    assert kernel_log.lines_since(0, 0) == []
