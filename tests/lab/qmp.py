"""Asking a running qemu: one command per connection of its QMP socket."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import socket

from tests.lab.errors import LabError


def ask(path: pathlib.Path, command: str, timeout: float = 20, **arguments) -> object:
    """Send one QMP command and return its answer; LabError when qemu refuses or is gone."""
    try:
        with _connect(path, timeout) as link, link.makefile("rwb") as stream:
            _read(stream)
            _send(stream, "qmp_capabilities", {})
            return _send(stream, command, arguments)
    except OSError as error:
        raise LabError(f"A running qemu was expected behind {path}. Found: {error}. Next: look at qemu.log beside it.") from None


def _connect(path: pathlib.Path, timeout: float) -> socket.socket:
    """A socket's name is at most 107 bytes long, a checkout's path may be longer: go through its directory's descriptor."""
    link = socket.socket(socket.AF_UNIX)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        link.settimeout(timeout)
        link.connect(f"/proc/self/fd/{directory}/{path.name}")
    except BaseException:
        link.close()
        raise
    finally:
        os.close(directory)
    return link


def _send(stream, command: str, arguments: dict) -> object:
    stream.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
    stream.flush()
    while True:
        answer = _read(stream)
        if "return" in answer:
            return answer["return"]
        if "error" in answer:
            raise LabError(f"qemu refused {command}: {answer['error']['desc']}")


def _read(stream) -> dict:
    line = stream.readline()
    if not line:
        raise ConnectionResetError("qemu closed the connection")
    return json.loads(line)
