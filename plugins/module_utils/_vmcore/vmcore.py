# What ran when a machine died, from the image of its memory.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# With the kernel's debug information its structures tell everything; without, its log is found by VMCOREINFO, and says what
# it can. What is not known is None.

import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files import times
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._health import crash_events, kernel_alarms, livepatch_log
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._vmcore import dump, events_file, log_buffer
from ansible_collections.kernel.livepatch.plugins.module_utils._vmcore.log_buffer import Unknown, VmcoreInfo

MOST_EVENTS = 50

# "Modules linked in: hotfix1(OEK) nfs [last unloaded: hotfix0]"; 5.10 to 7.2. The newest module comes first.
_LINKED = re.compile(r"Modules linked in:([^\[]*)")
_MODULE = re.compile(r"([A-Za-z0-9_]{1,64})\(([A-Z+-]{1,20})\)")
# A record takes no more than this (LOG_LINE_MAX, kernel/printk/printk.c); what comes later goes into records of their own.
_FULL_RECORD = 900


def run(params, check_mode):
    """Return the module's result (dict). params: its options. Raises LivepatchError; needs drgn."""
    result = inspect(params["path"], params["debug_info"], params["host"], _seconds(params["time"]))
    changed = False
    if params["events_file"] and result["crash"]:
        if result["time_of"] == "file":
            raise LivepatchError(
                "time_unknown",
                "%s: expected a dump that says when the machine died, found none, and its file may be a copy. Give time, so "
                "that the event is placed where it belongs." % params["path"],
            )
        changed = events_file.add(params["events_file"], result["crash"], check_mode)
    return dict(result, changed=changed)


def _seconds(text):
    """Return the moment that option time is (seconds since 1970, or None); raises LivepatchError: bad_option."""
    try:
        return None if text is None else times.to_seconds(text)
    except ValueError:
        raise LivepatchError(
            "bad_option", "time: expected ISO 8601 in UTC such as 2026-03-01T10:11:12Z, found %r. Write it so." % text
        )


def inspect(path, debug_info=(), host=None, time=None):
    """Return what a crash dump tells (dict, see the module's RETURN).

    path: of the dump. debug_info: paths of files with debug information, besides where drgn looks by itself. host: whose
    dump it is (str), for the event. time: when it died (seconds since 1970), for a dump that does not say.
    Raises LivepatchError: unreadable, and those of dump. Needs drgn.
    """
    program = dump.open_dump(path)
    dump.load_debug_info(program, list(debug_info))
    info = VmcoreInfo(program["VMCOREINFO"].string_())
    reasons = []
    records = _log(program, info, reasons)
    known = _by_types(program, debug_info, info, reasons)
    if records is None and known is None:
        raise LivepatchError(
            "unreadable", "%s tells nothing: %s. Look whether the dump is complete." % (path, "; ".join(reasons))
        )
    records = records or []
    whole = bool(records) and records[0].sequence == 0
    found = known or _by_log(info, records, whole, reasons)
    died, time_of = _died(path, info, time)
    return dict(
        found,
        kernel_release=info.kernel_release,
        build_id=info.build_id,
        architecture=dump.architecture(program),
        told_by="debug_info" if known else "log",
        debug_package=None if known else dump.debug_package(info.kernel_release),
        time=times.to_text(died),
        time_of=time_of,
        reasons=reasons,
        **_events(records, _history(records, whole, info, known), info, host, died)
    )


def _log(program, info, reasons):
    """Return the records of the log (list of Record), None with a reason where it cannot be read."""
    try:
        return log_buffer.read(dump.memory(program), info)
    except Unknown as error:
        reasons.append("the kernel's log was not found: %s (kernels before 5.10 keep it in another way)" % error)
    except Exception as error:  # pylint: disable=broad-except # a damaged dump leads drgn anywhere
        reasons.append("the kernel's log is not in the dump: %s" % error)
    return None


def _by_types(program, debug_info, info, reasons):
    """Return what the kernel's structures tell (dict), None with a reason where they are not known or not readable."""
    try:
        if not dump.has_types(program):
            reasons.append(_missing(debug_info, info))
            return None
        host, forced = dump.read_host(program, info.kernel_release)
        taint = dump.taint(program)
    except Exception as error:  # pylint: disable=broad-except # a damaged dump or vmlinux leads drgn anywhere
        reasons.append("the kernel's lists could not be read: %s" % error)
        return None
    # A flag that is not set says nothing: kernels do not mark the livepatch that was forced in.
    patches = {name: _patch(patch, True if name in forced else None) for name, patch in host.patches.items()}
    return {
        "supported": host.supported,
        "effective_release": host.effective_release,
        "enabled": host.topmost,
        "patches": patches,
        "inert": host.inert,
        "transition": _transition(host.pending and (host.pending, sysfs.patch_state(host.patches[host.pending]))),
        "loaded": sorted(name for name, module in host.modules.items() if "K" in module.taint),
        "taint": sysfs.decode_taint(taint),
    }


def _missing(debug_info, info):
    package = dump.debug_package(info.kernel_release)
    return "no debug information of %s (build id %s) was found%s: what its structures say was not read. %s" % (
        info.kernel_release,
        info.build_id or "unknown",
        ", not in debug_info either" if debug_info else "",
        "Install %s" % package if package else "Give the vmlinux of this build in debug_info",
    )


def _by_log(info, records, whole, reasons):
    """Return what the kernel's log tells."""
    history = livepatch_log.History(records, whole, info.kernel_release)
    stack, pending = history.stack_at_end(), history.pending_at_end()
    if stack is None:
        reasons.append("the log does not say which livepatch was enabled before its first line about one")
    name, direction = pending or (None, None)
    enabled = [one for one in stack or [] if one != name]
    topmost = enabled[-1] if enabled else None
    patches = {
        one: _patch(sysfs.Patch(one != name or direction == "patching", one == name, None, None, None), None)
        for one in stack or [name] * bool(name)
    }
    return {
        "supported": True if patches else None,
        "effective_release": None if stack is None else sysfs.effective_release(info.kernel_release, topmost),
        "enabled": topmost,
        "patches": None if stack is None and not patches else patches,
        "inert": None,
        "transition": _transition(pending),
        "loaded": _linked(records),
        "taint": None,
    }


def _patch(patch, forced):
    return dict(patch._asdict(), objects=None if patch.objects is None else dict(patch.objects), forced=forced)


def _transition(pending):
    return {"livepatch": pending[0], "direction": pending[1]} if pending else None


def _linked(records):
    """The livepatch modules (sorted names) that the last "Modules linked in" names, None where there is no whole one."""
    kernel = [record for record in records if record.kernel]
    for number in range(len(kernel) - 1, -1, -1):
        if not _LINKED.match(kernel[number].text):
            continue
        text, full = kernel[number].text, len(kernel[number].text) > _FULL_RECORD
        for record in kernel[number + 1 :]:
            if not full or not record.text.startswith(" "):
                break
            text, full = text + record.text, len(record.text) > _FULL_RECORD
        if full and "[" not in text:
            return None
        return sorted(name for name, letters in _MODULE.findall(_LINKED.match(text).group(1)) if "K" in letters)
    return None


def _died(path, info, time):
    """Return (when the machine died in seconds since 1970, who says so): itself, the caller, or the file's own time."""
    if info.crash_time:
        return info.crash_time, "crash"
    return (time, "option") if time is not None else (os.stat(path).st_mtime, "file")


def _history(records, whole, info, known):
    """Return the History of the log; with what the structures tell it is certain at its end."""
    return livepatch_log.History(records, whole, info.kernel_release, list(known["patches"]) if known else None)


def _events(records, history, info, host, died):
    """Return {"events": alarms of the log, "crash": the one that ended it or None}."""
    alarms = kernel_alarms.alarms(records)
    events = [_event(alarm, history) for alarm in alarms[-MOST_EVENTS:]]
    crash = None
    if info.crash_time or any(alarm.kind == "crash" for alarm in alarms):
        said = crash_events.Evidence(
            "kdump", died, alarms, history.at_end(), True, "a dump without the kernel's reason"
        )
        (one,) = crash_events.tell([said])
        crash = {
            "host": host,
            "kind": one.kind,
            "time": times.to_text(one.time),
            "signature": one.signature,
            "text": one.text,
            "effective_release": one.effective_release,
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
