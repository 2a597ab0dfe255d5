# The kernel's log in an image of its memory, found and read with nothing but VMCOREINFO.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# kernel/printk/printk_ringbuffer.h, since 5.10: a ring of descriptors, with as many struct printk_info beside it, and a
# ring of text. A descriptor's number and state share one word; where its text is it says in positions that count on
# over the end of the ring. A block of text begins with the number of its descriptor.
# Documentation/admin-guide/kdump/vmcoreinfo.rst. Lines: OSRELEASE=6.1.0, SYMBOL(prb)=ffffffff82...,
# OFFSET(list_head.next)=0, SIZE(list_head)=16; addresses are hexadecimal, offsets and sizes decimal. kexec adds
# CRASHTIME=<seconds since 1970>.

import re
import struct

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.kernel_log import Record

# More than any kernel has (log_buf_len is at most 2 GiB, and that of a large machine some 64 MiB): a sign of damage.
_MOST_RECORDS_BITS = 22
_MOST_TEXT_BITS = 28

_MOST_STRUCTURE = 1024
_MOST_BYTES = 1 << 29

_COMMITTED, _FINALIZED = 1, 2

# The kernel's own is at most a page of 4 KiB, of 64 KiB on some machines.
MOST_BYTES = 64 * 1024

_LINE = re.compile(r"([A-Z][A-Za-z_-]{0,30}(?:\([A-Za-z0-9_.]{1,100}\))?)=([!-~]{1,200})\Z")
_DECIMAL = re.compile(r"[0-9]{1,19}\Z")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{1,16}\Z")


class Memory(object):
    """An image of a kernel's memory.

    read: function of (address, size) to bytes; it may raise what it likes. word: size of a long in bytes (4 or 8).
    little: whether it is little-endian.
    """

    def __init__(self, read, word=8, little=True):
        self.read = read
        self.word = word
        self.little = little

    def number(self, address, size):
        """Return the number (int, unsigned) of so many bytes at an address."""
        return self.decode(self.read(address, size))

    def decode(self, data):
        """Return the number (int, unsigned) that bytes are."""
        form = {1: "B", 2: "H", 4: "I", 8: "Q"}[len(data)]
        return struct.unpack(("<" if self.little else ">") + form, data)[0]


def read(memory, info):
    """Return the records (list of Record, oldest first) of the log.

    info: VmcoreInfo. Raises Unknown for what VMCOREINFO does not say (the kernel is older than 5.10), or where it leads to
    nothing like a log; and what reading raises. Records that were being written at that moment are left out.
    """
    word = memory.word
    buffer = memory.number(info.symbol("prb"), word)
    ring = buffer + info.offset("printk_ringbuffer.desc_ring")
    bits = memory.number(ring + info.offset("prb_desc_ring.count_bits"), 4)
    text_ring = buffer + info.offset("printk_ringbuffer.text_data_ring")
    text_bits = memory.number(text_ring + info.offset("prb_data_ring.size_bits"), 4)
    if not (0 < bits <= _MOST_RECORDS_BITS and 0 < text_bits <= _MOST_TEXT_BITS):
        raise Unknown("where VMCOREINFO says the log is, there is none (2^%d records, 2^%d bytes)" % (bits, text_bits))

    def pointer(address):
        return memory.number(address, word)

    counter = info.offset("atomic_long_t.counter")
    tail = pointer(ring + info.offset("prb_desc_ring.tail_id") + counter)
    head = pointer(ring + info.offset("prb_desc_ring.head_id") + counter)
    descriptors = _Array(memory, pointer(ring + info.offset("prb_desc_ring.descs")), info.size("prb_desc"), bits)
    infos = _Array(memory, pointer(ring + info.offset("prb_desc_ring.infos")), info.size("printk_info"), bits)
    texts = memory.read(pointer(text_ring + info.offset("prb_data_ring.data")), 1 << text_bits)

    state = info.offset("prb_desc.state_var") + counter
    begin = info.offset("prb_desc.text_blk_lpos", "prb_data_blk_lpos.begin")
    following = info.offset("prb_desc.text_blk_lpos", "prb_data_blk_lpos.next")
    numbers = (1 << (word * 8 - 2)) - 1
    records = []
    for step in range(min((head - tail & numbers) + 1, 1 << bits)):
        number = tail + step & numbers
        value = descriptors.number(number, state, word)
        if value & numbers == number and value >> (word * 8 - 2) in (_COMMITTED, _FINALIZED):
            positions = descriptors.number(number, begin, word), descriptors.number(number, following, word)
            place = _place(memory, texts, number, *positions)
            if place:
                records.append(_record(memory.little, info, infos, number, texts[place[0] : place[1]]))
    return records


class _Array(object):
    """The elements of one of the rings, read at once."""

    def __init__(self, memory, address, size, bits):
        self._memory = memory
        self._size = size
        self._mask = (1 << bits) - 1
        if not 0 < size <= _MOST_STRUCTURE or size << bits > _MOST_BYTES:
            raise Unknown("VMCOREINFO leads to %d structures of %d bytes" % (1 << bits, size))
        self._data = memory.read(address, size << bits)

    def number(self, element, offset, size):
        """Return the number (int) of so many bytes at an offset in an element; raises Unknown outside of it."""
        if offset + size > self._size:
            raise Unknown("VMCOREINFO contradicts itself: offset %d in %d bytes" % (offset, self._size))
        begin = (element & self._mask) * self._size + offset
        return self._memory.decode(self._data[begin : begin + size])


def _place(memory, texts, number, begin, following):
    """Return where in the ring the text of a descriptor begins and ends (ints); None where it has none, or was overwritten.

    begin, following: its block's positions. A block that does not fit in before the end of the ring has its text at the
    ring's start; what is left at the end is nothing but the number again. A block that ends exactly there fits since 6.18.
    """
    if begin & 1 or not 0 < following - begin <= 2 * len(texts):
        return None  # a record without text has odd positions
    size = len(texts)
    start, end = begin % size, (following - 1) % size + 1
    if begin // size != (following - 1) // size:
        start = 0
    block = texts[start : start + memory.word]
    if len(block) < memory.word or start + memory.word > end or memory.decode(block) != number:
        return None
    return start + memory.word, end


def _record(little, info, infos, number, text):
    length = info.offset("printk_info.text_len")
    # VMCOREINFO does not name them: behind text_len come facility (8 bits), flags (5) and level (3).
    facility, rest = infos.number(number, length + 2, 1), infos.number(number, length + 3, 1)
    return Record(
        infos.number(number, info.offset("printk_info.seq"), 8),
        infos.number(number, info.offset("printk_info.ts_nsec"), 8) / 1e9,
        rest >> 5 if little else rest & 7,
        facility == 0,
        text[: infos.number(number, length, 2)].decode("utf-8", "replace"),
    )


class Unknown(Exception):
    """VMCOREINFO does not say something; the text names it."""


class VmcoreInfo(object):
    """The lines of VMCOREINFO. text: all of it (bytes); what is no such line is passed over."""

    def __init__(self, text):
        found = (_LINE.match(line) for line in text[:MOST_BYTES].decode("ascii", "replace").split("\n"))
        self._values = dict(line.groups() for line in found if line)

    @property
    def kernel_release(self):
        """What uname -r said (str), None where it is not said."""
        return self._values.get("OSRELEASE")

    @property
    def build_id(self):
        """The kernel's build id, hexadecimal digits (str); None before 5.9."""
        return self._values.get("BUILD-ID")

    @property
    def crash_time(self):
        """When it crashed, seconds since 1970 (int); None for a dump that kexec did not make."""
        text = self._values.get("CRASHTIME", "")
        return int(text) if _DECIMAL.match(text) else None

    def symbol(self, name):
        """Return the address (int) of a symbol; raises Unknown."""
        return int(self._value("SYMBOL(%s)" % name, _HEXADECIMAL), 16)

    def offset(self, *path):
        """Return the offset (int) in bytes of structure.member, of several added up; raises Unknown."""
        return sum(int(self._value("OFFSET(%s)" % one, _DECIMAL)) for one in path)

    def size(self, structure):
        """Return the size (int) of a structure in bytes; raises Unknown."""
        return int(self._value("SIZE(%s)" % structure, _DECIMAL))

    def _value(self, key, form):
        text = self._values.get(key, "")
        if not form.match(text):
            raise Unknown("VMCOREINFO has no %s" % key)
        return text
