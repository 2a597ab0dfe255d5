"""The lab's own keys: for packages and metadata, for a stranger's package, and for ssh."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator

from tests.lab import cache, processes, progress

SIGNER = "kernel.livepatch lab"
STRANGER = "kernel.livepatch stranger"


def get() -> pathlib.Path:
    """The directory with lab.asc, lab.secret, stranger.secret (OpenPGP), ssh, ssh.pub and host, host.pub (OpenSSH)."""
    return cache.entry("keys", [SIGNER, STRANGER, cache.code(_build, _make_signing_key, gpg)], _build)


def _build(work: pathlib.Path) -> None:
    with progress.step("make the lab's keys"):
        for name, user in (("lab", SIGNER), ("stranger", STRANGER)):
            _make_signing_key(user, work / f"{name}.asc", work / f"{name}.secret")
        for name in ("ssh", "host"):
            processes.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"kernel.livepatch lab {name}", "-f", str(work / name)])


def _make_signing_key(user: str, public: pathlib.Path, secret: pathlib.Path) -> None:
    with _keyring() as home:
        # RSA: every rpm in use knows it.
        gpg(home, ["--quick-generate-key", user, "rsa2048", "sign", "never"])
        public.write_text(gpg(home, ["--armor", "--export", user]))
        secret.write_text(gpg(home, ["--armor", "--export-secret-keys", user]))
        secret.chmod(0o600)


def gpg(home: pathlib.Path, words: list[str]) -> str:
    """Run gpg without questions in a keyring of its own."""
    return processes.run(["gpg", "--homedir", str(home), "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", *words])


@contextlib.contextmanager
def _keyring() -> Iterator[pathlib.Path]:
    """A keyring that is gone afterwards, together with the agent that gpg starts for it."""
    # Its sockets live in it, and the name of a socket is short: not below the cache.
    with tempfile.TemporaryDirectory(prefix="lab-gpg-") as name:
        home = pathlib.Path(name)
        try:
            yield home
        finally:
            processes.run(["gpgconf", "--homedir", str(home), "--kill", "all"])


@contextlib.contextmanager
def keyring(name: str) -> Iterator[pathlib.Path]:
    """A passing keyring that can sign as "lab" or as "stranger"."""
    with _keyring() as home:
        gpg(home, ["--import", str(get() / f"{name}.secret")])
        yield home
