# The host's own copies of the livepatches that were proven on it: a package's upgrade deletes the file that ran.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# They lie unpacked, root's own, in /var/lib/livepatch/<kernel release>/<name>.ko.

import errno
import os
import stat

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading, writing
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file

PLACE = "var/lib/livepatch"
# What a boot enables, a file for each kernel release; the room _boot writes them.
RECORDS = "etc/livepatch/boot.d"
# Beside the directories of the kernels: the counts of the boots.
_OTHERS = ("boot",)
_ENDING = ".ko"
_NEW = ".new"
# Of a livepatch whose size is not known yet; the largest ones are a few MiB.
_ROOM = 8 * 1024 * 1024
# Whoever loads the copy may ask for the label that the kernel's own modules have (SELinux).
_LABEL = "security.selinux"


def relative(kernel_release, name):
    """Return the path of the copy of a livepatch, from the root of the file system (str)."""
    return "%s/%s/%s%s" % (PLACE, kernel_release, name, _ENDING)


def path(root, kernel_release, name):
    """Return the path of the copy of a livepatch, or None where there is none that only root could have changed."""
    place = os.path.join(root, relative(kernel_release, name))
    try:
        status = os.lstat(place)
    except EnvironmentError:
        return None
    return place if stat.S_ISREG(status.st_mode) and _is_own(status) else None


def find(root, kernel_release, name, build_id):
    """Return the copy (ModuleFile) of a livepatch that has this build id, or None."""
    place = path(root, kernel_release, name)
    if place is None or build_id is None:
        return None
    try:
        file = module_file.read(place)
    except LivepatchError:
        return None
    return file if file.name == name and file.build_id == build_id else None


def is_kept(root, kernel_release, file):
    """Return whether the copy of a ModuleFile lies there already."""
    place = path(root, kernel_release, file.name)
    try:
        with open(place or os.devnull, "rb") as stream:
            return stream.read(len(file.image) + 1) == file.image
    except EnvironmentError:
        return False


def require_room(root):
    """Raise disk_full where a livepatch that is still to be fetched would most likely not fit."""
    place = os.path.join(root, PLACE)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    try:
        status = os.statvfs(place)
    except EnvironmentError:
        return  # the writing itself will say it
    free = status.f_bavail * status.f_frsize
    if free < _ROOM:
        raise LivepatchError(
            "disk_full",
            "/%s: expected at least %d bytes free for the copy of the livepatch, found %d. Nothing was changed: free some "
            "space and run again." % (PLACE, _ROOM, free),
        )


class Staged(object):
    """The copy of a ModuleFile on the disk, as a whole, before it has its name. Raises LivepatchError: disk_full, write_failed."""

    def __init__(self, root, kernel_release, file):
        self._place = os.path.join(root, relative(kernel_release, file.name))
        self._new = writing.new_name(self._place)
        try:
            _make_directory(root, os.path.dirname(relative(kernel_release, file.name)))
            writing.write(self._new, file.image)
        except EnvironmentError as error:
            self.discard()
            raise _refusal(error, self._place)
        _label(self._new, os.path.join(root, "lib/modules", kernel_release))

    def keep(self):
        """Give it its name."""
        try:
            os.rename(self._new, self._place)
            writing.sync(os.path.dirname(self._place))
        except EnvironmentError as error:
            raise _refusal(error, self._place)

    def discard(self):
        """Remove it."""
        try:
            writing.remove(self._new)
        except EnvironmentError:
            pass  # it costs nothing but space


def _refusal(error, place):
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return LivepatchError(
        "disk_full" if full else "write_failed",
        "%s: expected to write the copy of the livepatch, which is what a boot and a way back use, found: %s. %s"
        % (
            place,
            error.strerror,
            "Free some space and run again." if full else "See that /%s can be written, by root only." % PLACE,
        ),
    )


def _make_directory(root, where):
    writing.make_directories(root, where)
    parts = where.split("/")
    for end in range(len(PLACE.split("/")), len(parts) + 1):
        status = os.lstat(os.path.join(root, *parts[:end]))
        if not stat.S_ISDIR(status.st_mode) or not _is_own(status):
            raise OSError(errno.EPERM, "something that is no directory of root's own")


def _is_own(status):
    """Whether nobody but root could change what has this status."""
    return status.st_uid in (0, os.getuid()) and not status.st_mode & 0o022


def _label(place, like):
    try:
        os.setxattr(place, _LABEL, os.getxattr(like, _LABEL))
    except EnvironmentError:
        pass  # no SELinux, or a file system without labels


def prune(root, kernel_release, names):
    """Delete the copies that nothing names any more.

    names: livepatches of the running kernel that may still be needed (set of str). What a boot enables is needed too.
    """
    try:
        recorded = _recorded(root)
        for kernel in reading.subdirectories(os.path.join(root, PLACE)):
            if kernel not in _OTHERS:
                kept = {name + _ENDING for name in names} if kernel == kernel_release else set()
                kept |= {
                    os.path.basename(path) for path in recorded if os.path.dirname(path) == "/%s/%s" % (PLACE, kernel)
                }
                _prune_directory(os.path.join(root, PLACE, kernel), kept)
    except (EnvironmentError, LivepatchError):
        pass  # what stays costs nothing but space


def _recorded(root):
    """Return the paths (set of str) in the records of what boots enable."""
    directory = os.path.join(root, RECORDS)
    names = os.listdir(directory) if os.path.isdir(directory) else []
    lines = [line for name in names for line in (reading.read_text(os.path.join(directory, name)) or "").splitlines()]
    return {line.partition("=")[2] for line in lines if line.startswith("path=")}


def _prune_directory(directory, kept):
    # Others may keep their own things beside the copies.
    ours = [name for name in os.listdir(directory) if name.endswith((_ENDING, _ENDING + _NEW))]
    gone = [name for name in ours if name not in kept]
    for name in gone:
        os.unlink(os.path.join(directory, name))
    if gone and not os.listdir(directory):
        os.rmdir(directory)
