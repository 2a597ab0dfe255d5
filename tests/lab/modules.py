"""The lab's livepatches, built from their C sources for one kernel."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import shutil

from tests.lab import cache, processes, progress
from tests.lab.kernels import Kernel

SOURCES = pathlib.Path(__file__).parent / "livepatches"

# Not a release: this module is part of every guest.
_TARGET = "lab_target"

# Releases whose module bears the name of another release.
_OTHER_MODULE_NAME = {"hotfix1_rebuilt": "hotfix1"}

# In a mount namespace of its own: objtool of newer kernels wants /proc, and two builds must not meet.
_MAKE = """
mount -t proc proc "$1/proc"
mount --bind "$2" "$1/build"
exec chroot "$1" make -s -j2 -C "/lib/modules/$3/build" M=/build CONFIG_DEBUG_INFO_BTF_MODULES= modules
"""
_STRIP = """
mount --bind "$2" "$1/build"
exec chroot "$1" sh -c 'cd /build && strip -g *.ko'
"""


def releases() -> list[str]:
    """The names of all releases of the lab: one C source each."""
    return sorted(path.stem for path in SOURCES.glob("*.c") if path.stem != _TARGET)


def module_name(release: str) -> str:
    """The name under which the kernel knows a release's module."""
    return _OTHER_MODULE_NAME.get(release, release)


def get(kernel: Kernel) -> pathlib.Path:
    """The directory with RELEASE.ko for every release, and lab_target.ko."""
    inputs = [SOURCES, *recipe(kernel), cache.code(_build, _make, _claim_other_kernel)]
    return cache.entry("modules", inputs, lambda work: _build(kernel, work))


def build_as(kernel: Kernel, names: dict[str, str], work: pathlib.Path) -> None:
    """Build releases (key) as modules of other names (value) and put them into work, each as RELEASE.ko."""
    _make(kernel, work, names)


def _build(kernel: Kernel, work: pathlib.Path) -> None:
    with progress.step(f"kernel {kernel.release}: build livepatches"):
        _make(kernel, work, {name: name for name in [*releases(), _TARGET] if name not in _OTHER_MODULE_NAME})
        _make(kernel, work, _OTHER_MODULE_NAME)
        _claim_other_kernel(work / "wrong_vermagic.ko", kernel.release)


def _make(kernel: Kernel, work: pathlib.Path, names: dict[str, str]) -> None:
    """Build sources (key) as modules (value) and move them to work, each as SOURCE.ko."""
    build = work / "build"
    build.mkdir()
    for header in SOURCES.glob("*.h"):
        shutil.copy(header, build)
    for source, module in names.items():
        shutil.copy(SOURCES / f"{source}.c", build / f"{module}.c")
    (build / "Kbuild").write_text("".join(f"obj-m += {module}.o\n" for module in names.values()))
    compile_in(build, kernel)
    for source, module in names.items():
        (build / f"{module}.ko").rename(work / f"{source}.ko")
    shutil.rmtree(build)


def recipe(kernel: Kernel) -> list[str]:
    """What decides, beside the sources, how modules of a kernel turn out: inputs for the cache."""
    return [_MAKE, _STRIP, str(kernel.tree), kernel.release, cache.code(compile_in)]


def compile_in(build: pathlib.Path, kernel: Kernel) -> None:
    """Build the modules that the Kbuild of a directory names, where it lies."""
    for script in (_MAKE, _STRIP):
        processes.run_as_root(["unshare", "--mount", "sh", "-eu", "-c", script, "sh", str(kernel.tree), str(build), kernel.release])
    processes.run_as_root(["chown", "-R", f"{os.getuid()}:{os.getgid()}", str(build)])


def _claim_other_kernel(module: pathlib.Path, release: str) -> None:
    """Change the release in a module's vermagic to another one of the same length, so that no offset in the file moves."""
    content = module.read_bytes()
    own = b"vermagic=" + release.encode() + b" "
    other = b"vermagic=9" + release.encode()[1:] + b" "
    assert content.count(own) == 1
    module.write_bytes(content.replace(own, other))
