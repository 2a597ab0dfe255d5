"""Everything a fleet needs, built or from the cache: several things at once."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import concurrent.futures
import dataclasses
import pathlib
from collections.abc import Sequence

from tests.lab import accelerator, cache, image, kernels, modules, packages
from tests.lab.kernels import Kernel


@dataclasses.dataclass(frozen=True)
class Parts:
    """Paths in the cache; per kernel by its name (5.10, ...)."""

    accelerator: str
    disk: pathlib.Path
    kernels: dict[str, Kernel]
    initramfs: dict[str, pathlib.Path]
    modules: dict[str, pathlib.Path]
    repository: pathlib.Path


def get(names: Sequence[str], init: str = "busybox") -> Parts:
    """Build what is missing for these kernels and this init, two things at a time."""
    names = list(dict.fromkeys(names))
    for name in names:
        kernels.check(name)
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        disk = pool.submit(image.get_disk, init)
        each = dict(zip(names, pool.map(_kernel, names)))
        root = disk.result()
    found = {name: made[0] for name, made in each.items()}
    first = each[names[0]]
    parts = Parts(
        accelerator=accelerator.choose(first[0].vmlinux, first[1]),
        disk=root,
        kernels=found,
        initramfs={name: made[1] for name, made in each.items()},
        modules={name: made[2] for name, made in each.items()},
        repository=packages.get_repository(list(found.values())))
    cache.forget_unused()
    return parts


def _kernel(name: str) -> tuple[Kernel, pathlib.Path, pathlib.Path]:
    kernel = kernels.get(name)
    built = modules.get(kernel)
    initramfs = image.get_initramfs(kernel)
    packages.get(kernel)
    return kernel, initramfs, built
