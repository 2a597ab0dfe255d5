# Who works on a rollout: one controller at a time, and a dead one does not count.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import contextlib
import fcntl
import getpass
import hashlib
import json
import math
import multiprocessing
import os
import signal
import socket
import tempfile
import time

from ansible_collections.kernel.livepatch.plugins.plugin_utils import awx
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError

# How often a controller that waits takes its lock again: the time of the file is the last sign of its life.
BEAT = 30
# For how long (seconds) a controller that nobody here can look at must have been silent before a person may say that it is
# gone. Each writes into its lock how silent it may be: WAITING while it does nothing else, longest() while tasks run, during
# which nothing is written; SILENCE is what holds where it does not say.
WAITING = 5 * 60
SILENCE = 45 * 60
MOST_SILENCE = 30 * 86400
WHO = ("controller", "machine", "boot_id", "processes", "pid", "start")
# Mount options and file systems with which a lock is seen on one machine only.
LOCAL_OPTIONS = {"nolock", "local_lock=all", "local_lock=flock", "localflock"}
LOCAL_SYSTEMS = {"fuse.sshfs"}
# The kernel gives the processes of a machine this name; those of a container have another one.
MACHINE = "pid:[4026531836]"


def take(journal, owner, takeover=None, has_ended=None):
    """Take the lock of this journal for `owner`, or raise RolloutError with the name of the one who has it.

    Taking a lock twice is fine, and so is taking that of a process that is dead on this machine. takeover: the reason (str)
    that a person gives why a controller elsewhere is gone for good. has_ended: function of a holder (dict) that tells whether
    somebody who knows has seen it end; where that is so, nobody needs to give a reason. Returns the holder (dict, with its
    `silence` in seconds, and for how long it had `allowed` itself to be silent) whose place is taken for either reason,
    otherwise None.
    """
    taken, refused = _try(journal, owner, takeover)
    if refused and _seen_to_end(refused, owner, has_ended):
        # This lock is not held while somebody is asked, which may take its time: a holder who has written since then lives.
        taken, refused = _try(journal, owner, takeover, ended=refused)
    if refused:
        raise RolloutError(refusal(refused, owner, _path(journal)))
    return taken


def _try(journal, owner, takeover, ended=None):
    """Return (taken, refused), see take(): the holder whose place was taken, or who has the lock; ended: one who was refused."""
    path = _path(journal)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise RolloutError(
            f"The lock {path} cannot be opened: {error.strerror}. Make the journal's directory writable."
        ) from None
    try:
        _flock(fd, fcntl.LOCK_EX, path)
        holder, gone = _read(fd), None
        if holder and _same(holder, owner):
            owner = dict(owner, since=holder["since"])
        elif holder and not is_stale(holder, owner):
            gone = dict(holder, silence=_silence(fd, path), allowed=_allowed(holder), written=os.fstat(fd).st_mtime_ns)
            silent = takeover and not _near(holder, owner) and gone["silence"] >= gone["allowed"]
            if not silent and not (ended and gone["written"] == ended["written"] and _same(holder, ended)):
                return None, gone
        _write(fd, json.dumps(owner).encode())
        return gone, None
    finally:
        os.close(fd)


def release(journal, owner):
    """Give the lock back, if it is ours. The file stays: removing it would race with one who waits for it."""
    try:
        fd = os.open(_path(journal), os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        _flock(fd, fcntl.LOCK_EX, _path(journal))
        holder = _read(fd)
        if holder and _same(holder, owner):
            _write(fd, b"")
    finally:
        os.close(fd)


def holder(journal, owner, has_ended=None):
    """Return who works on this journal now (dict), None for nobody, for `owner` itself, or for one who is dead.

    has_ended: see take().
    """
    try:
        fd = os.open(_path(journal), os.O_RDONLY)
    except OSError:
        return None
    try:
        _flock(fd, fcntl.LOCK_SH, _path(journal))
        found = _read(fd)
    finally:
        os.close(fd)
    if not found or _same(found, owner) or is_stale(found, owner):
        return None
    return None if _seen_to_end(found, owner, has_ended) else found


def _seen_to_end(holder, owner, has_ended):
    """Has somebody who knows seen a holder end, of whom nothing can be seen here?"""
    other = holder.get("job") not in (None, "", owner["job"])
    return bool(has_ended and other and not _near(holder, owner) and has_ended(holder))


def _path(journal):
    return journal + ".lock"


@contextlib.contextmanager
def alone(directory):
    """One controller of this directory at a time: whoever is in here sees the plans of those that were.

    For the time from taking a lock until the plan is written: two that plan at once would not see that they share hosts.
    """
    path = os.path.join(directory, ".plans.lock")
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise RolloutError(
            f"The lock {path} cannot be opened: {error.strerror}. Make the journal's directory writable."
        ) from None
    try:
        _flock(fd, fcntl.LOCK_EX, path)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def ending():
    """Let a process that is told to end (SIGTERM, SIGINT) leave by an exception, SystemExit: so whoever has a lock gives it back.

    For an action that waits. The handlers that ansible-core has in its workers end a process at once.
    """

    def end(number, unused):
        for one in before:  # Once more would keep it from giving back what it has.
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is end:
                signal.signal(number, handler)


def longest(timeouts, hosts=1, forks=1):
    """Return for how long (seconds) a controller may be silent whose tasks have these timeouts (seconds, one a task).

    hosts: how many each task runs on, forks: how many of them at once.
    """
    return min(MOST_SILENCE, max(SILENCE, math.ceil(sum(timeouts) * math.ceil(hosts / max(1, forks))) + 2 * BEAT))


def local_only(journal):
    """Return what a person is told where locks beside this journal do not reach other machines (str), otherwise None."""
    try:
        device = os.stat(os.path.dirname(journal) or ".").st_dev
    except OSError:
        return None
    place = f"{os.major(device)}:{os.minor(device)}"
    for line in _text("/proc/self/mountinfo").splitlines():
        before, unused, after = line.partition(" - ")
        mount, system = before.split(), after.split()
        if len(mount) < 6 or len(system) < 3 or mount[2] != place:
            continue
        found = LOCAL_OPTIONS & {*mount[5].split(","), *system[-1].split(",")} | LOCAL_SYSTEMS & {system[0]}
        if found:
            return (
                f"Locks in {os.path.dirname(journal)} ({system[0]}, {' '.join(sorted(found))}) are seen on this machine only: a "
                "controller on another one could work on the same rollout. Mount it with locks that are shared, or use one controller."
            )
    return None


def controller(variables, silence=SILENCE):
    """Return who the ansible-playbook process is whose worker this is (dict), or raise RolloutError if it is dead.

    variables: of its play (dict). AWX names there the person who started the job, and the job. silence: for how long
    (seconds) it may write nothing now, see WAITING and longest().
    """
    user = variables.get("awx_user_name") or _user()
    job = str(variables.get("awx_job_id") or "")
    return owner(living_controller(), str(user), job, silence, (awx.server(os.environ) or {}).get("url") if job else None)


def living_controller():
    """Return the pid of the ansible-playbook process whose worker this is, or raise RolloutError if it is dead.

    Actions run in forked workers, and a worker outlives a controller that is killed.
    """
    parent = multiprocessing.parent_process()
    pid = parent.pid if parent else os.getppid()
    if os.getppid() != pid:
        raise RolloutError(
            "The controller of this worker has died: nothing more is written. Run the same command again."
        )
    return pid


def owner(pid, user, job="", silence=SILENCE, server=None):
    """Return who the process `pid` on this machine is (dict). server: where its job's number is known (str), if anywhere."""
    return {
        "controller": socket.gethostname(),
        "machine": _machine(),
        "boot_id": _boot_id(),
        "processes": _processes(),
        "pid": pid,
        "start": start_time(pid),
        "user": user,
        "job": job,
        "server": server,
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "silence": silence,
    }


def start_time(pid):
    """Return the start time of a process in clock ticks since boot (str; proc(5), stat field 22), "" if unknown."""
    # The command name, field 2, may hold spaces and parentheses: count from its end.
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    # A zombie does nothing any more, although its pid still lives.
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


def is_stale(holder, owner):
    """Is the holder certainly dead? Only one whose process would be seen here can be looked at."""
    if _this_machine(holder, owner) and holder["boot_id"] != owner["boot_id"]:
        # It was booted again; but a container, whose names and files others have too, may well live elsewhere.
        return holder.get("processes") == owner["processes"] and owner["processes"] in ("", MACHINE)
    if not _near(holder, owner):
        return False
    if holder["start"]:
        return start_time(holder["pid"]) != holder["start"]
    return not _alive(holder["pid"])


def refusal(holder, owner, path):
    """Return the sentences that say who has the lock, with `silence` and `allowed` as from take(), and what to do (str)."""
    text = (
        f"Another controller works on this rollout: {who(holder)}, since {holder['since']}; "
        f"its last sign of life was {age(holder['silence'])} ago. "
    )
    if _near(holder, owner):
        return text + "Wait for it to end, or end it, then run the same command again."
    return (
        text
        + "Wait for it to end. If it is gone for good (its machine, container or pod is lost), run the same command with "
        f"-e 'livepatch_takeover=\"REASON\"' when it has been silent for {math.ceil(holder['allowed'] / 60)} minutes; "
        f"where no command can be given, remove {path} instead."
    )


def who(holder):
    """Return who has, or had, a lock, in words (str)."""
    job = f", job {holder['job']}" if holder.get("job") else ""
    return f"{holder['user']} on {holder['controller']}, process {holder['pid']}{job}"


def age(seconds):
    """Return how long ago something was, in words (str)."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _near(one, other):
    """Do both see the processes of each other?"""
    return all(one.get(key) == other.get(key) for key in ("controller", "boot_id", "processes"))


def _same(one, other):
    return all(one.get(key) == other.get(key) for key in WHO)


def _this_machine(holder, owner):
    return holder["controller"] == owner["controller"] and holder.get("machine") == owner["machine"]


def _machine():
    """Return what tells this machine from others of its name (str), the same after a reboot where it has a machine-id.

    machine-id(5) is not to be shown to others as it is.
    """
    known = _text("/etc/machine-id")
    usable = len(known) == 32 and known.isalnum()
    return hashlib.sha256(f"kernel.livepatch {known if usable else _boot_id()}".encode()).hexdigest()[:32]


def _boot_id():
    return _text("/proc/sys/kernel/random/boot_id")


def _allowed(holder):
    """Return for how long (seconds) this holder may be silent; a lock of another version does not say."""
    found = holder.get("silence")
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 < found <= MOST_SILENCE else SILENCE


def _user():
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container may run as a user that it has no name for.
        return f"uid {os.getuid()}"


def _processes():
    """Return which processes are seen here (str): those of the machine, or those of a container."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _flock(fd, how, path):
    try:
        fcntl.flock(fd, how)
    except OSError as error:
        raise RolloutError(
            f"The lock {path} cannot be taken: {error.strerror}. Keep the journals on a file system that has locks (flock); "
            "on NFS its lock service must run, on this machine and on the server."
        ) from None


def _read(fd):
    """Return the holder (dict), None for an empty lock or one torn by a crash: its writer is dead."""
    try:
        holder = json.loads(os.pread(fd, 65536, 0))
        return holder if {"controller", "boot_id", "pid", "start", "user", "since"} <= set(holder) else None
    except (ValueError, TypeError, RecursionError):
        return None


def _silence(fd, path):
    """Return for how long the lock was not written (seconds), by the clock of its file system: machines have others."""
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(path)) as now:
            return max(0.0, os.fstat(now.fileno()).st_mtime - os.fstat(fd).st_mtime)
    except OSError as error:
        raise RolloutError(
            f"No file can be made beside {path}: {error.strerror}. Make the journal's directory writable."
        ) from None


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
