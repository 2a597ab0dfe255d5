# Hand-made livepatches as files, with the lists of what they change: as C sources, kpatch-build and klp-build give them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# changes: object (None for vmlinux) -> list of (function, sympos).

import struct

from tests.unit.fakes.elf import KERNEL

# e_machine and its absolute relocation, as elf.h has them; s390x is big-endian.
ABSOLUTE = {62: 1, 183: 257, 22: 22, 21: 38}

ALLOC, EXECUTE = 2, 4
PROGBITS, SYMTAB, STRTAB, RELA, NOTE, NOBITS = 1, 2, 3, 4, 7, 8
# The relocation of x86 that is relative to the end of an instruction.
RELATIVE = 2


class Image(object):
    """Sections, symbols and pointers, put together by bytes()."""

    def __init__(self, machine=62, order="<"):
        self.machine = machine
        self.order = order
        self.sections = {}
        self.flags = {}
        self.symbols = []
        self.pointers = {}
        self.tail = b""
        self.section(".modinfo")
        self.describe()
        self.section(".note.gnu.build-id", struct.pack(order + "III", 4, 20, 3) + b"GNU\0" + b"\x11" * 20)
        self.section(".text", bytes(4096), EXECUTE)
        self.section(".rodata.str1.1", b"\0")

    def describe(self, **changes):
        """Write the fields of modinfo; changes: those that differ from the usual."""
        fields = dict({"vermagic": KERNEL + " SMP ", "name": "hotfix1", "livepatch": "Y", "depends": ""}, **changes)
        self.sections[".modinfo"] = bytearray(
            b"".join(b"%s=%s\0" % (k.encode(), v.encode()) for k, v in fields.items())
        )

    def section(self, name, content=b"", flags=0):
        self.sections[name] = bytearray(content)
        self.flags[name] = ALLOC | flags

    def string(self, text):
        """Put a string into the strings; return where it is."""
        strings = self.sections[".rodata.str1.1"]
        strings.extend(text.encode() + b"\0")
        return ".rodata.str1.1", len(strings) - len(text) - 1

    def symbol(self, name, section=None, value=0, size=0, weak=False):
        self.symbols.append((name, section, value, size, weak))

    def point(self, place, target):
        """place: (section, offset). target: (section, offset), or the name of an undefined symbol."""
        self.pointers.setdefault(place[0], []).append((place[1], target))

    def refer(self, place, target, kind=RELATIVE, away=-4):
        """Have code at a place refer to another one, by a relocation of that kind, away bytes from it."""
        self.pointers.setdefault(place[0], []).append((place[1], (target[0], target[1] + away, kind)))

    def number(self, place, value, size=8):
        section = self.sections[place[0]]
        section[place[1] : place[1] + size] = struct.pack(self.order + {8: "Q", 4: "I", 1: "B"}[size], value)

    def bytes(self):
        names = list(self.sections)
        indexes = {name: number for number, name in enumerate(names, 1)}
        undefined = sorted(
            {target for places in self.pointers.values() for dummy, target in places if isinstance(target, str)}
        )
        symbols = [("", None, 0, 0, False)] + [("", name, 0, 0, False) for name in names]
        symbols += [(name, None, 0, 0, False) for name in undefined] + self.symbols
        strings, table = bytearray(b"\0"), b""
        for name, section, value, size, weak in symbols:
            info = (2 if weak else 1 if name else 0) << 4
            offset = len(strings) if name else 0
            strings += name.encode() + b"\0" if name else b""
            table += struct.pack(self.order + "IBBHQQ", offset, info, 0, indexes.get(section, 0), value, size)
        sections = [(name, _kind(name), self.flags[name], bytes(self.sections[name]), 0, 0) for name in names]
        symtab = len(names) + len(self.pointers) + 1
        for name, places in self.pointers.items():
            content = b""
            for offset, target in places:
                number = 1 + len(names) + undefined.index(target) if isinstance(target, str) else indexes[target[0]]
                addend = 0 if isinstance(target, str) else target[1]
                kind = target[2] if len(target) == 3 and not isinstance(target, str) else ABSOLUTE[self.machine]
                content += struct.pack(self.order + "QQq", offset, number << 32 | kind, addend)
            sections.append((".rela" + name, RELA, 0, content, symtab, indexes[name]))
        sections += [(".symtab", SYMTAB, 0, table, symtab + 1, 0), (".strtab", STRTAB, 0, bytes(strings), 0, 0)]
        return self._file(sections)

    def _file(self, sections):
        names, offsets = b"\0", []
        for name in [section[0] for section in sections] + [".shstrtab"]:
            offsets.append(len(names))
            names += name.encode() + b"\0"
        sections = sections + [(".shstrtab", STRTAB, 0, names, 0, 0)]
        body, headers = b"", struct.pack(self.order + "IIQQQQIIQQ", *[0] * 10)
        for offset, (_name, kind, flags, content, link, info) in zip(offsets, sections):
            headers += struct.pack(
                self.order + "IIQQQQIIQQ", offset, kind, flags, 0, 64 + len(body), len(content), link, info, 1, 0
            )
            body += content if kind != NOBITS else b""
        ident = b"\x7fELF\x02" + (b"\x02" if self.order == ">" else b"\x01") + b"\x01" + bytes(9)
        head = struct.pack(
            self.order + "HHIQQQIHHHHHH",
            1,
            self.machine,
            1,
            0,
            0,
            64 + len(body),
            0,
            64,
            0,
            0,
            64,
            len(sections) + 1,
            len(sections),
        )
        return ident + head + body + headers + self.tail


def _kind(name):
    return NOTE if name.startswith(".note") else NOBITS if name.startswith(".bss") else PROGBITS


def structs(changes, replace=True, machine=62, order="<", func=144, klp_object=152, symbols=True, imports=()):
    """A livepatch as a C source gives it. func, klp_object: the kernel's sizes. symbols: whether arrays have sized ones."""
    image = Image(machine, order)
    objects = 64
    arrays, end = {}, objects + (len(changes) + 1) * klp_object
    for owner, functions in changes.items():
        arrays[owner] = end
        end += (len(functions) + 1) * func
    image.section(".data", bytes(end))
    image.point((".data", 0), "__this_module")
    image.point((".data", 8), (".data", objects))
    image.number((".data", 24), int(replace), 1)
    if symbols:
        image.symbol("objects", ".data", objects, (len(changes) + 1) * klp_object)
    for number, (owner, functions) in enumerate(changes.items()):
        at = objects + number * klp_object
        if owner is not None:
            image.point((".data", at), image.string(owner))
        image.point((".data", at + 8), (".data", arrays[owner]))
        if symbols:
            image.symbol("functions", ".data", arrays[owner], (len(functions) + 1) * func)
        for index, (name, sympos) in enumerate(functions):
            _function(image, ".data", arrays[owner] + index * func, index, name, sympos)
    for name in imports:
        image.symbol(name)
    return image


def kpatch(changes, machine=62, order="<"):
    """A livepatch as kpatch-build gives it."""
    image = Image(machine, order)
    functions = [(owner or "vmlinux", name, sympos) for owner in changes for name, sympos in changes[owner]]
    image.section(".kpatch.funcs", bytes(56 * len(functions)))
    for index, (owner, name, sympos) in enumerate(functions):
        at = index * 56
        image.point((".kpatch.funcs", at), (".text", index * 32))
        image.number((".kpatch.funcs", at + 32), sympos)
        image.point((".kpatch.funcs", at + 40), image.string(name))
        image.point((".kpatch.funcs", at + 48), image.string(owner))
    return image


def klp_build(changes, machine=62, order="<", sections=("__klp_objects", "__klp_funcs")):
    """A livepatch as klp-build gives it; sections: the names differ between kernels."""
    image = Image(machine, order)
    objects, functions = sections
    image.section(objects, bytes(64 * len(changes)))
    image.section(functions, bytes(24 * sum(len(entries) for entries in changes.values())))
    index = 0
    for number, (owner, entries) in enumerate(changes.items()):
        if owner is not None:
            image.point((objects, number * 64), image.string(owner))
        image.point((objects, number * 64 + 8), (functions, index * 24))
        image.number((objects, number * 64 + 56), len(entries), 4)
        for name, sympos in entries:
            _function(image, functions, index * 24, index, name, sympos)
            index += 1
    return image


def _function(image, section, at, index, name, sympos):
    image.point((section, at), image.string(name))
    image.point((section, at + 8), (".text", index * 32))
    image.number((section, at + 16), sympos)
