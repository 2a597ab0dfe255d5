# Relocatable ELF64 files in either byte order: sections, strings, symbols, relocations. Every amount is bounded.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# A damaged file gives ValueError, IndexError or struct.error.

import struct
from collections import namedtuple

SHT_SYMTAB, SHT_RELA, SHT_NOTE, SHT_NOBITS = 2, 4, 7, 8
SHF_EXECINSTR = 0x4
SHN_UNDEF = 0
STB_WEAK = 2

# The absolute 64-bit relocation of each e_machine: R_X86_64_64, R_PPC64_ADDR64, R_390_64, R_AARCH64_ABS64, R_LARCH_64.
ABSOLUTE = {62: 1, 21: 38, 22: 22, 183: 257, 258: 2}

# Thousands of times what a livepatch has; what a damaged file claims to have takes seconds at most.
MOST_RELOCATIONS = 400000
_MOST_SYMBOLS = 400000
_MOST_SECTIONS = 65000

Section = namedtuple("Section", "name kind flags offset size link info")
Symbol = namedtuple("Symbol", "name binding section value size")
Symbol.__doc__ = """section: number of its section (int), 0 undefined. value: offset in that section."""
Target = namedtuple("Target", "symbol section offset")
Target.__doc__ = (
    """What a pointer points to. symbol: its name, empty for a section's own. section: number. offset: in it."""
)


def byte_order(image):
    """struct's sign for the file's byte order."""
    return ">" if image[5:6] == b"\x02" else "<"


def sections(image):
    """Return the file's sections (list of Section)."""
    order = byte_order(image)
    (start,) = struct.unpack_from(order + "Q", image, 40)
    size, count, names_index = struct.unpack_from(order + "HHH", image, 58)
    if not 0 < count <= _MOST_SECTIONS or size != 64 or start + count * size > len(image):
        raise ValueError("its section headers lie outside the file")
    headers = [struct.unpack_from(order + "IIQQQQIIQQ", image, start + number * size) for number in range(count)]
    names = part(image, headers[names_index][4], headers[names_index][5])
    return [
        Section(string(names, header[0]), header[1], header[2], header[4], header[5], header[6], header[7])
        for header in headers
    ]


def part(image, offset, size):
    """Return size bytes from offset on."""
    if offset + size > len(image):
        raise ValueError("a section lies outside the file")
    return image[offset : offset + size]


def content(image, section):
    """Return the bytes of a section; those without bytes in the file (.bss) give none."""
    return b"" if section.kind == SHT_NOBITS else part(image, section.offset, section.size)


def string(table, offset):
    """Return the text at an offset of a table of strings, at most 512 bytes of it (KSYM_NAME_LEN since 6.1)."""
    return table[offset : offset + 512].split(b"\0", 1)[0].decode("utf-8", "replace")


def symbols(image, all_sections, number):
    """Return the symbols (list of Symbol) of the symbol table with this section number; empty where it is none."""
    table = all_sections[number]
    if table.kind != SHT_SYMTAB:
        return []
    if table.size // 24 > _MOST_SYMBOLS:
        raise ValueError("more symbols than a module has")
    order = byte_order(image)
    data, strings = content(image, table), content(image, all_sections[table.link])
    found = []
    for start in range(0, len(data) - 23, 24):
        name, info, _other, section, value, size = struct.unpack_from(order + "IBBHQQ", data, start)
        found.append(Symbol(string(strings, name), info >> 4, section, value, size))
    return found


def relocations(image, all_sections, wanted):
    """Yield (number of the section, offset in it, kind, Target) of each relocation of the sections that are wanted.

    wanted: tells it of a Section. There are at most MOST_RELOCATIONS, of two tables of symbols.
    """
    order, tables, left = byte_order(image), {}, MOST_RELOCATIONS
    for rela in all_sections:
        if rela.kind != SHT_RELA or rela.info >= len(all_sections) or not wanted(all_sections[rela.info]):
            continue
        left -= rela.size // 24
        if left < 0:
            raise ValueError("more relocations than a module has")
        if rela.link not in tables:
            if len(tables) > 1:
                raise ValueError("more tables of symbols than a module has")
            tables[rela.link] = symbols(image, all_sections, rela.link)
        data, table = content(image, rela), tables[rela.link]
        for start in range(0, len(data) - 23, 24):
            offset, info, addend = struct.unpack_from(order + "QQq", data, start)
            symbol = table[info >> 32]
            yield rela.info, offset, info & 0xFFFFFFFF, Target(symbol.name, symbol.section, symbol.value + addend)
