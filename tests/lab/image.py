"""What a guest boots: the root file system, and each kernel's initial one."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import shutil

from tests.lab import cache, keys, modules, processes, progress, suites
from tests.lab.kernels import Kernel

_GUEST = pathlib.Path(__file__).parent / "guest"
_SUITE = "bookworm"
_PACKAGES = ["busybox-static", "dnf", "gpg", "gpg-agent", "iproute2", "kmod", "openssh-server", "procps", "python3", "python3-dnf", "rpm",
             "sudo", "util-linux", "xz-utils", "zstd"]
_SIZE = "2G"

# gpg is for the signature of the repository's metadata, rpm for that of the packages.
_SETTLE = """
rm -rf /usr/share/doc /usr/share/man /usr/share/locale /var/cache/* /var/lib/apt/lists/* /boot/*
mkdir -p /var/cache/dnf /var/cache/lab-python /boot /root/.ssh /home/admin/.ssh
useradd --create-home --shell /bin/bash admin
usermod --password '*' admin
usermod --password '*' root
cp /etc/ssh/authorized_key /root/.ssh/authorized_keys
cp /etc/ssh/authorized_key /home/admin/.ssh/authorized_keys
chmod 700 /root/.ssh /home/admin/.ssh
chown -R root:root /root/.ssh
chown -R admin:admin /home/admin
chmod 600 /etc/ssh/ssh_host_ed25519_key
chmod 440 /etc/sudoers.d/admin
for name in init reboot poweroff halt; do ln -sf /bin/busybox /sbin/$name; done
rpm --initdb
rpm --import /etc/pki/rpm-gpg/RPM-GPG-KEY-lab
"""


def get_disk() -> pathlib.Path:
    """The disk image (raw, ext4) that every guest's own disk is an overlay of."""
    inputs = [_GUEST, _SIZE, _SETTLE, str(_system()), str(keys.get()), cache.code(_build_disk, _write_extra)]
    return cache.entry("disks", inputs, _build_disk) / "root.img"


def _system() -> pathlib.Path:
    """The guest's packages, configured, before anything of the lab is in it."""
    inputs = [_SUITE, *_PACKAGES, *suites.recipe()]
    return cache.entry("systems", inputs, _build_system) / "tree"


def _build_system(work: pathlib.Path) -> None:
    with progress.step("guest: install packages"):
        suites.install(_SUITE, _PACKAGES, work / "tree")


def _build_disk(work: pathlib.Path) -> None:
    tree, extra, disk = work / "tree", work / "extra", work / "root.img"
    with progress.step("guest: make the disk"):
        _write_extra(extra)
        processes.run_as_root(["cp", "-a", str(_system()), str(tree)])
        processes.run_as_root(["cp", "-a", "--no-preserve=ownership", f"{extra}/.", str(tree)])
        processes.run_as_root(["chroot", str(tree), "sh", "-eu", "-c", _SETTLE])
        processes.run_as_root(["mke2fs", "-q", "-t", "ext4", "-J", "size=8", "-m", "0",
                               "-d", str(tree), str(disk), _SIZE])
        processes.run_as_root(["chown", f"{os.getuid()}:{os.getgid()}", str(disk)])
        cache.remove(tree)
        cache.remove(extra)


def _write_extra(extra: pathlib.Path) -> None:
    """The files of the lab that come on top of the packages."""
    shutil.copytree(_GUEST / "root", extra)
    own = keys.get()
    for name, target in (("lab.asc", "etc/pki/rpm-gpg/RPM-GPG-KEY-lab"), ("ssh.pub", "etc/ssh/authorized_key"),
                         ("host", "etc/ssh/ssh_host_ed25519_key"), ("host.pub", "etc/ssh/ssh_host_ed25519_key.pub")):
        (extra / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(own / name, extra / target)


def get_initramfs(kernel: Kernel) -> pathlib.Path:
    """The initial file system of a kernel: it brings the kernel's modules to the disk, and goes on there."""
    inputs = [_GUEST / "initramfs-init", str(_system()), str(kernel.modules), str(modules.get(kernel)), cache.code(_build_initramfs, _pack)]
    return cache.entry("initramfs", inputs, lambda work: _build_initramfs(kernel, work)) / "initramfs.cpio"


def _build_initramfs(kernel: Kernel, work: pathlib.Path) -> None:
    tree = work / "tree"
    library = tree / "lib/modules" / kernel.release
    with progress.step(f"kernel {kernel.release}: make the initial file system"):
        shutil.copytree(kernel.modules, library)
        (library / "extra").mkdir()
        shutil.copy(modules.get(kernel) / "lab_target.ko", library / "extra")
        processes.run(["depmod", "-b", str(tree), kernel.release])
        (tree / "bin").mkdir()
        shutil.copy(_system() / "usr/bin/busybox", tree / "bin")
        shutil.copyfile(_GUEST / "initramfs-init", tree / "init")
        (tree / "init").chmod(0o755)
        (tree / "boot-order").write_text("".join(f"{name}\n" for name in kernel.boot_order))
        _pack(tree, work / "initramfs.cpio")
        shutil.rmtree(tree)


def _pack(tree: pathlib.Path, archive: pathlib.Path) -> None:
    """Write a cpio archive, uncompressed: unpacking costs an emulated processor more than reading."""
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
    processes.run(["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0", "--file", str(archive)], cwd=tree,
                  stdin="\n".join(names).encode())
