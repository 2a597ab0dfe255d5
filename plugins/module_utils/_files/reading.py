# Small files of the kernel, of this host and of programs, read whole: text, numbers, names.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# They vanish while they are read (a transition ends, a module goes): that is a normal answer, None.

import errno
import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError

# ENODEV and ENXIO: what an open sysfs file showed has gone. ESRCH: the task behind a proc file has gone.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.ESRCH, errno.EACCES, errno.EPERM, errno.EINVAL)
_READ_LIMIT = 4 * 1024 * 1024
# For a file below /proc/sys the kernel allocates what the reader asks for, and refuses megabytes with ENOMEM.
_CHUNK = 16 * 1024

# No number of the kernel's is longer. Python takes digits of many scripts for digits, and its time for long numbers.
_NUMBER = re.compile(r"-?[0-9]{1,20}\Z")
_UPTIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?(?=\s|\Z)")


def boot_id(root="/"):
    """The kernel's name for this boot, or None."""
    return read_text(os.path.join(root, "proc/sys/kernel/random/boot_id"))


def uptime(root="/"):
    """Return the seconds since boot (float), or None where /proc/uptime cannot be read (proc_uptime(5))."""
    found = _UPTIME.match(read_text(os.path.join(root, "proc/uptime")) or "")
    return float(found.group()) if found else None


def os_family_ids(root):
    """The words of ID and ID_LIKE, without repetition (os-release(5): the second path is the fallback)."""
    text = read_text(os.path.join(root, "etc/os-release")) or read_text(os.path.join(root, "usr/lib/os-release")) or ""
    found = {}
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator:
            found[key.strip()] = value.strip().strip("\"'").lower().split()
    words = []
    for word in found.get("ID", []) + found.get("ID_LIKE", []):
        if word not in words:
            words.append(word)
    return words


def read_number(path):
    """Return the number in the file, or None where it is missing or no number."""
    return to_number(read_text(path))


def to_number(text):
    """Return the number (int) that a text is, as the kernel writes numbers; None for any other text, and for None."""
    return int(text) if text is not None and _NUMBER.match(text) else None


def read_text(path):
    """Return the file as stripped text without NULs, or None where it is missing or not readable."""
    data = read_bytes(path)
    return None if data is None else data.decode("utf-8", "replace").replace("\0", "").strip()


def read_bytes(path):
    """Return the file (at most 4 MiB of it), or None where it is missing or not permitted.

    Raises LivepatchError, here and in all functions that read: unreadable (the system itself fails: EIO, ENOMEM, EMFILE).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return _read_all(descriptor)
        finally:
            os.close(descriptor)
    except EnvironmentError as error:
        if error.errno in _GONE or error.errno == errno.EISDIR:
            return None
        raise _unreadable(path, error)


def subdirectories(directory):
    """Return the names of the directories in a directory, sorted; none where it is missing or not permitted."""
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except EnvironmentError as error:
        if error.errno in _GONE:
            return []
        raise _unreadable(directory, error)
    # A name that is not UTF-8 cannot be the name of a module.
    return sorted(name for name in names if _is_text(name))


def _read_all(descriptor):
    # What the kernel makes line by line (seq_file) comes in pieces of a page, whatever is asked for.
    parts, left = [], _READ_LIMIT
    while left > 0:
        part = os.read(descriptor, min(_CHUNK, left))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _unreadable(path, error):
    return LivepatchError(
        "unreadable",
        "%s: expected to read it, found: %s. See the kernel log, and the memory and limits of this host; run again."
        % (path, error.strerror),
    )


def _is_text(name):
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
