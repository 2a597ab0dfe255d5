"""The inventory of a fleet, for any playbook to be pointed at."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable

from tests.lab import ssh

RACKS = "abcdefgh"


def rack(number: int, racks: int = 3) -> str:
    """The rack of the guest with this number (from 0): dealt one by one."""
    return f"rack_{RACKS[number % racks]}"


def kernel_group(kernel: str) -> str:
    """The group of a kernel generation: 5.10 becomes kernel_5_10."""
    return "kernel_" + kernel.replace(".", "_")


def build(fleet: pathlib.Path, guests: Iterable[tuple[str, str, int]]) -> dict:
    """The inventory of guests (name, kernel, ssh port) whose fleet lives in this directory."""
    hosts: dict = {}
    groups: dict = {}
    for number, (name, kernel, port) in enumerate(guests):
        hosts[name] = {"ansible_port": port, "livepatch_domain": rack(number)}
        for group in (kernel_group(kernel), rack(number)):
            groups.setdefault(group, {"hosts": {}})["hosts"][name] = {}
    variables = {
        "ansible_host": "127.0.0.1",
        "ansible_user": "admin",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_private_key_file": str(fleet / "ssh_key"),
        "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=300s",
        "ansible_ssh_common_args": " ".join(ssh.options(fleet)),
    }
    return {"all": {"children": {"lab": {"hosts": hosts, "vars": variables}, **groups}}}


def write(path: pathlib.Path, content: dict) -> None:
    """Write an inventory file at once: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text("# The lab's running fleet. Written by the lab; gone when the fleet is.\n" + "\n".join(_lines(content, 0)) + "\n")
    new.rename(path)


def _lines(content: dict, depth: int) -> Iterable[str]:
    """A mapping as YAML: its scalars are written as JSON, which YAML reads too."""
    for name, value in content.items():
        if isinstance(value, dict) and value:
            yield "  " * depth + f"{name}:"
            yield from _lines(value, depth + 1)
        else:
            yield "  " * depth + f"{name}: {json.dumps(value)}"
