"""What the lab builds once: directories whose names change when their inputs do."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import inspect
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator

from tests.lab import processes

Input = str | bytes | pathlib.Path

_UNUSED_DAYS = 14


def root() -> pathlib.Path:
    """The cache's directory: LAB_CACHE, or the user's cache directory."""
    chosen = os.environ.get("LAB_CACHE")
    if chosen:
        return pathlib.Path(chosen).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(base).expanduser().resolve() / "kernel-livepatch-lab"


def key(inputs: Iterable[Input]) -> str:
    """A short digest of texts, and of the names and contents of files and directories."""
    digest = hashlib.sha256()
    for item in inputs:
        for part in _parts(item):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def code(*functions: Callable) -> str:
    """The source text of functions, as an input: only a change of these builds anew."""
    return "\n".join(inspect.getsource(function) for function in functions)


def _parts(item: Input) -> Iterator[bytes]:
    if isinstance(item, bytes):
        yield item
    elif isinstance(item, str):
        yield item.encode()
    elif item.is_dir():
        for path in sorted(item.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(item)).encode()
                yield path.read_bytes()
    else:
        yield item.name.encode()
        yield item.read_bytes()


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one process (or thread) at a time into a part of the cache; the kernel frees the lock of a dead one."""
    directory = root() / "locks"
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / name, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def entry(kind: str, inputs: Iterable[Input], build: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """The directory made from these inputs; build() fills a new one when there is none yet."""
    path = root() / kind / key(inputs)
    if not path.exists():
        with locked(kind + "-" + path.name):
            if not path.exists():
                _make(path, build)
    os.utime(path)
    return path


def _make(path: pathlib.Path, build: Callable[[pathlib.Path], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix=".building-", dir=path.parent))
    work.chmod(0o755)
    try:
        build(work)
        work.rename(path)
    except BaseException:
        remove(work)
        raise


def remove(path: pathlib.Path) -> None:
    """Delete a directory of the cache, also when root owns what is in it."""
    try:
        shutil.rmtree(path)
    except PermissionError:
        processes.run_as_root(["rm", "-rf", "--one-file-system", str(path)])


def forget_unused() -> None:
    """Delete what nothing asked for during the last two weeks."""
    limit = time.time() - _UNUSED_DAYS * 86400
    for path in root().glob("*/*"):
        if path.is_dir() and path.stat().st_mtime < limit:
            remove(path)
