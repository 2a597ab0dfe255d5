# Where the livepatch's module file is: a path, an installed package, or modprobe's directories.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import os

from ansible_collections.kernel.livepatch.plugins.module_utils._change import copies
from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError, module_name
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import drift

# Below /lib/modules/<kernel release>, in depmod's order of precedence; the last is where livepatch packages without
# a depmod of their own put their modules.
_DIRECTORIES = ("updates", "extra", "livepatch")
_SUFFIXES = (".ko", ".ko.xz", ".ko.gz", ".ko.zst")


def by_name(root, kernel_release, name):
    """Return the path of the module as depmod recorded it, or as it lies in the usual places; raise not_found."""
    wanted = module_name(name)
    directory = os.path.join(root, "lib/modules", kernel_release)
    for path in _recorded(directory):
        if _stem(path) == wanted and os.path.exists(path):
            return path
    for path in _lying_in(directory):
        if _stem(path) == wanted:
            return path
    path = drift.files(root, kernel_release).get(wanted) or copies.path(root, kernel_release, wanted)
    if path is not None:
        return path
    raise LivepatchError(
        "not_found",
        "livepatch %s: expected its module in modules.dep, in %s of %s, where a vendor puts it, or kept as a copy, found none. "
        "Install its package for this kernel, or give path or package." % (wanted, ", ".join(_DIRECTORIES), directory),
    )


def known_to_modprobe(root, kernel_release, name):
    """Whether modprobe would find a module: only what depmod recorded counts, wherever else the file may lie."""
    directory = os.path.join(root, "lib/modules", kernel_release)
    builtin = (reading.read_text(os.path.join(directory, "modules.builtin")) or "").splitlines()
    return any(_stem(path) == name.replace("-", "_") for path in list(_recorded(directory)) + builtin)


def by_package(packages, run_command, package):
    """Return the path of the one module that an installed package has for the running kernel.

    packages: the module rpm. Raises LivepatchError: package_modified, unsupported and what it raises.
    """
    path = only_one(package, packages.module_files(run_command, package))
    differences = packages.verify(run_command, package)
    if differences:
        raise LivepatchError(
            "package_modified",
            "package %s: expected its files as the RPM database has them, found %s. "
            "Nothing was loaded: reinstall the package."
            % (package, "; ".join("%s (%s)" % (entry["file"], ", ".join(entry["differs"])) for entry in differences)),
            files=differences,
        )
    return path


def only_one(package, files):
    """Return the one of a package's modules for the running kernel (paths); raise unsupported where there are more."""
    if len(files) != 1:
        raise LivepatchError(
            "unsupported",
            "package %s: expected one module for this kernel, found %d: %s. Packages with several livepatches that "
            "belong together are not supported; give one of the files as path."
            % (package, len(files), ", ".join(files)),
        )
    return files[0]


def _recorded(directory):
    for line in (reading.read_text(os.path.join(directory, "modules.dep")) or "").splitlines():
        yield os.path.join(directory, line.split(":", 1)[0])


def _lying_in(directory):
    for part in _DIRECTORIES:
        for parent, directories, files in os.walk(os.path.join(directory, part)):
            directories.sort()
            for name in sorted(files):
                if name.endswith(_SUFFIXES):
                    yield os.path.join(parent, name)


def _stem(path):
    return os.path.basename(path).split(".ko", 1)[0].replace("-", "_")
