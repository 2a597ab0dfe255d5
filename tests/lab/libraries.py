"""What Ansible ships to a target with this collection's modules, as one zip archive from which Python imports it."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import pathlib
import zipfile

NAME = "libraries.zip"

# Of newer Ansibles only.
OPTIONAL = ("ansible.module_utils._internal._ansiballz._loader", "ansible.module_utils.testing")

_PLUGINS = pathlib.Path(__file__).resolve().parents[2] / "plugins"
_COLLECTION = "ansible_collections/kernel/livepatch/plugins"
_KINDS = ("module_utils", "modules")


def pack(directory: pathlib.Path) -> pathlib.Path:
    """Make the archive NAME in a directory, of the Ansible that this Python imports and the collection; return its path.

    A guest of the lab keeps what it has compiled of such an archive (see sitecustomize.py), and not of other files.
    """
    import ansible

    shipped = pathlib.Path(ansible.__file__).parent / "module_utils"
    path = directory / NAME
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ansible/__init__.py", f"__version__ = {ansible.__version__!r}\n__author__ = {ansible.__author__!r}\n")
        for source in sorted(shipped.rglob("*.py")):
            archive.write(source, f"ansible/module_utils/{source.relative_to(shipped)}")
        for package in [*itertools.accumulate(_COLLECTION.split("/"), "{}/{}".format), *(f"{_COLLECTION}/{kind}" for kind in _KINDS)]:
            archive.writestr(f"{package}/__init__.py", "")
        for kind in _KINDS:
            for source in sorted((_PLUGINS / kind).rglob("*.py")):
                archive.write(source, f"{_COLLECTION}/{source.relative_to(_PLUGINS)}")
    return path


def modules() -> list[str]:
    """Names to import: what every module of the collection needs, and the modules themselves with all that is theirs."""
    package = _COLLECTION.replace("/", ".")
    sources = [source for kind in _KINDS for source in sorted((_PLUGINS / kind).rglob("*.py")) if source.stem != "__init__"]
    ours = [f"{package}." + ".".join(source.relative_to(_PLUGINS).with_suffix("").parts) for source in sources]
    return ["ansible.module_utils.basic", *OPTIONAL, *ours]
