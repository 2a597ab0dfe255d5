# Looking into directories that others fill, and into their files: bounded, and with a word on what was not seen.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# What is listed may be gone when it is opened (a service moves it, a person removes it): that is a normal answer.
# Some of these directories are open to everybody: no link in them is followed, and nothing but a plain file is read.

import collections
import errno
import os
import stat
import time

# Bounds for one source of evidence: entries of one directory, bytes of one file and of all files, seconds for all of it.
MAX_ENTRIES = 2000
MAX_BYTES = 1024 * 1024
MAX_BYTES_IN_ALL = 64 * 1024 * 1024
MAX_SECONDS = 5.0
_CHUNK = 64 * 1024

# What a source can be called, the best first. A source is as good as the worst that was met in it.
ABSENT, READ, TRUNCATED, UNREADABLE = "absent", "read", "truncated", "unreadable"
_ORDER = (ABSENT, READ, TRUNCATED, UNREADABLE)

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ENXIO)

Entry = collections.namedtuple("Entry", "name path time is_directory")
Entry.__doc__ = """time: when its content last changed, seconds since 1970 (float). Links and devices have no Entry."""


def worst(statuses):
    """Return the worst of some statuses (list of str)."""
    return max(statuses, key=_ORDER.index)


class Source(object):
    """One source of evidence while it is looked through.

    name: as people know it (str). status: one of the words above. reasons: why not all of it was seen (list of str).
    """

    def __init__(self, name, clock=time.monotonic):
        self.name = name
        self.status = ABSENT
        self.reasons = []
        self._clock = clock
        self._deadline = clock() + MAX_SECONDS
        self._bytes_left = MAX_BYTES_IN_ALL

    def met(self, status, reason=None):
        """Note a status, and why in words."""
        self.status = worst([self.status, status])
        if reason and reason not in self.reasons:
            self.reasons.append(reason)

    def entries(self, directory):
        """Return the entries (list of Entry, by name) of a directory, none where there is none."""
        found = []
        try:
            with os.scandir(directory) as listing:
                self.met(READ)
                for number, entry in enumerate(listing):
                    if not self._goes_on(number, directory):
                        break
                    _add(found, entry)
        except EnvironmentError as error:
            self._refused(directory, error)
        return sorted(found)

    def tail(self, path):
        """Return the text at the end of a file (str), at most MAX_BYTES of it; None where it cannot be read."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                return self._read_tail(descriptor, path)
            finally:
                os.close(descriptor)
        except EnvironmentError as error:
            self._refused(path, error)
            return None

    def _goes_on(self, number, directory):
        if number >= MAX_ENTRIES:
            self.met(
                TRUNCATED, "%s: looked at %d entries of %s only. Remove old ones." % (self.name, MAX_ENTRIES, directory)
            )
            return False
        if self._clock() > self._deadline:
            self.met(
                TRUNCATED,
                "%s: stopped in %s after %d seconds. Remove old files, or look at its disk."
                % (self.name, directory, MAX_SECONDS),
            )
            return False
        return True

    def _read_tail(self, descriptor, path):
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > MAX_BYTES:
            os.lseek(descriptor, -MAX_BYTES, os.SEEK_END)
            self.met(TRUNCATED, "%s: read only the last %d bytes of %s" % (self.name, MAX_BYTES, path))
        if self._bytes_left <= 0:
            self.met(TRUNCATED, "%s: read %d MiB only. Remove old files." % (self.name, MAX_BYTES_IN_ALL >> 20))
            return None
        parts, left = [], MAX_BYTES
        while left > 0 and self._goes_on(0, path):
            part = os.read(descriptor, min(_CHUNK, left))
            if not part:
                break
            parts.append(part)
            left -= len(part)
            self._bytes_left -= len(part)
        return b"".join(parts).decode("utf-8", "replace")

    def _refused(self, path, error):
        # ELOOP: a link in place of a file, which nobody whom this collection knows would put there.
        if error.errno in _GONE or error.errno == errno.ELOOP:
            return
        advice = "Use become" if error.errno in (errno.EACCES, errno.EPERM) else "Look at it on the host"
        self.met(
            UNREADABLE,
            "%s: expected to read %s, found: %s. %s." % (self.name, path, os.strerror(error.errno or 0), advice),
        )


def _add(found, entry):
    try:
        status = entry.stat(follow_symlinks=False)
    except EnvironmentError:
        return
    is_directory = stat.S_ISDIR(status.st_mode)
    if is_directory or stat.S_ISREG(status.st_mode):
        found.append(Entry(_text(entry.name), entry.path, status.st_mtime, is_directory))


def _text(name):
    """A file's name without what no text can hold (its bytes may be in any encoding)."""
    return name.encode("utf-8", "replace").decode("utf-8")
