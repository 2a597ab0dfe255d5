# Whatever was written to the kernel's log, and whatever has become of it, reading it tells that or an error.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import re

from hypothesis import given
from hypothesis import strategies as some

from ansible_collections.kernel.livepatch.plugins.module_utils._vmcore import log_buffer
from tests.unit.fakes import dead_kernel

TEXT_OF_INFO = dead_kernel.vmcoreinfo()
INFO = log_buffer.VmcoreInfo(TEXT_OF_INFO)
NUMBERS = sorted(set(re.findall(rb"=([0-9]+)\n", TEXT_OF_INFO)))
TEXT = some.text(some.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=24)
RECORD = some.tuples(
    TEXT, some.integers(0, 10**6), some.integers(0, 7), some.integers(0, 23), some.sampled_from([0, 1, 2])
)


def read(log, memory=None, info=INFO):
    return [tuple(record) for record in log_buffer.read(log_buffer.Memory(memory or log.read, 8, log.little), info)]


@given(some.lists(RECORD, max_size=60), some.integers(2, 5), some.integers(8, 10), some.booleans(), some.booleans())
def test_what_is_read_is_what_was_written_and_not_overwritten(records, bits, text_bits, little, fits_exactly):
    log = dead_kernel.Log(bits, text_bits, little, fits_exactly=fits_exactly)
    for text, seconds, level, facility, state in records:
        log.write(text, float(seconds), level, facility, state)
    assert read(log) == log.live


@given(some.data())
def test_damaged_memory_gives_records_or_a_clear_error(data):
    log = dead_kernel.Log(3, 8)
    for number in range(12):
        log.write("record %d" % number)
    segments = [(address, bytearray(part)) for address, part in log.segments()]
    for unused in range(data.draw(some.integers(1, 5))):
        part = data.draw(some.sampled_from(segments))[1]
        part[data.draw(some.integers(0, len(part) - 1))] = data.draw(some.integers(0, 255))
    log.segments = lambda: [(address, bytes(part)) for address, part in segments]
    other = str(data.draw(some.integers(0, 1 << 60))).encode()
    info = TEXT_OF_INFO.replace(b"=%s\n" % data.draw(some.sampled_from(NUMBERS)), b"=%s\n" % other)

    def bounded(address, size):
        assert size <= 1 << 29, "no more than the bounds allow is asked for"
        return log.read(address, size)

    try:
        read(log, bounded, log_buffer.VmcoreInfo(data.draw(some.sampled_from([TEXT_OF_INFO, info]))))
    except (log_buffer.Unknown, LookupError):
        pass


@given(some.binary(max_size=300))
def test_any_text_is_a_vmcoreinfo_that_says_something_or_nothing(text):
    info = log_buffer.VmcoreInfo(text)
    assert info.kernel_release is None or isinstance(info.kernel_release, str)
    try:
        info.symbol("prb")
    except log_buffer.Unknown:
        pass
