# The kernel's livepatches and modules, as sysfs and proc show them; nothing here changes anything.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# Attributes and files vanish while they are read (a transition ends, a module goes): that is a normal answer, None.
# Every function takes the root of the file system, so that tests can bring their own.

import errno
import os
import re
import struct
from collections import OrderedDict, namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils._errors import LivepatchError

LIVEPATCHES = "sys/kernel/livepatch"

# ENODEV and ENXIO: what an open sysfs file showed has gone. ESRCH: the task behind a proc file has gone.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.ESRCH, errno.EACCES, errno.EPERM, errno.EINVAL)
_READ_LIMIT = 4 * 1024 * 1024
# For a file below /proc/sys the kernel allocates what the reader asks for, and refuses megabytes with ENOMEM.
_CHUNK = 16 * 1024

# No number of the kernel's is longer. Python takes digits of many scripts for digits, and its time for long numbers.
_NUMBER = re.compile(r"-?[0-9]{1,20}\Z")

# Documentation/admin-guide/tainted-kernels.rst: the letter of each bit, from bit 0 on (a later kernel's bits have none).
_TAINT_LETTERS = "PFSRMBUDAWCIOELKXTNJ"

Patch = namedtuple("Patch", "enabled transition replace stack_order objects")
Module = namedtuple("Module", "refcount taint live")


def patch_state(patch):
    """Return where a Patch stands (str): enabled, patching or unpatching."""
    return "enabled" if not patch.transition else "patching" if patch.enabled else "unpatching"


class Host(namedtuple("Host", "supported kernel_release patches modules")):
    """What one reading of the kernel showed.

    patches: name -> Patch, oldest first. modules: name -> Module, newest first (every loaded module).
    """

    @property
    def enabled(self):
        """Names of the livepatches that all tasks run, oldest first."""
        return [name for name, patch in self.patches.items() if patch.enabled and not patch.transition]

    @property
    def topmost(self):
        """Name of the newest of them, or None."""
        return self.enabled[-1] if self.enabled else None

    @property
    def inert(self):
        """Names of the livepatch modules that are loaded but no longer enabled, sorted.

        A disabled or replaced livepatch has no directory any more; its module keeps the taint K (5.10 to 7.2).
        """
        return sorted(
            name
            for name, module in self.modules.items()
            if "K" in module.taint and module.live and name not in self.patches
        )

    @property
    def pending(self):
        """Name of the livepatch in transition, or None. The kernel allows one at a time."""
        for name, patch in self.patches.items():
            if patch.transition:
                return name
        return None

    @property
    def effective_release(self):
        return effective_release(self.kernel_release, self.topmost)


def effective_release(kernel_release, topmost):
    """Kernel release plus the enabled livepatch: what uname -r cannot say."""
    return "%s-%s" % (kernel_release, topmost) if topmost else kernel_release


def read_host(root="/"):
    """Read the livepatch tree and the list of modules once; return a Host."""
    modules = read_modules(root)
    directory = os.path.join(root, LIVEPATCHES)
    patches = OrderedDict()
    for name in _subdirectories(directory):
        patch = read_patch(root, name)
        if patch is not None:
            patches[name] = patch
    return Host(os.path.isdir(directory), kernel_release(root), _in_stack_order(patches, modules), modules)


def read_patch(root, name):
    """Return the Patch, or None when the kernel has no such livepatch (any more)."""
    directory = os.path.join(root, LIVEPATCHES, name)
    enabled = read_number(os.path.join(directory, "enabled"))
    transition = read_number(os.path.join(directory, "transition"))
    # Just after a transition away from a livepatch its directory may still be there, with both at 0 (6.1 to 7.2).
    if enabled is None or transition is None or not (enabled or transition):
        return None
    replace = read_number(os.path.join(directory, "replace"))  # since 6.11
    return Patch(
        bool(enabled),
        bool(transition),
        None if replace is None else bool(replace),
        read_number(os.path.join(directory, "stack_order")),  # since 6.14
        _read_objects(directory),
    )


def _read_objects(directory):
    objects = OrderedDict()
    for name in _subdirectories(directory):
        path = os.path.join(directory, name)
        patched = read_number(os.path.join(path, "patched"))  # since 6.1
        functions = sorted(set(entry.rsplit(",", 1)[0] for entry in _subdirectories(path)))
        objects[name] = {"patched": None if patched is None else bool(patched), "functions": functions}
    return objects


def _in_stack_order(patches, modules):
    # Since 5.1 a livepatch can only become enabled by being loaded, so the order of loading is the order of the stack.
    ages = {name: age for age, name in enumerate(reversed(list(modules)))}
    ordered = sorted(patches, key=lambda name: (patches[name].stack_order or 0, ages.get(name, len(ages))))
    return OrderedDict((name, patches[name]._replace(stack_order=number)) for number, name in enumerate(ordered, 1))


def read_modules(root="/"):
    """Return name -> Module for /proc/modules, newest first as the kernel lists them."""
    modules = OrderedDict()
    for line in (read_text(os.path.join(root, "proc/modules")) or "").splitlines():
        words = line.split()
        if len(words) < 5:
            continue
        taint = words[-1].strip("()") if words[-1].startswith("(") else ""
        modules[words[0]] = Module(to_number(words[2]) or 0, taint, words[4] == "Live")
    return modules


def build_id(root, name):
    """Build id of the code in the kernel, as hexadecimal digits, or None."""
    return parse_build_id(read_bytes(os.path.join(root, "sys/module", name, "notes/.note.gnu.build-id")) or b"")


def parse_build_id(notes, order="="):
    """Return the build id in a sequence of ELF notes (order: struct's byte order), or None."""
    offset = 0
    while offset + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from(order + "III", notes, offset)
        name_start = offset + 12
        start = name_start + (name_size + 3) // 4 * 4
        if kind == 3 and notes[name_start : name_start + name_size] == b"GNU\0":
            found = notes[start : start + size]
            return "".join("%02x" % byte for byte in bytearray(found)) if size and len(found) == size else None
        offset = start + (size + 3) // 4 * 4
    return None


def srcversion(root, name):
    """Checksum of the sources of a loaded module where the build has one, else None."""
    return read_text(os.path.join(root, "sys/module", name, "srcversion")) or None


def kernel_release(root="/"):
    """What uname -r prints."""
    return read_text(os.path.join(root, "proc/sys/kernel/osrelease")) or ""


def boot_id(root="/"):
    """The kernel's name for this boot, or None."""
    return read_text(os.path.join(root, "proc/sys/kernel/random/boot_id"))


def taint(root="/"):
    """The kernel's taint: {value: int or None, flags: [letters]}."""
    return decode_taint(read_number(os.path.join(root, "proc/sys/kernel/tainted")))


def decode_taint(value):
    """Return {value: int or None, flags: [letters]} for a taint (int or None)."""
    flags = [letter for bit, letter in enumerate(_TAINT_LETTERS) if (value or 0) >> bit & 1]
    return {"value": value, "flags": flags}


def read_number(path):
    """Return the number in the file, or None where it is missing or no number."""
    return to_number(read_text(path))


def to_number(text):
    """Return the number (int) that a text is, as the kernel writes numbers; None for any other text, and for None."""
    return int(text) if text is not None and _NUMBER.match(text) else None


def read_text(path):
    """Return the file as stripped text without NULs, or None where it is missing or not readable."""
    data = read_bytes(path)
    return None if data is None else data.decode("utf-8", "replace").replace("\0", "").strip()


def read_bytes(path):
    """Return the file (at most 4 MiB of it), or None where it is missing or not permitted.

    Raises LivepatchError, here and in all functions that read: unreadable (the system itself fails: EIO, ENOMEM, EMFILE).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return _read_all(descriptor)
        finally:
            os.close(descriptor)
    except EnvironmentError as error:
        if error.errno in _GONE or error.errno == errno.EISDIR:
            return None
        raise _unreadable(path, error)


def _read_all(descriptor):
    parts = []
    while len(parts) * _CHUNK < _READ_LIMIT:
        part = os.read(descriptor, _CHUNK)
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def _subdirectories(directory):
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except EnvironmentError as error:
        if error.errno in _GONE:
            return []
        raise _unreadable(directory, error)
    # A name that is not UTF-8 cannot be the name of a module.
    return sorted(name for name in names if _is_text(name))


def _unreadable(path, error):
    return LivepatchError(
        "unreadable",
        "%s: expected to read it, found: %s. See the kernel log, and the memory and limits of this host; run again."
        % (path, error.strerror),
    )


def _is_text(name):
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
