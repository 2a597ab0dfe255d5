# The journal's file: JSON lines, appended with one write and fsynced; a torn last line never happened.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import datetime
import fcntl
import functools
import json
import os

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError

SCHEMA = 2


def read(path, start=0):
    """Yield the entries (dicts) of the journal at `path`, in order, from byte `start` on; nothing if there is no such file.

    Raises RolloutError for a file that is not a journal, naming the line.
    """
    try:
        stream = open(path, "rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise RolloutError(
            f"The journal {path} cannot be read: {error.strerror}. Run as the user who owns it."
        ) from None
    with stream:
        stream.seek(start)
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return  # The controller died while it wrote this: it was never acknowledged.
            yield _entry(path, number if not start else f"{number} behind byte {start}", line)


def _entry(path, number, line):
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        raise RolloutError(
            f"{path} is not a journal: line {number} is {line[:60]!r}, expected a JSON object with a kind. "
            "Put the file back from a copy, or use another livepatch_rollout."
        )
    if number == 1 and entry.get("schema") != SCHEMA:
        raise RolloutError(
            f"{path} has schema {entry.get('schema')!r}, expected {SCHEMA}: it was written by another version of this collection. "
            "Finish that rollout, or roll it back, with the version that began it, or give this one another livepatch_rollout."
        )
    return entry


def stamped(entries, run, clock=None):
    """Return the entries (list of dicts) with time and run, as they are written.

    run: number of this controller process' run of the rollout; clock: returns the time in seconds since 1970.
    """
    moment = now(clock)
    return [dict({"time": moment, "run": run}, **entry) for entry in entries]


def append(path, entries):
    """Write the entries (from stamped) durably; the first entry of the file gets the schema. Return its size then (bytes).

    When this returns they are on disk, and when it raises none of them is. Raises RolloutError where the file cannot be written.
    """
    try:
        return _append(path, entries)
    except OSError as error:
        raise RolloutError(
            f"The journal {path} cannot be written: {error.strerror}. "
            "Nothing goes on without it: make the directory writable and the disk roomy, then run the same command again."
        ) from None


def size(path):
    """Return how long (bytes) the journal is, 0 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _append(path, entries):
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        before = _repair(fd)
        if before == 0:
            entries[0] = dict({"schema": SCHEMA}, **entries[0])
        data = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries).encode(
            "utf-8", "backslashreplace"
        )
        _write_whole(fd, data, before)
        if before == 0:
            _sync_directory(os.path.dirname(path) or ".")
        return before + len(data)
    finally:
        os.close(fd)


def _write_whole(fd, data, size):
    try:
        written = os.write(fd, data)
        if written < len(data):
            os.write(fd, data[written:])  # Short only when the disk fills up: this raises the reason.
        if os.fstat(fd).st_size != size + len(data):
            raise OSError(5, "short write")
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, size)
        raise


def _repair(fd):
    """Cut off a torn last line; return the size of the file (bytes)."""
    size = end = os.fstat(fd).st_size
    while end > 0:
        start = max(0, end - 65536)
        at = os.pread(fd, end - start, start).rfind(b"\n")
        if at >= 0:
            end = start + at + 1
            break
        end = start
    if end < size:
        os.ftruncate(fd, end)
    return end


def _sync_directory(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def now(clock=None):
    """Return the time in UTC as ISO 8601 with milliseconds (str)."""
    moment = datetime.datetime.now(datetime.timezone.utc)
    if clock is not None:
        moment = datetime.datetime.fromtimestamp(clock(), datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


@functools.lru_cache(maxsize=4096)
def seconds(stamp):
    """Return the seconds since 1970 (float) of a time that now() wrote; all entries of one append share theirs."""
    moment = datetime.datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ")
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()
