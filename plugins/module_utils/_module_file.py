# A kernel module as a file: what it says about itself, read from its ELF sections.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import errno
import os
import struct
from collections import namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils import _sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._errors import LivepatchError

# The kernel appends its signature with this line at the very end (include/linux/module_signature.h).
SIGNATURE_MARKER = b"~Module signature appended~\n"
# More than any module, less than what would harm the host when a small file unpacks to something huge.
LIMIT = 256 * 1024 * 1024

# e_machine (elf.h) of the architectures that have livepatches, by what uname -m prints.
MACHINES = {"x86_64": 62, "ppc64le": 21, "s390x": 22, "aarch64": 183, "loongarch64": 258}

_SHT_SYMTAB, _SHT_RELA = 2, 4

# The absolute 64-bit relocation of each e_machine: R_X86_64_64, R_PPC64_ADDR64, R_390_64, R_AARCH64_ABS64, R_LARCH_64.
_ABSOLUTE = {62: 1, 21: 38, 22: 22, 183: 257, 258: 2}
# struct klp_patch (include/linux/livepatch.h, 5.10 to 7.2): mod, objs, states are pointers, then bool replace.
_OBJS, _STATES, _REPLACE, _PATCH_HEAD = 8, 16, 24, 32

ModuleFile = namedtuple(
    "ModuleFile", "path name vermagic livepatch depends build_id srcversion signed machine replace image packed"
)
_Section = namedtuple("_Section", "name kind offset size link info")


def read(path, run_command):
    """Read, unpack and parse a module; return a ModuleFile. run_command: AnsibleModule.run_command, for zstd.

    name: the module's own, which the file's need not be. depends: list of module names. replace: the livepatch's
    replace flag, None where the file does not show it. image: the unpacked bytes. packed: whether they differ from the file.
    Raises LivepatchError: not_found, bad_module_file.
    """
    data = _contents(path)
    image = _unpack(path, data, run_command)
    return parse(path, image)._replace(packed=image is not data)


def parse(path, image):
    """Return the ModuleFile of the bytes of an unpacked module, or raise bad_module_file."""
    try:
        return _parse(path, image)
    except (struct.error, IndexError, ValueError) as error:
        raise _bad(path, "a truncated or damaged one (%s)" % error)


def _contents(path):
    try:
        with open(path, "rb") as stream:
            data = stream.read(LIMIT + 1)
    except EnvironmentError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise LivepatchError(
                "not_found",
                "%s: expected a kernel module, found no such file. Install its package or correct the path." % path,
            )
        raise _bad(path, "an unreadable one (%s)" % error.strerror)
    return _bounded(path, data)


def _unpack(path, data, run_command):
    # Each library is imported only for the file that needs it.
    try:
        if data[:2] == b"\x1f\x8b":
            import gzip
            import io

            with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
                return _bounded(path, stream.read(LIMIT + 1))
        if data[:6] == b"\xfd7zXZ\x00":
            import lzma

            return _bounded(path, lzma.LZMADecompressor().decompress(data, LIMIT + 1))
        if data[:4] == b"\x28\xb5\x2f\xfd":
            return _bounded(path, _unzstd(path, run_command))
    except LivepatchError:
        raise
    except Exception as error:  # zlib, lzma and gzip each have their own
        raise _bad(path, "a damaged compressed file (%s)" % error)
    return data


def _unzstd(path, run_command):
    # Python has zstd since 3.14 only.
    try:
        code, data, errors = run_command(
            ["zstd", "-dcq", "--", path], encoding=None, expand_user_and_vars=False, handle_exceptions=False
        )
    except EnvironmentError as error:
        raise _bad(path, "one compressed with zstd, and zstd cannot be run here (%s): install zstd" % error.strerror)
    if code != 0:
        raise _bad(path, "a damaged zstd file (%s)" % errors.decode("utf-8", "replace").strip()[-200:])
    return data


def _bounded(path, data):
    if len(data) > LIMIT:
        raise _bad(path, "one of more than %d MiB" % (LIMIT >> 20))
    return data


def _bad(path, found):
    return LivepatchError(
        "bad_module_file",
        "%s: expected an ELF64 kernel module (.ko, .ko.xz, .ko.gz, .ko.zst), found %s. "
        "Fetch or build the module anew." % (path, found),
    )


def _parse(path, image):
    if image[:5] != b"\x7fELF\x02" or len(image) < 64:
        raise _bad(path, "something else, beginning with %r" % image[:8])
    order = ">" if image[5:6] == b"\x02" else "<"
    kind, machine = struct.unpack_from(order + "HH", image, 16)
    if kind != 1:
        raise _bad(path, "an ELF file that is not relocatable (type %d)" % kind)
    sections = _sections(image, order)
    modinfo = _modinfo(image, sections)
    if "vermagic" not in modinfo:
        raise _bad(path, "an ELF file without a kernel release (no vermagic in .modinfo)")
    return ModuleFile(
        path=path,
        name=modinfo.get("name", os.path.basename(path).split(".ko", 1)[0]).replace("-", "_"),
        vermagic=modinfo["vermagic"],
        livepatch=modinfo.get("livepatch", "N").startswith("Y"),
        depends=[name for name in modinfo.get("depends", "").split(",") if name],
        build_id=_build_id(image, sections, order),
        srcversion=modinfo.get("srcversion") or None,
        signed=image.endswith(SIGNATURE_MARKER),
        machine=machine,
        replace=_replace(image, sections, order, machine),
        image=image,
        packed=False,
    )


def _sections(image, order):
    (start,) = struct.unpack_from(order + "Q", image, 40)
    size, count, names_index = struct.unpack_from(order + "HHH", image, 58)
    if not count or size != 64 or start + count * size > len(image):
        raise ValueError("its section headers lie outside the file")
    headers = [struct.unpack_from(order + "IIQQQQIIQQ", image, start + number * size) for number in range(count)]
    names = _bytes(image, headers[names_index][4], headers[names_index][5])
    return [
        _Section(_string(names, header[0]), header[1], header[4], header[5], header[6], header[7]) for header in headers
    ]


def _bytes(image, offset, size):
    if offset + size > len(image):
        raise ValueError("a section lies outside the file")
    return image[offset : offset + size]


def _string(table, offset):
    return table[offset : table.find(b"\0", offset)].decode("utf-8", "replace")


def _content(image, sections, name):
    for section in sections:
        if section.name == name:
            return _bytes(image, section.offset, section.size)
    return b""


def _modinfo(image, sections):
    pairs = (entry.partition(b"=") for entry in _content(image, sections, ".modinfo").split(b"\0"))
    fields = {}
    for key, separator, value in pairs:
        if separator:
            fields.setdefault(key.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
    return fields


def _build_id(image, sections, order):
    for section in sections:
        if section.name.startswith(".note") and section.kind == 7:
            found = _sysfs.parse_build_id(_bytes(image, section.offset, section.size), order)
            if found:
                return found
    return None


def _replace(image, sections, order, machine):
    """The replace flag of the one struct klp_patch in the file's data, or None.

    The struct begins with a pointer to the module itself and one to its objects. A livepatch that fills the struct
    at run time (kpatch-build, klp-build) does not show it.
    """
    flags = []
    for section in sections:
        target = sections[section.info] if section.info < len(sections) else None
        if section.kind == _SHT_RELA and target is not None and target.name.startswith((".data", ".rodata")):
            flags += _patch_structs(image, sections, section, target, order, machine)
    return flags[0] if len(flags) == 1 else None


def _patch_structs(image, sections, rela, target, order, machine):
    pointers = _pointers(image, sections, rela, order, machine)
    data = _bytes(image, target.offset, target.size)
    for start, (name, _section_name) in pointers.items():
        head = data[start : start + _PATCH_HEAD]
        objects = pointers.get(start + _OBJS, (None, ""))[1]
        is_patch = (
            name == "__this_module"
            and len(head) == _PATCH_HEAD
            and objects.startswith((".data", ".rodata", ".bss"))
            and start + _REPLACE not in pointers
            and not head[:_REPLACE].strip(b"\0")
            and head[_REPLACE : _REPLACE + 1] in (b"\0", b"\1")
            and not head[_REPLACE + 1 :].strip(b"\0")
        )
        if is_patch:
            yield head[_REPLACE : _REPLACE + 1] == b"\1"


def _pointers(image, sections, rela, order, machine):
    """Offset -> (name of the symbol, name of its section) for each absolute relocation of a section."""
    symbols_section = sections[rela.link]
    if symbols_section.kind != _SHT_SYMTAB:
        return {}
    symbols = _bytes(image, symbols_section.offset, symbols_section.size)
    strings = sections[symbols_section.link]
    names = _bytes(image, strings.offset, strings.size)
    relocations = _bytes(image, rela.offset, rela.size)
    found = {}
    for start in range(0, len(relocations) - 23, 24):
        offset, info = struct.unpack_from(order + "QQ", relocations, start)
        if info & 0xFFFFFFFF != _ABSOLUTE.get(machine):
            continue
        name, _info, _other, index = struct.unpack_from(order + "IBBH", symbols, (info >> 32) * 24)
        found[offset] = (_string(names, name), sections[index].name if 0 < index < len(sections) else "")
    return found
