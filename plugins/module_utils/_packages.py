# Installed livepatch packages: what the RPM database knows about them, and whether their files are as shipped.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import collections
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


Installed = collections.namedtuple("Installed", "name version release arch time")
Installed.nevra = property(lambda package: "%s-%s-%s.%s" % package[:4])

_QUERY = "installed\\t%{NAME}\\t%{VERSION}\\t%{RELEASE}\\t%{ARCH}\\t%{INSTALLTIME}\\n"


def package_spec(value):
    """Return value when it can be a package name or name-version-release, or raise bad_name."""
    if not PACKAGE_SPEC.match(value):
        raise LivepatchError(
            "bad_name",
            "%r cannot be a package: expected letters, digits and '_.+~^:-', beginning with a letter, digit or '_', "
            "at most 250 characters. Give the name that `rpm -q` prints." % (value,),
        )
    return value


def installed(run_command, *packages):
    """Return those of the packages that are installed: list of Installed, in the order given.

    run_command: AnsibleModule.run_command. packages: names or name-version-release as `rpm -q` takes them (str).
    Of several installed at once under one name the one installed last counts.
    Raises LivepatchError: bad_name, no_package_manager (there is no rpm), package_failed (rpm itself failed).
    """
    code, output, errors = _rpm(run_command, ["-q", "--qf", _QUERY] + [package_spec(package) for package in packages])
    rows = [Installed(*line.split("\t")[1:]) for line in output.splitlines() if line.startswith("installed\t")]
    if code != 0 and not rows and "not installed" not in output:
        raise LivepatchError(
            "package_failed",
            "RPM database: expected an answer about %s, found: %s. Check `rpm -q %s` on the host."
            % (packages[0], (output + errors).strip()[:300], packages[0]),
        )
    found = []
    for package in packages:
        matches = [match for match in rows if package in forms(match)]
        if matches:
            found.append(max(matches, key=lambda match: int(match.time)))
    return found


def forms(package):
    """Return what `rpm -q` finds an Installed package by: name, version, release and architecture, from the left."""
    name, version, release, arch = package[:4]
    short = [name, "%s-%s" % (name, version), "%s-%s-%s" % (name, version, release)]
    return short + ["%s.%s" % (form, arch) for form in short]


def is_newer(run_command, first, second):
    """Tell whether first is newer than second, as rpm compares (version, release) (tuples of str), without epochs."""
    for one, other in zip(first, second):
        comparison = '%%{lua:print(rpm.vercmp("%s","%s"))}' % (package_spec(one), package_spec(other))
        order = _rpm(run_command, ["--eval", comparison])[1].strip()
        if order in ("1", "-1"):
            return order == "1"
    return False


def signature(run_command, package):
    """Return a word on how an installed package is signed, or None when it is not signed at all (str).

    The tags of old packages are looked at first; OPENPGP is what rpm 6 calls the signatures of new ones.
    """
    for tags in (("RSAHEADER", "DSAHEADER", "SIGPGP", "SIGGPG"), ("OPENPGP",)):
        query = "".join("%%{%s:pgpsig}\n" % tag for tag in tags)
        code, output, dummy = _rpm(run_command, ["-q", "--qf", query, package_spec(package)])
        signed = [line for line in output.splitlines() if line.strip() not in ("", "(none)")]
        if code == 0 and signed:
            return signed[0]
    return None


def erase(run_command, package, test):
    """Remove an installed package, or with test=True only find out whether that is possible.

    `rpm -e` refuses where other packages need this one, and never removes them. Raises LivepatchError: package_failed.
    """
    code, output, errors = _rpm(run_command, ["-e"] + (["--test"] if test else []) + [package_spec(package)])
    if code != 0:
        raise LivepatchError(
            "package_failed",
            "package %s: expected to remove it, found: %s. Remove what needs it first, or keep it."
            % (package, (errors or output).strip()[:600]),
            stderr=errors[-2000:],
        )


def module_files(run_command, package, kernel_release=None):
    """Return the paths (list of str) of the kernel modules that an installed package has for a kernel.

    run_command: AnsibleModule.run_command. package: an installed package as `rpm -q` takes it (str).
    kernel_release: the running kernel's when None. A module in a directory that names no kernel release counts
    for every kernel: whoever loads it compares the vermagic.
    Raises LivepatchError: bad_name, not_found, no_module_in_package, other_kernel.
    """
    kernel_release = kernel_release or os.uname().release
    code, output, errors = _rpm(run_command, ["-ql", package_spec(package)])
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
            "Install the package built for this kernel."
            % (package, kernel_release, ", ".join(sorted(_all_kernels(modules)))),
        )
    return mine


def verify(run_command, package):
    """Compare the files of an installed package with the RPM database.

    Returns a list of {"file": path, "differs": [words of VERIFY_COLUMNS, or "missing"]}, empty when all are as
    shipped. Configuration files do not count. Raises LivepatchError: bad_name, package_failed (rpm itself failed).
    """
    code, output, errors = _rpm(run_command, ["-V", "--nodeps", "--noscripts", package_spec(package)])
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


def _rpm(run_command, arguments):
    try:
        return run_command(["rpm"] + arguments, handle_exceptions=False)
    except EnvironmentError as error:
        raise LivepatchError(
            "no_package_manager",
            "rpm: expected the program on this host, found: %s. Only hosts with RPM packages can be served."
            % (error.strerror or error,),
        )


def _kernels_in(path):
    return [part for part in path.split("/")[:-1] if KERNEL_DIRECTORY.match(part)]


def _all_kernels(paths):
    return {kernel for path in paths for kernel in _kernels_in(path)}


def _differences(columns):
    if columns == "missing":
        return ["missing"]
    return [VERIFY_COLUMNS[letter] for letter in columns if letter != "."]
