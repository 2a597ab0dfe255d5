# What dnf, tdnf and zypper print, in whatever state they end.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import package_manager
from tests.fuzz import inputs

_REPOS = b"""<?xml version='1.0'?>
<stream><repo-list><repo alias="lab" enabled="1" gpgcheck="1" repo_gpgcheck="0" pkg_gpgcheck="0"/></repo-list></stream>
"""
_CODES = {"package_failed", "bad_signature", "repository_unavailable", "disk_full"}
SEEDS = [
    inputs.join(b"\0\0\0\0", b"klp-1-1.x86_64\n\n", b"", b"", _REPOS),
    inputs.join(
        b"\1\1\1\1", b"", b"Error: Unable to find a match: klp\n", b"Valid metadata not found at specified URL", b"<x"
    ),
    inputs.join(
        b"\1\0\x68\6",
        b"klp",
        b"Public key for klp.rpm is not installed\nError: GPG check FAILED",
        b"no space left on device",
        _REPOS,
    ),
    inputs.join(b"\1\1\1\1", b"Error(1011) : none\n", b"Disabling Repo: 'lab'", b"Error(1207) : no\n", b""),
    inputs.join(b"\x7c\0\0\0", b"", b"All matches were filtered out by exclude filtering", b"", b""),
    inputs.join(
        b"\1\1\1\1",
        inputs.times(b"no package ", 4096),
        inputs.times(b"public key ", 4096),
        inputs.times(b"gpg check ", 900),
        inputs.times(b"<a>", 9000),
    ),
]
WORDS = [
    inputs.SEPARATOR,
    b"no package ",
    b"available",
    b"curl error",
    b"status code: 404",
    b"filtered out by modular",
    b"<!ENTITY",
    b"\x68",
    b"\x7c",
    b"Error(1510)",
    b"matches only excluded packages",
]


def one_input(data):
    codes, query, first, second, repositories = (inputs.repeated(part) for part in inputs.split(data, 5))
    codes = (bytearray(codes) + bytearray(4))[:4]

    def run_command(command, **unused_options):
        if "repos" in command:
            return codes[3], inputs.text(repositories), ""
        if "repoquery" in command:
            return codes[0], inputs.text(query), inputs.text(second)
        return codes[1 + ("refresh" in command)], inputs.text(first), inputs.text(second)

    for kind in (package_manager.Dnf, package_manager.Tdnf, package_manager.Zypper):
        for question in ("install", "available", "would_install"):
            manager = kind(run_command, "/usr/bin/" + kind.program, 9, "/usr/bin/timeout")
            try:
                answer = manager.install("klp", True) if question == "install" else getattr(manager, question)("klp")
            except LivepatchError as error:
                assert error.code in _CODES and "expected" in error.message, error.message
                assert len(error.message) < 2000 and len(error.details.get("stderr", "")) <= 2000
            else:
                assert answer in (True, False) if question == "install" else answer is None or answer
