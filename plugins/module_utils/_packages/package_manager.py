# The host's own package manager: installs a package, looks one up, and says why that failed.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# What is asked for is read from query formats and exit codes. Texts of the tools serve only to choose the error code
# of a failure that has neither; the tool's own words are in the result in any case.

import collections
import glob
import os
import re
import shutil
import tempfile
import time
from xml.etree import ElementTree

from ansible_collections.kernel.livepatch.plugins.module_utils._files import times
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import drift, rpm

# Where a package manager writes: package cache, RPM database, modules.
WRITTEN = ("/var/cache", "/var/lib/rpm", "/usr/lib/modules")
LEAST_FREE = 1024 * 1024
STDERR_CHARACTERS = 2000
# Of what a tool wrote, so much of its end tells why it failed; a line of megabytes must not cost minutes.
JUDGED_CHARACTERS = 8 * 1024
TIMED_OUT = 124  # timeout(1)
# What is told to end and does not, as a scriptlet that ignores signals, is killed so many seconds later; timeout(1) dies with
# it then.
KILL_AFTER = 60
_KILLED = (-9, 137)

# First match wins. Kept in English by LC_ALL=C.
REASONS = (
    ("disk_full", r"no space left on device|more space needed on|more space on the|disk quota exceeded|\bENOSPC\b"),
    (
        "bad_signature",
        r"gpg check failed|openpgp check|is not signed|not correct for this package|public key .*not installed"
        r"|signature verification|bad gpg signature|gpg signature verification error|signing key|unsigned"
        r"|contain public key data",
    ),
    (
        "repository_unavailable",
        r"cannot download|error downloading|failed to download|curl error|all mirrors were|no enabled repositories"
        r"|download \(curl\) error|valid metadata not found|not found on medium|status code: \d+",
    ),
    (
        "excluded",
        r"filtered out by (exclude|modular)|matches only (excluded packages|packages excluded)|remove lock to allow",
    ),
    ("not_found", r"unable to find a match|no match for argument|no package .*available"),
)
_NEXT = {
    "disk_full": "Free some space and try again.",
    "bad_signature": "Sign the package, or the metadata, with a key that this host trusts, or import the key with `rpm --import`. A "
    "clock that is behind takes keys for none: see `date` on the host.",
    "repository_unavailable": "Make every enabled repository reachable from this host, or disable it.",
    "package_failed": "Look at stderr in this result, and try the command on the host.",
}


# What dnf 5 writes where a transaction has not begun, as for rpm's lock: it keeps to itself why.
_UNEXPLAINED = re.compile(r"Running transaction\s*\nTransaction failed: Rpm transaction failed\.?\s*$", re.MULTILINE)

# name-version-release.arch: plugins of dnf print lines of their own among those of a query.
_NEVRA = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.+-]*-[A-Za-z0-9_.+~^]+-[A-Za-z0-9_.+~^]+\.[a-z0-9_]+\Z")


Available = collections.namedtuple("Available", "name epoch version release arch built")
Available.nevra = property(lambda package: "%s-%s-%s.%s" % (package[0], package[2], package[3], package[4]))
Available.__doc__ = """A package in a repository. epoch: (str, "0" without one). built: when, in seconds since 1970 (int), None where
the package manager does not tell."""


def nevras(output):
    """Return the lines of a query's output that are name-version-release.arch (list of str)."""
    return [line.strip() for line in output.splitlines() if _NEVRA.match(line.strip())]


def reason(text):
    """Return the error code for what a package manager wrote, or package_failed when it is not recognised."""
    for code, pattern in REASONS:
        if re.search(pattern, text[-JUDGED_CHARACTERS:], re.IGNORECASE):
            return code
    return "package_failed"


def fullest(paths=WRITTEN, statvfs=os.statvfs):
    """Return (path, free bytes for everybody) of the fullest file system that is written to."""
    free = []
    for path in paths:
        try:
            status = statvfs(path)
        except EnvironmentError:
            continue
        free.append((status.f_bavail * status.f_frsize, path))
    size, path = min(free) if free else (LEAST_FREE, "/")
    return path, size


def require_space(spec):
    """Raise disk_full where not even the smallest package could be installed."""
    path, free = fullest()
    if free < LEAST_FREE:
        raise LivepatchError(
            "disk_full",
            "package %s: expected at least %d bytes free at %s, found %d. %s"
            % (spec, LEAST_FREE, path, free, _NEXT["disk_full"]),
        )


def failure(code, spec, command, output, errors):
    """Return the LivepatchError for a command that failed with this code."""
    message = "package %s: expected %s to succeed, found: %s." % (
        spec,
        " ".join(command[:1] + [word for word in command[1:] if not word.startswith("-")][:1]),
        _last_words(errors) or _last_words(output) or "no message",
    )
    if code == "disk_full":
        message += " The fullest file system is that of %s with %d bytes free." % fullest()
    return LivepatchError(code, "%s %s" % (message, _NEXT[code]), stderr=(errors or output)[-STDERR_CHARACTERS:])


class Manager:
    """A package manager, run through AnsibleModule.run_command with a limit of seconds for each command."""

    program = None

    def __init__(self, run_command, path, timeout, timeout_path, clock=time.monotonic):
        self._clock = clock
        self._run_command = run_command
        self._path = path
        self._timeout = timeout
        self._timeout_path = timeout_path
        self.warnings = []

    def run(self, arguments):
        """Return (exit code, output, errors, command). A command that takes too long is ended, and raises.

        What finds rpm's lock taken, as dnf does not wait for it, is tried again until its time is over.
        """
        deadline, again = self._clock() + self._timeout, True
        while True:
            code, output, errors, command = self._run_once(arguments)
            text = (errors + output)[-JUDGED_CHARACTERS:]
            locked = code != 0 and rpm.LOCKED.search(text)
            if code != 0 and _UNEXPLAINED.search(text):
                # That of dnf 5, which waits some seconds: whoever had the lock may have just ended.
                locked, again = again or rpm.is_locked(self._run_command), False
            if not locked or self._clock() >= deadline:
                return code, output, errors, command
            time.sleep(1)

    def _run_once(self, arguments):
        command = [self._path] + arguments
        limit, started = self._limit(), self._clock()
        code, output, errors = self._run_command(limit + command, environ_update=self._environment())
        killed = code in _KILLED and self._clock() - started >= self._timeout
        if limit and (code == TIMED_OUT or killed):
            raise LivepatchError(
                "package_failed",
                "%s: expected it to end within %d seconds, it did not. Another package manager may hold the lock, or a "
                "repository may be slow; try again, or raise the option timeout." % (" ".join(command), self._timeout),
                stderr=(errors or output)[-STDERR_CHARACTERS:],
            )
        return code, output, errors, [self.program] + arguments

    def _limit(self):
        if not self._timeout_path:
            return []
        return [self._timeout_path, "--kill-after=%d" % KILL_AFTER, "%d" % self._timeout]

    def would_install(self, spec):
        """Return what available() returns; raise as install() would where the host must not install it."""
        found = self.available(spec)
        if self.is_excluded(found or spec):
            raise self._excluded(spec)
        return found

    def is_excluded(self, spec):
        """Tell whether this host's configuration keeps a package out that a repository has: an exclude, a lock (bool).

        A query does not see all of them; an installation that is declined says so.
        """
        dummy, output, errors, dummy = self.run(self.DECLINED + [spec])
        return reason(errors + output) == "excluded"

    def _excluded(self, spec, errors=""):
        return LivepatchError(
            "package_failed",
            "package %s: expected to be allowed to install it, found it excluded by the configuration of %s on "
            "this host. Remove the exclude or the version lock." % (spec, self.program),
            stderr=errors[-STDERR_CHARACTERS:],
        )

    def candidates(self, names):
        """Return all packages (list of Available) whose name matches a glob, also those that the host excludes.

        With fresh metadata of every enabled repository: one that is down is no repository without packages.
        Raises LivepatchError.
        """
        raise NotImplementedError

    def changelog(self, package):
        """Return the changelog (str) of a package in a repository (name-version-release.arch); None where it does not tell."""
        return None

    def _environment(self):
        return {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "C"}

    def _require_signatures(self, spec, files):
        """Refuse downloaded packages (paths) that no key of this host has signed, and where there are none to check."""
        if not files:
            raise LivepatchError(
                "bad_signature",
                "package %s: expected %s to download it, so that its signature can be checked, found no file of it. "
                "A repository on this host's own disk is not downloaded from: serve it by HTTP, or give gpg_check: false."
                % (spec, self.program),
            )
        for path in files:
            # "all": without it a package that has no signature passes.
            command = ["rpmkeys", "--define", "_pkgverify_level all", "--checksig", path]
            code, output, errors = self._run_command(self._limit() + command, environ_update=self._environment())
            if code != 0:
                raise failure("bad_signature", spec, command[:1] + command[3:], output, errors)


class Dnf(Manager):
    """dnf 4, dnf 5, and yum where that is dnf."""

    program = "dnf"
    # A repository that is down must not look like one without the package, and old metadata not like new.
    STRICT = ["--refresh", "--setopt=skip_if_unavailable=0", "--setopt=*.skip_if_unavailable=0"]
    # "all" is the word of dnf 4, "*" that of dnf 5.
    UNFILTERED = ["--setopt=disable_excludes=all,*"]
    # What tells CVEs, also where a host does without; a dnf 4 before 4.16, which always has it, grumbles and goes on.
    WITH_ADVISORIES = ["--setopt=optional_metadata_types=comps,updateinfo"]
    DECLINED = ["--assumeno", "install"]
    GPG = ["--setopt=gpgcheck=1", "--setopt=*.gpgcheck=1", "--setopt=localpkg_gpgcheck=1"]

    def install(self, spec, gpg_check):
        """Install spec; older than the installed one is a downgrade, which dnf does by itself.

        Returns True, or False when no reachable repository has the package. Raises LivepatchError.
        """
        code = self._try_install(spec, gpg_check)
        if code is None:
            return True
        available = self.available(spec, strict=True)
        if available is None:
            return False
        # The metadata was older than the repository: it did not have the package, or had it at another place.
        if code in ("not_found", "repository_unavailable") and self._try_install(spec, gpg_check) is None:
            return True
        raise self._error

    def available(self, spec, strict=False):
        """Return the newest available name-version-release.arch for spec, or None. Raises LivepatchError.

        strict: with fresh metadata of every enabled repository, and of what the host excludes. Otherwise as the host is
        configured, and strictly only when that does not find the package.
        """
        query = ["--latest-limit=1", "--qf", r"%{name}-%{version}-%{release}.%{arch}\n", spec]
        code, output, errors, command = self._query(self.STRICT + self.UNFILTERED if strict else [], query)
        names = nevras(output)
        if code == 0 and names:
            return names[-1]
        if not strict:
            return self.available(spec, strict=True)
        if code != 0:
            raise self._not_answered(spec, command, output, errors)
        return None

    def candidates(self, names):
        query = ["--disable-modular-filtering", "--qf", _BUILD_FORMAT, names]
        code, output, errors, command = self._query(self.STRICT + self.UNFILTERED + self.WITH_ADVISORIES, query)
        if code != 0:
            raise self._not_answered(names, command, output, errors)
        return _builds(output)

    def changelog(self, package):
        code, output, dummy, dummy = self._query(self.UNFILTERED, ["--changelogs", package])
        return output if code == 0 else None

    def _query(self, options, words):
        # -y as in install: at a first use dnf asks whether the key that the repository names may check its metadata.
        return self.run(["-q", "-y"] + options + ["repoquery", "--available"] + words)

    def _not_answered(self, spec, command, output, errors):
        known = reason(errors + output)
        code = known if known in ("disk_full", "bad_signature") else "repository_unavailable"
        return failure(code, spec, command, output, errors)

    def _try_install(self, spec, gpg_check):
        """Return None when it worked, else the reason that needs a second look; raise what is clear at once."""
        code, output, errors, command = self.run(["-y"] + (self.GPG if gpg_check else []) + ["install", spec])
        if code == 0:
            return None
        known = reason(errors + output)
        if known == "excluded":
            raise self._excluded(spec, errors)
        self._error = failure(known if known in _NEXT else "package_failed", spec, command, output, errors)
        if known in ("disk_full", "bad_signature"):
            raise self._error
        return known


class Tdnf(Manager):
    """tdnf of Photon and Azure Linux. It prints the number of an error; its exit status keeps only 8 bits of that."""

    program = "tdnf"
    NUMBER = re.compile(r"^Error\(([0-9]+)\)", re.MULTILINE)
    # From tdnf's include/tdnferror.h.
    NOT_FOUND = (1011, 1599, 1661)
    CODES = (
        (
            "repository_unavailable",
            (1006, 1007, 1008, 1012, 1524, 1527, 1528, 2500, 2501, 2502) + tuple(range(1200, 1300)),
        ),
        ("bad_signature", (1471, 1472, 1473, 1474, 1505, 1506, 1507, 1508, 1510, 1512, 1513, 1514, 1523)),
        ("disk_full", (1036,)),
    )
    # It goes on without a repository that is down, where that one is configured so.
    SKIPPED = "Disabling Repo:"
    DECLINED = ["--assumeno", "install"]
    # What is excluded (and that is said of all excludes), and what a lowest version keeps out.
    EXCLUDED = re.compile(r"packages are excluded from(?s:.*)Nothing to do|^\S*\s*package \S+ is disabled", re.MULTILINE)
    THERE = "already installed"

    def install(self, spec, gpg_check):
        """Install spec, also an older one. Returns True, or False when no repository has it. Raises LivepatchError.

        A package that is not found, or not fetched, is looked for once more with fresh metadata.
        """
        if gpg_check and not self._check(spec):
            return False
        return self._twice(["install", spec], spec) is not None

    def available(self, spec):
        """Return the newest available name-version-release.arch for spec, or None. Raises LivepatchError."""
        names = self._twice(["repoquery", "--available", spec], spec, nevras)
        return max(names, key=drift.age) if names else None

    def is_excluded(self, spec):
        """The same for tdnf, which ends well where it leaves out what is excluded."""
        dummy, output, errors, dummy = self.run(self.DECLINED + [spec])
        text = output[-JUDGED_CHARACTERS:] + "\n" + errors[-JUDGED_CHARACTERS:]
        return self.THERE not in text and bool(self.EXCLUDED.search(text))

    def candidates(self, names):
        code, output, errors, command = self.run(["-y", "--refresh", "repoquery", "--available", names])
        known = self._told(code, output, errors)
        if known not in (None, "not_found"):
            raise failure(known, names, command, output, errors)
        return [_of_nevra(nevra) for nevra in nevras(output)]

    def changelog(self, package):
        code, output, dummy, dummy = self.run(["-y", "repoquery", "--available", "--changelogs", package])
        return output if code == 0 else None

    def _check(self, spec):
        """Check the signature of what would be installed; tdnf leaves it to each repository whether there is one.

        Returns False when no repository has it.
        """
        directory = tempfile.mkdtemp(prefix="livepatch-")
        try:
            words = ["install", "--downloadonly", "--downloaddir=" + directory, spec]
            if self._twice(words, spec) is None:
                return False
            files = sorted(glob.glob(os.path.join(directory, "*.rpm")))
            if not files and self.is_excluded(spec):
                raise self._excluded(spec)
            self._require_signatures(spec, files)
            return True
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _twice(self, words, spec, answer=lambda output: True):
        """Return the answer in a command's output; None where it does not find the spec, with fresh metadata neither."""
        for options in (["-y"], ["-y", "--refresh"]):
            code, output, errors, command = self.run(options + words)
            found = answer(output) if code == 0 and not self.NUMBER.search(errors + "\n" + output) else None
            if found:
                return found
            known = self._told(code, output, errors) or "not_found"
            if known in ("disk_full", "bad_signature", "package_failed"):
                raise failure(known, spec, command, output, errors)
        if known == "repository_unavailable":
            raise failure(known, spec, command, output, errors)
        return None

    def _told(self, code, output, errors):
        """Return what keeps a command from an answer about all repositories (error code or not_found), None where nothing does."""
        text = errors + "\n" + output
        found = self.NUMBER.search(text)
        number = int(found.group(1)) if found else None
        if self.SKIPPED in text:
            return "repository_unavailable"
        if number is None and code == 0:
            return None
        if number in self.NOT_FOUND:
            return "not_found"
        known = next((code for code, numbers in self.CODES if number in numbers), reason(text))
        return known if known in _NEXT else "package_failed"


class Zypper(Manager):
    """zypper. Its exit codes are documented in zypper(8), EXIT CODES; texts are read as XML only."""

    program = "zypper"
    # Done, though: a reboot is needed; zypper wants to be started again; some repository was skipped.
    DONE = (0, 102, 103, 106)
    NO_REPOSITORY, LOCKED, NOT_FOUND, SKIPPED, SCRIPT_FAILED = 6, 7, 104, 106, 107
    # Where packages are downloaded to, whatever zypp.conf says.
    PACKAGES = "/var/cache/zypp/packages"
    DECLINED = ["--non-interactive", "--xmlout", "install", "--dry-run", "--oldpackage", "--no-recommends"]

    def __init__(self, *arguments):
        super(Zypper, self).__init__(*arguments)
        self._fresh = False
        self._planned = None

    def install(self, spec, gpg_check):
        """Install spec, also an older one. Returns True, or False when no repository has it. Raises LivepatchError.

        A package that is not found is looked for once more with fresh metadata of every repository.
        """
        if gpg_check:
            self._require_checks(spec)
            if self._twice(spec, ["--download-only"]) is None:
                return False
            self._require_signature(spec)
        return self._twice(spec, []) is not None

    def available(self, spec):
        """Return the name-version-release.arch that would be installed for spec, or None. Raises LivepatchError.

        It is spec itself where zypper would install nothing, as it is installed.
        """
        return self._twice(spec, ["--dry-run"])

    def would_install(self, spec):
        """The same as available, which is an installation that is only tried and raises for what is locked."""
        return self.available(spec)

    def candidates(self, names):
        if not self._fresh:
            self._refresh(names)
        words = ["--non-interactive", "--xmlout", "search", "--details", "--type", "package", names]
        code, output, errors, command = self.run(words)
        if code not in self.DONE and code != self.NOT_FOUND:
            raise self._failure(code, names, command, output, errors)
        found = []
        for solvable in _elements(output, "solvable"):
            name, edition, arch = (solvable.get(key) or "" for key in ("name", "edition", "arch"))
            # What is installed, and in no repository any more, has this one in brackets.
            if (solvable.get("repository") or "(").startswith("("):
                continue
            epoch, separator, version = edition.rpartition(":")
            nevra = "%s-%s.%s" % (name, version, arch)
            found += [_of_nevra(nevra)._replace(epoch=epoch or "0")] if nevras(nevra) else []
        return found

    def _twice(self, spec, options):
        found = self._install(spec, options)
        if found is None and not self._fresh:
            self._refresh(spec)
            found = self._install(spec, options)
        return found

    def _install(self, spec, options):
        words = ["--non-interactive", "--xmlout", "--pkg-cache-dir", self.PACKAGES]
        words += ["install", "--oldpackage", "--no-recommends"]
        code, output, errors, command = self.run(words + list(options) + [spec])
        if code == self.NOT_FOUND:
            return None
        if code == self.SCRIPT_FAILED:
            # As with dnf the package is installed then; what its files are worth is looked at in any case.
            self.warnings.append("A script of the package %s failed: %s" % (spec, _last_words(_messages(output))))
        elif code not in self.DONE:
            raise self._failure(code, spec, command, output, errors)
        self._planned = _to_install(output, spec)
        return self._planned or spec

    def _require_signature(self, spec):
        """Refuse a downloaded package that no key of this host has signed.

        zypper itself is content with the signature of the repository's metadata: it installs what a stranger has signed.
        """
        if self._planned is None:
            return  # it is installed
        files = glob.glob("%s/**/%s.rpm" % (glob.escape(self.PACKAGES), glob.escape(self._planned)), recursive=True)
        self._require_signatures(spec, files)

    def _refresh(self, spec):
        code, output, errors, command = self.run(["--non-interactive", "--xmlout", "refresh"])
        # A repository that was skipped may be the one that has the package.
        if code not in self.DONE or code == self.SKIPPED:
            known = reason(errors + output)
            code = known if known in ("disk_full", "bad_signature") else "repository_unavailable"
            raise failure(code, spec, command, _messages(output), errors)
        self._fresh = True

    def _failure(self, code, spec, command, output, errors):
        known = "repository_unavailable" if code == self.NO_REPOSITORY else reason(errors + output)
        if known == "excluded":
            return self._excluded(spec, errors or output)
        if code == self.LOCKED or known not in _NEXT:
            known = "package_failed"
        return failure(known, spec, command, _messages(output), errors)

    def _require_checks(self, spec):
        """zypper cannot force signature checks for one transaction: refuse a repository that checks nothing.

        Signed metadata is enough: it has the checksums of the packages (zypper then shows pkg_gpgcheck="0").
        """
        code, output, errors, command = self.run(["--non-interactive", "--xmlout", "repos"])
        repositories = _elements(output, "repo")
        if code != 0 or not repositories:
            raise self._failure(code or self.NO_REPOSITORY, spec, command, output, errors)
        unchecked = [
            repository.get("alias")
            for repository in repositories
            if repository.get("enabled") == "1"
            and repository.get("repo_gpgcheck") == repository.get("pkg_gpgcheck") == "0"
        ]
        if unchecked:
            raise LivepatchError(
                "bad_signature",
                "package %s: expected signature checks in every enabled repository, found them off in %s. "
                "Set gpgcheck=1 there, or give gpg_check: false." % (spec, ", ".join(unchecked)),
            )

    def _environment(self):
        return dict(super(Zypper, self)._environment(), ZYPP_LOCK_TIMEOUT="%d" % self._timeout)


# A line of this form for each package: what plugins print is none. dnf 4 tells times as texts in UTC, dnf 5 as numbers.
_BUILD_FORMAT = r"available|%{name}|%{epoch}|%{version}|%{release}|%{arch}|%{buildtime}\n"
_BUILD_LINE = re.compile(r"available\|([^|\s]+)\|([0-9]*)\|([^|\s]+)\|([^|\s]+)\|([a-z0-9_]+)\|([0-9: -]*)\Z")
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2})\Z")


def _builds(output):
    """Return the packages (list of Available) in what dnf answered to a query with _BUILD_FORMAT."""
    found = []
    for line in output.splitlines():
        match = _BUILD_LINE.match(line.strip())
        if match:
            name, epoch, version, release, arch, built = match.groups()
            package = Available(name, epoch or "0", version, release, arch, _seconds(built))
            found += [package] if nevras(package.nevra) else []
    return found


def _seconds(text):
    """Return a build time as seconds since 1970 (int), None for what is none."""
    found = _TIME.match(text)
    try:
        return times.to_seconds("%sT%s:00Z" % found.groups()) if found else int(text)
    except ValueError:
        return None


def _of_nevra(nevra):
    """Return the Available of a name-version-release.arch."""
    rest, dummy, arch = nevra.rpartition(".")
    rest, dummy, release = rest.rpartition("-")
    name, dummy, version = rest.rpartition("-")
    return Available(name, "0", version, release, arch, None)


def _elements(output, tag):
    """Return the elements of one name in what zypper wrote as XML; none where it is no XML."""
    try:
        return list(ElementTree.fromstring(output).iter(tag))
    except ElementTree.ParseError:
        return []


def _messages(output):
    """Return the messages in what zypper wrote as XML, a line each (str); the text itself where it is no XML."""
    return "\n".join((element.text or "").strip() for element in _elements(output, "message")) or output


def _to_install(output, spec):
    """Return the name-version-release.arch for spec that zypper's XML says it installs (install-summary), or None."""
    for solvable in _elements(output, "solvable"):
        name, edition, arch = (solvable.get(key) for key in ("name", "edition", "arch"))
        nevra = "%s-%s.%s" % (name, edition, arch)
        if solvable.get("type") == "package" and None not in (name, edition, arch) and _is_meant(spec, name, nevra):
            return nevra
    return None


def _is_meant(spec, name, nevra):
    return spec in (name, nevra) or (spec.startswith(name) and nevra.startswith(spec) and nevra[len(spec)] in "-.")


def choose(run_command, find, timeout, os_family_ids=()):
    """Return the host's Manager, or raise no_package_manager.

    find: function from a program's name to its path or None. timeout: seconds for each command (int). os_family_ids:
    words of ID and ID_LIKE in os-release: a host of the SUSE family may have dnf beside zypper, which has the repositories.
    """
    programs = [("dnf", Dnf), ("dnf5", Dnf), ("zypper", Zypper), ("tdnf", Tdnf), ("yum", Dnf)]
    if "suse" in os_family_ids:
        programs.sort(key=lambda program: program[0] != "zypper")
    found = "none"
    for name, kind in programs:
        path = find(name)
        if path:
            manager = kind(run_command, path, timeout, find("timeout"))
            if name != "yum" or not manager.run(["--version"])[1].startswith("3."):
                return manager
            found = "yum 3, which has no way to ask for fresh metadata"
    raise LivepatchError(
        "no_package_manager",
        "this host: expected dnf, a yum that is dnf, tdnf or zypper, found %s. Install the package by other means, and "
        "give the module livepatch its file." % found,
    )


def _last_words(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:])[-400:].rstrip(".")
