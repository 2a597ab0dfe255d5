# What is remembered about a host until its next boot: small records in /run/livepatch.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import errno
import json
import os
import stat

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading, writing
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError

DIRECTORY = "run/livepatch"

# Livepatches that took part in a forced transition of this boot.
FORCED = "forced.json"
# What a run that brings a package began with; one that was killed leaves it.
BEGUN = "begun.json"


def path(root, name):
    """Where a record lies, whether or not it is there."""
    return os.path.join(root, DIRECTORY, name)


def directory(root):
    """Return the directory's path, made if it was missing; raise not_permitted where others could write into it."""
    where = os.path.join(root, DIRECTORY)
    try:
        _make(where)
        status = os.lstat(where)
    except EnvironmentError as error:
        raise _unusable(where, error.strerror)
    if not stat.S_ISDIR(status.st_mode):
        raise _unusable(where, "something that is no directory")
    if status.st_uid not in (0, os.getuid()) or status.st_mode & 0o022:
        raise _unusable(where, "one that others than root may write to")
    return where


def _make(where):
    try:
        os.mkdir(where, 0o755)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
    else:
        os.chmod(where, 0o755)  # whatever the umask; the facts are read without privileges


def _unusable(where, found):
    return LivepatchError(
        "not_permitted",
        "%s: expected a directory of root's own to keep the lock and records of this host in, found %s. "
        "Nothing was changed; look at that directory." % (where, found),
    )


def read(root, name):
    """Return the record (dict) that was written in this boot, or None."""
    try:
        record = json.loads((reading.read_bytes(path(root, name)) or b"null").decode("utf-8"))
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.get("boot_id") == reading.boot_id(root) else None


def forced(root):
    """Names of the livepatches that took part in a forced transition of this boot (list), as far as it was noted."""
    names = (read(root, FORCED) or {}).get("livepatches")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def write(root, name, record):
    """Write a record (dict) so that it is there as a whole or not at all; anybody may read it."""
    write_text(root, name, json.dumps(dict(record, boot_id=reading.boot_id(root)), sort_keys=True))


def write_text(root, name, text):
    """The same for a file that is no record."""
    writing.replace(os.path.join(directory(root), name), text.encode("utf-8"), flush=False)


def remove(root, name):
    """Remove a record; that it is not there is fine, and so is one that has to stay: what it says is checked by its reader."""
    try:
        writing.remove(path(root, name))
    except EnvironmentError:
        pass
