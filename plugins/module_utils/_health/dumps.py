# What crashes have left on the disk: kdump's dumps, the kernel's last words in pstore, core dumps of programs.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# kdump: one directory for each crash. kexec-tools and kdump-utils (RHEL, Fedora): 127.0.0.1-DATE-TIME/ with vmcore and
# vmcore-dmesg.txt, their names with -incomplete where the dump was cut off. SUSE: DATE-TIME/ with vmcore and dmesg.txt.
# kdump-tools (Debian, Ubuntu): DATETIME/ with dump.DATETIME and dmesg.DATETIME.
# pstore: Documentation/admin-guide/pstore-blk.rst, ramoops.rst; fs/pstore/platform.c. A record may come in several
# parts, the last lines in part 1. Tried with ramoops on 5.10 to 7.2.
# No dump is opened, of a kernel or of a program: it holds what was in the memory.

import collections
import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._health import crash_events
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log

KDUMP = "kdump"

_LOG = re.compile(r"(vmcore-dmesg|dmesg\.)")
_DUMP = re.compile(r"(vmcore|dump\.)")

PSTORE, SYSTEMD = "pstore", "systemd-pstore"
PLACE, ARCHIVE = "sys/fs/pstore", "var/lib/systemd/pstore"

# The archive has a directory for each record, some have one more in it.
_DEPTH = 2
# Parts of one record are written within this many seconds.
_PART_SECONDS = 60

_NAME = re.compile(r"dmesg-(?P<backend>[a-z_]+)-(?P<number>\d{1,20})")
_HEADER = re.compile(r"(?P<why>[A-Z][A-Za-z ]{0,30})#(?P<count>\d{1,9}) Part(?P<part>\d{1,9})\r?(\n|\Z)")
_HARMLESS = ("Shutdown", "Restart", "Halt", "Poweroff")
# After an oops the host may have gone on.
_SURVIVED = ("Oops",)

_Part = collections.namedtuple("_Part", "source why count part time text")

CORE_PATTERN = "proc/sys/kernel/core_pattern"
NAME_CHARACTERS = 64

CoreDump = collections.namedtuple("CoreDump", "comm time path")
CoreDump.__doc__ = """comm: the name of the program (str). time: seconds since 1970 (float). path: its file (str)."""

# systemd-coredump(8): core.COMM.UID.BOOTID.PID.MICROSECONDS, and how it is compressed. In COMM every dot, slash, blank
# and what cannot be printed is written as \x2e.
_SYSTEMD = re.compile(
    r"core\.(?P<comm>[^.]+)\.\d{1,10}\.[0-9a-f]{32}\.\d{1,10}\.(?P<microseconds>\d{1,17})(\.(zst|lz4|xz))?\Z"
)
_DIGITS = re.compile(r"\d+")
# Of the parts of a core_pattern that differ from dump to dump. More are not looked at: such names are told like others.
_MOST_PARTS = 6


def find_kdump(source, directories, since, root="/"):
    """Return the crashes (list of Evidence) that are not older than a moment (seconds since 1970).

    source: bounded.Source. directories: list of paths, below root.
    """
    found = []
    for directory in directories:
        for entry in source.entries(os.path.join(root, directory.lstrip("/"))):
            if entry.is_directory:
                found += _kdump_evidence(source, entry, since)
    return found


def _kdump_evidence(source, directory, since):
    """Return a list of the Evidence in a directory; it is empty for other files, and for what is older."""
    files = [entry for entry in source.entries(directory.path) if not entry.is_directory]
    logs = [entry for entry in files if _LOG.match(entry.name)]
    dumps = [entry for entry in files if _DUMP.match(entry.name)]
    # The log is written first: its time is nearest to the crash.
    time = min([entry.time for entry in logs or dumps] or [since - 1])
    if time < since:
        return []
    return [crash_events.from_text(KDUMP, time, source.tail(logs[0].path) if logs else None)]


def find_pstore(source, since, booted, root="/"):
    """Return the crashes and oopses (list of Evidence) that are not older than a moment (seconds since 1970).

    source: bounded.Source. booted: when this boot began (seconds since 1970).
    """
    parts = []
    for name, place, depth in ((PSTORE, PLACE, 0), (SYSTEMD, ARCHIVE, _DEPTH)):
        for entry in _records(source, os.path.join(root, place), depth):
            # The kernel keeps in the file's time when a record in pstore was saved.
            saved = entry.time if name == PSTORE else _archived(entry, booted)
            # What is older is not even opened.
            if saved >= since:
                parts += _part(source, name, entry, saved)
    return [_pstore_evidence(group) for group in _groups(parts) if group[0].why not in _HARMLESS]


def saved_at(name):
    """When a record was saved (seconds since 1970) by its name, None where the name does not tell.

    EFI: the seconds, two digits of the part, three of the count. ERST: the seconds in the upper 32 of 64 bits.
    """
    found = _NAME.match(name)
    number = int(found.group("number")) if found else 0
    if found and found.group("backend") in ("efi", "efi_pstore") and number >= 10**14:
        return float(number // 100000)
    if found and found.group("backend") == "erst" and number >= 10**9 << 32:
        return float(number >> 32)
    return None


def _archived(entry, booted):
    """When a record in the archive was saved. A file has the time of its move there, early in the next boot."""
    saved = saved_at(entry.name)
    return min(entry.time, booted) if saved is None else saved


def _records(source, directory, depth):
    """Return the files (list of bounded.Entry) of records in a directory, and so many directories deep below it."""
    found = []
    for entry in source.entries(directory):
        if entry.is_directory and depth > 0:
            found += _records(source, entry.path, depth - 1)
        elif not entry.is_directory and _NAME.match(entry.name):
            found.append(entry)
    return found


def _part(source, name, entry, time):
    """Return a list of the part in a file; it is empty when the file has gone."""
    text = source.tail(entry.path)
    if text is None:
        return []
    header = _HEADER.match(text)
    if header is None:
        return [_Part(name, None, entry.name, 1, time, text)]
    return [
        _Part(name, header.group("why"), header.group("count"), int(header.group("part")), time, text[header.end() :])
    ]


def _groups(parts):
    """Return the lists of parts that are one record each, oldest part first in each."""
    found = []
    for part in sorted(parts, key=lambda part: (part.source, part.time, part.part)):
        for group in found:
            if _belongs(part, group):
                group.append(part)
                break
        else:
            found.append([part])
    return [sorted(group, key=lambda part: -part.part) for group in found]


def _belongs(part, group):
    first = group[0]
    return (
        (part.source, part.why, part.count) == (first.source, first.why, first.count)
        and part.time - first.time <= _PART_SECONDS
        and part.part not in [other.part for other in group]
    )


def _pstore_evidence(group):
    text = "\n".join(part.text for part in group)
    time = min(part.time for part in group)
    return crash_events.from_text(group[0].source, time, text, fatal=group[0].why not in _SURVIVED)


def find_core_dumps(source, directories, since, root="/"):
    """Return the core dumps (list of CoreDump) that are not older than a moment (seconds since 1970).

    source: bounded.Source. directories: list of paths, below root.
    """
    pattern = reading.read_text(os.path.join(root, CORE_PATTERN)) or ""
    found = []
    for directory in directories:
        names = _core_names(pattern, directory)
        for entry in source.entries(os.path.join(root, directory.lstrip("/"))):
            dump = None if entry.is_directory else parse_core_dump(entry.name, entry.time, entry.path, names)
            if dump is not None and dump.time >= since:
                found.append(dump)
    return found


def parse_core_dump(name, changed, path, names=None):
    """Return the CoreDump of a file's name. changed: when its content last changed.

    names: regular expression with a group "comm" for the names that the kernel gives, or None.
    """
    found = _SYSTEMD.match(name)
    if found:
        comm = kernel_log.unescaped(found.group("comm"))
        return CoreDump(_bounded(comm), int(found.group("microseconds")) / 1e6, path)
    # systemd-coredump writes into a hidden file first, and renames it.
    if name.startswith(".#"):
        return None
    found = names.match(name) if names else None
    if found:
        return CoreDump(_bounded(found.group("comm")), changed, path)
    # Numbers in a name are those of processes and moments, other ones each time.
    return CoreDump(_bounded(_DIGITS.sub("N", name)), changed, path)


def _core_names(pattern, directory):
    """The regular expression for the names that the kernel's core_pattern gives in a directory, None without %e.

    core(5). A pattern that begins with | names a program, which chooses names of its own.
    """
    place, unused, template = pattern.rpartition("/")
    parts = re.split(r"(%.)", template)
    if not pattern.startswith("/") or place.rstrip("/") != directory.rstrip("/") or parts.count("%e") != 1:
        return None
    # Each part that may be of any length multiplies the time that a name can take.
    if sum(part.startswith("%") and part != "%%" for part in parts) > _MOST_PARTS:
        return None
    known = {"%e": r"(?P<comm>.+?)", "%%": "%", "%h": ".*", "%E": ".*"}
    words = [known.get(part, r"-?\d+") if part.startswith("%") else re.escape(part) for part in parts]
    # With kernel.core_uses_pid the number of the process comes on top.
    return re.compile("".join(words) + r"(\.\d+)?\Z", re.DOTALL)


def _bounded(comm):
    return "".join(character if character.isprintable() else "?" for character in comm)[:NAME_CHARACTERS]
