"""The lab's kernels: a tree to build modules in, and what a guest needs to boot."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import lzma
import pathlib
import shutil

from tests.lab import cache, processes, progress, suites
from tests.lab.errors import LabError

_FILE = pathlib.Path(__file__)


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a kernel comes from: a Debian suite and the meta package that follows its newest kernel."""

    suite: str
    package: str = "linux-image-amd64"
    builds_livepatches: bool = True


SOURCES = {
    "5.10": Source("bullseye"),
    "6.1": Source("bookworm"),
    "6.12": Source("trixie"),
    "7.2": Source("sid"),
    # Made for clouds, and without CONFIG_LIVEPATCH.
    "none": Source("bookworm", "linux-image-cloud-amd64", builds_livepatches=False),
}

# What runs the kernel's own build system; the compiler is the suite's own.
_TOOLS = ["gcc", "make", "dash", "sed", "grep", "mawk", "coreutils", "findutils", "diffutils"]

# To find the disk and to mount it, in any order: modules.dep knows the right one.
_BOOT_MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "crc32c_generic", "crc32c_intel", "ext4"]
_MORE_MODULES = ["af_packet", "binfmt_misc", "configfs", "dummy", "e1000", "loop", "netconsole", "overlay",
                 "ramoops", "reed_solomon", "softdog", "tun", "veth"]


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One kernel generation of the lab, ready to boot and to build modules for."""

    name: str
    release: str
    tree: pathlib.Path
    vmlinuz: pathlib.Path
    modules: pathlib.Path
    boot_order: tuple[str, ...]

    @property
    def builds_livepatches(self) -> bool:
        return SOURCES[self.name].builds_livepatches


def get(name: str) -> Kernel:
    """The kernel with this name (5.10, 6.1, ...), from the cache or built now."""
    if name not in SOURCES:
        raise LabError(f"The lab has the kernels {', '.join(SOURCES)}. Found: {name!r}. Next: choose from these (KERNELS=\"5.10 6.1\").")
    source = SOURCES[name]
    package, version = suites.package_version(source.suite, source.package, "linux-image-")
    path = cache.entry("kernels", [_FILE, package, version], lambda work: _build(source, package, version, work))
    return Kernel(name=name, release=(path / "release").read_text(), tree=path / "tree", vmlinuz=path / "vmlinuz",
                  modules=path / "modules", boot_order=tuple((path / "boot-order").read_text().split()))


def _build(source: Source, package: str, version: str, work: pathlib.Path) -> None:
    tree = work / "tree"
    wanted = [package]
    if source.builds_livepatches:
        wanted += [package.replace("linux-image-", "linux-headers-"), *_TOOLS]
    with progress.step(f"{package} {version}: download and unpack"):
        suites.unpack(source.suite, wanted, tree)
    with progress.step(f"{package} {version}: choose modules"):
        _keep_what_boots(tree, work)
        _slim(tree)
    if source.builds_livepatches:
        processes.run_as_root(["mkdir", str(tree / "proc"), str(tree / "build")])
        processes.run_as_root(["ln", "-sf", "dash", str(tree / "usr/bin/sh")])
        processes.run_as_root(["ln", "-sf", "mawk", str(tree / "usr/bin/awk")])
    else:
        cache.remove(tree)


def _keep_what_boots(tree: pathlib.Path, work: pathlib.Path) -> None:
    (library,) = (path for path in (tree / "usr/lib/modules").iterdir() if (path / "kernel").is_dir())
    release = library.name
    (work / "release").write_text(release)
    vmlinuz = next(path for path in (library / "vmlinuz", tree / f"boot/vmlinuz-{release}") if path.exists())
    config = next(path for path in (library / "config", tree / f"boot/config-{release}") if path.exists())
    shutil.copyfile(vmlinuz, work / "vmlinuz")
    processes.run_as_root(["depmod", "-b", str(tree / "usr"), release])
    modules = work / "modules"
    modules.mkdir()
    needs = _dependencies(library / "modules.dep")
    chosen = _in_order(_BOOT_MODULES, needs)
    (work / "boot-order").write_text("\n".join(_plain_name(path) for path in chosen))
    for path in dict.fromkeys(chosen + _in_order(_MORE_MODULES, needs)):
        _copy_plain(library / path, modules / _plain_name(path))
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copyfile(library / name, modules / name)
    shutil.copyfile(config, modules / "config")


def _dependencies(listing: pathlib.Path) -> dict[str, list[str]]:
    """The lines of modules.dep: path of a module, paths of those it needs (itself first, deepest last)."""
    needs = {}
    for line in listing.read_text().splitlines():
        path, _, others = line.partition(":")
        needs[_module_name(path)] = [path, *others.split()]
    return needs


def _in_order(names: list[str], needs: dict[str, list[str]]) -> list[str]:
    """Paths in an order in which they can be loaded; a module that is built in needs no file."""
    return list(dict.fromkeys(path for name in names for path in reversed(needs.get(name, []))))


def _module_name(path: str) -> str:
    return pathlib.PurePath(path).name.partition(".ko")[0].replace("-", "_")


def _plain_name(path: str) -> str:
    return path.partition(".ko")[0] + ".ko"


def _copy_plain(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy a module uncompressed: busybox loads no other. Debian compresses with xz or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    content = source.read_bytes()
    if source.suffix == ".xz":
        content = lzma.decompress(content)
    target.write_bytes(content)


def _slim(tree: pathlib.Path) -> None:
    """Remove what building a module does not need: most of the kernel's modules, and documentation."""
    unneeded = [*(tree / "usr/lib/modules").glob("*/kernel"), *tree.glob("boot/*"), *tree.glob("usr/share/*"), *tree.glob("var/lib/apt/*")]
    processes.run_as_root(["rm", "-rf", *map(str, unneeded)])
