# Who can change a file: whoever may write to it, or to a directory on the way, chooses what is found there.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import collections
import os
import stat

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError

Place = collections.namedtuple("Place", "path owner mode")
Place.__doc__ = """owner: user id (int). mode: permissions (int)."""


def owner(root):
    """Return the id of the user whom the files of a host belong to: root's; for tests that of the directory's owner."""
    return 0 if root == "/" else os.stat(root).st_uid


def changeable(root, path):
    """Return the first Place on the way to what lies at a path that others than root can change, None where only root can.

    path: of something that is there; where it is a link, or one is on the way, what that leads to is looked at.
    Raises EnvironmentError.
    """
    ours, end, place = owner(root), os.path.realpath(root), os.path.realpath(path)
    while True:
        status = os.stat(place)
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != ours or mode & 0o022:
            return Place(place, status.st_uid, mode)
        if place in (end, os.path.dirname(place)):
            return None
        place = os.path.dirname(place)


def require(root, path, subject, advice):
    """Raise insecure_path where others than root can change what lies at a path. subject: for the message (str)."""
    found = changeable(root, path)
    if found:
        raise LivepatchError(
            "insecure_path",
            "%s: expected something that only root can change, found %s with owner %d and mode %04o. %s"
            % (subject, found.path, found.owner, found.mode, advice),
        )
