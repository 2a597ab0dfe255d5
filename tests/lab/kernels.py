"""The lab's kernels: a tree to build modules in, and what a guest needs to boot."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import lzma
import pathlib
import re
import shutil
import struct
import subprocess

from tests.lab import cache, processes, progress, suites
from tests.lab.errors import LabError


# The Debian suite whose linux-image-amd64 is this kernel. None of Debian's amd64 kernels lacks CONFIG_LIVEPATCH.
SUITES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "7.2": "sid"}

# What runs the kernel's own build system; the compiler is the suite's own.
_TOOLS = ["gcc", "make", "dash", "sed", "grep", "mawk", "coreutils", "findutils", "diffutils"]

# To find the disk and to mount it, in any order: what they depend on is found out.
_BOOT_MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "crc32c_generic", "crc32c_intel", "ext4"]
_MORE_MODULES = ["af_packet", "binfmt_misc", "configfs", "dummy", "e1000", "loop", "netconsole", "overlay", "qemu_fw_cfg",
                 "ramoops", "reed_solomon", "softdog", "tun", "veth"]


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One kernel generation of the lab, ready to boot and to build modules for."""

    name: str
    release: str
    tree: pathlib.Path
    vmlinux: pathlib.Path
    modules: pathlib.Path
    boot_order: tuple[str, ...]


def check(name: str) -> None:
    """LabError for a name that is not one of the lab's kernels."""
    if name not in SUITES:
        raise LabError(f"The lab has the kernels {', '.join(SUITES)}. Found: {name!r}. Next: choose from these (KERNELS=\"5.10 6.1\").")


def get(name: str) -> Kernel:
    """The kernel with this name (5.10, 6.1, ...), from the cache or built now."""
    check(name)
    suite = SUITES[name]
    package, version = suites.package_version(suite, "linux-image-amd64", "linux-image-")
    unpacked = cache.entry("trees", [package, version, *_TOOLS, *suites.recipe(), cache.code(_unpack)],
                           lambda work: _unpack(suite, package, version, work))
    chosen = cache.entry("kernels", [str(unpacked), *_BOOT_MODULES, *_MORE_MODULES, cache.code(_choose, _uncompressed, _in_order, _needs, _plain, _content)],
                         lambda work: _choose(unpacked / "tree", work))
    return Kernel(name=name, release=(chosen / "release").read_text(), tree=unpacked / "tree", vmlinux=chosen / "vmlinux",
                  modules=chosen / "modules", boot_order=tuple((chosen / "boot-order").read_text().split()))


def _unpack(suite: str, package: str, version: str, work: pathlib.Path) -> None:
    """A tree with the kernel, its modules, its headers and its compiler."""
    tree = work / "tree"
    with progress.step(f"{package} {version}: download and unpack"):
        suites.unpack(suite, [package, package.replace("linux-image-", "linux-headers-"), *_TOOLS], tree)
        processes.run_as_root(["rm", "-rf", *map(str, [*tree.glob("usr/share/*"), *tree.glob("var/lib/apt/*")])])
        processes.run_as_root(["mkdir", str(tree / "proc"), str(tree / "build")])
        for name, program in (("sh", "dash"), ("awk", "mawk")):
            processes.run_as_root(["ln", "-sf", program, str(tree / "usr/bin" / name)])


def _choose(tree: pathlib.Path, work: pathlib.Path) -> None:
    """Copy what a guest boots from a tree: the kernel, and some of its modules."""
    (library,) = (path for path in (tree / "usr/lib/modules").iterdir() if (path / "kernel").is_dir())
    release = library.name
    (work / "release").write_text(release)
    vmlinuz = next(path for path in (library / "vmlinuz", tree / f"boot/vmlinuz-{release}") if path.exists())
    config = next(path for path in (library / "config", tree / f"boot/config-{release}") if path.exists())
    (work / "vmlinux").write_bytes(_uncompressed(vmlinuz))
    modules = work / "modules"
    modules.mkdir()
    files = {_module_name(path): path for path in library.rglob("*.ko*")}
    chosen = _in_order(_BOOT_MODULES, files)
    (work / "boot-order").write_text("\n".join(str(_plain(files[name].relative_to(library))) for name in chosen))
    for name in dict.fromkeys(chosen + _in_order(_MORE_MODULES, files)):
        target = modules / _plain(files[name].relative_to(library))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_content(files[name]))
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copyfile(library / name, modules / name)
    shutil.copyfile(config, modules / "config")


def _uncompressed(vmlinuz: pathlib.Path) -> bytes:
    """The ELF file inside a bzImage (The Linux/x86 Boot Protocol, payload_offset), which qemu boots by its PVH entry.

    An emulated processor would need five of its twelve seconds to the first login for the decompression.
    """
    image = vmlinuz.read_bytes()
    setup_sectors = image[0x1F1]
    offset, length = struct.unpack_from("<II", image, 0x248)
    begin = (setup_sectors + 1) * 512 + offset
    # The last four bytes are the uncompressed size.
    payload = image[begin : begin + length - 4]
    if payload.startswith(b"\xfd7zXZ\0"):
        return lzma.decompress(payload)
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        return subprocess.run(["zstd", "--decompress", "--stdout"], input=payload, stdout=subprocess.PIPE, check=True).stdout
    raise LabError(f"{vmlinuz} was expected to be compressed with xz or zstd. Found: {payload[:6].hex()}.")


def _in_order(names: list[str], files: dict[str, pathlib.Path]) -> list[str]:
    """Modules in an order in which they can be loaded; one that is built in has no file and needs none."""
    order: dict[str, None] = {}

    def add(name: str) -> None:
        if name in files and name not in order:
            for needed in _needs(_content(files[name])):
                add(needed)
            order[name] = None

    for name in names:
        add(name)
    return list(order)


def _needs(module: bytes) -> list[str]:
    """What a module says it depends on (.modinfo, depends=): reading it is much quicker than depmod over all modules."""
    found = re.search(rb"(?<![a-z_])depends=([^\0]*)\0", module)
    return [name.replace("-", "_") for name in found.group(1).decode().split(",") if name] if found else []


def _module_name(path: pathlib.Path) -> str:
    return path.name.partition(".ko")[0].replace("-", "_")


def _plain(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(path.name.partition(".ko")[0] + ".ko")


def _content(path: pathlib.Path) -> bytes:
    """A module uncompressed: busybox loads no other. Debian compresses with xz or not at all."""
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content
