"""One guest: a qemu process, its disk, its console and its ssh."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import pathlib
import re
import shlex
import socket
import subprocess
import time

from tests.lab import processes, qmp, ssh
from tests.lab.errors import LabError
from tests.lab.kernels import Kernel

# Memory that outlives a panic, for ramoops: modprobe ramoops mem_address=0x10000000 mem_size=0x100000.
PSTORE = "memmap=1M$0x10000000"

# The files of a guest's disk and, in a snapshot, of its memory.
DISK, MEMORY = "disk.qcow2", "memory"

# A loaded machine without hardware virtualisation can be a hundred times slower than an idle one with it.
BOOT_SECONDS = 600


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a guest is made of."""

    kernel: Kernel
    initramfs: pathlib.Path
    disk: pathlib.Path
    accelerator: str
    memory: int
    processors: int
    cmdline: str


class Guest:
    """A virtual machine of a fleet. Its process ends with the thread that started it.

    snapshot: a directory with DISK and MEMORY, where it begins at its first start; it boots at every later one.
    """

    def __init__(self, name: str, directory: pathlib.Path, machine: Machine, repository_port: int, snapshot: pathlib.Path | None = None):
        self.name = name
        self.directory = directory
        self.machine = machine
        self.port: int | None = None
        self._repository_port = repository_port
        self._process: subprocess.Popen | None = None
        self._snapshot = snapshot
        self._hello = ["true"]
        directory.mkdir(parents=True)
        base = ["-b", str(snapshot / DISK), "-F", "qcow2"] if snapshot else ["-b", str(machine.disk), "-F", "raw"]
        processes.run(["qemu-img", "create", "-q", "-f", "qcow2", *base, str(self._disk)])

    @property
    def kernel_release(self) -> str:
        """What uname -r says in the guest."""
        return self.machine.kernel.release

    @property
    def pid(self) -> int | None:
        """The number of the running qemu process, or None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def _disk(self) -> pathlib.Path:
        return self.directory / DISK

    @property
    def _qmp(self) -> pathlib.Path:
        return self.directory / "qmp.sock"

    def start(self) -> None:
        """Power on. Returns as soon as qemu runs: wait_for_ssh() waits for the guest."""
        argv = self._argv()
        if self._snapshot:
            argv += ["-incoming", f"exec:cat {shlex.quote(str(self._snapshot / MEMORY))}"]
            self._hello = ["lab-boot", self.name, self._identity, str(self._repository_port), f"{time.time():.0f}"]
            self._snapshot = None
        with open(self.directory / "qemu.log", "ab") as log:
            # In a session of its own, so that Ctrl-C reaches the lab first, which ends it in order.
            self._process = subprocess.Popen(argv, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             start_new_session=True, preexec_fn=processes.die_with_parent)
        self.port = self._forwarded_port()

    def _argv(self) -> list[str]:
        machine = self.machine
        # With page tables of five levels an emulated guest takes up to a fifth longer for the same work.
        return ["qemu-system-x86_64", "-name", self.name, "-machine", "pc", "-accel", machine.accelerator, "-cpu", "max,la57=off",
                "-smp", str(machine.processors), "-m", str(machine.memory), "-nodefaults", "-no-user-config", "-display", "none",
                "-kernel", str(machine.kernel.vmlinux), "-initrd", str(machine.initramfs), "-append", self._cmdline(),
                "-drive", f"file={DISK},if=none,id=disk,format=qcow2,cache=unsafe", "-device", "virtio-blk-pci,drive=disk",
                "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.port or 0}-:22", "-device", "virtio-net-pci,netdev=net,romfile=",
                "-device", "virtio-rng-pci", "-device", "vmcoreinfo", "-chardev", "file,id=console,path=console.log,append=on", "-serial", "chardev:console",
                "-qmp", "unix:qmp.sock,server=on,wait=off"]

    @property
    def _identity(self) -> str:
        return hashlib.sha256(str(self.directory).encode()).hexdigest()[:32]

    def _cmdline(self) -> str:
        return (f"console=ttyS0 loglevel=5 panic=1 mitigations=off norandmaps cryptomgr.notests {PSTORE} lab.host={self.name} lab.id={self._identity} "
                f"lab.repository={self._repository_port} {self.machine.cmdline}").strip()

    def _forwarded_port(self) -> int:
        """The port on 127.0.0.1 that qemu took for the guest's ssh: it chooses a free one by itself."""
        deadline = time.monotonic() + 60
        while True:
            self._expect_running()
            with contextlib.suppress(LabError):
                table = qmp.ask(self._qmp, "human-monitor-command", **{"command-line": "info usernet"})
                return int(re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", table).group(1))
            if time.monotonic() > deadline:
                raise LabError(f"qemu of {self.name} was expected to answer within 60 s. Next: look at {self.directory}/qemu.log")
            time.sleep(0.05)

    def _expect_running(self) -> None:
        if self._process is None or self._process.poll() is not None:
            raise LabError(f"The guest {self.name} was expected to run; its qemu is not running.\n{self._tail('qemu.log')}\n{self._tail('console.log')}")

    def _tail(self, name: str) -> str:
        path = self.directory / name
        text = path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join(text[-15:])

    def wait_for_ssh(self, limit: float = BOOT_SECONDS) -> None:
        """Return when sshd lets root in; LabError with the end of the console when it does not within limit seconds."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            self._expect_running()
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self._greets() and self.ssh(self._hello, timeout=60).returncode == 0:
                    self._hello = ["true"]
                    return
            time.sleep(0.2)
        raise LabError(f"The guest {self.name} was expected to answer to ssh within {limit:.0f} s. Its console ends with:\n{self._tail('console.log')}")

    def _greets(self) -> bool:
        """Whether sshd says its name; qemu accepts a connection long before the guest does."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
            return link.recv(4) == b"SSH-"
        return False

    def command(self, argv: list[str], user: str = "root") -> list[str]:
        """The command that runs a command in the guest."""
        return ["ssh", *self._ssh_options(), "-p", str(self.port), f"{user}@127.0.0.1", shlex.join(argv)]

    def ssh(self, argv: list[str], timeout: float = 300, user: str = "root", stdin: str | None = None) -> subprocess.CompletedProcess:
        """Run a command in the guest; text output, any return code (255: no connection)."""
        return subprocess.run(self.command(argv, user),
                              input=stdin if stdin is not None else "", capture_output=True, text=True, errors="replace", timeout=timeout, check=False)

    def tunnel(self, here: str, there: str) -> list[str]:
        """The command that, while it runs, carries connections to an address (host:port) here to one in the guest."""
        return ["ssh", *self._ssh_options(), "-N", "-L", f"{here}:{there}", "-p", str(self.port), "root@127.0.0.1"]

    def copy(self, source: pathlib.Path, target: str, timeout: float = 300) -> None:
        """Copy a file or a directory into the guest, as root."""
        processes.run(["scp", "-q", "-r", *self._ssh_options(), "-P", str(self.port), str(source), f"root@127.0.0.1:{target}"], timeout=timeout)

    def _ssh_options(self) -> list[str]:
        fleet = self.directory.parent.parent
        return [*ssh.options(fleet), "-o", "BatchMode=yes", "-i", str(fleet / "ssh_key")]

    def console(self) -> str:
        """Everything the guest has written to its serial console so far."""
        path = self.directory / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def state(self) -> str:
        """What qemu says: running, paused, ...; "off" when there is none."""
        return qmp.ask(self._qmp, "query-status")["status"] if self.pid else "off"

    def ask(self, command: str, **arguments) -> object:
        """Send the guest's qemu a QMP command and return its answer."""
        return qmp.ask(self._qmp, command, **arguments)

    def pause(self) -> None:
        """Stop the guest's processors: it answers to nothing, and its connections stay open."""
        qmp.ask(self._qmp, "stop")

    def resume(self) -> None:
        """Let a paused guest go on."""
        qmp.ask(self._qmp, "cont")

    def kill(self) -> None:
        """Take the power away. What the guest had written to its disk stays."""
        if not self._process:
            return
        # qemu's own end keeps the disk image whole; for the guest it is a power cut all the same.
        with contextlib.suppress(LabError):
            qmp.ask(self._qmp, "quit", timeout=10)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
