# What the kernel has saved of its last words in pstore, there and where systemd-pstore has moved it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# Documentation/admin-guide/pstore-blk.rst, ramoops.rst; fs/pstore/platform.c. A record may come in several parts, the
# last lines in part 1. Tried with ramoops on 5.10 to 7.2.

import collections
import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._health import crash_events

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


def find(source, since, booted, root="/"):
    """Return the crashes and oopses (list of Evidence) that are not older than a moment (seconds since 1970).

    source: bounded.Source. booted: when this boot began (seconds since 1970).
    """

    def archived(entry):
        return _archived(entry, booted)

    parts = []
    for name, place, moment, depth in ((PSTORE, PLACE, _saved, 0), (SYSTEMD, ARCHIVE, archived, _DEPTH)):
        for entry in _records(source, os.path.join(root, place), depth):
            # What is older is not even opened.
            if moment(entry) >= since:
                parts += _part(source, name, entry, moment(entry))
    return [_evidence(group) for group in _groups(parts) if group[0].why not in _HARMLESS]


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


def _saved(entry):
    """When a record in pstore was saved: the kernel keeps that as the file's time."""
    return entry.time


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


def _evidence(group):
    text = "\n".join(part.text for part in group)
    time = min(part.time for part in group)
    return crash_events.from_text(group[0].source, time, text, fatal=group[0].why not in _SURVIVED)
