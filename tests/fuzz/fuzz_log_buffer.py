# The kernel's log in the memory of a dead kernel, which may be damaged in any way.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.module_utils._vmcore import log_buffer
from tests.unit.fakes import dead_kernel

_INFO = log_buffer.VmcoreInfo(dead_kernel.vmcoreinfo())


def _log(*texts):
    made = dead_kernel.Log(3, 8)
    for number, text in enumerate(texts):
        made.write(text, float(number))
    return made


_PARTS = [len(data) for unused, data in _log().segments()]
SEEDS = [
    b"".join(data for unused, data in _log(*texts).segments())
    for texts in ([], ["a"], ["one", "two", "three"], ["record %d" % number for number in range(20)])
]
MAX_BYTES = sum(_PARTS)


def one_input(data):
    """The five places of the log, one after the other."""
    places, begin = [], 0
    for size in _PARTS:
        places.append(data[begin : begin + size])
        begin += size

    def read(address, size):
        number, offset = divmod(address - dead_kernel.BASE, 0x100000)
        if not 0 <= number < len(places) or offset + size > len(places[number]):
            raise LookupError(address)
        return places[number][offset : offset + size]

    try:
        records = log_buffer.read(log_buffer.Memory(read), _INFO)
    except (log_buffer.Unknown, LookupError):
        return
    assert len(records) <= 8
    for record in records:
        assert 0 <= record.level <= 7 and len(record.text) <= 256
