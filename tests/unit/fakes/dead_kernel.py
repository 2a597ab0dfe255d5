# A dead kernel's memory: its log's ring buffer as since 5.10, VMCOREINFO, and an ELF dump of both.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Python 3.6 syntax: the tests of the target side run there too.

import struct

BASE = 0xFFFFFFFF82000000
COMMITTED, FINALIZED, REUSABLE = 1, 2, 3

# Structures on a machine with 64 bits, as VMCOREINFO of 6.1 gives them.
OFFSETS = {
    "printk_ringbuffer.desc_ring": 0,
    "printk_ringbuffer.text_data_ring": 48,
    "prb_desc_ring.count_bits": 0,
    "prb_desc_ring.descs": 8,
    "prb_desc_ring.infos": 16,
    "prb_desc_ring.head_id": 24,
    "prb_desc_ring.tail_id": 32,
    "prb_data_ring.size_bits": 0,
    "prb_data_ring.data": 8,
    "prb_desc.state_var": 0,
    "prb_desc.text_blk_lpos": 8,
    "prb_data_blk_lpos.begin": 0,
    "prb_data_blk_lpos.next": 8,
    "printk_info.seq": 0,
    "printk_info.ts_nsec": 8,
    "printk_info.text_len": 16,
    "atomic_long_t.counter": 0,
}
SIZES = {"printk_ringbuffer": 88, "prb_desc": 24, "printk_info": 88}


class Log:
    """A log of 2**bits records and 2**text_bits bytes of text, written to as the kernel does.

    fits_exactly: whether text may end at the very end of the ring, as since 6.18. live: what a reader is to find, oldest
    first, each (sequence, seconds, level, kernel, text).
    """

    def __init__(self, bits=4, text_bits=10, little=True, base=BASE, fits_exactly=True):
        self.bits, self.text_bits, self.little, self.base = bits, text_bits, little, base
        self.order = "<" if little else ">"
        self.fits_exactly = fits_exactly
        self.text = bytearray(1 << text_bits)
        self.count = 1 << bits
        self.records = []
        self.position = 0

    def write(self, text, seconds=1.0, level=6, facility=0, state=FINALIZED):
        """Append a record; state: of its descriptor."""
        data, size = text.encode(), len(self.text)
        sequence = len(self.records)
        if data:
            length = 8 + -(-len(data) // 8) * 8
            assert length <= size // 4, "the kernel would cut this text off"
            begin, number = self.position, struct.pack(self.order + "Q", sequence)
            place, following = begin % size, begin + length
            if begin % size + length > size - (not self.fits_exactly):
                # The number is at both places, the text at the ring's start only.
                self.text[place : place + 8] = number
                place, following = 0, (begin // size + 1) * size + length
            self.text[place : place + length] = number + data.ljust(length - 8, b"\0")
            self.position = following
        else:
            begin = following = 3
        self.records.append([sequence, seconds, level, facility, text, begin, following, state])
        return self

    @property
    def live(self):
        return [
            (sequence, seconds, level, facility == 0, text)
            for sequence, seconds, level, facility, text, begin, unused, state in self._kept()
            if state in (COMMITTED, FINALIZED) and text
        ]

    def _kept(self):
        """The records that a newer one has not overwritten, with their state."""
        for record in self.records[-self.count :]:
            gone = record[4] and record[5] < self.position - len(self.text)
            yield record[:7] + [REUSABLE if gone else record[7]]

    def segments(self):
        """Return [(address, bytes)]: the pointer, the buffer's head, its descriptors, infos and text."""
        addresses = [self.base + 0x100000 * number for number in range(5)]
        size = self.order
        descriptors, infos = bytearray(24 << self.bits), bytearray(88 << self.bits)
        for sequence, seconds, level, facility, text, begin, following, state in self._kept():
            slot = sequence % self.count
            struct.pack_into(size + "QQQ", descriptors, slot * 24, state << 62 | sequence, begin, following)
            bits = level << 5 if self.little else level
            info = struct.pack(size + "QQHBB", sequence, round(seconds * 1e9), len(text.encode()), facility, bits)
            infos[slot * 88 : slot * 88 + len(info)] = info
        head = max(len(self.records) - 1, 0)
        tail = max(len(self.records) - self.count, 0)
        ring = struct.pack(size + "IIQQQQQ", self.bits, 0, addresses[2], addresses[3], head, tail, 0)
        ring += struct.pack(size + "IIQQQ", self.text_bits, 0, addresses[4], 0, 0)
        parts = [struct.pack(size + "Q", addresses[1]), ring, bytes(descriptors), bytes(infos), bytes(self.text)]
        return list(zip(addresses, parts))

    def read(self, address, size):
        """Return so many bytes (bytes) at an address; LookupError outside."""
        for begin, data in self.segments():
            if begin <= address and address + size <= begin + len(data):
                return data[address - begin : address - begin + size]
        raise LookupError("%x" % address)


def vmcoreinfo(without=(), kernel_release="6.1.0-50-amd64", base=BASE, **lines):
    """Return VMCOREINFO (bytes). without: structures, members and symbols left out. lines: more of them, KEY=value."""
    found = ["OSRELEASE=%s" % kernel_release, "BUILD-ID=00112233445566778899aabbccddeeff00112233", "PAGESIZE=4096"]
    found += ["SYMBOL(swapper_pg_dir)=ffffffff82f00000", "KERNELOFFSET=0", "NUMBER(phys_base)=0"]
    found += ["SYMBOL(prb)=%x" % base] * ("prb" not in without)
    found += ["OFFSET(%s)=%d" % (key, OFFSETS[key]) for key in sorted(OFFSETS) if key not in without]
    found += ["SIZE(%s)=%d" % (key, SIZES[key]) for key in sorted(SIZES) if key not in without]
    found += ["%s=%s" % pair for pair in sorted(lines.items())]
    return ("\n".join(found) + "\n").encode()


def dump(path, segments, info, machine=62, little=True):
    """Write an ELF dump. segments: [(address, bytes)]; info: VMCOREINFO or None; machine: e_machine. Returns path."""
    order = "<" if little else ">"
    note = b""
    if info is not None:
        name = b"VMCOREINFO\0\0"
        note = struct.pack(order + "III", 11, len(info), 0) + name + info + b"\0" * (-len(info) % 4)
    place = 64 + 56 * (1 + len(segments))
    heads = struct.pack(order + "IIQQQQQQ", 4, 0, place, 0, 0, len(note), len(note), 0)
    body = note
    for address, data in segments:
        begin = place + len(body)
        heads += struct.pack(order + "IIQQQQQQ", 1, 7, begin, address, address & 0xFFFFFFF, len(data), len(data), 0)
        body += data
    ident = b"\x7fELF" + bytes([2, 1 if little else 2, 1]) + b"\0" * 9
    head = struct.pack(order + "HHIQQQIHHHHHH", 4, machine, 1, 0, 64, 0, 0, 64, 56, 1 + len(segments), 0, 0, 0)
    with open(str(path), "wb") as stream:
        stream.write(ident + head + heads + body)
    return path
