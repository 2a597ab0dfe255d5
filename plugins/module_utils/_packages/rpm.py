# Installed livepatch packages: what the RPM database knows about them, and whether their files are as shipped.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import collections
import fcntl
import os
import re
import stat
import struct
import time

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError

# A package name or spec: what RPM allows in name, epoch, version and release, less what a package manager would
# read as an option, a path, a glob or a group.
PACKAGE_SPEC = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.+~^:-]{0,249}\Z")

MODULE_FILE = re.compile(r"\.ko(\.(gz|xz|zst))?\Z")

# A directory named like a kernel release, e.g. 6.1.0-56-amd64.
KERNEL_DIRECTORY = re.compile(r"\A\d+\.\d+(\.\d+)?-[A-Za-z0-9]")

# The columns of `rpm -V`, rpm(8) section VERIFY OPTIONS, that tell of other content. Times do not count: images and clones
# have others for every file.
VERIFY_COLUMNS = {"S": "size", "5": "digest", "D": "device", "L": "link", "?": "unreadable"}
# These count where they let others than root change the file.
VERIFY_OWNERS = {"M": "mode", "U": "user", "G": "group"}
VERIFY_LINE = re.compile(r"\A(?P<columns>[SM5DLUGTP?.]{8,}|missing) +(?:(?P<kind>[a-z]) +)?(?P<path>/.*)\Z")

# A query ends within so many seconds, whoever holds the database.
SECONDS = 120
TIMED_OUT, NOT_THERE = 124, 127  # of timeout(1)
LOCKED = re.compile(r"transaction lock", re.IGNORECASE)

Installed = collections.namedtuple("Installed", "name version release arch time signature files")
Installed.nevra = property(lambda package: "%s-%s-%s.%s" % package[:4])
Installed.__doc__ = """An installed package. time: of its installation, seconds since 1970 (str). signature: a word on how it
is signed, None where no tag of a package of rpm 4 says so. files: the paths of its files (list of str)."""

# One query answers everything, as a start of rpm costs more than what it reads. The signatures are those of packages
# of rpm 4; rpm 4 itself refuses a query with the tag of rpm 6.
_SIGNATURES = ("RSAHEADER", "DSAHEADER", "SIGPGP", "SIGGPG")
_QUERY = (
    "installed\\t%%{NAME}\\t%%{VERSION}\\t%%{RELEASE}\\t%%{ARCH}\\t%%{INSTALLTIME}%s\\n[file\\t%%{FILENAMES}\\n]"
    % "".join("\\t%%{%s:pgpsig}" % tag for tag in _SIGNATURES)
)
_UNSIGNED = ("", "(none)")


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
    rows = versions(run_command, *packages)
    found = [last_installed([row for row in rows if package in forms(row)]) for package in packages]
    return [package for package in found if package]


def last_installed(packages):
    """Return of some packages (list of Installed) the one that was installed last, None of none."""
    return max(packages, key=_installed_at) if packages else None


def versions(run_command, *packages):
    """Return all installed packages (list of Installed) that some names or specs mean: several may be beside each other.

    Raises LivepatchError as installed() does.
    """
    code, output, errors = _rpm(run_command, ["-q", "--qf", _QUERY] + [package_spec(package) for package in packages])
    rows = _rows(output)
    if code != 0 and not rows and "not installed" not in output:
        raise LivepatchError(
            "package_failed",
            "RPM database: expected an answer about %s, found: %s. Check `rpm -q %s` on the host."
            % (packages[0], (output + errors).strip()[:300], packages[0]),
        )
    return rows


def _rows(output):
    """Return what a query with _QUERY printed, as a list of Installed; "package ... is not installed" is no row."""
    rows = []
    for line in output.splitlines():
        kind, dummy, rest = line.partition("\t")
        if kind == "installed":
            words = rest.split("\t")
            if len(words) < 5:
                raise LivepatchError(
                    "package_failed",
                    "RPM database: expected name, version, release, architecture and time of a package, found: %r. "
                    "Check `rpm -qa` on the host." % line[:200],
                )
            signed = [word for word in words[5:] if word.strip() not in _UNSIGNED]
            rows.append(Installed(*words[:5], signature=signed[0] if signed else None, files=[]))
        elif kind == "file" and rows:
            rows[-1].files.append(rest)
    return rows


def _installed_at(package):
    """Seconds since 1970 (int); 0 where the database has no time, which sorts before all others."""
    return int(package.time) if re.match(r"[0-9]{1,12}\Z", package.time) else 0


def forms(package):
    """Return what `rpm -q` finds an Installed package by: name, version, release and architecture, from the left."""
    name, version, release, arch = package[:4]
    short = [name, "%s-%s" % (name, version), "%s-%s-%s" % (name, version, release)]
    return short + ["%s.%s" % (form, arch) for form in short]


Owner = collections.namedtuple("Owner", "nevra changelog")
_OWNER = "owner\\t%{INSTALLTIME}\\t%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\\n[%{CHANGELOGTEXT}\\n]"
_CHANGELOG_CHARACTERS = 1024 * 1024


def owner(run_command, path):
    """Return the installed package that a file belongs to, with its changelog: Owner, or None for nobody's file.

    Of several packages with the same file the one installed last counts. A changelog ends after a million characters.
    Raises LivepatchError: no_package_manager, package_failed.
    """
    code, output, errors = _rpm(run_command, ["-qf", "--qf", _OWNER, path])
    found = re.split(r"^owner\t", output[: 4 * _CHANGELOG_CHARACTERS], flags=re.MULTILINE)[1:]
    if not found:
        if code == 0 or "not owned by any package" in output:
            return None
        raise LivepatchError(
            "package_failed",
            "RPM database: expected an answer about %s, found: %s. Check `rpm -qf %s` on the host."
            % (path, (output + errors).strip()[:300], path),
        )
    last = max(found, key=lambda text: int(text.partition("\t")[0] or 0))
    nevra, dummy, changelog = last.partition("\t")[2].partition("\n")
    return Owner(nevra, changelog[:_CHANGELOG_CHARACTERS])


def kernel_built(run_command, kernel_release):
    """Return when the package of a kernel was built (seconds since 1970, int), None where the RPM database does not tell."""
    images = ["/lib/modules/%s/vmlinuz" % kernel_release, "/boot/vmlinuz-%s" % kernel_release]
    output = _rpm(run_command, ["-qf", "--qf", "built\\t%{NAME}\\t%{BUILDTIME}\\n"] + images)[1]
    found = re.findall(r"^built\tkernel\S*\t([0-9]{1,12})$", output, re.MULTILINE)
    return min(int(seconds) for seconds in found) if found else None


def version_key(text):
    """Return a key that sorts versions, or releases, of packages as rpm compares them (rpm-version(7)).

    Numbers as numbers and after words, words by their letters, what is longer after what it begins with; ~ sorts before the
    end of a version, ^ after it and before all else. Everything else only separates.
    """
    return tuple(_ranked(part) for part in _VERSION_PART.findall(text) + [""])


_VERSION_PART = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")
_RANKS = {"~": -1, "": 0, "^": 1}


def _ranked(part):
    # A number is the larger the longer it is: a foreign one may be longer than Python converts.
    if part[:1].isdigit():
        digits = part.lstrip("0")
        return 3, len(digits), digits
    return _RANKS.get(part, 2), 0, part if part.isalpha() else ""


def is_newer(first, second):
    """Tell whether first is newer than second, as rpm compares (version, release) (tuples of str), without epochs."""
    return [version_key(part) for part in first] > [version_key(part) for part in second]


def signature(run_command, package):
    """Return a word on how an Installed package is signed, or None when it is not signed at all (str).

    Only a package without a signature of rpm 4 costs a query: OPENPGP is what rpm 6 calls the signatures of new ones.
    """
    if package.signature:
        return package.signature
    code, output, dummy = _rpm(run_command, ["-q", "--qf", "%{OPENPGP:pgpsig}\\n", package_spec(package.nevra)])
    signed = [line for line in output.splitlines() if line.strip() not in _UNSIGNED]
    return signed[0] if code == 0 and signed else None


def erase(run_command, package, test, timeout=SECONDS, clock=time.monotonic, sleep=time.sleep):
    """Remove an installed package, or with test=True only find out whether that is possible.

    `rpm -e` refuses where other packages need this one, and never removes them. While somebody else holds rpm's lock it is
    waited for, timeout seconds in all. Raises LivepatchError: package_failed.
    """
    deadline = clock() + timeout
    command = ["-e"] + (["--test"] if test else []) + [package_spec(package)]
    while True:
        code, output, errors = _rpm(run_command, command, max(1, deadline - clock()))
        if code == 0 or not LOCKED.search(output + errors):
            break
        if clock() >= deadline:
            raise LivepatchError(
                "package_failed",
                "package %s: expected to remove it within %d seconds, found another program changing packages all the "
                "time. Let it end, or raise the option timeout." % (package, timeout),
                stderr=errors[-2000:],
            )
        sleep(1)
    if code != 0:
        raise LivepatchError(
            "package_failed",
            "package %s: expected to remove it, found: %s. Remove what needs it first, or keep it."
            % (package, (errors or output).strip()[:600]),
            stderr=errors[-2000:],
        )


def is_locked(run_command):
    """Tell whether another program is changing packages: holds rpm's lock, which is looked at and not taken (bool)."""
    path = _rpm(run_command, ["--eval", "%{_rpmlock_path}"])[1].strip()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except EnvironmentError:
        return False
    try:
        # struct flock of fcntl(2): type, whence, start, length, pid.
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        return struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK
    except EnvironmentError:
        return False
    finally:
        os.close(descriptor)


_FLOCK = "@hhqqi"


def module_files(run_command, package, kernel_release=None):
    """Return the paths (list of str) of the kernel modules that an installed package has for a kernel.

    run_command: AnsibleModule.run_command. package: an installed package as `rpm -q` takes it (str).
    kernel_release: the running kernel's when None.
    Raises LivepatchError: bad_name, not_found, no_module_in_package, other_kernel.
    """
    found = installed(run_command, package)
    if not found:
        raise LivepatchError(
            "not_found",
            "package %s: expected it in the RPM database, it is not installed. Install it first." % package,
        )
    return modules_among(found[0].files, package, kernel_release or os.uname().release)


def modules_among(files, package, kernel_release):
    """Return those of a package's files (list of str) that are modules for a kernel, at least one.

    A module in a directory that names no kernel release counts for every kernel: whoever loads it compares the
    vermagic. package: for the messages. Raises LivepatchError: no_module_in_package, other_kernel.
    """
    modules = [path for path in files if path.startswith("/") and MODULE_FILE.search(path)]
    if not modules:
        raise LivepatchError(
            "no_module_in_package",
            "package %s: expected a kernel module (.ko, .ko.xz, .ko.gz, .ko.zst), found none among its %d files. "
            "Choose another package; a vendor's first, empty livepatch package has no module." % (package, len(files)),
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


def module_of(path):
    """Return what the kernel calls the module in a file (str): dashes become underscores, the ending goes."""
    return MODULE_FILE.sub("", os.path.basename(path)).replace("-", "_")


def verify(run_command, package, lstat=os.lstat):
    """Compare the files of an installed package with the RPM database.

    Returns a list of {"file": path, "differs": [words of VERIFY_COLUMNS and VERIFY_OWNERS, or "missing"]}, empty when all
    have the content that was shipped and only root can change them. Configuration files do not count.
    Raises LivepatchError: bad_name, package_failed (rpm itself failed).
    """
    code, output, errors = _rpm(run_command, ["-V", "--nodeps", "--noscripts", package_spec(package)])
    matches = [VERIFY_LINE.match(line) for line in output.splitlines()]
    if code != 0 and not any(matches):
        raise LivepatchError(
            "package_failed",
            "package %s: cannot compare it with the RPM database: %s. Try `rpm -V %s` on the host."
            % (package, (output + errors).strip()[:300] or "rpm -V failed without a word", package),
        )
    found = [
        {"file": match.group("path"), "differs": _differences(match.group("columns"), match.group("path"), lstat)}
        for match in matches
        if match and match.group("kind") != "c"
    ]
    return [entry for entry in found if entry["differs"]]


def _rpm(run_command, arguments, seconds=SECONDS):
    try:
        code, output, errors = run_command(["timeout", "%d" % seconds, "rpm"] + arguments, handle_exceptions=False)
    except EnvironmentError as error:
        raise _missing(error.strerror or error)
    if code == NOT_THERE:
        raise _missing(errors.strip()[-200:] or "none")
    if code == TIMED_OUT:
        raise LivepatchError(
            "package_failed",
            "rpm %s: expected it to end within %d seconds, it did not. Another program may hold the RPM database; see "
            "who, and try again." % (arguments[0], seconds),
            stderr=errors[-2000:],
        )
    return code, output, errors


def _missing(found):
    return LivepatchError(
        "no_package_manager",
        "rpm: expected the program (and timeout of coreutils) on this host, found: %s. Only hosts with RPM packages can "
        "be served." % found,
    )


def _kernels_in(path):
    return [part for part in path.split("/")[:-1] if KERNEL_DIRECTORY.match(part)]


def _all_kernels(paths):
    return {kernel for path in paths for kernel in _kernels_in(path)}


def _differences(columns, path, lstat):
    if columns == "missing":
        return ["missing"]
    found = [VERIFY_COLUMNS[letter] for letter in columns if letter in VERIFY_COLUMNS]
    owners = [VERIFY_OWNERS[letter] for letter in columns if letter in VERIFY_OWNERS]
    return found + (owners if owners and _others_can_change(path, lstat) else [])


def _others_can_change(path, lstat):
    try:
        status = lstat(path)
    except EnvironmentError:
        return True
    group = 0 if status.st_gid == 0 else stat.S_IWGRP
    return status.st_uid != 0 or bool(not stat.S_ISLNK(status.st_mode) and status.st_mode & (group | stat.S_IWOTH))
