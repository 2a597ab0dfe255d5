# The host's own package manager: installs a package, looks one up, and says why that failed.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# What is asked for is read from query formats and exit codes. Texts of the tools serve only to choose the error code
# of a failure that has neither; the tool's own words are in the result in any case.

import os
import re
from xml.etree import ElementTree

from ansible_collections.kernel.livepatch.plugins.module_utils._errors import LivepatchError

# Where a package manager writes: package cache, RPM database, modules.
WRITTEN = ("/var/cache", "/var/lib/rpm", "/usr/lib/modules")
LEAST_FREE = 1024 * 1024
STDERR_CHARACTERS = 2000
TIMED_OUT = 124  # timeout(1)

# First match wins. Kept in English by LC_ALL=C.
REASONS = (
    ("disk_full", r"no space left on device|more space needed on|more space on the|disk quota exceeded|\bENOSPC\b"),
    (
        "bad_signature",
        r"gpg check failed|openpgp check|is not signed|not correct for this package|public key .*not installed"
        r"|signature verification|bad gpg signature|gpg signature verification error|signing key|unsigned",
    ),
    (
        "repository_unavailable",
        r"cannot download|error downloading|failed to download|curl error|all mirrors were|no enabled repositories"
        r"|download \(curl\) error|valid metadata not found|not found on medium|status code: \d+",
    ),
    ("excluded", r"filtered out by (exclude|modular)"),
    ("not_found", r"unable to find a match|no match for argument|no package .*available"),
)
_NEXT = {
    "disk_full": "Free some space and try again.",
    "bad_signature": "Sign the package with a key that this host trusts, or import the key with `rpm --import`.",
    "repository_unavailable": "Make every enabled repository reachable from this host, or disable it.",
    "package_failed": "Look at stderr in this result, and try the command on the host.",
}


def reason(text):
    """Return the error code for what a package manager wrote, or package_failed when it is not recognised."""
    for code, pattern in REASONS:
        if re.search(pattern, text, re.IGNORECASE):
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

    def __init__(self, run_command, path, timeout, timeout_path):
        self._run_command = run_command
        self._path = path
        self._timeout = timeout
        self._timeout_path = timeout_path

    def run(self, arguments):
        """Return (exit code, output, errors, command). A command that takes too long is ended, and raises."""
        command = [self._path] + arguments
        limit = [self._timeout_path, "%d" % self._timeout] if self._timeout_path else []
        code, output, errors = self._run_command(limit + command, environ_update=self._environment())
        if limit and code == TIMED_OUT:
            raise LivepatchError(
                "package_failed",
                "%s: expected it to end within %d seconds, it did not. Another package manager may hold the lock, or a "
                "repository may be slow; try again, or raise the option timeout." % (" ".join(command), self._timeout),
                stderr=(errors or output)[-STDERR_CHARACTERS:],
            )
        return code, output, errors, [self.program] + arguments

    def _environment(self):
        return {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "C"}


class Dnf(Manager):
    """dnf 4, dnf 5, and yum where that is dnf."""

    program = "dnf"
    # A repository that is down must not look like one without the package, and old metadata not like new.
    STRICT = ["--refresh", "--setopt=skip_if_unavailable=0", "--setopt=*.skip_if_unavailable=0"]
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

        strict: with fresh metadata of every enabled repository. Otherwise as the host is configured, and strictly
        only when that does not find the package.
        """
        # -y as in install: at a first use dnf asks whether the key that the repository names may check its metadata.
        arguments = ["-q", "-y"] + (self.STRICT if strict else [])
        query = [
            "repoquery",
            "--available",
            "--latest-limit=1",
            "--qf",
            r"%{name}-%{version}-%{release}.%{arch}\n",
            spec,
        ]
        code, output, errors, command = self.run(arguments + query)
        names = [line.strip() for line in output.splitlines() if line.strip()]
        if code == 0 and names:
            return names[-1]
        if not strict:
            return self.available(spec, strict=True)
        if code != 0:
            known = reason(errors + output)
            code = known if known in ("disk_full", "bad_signature") else "repository_unavailable"
            raise failure(code, spec, command, output, errors)
        return None

    def _try_install(self, spec, gpg_check):
        """Return None when it worked, else the reason that needs a second look; raise what is clear at once."""
        code, output, errors, command = self.run(["-y"] + (self.GPG if gpg_check else []) + ["install", spec])
        if code == 0:
            return None
        known = reason(errors + output)
        if known == "excluded":
            raise LivepatchError(
                "package_failed",
                "package %s: expected to be allowed to install it, found it excluded by the configuration of dnf on "
                "this host. Remove the exclude or the version lock." % spec,
                stderr=errors[-STDERR_CHARACTERS:],
            )
        self._error = failure(known if known in _NEXT else "package_failed", spec, command, output, errors)
        if known in ("disk_full", "bad_signature"):
            raise self._error
        return known


class Zypper(Manager):
    """zypper; its exit codes are documented in zypper(8), EXIT CODES."""

    program = "zypper"
    # Done, though: a reboot is needed; restart zypper; some repository was skipped.
    DONE = (0, 102, 103, 106)
    NOT_FOUND = 104

    def install(self, spec, gpg_check):
        """Install spec, also an older one. Returns True, or False when no repository has it. Raises LivepatchError."""
        if gpg_check:
            self._require_checks(spec)
        return self.available(spec, options=[]) is not None

    def available(self, spec, options=("--dry-run",)):
        """Return spec when a repository has it, or None: zypper has no query format. Raises LivepatchError.

        A package that is not found is looked for once more with fresh metadata of every repository.
        """
        if self._install(spec, options):
            return spec
        self._refresh(spec)
        return self._install(spec, options)

    def _install(self, spec, options):
        arguments = ["--non-interactive", "install", "--oldpackage", "--no-recommends"] + list(options) + [spec]
        code, output, errors, command = self.run(arguments)
        if code in self.DONE:
            return spec
        if code == self.NOT_FOUND:
            return None
        known = reason(errors + output)
        raise failure(known if known in _NEXT else "package_failed", spec, command, output, errors)

    def _refresh(self, spec):
        code, output, errors, command = self.run(["--non-interactive", "refresh"])
        if code not in self.DONE[:3]:
            known = reason(errors + output)
            code = known if known in ("disk_full", "bad_signature") else "repository_unavailable"
            raise failure(code, spec, command, output, errors)

    def _require_checks(self, spec):
        """zypper cannot force signature checks for one transaction: refuse a repository that checks nothing.

        Signed metadata is enough: it has the checksums of the packages (zypper then shows pkg_gpgcheck="0").
        """
        code, output, errors, command = self.run(["--non-interactive", "--xmlout", "repos"])
        try:
            repositories = list(ElementTree.fromstring(output).iter("repo"))
        except ElementTree.ParseError:
            raise failure("package_failed", spec, command, output, errors)
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


def choose(run_command, find, timeout):
    """Return the host's Manager, or raise no_package_manager.

    find: function from a program's name to its path or None. timeout: seconds for each command (int).
    """
    for name, kind in (("dnf", Dnf), ("dnf5", Dnf), ("zypper", Zypper), ("yum", Dnf)):
        path = find(name)
        if path:
            return kind(run_command, path, timeout, find("timeout"))
    raise LivepatchError(
        "no_package_manager",
        "this host: expected dnf, yum or zypper, found none. Install the package by other means, and give the module "
        "livepatch its file.",
    )


def _last_words(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:])[-400:].rstrip(".")
