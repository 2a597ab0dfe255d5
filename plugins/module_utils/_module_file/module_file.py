# A kernel module as a file: what it says about itself, read from its ELF sections.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import errno
import os
import struct
from collections import namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils._files import processes
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import elf

# The kernel appends its signature with this line at the very end (include/linux/module_signature.h).
SIGNATURE_MARKER = b"~Module signature appended~\n"
# More than any module, less than what would harm the host when a small file unpacks to something huge.
LIMIT = 256 * 1024 * 1024

# e_machine (elf.h) of the architectures that have livepatches, by what uname -m prints.
MACHINES = {"x86_64": 62, "ppc64le": 21, "s390x": 22, "aarch64": 183, "loongarch64": 258}

# struct klp_patch (include/linux/livepatch.h, 5.10 to 7.2): mod, objs, states are pointers, then bool replace.
_OBJS, _STATES, _REPLACE, _PATCH_HEAD = 8, 16, 24, 32
# struct module (include/linux/module.h, 4.18 to 7.2) begins with its state and its place in a list, then MODULE_NAME_LEN.
_MODULE_NAME, _MODULE_NAME_END = 24, 24 + 56
# What a relocation of code adds to the byte that it means: nothing, or, relative to the end of an instruction of x86, the
# bytes up to there: four, and those of a constant that follows.
_RELATIVE = (0, -4, -5, -8)
# Build ids take 20 bytes; what is larger is no note of interest.
_NOTE_LIMIT = 64 * 1024
# For zstd, which unpacks a module in a fraction of one.
_SECONDS = 60.0

ModuleFile = namedtuple(
    "ModuleFile", "path name vermagic livepatch depends build_id srcversion signed machine replace image packed"
)
PatchStruct = namedtuple("PatchStruct", "section offset replace")
PatchStruct.__doc__ = """A struct klp_patch in the file. section: number (int). replace: its flag (bool)."""


def read(path):
    """Read, unpack and parse a module; return a ModuleFile.

    name: the module's own, which the file's need not be. depends: list of module names. replace: the livepatch's
    replace flag, None where the file does not show it. image: the unpacked bytes. packed: whether they differ from the file.
    Raises LivepatchError: not_found, bad_module_file.
    """
    data = _contents(path)
    image = _unpack(path, data)
    return parse(path, image)._replace(packed=image is not data)


def parse(path, image):
    """Return the ModuleFile of the bytes of an unpacked module, or raise bad_module_file."""
    try:
        return _parse(path, image)
    except (struct.error, IndexError, ValueError) as error:
        raise bad(path, "a truncated or damaged one (%s)" % error)


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
        raise bad(path, "an unreadable one (%s)" % error.strerror)
    return _bounded(path, data)


def _unpack(path, data):
    # Each library is imported only for the file that needs it.
    try:
        if data[:2] == b"\x1f\x8b":
            import gzip
            import io

            with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
                return _bounded(path, stream.read(LIMIT + 1))
        if data[:6] == b"\xfd7zXZ\x00":
            import lzma

            unpacker = lzma.LZMADecompressor()
            image = _bounded(path, unpacker.decompress(data, LIMIT + 1))
            if not unpacker.eof:
                raise bad(path, "a compressed file without its end, where its checksum is")
            return image
        if data[:4] == b"\x28\xb5\x2f\xfd":
            return _bounded(path, _unzstd(path))
    except LivepatchError:
        raise
    except Exception as error:  # zlib, lzma and gzip each have their own
        raise bad(path, "a damaged compressed file (%s)" % error)
    return data


def _unzstd(path):
    # Python has zstd since 3.14 only.
    try:
        status, data = processes.run(["zstd", "-dcq", "--", path], LIMIT + 1, _SECONDS)
    except EnvironmentError as error:
        raise bad(path, "one compressed with zstd, and zstd cannot be run here (%s): install zstd" % error.strerror)
    if status != 0 and len(data) <= LIMIT:
        raise bad(path, "one that zstd cannot unpack")
    return data


def _bounded(path, data):
    if len(data) > LIMIT:
        raise bad(path, "one of more than %d MiB" % (LIMIT >> 20))
    return data


def bad(path, found):
    """Return the LivepatchError for a file that is no module; found: what it is (str)."""
    return LivepatchError(
        "bad_module_file",
        "%s: expected an ELF64 kernel module (.ko, .ko.xz, .ko.gz, .ko.zst), found %s. "
        "Fetch or build the module anew." % (path, found),
    )


def _parse(path, image):
    if image[:5] != b"\x7fELF\x02" or len(image) < 64:
        raise bad(path, "something else, beginning with %r" % image[:8])
    order = elf.byte_order(image)
    kind, machine = struct.unpack_from(order + "HH", image, 16)
    if kind != 1:
        raise bad(path, "an ELF file that is not relocatable (type %d)" % kind)
    sections = elf.sections(image)
    modinfo = _modinfo(image, sections)
    if "vermagic" not in modinfo:
        raise bad(path, "an ELF file without a kernel release (no vermagic in .modinfo)")
    own = _own_name(image, sections)
    if own and modinfo.get("name", own).replace("-", "_") != own.replace("-", "_"):
        raise bad(path, "one that calls itself %s, while the kernel would call it %s" % (modinfo["name"], own))
    return ModuleFile(
        path=path,
        name=(own or modinfo.get("name") or os.path.basename(path).split(".ko", 1)[0]).replace("-", "_"),
        vermagic=modinfo["vermagic"],
        livepatch=modinfo.get("livepatch", "N").startswith("Y"),
        depends=[name for name in modinfo.get("depends", "").split(",") if name],
        build_id=_build_id(image, sections, order),
        srcversion=modinfo.get("srcversion") or None,
        signed=image.endswith(SIGNATURE_MARKER),
        machine=machine,
        replace=_replace(image, sections, machine),
        image=image,
        packed=False,
    )


def _content(image, sections, name):
    for section in sections:
        if section.name == name:
            return elf.content(image, section)
    return b""


def _modinfo(image, sections):
    pairs = (entry.partition(b"=") for entry in _content(image, sections, ".modinfo").split(b"\0"))
    fields = {}
    for key, separator, value in pairs:
        if separator:
            fields.setdefault(key.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
    return fields


def _own_name(image, sections):
    """The name in the file's struct module, which the kernel goes by; None where the file does not show it."""
    name = _content(image, sections, ".gnu.linkonce.this_module")[_MODULE_NAME:_MODULE_NAME_END].partition(b"\0")[0]
    return name.decode("utf-8", "replace") or None


def _build_id(image, sections, order):
    for section in sections:
        if section.name.startswith(".note") and section.kind == elf.SHT_NOTE and section.size <= _NOTE_LIMIT:
            found = sysfs.parse_build_id(elf.content(image, section), order)
            if found:
                return found
    return None


def _replace(image, sections, machine):
    """The replace flag of the one struct klp_patch in the file's data, or None; also where code may set it before."""
    found = patch_structs(image, sections, data_pointers(image, sections, machine))
    if len(found) != 1 or _code_points_at(image, sections, found[0].section, found[0].offset + _REPLACE):
        return None
    return found[0].replace


def _code_points_at(image, sections, number, offset):
    """Whether code of the file refers to one byte of a section, as code that sets a field does."""
    return any(
        target.section == number and target.offset - offset in _RELATIVE
        for _code, _offset, _kind, target in elf.relocations(image, sections, _holds_code)
    )


def _holds_code(section):
    return bool(section.flags & elf.SHF_EXECINSTR)


def data_pointers(image, sections, machine):
    """Return section number -> {offset: elf.Target}: the pointers that the file's data holds."""
    found, absolute = {}, elf.ABSOLUTE.get(machine)
    for number, offset, kind, target in elf.relocations(image, sections, _holds_data):
        if kind == absolute:
            found.setdefault(number, {})[offset] = target
    return found


def _holds_data(section):
    # Besides the compiler's sections those in which kpatch-build and klp-build list what they patch.
    return section.name.startswith((".data", ".rodata", ".kpatch.", "__klp_", ".init.klp_"))


def patch_structs(image, sections, pointers):
    """Return each struct klp_patch in the file's data (list of PatchStruct). pointers: of data_pointers().

    The struct begins with a pointer to the module itself and one to its objects. A livepatch that fills the struct
    at run time (kpatch-build, klp-build) does not show it.
    """
    found = []
    for number, own in pointers.items():
        data = None
        for start, target in own.items():
            if target.symbol == "__this_module" and _is_data(sections, own.get(start + _OBJS)):
                data = elf.content(image, sections[number]) if data is None else data
                head = data[start : start + _PATCH_HEAD]
                if start + _REPLACE not in own and _is_patch(head):
                    found.append(PatchStruct(number, start, head[_REPLACE : _REPLACE + 1] == b"\1"))
    return found


def _is_data(sections, target):
    return (
        target is not None
        and 0 < target.section < len(sections)
        and sections[target.section].name.startswith((".data", ".rodata", ".bss"))
    )


def _is_patch(head):
    return (
        len(head) == _PATCH_HEAD
        and not head[:_REPLACE].strip(b"\0")
        and head[_REPLACE : _REPLACE + 1] in (b"\0", b"\1")
        and not head[_REPLACE + 1 :].strip(b"\0")
    )
