"""The process behind "make lab-up": it holds a fleet until it is told to end."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading

from tests.lab import processes, qmp
from tests.lab.errors import LabError
from tests.lab.fleet import STATE, Fleet

_READY = b"ready\n"


def start(directory: pathlib.Path, options: dict) -> None:
    """Start a keeper in the background and return when its fleet answers; it ends when this process ends before that."""
    argv = [sys.executable, "-m", "tests.lab", "keep", json.dumps({**options, "directory": str(directory)})]
    keeper = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    try:
        answer = keeper.stdout.read(len(_READY))
    except BaseException:
        keeper.stdin.close()
        keeper.wait()
        raise
    if answer != _READY:
        keeper.wait()
        raise LabError("The fleet did not come up; the lines above say why.")
    keeper.stdin.write(_READY)
    keeper.stdin.close()


def keep(options: dict) -> None:
    """What the keeper runs: a fleet until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    directory = pathlib.Path(options.pop("directory"))
    inventory = pathlib.Path(options.pop("inventory"))
    started = threading.Event()
    threading.Thread(target=_end_with_parent, args=(started,), daemon=True).start()
    with Fleet(directory, inventory=inventory, **options):
        started.set()
        sys.stdout.buffer.write(_READY)
        sys.stdout.flush()
        _leave_terminal(directory / "keeper.log")
        while True:
            signal.pause()


def _end_with_parent(started: threading.Event) -> None:
    """The parent closes the pipe without a word when it dies or is interrupted before the fleet is up."""
    word = sys.stdin.buffer.readline()
    if word != _READY or not started.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


def _leave_terminal(log: pathlib.Path) -> None:
    with open(log, "ab") as handle:
        for descriptor in (1, 2):
            os.dup2(handle.fileno(), descriptor)


def stop(directory: pathlib.Path) -> bool:
    """End the fleet of a directory and remove what it leaves; False when there was none."""
    state = read(directory)
    if state:
        processes.end(state["owner"]["pid"], state["owner"]["started"], patience=60)
        # Killed with force, a keeper leaves these behind; the guests are gone with it.
        pathlib.Path(state["inventory"]).unlink(missing_ok=True)
        (directory / STATE).unlink(missing_ok=True)
    for part in ("guests", "repository"):
        shutil.rmtree(directory / part, ignore_errors=True)
    return state is not None


def read(directory: pathlib.Path) -> dict | None:
    """The state file of a fleet, or None."""
    try:
        return json.loads((directory / STATE).read_text())
    except FileNotFoundError:
        return None


def table(directory: pathlib.Path) -> str:
    """What runs: one line per guest."""
    state = read(directory)
    if not state or not processes.is_alive(state["owner"]["pid"], state["owner"]["started"]):
        return "No fleet is running here. Next: make lab-up"
    rows = [("GUEST", "KERNEL", "STATE", "SSH PORT", "UPTIME")]
    for name, guest in state["guests"].items():
        running = guest["pid"] and processes.is_alive(guest["pid"], guest["started"])
        rows.append((name, guest["release"], _status(directory, name) if running else "off", str(guest["port"]),
                     f"{processes.age(guest['started']):.0f} s" if running else "-"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, "", f"inventory   {state['inventory']}", f"repository  {state['repository']}"])


def _status(directory: pathlib.Path, name: str) -> str:
    try:
        return qmp.ask(directory / "guests" / name / "qmp.sock", "query-status", timeout=5)["status"]
    except LabError:
        return "does not answer"
