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
             "sudo", "util-linux", "xz-utils", "zstd", "zypper"]
# What a guest with systemd has besides; kpatch wants readelf.
_SYSTEMD_PACKAGES = ["binutils", "systemd", "systemd-sysv"]
_KPATCH_SUITE = "trixie"
_SIZE = "2G"
INITS = ("busybox", "systemd")

# gpg is for the signature of the repository's metadata, rpm for that of the packages. The zypper of this suite calls
# libsolv's tool by a former name.
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
mkdir -p /var/lib/rpm /etc/zypp/repos.d
ln -s repo2solv /usr/bin/repo2solv.sh
rpm --initdb
rpm --import /etc/pki/rpm-gpg/RPM-GPG-KEY-lab
"""
# A machine id of its own keeps systemd from taking the first boot for one that enables everything. What is masked is for
# devices that the guests do not have: without it an emulated boot takes a fifth less.
_SETTLE_INIT = {
    "busybox": """
for name in init reboot poweroff halt; do ln -sf /bin/busybox /sbin/$name; done
""",
    "systemd": """
echo 0123456789abcdef0123456789abcdef > /etc/machine-id
systemctl --quiet enable ssh.service lab-boot.service
systemctl --quiet disable e2scrub_reap.service
systemctl --quiet mask getty@.service serial-getty@.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \\
    modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service modprobe@loop.service \\
    dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount kmod-static-nodes.service systemd-random-seed.service \\
    getty-static.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
systemctl --quiet set-default multi-user.target
""",
}


def get_disk(init: str = "busybox") -> pathlib.Path:
    """The disk image (raw, ext4) that the guests' own disks are overlays of; init: one of INITS."""
    inputs = [*_own_files(init), _SIZE, _SETTLE, _SETTLE_INIT[init], str(_system(init)), str(keys.get()), cache.code(_build_disk, _write_extra)]
    return cache.entry("disks", inputs, lambda work: _build_disk(init, work)) / "root.img"


def _own_files(init: str) -> list[pathlib.Path]:
    """The directories whose files the lab puts on top of the packages."""
    return [_GUEST / "root", *([_GUEST / "systemd"] if init == "systemd" else [])]


def _system(init: str = "busybox") -> pathlib.Path:
    """The guest's packages, configured, before anything of the lab is in it."""
    if init == "systemd":
        inputs = [_SUITE, *_PACKAGES, *_SYSTEMD_PACKAGES, _KPATCH_SUITE, *suites.recipe(), cache.code(_build_systemd)]
        return cache.entry("systems", inputs, _build_systemd) / "tree"
    inputs = [_SUITE, *_PACKAGES, *suites.recipe()]
    return cache.entry("systems", inputs, _build_system) / "tree"


def _build_system(work: pathlib.Path) -> None:
    with progress.step("guest: install packages"):
        suites.install(_SUITE, _PACKAGES, work / "tree")


def _build_systemd(work: pathlib.Path) -> None:
    """With kpatch's own script and unit, which only newer suites have, as they come (and not enabled)."""
    with progress.step("guest with systemd: install packages"):
        suites.install(_SUITE, [*_PACKAGES, *_SYSTEMD_PACKAGES], work / "tree")
        suites.unpack(_KPATCH_SUITE, ["kpatch"], work / "kpatch")
        for name in ("usr/sbin/kpatch", "usr/lib/systemd/system/kpatch.service"):
            processes.run_as_root(["cp", "-a", str(work / "kpatch" / name), str(work / "tree" / name)])
        cache.remove(work / "kpatch")


def _build_disk(init: str, work: pathlib.Path) -> None:
    tree, extra, disk = work / "tree", work / "extra", work / "root.img"
    with progress.step("guest: make the disk"):
        _write_extra(_own_files(init), extra)
        processes.run_as_root(["cp", "-a", str(_system(init)), str(tree)])
        processes.run_as_root(["cp", "-a", "--no-preserve=ownership", f"{extra}/.", str(tree)])
        processes.run_as_root(["chroot", str(tree), "sh", "-eu", "-c", _SETTLE + _SETTLE_INIT[init]])
        processes.run_as_root(["mke2fs", "-q", "-t", "ext4", "-J", "size=8", "-m", "0",
                               "-d", str(tree), str(disk), _SIZE])
        processes.run_as_root(["chown", f"{os.getuid()}:{os.getgid()}", str(disk)])
        cache.remove(tree)
        cache.remove(extra)


def _write_extra(sources: list[pathlib.Path], extra: pathlib.Path) -> None:
    """The files of the lab that come on top of the packages."""
    for source in sources:
        shutil.copytree(source, extra, dirs_exist_ok=True)
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
