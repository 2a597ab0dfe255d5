# Which functions a livepatch changes, and what else it needs of the kernel: read from its file, without loading it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Three kinds of file are understood: structs in the data, as in samples/livepatch and from SUSE; the lists of kpatch-build
# (kpatch-patch.h); those of klp-build (include/linux/livepatch_external.h, since 6.19). Of others nothing is claimed.

import bisect
import re
import struct
from collections import OrderedDict, namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import elf, module_file

VMLINUX = "vmlinux"

Function = namedtuple("Function", "object name sympos")
Function.__doc__ = """object: vmlinux or a module (str). name: of the function that is changed. sympos: which one of several of
that name (int, from 1), 0 where it must be the only one."""

Contents = namedtuple("Contents", "functions objects imports")
Contents.__doc__ = """functions: list of Function, None where the file is of no kind that is understood. objects: names of the
objects that it changes, None likewise. imports: names that the kernel or other modules must have (list of str)."""

# No livepatch is near it; more would take long to look for in the kernel.
_MOST_FUNCTIONS = 20000
_MOST_OBJECTS = 1000
_NAME = re.compile(r"\A[A-Za-z0-9_.$]{1,511}\Z")

# struct klp_func: old_name, new_func, old_sympos. struct klp_object: name, funcs, callbacks. Both go on with fields of
# the kernel's own, so that their sizes differ from kernel to kernel.
_NEW_FUNC, _SYMPOS, _FUNC_HEAD = 8, 16, 24
_FUNCS = 8
# The smallest sizes that they ever had: what is nearer together is something else.
_SMALLEST_FUNC, _SMALLEST_OBJECT = 96, 112

# struct kpatch_patch_func: new_addr, new_size, old_addr, old_size, sympos, name, objname.
_KPATCH_FUNC, _KPATCH_SYMPOS, _KPATCH_NAME, _KPATCH_OBJECT = 56, 32, 40, 48
# struct klp_func_ext: old_name, new_func, sympos. struct klp_object_ext: name, funcs, callbacks, nr_funcs.
_EXT_FUNC, _EXT_OBJECT, _EXT_NR_FUNCS = 24, 64, 56


class _NotUnderstood(Exception):
    """The file does not hold what its kind of livepatch has."""


def read(module):
    """Return the Contents of a livepatch (ModuleFile); raise bad_module_file where the file is damaged."""
    try:
        file = _File(module)
        return Contents(*_changes(file), imports=_imports(file))
    except (struct.error, IndexError, ValueError) as error:
        raise module_file.bad(module.path, "a truncated or damaged one (%s)" % error)


class _File(object):
    """The file's sections, and what the pointers in its data point to."""

    def __init__(self, module):
        self.image = module.image
        self.order = elf.byte_order(module.image)
        self.sections = elf.sections(module.image)
        self.pointers = module_file.data_pointers(module.image, self.sections, module.machine)
        self.patches = module_file.patch_structs(module.image, self.sections, self.pointers)
        self.symbols = []
        for number, section in enumerate(self.sections):
            if section.kind == elf.SHT_SYMTAB:
                self.symbols = elf.symbols(module.image, self.sections, number)
                break
        self._sizes = {(symbol.section, symbol.value): symbol.size for symbol in self.symbols if symbol.size}
        self._contents = {}
        self._starts = {}

    def numbers(self, *names):
        """Numbers of the sections with one of these names."""
        return [number for number, section in enumerate(self.sections) if section.name in names]

    def content(self, number):
        """The bytes of a section."""
        if number not in self._contents:
            self._contents[number] = elf.content(self.image, self.sections[number])
        return self._contents[number]

    def at(self, number, offset):
        """The Target of the pointer at a place, or None."""
        return self.pointers.get(number, {}).get(offset)

    def word(self, number, offset):
        """The number of 64 bits at a place."""
        return struct.unpack_from(self.order + "Q", self.content(number), offset)[0]

    def name_at(self, number, offset):
        """The name that the pointer at a place points to, or None."""
        target = self.at(number, offset)
        if target is None or not 0 < target.section < len(self.sections) or target.offset < 0:
            return None
        text = elf.string(self.content(target.section), target.offset)
        return text if _NAME.match(text) else None

    def function_starts(self, number):
        """Offsets in a section at which an entry of a function may begin, sorted."""
        if number not in self._starts:
            self._starts[number] = sorted(
                offset for offset in self.pointers.get(number, {}) if _is_function(self, number, offset)
            )
        return self._starts[number]

    def is_code(self, target):
        """Whether a pointer points to code."""
        return (
            target is not None
            and 0 < target.section < len(self.sections)
            and bool(self.sections[target.section].flags & elf.SHF_EXECINSTR)
        )

    def end(self, number, start, others):
        """Where what starts at a place ends at the latest: by its symbol, else where something else starts."""
        size = self._sizes.get((number, start))
        if size:
            return start + size
        later = [offset for section, offset in others if section == number and offset > start]
        return min(later + [self.sections[number].size])


def _imports(file):
    # Livepatch symbols (.klp.sym.) have a section number of their own, and are resolved in another way. What begins with
    # a dot (powerpc) and the offset table are the module loader's own affair.
    return sorted(
        {
            symbol.name
            for symbol in file.symbols
            if symbol.section == elf.SHN_UNDEF
            and symbol.binding != elf.STB_WEAK
            and symbol.name not in ("", "_GLOBAL_OFFSET_TABLE_")
            and not symbol.name.startswith(".")
        }
    )


def _changes(file):
    """Return (functions, objects), (None, None) where the file is not understood."""
    try:
        for names, find in ((_KPATCH, _by_kpatch), (_KLP_BUILD, _by_klp_build)):
            numbers = file.numbers(*names)
            if len(numbers) == 1:
                return _distinct(find(file, numbers[0]))
        return _distinct(_by_structs(file))
    except _NotUnderstood:
        return None, None


_KPATCH = (".kpatch.funcs",)
_KLP_BUILD = ("__klp_objects", ".init.klp_objects")


def _distinct(found):
    """found: object -> list of (name, sympos)."""
    functions = [Function(name, *entry) for name, entries in found.items() for entry in entries]
    if not found or len(functions) > _MOST_FUNCTIONS:
        raise _NotUnderstood
    return functions, list(found)


def _entries(file, number, size):
    """Return the offsets of the entries of this size that a section consists of."""
    whole = file.sections[number].size
    if not whole or whole % size or whole // size > _MOST_FUNCTIONS:
        raise _NotUnderstood
    return range(0, whole, size)


def _by_kpatch(file, number):
    found = OrderedDict()
    for start in _entries(file, number, _KPATCH_FUNC):
        name = file.name_at(number, start + _KPATCH_NAME)
        in_object = file.name_at(number, start + _KPATCH_OBJECT)
        if name is None or in_object is None or not file.is_code(file.at(number, start)):
            raise _NotUnderstood
        found.setdefault(in_object, []).append((name, file.word(number, start + _KPATCH_SYMPOS)))
    return found


def _by_klp_build(file, number):
    found, left = OrderedDict(), _MOST_FUNCTIONS
    for start in _entries(file, number, _EXT_OBJECT):
        funcs = file.at(number, start + _FUNCS)
        (count,) = struct.unpack_from(file.order + "I", file.content(number), start + _EXT_NR_FUNCS)
        left -= count
        if funcs is None or left < 0:
            raise _NotUnderstood
        entries = [_function(file, funcs.section, funcs.offset + index * _EXT_FUNC) for index in range(count)]
        found.setdefault(_object_name(file, number, start), []).extend(entries)
    return found


def _object_name(file, number, start):
    if file.at(number, start) is None:
        return VMLINUX
    name = file.name_at(number, start)
    if name is None:
        raise _NotUnderstood
    return name


def _function(file, number, start):
    if not _is_function(file, number, start):
        raise _NotUnderstood
    return file.name_at(number, start), file.word(number, start + _SYMPOS)


def _is_function(file, number, start):
    return (
        file.is_code(file.at(number, start + _NEW_FUNC))
        and file.at(number, start + _SYMPOS) is None
        and file.name_at(number, start) is not None
    )


def _by_structs(file):
    if len(file.patches) != 1:
        raise _NotUnderstood
    patch = file.patches[0]
    array = file.at(patch.section, patch.offset + _FUNCS)  # objs, the second pointer of the struct
    objects = _elements(
        array.offset,
        file.end(array.section, array.offset, {(patch.section, patch.offset)}),
        _SMALLEST_OBJECT,
        sorted(
            offset - _FUNCS
            for offset in file.pointers.get(array.section, {})
            if _is_object(file, array.section, offset)
        ),
    )
    if len(objects) > _MOST_OBJECTS:
        raise _NotUnderstood
    known = {(patch.section, patch.offset), (array.section, array.offset)}
    lists = {start: file.at(array.section, start + _FUNCS) for start in objects}
    known.update((target.section, target.offset) for target in lists.values())
    found = OrderedDict()
    for start in objects:
        found.setdefault(_object_name(file, array.section, start), []).extend(_functions(file, lists[start], known))
    return found


def _is_object(file, number, offset):
    """Whether the pointer there may be the funcs of a struct klp_object: to a function's entry, or to an empty one."""
    target = file.at(number, offset)
    if not 0 < target.section < len(file.sections) or target.offset < 0:
        return False
    named = file.at(number, offset - _FUNCS) is None or file.name_at(number, offset - _FUNCS) is not None
    return named and (_is_function(file, target.section, target.offset) or _is_empty(file, target))


def _is_empty(file, target):
    """Whether a list of functions has none: callbacks alone."""
    section = file.sections[target.section]
    # A list of zeros alone has no bytes in the file.
    if section.kind == elf.SHT_NOBITS:
        return section.name.startswith(".bss") and target.offset + _FUNC_HEAD <= section.size
    if not section.name.startswith(".data"):
        return False
    head = file.content(target.section)[target.offset : target.offset + _FUNC_HEAD]
    pointers = file.pointers.get(target.section, {})
    return (
        len(head) == _FUNC_HEAD
        and not head.strip(b"\0")
        and not any(target.offset + offset in pointers for offset in range(0, _FUNC_HEAD, 8))
    )


def _functions(file, target, known):
    if _is_empty(file, target):
        return []
    end = file.end(target.section, target.offset, known)
    starts = _elements(target.offset, end, _SMALLEST_FUNC, file.function_starts(target.section))
    return [_function(file, target.section, start) for start in starts]


def _elements(start, end, smallest, candidates):
    """Return the offsets of an array's elements: of sorted candidates those from start to end, at even distances.

    The size of an element is not known: whatever fits no even distance is not understood.
    """
    within = candidates[bisect.bisect_left(candidates, start) : bisect.bisect_left(candidates, end)]
    if not within or within[0] != start or len(within) > _MOST_FUNCTIONS:
        raise _NotUnderstood
    stride = within[1] - start if len(within) > 1 else smallest
    if stride < smallest or any(offset != start + index * stride for index, offset in enumerate(within)):
        raise _NotUnderstood
    return within
