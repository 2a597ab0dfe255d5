# Which livepatch a host enables by itself when it boots: the record of each kernel release, and what the last boot did.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import os
import re
from collections import OrderedDict

from ansible_collections.kernel.livepatch.plugins.module_utils._boot import boot_files
from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs

# What kernel releases consist of; it becomes the name of a file.
_KERNEL = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.+~-]*\Z")

KPATCH = "var/lib/kpatch"
# The one state that the program does not write: recorded after the host has booted.
WAITING = "waiting"
_WITHOUT_RECORD = ("other_kernel", "switched_off", "kpatch")


def read_record(root, kernel_release):
    """Return the record of a kernel release (dict of str), or None. One file is read."""
    if not _KERNEL.match(kernel_release):
        return None
    record = _fields(reading.read_text(os.path.join(root, boot_files.RECORDS, kernel_release)))
    return record if record.get("name") else None


def read_records(root):
    """Return kernel release -> record, sorted."""
    names = sorted(listing(os.path.join(root, boot_files.RECORDS)))
    records = ((name, read_record(root, name)) for name in names if _KERNEL.match(name))
    return OrderedDict((name, record) for name, record in records if record)


def facts(root, kernel_release):
    """Return (name, guard): the livepatch that a boot of this kernel enables, and what the last boot did about it.

    name is None where there is none, where the guard keeps it out, or where other code runs under that name. guard: {state, boots, reason}, None
    where nothing is persistent and nothing was tried. Few small files are read, no process is started, no privileges
    are needed.
    """
    record = read_record(root, kernel_release)
    status = _fields(reading.read_text(os.path.join(root, boot_files.STATUS)))
    if record is None:
        # What it said about a record that has been removed since is said about nothing.
        told = status if status.get("state") in _WITHOUT_RECORD else {}
        return kpatch_keeps(root, kernel_release), _guard(told)
    if status.get("sha256") != record.get("sha256") and status.get("state") != "switched_off":
        status = {"state": WAITING, "reason": "recorded, this host has not booted with it yet"}
    running = sysfs.build_id(root, record["name"])
    same = not running or not record.get("build_id") or running == record["build_id"]
    return record["name"] if same and status.get("state") != "tripped" else None, _guard(status)


def _guard(status):
    if not status.get("state"):
        return None
    return {
        "state": status["state"],
        "boots": reading.to_number(status.get("boots")) or 0,
        "reason": status.get("reason", ""),
    }


def left_to_kpatch(root, kernel_release, name):
    """Return whether kpatch.service is enabled and has this livepatch in its directory: it loads it then."""
    return name in [stem(path) for path in kpatch_files(root, kernel_release)] and _kpatch_is_enabled(root)


def kpatch_files(root, kernel_release):
    """Return the paths of the modules in kpatch's directory, sorted; kpatch.service loads them in this order."""
    directory = os.path.join(root, KPATCH, kernel_release)
    return [os.path.join(directory, name) for name in sorted(listing(directory)) if ".ko" in name]


def stem(path):
    """Return the module's name by the file's."""
    return os.path.basename(path).split(".ko", 1)[0].replace("-", "_")


def kpatch_keeps(root, kernel_release):
    """Return the name of the livepatch that kpatch.service loads at a boot of this kernel (the last one), or None."""
    paths = kpatch_files(root, kernel_release)
    return stem(paths[-1]) if paths and _kpatch_is_enabled(root) else None


def _kpatch_is_enabled(root):
    units = os.path.join(root, boot_files.UNITS)
    wants = (os.path.join(units, name, "kpatch.service") for name in listing(units) if name.endswith(".wants"))
    return any(os.path.lexists(path) for path in wants)


def listing(directory):
    """Return the names in a directory; none where it cannot be read."""
    try:
        return os.listdir(directory)
    except EnvironmentError:
        return []


def _fields(text):
    fields = {}
    for line in (text or "").split("\n"):
        key, separator, value = line.partition("=")
        if separator and not key.startswith("#"):
            fields[key] = value
    return fields
