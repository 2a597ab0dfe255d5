# livepatch_health on real kernels: what they write when a livepatch does harm, and what is not an alarm.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import concurrent.futures
import time

import pytest

from tests.integration.conftest import on_each

HEALTH = "kernel.livepatch.livepatch_health"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
REBOOT_SECONDS = 400
# The guests have neither journalctl nor a directory of kdump or systemd-coredump.
SOURCES = {"kmsg": "read", "journal": "absent", "kdump": "absent", "pstore": "read", "coredump": "absent"}
POSITION = ("boot_id", "sequence", "time", "taint", "counters")
# The memory that the guests leave alone (PSTORE in tests/lab/guest.py).
RAMOOPS = "modprobe ramoops mem_address=0x10000000 mem_size=0x100000 record_size=0x20000 ecc=1"
# The shell that ends here is the one that dumps core. The second of the dump ends before the next look.
DUMP_CORE = """
mkdir -p /var/tmp/cores
echo /var/tmp/cores/core.%e.%p > /proc/sys/kernel/core_pattern
cp /bin/sh /var/tmp/crashing
/var/tmp/crashing -c 'ulimit -c unlimited; kill -SEGV $$'
sleep 1.1
"""
# What kdump-utils leaves: this boot's real log, and what a panic adds to it.
ENABLE = (
    "insmod /root/warns.ko delay_ms=3600000; while grep -q 1 /sys/kernel/livepatch/warns/transition; do sleep 0.2; done"
)
DISABLE = "echo 0 > /sys/kernel/livepatch/warns/enabled; until rmmod warns; do sleep 0.3; done"
LEAVE_KDUMP = """
mkdir -p /var/crash/127.0.0.1-2026-05-04-08:15:00
cd /var/crash/127.0.0.1-2026-05-04-08:15:00
dmesg > vmcore-dmesg.txt
echo '[ 9999.000000] Kernel panic - not syncing: lab: a dump of this boot' >> vmcore-dmesg.txt
truncate -s 1M vmcore
sleep 1.1
"""
TAKE_DOWN = """
echo 0 > /sys/kernel/livepatch/warns/enabled
while [ -e /sys/kernel/livepatch/warns ]; do sleep 0.2; done
for n in 1 2 3 4 5 6 7 8 9; do rmmod warns && break; sleep 0.5; done
"""
# More than the log of any of these kernels holds (CONFIG_LOG_BUF_SHIFT is 17). A line without an end is shown to nobody
# until the next one comes (5.10 to 7.2).
FLOOD = """
with open("/proc/sys/kernel/printk_devkmsg", "w") as switch:
    switch.write("on\\n")
with open("/dev/kmsg", "w", 1) as log:
    for number in range(500):
        log.write("<6>flood %d %s\\n" % (number, "x" * 900))
"""


@pytest.fixture(scope="module")
def harmful(fleet):
    """Put the harmful livepatches onto every guest."""

    def put(guest):
        kernel = ".".join(guest.kernel_release.split(".")[:2])
        for name in ("warns", "oopses", "panics"):
            guest.copy(fleet.module(name, kernel), "/root/%s.ko" % name)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(put, fleet.guests.values()))


def look(since, **keywords):
    return dict({"name": "look", HEALTH: dict({"since": since}, **keywords.pop("options", {}))}, **keywords)


def position(result):
    """Where a look ended, for the next one to begin there."""
    return {key: result[key] for key in POSITION}


@pytest.fixture
def on_guests(fleet, in_guest, tasks_in):
    """Do something with guests, by name: act(guest, run), where run(task...) returns the results; returns {name: answer}."""

    def on(guests, act):
        def at(guest):
            return act(guest, lambda *tasks: tasks_in(guest, list(tasks)))

        return on_each(fleet, guests, at)

    return on


def known(result):
    """The signatures of alarms that the log has from before the window."""
    return [signature for signature in result["known_signatures"] if not signature.startswith("untold:")]


def shell(text):
    return {"name": "shell", "ansible.builtin.raw": text}


def wait_for_lines(count, words):
    """Wait until so many lines of the kernel's log have these words, and what belongs to the last is there as well."""
    return shell("until [ $(dmesg | grep -c '%s') -ge %d ]; do sleep 0.5; done; sleep 1" % (words, count))


def wait_for_another_boot(guest, boot_id):
    deadline = time.monotonic() + REBOOT_SECONDS
    while time.monotonic() < deadline:
        try:
            found = guest.ssh(["cat", BOOT_ID], timeout=20)
        except Exception:  # noqa: BLE001 - the machine is going down, or not up yet
            time.sleep(1)
            continue
        if found.returncode == 0 and found.stdout.strip() not in ("", boot_id):
            return
        time.sleep(1)
    raise AssertionError(
        "%s did not boot again within %d seconds:\n%s" % (guest.name, REBOOT_SECONDS, guest.console()[-2000:])
    )


def test_a_healthy_host_has_no_event_and_programs_cannot_make_one(some, on_guests):
    lines = "<0>BUG: kernel NULL pointer dereference, address: 0", "WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2"

    def act(guest, run):
        (before,) = run(look({}))
        since = position(before)
        write = [shell("echo '%s' > /dev/kmsg; sleep 1" % line) for line in lines]
        looks = look(since), look(since, check_mode=True), look(since, become=False)
        results = run(*write, *looks)
        assert not any(result["failed"] for result in results), results
        return before, *results[2:]

    guests = some("6.1", "7.2")
    for host, (before, result, in_check_mode, unprivileged) in on_guests(guests, act).items():
        assert result["events"] == [], host
        assert (result["rebooted"], result["changed"], result["sources"]) == (False, False, SOURCES)
        assert (result["reasons"], result["signatures"]) == ([], {})
        assert 0 < result["window_seconds"] == result["up_seconds"] < 300
        assert result["window_seconds"] == seconds(result["time"]) - seconds(before["time"])
        assert result["effective_release"] == guests[host].kernel_release
        assert result["sequence"] >= before["sequence"] + 2, "the programs' lines are in the log"
        assert in_check_mode["events"] == []
        assert unprivileged["sources"] == dict(SOURCES, kmsg="unreadable", pstore="unreadable")
        assert "Operation not permitted" in unprivileged["reasons"][0]
        assert unprivileged["boot_id"] == result["boot_id"]


def test_a_log_that_has_turned_over_is_reported_as_lost(some, on_guests):
    def act(guest, run):
        (before,) = run(look({}))
        flooded, after = run(shell("python3 - << 'EOF'\n%sEOF" % FLOOD), look(position(before)))
        assert not flooded["failed"], flooded
        return after

    for host, result in on_guests(some("5.10", "6.12"), act).items():
        assert result["sources"] == dict(SOURCES, kmsg="lost"), host
        assert "overwritten" in result["reasons"][0]
        assert result["events"] == []


# Afterwards the kernel holds the livepatch that oopsed, until the panic of another test boots these machines again.
def test_warnings_and_oopses_of_a_livepatch_are_told_by_their_lines_and_by_the_kernels_counts_without_them(
    some, on_guests, harmful
):
    def act(guest, run):
        before = run(shell("dmesg -C"), look({}))[1]
        load = shell("insmod /root/warns.ko delay_ms=500 every_ms=2000")
        warned = run(load, wait_for_lines(2, "WARNING: "), look(position(before)))[2]
        later = run(wait_for_lines(len(warned["events"]) + 1, "WARNING: "), look(position(warned)))[1]
        between = run(shell(TAKE_DOWN), look({}))[1]
        load = shell("insmod /root/oopses.ko delay_ms=500")
        oopsed = run(load, wait_for_lines(1, "Oops"), look(position(between)))[2]
        flood = shell("python3 - << 'EOF'\n%sEOF" % FLOOD)
        lost = run(flood, look(position(before)), look(position(between)))[1:]
        return before, warned, later, between, oopsed, *lost

    guests = some("5.10", "7.2")
    for host, (before, warned, later, between, oopsed, lost, lost_oops) in on_guests(guests, act).items():
        assert len(warned["events"]) >= 2, host
        assert {(event["kind"], event["signature"]) for event in warned["events"]} == {
            ("warning", "warning:warn_now")
        }, host
        assert all(event["new"] and event["source"] == "kmsg" for event in warned["events"])
        assert warned["signatures"]["warning:warn_now"]["count"] >= 1
        counted = warned["counters"]["warn_count"] - before["counters"]["warn_count"]
        assert len(warned["events"]) - counted in (0, 1), "the counters are read first, and it goes on warning"
        release = guests[host].kernel_release
        assert {event["effective_release"] for event in warned["events"]} == {release + "-warns"}
        assert later["events"] and known(later) == ["warning:warn_now"]
        assert not any(event["new"] for event in later["events"]), "the same warning again is nothing new"
        assert warned["counters"]["warn_count"] >= 2
        assert warned["effective_release"] == guests[host].kernel_release + "-warns"
        assert [(event["kind"], event["signature"]) for event in oopsed["events"]] == [
            ("oops", "oops:follow_bad_pointer")
        ], host
        assert oopsed["events"][0]["new"] and "warning:warn_now" in known(oopsed)
        assert oopsed["events"][0]["effective_release"] == release + "-oopses"
        assert 0 <= oopsed["events"][0]["age_seconds"] <= oopsed["window_seconds"] + 1
        assert oopsed["counters"]["oops_count"] >= 1
        assert oopsed["events"][0]["sequence"] >= between["sequence"]
        assert (
            abs(seconds(oopsed["events"][0]["time"]) - time.time()) < 600
        ), "the time of the event is that of the host"
        assert lost["sources"]["kmsg"] == lost_oops["sources"]["kmsg"] == "lost", host
        assert {event["signature"] for event in lost["events"]} == {"untold:warn_count", "untold:oops_count"}, host
        (event,) = lost_oops["events"]
        assert (event["kind"], event["signature"], event["new"]) == ("untold", "untold:oops_count", True), host
        assert "rose by 1" in event["text"] and "overwritten" in event["text"]


def test_a_core_dump_and_a_crash_dump_are_told_by_their_files(some, on_guests, harmful):
    directories = {"coredump_directories": ["/var/tmp/cores", "/var/lib/systemd/coredump"]}
    clean = DISABLE + "; echo core > /proc/sys/kernel/core_pattern; rm -r /var/crash /var/tmp/cores"

    def act(guest, run):
        (before,) = run(look({}))
        found = look(position(before), options=directories)
        return run(shell(ENABLE), shell(DUMP_CORE), shell(LEAVE_KDUMP), found, shell(clean))[3]

    guests = some("6.1")
    for host, result in on_guests(guests, act).items():
        assert [(event["source"], event["signature"]) for event in result["events"]] == [
            ("coredump", "coredump:crashing"),
            ("kdump", "crash:Kernel panic - not syncing: lab: a dump of this boot"),
        ]
        assert not result["rebooted"] and result["sources"] == dict(SOURCES, kdump="read", coredump="read")
        dump = result["events"][1]
        assert dump["effective_release"] == guests[host].kernel_release + "-warns", "the dump has the log of this boot"
        assert all(0 < event["age_seconds"] <= result["window_seconds"] for event in result["events"])


def test_a_machine_that_panicked_and_is_back_is_a_crash_with_the_words_of_the_panic(some, on_guests, harmful):
    def act(guest, run):
        # Its log may have lost the beginning, and with it which kernel it is of: a backtrace says it again.
        said = shell("echo l > /proc/sysrq-trigger")
        before = run(look({}), said, shell(RAMOOPS), shell("sync; insmod /root/panics.ko delay_ms=3000"))[0]
        wait_for_another_boot(guest, before["boot_id"])
        since = position(before)
        unexplained, _shown, after = run(look(since), shell(RAMOOPS), look(since))
        return before, unexplained, after

    guests = some("5.10", "7.2")
    for host, (before, unexplained, result) in on_guests(guests, act).items():
        assert result["rebooted"] is True, host
        assert [event["kind"] for event in result["events"]] == ["crash"], host
        assert result["boot_id"] != before["boot_id"]
        assert result["sources"] == SOURCES
        assert [(event["source"], event["signature"]) for event in unexplained["events"]] == [("boot", "crash:reboot")]
        crash = result["events"][0]
        assert (crash["source"], crash["signature"]) == (
            "pstore",
            "crash:Kernel panic - not syncing: lab: livepatch panics ends this machine",
        )
        assert crash["effective_release"] == guests[host].kernel_release + "-panics"
        assert seconds(before["time"]) <= seconds(crash["time"]) < seconds(unexplained["events"][0]["time"])
        assert 0 < result["up_seconds"] < result["window_seconds"], "the way from the panic to the new boot is not up"


def seconds(timestamp):
    return time.mktime(time.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
