# One run at a time changes the livepatches of a host: a lock that ends with its holder, however that ends.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import errno
import fcntl
import json
import os
import time

from ansible_collections.kernel.livepatch.plugins.module_utils._files import run_files, times
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs, transitions

NAME = "lock"
_WORDS_LIMIT = 4096


class HostLock(object):
    """A context that one process of a host is in at a time.

    does: what it is taken for, in words that another run shows (str). timeout: seconds to wait for another holder.
    name: of its file below /run/livepatch (str); only those of one name wait for each other.
    Entering raises LivepatchError: locked (somebody else has it), not_permitted (it cannot be made).
    """

    def __init__(self, root, does, timeout, clock, now=time.time, name=NAME):
        self._root = root
        self._name = name
        self._does = does
        self._timeout = timeout
        self._clock = clock
        self._now = now
        self._descriptor = None

    def __enter__(self):
        where = os.path.join(run_files.directory(self._root), self._name)
        try:
            # Never removed: who waited for a file that is gone would hold another lock than who comes next.
            self._descriptor = os.open(where, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LivepatchError(
                "not_permitted",
                "%s: expected to open the lock of this host, found: %s. Nothing was changed; look at that file."
                % (where, error.strerror),
            )
        try:
            if not transitions.wait(self._taken, self._timeout, self._clock):
                raise self._held()
            self._say({"pid": os.getpid(), "since": times.to_text(self._now()), "does": self._does})
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *unused):
        self._say(None)
        self._close()

    def _taken(self):
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return False
        return True

    def _say(self, words):
        try:
            os.ftruncate(self._descriptor, 0)
            if words is not None:
                os.pwrite(self._descriptor, json.dumps(words).encode("utf-8"), 0)
        except OSError:
            pass  # a full file system: the words are for people, the lock holds without them

    def _close(self):
        os.close(self._descriptor)
        self._descriptor = None

    def _held(self):
        holder = _holder(os.pread(self._descriptor, _WORDS_LIMIT, 0))
        release = sysfs.kernel_release(self._root)
        return LivepatchError(
            "locked",
            "host with kernel %s: expected to be the only one who changes its livepatches, found process %s on it, "
            "since %s (%s). Nothing was changed. Run again when that has ended, or give lock_timeout to wait for it."
            % (release, holder["pid"] or "(unknown)", holder["since"] or "just now", holder["does"] or "beginning"),
            holder=holder,
        )


def _holder(data):
    """Who holds the lock, as it says itself; just after it took the lock it has not said so yet."""
    try:
        said = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        said = None
    said = said if isinstance(said, dict) else {}
    return {key: said.get(key) for key in ("pid", "since", "does")}
