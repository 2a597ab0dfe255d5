# The number of a function in a kernel's type information (BTF): by it a BPF program says which function it wants.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import struct

# Documentation/bpf/btf.rst: bytes that follow a type, and bytes for each of its members.
_INT, _ARRAY, _STRUCT, _UNION, _ENUM, _FUNC, _FUNC_PROTO, _VAR, _DATASEC, _DECL_TAG, _ENUM64 = (
    1,
    3,
    4,
    5,
    6,
    12,
    13,
    14,
    15,
    17,
    19,
)
_FOLLOWS = {_INT: 4, _ARRAY: 12, _VAR: 4, _DECL_TAG: 4}
_EACH = {_STRUCT: 12, _UNION: 12, _ENUM: 8, _FUNC_PROTO: 8, _DATASEC: 12, _ENUM64: 12}


def function_id(vmlinux, name):
    """The BTF number (int) of a function (str) in an uncompressed x86-64 kernel (path)."""
    data = _section(vmlinux.read_bytes(), b".BTF")
    header, types, size, strings = struct.unpack_from("<IIII", data, 4)
    offset, end, number = header + types, header + types + size, 0
    while offset < end:
        number += 1
        name_offset, info, _size = struct.unpack_from("<III", data, offset)
        kind, members = info >> 24 & 31, info & 0xFFFF
        start = header + strings + name_offset
        if kind == _FUNC and data[start : data.index(b"\0", start)] == name.encode():
            return number
        offset += 12 + _FOLLOWS.get(kind, 0) + _EACH.get(kind, 0) * members
    raise LookupError(name)


def _section(image, name):
    (headers,) = struct.unpack_from("<Q", image, 40)
    size, count, names = struct.unpack_from("<HHH", image, 58)
    (strings,) = struct.unpack_from("<Q", image, headers + names * size + 24)
    for number in range(count):
        (name_offset,) = struct.unpack_from("<I", image, headers + number * size)
        start, length = struct.unpack_from("<QQ", image, headers + number * size + 24)
        if image[strings + name_offset : image.index(b"\0", strings + name_offset)] == name:
            return image[start : start + length]
    raise LookupError(name)
