# Core dumps by the names and times of their files.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import bounded
from ansible_collections.kernel.livepatch.plugins.module_utils._health import dumps

BOOT = "1827be70bda44e3b9598c4aaf5ac32bc"
SINCE = 1800000000.0


@pytest.fixture
def put(tmp_path):
    def put_file(path, changed=SINCE + 5):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("")
        os.utime(str(target), (changed, changed))

    return put_file


def find(tmp_path, *directories):
    source = bounded.Source("coredump")
    found = dumps.find_core_dumps(source, directories or ["/cores"], SINCE, str(tmp_path))
    return [(dump.comm, dump.time) for dump in found]


@pytest.mark.parametrize("end", ["", ".zst", ".lz4", ".xz"])
def test_the_names_of_systemd_tell_program_and_time(put, tmp_path, end):
    put("cores/core.fs-cli.1000.%s.588797.1800000007500000%s" % (BOOT, end), changed=1)
    assert find(tmp_path) == [("fs-cli", 1800000007.5)]


def test_what_systemd_writes_for_dots_and_blanks_is_undone(put, tmp_path):
    put("cores/core.my\\x20prog\\x2e1.0.%s.7.1800000007000000" % BOOT)
    assert find(tmp_path)[0][0] == "my prog.1"


def test_dumps_from_before_are_left_out(put, tmp_path):
    put("cores/core.a.0.%s.7.1799999999000000.zst" % BOOT)
    put("cores/b", changed=SINCE - 1)
    assert find(tmp_path) == []


@pytest.mark.parametrize(
    "pattern,name,comm",
    [
        ("/cores/core.%e.%p", "core.my.prog.123", "my.prog"),
        ("/cores/%e-%s-%t.core", "prog-11-1800000000.core", "prog"),
        ("/cores/100%%%e", "100%prog", "prog"),
        ("/cores/%h.%e", "host.example.prog", "prog"),
        ("/cores/core.%e", "core.prog.17", "prog"),
    ],
)
def test_the_names_that_the_kernel_gives_tell_the_program(put, tmp_path, pattern, name, comm):
    put("proc/sys/kernel/core_pattern")
    (tmp_path / "proc/sys/kernel/core_pattern").write_text(pattern + "\n")
    put("cores/" + name)
    assert find(tmp_path) == [(comm, SINCE + 5)]


@pytest.mark.parametrize(
    "pattern", ["core", "|/usr/lib/systemd/systemd-coredump %P %e", "/elsewhere/core.%e", "/cores/%p"]
)
def test_any_other_file_is_told_by_its_name_without_numbers(put, tmp_path, pattern):
    put("proc/sys/kernel/core_pattern")
    (tmp_path / "proc/sys/kernel/core_pattern").write_text(pattern)
    put("cores/core-prog-1234")
    assert find(tmp_path) == [("core-prog-N", SINCE + 5)]


def test_directories_and_unfinished_files_are_no_dumps(put, tmp_path):
    put("cores/sub/core.1")
    put("cores/.#core.a.0.%s.7.1800000007000000abcdef" % BOOT)
    assert find(tmp_path) == []


def test_the_name_of_a_program_is_bounded_and_printable():
    dump = dumps.parse_core_dump("x\n" * 200, 1.0, "/p")
    assert dump.comm == ("x?" * 200)[:64]
