# The log of this boot: what is new, what was there before, and what the journal fills in.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.module_utils._health import boot_log
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.kernel_log import LOST, READ, Reading, Record

OTHER = "BUG: sleeping function called"


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
    assert set(found.known()) == {"warning:f", "warning:g"}


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
    assert set(found.known()) == {"warning:old"}
    assert (found.journal_status, found.reasons) == ("read", ["lost"])


def test_a_gap_at_the_beginning_of_the_window_begins_at_its_time():
    journal = [warning(1, "old", 50.0), warning(2, "gap", 110.0)]
    found = log([], [plain(120)], LOST, journal=journal, since_boot=100.0)
    assert (new(found), set(found.known())) == ([("warning:gap", None)], {"warning:old"})


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


def test_what_comes_in_bursts_is_counted_by_its_bursts():
    found = log([], [warning(number, "f", seconds) for number, seconds in enumerate((100, 101, 109, 111, 300), 120)])
    assert found.signatures(400)["warning:f"][0] == 3
    every_second = [warning(number, "f") for number in range(100, 200)]
    assert log([], every_second).signatures(200)["warning:f"][0] == 10, "what never ends is no single burst"


def test_alarms_before_the_window_are_counted_with_the_time_of_which_the_log_tells():
    earlier = [warning(10, seconds=100.0), plain(11), warning(12, seconds=500.0)]
    assert log(earlier, since_boot=1100.0).known() == {"warning:f": (2, 1000.0)}
    whole = [plain(0)._replace(seconds=0.0)] + earlier
    assert log(whole, since_boot=1100.0).known() == {"warning:f": (2, 1100.0)}
    assert log(earlier).known() == {"warning:f": (2, 400.0)}, "without the time of the window, up to the last line"


def test_alarms_of_the_window_are_counted_with_the_time_of_which_the_log_tells():
    records = [warning(120, seconds=150.0)]
    assert log([plain(99)], records, since_boot=100.0).signatures(200.0) == {"warning:f": (1, 100.0)}
    assert log([], records, LOST, since_boot=100.0).signatures(200.0) == {"warning:f": (1, 50.0)}
    short = log([], records, LOST, journal=[plain(90), plain(140)], since_boot=100.0)
    assert (short.signatures(200.0), short.status) == ({"warning:f": (1, 50.0)}, LOST), "the journal ends too soon"
    filled = log([], records, LOST, journal=[plain(90), plain(150)], since_boot=100.0)
    assert filled.status == READ
    assert filled.signatures(200.0) == {"warning:f": (1, 100.0)}, "the journal has the rest"
    assert log([], records, begin=0).signatures(200.0) == {"warning:f": (1, 200.0)}


def test_an_alarm_that_was_being_written_when_the_window_began_tells_of_what_was_counted_in_it():
    assert log([warning(98), plain(99)], since_boot=100.0).told() == ["warning"]
    assert log([warning(90), plain(99)], since_boot=100.0).told() == [], "it was over long before"
    assert log([warning(98), plain(99)], since_boot=5000.0).told() == [], "so was one with no line after it"


def test_what_ran_is_read_from_the_whole_log_also_from_before_the_window():
    lines = [Record(0, 0.0, 5, True, "x"), Record(5, 5.0, 5, True, "livepatch: 'a': patching complete")]
    history = log(lines, [warning(120)]).history("6.1.0", ["a", "b"])
    assert (history.at(1.0), history.at(120.0)) == ("6.1.0", "6.1.0-a")


def test_a_log_that_the_journal_has_made_whole_tells_what_ran_at_its_beginning():
    journal = [Record(0, 0.0, 5, True, "Linux version 6.1.0 (x) #1")]
    records = [Record(120, 120.0, 5, True, "livepatch: enabling patch 'a'")]
    assert log([], records, LOST, journal=journal, since_boot=1.0).history("6.1.0", ["a"]).at(1.0) == "6.1.0"
    assert log([], records, LOST).history("6.1.0", ["a"]).at(1.0) is None
