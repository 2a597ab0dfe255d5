# Core dumps of programs: who crashed, and when, from the names and times of the files.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# No core dump is opened: it holds what was in the memory of the program.

import collections
import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading

CORE_PATTERN = "proc/sys/kernel/core_pattern"
NAME_CHARACTERS = 64

CoreDump = collections.namedtuple("CoreDump", "comm time path")
CoreDump.__doc__ = """comm: the name of the program (str). time: seconds since 1970 (float). path: its file (str)."""

# systemd-coredump(8): core.COMM.UID.BOOTID.PID.MICROSECONDS, and how it is compressed. In COMM every dot, slash, blank
# and what cannot be printed is written as \x2e.
_SYSTEMD = re.compile(
    r"core\.(?P<comm>[^.]+)\.\d{1,10}\.[0-9a-f]{32}\.\d{1,10}\.(?P<microseconds>\d{1,17})(\.(zst|lz4|xz))?\Z"
)
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_DIGITS = re.compile(r"\d+")
# Of the parts of a core_pattern that differ from dump to dump. More are not looked at: such names are told like others.
_MOST_PARTS = 6


def find(source, directories, since, root="/"):
    """Return the core dumps (list of CoreDump) that are not older than a moment (seconds since 1970).

    source: bounded.Source. directories: list of paths, below root.
    """
    pattern = reading.read_text(os.path.join(root, CORE_PATTERN)) or ""
    found = []
    for directory in directories:
        names = _names(pattern, directory)
        for entry in source.entries(os.path.join(root, directory.lstrip("/"))):
            dump = None if entry.is_directory else parse(entry.name, entry.time, entry.path, names)
            if dump is not None and dump.time >= since:
                found.append(dump)
    return found


def parse(name, changed, path, names=None):
    """Return the CoreDump of a file's name. changed: when its content last changed.

    names: regular expression with a group "comm" for the names that the kernel gives, or None.
    """
    found = _SYSTEMD.match(name)
    if found:
        comm = _ESCAPE.sub(_unescape, found.group("comm"))
        return CoreDump(_bounded(comm), int(found.group("microseconds")) / 1e6, path)
    # systemd-coredump writes into a hidden file first, and renames it.
    if name.startswith(".#"):
        return None
    found = names.match(name) if names else None
    if found:
        return CoreDump(_bounded(found.group("comm")), changed, path)
    # Numbers in a name are those of processes and moments, other ones each time.
    return CoreDump(_bounded(_DIGITS.sub("N", name)), changed, path)


def _names(pattern, directory):
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


def _unescape(match):
    return chr(int(match.group(1), 16))
