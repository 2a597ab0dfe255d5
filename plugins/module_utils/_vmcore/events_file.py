# A file of events for the gate of a rollout: one JSON object a line, written by any program.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import errno
import fcntl
import json
import os
import stat

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError

# What the source of type events reads of such a file (plugin_utils/sources/events.py).
_MOST_BYTES = 16 * 1024 * 1024


def add(path, event, check_mode=False):
    """Append an event (dict) unless it is there; return whether it was not. Two runs at once add it once.

    Raises LivepatchError: not_writable.
    """
    line = json.dumps(event, sort_keys=True).encode("ascii")
    flags = os.O_RDONLY if check_mode else os.O_RDWR | os.O_CREAT | os.O_APPEND
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    except EnvironmentError as error:
        if check_mode and error.errno == errno.ENOENT and os.path.isdir(os.path.dirname(path) or "."):
            return True
        raise _refused(path, error.strerror)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _refused(path, "no regular file")
        return _add(descriptor, line, check_mode)
    except EnvironmentError as error:
        raise _refused(path, error.strerror)
    finally:
        os.close(descriptor)


def _add(descriptor, line, check_mode):
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    size = os.fstat(descriptor).st_size
    with os.fdopen(descriptor, "rb", closefd=False) as stream:
        stream.seek(max(0, size - _MOST_BYTES))
        content = stream.read(_MOST_BYTES)
    if line in content.split(b"\n"):
        return False
    if not check_mode:
        # The line before may be another program's, and not ended.
        os.write(descriptor, (b"" if content.endswith(b"\n") or not content else b"\n") + line + b"\n")
        os.fsync(descriptor)
    return True


def _refused(path, found):
    return LivepatchError(
        "not_writable", "events_file %s: expected a regular file to write to, found: %s. Give another." % (path, found)
    )
