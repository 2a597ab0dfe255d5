# Small hand-made kernel modules: just the ELF sections that say what a module is.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import struct

KERNEL = "6.1.0-56-amd64"
SIGNATURE = b"~Module signature appended~\n"


def module(
    name="hotfix1",
    build_id="11" * 20,
    livepatch=True,
    kernel=KERNEL,
    depends="",
    replace=None,
    signed=False,
    machine=62,
    order="<",
    own_name=None,
):
    """Return the bytes of a module; replace: True or False also makes a struct klp_patch in its .data.

    own_name: that in its struct module, None for none.
    """
    fields = ["vermagic=%s SMP preempt mod_unload " % kernel, "name=%s" % name, "depends=%s" % depends]
    fields += ["livepatch=Y"] if livepatch else []
    modinfo = b"".join(field.encode() + b"\0" for field in fields)
    raw = bytes(bytearray.fromhex(build_id))
    note = struct.pack(order + "III", 4, len(raw), 3) + b"GNU\0" + raw
    sections = [(".modinfo", 1, modinfo, 0, 0), (".note.gnu.build-id", 7, note, 0, 0)]
    if own_name:
        sections += [(".gnu.linkonce.this_module", 1, bytes(24) + own_name.encode().ljust(80, b"\0"), 0, 0)]
    sections += _patch_sections(len(sections) + 1, replace, order) if replace is not None else []
    return _elf(sections, machine, order) + (SIGNATURE if signed else b"")


def _patch_sections(data_index, replace, order):
    data = bytes(24) + (b"\1" if replace else b"\0") + bytes(39)
    symbols = struct.pack(order + "IBBHQQ", 0, 0, 0, 0, 0, 0)
    symbols += struct.pack(order + "IBBHQQ", 1, 0x11, 0, 0, 0, 0)  # __this_module, in a section of the kernel's own
    symbols += struct.pack(order + "IBBHQQ", 0, 3, 0, data_index, 0, 0)  # the section .data
    relocations = struct.pack(order + "QQq", 0, 1 << 32 | 1, 0) + struct.pack(order + "QQq", 8, 2 << 32 | 1, 32)
    return [
        (".data", 1, data, 0, 0),
        (".rela.data", 4, relocations, data_index + 2, data_index),
        (".symtab", 2, symbols, data_index + 3, 0),
        (".strtab", 3, b"\0__this_module\0", 0, 0),
    ]


def _elf(sections, machine, order):
    names, offsets = b"\0", []
    for section in sections + [(".shstrtab",)]:
        offsets.append(len(names))
        names += section[0].encode() + b"\0"
    sections = sections + [(".shstrtab", 3, names, 0, 0)]
    body, headers = b"", struct.pack(order + "IIQQQQIIQQ", *[0] * 10)
    for name_offset, (_name, kind, content, link, info) in zip(offsets, sections):
        headers += struct.pack(
            order + "IIQQQQIIQQ", name_offset, kind, 0, 0, 64 + len(body), len(content), link, info, 1, 0
        )
        body += content
    ident = b"\x7fELF\x02" + (b"\x02" if order == ">" else b"\x01") + b"\x01" + bytes(9)
    head = ident + struct.pack(
        order + "HHIQQQIHHHHHH", 1, machine, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(sections) + 1, len(sections)
    )
    return head + body + headers
