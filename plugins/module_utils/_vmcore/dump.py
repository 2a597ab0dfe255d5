# Opening a crash dump with drgn, and the kernel's debug information for it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# drgn and libkdumpfile tell of many failures by a plain Exception, and parse files when they are first needed: whatever
# they raise about a damaged dump is told as such.

import logging
import os

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._vmcore import log_buffer


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
