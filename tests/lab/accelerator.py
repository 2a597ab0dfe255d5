"""Which accelerator qemu gets: KVM only where a guest has really answered with it."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import subprocess

from tests.lab import cache, processes, progress

# Multi-threaded emulation in qemu 7.2 crashes newer kernels during transitions; the fault looks like a livepatch's.
EMULATED = "tcg,thread=single,tb-size=256"
_PROBE_SECONDS = 15


def at_once(accelerator: str) -> int:
    """How many guests should work at the same time on this machine.

    Emulated guests that share a processor drive each other's code out of its caches: six at once on two processors
    took half as long again as three pairs one after the other. The workers of pytest-xdist share the processors.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return max(1, (os.cpu_count() or 1) // workers) if accelerator.startswith("tcg") else 20


def choose(vmlinux: pathlib.Path, initramfs: pathlib.Path) -> str:
    """The value of qemu's -accel on this machine, found out once per boot of it."""
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    memory = cache.root() / "accelerator" / boot
    with cache.locked("accelerator"):
        if not memory.exists():
            memory.parent.mkdir(parents=True, exist_ok=True)
            memory.write_text("kvm" if _answers(vmlinux, initramfs) else EMULATED)
        return memory.read_text()


def _answers(vmlinux: pathlib.Path, initramfs: pathlib.Path) -> bool:
    """Whether a guest boots with KVM: /dev/kvm can exist and still hang its guests."""
    if not pathlib.Path("/dev/kvm").exists():
        return False
    argv = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "max", "-m", "256", "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-serial", "stdio", "-kernel", str(vmlinux), "-initrd", str(initramfs),
            "-append", "console=ttyS0 quiet panic=-1 lab.probe"]
    with progress.step("probe KVM with a guest"):
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              preexec_fn=processes.die_with_parent) as guest:
            try:
                output = guest.communicate(timeout=_PROBE_SECONDS)[0]
            except subprocess.TimeoutExpired:
                guest.kill()
                output = guest.communicate()[0]
    answered = b"lab-probe-answered" in output
    progress.say("KVM works here." if answered else "KVM does not run a guest here: guests are emulated.")
    return answered
