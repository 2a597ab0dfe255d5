# The kernel's livepatches and modules, as sysfs and proc show them; nothing here changes anything.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Every function takes the root of the file system, so that tests can bring their own.

import os
import struct
from collections import OrderedDict, namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading

LIVEPATCHES = "sys/kernel/livepatch"
COUNTERS = ("oops_count", "warn_count")
# How often a livepatch is read that changes meanwhile.
_TRIES = 5

# Documentation/admin-guide/tainted-kernels.rst: the letter of each bit, from bit 0 on (a later kernel's bits have none).
_TAINT_LETTERS = "PFSRMBUDAWCIOELKXTNJ"

Module = namedtuple("Module", "refcount taint live users")
Module.__new__.__defaults__ = ((),)
Module.__doc__ = """A loaded module. live: whether it is neither just coming nor just going (bool). users: names of the modules that use
it (tuple of str)."""


class Patch(namedtuple("Patch", "enabled transition replace stack_order objects")):
    """A livepatch. objects: name -> {patched, functions}, None where that is not known."""

    @property
    def functions(self):
        """What it changes: (object, function) of each."""
        return [(name, function) for name, parts in self.objects.items() for function in parts["functions"]]


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
    for name in reading.subdirectories(directory):
        patch = read_patch(root, name)
        if patch is not None:
            patches[name] = patch
    return Host(os.path.isdir(directory), kernel_release(root), _in_stack_order(patches, modules), modules)


def read_patch(root, name):
    """Return the Patch, or None when the kernel has no such livepatch (any more)."""
    directory = os.path.join(root, LIVEPATCHES, name)
    for _try in range(_TRIES):
        enabled = reading.read_number(os.path.join(directory, "enabled"))
        transition = reading.read_number(os.path.join(directory, "transition"))
        # A transition that began and ended between the two would look like one that never was.
        if not enabled or reading.read_number(os.path.join(directory, "enabled")) == enabled:
            break
    # A kernel without the consistency model (openEuler's) stops the machine for a moment and has no transition. Where the
    # directory has just gone with what is in it, `enabled` has gone too.
    if transition is None and enabled:
        transition = 0
    # Just after a transition away from a livepatch its directory may still be there, with both at 0 (6.1 to 7.2).
    if enabled is None or transition is None or not (enabled or transition):
        return None
    replace = reading.read_number(os.path.join(directory, "replace"))  # since 6.11
    return Patch(
        bool(enabled),
        bool(transition),
        None if replace is None else bool(replace),
        reading.read_number(os.path.join(directory, "stack_order")),  # since 6.14
        _read_objects(directory),
    )


def _read_objects(directory):
    objects = OrderedDict()
    for name in reading.subdirectories(directory):
        path = os.path.join(directory, name)
        patched = reading.read_number(os.path.join(path, "patched"))  # since 6.1
        functions = sorted(set(entry.rsplit(",", 1)[0] for entry in reading.subdirectories(path)))
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
    for line in (reading.read_text(os.path.join(root, "proc/modules")) or "").splitlines():
        words = line.split()
        if len(words) < 5:
            continue
        taint = words[-1].strip("()") if words[-1].startswith("(") else ""
        # "-" for none; "[permanent]" is no module.
        users = tuple(user for user in words[3].split(",") if user and user[0] not in "-[")
        modules[words[0]] = Module(reading.to_number(words[2]) or 0, taint, words[4] == "Live", users)
    return modules


def build_id(root, name):
    """Build id of the code in the kernel, as hexadecimal digits, or None."""
    return parse_build_id(reading.read_bytes(os.path.join(root, "sys/module", name, "notes/.note.gnu.build-id")) or b"")


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
    return reading.read_text(os.path.join(root, "sys/module", name, "srcversion")) or None


def kernel_release(root="/"):
    """What uname -r prints."""
    return reading.read_text(os.path.join(root, "proc/sys/kernel/osrelease")) or ""


def counters(root="/"):
    """The kernel's own counts since this boot: {name: int, None where it has none}."""
    return {name: reading.read_number(os.path.join(root, "sys/kernel", name)) for name in COUNTERS}


def taint(root="/"):
    """The kernel's taint: {value: int or None, flags: [letters]}."""
    return decode_taint(reading.read_number(os.path.join(root, "proc/sys/kernel/tainted")))


def decode_taint(value):
    """Return {value: int or None, flags: [letters]} for a taint (int or None)."""
    flags = [letter for bit, letter in enumerate(_TAINT_LETTERS) if (value or 0) >> bit & 1]
    return {"value": value, "flags": flags}
