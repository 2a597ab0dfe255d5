# Installed livepatch packages: what the RPM database knows about them, and whether their files are as shipped.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._errors import LivepatchError

# A package name or spec: what RPM allows in name, epoch, version and release, less what a package manager would
# read as an option, a path, a glob or a group.
PACKAGE_SPEC = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.+~^:-]{0,249}\Z")

MODULE_FILE = re.compile(r"\.ko(\.(gz|xz|zst))?\Z")

# A directory named like a kernel release, e.g. 6.1.0-56-amd64.
KERNEL_DIRECTORY = re.compile(r"\A\d+\.\d+(\.\d+)?-[A-Za-z0-9]")

# The columns of `rpm -V`, rpm(8) section VERIFY OPTIONS.
VERIFY_COLUMNS = {
    "S": "size",
    "M": "mode",
    "5": "digest",
    "D": "device",
    "L": "link",
    "U": "user",
    "G": "group",
    "T": "mtime",
    "P": "capabilities",
    "?": "unreadable",
}
VERIFY_LINE = re.compile(r"\A(?P<columns>[SM5DLUGTP?.]{8,}|missing) +(?:(?P<kind>[a-z]) +)?(?P<path>/.*)\Z")


def package_spec(value):
    """Return value when it can be a package name or name-version-release, or raise bad_name."""
    if not PACKAGE_SPEC.match(value):
        raise LivepatchError(
            "bad_name",
            "%r cannot be a package: expected letters, digits and '_.+~^:-', beginning with a letter, digit or '_', "
            "at most 250 characters. Give the name that `rpm -q` prints." % (value,),
        )
    return value


def module_files(run_command, package, kernel_release=None):
    """Return the paths (list of str) of the kernel modules that an installed package has for a kernel.

    run_command: AnsibleModule.run_command. package: an installed package as `rpm -q` takes it (str).
    kernel_release: the running kernel's when None. A module in a directory that names no kernel release counts
    for every kernel: whoever loads it compares the vermagic.
    Raises LivepatchError: bad_name, not_found, no_module_in_package, other_kernel.
    """
    kernel_release = kernel_release or os.uname().release
    code, output, errors = run_command(["rpm", "-ql", package_spec(package)])
    if code != 0:
        raise LivepatchError(
            "not_found",
            "package %s: expected it in the RPM database, found: %s. Install it first."
            % (package, (output + errors).strip()[:200] or "nothing"),
        )
    modules = [path for path in output.splitlines() if path.startswith("/") and MODULE_FILE.search(path)]
    if not modules:
        raise LivepatchError(
            "no_module_in_package",
            "package %s: expected a kernel module (.ko, .ko.xz, .ko.gz, .ko.zst), found none among its %d files. "
            "Choose another package; a vendor's first, empty livepatch package has no module."
            % (package, len(output.splitlines())),
        )
    mine = [path for path in modules if _kernels_in(path) in ([], [kernel_release])]
    if not mine:
        raise LivepatchError(
            "other_kernel",
            "package %s: expected a module for the running kernel %s, found modules for %s. "
            "Install the package built for this kernel." % (package, kernel_release, ", ".join(sorted(_all_kernels(modules)))),
        )
    return mine


def verify(run_command, package):
    """Compare the files of an installed package with the RPM database.

    Returns a list of {"file": path, "differs": [words of VERIFY_COLUMNS, or "missing"]}, empty when all are as
    shipped. Configuration files do not count. Raises LivepatchError: bad_name, package_failed (rpm itself failed).
    """
    code, output, errors = run_command(["rpm", "-V", "--nodeps", "--noscripts", package_spec(package)])
    matches = [VERIFY_LINE.match(line) for line in output.splitlines()]
    if code != 0 and not any(matches):
        raise LivepatchError(
            "package_failed",
            "package %s: cannot compare it with the RPM database: %s. Try `rpm -V %s` on the host."
            % (package, (output + errors).strip()[:300] or "rpm -V failed without a word", package),
        )
    return [
        {"file": match.group("path"), "differs": _differences(match.group("columns"))}
        for match in matches
        if match and match.group("kind") != "c"
    ]


def _kernels_in(path):
    return [part for part in path.split("/")[:-1] if KERNEL_DIRECTORY.match(part)]


def _all_kernels(paths):
    return {kernel for path in paths for kernel in _kernels_in(path)}


def _differences(columns):
    if columns == "missing":
        return ["missing"]
    return [VERIFY_COLUMNS[letter] for letter in columns if letter != "."]
