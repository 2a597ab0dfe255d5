"""Starting programs, and ending exactly those that were started."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence

from tests.lab.errors import LabError

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def run(argv: Sequence[str], *, cwd: pathlib.Path | None = None, timeout: float = 1800,
        env: dict[str, str] | None = None, stdin: bytes | None = None) -> str:
    """Run a program to its end and return its standard output; LabError when it fails."""
    try:
        done = subprocess.run([str(word) for word in argv], cwd=cwd, timeout=timeout, input=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              env=None if env is None else {**os.environ, **env})
    except FileNotFoundError:
        raise LabError(f"The program {argv[0]} was not found. Next: python3 -m tests.lab prerequisites --install") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{argv[0]} was expected to end within {timeout:.0f} s and did not: {' '.join(map(str, argv))}") from None
    if done.returncode != 0:
        text = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
        raise LabError("\n".join([f"{argv[0]} was expected to succeed and ended with {done.returncode}: {' '.join(map(str, argv))}",
                                  *text[-20:]]))
    return done.stdout.decode(errors="replace")


def as_root(argv: Sequence[str]) -> list[str]:
    """The command with root's rights: as it is for root, through sudo for everybody else."""
    if os.geteuid() == 0:
        return list(argv)
    if not shutil.which("sudo"):
        raise LabError("Building the lab's images needs root. Found neither root nor sudo. Next: run as root once (make lab-build).")
    return ["sudo", "-n", "--", *argv]


def run_as_root(argv: Sequence[str], **options) -> str:
    """Like run(), with root's rights."""
    try:
        return run(as_root(argv), **options)
    except LabError as error:
        if "a password is required" in str(error):
            raise LabError("Building the lab's images needs root, and sudo asks for a password. "
                           "Next: run 'sudo -v' first, or 'make lab-build' as root.") from None
        raise


def die_with_parent() -> None:
    """For preexec_fn: let the kernel end this child together with the thread that started it (prctl(2))."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def start_time(pid: int) -> int | None:
    """When a process began, in clock ticks since boot (proc(5), stat field 22); None when it is gone or a zombie."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def age(started: int) -> float:
    """Seconds since a start_time()."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def is_alive(pid: int, started: int) -> bool:
    """Whether this very process, not a later one with the same number, still runs."""
    return start_time(pid) == started


def end(pid: int, started: int, patience: float = 20) -> None:
    """Ask a process to end, wait, then kill it; nothing happens when it is gone already."""
    for number, limit in ((signal.SIGTERM, patience), (signal.SIGKILL, 5)):
        if not is_alive(pid, started):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + limit
        while is_alive(pid, started) and time.monotonic() < deadline:
            time.sleep(0.05)
