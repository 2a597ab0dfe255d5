# Hosts whose system is an image: an RPM cannot simply be added to what runs.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import os

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError

_SYSTEMS = {
    "ostree": "an image that ostree has booted (rpm-ostree, bootc)",
    "transactional": "a read-only root that transactional-update changes in snapshots",
    "read_only_usr": "a read-only /usr",
}


def kind(root="/", statvfs=os.statvfs):
    """Return "ostree", "transactional" or "read_only_usr", or None for a host whose packages can be changed as it runs.

    ostree-prepare-root(1) makes /run/ostree-booted; transactional-update(8) works on snapshots of a read-only root.
    """
    if os.path.exists(os.path.join(root, "run/ostree-booted")):
        return "ostree"
    if not _read_only(os.path.join(root, "usr"), statvfs):
        return None
    tool = os.path.join(root, "usr/sbin/transactional-update")
    return "transactional" if os.path.exists(tool) else "read_only_usr"


def require_none(subject, root="/", statvfs=os.statvfs):
    """Raise image_based on such a host. subject: what was about to be done, for the message."""
    found = kind(root, statvfs)
    if found:
        raise LivepatchError(
            "image_based",
            "%s: expected a host whose packages can be changed while it runs, found %s. Nothing was touched. Put the "
            "package into the image, or copy the module file to the host and give its path to the module livepatch: it "
            "then runs until the next boot." % (subject, _SYSTEMS[found]),
            image_based=found,
        )


def _read_only(path, statvfs):
    try:
        return bool(statvfs(path).f_flag & os.ST_RDONLY)
    except EnvironmentError:
        return False
