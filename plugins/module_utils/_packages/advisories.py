# What vendors' advisories say, as the package manager keeps them on the host: which packages, which CVEs.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# They are the updateinfo of each repository as of its last refresh: foreign, large, and read within limits.

import bz2
import collections
import contextlib
import glob
import gzip
import lzma
import os
import re
import time
import zlib

from ansible_collections.kernel.livepatch.plugins.module_utils._files import processes

CVE = re.compile(r"\bCVE-[0-9]{4}-[0-9]{4,19}\b")
_CVE_BYTES = re.compile(br"\bCVE-[0-9]{4}-[0-9]{4,19}\b")

# Where dnf 4, dnf 5, tdnf and zypper keep what they have of a repository.
CACHES = {
    "dnf": ("var/cache/dnf/*/repodata", "var/cache/libdnf5/*/repodata"),
    "tdnf": ("var/cache/tdnf/*/repodata",),
    "zypper": ("var/cache/zypp/raw/*/repodata",),
}
# The part before the name is a digest.
_NAME = "*updateinfo.xml*"
# dnf and tdnf keep a repository's directory when its address changes, and make another one with another digest.
_DIGEST = re.compile(r"-(?:[0-9a-f]{8}){1,2}\Z")
_OPENERS = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open, ".xml": open}
_START, _END = re.compile(br"<update[\s>]"), b"</update>"
_CHUNK = 1024 * 1024
MAX_FILES = 50
MAX_BYTES = 256 * 1024 * 1024  # of all files, unpacked; the largest distribution's are well below
MAX_UPDATE = 8 * 1024 * 1024

ABSENT, READ, TRUNCATED, UNREADABLE = "absent", "read", "truncated", "unreadable"
_ORDER = (ABSENT, READ, TRUNCATED, UNREADABLE)

# SUSE's advisory SUSE-SU-2026:1234-1 is the patch SUSE-SLE-Module-Live-Patching-15-SP5-2026-1234 in its repository.
_SUSE = re.compile(r"(?:open)?SUSE-[A-Z]{2}-([0-9]{4}):0*([0-9]{1,9})-[0-9]{1,9}\Z")

Advisory = collections.namedtuple("Advisory", "id names cves packages")
Advisory.__doc__ = """id: as its repository has it. names: what its vendor calls it besides (tuple of str). cves: (list of str).
packages: what it brings, as (name, epoch, version, release, arch) (list of tuples of str)."""


def cves_in_text(text):
    """Return the CVEs that a text names (list of str), by year and number, each once."""
    return sorted(set(CVE.findall(text)), key=lambda cve: [int(number) for number in cve.split("-")[1:]])


def cves_in_bytes(update):
    """Return the CVEs that the bytes of an advisory name (set of str)."""
    return {found.decode("ascii") for found in _CVE_BYTES.findall(update)}


def needles(word):
    """Return what is in the bytes of an advisory that is_called(word): one of these (list of bytes)."""
    found = _SUSE.match(word)
    return [word.encode("utf-8")] + ([("-%s-%s<" % found.groups()).encode("ascii")] if found else [])


def is_called(advisory, word):
    """Tell whether an Advisory is what a person or a page calls by this word (bool)."""
    if word == advisory.id or word in advisory.names:
        return True
    found = _SUSE.match(word)
    return bool(found) and advisory.id.startswith(("SUSE-", "openSUSE-")) and advisory.id.endswith("-%s-%s" % found.groups())


def parse(update):
    """Return the Advisory in the bytes from <update> to </update>, None where they are none."""
    from xml.etree import ElementTree

    found = _START.search(update)
    try:
        element = ElementTree.fromstring(update[found.start() :] if found else update)
    except (ElementTree.ParseError, ValueError):
        return None
    references = [reference.attrib for reference in element.iter("reference")]
    told = [reference.get(key, "") for reference in references for key in ("id", "title", "href")]
    # What has no references tells its CVEs in its words.
    text = " ".join(told) if told else " ".join(element.itertext())
    keys = ("name", "epoch", "version", "release", "arch")
    return Advisory(
        (element.findtext("id") or "").strip(),
        tuple(reference["id"] for reference in references if reference.get("type") == "self" and reference.get("id")),
        cves_in_text(text),
        [tuple(package.get(key) or "" for key in keys) for package in element.iter("package")],
    )


def files(root="/", manager=None):
    """Return the paths of all advisories on this host (list of str), or of those of one manager (a key of CACHES).

    Of several directories for one repository the one that was refreshed last counts.
    """
    newest = {}
    for name in [manager] if manager else sorted(CACHES):
        for pattern in CACHES[name]:
            for directory in glob.glob(os.path.join(glob.escape(root), pattern)):
                parent, repository = os.path.split(os.path.dirname(directory))
                key = (parent, _DIGEST.sub("", repository))
                newest[key] = max(newest.get(key, (0, "")), (_refreshed(directory), directory))
    found = [glob.glob(os.path.join(glob.escape(directory), _NAME)) for dummy, directory in newest.values()]
    return sorted(sum(found, []))[:MAX_FILES]


def _refreshed(directory):
    """When a repository was refreshed (seconds since 1970), as far as its files tell."""
    times = []
    for name in ("repomd.xml", "."):
        with contextlib.suppress(EnvironmentError):
            times.append(os.stat(os.path.join(directory, name)).st_mtime)
    return max(times) if times else 0


class Reader(object):
    """Reads advisories one by one, within limits for all files together. status: ABSENT until something was read."""

    def __init__(self, seconds, clock=time.monotonic):
        self.status = ABSENT
        self._clock = clock
        self._deadline = clock() + seconds
        self._left = MAX_BYTES

    def updates(self, paths):
        """Yield each advisory of some files (paths) as its bytes, up to </update>."""
        for path in paths:
            self._met(READ)
            try:
                with _opened(path) as stream:
                    yield from self._pieces(stream)
            except (EnvironmentError, EOFError, lzma.LZMAError, zlib.error, ValueError):
                self._met(UNREADABLE)

    def parsed(self, paths, is_wanted):
        """Yield the Advisory of each update for which is_wanted(bytes) is true."""
        for update in self.updates(paths):
            if is_wanted(update):
                found = parse(update)
                if found is None:
                    self._met(UNREADABLE)
                else:
                    yield found

    def _pieces(self, stream):
        rest = b""
        while True:
            part = stream.read(_CHUNK)
            if not part:
                return
            self._left -= len(part)
            pieces = (rest + part).split(_END)
            rest = pieces.pop()
            for piece in pieces:
                yield piece + _END
            if self._left <= 0 or len(rest) > MAX_UPDATE or self._clock() > self._deadline:
                self._met(TRUNCATED)
                return

    def _met(self, status):
        self.status = max(self.status, status, key=_ORDER.index)


def _opened(path):
    """A context that gives the unpacked file; Python has no zstd before 3.14, so that its program is taken."""
    suffix = os.path.splitext(path)[1]
    if suffix == ".zst":
        return processes.output_of(["zstd", "-dcq", "--", path])
    opener = _OPENERS.get(suffix)
    if opener is None:
        raise ValueError("no advisories are packed as %s" % suffix)
    return opener(path, "rb")
