"""A guest that has just booted, kept in the cache: the guests of a fleet begin there instead of booting."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import time

from tests.lab import cache, processes, progress, ssh
from tests.lab.errors import LabError
from tests.lab.guest import DISK, MEMORY, Guest, Machine

# What every test needs is in the memory that is kept. Nothing here may read the boot id: the kernel makes it up at its
# first reading, and each guest shall have its own.
_WARM = "python3 -c pass; dnf --version; rpm -q lab; sudo -n true; sync"
_SECONDS = 120


def get(machine: Machine) -> pathlib.Path:
    """The directory with the memory and the disk of such a machine, some moments after its boot."""
    inputs = [str(machine), processes.run(["qemu-system-x86_64", "--version"]), _WARM, cache.code(Guest._argv, Guest._cmdline, _build, _keep)]
    return cache.entry("snapshots", inputs, lambda work: _build(machine, work))


def _build(machine: Machine, work: pathlib.Path) -> None:
    with progress.step(f"kernel {machine.kernel.release}: boot a guest and keep it"):
        ssh.install_keys(work)
        guest = Guest("lab", work / "guests" / "lab", machine, repository_port=0)
        try:
            guest.start()
            guest.wait_for_ssh()
            guest.ssh(["sh", "-c", _WARM])
            _keep(guest, work)
        finally:
            guest.kill()
        (guest.directory / DISK).rename(work / DISK)
        cache.remove(work / "guests")


def _keep(guest: Guest, work: pathlib.Path) -> None:
    guest.ask("migrate", uri=f"exec:cat > {MEMORY}")
    deadline = time.monotonic() + _SECONDS
    while (found := guest.ask("query-migrate"))["status"] != "completed":
        if found["status"] == "failed" or time.monotonic() > deadline:
            raise LabError(f"The memory of a guest was expected to be kept within {_SECONDS} s. Found: {found}.")
        time.sleep(0.1)
    (guest.directory / MEMORY).rename(work / MEMORY)
