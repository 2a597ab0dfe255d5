"""A guest that has just booted, kept in the cache: the guests of a fleet begin there instead of booting."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib.util
import pathlib
import time

from tests.lab import cache, libraries, processes, progress, ssh
from tests.lab.errors import LabError
from tests.lab.guest import DISK, MEMORY, Guest, Machine

# What every test needs is in the memory that is kept. Nothing here may read the boot id: the kernel makes it up at its
# first reading, and each guest shall have its own.
_WARM = "python3 -c pass; dnf --version; rpm -q lab; sudo -n true"
_SECONDS = 120

_IMPORT = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except ImportError:
        print(name)
"""


def get(machine: Machine) -> pathlib.Path:
    """The directory with the memory and the disk of such a machine, some moments after its boot."""
    inputs = [str(machine), processes.run(["qemu-system-x86_64", "--version"]), _WARM, _IMPORT, _ansible_version(),
              cache.code(Guest._argv, Guest._cmdline, _build, _compile, _keep)]
    return cache.entry("snapshots", inputs, lambda work: _build(machine, work))


def _build(machine: Machine, work: pathlib.Path) -> None:
    with progress.step(f"kernel {machine.kernel.release}: boot a guest and keep it"):
        ssh.install_keys(work)
        guest = Guest("lab", work / "guests" / "lab", machine, repository_port=0)
        try:
            guest.start()
            guest.wait_for_ssh()
            guest.ssh(["sh", "-c", _WARM])
            if _ansible_version():
                _compile(guest, work)
            guest.ssh(["sync"])
            _keep(guest, work)
        finally:
            guest.kill()
        (guest.directory / DISK).rename(work / DISK)
        cache.remove(work / "guests")


def _ansible_version() -> str:
    """The version of the Ansible that this Python can import; empty without any."""
    if importlib.util.find_spec("ansible") is None:
        return ""
    from ansible.release import __version__

    return __version__


def _compile(guest: Guest, work: pathlib.Path) -> None:
    """Let a guest's Python compile what Ansible and the collection ship to it, and keep that (see sitecustomize.py).

    The collection is no input of the snapshot: what has changed since is compiled when it is first used.
    """
    archive = libraries.pack(work)
    guest.copy(archive, "/tmp/")
    done = guest.ssh(["python3", "-c", _IMPORT, f"/tmp/{archive.name}", *libraries.modules()])
    missing = set(done.stdout.split()) - set(libraries.OPTIONAL)
    if done.returncode != 0 or missing:
        raise LabError(f"A guest was expected to import all that modules need. It lacks {sorted(missing)}.\n{done.stderr}")
    guest.ssh(["rm", f"/tmp/{archive.name}"])
    archive.unlink()


def _keep(guest: Guest, work: pathlib.Path) -> None:
    guest.ask("migrate", uri=f"exec:cat > {MEMORY}")
    deadline = time.monotonic() + _SECONDS
    while (found := guest.ask("query-migrate"))["status"] != "completed":
        if found["status"] == "failed" or time.monotonic() > deadline:
            raise LabError(f"The memory of a guest was expected to be kept within {_SECONDS} s. Found: {found}.")
        time.sleep(0.1)
    (guest.directory / MEMORY).rename(work / MEMORY)
