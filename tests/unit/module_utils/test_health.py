# What is reported of a host since a moment.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils import _health
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel_log import READ, UNREADABLE, Reading, Record

WARNING = "WARNING: CPU: 0 PID: 1 at a.c:1 alarm_show+0x1/0x2"
NOW = 1800000000.0
FILES = {
    "proc/uptime": "600.25 1100.00\n",
    "proc/sys/kernel/random/boot_id": "b1\n",
    "proc/sys/kernel/osrelease": "6.1.0\n",
    "proc/modules": "hotfix1 16384 1 - Live 0x0 (OEK)\n",
    "sys/kernel/oops_count": "0\n",
    "sys/kernel/warn_count": "1\n",
    "sys/kernel/livepatch/hotfix1/enabled": "1\n",
    "sys/kernel/livepatch/hotfix1/transition": "0\n",
}


class Log(object):
    """Stands for _kernel_log.read and remembers from where it was read."""

    def __init__(self, records=(), status=READ, reason=None, following=500):
        self.reading = Reading(list(records), following, status, reason)

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


def look(root, log=None, **since):
    return _health.look(since, str(root), log or Log(), lambda: NOW)


def test_a_quiet_host_reports_who_it_is_and_no_event(root):
    result = look(root, boot_id="b1", sequence=400)
    assert result == {
        "boot_id": "b1",
        "uptime_seconds": 600,
        "rebooted": False,
        "effective_release": "6.1.0-hotfix1",
        "enabled": "hotfix1",
        "sequence": 500,
        "events": [],
        "events_left_out": 0,
        "counters": {"oops_count": 0, "warn_count": 1},
        "sources": {"kmsg": "read"},
        "reasons": [],
    }


def test_an_alarm_is_reported_with_the_time_it_happened_and_what_runs(root):
    event = look(root, Log([Record(450, 540.25, 4, True, WARNING)]))["events"][0]
    assert event == {
        "kind": "warning",
        "time": "2027-01-15T07:59:00Z",
        "sequence": 450,
        "signature": "warning:alarm_show",
        "text": WARNING,
        "effective_release": "6.1.0-hotfix1",
    }


def test_the_log_is_read_from_the_given_record_on(root):
    log = Log()
    look(root, log, boot_id="b1", sequence=400)
    assert log.sequence == 400


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
    assert result["sources"] == {"kmsg": "unreadable"}
    assert result["reasons"] == ["cannot open /dev/kmsg"]
    assert (result["rebooted"], result["sequence"]) == (True, None)


def test_a_flood_of_alarms_is_cut_and_counted(root):
    flood = [Record(number, 10.0 * number, 4, True, WARNING) for number in range(70)]
    result = look(root, Log(flood))
    assert (len(result["events"]), result["events_left_out"]) == (50, 20)


def test_what_this_kernel_does_not_count_is_null(root):
    (root / "sys/kernel/oops_count").unlink()
    assert look(root)["counters"] == {"oops_count": None, "warn_count": 1}


def test_a_host_without_livepatches_reports_its_kernel(root):
    (root / "sys/kernel/livepatch/hotfix1/enabled").unlink()
    (root / "sys/kernel/livepatch/hotfix1/transition").unlink()
    (root / "sys/kernel/livepatch/hotfix1").rmdir()
    result = look(root)
    assert (result["effective_release"], result["enabled"]) == ("6.1.0", None)
