# What is reported of a host since a moment.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._health import boot_log, health
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.kernel_log import (
    LOST,
    READ,
    TRUNCATED,
    UNREADABLE,
    Reading,
    Record,
)

WARNING = "WARNING: CPU: 0 PID: 1 at a.c:1 alarm_show+0x1/0x2"
NOW = 1800000000.0
BEGIN = "2027-01-15T07:30:00Z"  # half an hour before; this boot began ten minutes before
FORMER_BOOT = NOW - 7200
SOURCES = {"kmsg": "read", "journal": "absent", "kdump": "absent", "pstore": "absent", "coredump": "absent"}
PANIC = "Kernel panic - not syncing: lab: the end"
FILES = {
    "proc/uptime": "600.25 1100.00\n",
    "proc/sys/kernel/random/boot_id": "b1\n",
    "proc/sys/kernel/osrelease": "6.1.0\n",
    "proc/modules": "hotfix1 16384 1 - Live 0x0 (OEK)\n",
    "sys/kernel/oops_count": "0\n",
    "sys/kernel/warn_count": "0\n",
    "sys/kernel/livepatch/hotfix1/enabled": "1\n",
    "sys/kernel/livepatch/hotfix1/transition": "0\n",
}


class Log(object):
    """Stands for kernel_log.read and remembers from where it was read."""

    def __init__(self, records=(), status=READ, reason=None, following=500, earlier=()):
        self.reading = Reading(list(records), following, status, reason, list(earlier))

    def __call__(self, sequence):
        self.sequence = sequence
        return self.reading


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


class Journals(object):
    """Stands for journalctl and remembers which boots it was asked for. journals: boot -> records."""

    def __init__(self, **journals):
        self.journals = journals
        self.asked = []

    def __call__(self, boot):
        self.asked.append(boot)
        records = self.journals.get("previous" if boot == boot_log.PREVIOUS_BOOT else "this", [])
        status = self.journals.get("status", "read" if records else "absent")
        end = FORMER_BOOT + records[-1].seconds if records else None
        return boot_log.Journal(records, FORMER_BOOT, end, status, self.journals.get("reason"))


@pytest.fixture
def put(root):
    """Write a file; age: seconds before now."""

    def put_file(path, text="", age=100):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        os.utime(str(target), (NOW - age, NOW - age))

    return put_file


def look(root, log=None, journal=None, **since):
    return health.look(
        since, str(root), log or Log(), lambda: NOW, ["/var/crash"], ["/cores", "/more"], journal or Journals()
    )


def events(result, *keys):
    return [tuple(event[key] for key in keys) for event in result["events"]]


def test_a_quiet_host_reports_who_it_is_and_no_event(root):
    result = look(root, boot_id="b1", sequence=400, time="2027-01-15T07:55:00Z")
    assert result == {
        "boot_id": "b1",
        "time": "2027-01-15T08:00:00Z",
        "window_seconds": 300,
        "up_seconds": 300,
        "signatures": {},
        "known_signatures": {},
        "uptime_seconds": 600,
        "rebooted": False,
        "effective_release": "6.1.0-hotfix1",
        "enabled": "hotfix1",
        "sequence": 500,
        "events": [],
        "events_left_out": 0,
        "taint": None,
        "counters": {"oops_count": 0, "warn_count": 0},
        "unseen": [],
        "sources": SOURCES,
        "reasons": [],
    }


def test_an_alarm_is_reported_with_the_time_it_happened_and_what_runs(root):
    event = look(root, Log([Record(450, 540.25, 4, True, WARNING)]))["events"][0]
    assert event == {
        "kind": "warning",
        "time": "2027-01-15T07:59:00Z",
        "age_seconds": 60,
        "source": "kmsg",
        "new": True,
        "sequence": 450,
        "signature": "warning:alarm_show",
        "text": WARNING,
        "effective_release": "6.1.0-hotfix1",
    }


def test_the_log_is_read_from_the_given_record_on(root):
    log = Log()
    look(root, log, boot_id="b1", sequence=400)
    assert log.sequence == 400


def test_what_came_after_the_position_is_not_told_as_older_though_the_clock_of_the_log_has_fallen_back(root):
    log = Log([Record(450, 100.0, 4, True, WARNING)])
    result = look(root, log, boot_id="b1", sequence=400, time="2027-01-15T07:55:00Z")
    assert events(result, "time", "age_seconds") == [("2027-01-15T07:55:00Z", 300)]
    result = look(root, log, boot_id="b1", time="2027-01-15T07:55:00Z")
    assert events(result, "time") == [("2027-01-15T07:51:39Z",)], "of the whole log it is not known"


def test_the_whole_log_of_a_machine_that_was_set_back_to_a_snapshot_is_told(root):
    class SetBack(Log):
        def __call__(self, sequence):
            own = [Record(number, 1.0 * number, 4, True, WARNING) for number in (150, 300)]
            return Reading([one for one in own if one.sequence >= sequence], 301, READ, None, [])

    result = look(root, SetBack(), boot_id="b1", sequence=400, time=BEGIN)
    assert events(result, "kind", "sequence", "new") == [("warning", 150, True), ("warning", 300, True)]
    assert result["sequence"] == 301 and "this machine was set back" in result["reasons"][0]
    assert look(root, SetBack(), boot_id="b1", sequence=301, time=BEGIN)["reasons"] == []


def test_a_reboot_is_a_crash_and_the_new_log_is_read_from_its_beginning(root):
    log = Log([Record(3, 1.0, 4, True, WARNING)])
    result = look(root, log, boot_id="b0", sequence=400)
    assert (result["rebooted"], log.sequence) == (True, 0)
    assert [event["kind"] for event in result["events"]] == ["crash", "warning"]
    crash = result["events"][0]
    assert (crash["time"], crash["sequence"], crash["effective_release"]) == ("2027-01-15T07:49:59Z", None, None)
    assert "boot id b1, expected b0" in crash["text"]


@pytest.mark.parametrize("since", [{}, {"boot_id": None, "sequence": None}, {"sequence": None}])
def test_without_a_moment_the_whole_boot_is_read_and_no_reboot_is_claimed(root, since):
    log = Log()
    result = look(root, log, **since)
    assert (result["rebooted"], log.sequence, result["events"]) == (False, 0, [])


def test_an_unreadable_log_is_said_and_the_rest_is_reported(root):
    result = look(root, Log(status=UNREADABLE, reason="cannot open /dev/kmsg", following=None), boot_id="b0")
    assert result["sources"] == dict(SOURCES, kmsg="unreadable")
    assert result["reasons"][0] == "cannot open /dev/kmsg"
    assert (result["rebooted"], result["sequence"]) == (True, None)


def test_a_flood_of_alarms_is_cut_and_counted(root):
    flood = [Record(number, 10.0 * number, 4, True, WARNING) for number in range(70)]
    result = look(root, Log(flood))
    assert (len(result["events"]), result["events_left_out"]) == (50, 20)


def test_what_this_kernel_does_not_count_is_null(root):
    (root / "sys/kernel/oops_count").unlink()
    assert look(root)["counters"] == {"oops_count": None, "warn_count": 0}


def test_a_host_without_livepatches_reports_its_kernel(root):
    (root / "sys/kernel/livepatch/hotfix1/enabled").unlink()
    (root / "sys/kernel/livepatch/hotfix1/transition").unlink()
    (root / "sys/kernel/livepatch/hotfix1").rmdir()
    result = look(root)
    assert (result["effective_release"], result["enabled"]) == ("6.1.0", None)


def test_an_ordinary_look_asks_no_journal(root):
    journal = Journals()
    look(root, Log([Record(450, 540.25, 4, True, WARNING)]), journal, boot_id="b1", sequence=400, time=BEGIN)
    assert journal.asked == []


def test_an_alarm_that_was_there_before_is_told_as_known(root):
    earlier = [Record(10, 10.0, 4, True, WARNING)]
    log = Log(
        [Record(450, 540.25, 4, True, WARNING), Record(460, 550.0, 3, True, "kernel BUG at a.c:1!")], earlier=earlier
    )
    result = look(root, log, boot_id="b1", sequence=400)
    assert result["known_signatures"] == {"warning:alarm_show": {"count": 1, "seconds": 0}}
    assert events(result, "kind", "new") == [("warning", False), ("bug", True)]


def test_many_known_signatures_are_cut_but_none_of_them_is_new(root):
    texts = ["WARNING: CPU: 0 PID: 1 at a.c:1 f%d+0x1/0x2" % number for number in range(60)]
    earlier = [Record(number, 10.0 * number, 4, True, text) for number, text in enumerate(texts)]
    log = Log([Record(450, 900.0, 4, True, texts[number]) for number in range(60)], earlier=earlier)
    result = look(root, log, boot_id="b1", sequence=400)
    assert len(result["known_signatures"]) == 50
    assert list(result["known_signatures"]) == sorted(result["known_signatures"])
    assert not any(event["new"] for event in result["events"])


def test_an_alarm_belongs_to_what_ran_when_it_happened(root):
    lines = [
        Record(0, 0.0, 5, True, "Linux version 6.1.0"),
        Record(1, 100.0, 4, True, WARNING),
        Record(2, 200.0, 5, True, "livepatch: enabling patch 'hotfix1'"),
        Record(3, 201.0, 5, True, "livepatch: 'hotfix1': patching complete"),
        Record(4, 300.0, 4, True, WARNING),
    ]
    assert events(look(root, Log(lines)), "effective_release") == [("6.1.0",), ("6.1.0-hotfix1",)]


def test_a_reboot_with_a_dump_is_one_crash_with_its_reason(root, put):
    text = "[    0.000000] Linux version 6.1.0 (x)\n[   10.000000] livepatch: 'hotfix0': patching complete\n"
    put("var/crash/x/vmcore-dmesg.txt", text + "[  900.000000] %s\n" % PANIC, 900)
    put("var/crash/x/vmcore", age=880)
    result = look(root, boot_id="b0", sequence=400, time=BEGIN)
    (crash,) = result["events"]
    assert crash == {
        "kind": "crash",
        "time": "2027-01-15T07:45:00Z",
        "age_seconds": 900,
        "sequence": None,
        "signature": "crash:" + PANIC,
        "text": PANIC,
        "source": "kdump",
        "effective_release": "6.1.0-hotfix0",
        "new": True,
    }
    assert (result["window_seconds"], result["up_seconds"]) == (1800, 900 + 600)
    assert result["sources"] == dict(SOURCES, kdump="read")


def test_a_dump_without_a_reboot_is_a_crash_of_its_own(root, put):
    put("sys/fs/pstore/dmesg-ramoops-0", "Panic#1 Part1\n<0>[    9.000000] %s\n" % PANIC, 900)
    result = look(root, boot_id="b1", time=BEGIN)
    assert (result["rebooted"], events(result, "kind", "source")) == (False, [("crash", "pstore")])


def test_dumps_from_before_the_window_are_not_reported(root, put):
    put("var/crash/x/vmcore-dmesg.txt", "[  900.000000] %s\n" % PANIC, 1900)
    put("cores/prog", age=1900)
    assert look(root, boot_id="b1", time=BEGIN)["events"] == []


def test_the_journal_of_the_boot_before_tells_the_reason_of_a_reboot(root, put):
    former = [
        Record(0, 0.0, 5, True, "Linux version 6.0.0 (x)"),
        Record(1, 10.0, 4, True, "kernel BUG at old.c:1!"),
        Record(2, 5000.0, 5, True, "livepatch: 'hotfix0': patching complete"),
        Record(3, 6000.0, 3, True, "kernel BUG at a.c:1!"),
        Record(4, 6001.0, 6, True, "x"),
    ]
    journal = Journals(previous=former)
    put("cores/prog", age=1250)
    result = look(root, None, journal, boot_id="b0", time=BEGIN)
    assert journal.asked == [boot_log.PREVIOUS_BOOT]
    assert events(result, "kind", "source", "effective_release") == [
        ("coredump", "coredump", "6.0.0-hotfix0"),
        ("crash", "journal", "6.0.0-hotfix0"),
    ]
    assert result["events"][1]["signature"] == "crash:kernel BUG at a.c:N!"
    assert (result["sources"]["journal"], result["up_seconds"]) == ("read", 601 + 600)


def test_an_old_alarm_in_the_journal_is_not_the_reason_of_a_reboot(root):
    former = [Record(1, 10.0, 4, True, "kernel BUG at old.c:1!"), Record(4, 6001.0, 6, True, "x")]
    result = look(root, None, Journals(previous=former), boot_id="b0", time=BEGIN)
    assert events(result, "source", "signature") == [("boot", "crash:reboot")]
    assert result["up_seconds"] == 601 + 600


def test_a_journal_that_cannot_be_read_is_said(root):
    result = look(root, None, Journals(status="unreadable", reason="journal: no"), boot_id="b0", time=BEGIN)
    assert (result["sources"]["journal"], result["reasons"]) == ("unreadable", ["journal: no"])


def test_the_journal_fills_what_the_kernel_has_lost(root):
    log = Log([Record(450, 500.0, 6, True, "x")], LOST, "overwritten", earlier=[Record(399, 100.0, 6, True, "x")])
    journal = Journals(this=[Record(0, 300.0, 4, True, WARNING)])
    result = look(root, log, journal, boot_id="b1", sequence=400, time=BEGIN)
    assert events(result, "kind", "source", "sequence", "time") == [
        ("warning", "journal", None, "2027-01-15T07:54:59Z")
    ]
    assert result["sources"] == dict(SOURCES, kmsg="lost", journal="read")
    assert result["reasons"] == ["overwritten"]


def test_what_was_counted_and_overwritten_is_an_event(root, put):
    put("sys/kernel/warn_count", "1\n")
    counters = {"oops_count": 0, "warn_count": 0}
    log = Log(status=LOST, reason="overwritten")
    (event,) = look(root, log, boot_id="b1", sequence=400, time="2027-01-15T07:55:00Z", counters=counters)["events"]
    assert event == {
        "kind": "untold",
        "time": "2027-01-15T08:00:00Z",
        "age_seconds": 0,
        "sequence": None,
        "signature": "untold:warn_count",
        "text": "warn_count rose by 1 to 1, the kernel's log tells of 0: records of it were overwritten before they were read",
        "source": "counters",
        "effective_release": "6.1.0-hotfix1",
        "new": True,
    }


@pytest.mark.parametrize(
    "line", ["unexpected event 0001 at f+0x1/0x2", "processor 1 answers no longer", "Ouch:"]
)
def test_an_oops_in_words_that_nobody_knows_is_an_event(root, put, line):
    put("sys/kernel/oops_count", "1\n")
    put("proc/sys/kernel/tainted", "33408\n")
    before = {"counters": {"oops_count": 0, "warn_count": 0}, "taint": 33280}
    log = Log([Record(450, 540.0, 1, True, "a line that is no alarm: " + line)])
    result = look(root, log, boot_id="b1", sequence=400, time=BEGIN, **before)
    assert events(result, "signature", "new") == [("untold:oops_count", True)]
    assert "no line of it is known as such an alarm" in result["events"][0]["text"]
    assert result["taint"] == 33408


def test_what_the_log_tells_of_is_not_told_twice(root, put):
    put("proc/sys/kernel/tainted", "512\n")
    put("sys/kernel/warn_count", "1\n")
    log = Log([Record(450, 540.25, 4, True, WARNING)])
    result = look(root, log, boot_id="b1", sequence=400, counters={"oops_count": 0, "warn_count": 0}, taint=0)
    assert events(result, "kind") == [("warning",)]


def test_an_oops_that_only_pstore_tells_of_is_told(root, put):
    put("sys/kernel/oops_count", "1\n")
    put("sys/fs/pstore/dmesg-ramoops-0", "Oops#1 Part1\n<1>[    9.000000] BUG: kernel NULL pointer dereference\n")
    counters = {"oops_count": 0, "warn_count": 0}
    assert events(look(root, boot_id="b1", time=BEGIN, counters=counters), "kind", "source") == [("oops", "pstore")]


def test_after_a_reboot_the_kernel_counts_anew(root, put):
    put("sys/kernel/warn_count", "1\n")
    counters = {"oops_count": 3, "warn_count": 9}
    log = Log([Record(3, 1.0, 4, True, WARNING)])
    result = look(root, log, boot_id="b0", sequence=400, time=BEGIN, counters=counters, taint=0)
    assert events(result, "kind") == [("crash",), ("warning",)]
    result = look(root, boot_id="b0", sequence=400, time=BEGIN, counters=counters, taint=0)
    assert events(result, "kind", "signature") == [("crash", "crash:reboot"), ("untold", "untold:warn_count")]


def test_what_a_livepatch_taints_is_no_event(root, put):
    put("proc/sys/kernel/tainted", "%d\n" % (1 << 0 | 1 << 12 | 1 << 13 | 1 << 15))
    assert look(root, boot_id="b1", sequence=400, time=BEGIN, taint=0)["events"] == []


def test_a_kernel_without_counters_is_judged_by_its_taint(root, put):
    for name in ("oops_count", "warn_count"):
        (root / "sys/kernel" / name).unlink()
    put("proc/sys/kernel/tainted", "%d\n" % (1 << 7 | 1 << 14))
    result = look(root, boot_id="b1", sequence=400, time=BEGIN, taint=0, counters={"oops_count": None, "warn_count": None})
    assert events(result, "signature", "source") == [("untold:taint_D", "taint"), ("untold:taint_L", "taint")]


def uncounted(root, put, taint):
    """A host whose kernel counts nothing, and what it said of itself before: that this taints it."""
    for name in ("oops_count", "warn_count"):
        (root / "sys/kernel" / name).unlink()
    put("proc/sys/kernel/tainted", "%d\n" % taint)
    return dict(boot_id="b1", sequence=400, time=BEGIN, taint=taint, counters={"oops_count": None, "warn_count": None})


@pytest.mark.parametrize(
    "taint, unseen", [(0, []), (1 << 9, ["warning"]), (1 << 7 | 1 << 9 | 1 << 14, ["oops", "warning", "lockup"])]
)
def test_an_alarm_that_would_be_neither_logged_nor_counted_nor_marked_anew_is_said_to_be_unseen(root, put, taint, unseen):
    since = uncounted(root, put, taint)
    lost = Log([Record(450, 500.0, 6, True, "x")], LOST, "overwritten", earlier=[Record(399, 100.0, 6, True, "x")])
    assert look(root, lost, **since)["unseen"] == unseen
    assert look(root, **since)["unseen"] == [], "the log tells of all"
    filled = Journals(this=[Record(0, 90.0, 6, True, "x"), Record(1, 500.0, 6, True, "x")])
    assert look(root, lost, filled, **since)["unseen"] == [], "the journal has what the log has lost"
    since.update(boot_id="b0", taint=0)
    assert look(root, lost, **since)["unseen"] == [], "after a reboot a mark is new"


def test_what_the_kernel_counts_is_seen_whatever_its_log_has_lost(root, put):
    put("proc/sys/kernel/tainted", "%d\n" % (1 << 7 | 1 << 9))
    since = dict(boot_id="b1", sequence=400, time=BEGIN, taint=1 << 7 | 1 << 9)
    lost = Log([Record(450, 500.0, 6, True, "x")], LOST, "overwritten")
    assert look(root, lost, counters={"oops_count": 0, "warn_count": 0}, **since)["unseen"] == []
    assert look(root, lost, counters={"oops_count": 0}, **since)["unseen"] == ["warning"]


@pytest.mark.parametrize("status", [TRUNCATED, UNREADABLE])
def test_a_log_that_is_not_read_to_its_end_may_hide_every_alarm(root, status):
    found = look(root, Log(status=status, reason="why"), boot_id="b1", sequence=400, time=BEGIN)["unseen"]
    assert found == ["bug", "hung_task", "lockup", "module_refused", "oops", "rcu_stall", "warning"]


def test_what_was_counted_before_the_window_is_known_as_well(root, put):
    put("sys/kernel/warn_count", "600\n")
    since = dict(boot_id="b1", sequence=400, time="2027-01-15T07:55:00Z", counters={"oops_count": 0, "warn_count": 300})
    result = look(root, Log(status=LOST, reason="overwritten"), **since)
    assert events(result, "kind", "new") == [("untold", True)]
    assert result["known_signatures"] == {"untold:warn_count": {"count": 300, "seconds": 300}}
    assert result["signatures"] == {"untold:warn_count": {"count": 300, "seconds": 300}}


def test_alarms_are_counted_by_signature_also_beyond_the_events(root, put):
    put("sys/kernel/warn_count", "199\n")
    records = [Record(number, 300.0 + number, 4, True, WARNING) for number in range(2, 200)]
    log = Log(records, earlier=[Record(0, 5.0, 4, True, WARNING), Record(1, 10.0, 4, True, "x")])
    result = look(root, log, boot_id="b1", sequence=2, time="2027-01-15T07:55:00Z", counters={"warn_count": 1, "oops_count": 0})
    assert result["signatures"] == {"warning:alarm_show": {"count": 18, "seconds": 300}}
    assert result["known_signatures"]["warning:alarm_show"] == {"count": 1, "seconds": 300}
    assert result["known_signatures"]["untold:warn_count"] == {"count": 1, "seconds": 300}


def test_known_alarms_do_not_crowd_out_one_that_is_new(root):
    known = [Record(number, 400.0 + number, 4, True, WARNING) for number in range(100, 160)]
    log = Log(known + [Record(200, 590.0, 3, True, "kernel BUG at a.c:1!")], earlier=[Record(10, 10.0, 4, True, WARNING)])
    result = look(root, log, boot_id="b1", sequence=100)
    assert (len(result["events"]), result["events_left_out"]) == (50, 11)
    assert events(result, "kind", "new")[-1] == ("bug", True)


def test_an_oops_that_the_log_tells_of_is_not_told_again_by_pstore(root, put):
    oops = "BUG: kernel NULL pointer dereference"
    put("sys/fs/pstore/dmesg-ramoops-0", "Oops#1 Part1\n<1>[    9.000000] %s\n" % oops)
    told = look(root, Log([Record(450, 540.0, 1, True, oops)]), boot_id="b1", sequence=400, time=BEGIN)
    assert events(told, "kind", "source") == [("oops", "kmsg")]
    assert events(look(root, boot_id="b1", time=BEGIN), "kind", "source") == [("oops", "pstore")]


def test_a_core_dump_is_an_event_of_its_program(root, put):
    name = "core.my\\x20prog.0.%s.77.1799999900000000.zst" % ("0" * 32)
    put("cores/" + name)
    (event,) = look(root, boot_id="b1", sequence=400, time=BEGIN)["events"]
    assert event == {
        "kind": "coredump",
        "time": "2027-01-15T07:58:20Z",
        "age_seconds": 100,
        "sequence": None,
        "signature": "coredump:my prog",
        "text": ("core dump of my prog: %s" % (root / "cores" / name))[:200],
        "source": "coredump",
        "effective_release": "6.1.0-hotfix1",
        "new": True,
    }


def test_what_ran_at_a_core_dump_of_the_boot_before_is_not_known(root, put):
    put("cores/prog", age=1000)
    assert events(look(root, boot_id="b0", time=BEGIN), "kind", "effective_release") == [
        ("coredump", None),
        ("crash", None),
    ]


def test_core_dumps_do_not_crowd_out_what_the_kernel_says(root, put):
    for number in range(60):
        put("cores/prog%d" % number, age=500 - number)
    result = look(root, Log([Record(450, 590.0, 4, True, WARNING)]), boot_id="b1", sequence=400, time=BEGIN)
    assert (len(result["events"]), result["events_left_out"]) == (50, 11)
    assert result["events"][-1]["kind"] == "warning"


def test_a_file_of_the_future_has_no_age_and_that_is_said(root, put):
    put("cores/prog", age=-1000)
    result = look(root, boot_id="b1", time=BEGIN)
    assert result["events"][0]["age_seconds"] == 0
    assert result["reasons"] == [
        "events in the future by the clock of this host: 1, the first is coredump:prog by 1000 seconds. "
        "Their age is taken to be 0."
    ]


def test_two_looks_after_one_another_tell_of_each_file_once(root, put):
    put("cores/before", age=1)
    put("cores/during", age=0)
    first = look(root, boot_id="b1", time=BEGIN)
    assert events(first, "signature") == [("coredump:before",)]
    second = health.look({"time": first["time"]}, str(root), Log(), lambda: NOW + 60, [], ["/cores"])
    assert events(second, "signature") == [("coredump:during",)]


def test_events_of_all_sources_are_in_the_order_of_time(root, put):
    put("cores/prog", age=50)
    put("sys/fs/pstore/dmesg-ramoops-0", "Panic#1 Part1\n<0>[    9.000000] %s\n" % PANIC, 900)
    result = look(root, Log([Record(450, 500.0, 4, True, WARNING)]), boot_id="b0", time=BEGIN)
    assert events(result, "source") == [("pstore",), ("kmsg",), ("coredump",)]


def test_what_may_not_be_read_is_said_of_each_source(root, put, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if "sys/kernel" in str(path):
            return scandir(path)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(health.bounded.os, "scandir", refuse)
    result = look(root, boot_id="b1", time=BEGIN)
    assert result["sources"] == dict(SOURCES, kdump="unreadable", pstore="unreadable", coredump="unreadable")
    assert len(result["reasons"]) == 5 and all("Use become." in reason for reason in result["reasons"])
