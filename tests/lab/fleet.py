"""A fleet: guests with real kernels, their repository and their inventory."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence

from tests.lab import accelerator, image, parts, processes, progress, snapshot, ssh
from tests.lab import inventory as inventories
from tests.lab.errors import LabError
from tests.lab.guest import Guest, Machine
from tests.lab.repository import Repository

STATE = "fleet.json"


class Fleet:
    """A running fleet inside a with block; it ends with the block, or with the process that entered it.

    Enter it in a thread that lives as long as the fleet does: the kernel ends the guests with it.
    cmdline is added to every guest's kernel command line; a mapping gives it by the guest's name. So it is with processors,
    of which a guest that the mapping does not name has one.
    init is what the guests boot with, "busybox" or "systemd". Kernels beyond the number of hosts are there for boot_again().
    """

    def __init__(self, directory: pathlib.Path, hosts: int = 2, kernels: Sequence[str] = ("6.1",), memory: int = 384,
                 cmdline: str | Mapping[str, str] = "", processors: int | Mapping[str, int] = 2, inventory: pathlib.Path | None = None,
                 init: str = "busybox"):
        if hosts < 1 or not kernels:
            raise LabError(f"A fleet was expected to have at least one host and one kernel. Found: {hosts} hosts, kernels {list(kernels)}.")
        if init not in image.INITS:
            raise LabError(f"An init of the lab was expected, one of {', '.join(image.INITS)}. Found: {init!r}.")
        self.directory = pathlib.Path(directory).resolve()
        self.inventory = pathlib.Path(inventory or self.directory / "hosts.yml").resolve()
        self.guests: dict[str, Guest] = {}
        self.repository: Repository
        self._parts: parts.Parts
        self._kernels = list(kernels)
        self._init = init
        self._names = {f"lab-{number + 1}": kernels[number % len(kernels)] for number in range(hosts)}
        self._memory = memory
        self._processors = processors
        self._cmdline = cmdline

    def __enter__(self) -> Fleet:
        self._parts = parts.get(self._kernels, self._init)
        self._take_directory()
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *reason: object) -> None:
        self._stop()

    @property
    def at_once(self) -> int:
        """How many guests should work at the same time: a good value for Ansible's forks."""
        return accelerator.at_once(self._parts.accelerator)

    def module(self, release: str, kernel: str) -> pathlib.Path:
        """The module file of a release (or of lab_target) built for a kernel of this fleet. It is the cache's: do not change it."""
        path = self._parts.modules[kernel] / f"{release}.ko"
        if not path.exists():
            raise LabError(f"A release of the lab was expected. Found: {release!r}. Next: see tests/lab/livepatches/.")
        return path

    def boot_again(self, name: str, kernel: str | None = None, cmdline: str | None = None) -> Guest:
        """Take a guest's power away and start it, with another kernel of this fleet or another addition to its command line."""
        guest = self.guests[name]
        guest.kill()
        if kernel is not None:
            guest.machine = dataclasses.replace(guest.machine, kernel=self._parts.kernels[kernel], initramfs=self._parts.initramfs[kernel])
            self._names[name] = kernel
        if cmdline is not None:
            guest.machine = dataclasses.replace(guest.machine, cmdline=cmdline)
        guest.start()
        guest.wait_for_ssh()
        self.save()
        return guest

    def save(self) -> None:
        """Write what the fleet is, for `status` and `down`; call it after a guest was started again."""
        guests = {name: {"kernel": self._names[name], "release": guest.kernel_release, "port": guest.port, "pid": guest.pid,
                         "started": processes.start_time(guest.pid) if guest.pid else None} for name, guest in self.guests.items()}
        content = {"owner": {"pid": os.getpid(), "started": processes.start_time(os.getpid())}, "inventory": str(self.inventory),
                   "repository": f"http://127.0.0.1:{self.repository.port}/", "guests": guests}
        new = self.directory / (STATE + ".new")
        new.write_text(json.dumps(content, indent=2))
        new.rename(self.directory / STATE)

    def _take_directory(self) -> None:
        """One fleet per directory: the lock goes with the process that holds it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.directory / "lock", "w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise LabError(f"A fleet is already running in {self.directory}. Next: make lab-down, or use another directory.") from None

    def _start(self) -> None:
        for old in ("guests", "repository"):
            shutil.rmtree(self.directory / old, ignore_errors=True)
        ssh.install_keys(self.directory)
        shutil.copytree(self._parts.repository, self.directory / "repository")
        self.repository = Repository(self.directory / "repository")
        self.repository.start()
        with progress.step(f"boot {len(self._names)} guests to ssh ({self._parts.accelerator.partition(',')[0]})"):
            waiting: list[Guest] = []
            for name in self._names:
                if len(waiting) == self.at_once:
                    waiting.pop(0).wait_for_ssh()
                waiting.append(self._start_guest(name))
                self.save()
            for guest in waiting:
                guest.wait_for_ssh()
        content = inventories.build(self.directory, [(name, self._names[name], guest.port) for name, guest in self.guests.items()])
        inventories.write(self.inventory, content)

    def _start_guest(self, name: str) -> Guest:
        kernel = self._names[name]
        extra = self._cmdline if isinstance(self._cmdline, str) else self._cmdline.get(name, "")
        processors = self._processors if isinstance(self._processors, int) else self._processors.get(name, 1)
        machine = Machine(kernel=self._parts.kernels[kernel], initramfs=self._parts.initramfs[kernel], disk=self._parts.disk,
                          accelerator=self._parts.accelerator, memory=self._memory, processors=processors, cmdline=extra)
        # Others boot: a special command line is seldom asked for twice, and systemd gives a boot its identity early.
        begin = snapshot.get(machine) if self._init == "busybox" and not extra else None
        guest = Guest(name, self.directory / "guests" / name, machine, self.repository.port, begin)
        self.guests[name] = guest
        guest.start()
        return guest

    def _stop(self) -> None:
        """End everything the fleet started; its logs stay."""
        for guest in self.guests.values():
            guest.kill()
            (guest.directory / "disk.qcow2").unlink(missing_ok=True)
        if hasattr(self, "repository"):
            self.repository.stop()
        self.inventory.unlink(missing_ok=True)
        (self.directory / STATE).unlink(missing_ok=True)
        self._lock.close()
