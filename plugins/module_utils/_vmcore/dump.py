# A crash dump, opened with drgn and read by the kernel's own debug information.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# drgn and libkdumpfile tell of many failures by a plain Exception, and parse files when they are first needed: whatever
# they raise about a damaged dump is told as such.
# include/linux/livepatch.h, include/linux/module.h, kernel/livepatch/core.c and transition.c. A damaged list may lead
# anywhere: what is followed is bounded.

import logging
import os
import re
from collections import OrderedDict

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.sysfs import Host, Module, Patch
from ansible_collections.kernel.livepatch.plugins.module_utils._vmcore import log_buffer

# Entries of all lists together: far more than any machine has.
_MOST = 200000
# klp_target_state from the moment on at which a transition is begun, before the livepatch's own callbacks run.
_GOES_IN, _GOES_OUT = 1, 0
# Documentation/admin-guide/tainted-kernels.rst, TAINT_LIVEPATCH
_LIVEPATCH_TAINT = 1 << 15

_LIVE_MODULE = 0

# What a kernel's release looks like, and what its vendor calls the package; the first match wins.
_VENDORS = tuple(
    (re.compile(pattern), package)
    for pattern, package in (
        (r".*uek\.\w+\Z", "kernel-uek-debuginfo-{release}"),
        # Amazon Linux 2023 builds several kernels beside each other; only the first is called plainly kernel.
        (r"(?P<base>6\.(?:[2-9]|\d\d)|[7-9]\.\d+)\..*\.amzn2023\.\w+\Z", "kernel{base}-debuginfo-{release}"),
        # RHEL's other builds (+rt, +64k, +debug) have packages of other names.
        (r".*\.(?:el\d|fc\d|amzn\d|oe\d|an\d|tl\d|ph\d)[^+]*\Z", "kernel-debuginfo-{release}"),
        (
            r"(?P<base>\d[\w.]*-\d+(?:\.\d+)+)-(?P<flavour>default|azure|rt|64kb|preempt)\Z",
            "kernel-{flavour}-debuginfo = {base}",
        ),
        (r"[\d.]+-\d+-(?:generic|lowlatency|aws|azure|gcp|oracle|ibm|kvm)\Z", "linux-image-unsigned-{release}-dbgsym"),
        (r".*-(?:amd64|arm64|ppc64el|s390x|686|riscv64|loong64)\Z", "linux-image-{release}-dbg"),
    )
)


def open_dump(path):
    """Return the drgn.Program of a dump of a Linux kernel.

    Raises LivepatchError: not_found, not_permitted, bad_vmcore, no_vmcoreinfo.
    """
    import drgn

    begin = _begin(path)
    program = drgn.Program()
    try:
        program.set_core_dump(path)
    except (ValueError, OSError, drgn.FaultError) as error:
        raise _bad(path, error, "Look whether it was written to its end.")
    except Exception as error:
        if begin == b"makedumpfile":
            raise _bad(path, error, "It is in the flattened form: put it together with makedumpfile -R NEW < THIS.")
        if begin.startswith(b"KDUMP"):
            raise _bad(
                path, error, "Of a virtual machine make an ELF dump: what QEMU writes in kdump's format lacks a name."
            )
        raise _without_vmcoreinfo(path, error)
    if not program.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        raise _without_vmcoreinfo(path, "no VMCOREINFO")
    return program


def load_debug_info(program, paths):
    """Let a program use the debug information in these files, besides where drgn looks by itself.

    Raises LivepatchError: not_found, not_permitted, bad_debug_info (no ELF file).
    """
    import drgn

    for path in paths:
        # drgn passes over what is no ELF file; whoever named it should know.
        if _begin(path)[:4] != b"\x7fELF":
            raise _bad_debug_info(path, "something else")
    # What drgn warns of is among the reasons.
    logging.getLogger("drgn").setLevel(logging.ERROR)
    try:
        program.load_debug_info(paths, main=True)
    except drgn.MissingDebugInfoError:
        pass
    except Exception as error:
        raise _bad_debug_info(", ".join(paths) or "what is installed", error)


def architecture(program):
    """Return what uname -m said (str), for the architectures that have livepatches."""
    import drgn

    name = program.platform.arch.name.lower()
    little = program.platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN
    return {"ppc64": "ppc64le" if little else "ppc64"}.get(name, name)


def memory(program):
    """Return the log_buffer.Memory of a program."""
    import drgn

    flags = program.platform.flags
    word = 8 if flags & drgn.PlatformFlags.IS_64_BIT else 4
    return log_buffer.Memory(program.read, word, bool(flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN))


def _begin(path):
    """Return the first bytes of a file."""
    if not os.path.isfile(path):
        raise LivepatchError("not_found", "%s: expected a file, found none. Give the path on this host." % path)
    try:
        with open(path, "rb") as stream:
            return stream.read(12)
    except EnvironmentError as error:
        raise LivepatchError(
            "not_permitted", "%s: expected to read it, found: %s. Dumps are their owner's: use become." % (path, error)
        )


def _bad_debug_info(path, found):
    return LivepatchError(
        "bad_debug_info",
        "debug_info: %s: expected ELF files with debug information, found: %s. Give the uncompressed vmlinux that the debug "
        "information's package has installed." % (path, found),
    )


def _bad(path, error, hint):
    return LivepatchError(
        "bad_vmcore",
        "%s: expected a complete dump of a kernel's memory (ELF or kdump's own format), found: %s. %s"
        % (path, error, hint),
    )


def _without_vmcoreinfo(path, error):
    return LivepatchError(
        "no_vmcoreinfo",
        "%s: expected a dump of a Linux kernel with VMCOREINFO, found: %s. Give a dump that kdump has made, or one of a "
        "virtual machine with QEMU's device vmcoreinfo whose kernel has loaded qemu_fw_cfg." % (path, error),
    )


class Damaged(Exception):
    """A list in the dump has no end."""


def has_types(program):
    """Whether this drgn.Program knows the kernel's variables and structures."""
    return _is_known(program, "modules")


def taint(program):
    """Return the kernel's taint (int), None where it is not known."""
    return program["tainted_mask"].value_() if _is_known(program, "tainted_mask") else None


def read_host(program, kernel_release):
    """Return the Host (sysfs) that this drgn.Program with debug information shows, and who may not be unloaded ([names]).

    Raises Damaged, and what drgn raises for memory that the dump does not hold and for a kernel of other structures.
    """
    lists = _Lists(program)
    modules = OrderedDict()
    for module in lists.entries(program["modules"], "struct module", "list"):
        letter = "K" if module.taints.value_() & _LIVEPATCH_TAINT else ""
        modules[_text(module.name)] = Module(0, letter, module.state.value_() == _LIVE_MODULE)
    if not _is_known(program, "klp_patches"):
        return Host(False, kernel_release, OrderedDict(), modules), []
    pending = program["klp_transition_patch"].value_()
    target = program["klp_target_state"].value_()
    patches, forced = OrderedDict(), []
    for patch in lists.entries(program["klp_patches"], "struct klp_patch", "list"):
        in_transition, enabled = patch.value_() == pending, bool(patch.enabled.value_())
        if in_transition and target in (_GOES_IN, _GOES_OUT):
            enabled = target == _GOES_IN
        if not (enabled or in_transition):
            continue
        name = _text(patch.mod.name)
        objects = _objects(lists, patch)
        patches[name] = Patch(enabled, in_transition, bool(patch.replace.value_()), len(patches) + 1, objects)
        if patch.forced.value_():
            forced.append(name)
    return Host(True, kernel_release, patches, modules), forced


def _objects(lists, patch):
    found = OrderedDict()
    for changed in lists.entries(patch.obj_list, "struct klp_object", "node"):
        functions = [
            _text(function.old_name)
            for function in lists.entries(changed.func_list, "struct klp_func", "node")
            if not function.nop.value_()  # put there to undo what the replaced livepatch changed
        ]
        if functions or not changed.dynamic.value_():
            name = _text(changed.name) if changed.name.value_() else "vmlinux"
            found[name] = {"patched": bool(changed.patched.value_()), "functions": sorted(set(functions))}
    return found


class _Lists(object):
    """Follows the kernel's lists, a bounded number of entries in all."""

    def __init__(self, program):
        self._program = program
        self._left = _MOST

    def entries(self, head, kind, member):
        """Yield the structures (drgn.Object) of one kind that a struct list_head (drgn.Object) has."""
        from drgn.helpers.linux.list import list_for_each_entry

        for entry in list_for_each_entry(self._program.type(kind), head.address_of_(), member):
            self._left -= 1
            if self._left < 0:
                raise Damaged("the lists in the dump have more than %d entries" % _MOST)
            yield entry


def _is_known(program, name):
    try:
        program[name]
    except LookupError:
        return False
    return True


def _text(value):
    return value.string_().decode("ascii", "replace")


def debug_package(kernel_release):
    """Return the name (str) of the package with the debug information of a kernel, None where nobody knows.

    With SUSE it is the form that zypper takes, a name and the version that it begins with.
    """
    for pattern, name in _VENDORS:
        found = pattern.match(kernel_release or "")
        if found:
            return name.format(release=kernel_release, **found.groupdict())
    return None
