# What the settings and the state of a host say about loading a livepatch, whatever it changes.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading, run_files
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs, tracing

_SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_LOCKDOWN = "sys/kernel/security/lockdown"
# To load a module the kernel holds its file and its sections at once; the rest is for whatever else the host does.
_FREE_MEMORY, _TIMES_FILE = 64 * 1024 * 1024, 4
_FREE_RUN = 256 * 1024
_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB", re.MULTILINE)


def check(findings, root, file, uid):
    """Note what is found. file: ModuleFile, None where there is none. uid: the user's id."""
    if not os.path.isdir(os.path.join(root, sysfs.LIVEPATCHES)):
        findings.add("unsupported", "/%s is not there" % sysfs.LIVEPATCHES)
    if uid != 0:
        findings.add("not_root", "the user id is %d" % uid)
    if reading.read_number(os.path.join(root, "proc/sys/kernel/modules_disabled")):
        findings.add("modules_disabled", "kernel.modules_disabled is 1")
    if reading.read_number(os.path.join(root, "proc/sys/kernel/ftrace_enabled")) == 0:
        findings.add("ftrace_disabled", "kernel.ftrace_enabled is 0")
    if file is not None:
        _check_signature(findings, root, file)
    _check_room(findings, root, file)
    forced = run_files.forced(root)
    if forced:
        findings.add("forced_before", "forced since the last boot: %s" % ", ".join(forced))


def _check_signature(findings, root, file):
    enforced = reading.read_text(os.path.join(root, "sys/module/module/parameters/sig_enforce")) == "Y"
    lockdown = _lockdown(root)
    secure_boot = _secure_boot(findings, root)
    locked = lockdown not in (None, "none")
    if file.signed:
        if enforced or locked:
            words = "kernel enforces signatures" if enforced else "kernel is locked down (%s)" % lockdown
            findings.add("signature_unproven", "%s is signed, and the %s" % (file.path, words))
        return
    if enforced:
        findings.add("signature_enforced", "%s has no signature, and sig_enforce is Y" % file.path)
    elif locked:
        findings.add("locked_down", "%s has no signature, and the kernel is locked down (%s)" % (file.path, lockdown))
    elif secure_boot:
        findings.add("secure_boot", "Secure Boot is on, and the kernel takes unsigned modules all the same")
    if lockdown is None and not enforced and tracing.mounted(root, "securityfs") is None:
        findings.add("not_checked", "lockdown: securityfs is not mounted, /%s is not there" % _LOCKDOWN)


def _lockdown(root):
    found = re.search(r"\[(\w+)\]", reading.read_text(os.path.join(root, _LOCKDOWN)) or "")
    return found.group(1) if found else None


def _secure_boot(findings, root):
    """Whether Secure Boot is on, None where the host has none or does not show it."""
    if not os.path.isdir(os.path.join(root, "sys/firmware/efi")):
        return None
    variable = reading.read_bytes(os.path.join(root, _SECURE_BOOT))
    if not variable:
        findings.add("not_checked", "Secure Boot: /%s cannot be read" % _SECURE_BOOT)
        return None
    return variable[-1:] == b"\1"  # four bytes of attributes, then the value


def _check_room(findings, root, file):
    available = _AVAILABLE.search(reading.read_text(os.path.join(root, "proc/meminfo")) or "")
    needed = _FREE_MEMORY + _TIMES_FILE * (len(file.image) if file is not None else 0)
    if available and int(available.group(1)) * 1024 < needed:
        findings.add(
            "low_memory", "%s kB of memory are available, %d kB are wanted" % (available.group(1), needed // 1024)
        )
    try:
        status = os.statvfs(os.path.join(root, "run"))
    except EnvironmentError:
        return
    if status.f_bavail * status.f_frsize < _FREE_RUN or (status.f_files and not status.f_favail):
        findings.add(
            "run_full",
            "/run has %d kB and %d inodes left" % (status.f_bavail * status.f_frsize // 1024, status.f_favail),
        )
