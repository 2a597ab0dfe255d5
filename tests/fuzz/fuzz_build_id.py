# ELF notes, as sysfs and module files have them: the build id in them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import struct

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from tests.fuzz import inputs


def _note(kind, name, content, order="<"):
    return struct.pack(order + "III", len(name), len(content), kind) + name + content + bytes(-len(content) % 4)


_ID = bytes(bytearray(range(20)))
SEEDS = [
    _note(3, b"GNU\0", _ID),
    _note(3, b"GNU\0", _ID, ">"),
    _note(1, b"Linux\0\0\0", b"\0\0\0\0") + _note(3, b"GNU\0", _ID),
]
SEEDS += [inputs.times(_note(1, b"", b""), 4096)]
WORDS = [b"GNU\0", b"\x03\0\0\0", b"\0\0\0\x03", b"\x04\0\0\0", b"\xff\xff\xff\xff"]


def one_input(data):
    notes = inputs.repeated(data)
    for order in "<>=":
        found = sysfs.parse_build_id(notes, order)
        assert found is None or (found and bytes(bytearray.fromhex(found)) in notes)
