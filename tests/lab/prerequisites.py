"""The programs the lab and the tests of whole rollouts call, and the packages that bring them."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import shutil

from tests.lab import processes, suites
from tests.lab.errors import LabError

# Program: Debian package (Ubuntu's have the same names).
_PROGRAMS = {
    "chroot": "coreutils",
    "cpio": "cpio",
    "createrepo_c": "createrepo-c",
    "depmod": "kmod",
    "gpg": "gnupg",
    "gpgconf": "gnupg",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "modifyrepo_c": "createrepo-c",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "rpmbuild": "rpm",
    "rpmsign": "rpm",
    "scp": "openssh-client",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "zstd": "zstd",
}
# Servers that tests of rollouts start themselves: the lab does without them. Their packages bring a service of the same name.
_SERVERS = {
    "prometheus": "prometheus",
    "prometheus-node-exporter": "prometheus-node-exporter",
}
# What only the tests of events need (make test-events).
_EVENTS = {
    "java": "default-jre-headless",
    "prometheus-alertmanager": "prometheus-alertmanager",
}
_FILES = {suites.KEYRING: "debian-archive-keyring"}


def missing() -> dict[str, str]:
    """What is missing here: program or file, and the package that brings it."""
    programs = {name: package for name, package in _PROGRAMS.items() if not shutil.which(name)}
    files = {name: package for name, package in _FILES.items() if not pathlib.Path(name).exists()}
    return {**programs, **files}


def missing_servers(events: bool = False) -> dict[str, str]:
    """What is missing of the servers that tests start, those of events as well if asked for, and the package that brings each."""
    wanted = {**_SERVERS, **(_EVENTS if events else {})}
    return {name: package for name, package in wanted.items() if not shutil.which(name)}


def install_command(absent: dict[str, str]) -> list[str]:
    """The command that installs the packages of missing()."""
    return ["apt-get", "install", "-y", "--no-install-recommends", *sorted(set(absent.values()))]


def check() -> None:
    """LabError naming every missing program and the command that installs it."""
    absent = missing()
    if absent:
        raise LabError(f"The lab needs programs that were not found: {', '.join(sorted(absent))}. "
                       f"Next: {' '.join(install_command(absent))} (as root), or python3 -m tests.lab prerequisites --install")


def install(events: bool = False) -> None:
    """Install what is missing, of servers too (events: also those of the tests of events); with sudo when the user is not root."""
    servers = missing_servers(events)
    absent = {**missing(), **servers}
    if absent:
        processes.run_as_root(["apt-get", "-q", "update"])
        processes.run_as_root(install_command(absent), env={"DEBIAN_FRONTEND": "noninteractive"})
        check()
    services = sorted(set(servers) - {"java"})
    if services and shutil.which("systemctl"):
        # Nobody asked for a monitoring of this machine: only the tests start these programs.
        now = ["--now"] if pathlib.Path("/run/systemd/system").exists() else []
        processes.run_as_root(["systemctl", "disable", *now, *services])
