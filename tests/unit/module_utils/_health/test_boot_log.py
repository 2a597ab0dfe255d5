# The log of this boot: what is new, what was there before, and what the journal fills in.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.module_utils._health import boot_log
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.kernel_log import LOST, READ, Reading, Record

OTHER = "BUG: sleeping function called"
COUNTERS = {"oops_count": 0, "warn_count": 3}


def warning(sequence, name="f", seconds=None):
    text = "WARNING: CPU: 0 PID: 1 at a.c:1 %s+0x1/0x2" % name
    return Record(sequence, float(sequence) if seconds is None else seconds, 4, True, text)


def plain(sequence):
    return Record(sequence, float(sequence), 6, True, "line %d" % sequence)


def log(
    earlier=(), records=(), status=READ, begin=100, journal=(), since_boot=None, reason=None, journal_status="read"
):
    asked = []

    def ask(boot):
        asked.append(boot)
        return boot_log.Journal(list(journal), 0.0, 1.0, journal_status, reason)

    reading = Reading(list(records), 500, status, "lost" if status == LOST else None, list(earlier))
    found = boot_log.BootLog(reading, begin, since_boot, ask)
    found.asked = asked
    return found


def new(found):
    return [(alarm.signature, alarm.sequence) for alarm in found.new_alarms()]


def test_alarms_before_the_window_are_known_and_not_new():
    found = log([warning(10), warning(20), warning(30, "g")], [warning(120, "h"), warning(130)])
    assert new(found) == [("warning:h", 120), ("warning:f", 130)]
    assert found.known_signatures() == {"warning:f", "warning:g"}


def test_an_alarm_that_was_being_written_when_the_window_began_is_not_told_again():
    found = log(
        [Record(99, 99.0, 4, True, "kernel BUG at a.c:1!")], [Record(100, 99.1, 4, True, "Oops: 0002 [#1] SMP")]
    )
    assert new(found) == []


def test_the_journal_is_not_asked_while_the_kernel_has_its_records():
    assert log([plain(1)], [warning(120)]).asked == []


def test_what_the_kernel_has_lost_is_taken_from_the_journal():
    journal = [warning(1, "old", 50.0), warning(2, "gap", 110.0), warning(3, "kept", 120.0)]
    found = log([plain(99)], [warning(120, "kept")], LOST, journal=journal)
    assert found.asked == [boot_log.THIS_BOOT]
    assert new(found) == [("warning:gap", None), ("warning:kept", 120)]
    assert found.known_signatures() == {"warning:old"}
    assert (found.journal_status, found.reasons) == ("read", ["lost"])


def test_a_gap_at_the_beginning_of_the_window_begins_at_its_time():
    journal = [warning(1, "old", 50.0), warning(2, "gap", 110.0)]
    found = log([], [plain(120)], LOST, journal=journal, since_boot=100.0)
    assert (new(found), found.known_signatures()) == ([("warning:gap", None)], {"warning:old"})


def test_a_window_that_begins_with_the_boot_takes_all_of_the_journal():
    assert len(new(log([], [plain(120)], LOST, begin=0, journal=[warning(1, "old", 0.5)]))) == 1


def test_without_the_time_of_the_window_the_journal_cannot_fill_the_gap_and_that_is_said():
    found = log([], [warning(120)], LOST, journal=[warning(1, "gap", 110.0)])
    assert new(found) == [("warning:f", 120)]
    assert found.reasons == [
        "lost",
        "since.time is not known: the journal has older messages, but not which of them are older than since.sequence. "
        "Hand on since.time with the rest.",
    ]


def test_messages_that_came_after_the_log_was_read_belong_to_the_next_window():
    assert new(log([plain(99)], [plain(120)], LOST, journal=[warning(9, "late", 121.0)])) == []


def test_what_the_journal_could_not_give_is_said():
    found = log([], [], LOST, reason="journal: no", journal_status="unreadable")
    assert (found.journal_status, found.reasons) == ("unreadable", ["lost", "journal: no"])


def test_counters_that_exceed_a_log_with_losses_are_said():
    found = log([warning(10)], [warning(120)], LOST)
    assert found.uncounted(COUNTERS) == [
        "warn_count is 3, but the log has only 2 warnings of this boot: the others were overwritten, and may be of "
        "this window"
    ]
    assert log([], [], LOST).uncounted({"oops_count": 1, "warn_count": None}) == [
        "oops_count is 1, but the log has only 0 oopses and BUGs of this boot: the others were overwritten, and may be "
        "of this window"
    ]


def test_counters_that_a_whole_log_does_not_reach_are_no_reason():
    assert log([warning(10)], [], READ).uncounted(COUNTERS) == []


def test_what_ran_is_read_from_the_whole_log_also_from_before_the_window():
    lines = [Record(0, 0.0, 5, True, "x"), Record(5, 5.0, 5, True, "livepatch: 'a': patching complete")]
    history = log(lines, [warning(120)]).history("6.1.0", ["a", "b"])
    assert (history.at(1.0), history.at(120.0)) == ("6.1.0", "6.1.0-a")


def test_a_log_that_the_journal_has_made_whole_tells_what_ran_at_its_beginning():
    journal = [Record(0, 0.0, 5, True, "Linux version 6.1.0 (x) #1")]
    records = [Record(120, 120.0, 5, True, "livepatch: enabling patch 'a'")]
    assert log([], records, LOST, journal=journal, since_boot=1.0).history("6.1.0", ["a"]).at(1.0) == "6.1.0"
    assert log([], records, LOST).history("6.1.0", ["a"]).at(1.0) is None
