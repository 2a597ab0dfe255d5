# Which CVEs a livepatch mends, as far as its package says: in its changelog, and in the advisories of its repository.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# Advisories are read where the package manager keeps them, as of its last refresh: no process, no network.

import bz2
import glob
import gzip
import lzma
import os
import re
import time
import zlib

CVE = re.compile(r"\bCVE-[0-9]{4}-[0-9]{4,}\b")

# dnf 4, dnf 5 and zypper; the part before the name is a digest.
_ADVISORIES = (
    "var/cache/dnf/*/repodata/*updateinfo.xml*",
    "var/cache/libdnf5/*/repodata/*updateinfo.xml*",
    "var/cache/zypp/raw/*/repodata/*updateinfo.xml*",
)
_OPENERS = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open, ".xml": open}
_END = b"</update>"
_CHUNK = 1024 * 1024
MAX_FILES = 50
MAX_BYTES = 256 * 1024 * 1024  # of all files, unpacked; the largest distribution's are well below
MAX_SECONDS = 10.0
MAX_UPDATE = 8 * 1024 * 1024

ABSENT, READ, TRUNCATED, UNREADABLE = "absent", "read", "truncated", "unreadable"


def in_text(text):
    """Return the CVEs that a text names (list of str), by year and number, each once."""
    return sorted(set(CVE.findall(text)), key=lambda cve: [int(number) for number in cve.split("-")[1:]])


def in_advisories(package, root="/", clock=time.monotonic):
    """Return (CVEs, status) of the advisories that bring a package: (list of str, word).

    package: name-version-release.arch, as the advisory writes its file without .rpm. status: read, absent (there are no
    advisories on this host), truncated (a limit was met) or unreadable (a file is damaged, or packed as zstd, which
    Python cannot unpack).
    """
    reader = _Reader(clock)
    wanted = (package + ".rpm").encode()
    found = set()
    for path in _files(root):
        for update in reader.updates(path):
            if wanted in update:
                found.update(in_text(update.decode("utf-8", "replace")))
    return in_text(" ".join(found)), reader.status


def _files(root):
    paths = [path for pattern in _ADVISORIES for path in glob.glob(os.path.join(glob.escape(root), pattern))]
    return sorted(paths)[:MAX_FILES]


class _Reader(object):
    """Reads advisories one by one, within limits for all files together."""

    _ORDER = (ABSENT, READ, TRUNCATED, UNREADABLE)

    def __init__(self, clock):
        self.status = ABSENT
        self._clock = clock
        self._deadline = clock() + MAX_SECONDS
        self._left = MAX_BYTES

    def updates(self, path):
        """Yield the text of each advisory in a file (bytes)."""
        self._met(READ)
        opener = _OPENERS.get(os.path.splitext(path)[1])
        if opener is None:
            self._met(UNREADABLE)
            return
        rest = b""
        try:
            with opener(path, "rb") as stream:
                while True:
                    part = stream.read(_CHUNK)
                    if not part:
                        return
                    self._left -= len(part)
                    pieces = (rest + part).split(_END)
                    rest = pieces.pop()
                    yield from pieces
                    if self._left <= 0 or len(rest) > MAX_UPDATE or self._clock() > self._deadline:
                        self._met(TRUNCATED)
                        return
        except (EnvironmentError, EOFError, lzma.LZMAError, zlib.error, ValueError):
            self._met(UNREADABLE)

    def _met(self, status):
        self.status = max(self.status, status, key=self._ORDER.index)
