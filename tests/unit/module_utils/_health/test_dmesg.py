# The log in a dump: with and without priorities, of several kernels.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._health import dmesg


@pytest.mark.parametrize(
    "line,expected",
    [
        ("<4>[   12.345678] text", (12.345678, 4, True, "text")),
        ("[   12.345678] text", (12.345678, 4, True, "text")),
        ("<0>[    0.000000] [Firmware Bug]: x", (0.0, 0, True, "[Firmware Bug]: x")),
        ("<6>[12345.678901][  T12] text", (12345.678901, 6, True, "text")),
        ("[    1.000000][    C0] text", (1.0, 4, True, "text")),
        ("<12>[    1.000000] BUG: by a program", (1.0, 4, False, "BUG: by a program")),
        ("[    1.000000] ", (1.0, 4, True, "")),
    ],
)
def test_a_line_is_a_record(line, expected):
    (record,) = dmesg.records(line)
    assert record[1:] == expected


def test_a_line_without_a_time_goes_on_with_the_one_before():
    found = dmesg.records("lost beginning\n<12>[    1.000000] one\ntwo\n")
    assert [(record.seconds, record.kernel, record.text) for record in found] == [
        (1.0, False, "one"),
        (1.0, False, "two"),
    ]


@pytest.mark.parametrize(
    "line,release",
    [
        ("Linux version 6.1.0-50-amd64 (a@b) (gcc) #1 SMP", "6.1.0-50-amd64"),
        (
            "CPU: 0 PID: 17 Comm: kworker/0:1 Tainted: G           OE K    6.1.0-50-amd64 #1  Debian 6.1.176-1",
            "6.1.0-50-amd64",
        ),
        ("CPU: 1 PID: 9 Comm: cat Not tainted 5.14.0-427.40.1.el9_4.x86_64 #1", "5.14.0-427.40.1.el9_4.x86_64"),
        (
            "CPU: 1 UID: 0 PID: 27 Comm: kworker/1:0 Tainted: G    OE K     7.2.13+deb14-amd64 #1 PREEMPT(lazy)  Debian",
            "7.2.13+deb14-amd64",
        ),
        ("usb 1-1: version 6.1.0 #1", None),
    ],
)
def test_the_release_of_the_kernel_is_found(line, release):
    assert dmesg.kernel_release(dmesg.records("[    1.000000] " + line)) == release


def test_a_log_is_whole_when_it_begins_with_its_boot():
    assert dmesg.is_whole(dmesg.records("[    0.000000] Linux version 6.1.0 (x)\n[    1.000000] x"))
    assert not dmesg.is_whole(dmesg.records("[    1.000000] x"))
    assert not dmesg.is_whole([])
