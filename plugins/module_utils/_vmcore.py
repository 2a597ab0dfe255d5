# What ran when a machine died, from the image of its memory.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# drgn opens the dump. With the kernel's debug information it tells everything; without, the kernel's log is found by
# VMCOREINFO, and says what it can.

import errno
import io
import json
import logging
import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils import (
    _crashes,
    _debug_packages,
    _kernel_alarms,
    _livepatch_log,
    _log_buffer,
    _sysfs,
    _times,
    _vmcore_types,
)
from ansible_collections.kernel.livepatch.plugins.module_utils._errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._vmcoreinfo import Unknown, VmcoreInfo

MOST_EVENTS = 50

# "Modules linked in: hotfix1(OEK) nfs [last unloaded: hotfix0]"; 5.10 to 7.2.
_LINKED = re.compile(r"Modules linked in: ?([^\[]*)")
_MODULE = re.compile(r"([A-Za-z0-9_]{1,64})\(([A-Z+-]{1,20})\)")


def inspect(path, debug_info=(), host=None):
    """Return what a crash dump tells (dict, see the module's RETURN).

    path: of the dump. debug_info: paths of files with debug information, besides where drgn looks by itself. host: whose
    dump it is (str), for the event. Raises LivepatchError: not_found, bad_vmcore, no_vmcoreinfo, bad_debug_info, unreadable.
    Needs drgn.
    """
    for one in [path] + list(debug_info):
        if not os.path.isfile(one):
            raise LivepatchError("not_found", "%s: expected a file, found none. Give the path on this host." % one)
    for one in debug_info:
        _check_elf(one)
    program = _open(path)
    info = VmcoreInfo(program["VMCOREINFO"].string_())
    reasons = []
    records = _log(program, info, reasons)
    known = _by_types(program, debug_info, info, reasons)
    if records is None and known is None:
        raise LivepatchError(
            "unreadable", "%s tells nothing: %s. Look whether the dump is complete." % (path, "; ".join(reasons))
        )
    found = known or _by_log(info, records or [], reasons)
    died = _died(path, info)
    return dict(
        found,
        kernel_release=info.kernel_release,
        build_id=info.build_id,
        architecture=_architecture(program),
        told_by="debug_info" if known else "log",
        debug_package=None if known else _debug_packages.package(info.kernel_release),
        time=_times.to_text(died),
        time_of="crash" if info.crash_time else "file",
        reasons=reasons,
        **_events(records or [], found, info, host, died)
    )


def write_event(path, event, check_mode=False):
    """Append an event (dict) to a file of events, one JSON object a line, unless it is there; return whether it was not.

    Raises LivepatchError: not_writable.
    """
    line = json.dumps(event, sort_keys=True)
    try:
        with io.open(path, "a+" if not check_mode else "r", encoding="utf-8") as stream:
            stream.seek(0)
            text = stream.read()
            if line in text.split("\n"):
                return False
            if not check_mode:
                # The line before may be another program's, and not ended yet.
                stream.write(("" if text.endswith("\n") or not text else "\n") + line + "\n")
                stream.flush()
                os.fsync(stream.fileno())
    except (OSError, ValueError) as error:
        if not (check_mode and getattr(error, "errno", None) == errno.ENOENT):
            raise LivepatchError(
                "not_writable",
                "events_file %s: expected a file of text to write to, found: %s. Give another." % (path, error),
            )
    return True


def _check_elf(path):
    """drgn passes over what is no ELF file; whoever named it should know."""
    with open(path, "rb") as stream:
        if stream.read(4) != b"\x7fELF":
            raise LivepatchError(
                "bad_debug_info",
                "debug_info: %s: expected an ELF file with debug information, found something else. Give the uncompressed "
                "vmlinux that the debug information's package has installed." % path,
            )


def _open(path):
    """Return the drgn.Program of a dump of a Linux kernel."""
    import drgn

    program = drgn.Program()
    try:
        program.set_core_dump(path)
    except (ValueError, OSError, drgn.FaultError) as error:
        raise _bad(path, error, "Look whether it was written to its end.")
    except Exception as error:  # drgn and libkdumpfile have no class of their own for what follows
        with open(path, "rb") as stream:
            begin = stream.read(12)
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


def _architecture(program):
    """The architecture as uname -m has it, for those that kernels have livepatches on."""
    import drgn

    name = program.platform.arch.name.lower()
    little = program.platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN
    return {"ppc64": "ppc64le" if little else "ppc64"}.get(name, name)


def _log(program, info, reasons):
    """Return the records of the log (list of Record), None with a reason where it cannot be read."""
    import drgn

    flags = program.platform.flags
    memory = _log_buffer.Memory(
        program.read,
        8 if flags & drgn.PlatformFlags.IS_64_BIT else 4,
        bool(flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN),
    )
    try:
        return _log_buffer.read(memory, info)
    except Unknown as error:
        reasons.append("the kernel's log was not found: %s (kernels before 5.10 keep it in another way)" % error)
    except drgn.FaultError as error:
        reasons.append("the kernel's log is not in the dump: %s" % error)
    return None


def _by_types(program, debug_info, info, reasons):
    """Return what the kernel's structures tell (dict), None with a reason where they are not known or not readable."""
    import drgn

    # What it warns of is among the reasons.
    logging.getLogger("drgn").setLevel(logging.ERROR)
    try:
        program.load_debug_info(debug_info, main=True)
    except drgn.MissingDebugInfoError:
        pass
    if not _vmcore_types.has_types(program):
        package = _debug_packages.package(info.kernel_release)
        reasons.append(
            "no debug information of %s (build id %s) was found%s: what its structures say was not read. %s"
            % (
                info.kernel_release,
                info.build_id or "unknown",
                ", not in debug_info either" if debug_info else "",
                "Install %s" % package if package else "Give the vmlinux of this build in debug_info",
            )
        )
        return None
    try:
        host, forced = _vmcore_types.read_host(program, info.kernel_release)
        taint = _vmcore_types.taint(program)
    except (drgn.FaultError, _vmcore_types.Damaged) as error:
        reasons.append("the list of livepatches is not whole in the dump: %s" % error)
        return None
    patches = {name: _patch(patch, name in forced) for name, patch in host.patches.items()}
    return {
        "supported": host.supported,
        "effective_release": host.effective_release,
        "enabled": host.topmost,
        "patches": patches,
        "inert": host.inert,
        "transition": _transition(host.pending and (host.pending, _sysfs.patch_state(host.patches[host.pending]))),
        "loaded": sorted(name for name, module in host.modules.items() if "K" in module.taint),
        "taint": _sysfs.decode_taint(taint),
    }


def _by_log(info, records, reasons):
    """Return what the kernel's log tells; what it does not is None."""
    whole = bool(records) and records[0].sequence == 0
    history = _livepatch_log.History(records, whole, info.kernel_release)
    stack, pending = history.stack_at_end(), history.pending_at_end()
    if stack is None:
        reasons.append("the log begins after the boot and does not say which livepatch was enabled before")
    name, direction = pending or (None, None)
    enabled = [one for one in stack or [] if one != name]
    topmost = enabled[-1] if enabled else None
    patches = {
        one: _patch(_sysfs.Patch(one != name or direction == "patching", one == name, None, None, {}), None)
        for one in stack or [name] * bool(name)
    }
    return {
        "supported": True if patches else None,
        "effective_release": None if stack is None else _sysfs.effective_release(info.kernel_release, topmost),
        "enabled": topmost,
        "patches": patches,
        "inert": None,
        "transition": _transition(pending),
        "loaded": _linked(records),
        "taint": None,
    }


def _patch(patch, forced):
    return {
        "enabled": patch.enabled,
        "transition": patch.transition,
        "replace": patch.replace,
        "stack_order": patch.stack_order,
        "forced": forced,
        "objects": dict(patch.objects),
    }


def _transition(pending):
    return {"livepatch": pending[0], "direction": pending[1]} if pending else None


def _linked(records):
    """The livepatch modules (sorted names) that the last "Modules linked in" names, None where there is no such line."""
    for record in reversed(records):
        found = _LINKED.match(record.text) if record.kernel else None
        if found:
            return sorted(name for name, letters in _MODULE.findall(found.group(1)) if "K" in letters)
    return None


def _died(path, info):
    """When the machine died (seconds since 1970): kexec has noted it, otherwise the dump is as old as its file."""
    return info.crash_time or os.stat(path).st_mtime


def _events(records, found, info, host, died):
    """Return {"events": alarms of the log, "crash": the one that ended it or None}."""
    enabled = None if found["effective_release"] is None else list(found["patches"])
    whole = bool(records) and records[0].sequence == 0
    history = _livepatch_log.History(records, whole, info.kernel_release, enabled)
    alarms = _kernel_alarms.alarms(records)
    events = [_event(alarm, history) for alarm in alarms[-MOST_EVENTS:]]
    crash = None
    if info.crash_time or any(alarm.kind == "crash" for alarm in alarms):
        evidence = _crashes.Evidence(
            "kdump", died, alarms, history.at_end(), True, "a dump without the kernel's reason"
        )
        crash = _crashes.tell([evidence])[0]
        crash = {
            "host": host,
            "kind": crash.kind,
            "time": _times.to_text(crash.time),
            "signature": crash.signature,
            "text": crash.text,
            "effective_release": crash.effective_release,
        }
    return {"events": events, "events_left_out": len(alarms) - len(events), "crash": crash}


def _event(alarm, history):
    return {
        "kind": alarm.kind,
        "seconds": round(alarm.seconds, 6),
        "signature": alarm.signature,
        "text": alarm.text,
        "effective_release": history.at(alarm.seconds),
    }
