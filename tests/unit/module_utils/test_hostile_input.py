# Inputs that fuzzing found to crash a parser or to keep it busy: what no kernel writes, but a dump or a program may.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import gzip
import json
import lzma
import time

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import bounded, reading
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._health import (
    boot_log,
    crash_events,
    dmesg,
    dumps,
    health,
    kernel_alarms,
    livepatch_log,
)
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import stalls, sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.kernel_log import Record
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import package_manager, rpm
from tests.unit.fakes import elf

MEGABYTE = 1024 * 1024


@pytest.fixture
def quickly():
    """Fails a test that needs more than a second of processor time."""
    begin = time.process_time()
    yield
    assert time.process_time() - begin < 1.0


@pytest.mark.parametrize(
    "begin, piece",
    [
        ("[1.0] WARNING: ", " at "),
        ("[1.0] WARNING: at ", "a"),
        ("[1.0] WARNING: at ", " a"),
        ("[1.0] BUG: ", "a.b"),
        ("[1.0] INFO: task ", " blocked on"),
        ("[1.0] invalid opcode: ", ": 0 "),
        ("[1.0] CPU: 0 PID: 1 Comm: ", "x 1.1"),
        ("", "[1.0] WARNING: at a.b.c+0x1/0x2\n"),
        ("", "[1.0] CPU: 0 PID: 1 Comm: " + "1.1 " * 30 + "1" * 80 + "\n"),
    ],
)
def test_a_dump_of_a_megabyte_is_read_in_a_second_whatever_its_lines_are_like(quickly, begin, piece):
    crash_events.from_text("kdump", 0, begin + piece * (MEGABYTE // len(piece)))


def test_an_alarm_is_still_found_behind_a_long_path():
    line = "WARNING: CPU: 0 PID: 1 at /%s/a.c:1 f+0x1/0x2" % ("x" * 6000)
    assert [alarm.signature for alarm in kernel_alarms.alarms([Record(0, 1.0, 4, True, line)])] == ["warning:f"]


def test_the_history_of_a_log_with_twenty_thousand_livepatches_is_told_in_a_second(quickly):
    lines = ["livepatch: enabling patch 'p%d'" % number for number in range(20000)]
    history = livepatch_log.History([Record(n, float(n), 6, True, line) for n, line in enumerate(lines)], True, "6.1")
    assert history.at_end() == "6.1-p19999"


class Names(object):
    """A directory of core dumps."""

    def __init__(self, *names):
        self.names = names

    def entries(self, directory):
        return [bounded.Entry(name, directory + "/" + name, 5.0, False) for name in self.names]


def comms(tmp_path, pattern, *names):
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / dumps.CORE_PATTERN).write_text(pattern)
    return [dump.comm for dump in dumps.find_core_dumps(Names(*names), ["/var/cores"], 0, str(tmp_path))]


def test_a_core_pattern_whose_percent_signs_are_literal_has_no_program_in_it(tmp_path):
    assert comms(tmp_path, "/var/cores/core.%%e", "core.%e") == ["core.%e"]


@pytest.mark.parametrize("part, name", [("%h", "1" * 200), ("%p", "1" * 200), ("%E", "!a" * 100)])
def test_a_core_pattern_with_many_parts_of_any_length_costs_no_time(quickly, tmp_path, part, name):
    assert len(comms(tmp_path, "/var/cores/%s%%e!x" % (part * 30), name)) == 1


def test_a_message_with_any_line_separator_of_unicode_is_one_message():
    message = "a\u2028b\u2029c\x85d\x1ce"
    entry = {"__REALTIME_TIMESTAMP": "1716000000000000", "__MONOTONIC_TIMESTAMP": "1", "MESSAGE": message}
    line = json.dumps(entry, ensure_ascii=False).encode("utf-8")
    journal = boot_log.read_journal(
        lambda command, **_options: (0, line + b"\n" + line + b"\n", b""), str, boot_log.THIS_BOOT
    )
    assert [record.text for record in journal.records] == [message, message]


@pytest.mark.parametrize("uptime", ["nan", "inf 1", "1e999", "-1", "", "1_0"])
def test_an_uptime_that_is_no_number_counts_as_none(tmp_path, uptime):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/uptime").write_text(uptime)
    assert health.Window({}, str(tmp_path), 1.7e9).up_seconds(None) is None
    assert health.Window({"time": "2023-01-01T00:00:00Z"}, str(tmp_path), 1.7e9).uptime == 0.0


@pytest.mark.parametrize("text", ["\u00b2", "12\u00b2", "\u0663", "1_0", "+1", "0x1", "", "1" * 21, None])
def test_only_what_a_kernel_writes_is_a_number(text):
    assert reading.to_number(text) is None


def test_odd_digits_in_the_list_of_modules_and_of_tasks_are_no_numbers(tmp_path):
    task = tmp_path / "proc/1/task/1"
    task.mkdir(parents=True)
    (tmp_path / "proc/\u00b2").mkdir()
    (tmp_path / "proc/modules").write_bytes("p 16384 \u00b2 - Live 0x0 (OEK)\n".encode("utf-8"))
    (task / "patch_state").write_text("0\n")
    (task / "stat").write_bytes("1 (x) S 1 1 0 0 -1 \u00b2 0\n".encode("utf-8"))
    patch = tmp_path / "sys/kernel/livepatch/p"
    patch.mkdir(parents=True)
    for name in ("enabled", "transition"):
        (patch / name).write_text("1\n")
    assert sysfs.read_modules(str(tmp_path))["p"].refcount == 0
    assert stalls.count(str(tmp_path), "p") == 1


def test_a_package_without_a_time_is_installed_all_the_same_and_half_a_row_is_an_error():
    def database(row):
        return lambda command, **_options: (0, row, "")

    assert rpm.installed(database("installed\tk\t1\t1\tx86_64\t(none)\n"), "k")[0].version == "1"
    with pytest.raises(LivepatchError) as refused:
        rpm.installed(database("installed\tk\t1\n"), "k")
    assert refused.value.code == "package_failed" and "installed" in refused.value.message


@pytest.mark.parametrize("pack, tail", [(lzma.compress, 12), (gzip.compress, 8)])
def test_a_packed_module_that_lacks_only_its_checksum_is_refused(tmp_path, pack, tail):
    path = tmp_path / "x.ko"
    path.write_bytes(pack(elf.module())[:-tail])
    with pytest.raises(LivepatchError) as refused:
        module_file.read(str(path))
    assert refused.value.code == "bad_module_file"


def test_dumps_that_would_fill_the_memory_are_read_in_part_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "MAX_BYTES_IN_ALL", 1000)
    for number in range(5):
        (tmp_path / str(number)).write_bytes(b"x" * 400)
    source = bounded.Source("pstore")
    read = [source.tail(entry.path) for entry in source.entries(str(tmp_path))]
    assert [text is not None for text in read] == [True, True, True, False, False]
    assert source.status == bounded.TRUNCATED and len(source.reasons) == 1


def test_why_a_package_manager_failed_is_found_at_the_end_of_megabytes(quickly):
    assert package_manager.reason("no package " * (MEGABYTE // 11) + "\nError: GPG check FAILED\n") == "bad_signature"


def test_the_kernel_of_a_dump_is_still_recognised():
    line = "CPU: 1 UID: 0 PID: 77 Comm: my 1.5 prog Tainted: G   OE K   6.12.107+deb13-amd64 #1  Debian"
    assert dmesg.kernel_release([Record(0, 1.0, 4, True, line)]) == "6.12.107+deb13-amd64"
