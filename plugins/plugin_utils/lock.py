# Who works on a rollout: one controller at a time, and a dead one does not count.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import fcntl
import json
import multiprocessing
import os
import socket
import time

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError


def take(journal, owner):
    """Take the lock of this journal for `owner`, or raise RolloutError with the name of the one who has it.

    Taking a lock twice is fine, and so is taking that of a process that is dead on this machine.
    """
    path = journal + ".lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise RolloutError(
            f"The lock {path} cannot be opened: {error.strerror}. Make the journal's directory writable."
        ) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        holder = _read(fd)
        if holder and not _same(holder, owner) and not is_stale(holder, owner):
            raise RolloutError(refusal(holder, owner, path))
        _write(fd, json.dumps(owner).encode())
    finally:
        os.close(fd)


def release(journal, owner):
    """Give the lock back, if it is ours. The file stays: removing it would race with one who waits for it."""
    try:
        fd = os.open(journal + ".lock", os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        holder = _read(fd)
        if holder and _same(holder, owner):
            _write(fd, b"")
    finally:
        os.close(fd)


def holder(journal, owner):
    """Return who works on this journal now (dict), None for nobody, for `owner` itself, or for a process that is dead."""
    try:
        fd = os.open(journal + ".lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        found = _read(fd)
    finally:
        os.close(fd)
    return None if not found or _same(found, owner) or is_stale(found, owner) else found


def controller(user):
    """Return who the ansible-playbook process is whose worker this is (dict), or raise RolloutError if it is dead.

    Actions run in forked workers, and a worker outlives a controller that is killed.
    """
    parent = multiprocessing.parent_process()
    pid = parent.pid if parent else os.getppid()
    if os.getppid() != pid:
        raise RolloutError(
            "The controller of this worker has died: nothing more is written. Run the same command again."
        )
    return owner(pid, user)


def owner(pid, user):
    """Return who the process `pid` on this machine is (dict)."""
    return {
        "controller": socket.gethostname(),
        "boot_id": _text("/proc/sys/kernel/random/boot_id"),
        "pid": pid,
        "start": start_time(pid),
        "user": user,
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def start_time(pid):
    """Return the start time of a process in clock ticks since boot (str; proc(5), stat field 22), "" if unknown."""
    # The command name, field 2, may hold spaces and parentheses: count from its end.
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    # A zombie does nothing any more, although its pid still lives.
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


def is_stale(holder, owner):
    """Is the holder certainly dead? Only one on this machine can be looked at."""
    if holder["controller"] != owner["controller"]:
        return False
    if holder["boot_id"] != owner["boot_id"]:
        return True
    if holder["start"]:
        return start_time(holder["pid"]) != holder["start"]
    return not _alive(holder["pid"])


def refusal(holder, owner, path):
    """Return the sentence that says who has the lock and what to do (str)."""
    text = (
        f"Another controller works on this rollout: {holder['user']} on {holder['controller']}, "
        f"process {holder['pid']}, since {holder['since']}. "
    )
    if holder["controller"] == owner["controller"]:
        return text + "Wait for it to end, or end it, then run the same command again."
    return text + f"Wait for it to end; if that machine is gone for good, remove {path} and run the same command again."


def _same(one, other):
    return all(one[key] == other[key] for key in ("controller", "boot_id", "pid", "start"))


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _read(fd):
    """Return the holder (dict), None for an empty lock or one torn by a crash: its writer is dead."""
    try:
        holder = json.loads(os.pread(fd, 65536, 0))
        _same(holder, holder)
        return holder if {"user", "since"} <= set(holder) else None
    except (ValueError, KeyError, TypeError):
        return None


def _write(fd, data):
    os.ftruncate(fd, 0)
    os.pwrite(fd, data, 0)
    os.fsync(fd)


def _text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return ""
