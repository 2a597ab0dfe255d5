"""How the lab's guests are reached: the options that ssh, scp and the inventory share."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import shutil

from tests.lab import keys

# All guests have one host key: their ports change, so it is known under this name.
HOST_KEY_ALIAS = "kernel-livepatch-lab"


def install_keys(directory: pathlib.Path) -> None:
    """Put the private key, and the file that names the guests' host key, into a fleet's directory."""
    own = keys.get()
    private = directory / "ssh_key"
    shutil.copyfile(own / "ssh", private)
    private.chmod(0o600)
    (directory / "known_hosts").write_text(f"{HOST_KEY_ALIAS} {(own / 'host.pub').read_text()}")


def options(directory: pathlib.Path) -> list[str]:
    """Options for every connection to a guest of the fleet in this directory."""
    settings = {
        "UserKnownHostsFile": directory / "known_hosts", "HostKeyAlias": HOST_KEY_ALIAS, "StrictHostKeyChecking": "yes",
        "KexAlgorithms": "curve25519-sha256", "ConnectTimeout": 60, "LogLevel": "ERROR", "IdentitiesOnly": "yes",
        "ServerAliveInterval": 15, "ServerAliveCountMax": 20,
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
