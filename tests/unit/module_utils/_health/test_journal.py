# What journalctl answers, and when it cannot.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._health import boot_log

BOOTED = 1800000000.0


def entry(seconds, text, delay=0.0, **fields):
    known = {
        "__REALTIME_TIMESTAMP": "%d" % ((BOOTED + seconds + delay) * 1e6),
        "_SOURCE_MONOTONIC_TIMESTAMP": "%d" % (seconds * 1e6),
        "MESSAGE": text,
        "PRIORITY": "4",
        "SYSLOG_FACILITY": "0",
    }
    known.update(fields)
    return json.dumps({key: value for key, value in known.items() if value is not Ellipsis})


class Command(object):
    """Stands for AnsibleModule.run_command and remembers what was run."""

    def __init__(self, output="", code=0, errors=""):
        self.answer = code, output.encode("utf-8"), errors.encode("utf-8")

    def __call__(self, command, **keywords):
        assert isinstance(command, list) and keywords["environ_update"]["LC_ALL"] == "C"
        self.command = command
        return self.answer


def read(output="", code=0, errors="", boot=boot_log.PREVIOUS_BOOT, find="/bin/%s".__mod__):
    return boot_log.read_journal(Command(output, code, errors), find, boot)


@pytest.mark.parametrize("boot,option", [(boot_log.PREVIOUS_BOOT, "--boot=-1"), (boot_log.THIS_BOOT, "--boot=0")])
def test_the_question_is_bounded_in_lines_and_seconds(boot, option):
    command = Command(entry(1.0, "x"))
    boot_log.read_journal(command, "/bin/%s".__mod__, boot)
    words = ["/bin/timeout", "20", "/bin/journalctl", "--quiet", "--no-pager", "-k", option, "-n", "5000", "-o", "json"]
    assert command.command == words


@pytest.mark.parametrize("missing", ["journalctl", "timeout"])
def test_without_the_programs_there_is_no_journal_and_no_process(missing):
    def find(name):
        return None if name == missing else "/bin/" + name

    assert read(find=find)[3:] == ("absent", None)


def test_messages_are_records_with_the_time_of_their_boot():
    journal = read(entry(1.5, "one", 3.0) + "\n" + entry(2.0, "two", 0.5) + "\n")
    assert [
        (record.sequence, record.seconds, record.level, record.kernel, record.text) for record in journal.records
    ] == [
        (0, 1.5, 4, True, "one"),
        (1, 2.0, 4, True, "two"),
    ]
    assert (journal.booted, journal.end, journal.status, journal.reason) == (BOOTED + 0.5, BOOTED + 2.5, "read", None)


def test_what_a_program_wrote_into_the_kernels_log_is_told_apart():
    journal = read(entry(1.0, "BUG: x", SYSLOG_FACILITY="1"))
    assert not journal.records[0].kernel


def test_bytes_that_are_no_text_and_fields_that_are_missing_are_taken_as_they_are():
    lines = [
        entry(1.0, [66, 85, 71, 255]),
        entry(2.0, None),
        entry(3.0, "without a time", _SOURCE_MONOTONIC_TIMESTAMP=Ellipsis),
        entry(4.0, "x", _SOURCE_MONOTONIC_TIMESTAMP=Ellipsis, __MONOTONIC_TIMESTAMP="4000000", PRIORITY="9"),
        "-- No entries --",
        "[]",
        '{"MESSAGE": "x"}',
    ]
    assert [record.text for record in read("\n".join(lines)).records] == ["BUG\ufffd", "x"]


@pytest.mark.parametrize(
    "errors",
    [
        "Specifying boot ID or boot offset has no effect, no persistent journal was found.",
        "Data from the specified boot (-1) is not available: No such boot ID in journal",
        "No journal boot entry found for the specified boot offset (-1).",
        "No journal files were found.",
    ],
)
def test_a_boot_that_was_not_kept_is_absent(errors):
    assert read("", 1, errors)[3:] == ("absent", None)
    assert read("", 0)[3:] == ("absent", None)


def test_a_refusal_is_said():
    journal = read("", 1, "Failed to open\n journal: Bad message")
    assert journal.status == "unreadable"
    assert journal.reason == (
        "journal: expected journalctl to show it, found: Failed to open journal: Bad message. Use become."
    )
    assert "found: exit status 3." in read("", 3).reason


def test_a_journal_that_nobody_may_read_is_said():
    journal = read("", 0, "No journal files were opened due to insufficient permissions.")
    assert journal.status == "unreadable"
    assert journal.reason == "journal: expected to read it, found: insufficient permissions. Use become."


def test_an_answer_that_does_not_come_is_cut_off_and_what_came_is_used():
    journal = read(entry(1.0, "x") + '\n{"MESS', 124)
    assert (len(journal.records), journal.status) == (1, "truncated")
    assert "expected journalctl to answer within 20 seconds, it did not" in journal.reason


def test_as_many_lines_as_were_asked_for_are_not_all(monkeypatch):
    monkeypatch.setattr(boot_log, "MAX_LINES", 2)
    journal = read("\n".join([entry(1.0, "x"), entry(2.0, "x")]))
    assert (journal.status, journal.reason) == ("truncated", "journal: read only the last 2 messages of the kernel")


def test_an_answer_that_is_text_already_is_read_too():
    journal = boot_log.read_journal(lambda *unused, **unused_too: (0, entry(1.0, "x"), ""), "/bin/%s".__mod__, 0)
    assert len(journal.records) == 1
