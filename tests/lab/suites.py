"""Debian suites: which exact packages they offer now, and unpacked trees of them."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import re
import time
from collections.abc import Sequence

from tests.lab import cache, processes, progress
from tests.lab.errors import LabError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

_DAY = 86400

# A mirror that lags behind is good enough here; its signature is verified all the same.
_TOLERANT = 'Acquire::Check-Valid-Until "false"'

# dpkg would make these links while it configures packages; an unpacked tree needs them from the start.
_MERGED_USR = 'for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done'


def mirror() -> str:
    """The Debian mirror: LAB_DEBIAN_MIRROR, or the one this machine's apt uses."""
    chosen = os.environ.get("LAB_DEBIAN_MIRROR")
    if chosen:
        return chosen
    listing = processes.run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"])
    for line in listing.splitlines():
        origin, label, uri = line.split("|")
        if origin == label == "Debian":
            return uri.rstrip("/")
    raise LabError("The lab takes its kernels from a Debian mirror. Expected one in this machine's apt sources, found none. "
                   "Next: set LAB_DEBIAN_MIRROR to the address of one.")


def package_version(suite: str, package: str, depends_on: str) -> tuple[str, str]:
    """Which package (its name begins with depends_on) a meta package of the suite needs now, and its version.

    Asked once a day; when the mirror cannot be reached, the last answer goes on to count.
    """
    memory = cache.root() / "resolved" / f"{suite}-{package}.json"
    with cache.locked(f"resolve-{suite}"):
        if memory.exists() and time.time() - memory.stat().st_mtime < _DAY:
            return tuple(json.loads(memory.read_text()))
        try:
            found = _resolve(suite, package, depends_on)
        except LabError as error:
            if not memory.exists():
                raise
            progress.say(f"The suite {suite} could not be asked for news; going on with what it had. ({error})")
            found = tuple(json.loads(memory.read_text()))
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(found))
        return found


def _resolve(suite: str, package: str, depends_on: str) -> tuple[str, str]:
    options = _private_apt(suite)
    with progress.step(f"{suite}: package index"):
        processes.run(["apt-get", *options, "-qq", "update"], timeout=300)
    meta = processes.run(["apt-cache", *options, "show", "--no-all-versions", package])
    match = re.search(rf"^Depends:.*?\b({re.escape(depends_on)}[^ ,]+) \(= ([^)]+)\)", meta, re.MULTILINE)
    if not match:
        raise LabError(f"{package} of {suite} was expected to depend on {depends_on}*, and does not:\n{meta}")
    return match.group(1), match.group(2)


def _private_apt(suite: str) -> list[str]:
    """Options that keep apt off the machine's own sources and lists."""
    home = cache.root() / "apt" / suite
    for part in ("lists/partial", "cache", "etc"):
        (home / part).mkdir(parents=True, exist_ok=True)
    (home / "sources.list").write_text(f"deb [signed-by={KEYRING} arch=amd64] {mirror()} {suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": home / "sources.list", "Dir::Etc::sourceparts": "-", "Dir::State::lists": home / "lists",
        "Dir::Cache": home / "cache", "Dir::State::status": "/dev/null", "Acquire::Languages": "none",
        "Acquire::Check-Valid-Until": "false", "APT::Architecture": "amd64", "APT::Architectures": "amd64",
        "APT::Update::Error-Mode": "any",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def download(suite: str, package: str, directory: pathlib.Path) -> pathlib.Path:
    """Fetch one package of the suite, without what it depends on, and return its file."""
    options = _private_apt(suite)
    with progress.step(f"{suite}: download {package}"):
        # The version that was asked for yesterday may be gone.
        processes.run(["apt-get", *options, "-qq", "update"], timeout=300)
        processes.run(["apt-get", *options, "-qq", "download", package], cwd=directory)
    (file,) = directory.glob(f"{package}_*.deb")
    return file


def recipe() -> list[str]:
    """What decides, beside the packages, how a tree turns out: an input for the cache."""
    return [_MERGED_USR, cache.code(unpack, install, _mmdebstrap)]


def unpack(suite: str, packages: Sequence[str], tree: pathlib.Path) -> None:
    """Unpack packages and what they depend on; nothing is configured, so it is quick."""
    _mmdebstrap(["--variant=extract", f"--setup-hook={_MERGED_USR}"], suite, packages, tree)


def install(suite: str, packages: Sequence[str], tree: pathlib.Path) -> None:
    """Make a small system of the suite with these packages."""
    _mmdebstrap(["--variant=minbase", "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
                 "--dpkgopt=path-exclude=/usr/share/doc/*"], suite, packages, tree)


def _mmdebstrap(options: Sequence[str], suite: str, packages: Sequence[str], tree: pathlib.Path) -> None:
    processes.run_as_root(["mmdebstrap", "--quiet", "--mode=root", "--format=directory", "--architectures=amd64", f"--keyring={KEYRING}",
                           f"--aptopt={_TOLERANT}", *options, f"--include={','.join(packages)}", suite, str(tree), mirror()])
