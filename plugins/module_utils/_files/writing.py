# Files of a host, written whole: whoever reads one, also after a crash, finds the old file or the new one.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import errno
import os

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def new_name(place, ending=".new"):
    """Return the path of what is to be renamed to a place (str)."""
    return os.path.join(os.path.dirname(place), ".%s%s" % (os.path.basename(place), ending))


def write(place, data, mode=0o644, flush=True):
    """Write a file (bytes), whatever lay there; one that cannot be written whole is not left behind. Raises OSError.

    mode: its permissions, whatever the umask (int). flush: whether it has reached the disk on return (bool).
    """
    remove(place)
    descriptor = os.open(place, _FLAGS, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(data)
            stream.flush()
            if flush:
                os.fsync(descriptor)
    except BaseException:
        remove(place)
        raise


def replace(place, data, mode=0o644, flush=True):
    """Put a file (bytes) in its place in one step; it has reached the disk when this returns. Raises OSError.

    flush=False: for what tells of this boot only, and may be written by two at once, a run and the timer that publishes:
    each writes one of its own before. It is not flushed.
    """
    new = new_name(place, ".new" if flush else ".%d" % os.getpid())
    write(new, data, mode, flush)
    try:
        os.rename(new, place)
    except BaseException:
        remove(new)
        raise
    if flush:
        sync(os.path.dirname(place))


def remove(place):
    """Remove a file; that it is not there is fine. Raises OSError."""
    try:
        os.unlink(place)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise


def make_directories(root, path):
    """Make the directories below root that are missing, for all to read; what is there is left as it is. Raises OSError."""
    place = os.path.join(root, path)
    if path and not os.path.isdir(place):
        make_directories(root, os.path.dirname(path))
        try:
            os.mkdir(place, 0o755)
        except FileExistsError:
            return  # somebody else has just made it
        os.chmod(place, 0o755)
        sync(os.path.dirname(place))


def sync(path):
    """Flush a file, or a directory and thereby the names in it, to the disk. One that is not there is fine. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
