# The kernel's log in an image of its memory, found by VMCOREINFO.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._vmcore import log_buffer
from tests.unit.fakes import dead_kernel


def found(log, info=None):
    memory = log_buffer.Memory(log.read, 8, log.little)
    return [
        tuple(record) for record in log_buffer.read(memory, log_buffer.VmcoreInfo(info or dead_kernel.vmcoreinfo()))
    ]


@pytest.mark.parametrize("little", [True, False])
def test_records_come_with_their_number_time_level_and_who_wrote_them(little):
    log = dead_kernel.Log(little=little).write("Linux version 6.1.0", 0.0, 5).write("a program", 1.5, 6, facility=3)
    assert found(log) == [(0, 0.0, 5, True, "Linux version 6.1.0"), (1, 1.5, 6, False, "a program")]


def test_of_a_log_that_has_run_over_the_newest_records_are_there():
    log = dead_kernel.Log(bits=3, text_bits=8)
    for number in range(50):
        log.write("record number %d" % number, float(number))
    assert found(log) == log.live
    assert [record[0] for record in log.live][-1] == 49 and 3 < len(log.live) <= 8


def test_a_text_that_does_not_fit_in_before_the_end_is_read_from_the_start_and_not_from_what_a_program_left_there():
    log = dead_kernel.Log(bits=4, text_bits=8)
    for unused in range(8):
        log.write("forged: by a program", facility=1)  # 32 bytes each: one round
    log.write("x" * 56).write("y" * 56).write("z" * 56).write("w" * 24).write("the kernel's own words, all of them")
    assert found(log)[-1][3:] == (True, "the kernel's own words, all of them") and found(log) == log.live
    begin, following = log.records[-1][5:7]
    assert begin // 256 != following // 256 and log.text[begin % 256 + 8 :].startswith(b"forged"), "it wraps"


def test_a_record_that_was_being_written_and_one_without_text_are_left_out():
    log = dead_kernel.Log().write("before").write("half", state=0).write("").write("after", state=dead_kernel.COMMITTED)
    assert [record[4] for record in found(log)] == ["before", "after"]


def test_bytes_that_are_no_text_do_no_harm():
    log = dead_kernel.Log().write("abc")
    log.text[8:11] = b"\xff\xfea"
    assert found(log)[0][4] == "\ufffd\ufffda"


@pytest.mark.parametrize("missing", sorted(dead_kernel.OFFSETS) + ["prb", "prb_desc"])
def test_what_vmcoreinfo_does_not_say_is_named(missing):
    with pytest.raises(log_buffer.Unknown, match=missing.split(".")[0]):
        found(dead_kernel.Log().write("a"), dead_kernel.vmcoreinfo(without=[missing]))


@pytest.mark.parametrize("sizes", [dict(bits=0), dict(bits=23), dict(bits=4, text_bits=29)])
def test_a_place_that_holds_no_log_is_told(sizes):
    log = dead_kernel.Log(4, 10).write("a")
    log.segments = lambda real=log.segments: [
        (address, real_data if number != 1 else _with(real_data, sizes))
        for number, (address, real_data) in enumerate(real())
    ]
    with pytest.raises(log_buffer.Unknown, match="there is none"):
        found(log)


def _with(head, sizes):
    head = bytearray(head)
    head[0:4] = bytes([sizes["bits"], 0, 0, 0])
    head[48:52] = bytes([sizes.get("text_bits", 10), 0, 0, 0])
    return bytes(head)


@pytest.mark.parametrize("size", [b"0", b"1025", b"9" * 19])
def test_a_size_that_no_structure_has_is_told_before_anything_is_read(size):
    info = dead_kernel.vmcoreinfo().replace(b"SIZE(printk_info)=88", b"SIZE(printk_info)=" + size)
    with pytest.raises(log_buffer.Unknown, match="leads to 16 structures"):
        found(dead_kernel.Log().write("a"), info)


def test_a_member_outside_of_its_structure_is_told():
    info = dead_kernel.vmcoreinfo().replace(b"SIZE(prb_desc)=24", b"SIZE(prb_desc)=4")
    with pytest.raises(log_buffer.Unknown, match="contradicts itself"):
        found(dead_kernel.Log().write("a"), info)


def test_memory_that_is_not_in_the_dump_is_the_readers_to_tell():
    with pytest.raises(LookupError):
        found(dead_kernel.Log(base=dead_kernel.BASE + 0x7000000).write("a"))


def test_vmcoreinfo_says_what_the_kernel_was_and_when_it_died():
    info = log_buffer.VmcoreInfo(b"OSRELEASE=6.1.0\nBUILD-ID=00ff\nCRASHTIME=1700000000\nrubbish\n\xff=1\nCRASH")
    assert (info.kernel_release, info.build_id, info.crash_time) == ("6.1.0", "00ff", 1700000000)


@pytest.mark.parametrize("text", [b"", b"CRASHTIME=tomorrow", b"CRASHTIME=" + b"9" * 30])
def test_what_it_does_not_say_is_not_known(text):
    info = log_buffer.VmcoreInfo(text)
    assert (info.kernel_release, info.build_id, info.crash_time) == (None, None, None)
