# Crashes from several sources: how many, and what is said of each.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import bounded
from ansible_collections.kernel.livepatch.plugins.module_utils._health import crash_events, dumps
from ansible_collections.kernel.livepatch.plugins.module_utils._health.kernel_alarms import Alarm

SINCE = 1800000000.0
BOOTED = SINCE + 600
VERSION = "Linux version 6.1.0 (x) #1"
LOADED = "livepatch: 'hotfix1': patching complete"
OOPS = [
    "BUG: kernel NULL pointer dereference, address: 0000000000000000",
    "Oops: 0002 [#1] SMP",
    "CPU: 0 PID: 9 Comm: cat Tainted: G OE K 6.1.0 #1",
    "RIP: 0010:alarm_show+0x12b/0x1a8 [klp_alarm]",
    "---[ end trace 0000000000000000 ]---",
]
PANIC = ["Kernel panic - not syncing: lab: the end"]
FATAL = ["Kernel panic - not syncing: Fatal exception in interrupt"]


def log(*lines, **keywords):
    form = keywords.get("form", "[%12.6f] %s")
    return "".join(form % (10.0 + number, line) + "\n" for number, line in enumerate(lines))


def pstore(*lines, **keywords):
    return keywords.get("header", "Panic#1 Part1") + "\n" + log(*lines, form="<4>[%12.6f] %s")


@pytest.fixture
def put(tmp_path):
    """Write a file below the root of a host; changed: seconds after SINCE."""

    def put_file(path, text="", changed=60):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        os.utime(str(target), (SINCE + changed, SINCE + changed))

    return put_file


@pytest.fixture
def found(tmp_path):
    """Look at the host; returns the crashes as tuples of source, seconds after SINCE, signature, effective release."""

    def look(*ends):
        source = bounded.Source("kdump")
        evidence = dumps.find_kdump(source, ["/var/crash"], SINCE, str(tmp_path))
        evidence += dumps.find_pstore(source, SINCE, BOOTED, str(tmp_path))
        look.source = source
        return [
            (crash.source, crash.time - SINCE, crash.signature, crash.effective_release)
            for crash in crash_events.tell(evidence, ends)
        ]

    return look


def boot(time=BOOTED):
    return crash_events.Evidence(crash_events.BOOT, time, [], None, True, "booted 7 seconds ago")


def journal(time, *alarms, **keywords):
    return crash_events.Evidence(crash_events.JOURNAL, time, list(alarms), keywords.get("release"), True, "")


def test_a_host_without_dumps_has_not_crashed(found):
    assert found() == []
    assert found.source.status == "absent"


def test_a_reboot_of_which_nothing_else_is_known_is_a_crash(found):
    assert found(boot()) == [("boot", 600, "crash:reboot", None)]


@pytest.mark.parametrize(
    "directory,dump,text",
    [
        ("127.0.0.1-2027-01-15-08:01:00", "vmcore", "vmcore-dmesg.txt"),
        ("127.0.0.1-2027-01-15-08:01:00", "vmcore-incomplete", "vmcore-dmesg-incomplete.txt"),
        ("2027-01-15-08:01", "vmcore", "dmesg.txt"),
        ("202701150801", "dump.202701150801", "dmesg.202701150801"),
    ],
)
def test_every_layout_of_kdump_tells_time_and_reason(put, found, directory, dump, text):
    put("var/crash/%s/%s" % (directory, text), log(VERSION, LOADED, *PANIC))
    put("var/crash/%s/%s" % (directory, dump), "", 90)
    assert found() == [("kdump", 60, "crash:" + PANIC[0], "6.1.0-hotfix1")]


def test_a_dump_without_the_kernels_log_is_a_crash_without_a_reason(put, found):
    put("var/crash/x/vmcore")
    assert found() == [("kdump", 60, "crash:kdump", None)]


def test_what_others_keep_in_the_directory_of_kdump_is_no_crash(put, found):
    put("var/crash/_usr_bin_x.1000.crash")
    put("var/crash/kexec_cmd")
    put("var/crash/x/README.txt")
    assert found() == []


def test_older_dumps_are_left_out(put, found):
    put("var/crash/x/vmcore-dmesg.txt", log(*PANIC), -5)
    put("sys/fs/pstore/dmesg-ramoops-0", pstore(*PANIC), -5)
    put("var/lib/systemd/pstore/dmesg-ramoops-0", pstore(*PANIC), -5)
    put("var/lib/systemd/pstore/1799999999/dmesg-efi-179999999901001", pstore(*PANIC), 700)
    assert found() == []


def test_pstore_tells_time_and_reason_and_where_the_log_is_whole_what_ran(put, found):
    put("sys/fs/pstore/dmesg-ramoops-0", pstore(VERSION, LOADED, *PANIC))
    put("sys/fs/pstore/console-ramoops-0", log(*PANIC))
    assert found() == [("pstore", 60, "crash:" + PANIC[0], "6.1.0-hotfix1")]


def test_of_the_end_of_a_log_alone_nobody_knows_what_ran(put, found):
    put("sys/fs/pstore/dmesg-ramoops-0", pstore(*(OOPS + FATAL)))
    assert found() == [("pstore", 60, "crash:alarm_show", None)]


def test_the_parts_of_one_record_are_one_crash_in_the_right_order(put, found):
    text = [VERSION, LOADED] + OOPS + FATAL
    put("sys/fs/pstore/dmesg-erst-7000000000000000002", pstore(*text[:4], header="Panic#2 Part2"))
    put("sys/fs/pstore/dmesg-erst-7000000000000000001", pstore(*text[4:], header="Panic#2 Part1"), 61)
    assert found() == [("pstore", 60, "crash:alarm_show", "6.1.0-hotfix1")]


@pytest.mark.parametrize(
    "name,after",
    [
        ("dmesg-efi-180000003001001", 30),
        ("dmesg-efi_pstore-180000003001001", 30),
        ("dmesg-erst-%d" % ((1800000030 << 32) + 1), 30),
        ("dmesg-ramoops-0", 600),
    ],
)
def test_what_systemd_has_moved_has_the_time_of_its_name_or_at_latest_that_of_the_boot(put, found, name, after):
    put("var/lib/systemd/pstore/1800000030/001/" + name, pstore(*PANIC), 700)
    put("var/lib/systemd/pstore/1800000030/001/dmesg.txt", log(*PANIC), 700)
    assert found(boot()) == [("systemd-pstore", after, "crash:" + PANIC[0], None)]


@pytest.mark.parametrize("why", ["Shutdown", "Restart", "Halt", "Poweroff"])
def test_an_orderly_end_that_pstore_has_kept_is_no_crash(put, found, why):
    put("sys/fs/pstore/dmesg-ramoops-0", pstore("reboot: Restarting system", header=why + "#1 Part1"))
    assert found() == []


def test_a_record_that_nobody_can_read_is_a_crash_without_a_reason(put, found):
    put("sys/fs/pstore/dmesg-efi-180000003001001.enc.z", "\x01\x02")
    assert found() == [("pstore", 60, "crash:pstore", None)]


def test_a_file_that_goes_while_it_is_read_is_no_crash(put, found, monkeypatch):
    put("sys/fs/pstore/dmesg-ramoops-0", pstore(*PANIC))
    monkeypatch.setattr(bounded.Source, "tail", lambda *unused: None)
    assert found() == []


def test_an_oops_that_the_host_survived_is_no_crash(put, tmp_path):
    put("sys/fs/pstore/dmesg-ramoops-0", pstore(*OOPS, header="Oops#1 Part1"))
    (crash,) = crash_events.tell(dumps.find_pstore(bounded.Source("pstore"), SINCE, BOOTED, str(tmp_path)))
    assert (crash.kind, crash.signature, crash.source) == ("oops", "oops:alarm_show", "pstore")


def test_an_oops_without_an_alarm_in_it_is_nothing(put, found):
    put("sys/fs/pstore/dmesg-ramoops-0", pstore("x", header="Oops#1 Part1"))
    assert found() == []


def test_an_oops_is_the_reason_of_a_reboot_when_no_panic_is_known(put, found):
    put("sys/fs/pstore/dmesg-ramoops-0", pstore(*OOPS, header="Oops#1 Part1"))
    assert found(boot()) == [("pstore", 60, "crash:alarm_show", None)]


def test_an_oops_and_the_panic_that_it_led_to_are_one_crash(put, found):
    put("sys/fs/pstore/dmesg-ramoops-0", pstore(*OOPS, header="Oops#1 Part1"), 59)
    put("sys/fs/pstore/dmesg-ramoops-1", pstore(*(OOPS + FATAL), header="Panic#2 Part1"))
    assert found(boot()) == [("pstore", 60, "crash:alarm_show", None)]


def test_one_reboot_that_all_sources_tell_of_is_one_crash_by_the_one_that_knows_most(put, found):
    put("var/crash/x/vmcore-dmesg.txt", log(VERSION, LOADED, *(OOPS + FATAL)), 90)
    put("sys/fs/pstore/dmesg-ramoops-0", pstore(*(OOPS + FATAL)))
    put("var/lib/systemd/pstore/dmesg-ramoops-0", pstore(*FATAL), 700)
    alarm = Alarm("oops", 1, 10.0, "oops:other", "BUG: other")
    assert found(boot(), journal(SINCE + 59, alarm)) == [("kdump", 90, "crash:alarm_show", "6.1.0-hotfix1")]


def test_a_dump_without_a_log_gives_way_to_a_source_with_the_reason(put, found):
    put("var/crash/x/vmcore", "", 90)
    put("sys/fs/pstore/dmesg-ramoops-0", pstore(*PANIC))
    assert found(boot()) == [("pstore", 60, "crash:" + PANIC[0], None)]


def test_the_journal_tells_the_reason_when_nobody_else_does(found):
    alarm = Alarm("lockup", 1, 10.0, "lockup:alarm_show", "watchdog: BUG: soft lockup")
    assert found(boot(), journal(SINCE + 30, alarm, release="6.1.0-a")) == [
        ("journal", 30, "crash:alarm_show", "6.1.0-a")
    ]


def test_a_journal_without_an_alarm_tells_what_ran_before_the_reboot(found):
    assert found(boot(), journal(SINCE + 30, release="6.1.0-a")) == [("boot", 600, "crash:reboot", "6.1.0-a")]


def test_two_crashes_are_two_and_the_boot_belongs_to_the_later_one(put, found):
    put("var/crash/a/vmcore-dmesg.txt", log(*PANIC), 60)
    put("var/crash/b/vmcore-dmesg.txt", log(*(OOPS + FATAL)), 300)
    assert [crash[:3] for crash in found(boot())] == [
        ("kdump", 60, "crash:" + PANIC[0]),
        ("kdump", 300, "crash:alarm_show"),
    ]


def test_records_of_two_sources_that_are_far_apart_are_two_crashes(put, found):
    put("var/crash/a/vmcore-dmesg.txt", log(*PANIC), 60)
    put("sys/fs/pstore/dmesg-ramoops-0", pstore(*PANIC), 60 + 3700)
    assert len(found()) == 2


def alarm_at(kind, seconds, text="x"):
    return Alarm(kind, 1, seconds, "%s:%s" % (kind, text), text)


@pytest.mark.parametrize(
    "panic",
    [
        "Fatal exception",
        "Fatal exception in interrupt",
        "softlockup: hung tasks",
        "Hard LOCKUP",
        "hung_task: blocked tasks",
        "RCU Stall",
        "kernel: panic_on_warn set ...",
        "panic_on_warn set ...",
    ],
)
def test_a_panic_that_follows_on_an_alarm_is_told_by_that(panic):
    end = alarm_at("crash", 12.0, "Kernel panic - not syncing: " + panic)
    before = alarm_at("warning", 11.0)
    assert crash_events.cause([before, end]) is before
    assert crash_events.cause([alarm_at("warning", 11.0 - 60), end]) is end
    assert crash_events.cause([end]) is end


def test_a_panic_of_its_own_is_not_put_down_to_what_was_before():
    end = alarm_at("crash", 12.0, "Kernel panic - not syncing: VFS: Unable to mount root fs")
    assert crash_events.cause([alarm_at("oops", 11.9), end]) is end


def test_a_warning_alone_ends_no_host():
    assert crash_events.cause([alarm_at("warning", 1.0)]) is None
    assert crash_events.cause([]) is None
