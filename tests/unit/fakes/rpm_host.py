# A host with an RPM database and a package manager, as AnsibleModule.run_command shows them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The texts are what dnf 4.14, zypper 1.14 and rpm 4.18 wrote on a real host in the same situation; those of tdnf and dnf 5
# are in their sources.

import errno
import os

from tests.unit.fakes import elf

KERNEL = "6.1.0-56-amd64"
NAME = "klp-" + KERNEL

NO_MATCH = "Error: Unable to find a match: %s\n"
REPOSITORY_DOWN = (
    "Error: Failed to download metadata for repo 'lab': Cannot download repomd.xml: "
    "Cannot download repodata/repomd.xml: All mirrors were tried\n"
)
PACKAGE_GONE = "Error: Error downloading packages:\n  %s-1.x86_64: Cannot download, all mirrors were already tried\n"
UNSIGNED = "Package %s-1.x86_64.rpm is not signed\nError: GPG check FAILED\n"
OTHER_KEY = (
    'The GPG keys listed for the "lab" repository are already installed but they are not correct for this package.\n'
    "Error: GPG check FAILED\n"
)
FULL = (
    "Error: Transaction test error:\n"
    "  installing package %s-1.x86_64 needs 8KB more space on the /usr/lib/modules filesystem\n"
)
EXCLUDED = "All matches were filtered out by exclude filtering for argument: %s\n" + NO_MATCH
EXCLUDED_5 = "Failed to resolve the transaction:\nArgument '%s' matches only excluded packages.\n"
LOCKED_5 = "Failed to resolve the transaction:\nArgument '%s' matches only packages excluded by versionlock.\n"
SUBSCRIPTION = "Updating Subscription Management repositories.\n"
RPM_LOCKED = "error: can't create transaction lock on /var/lib/rpm/.rpm.lock (Resource temporarily unavailable)\n"
OTHER_SIGNATURE = "digests SIGNATURES NOT OK"
SCRIPTLET = "Error: Transaction failed\n"


class RpmHost(object):
    """Installs, removes and answers for packages called NAME, with the release as version and 1 as RPM release.

    available: releases in the repositories. stale: releases that only fresh metadata shows. trouble: what dnf install
    writes when it fails; with refreshing_helps only until the metadata is read again.
    zypper_code: the exit code of zypper install, in place of what would follow. others: further installed packages, as specs.
    cache: directory (pathlib) that zypper downloads into; untrusted: whether no key of the host has signed what is there.
    down: whether a repository is unreachable. skips: whether dnf is configured to overlook that. excluded: what dnf says where every
    package is excluded. lenient: whether dnf has strict=0. noise: what plugins print before an answer. locked: how many calls of
    `rpm -e` and `dnf install` find rpm's lock taken. version: what yum says of itself.
    """

    def __init__(self, program="dnf", available=("hotfix1", "hotfix2", "hotfix3")):
        self.program = program
        self.available = set(available)
        self.stale = set()
        self.installed = None
        self.signature = "RSA/SHA512, Sat Nov 21 10:51:57 2026, Key ID 9a16baf8d3115ce6"
        self.files = ["/usr/lib/modules/%s/livepatch/{release}.ko" % KERNEL]
        self.verification = ""
        self.needed_by = None
        self.trouble = None
        self.refreshing_helps = False
        self.down = False
        self.skips = True
        self.slow = False
        self.gpg_off = False
        self.zypper_code = None
        self.cache = None
        self.untrusted = False
        self.others = []
        self.excluded = None
        self.lenient = False
        self.noise = ""
        self.locked = 0
        self.version = "4.14.0\n"
        self.calls = []

    def find(self, name):
        return {"timeout": "/usr/bin/timeout", self.program: "/usr/bin/" + self.program}.get(name)

    def run(self, command, environ_update=None, handle_exceptions=True):
        self.calls.append(list(command))
        command = [word for word in command if not word.startswith("--kill-after=")]
        if command[0] == "timeout":
            command = command[2:]
        if command[0] == "rpm":
            if self.program is None:
                raise OSError(errno.ENOENT, "No such file or directory")
            return getattr(self, "_rpm_" + command[1].strip("-"))(command[2:])
        if "rpmkeys" in command:
            return (
                (1 if self.untrusted else 0),
                "%s: %s\n" % (command[-1], OTHER_SIGNATURE if self.untrusted else "digests OK"),
                "",
            )
        assert command[0] == "/usr/bin/timeout"
        if self.slow:
            return 124, "", ""
        words = command[3:]
        assert command[2] == "/usr/bin/" + self.program
        return {"zypper": self._zypper, "tdnf": self._tdnf}.get(self.program, self._dnf)(words)

    def ran(self, program):
        """The commands of a program (last part of its path) that have been run, without what limits their time."""
        calls = [[word for word in call if not word.startswith("--kill-after=")] for call in self.calls]
        commands = [call[2:] if call[0].endswith("timeout") else call for call in calls]
        return [call[1:] for call in commands if call[0].split("/")[-1] == program]

    # --- rpm

    def _rpm_q(self, words):
        query, packages = words[1], words[2:]
        lines, missing = [], 0
        for package in packages:
            if package in self.others:
                lines.append("installed\t%s\t%s\t1\tx86_64\t100\t(none)\n" % tuple(package.rsplit("-", 1)))
            elif not self._means(package):
                lines.append("package %s is not installed\n" % package)
                missing += 1
            elif "NAME" not in query:
                missing += 1  # rpm 4: incorrect format: unknown tag: "OPENPGP"
            else:
                tags = "\t".join([self.signature] + ["(none)"] * (query.count("pgpsig") - 1))
                lines.append("installed\t%s\t%s\t1\tx86_64\t100\t%s\n" % (NAME, self.installed, tags))
                lines.extend("file\t%s\n" % path.format(release=self.installed) for path in self.files)
        return missing, "".join(lines), ""

    def _rpm_V(self, words):
        return (1 if self.verification else 0), self.verification, ""

    def _rpm_e(self, words):
        if self.locked:
            self.locked -= 1
            return 1, "", RPM_LOCKED
        if self.needed_by:
            return 1, "", "error: Failed dependencies:\n\t%s is needed by (installed) %s\n" % (NAME, self.needed_by)
        if "--test" not in words:
            self.installed = None
        return 0, "", ""

    def _rpm_eval(self, words):
        first, second = words[0].split('"')[1:4:2]
        return 0, "%d\n" % ((first > second) - (first < second)), ""

    def _means(self, package):
        base = "%s-%s" % (NAME, self.installed)
        return self.installed is not None and package in (NAME, base, base + "-1", base + "-1.x86_64")

    def _release(self, spec):
        """The release that a spec means; that of another package is one that no repository has."""
        release = spec[len(NAME) + 1 :] if spec.startswith(NAME + "-") else spec
        return release[: -len("-1.x86_64")] if release.endswith("-1.x86_64") else release

    # --- dnf

    def _dnf(self, words):
        if "--version" in words:
            return 0, self.version, ""
        code, output, errors = self._dnf_command(words)
        return code, self.noise + output, errors

    def _dnf_command(self, words):
        release = self._release(words[-1])
        strict = "--setopt=*.skip_if_unavailable=0" in words
        if "--refresh" in words and not self.down:
            self.available |= self.stale
            self.trouble = None if self.refreshing_helps else self.trouble
        if self.down and (strict or not self.skips):
            return 1, "", REPOSITORY_DOWN
        known = release in self.available and not self.down and not self.excluded
        if "repoquery" in words:
            return 0, ("%s-%s-1.x86_64\n\n" % (NAME, release) if known else ""), ""
        assert "install" in words
        if self.locked:
            self.locked -= 1
            return 1, "", "RPM: " + RPM_LOCKED + "Error: Could not run transaction.\n"
        if self.excluded:
            return (0 if self.lenient else 1), "", self.excluded.replace("%s", words[-1])
        if self.trouble:
            return 1, "", self.trouble.replace("%s", words[-1])
        if not known and self.lenient:
            return 0, "No match for argument: %s\nDependencies resolved.\nNothing to do.\nComplete!\n" % words[-1], ""
        if not known:
            return 1, "", NO_MATCH % words[-1]
        if "--assumeno" in words:
            return 1, "", "Operation aborted.\n"
        self.installed = release
        return 0, "Complete!\n", ""

    # --- tdnf

    def _tdnf(self, words):
        release = self._release(words[-1])
        if "--refresh" in words and not self.down:
            self.available |= self.stale
        said = self.noise
        if self.down and not self.skips:
            return 1201 + 7 & 255, "", "Error(1207) : Couldn't connect to server\n"
        if self.down:
            said += "Disabling Repo: 'lab'\n"
        if release not in self.available or self.down:
            return (
                1011 & 255,
                said,
                "%s package not found or not installed\nError(1011) : No matching packages\n" % words[-1],
            )
        if "repoquery" in words:
            return 0, said + "%s-%s-1.x86_64\n" % (NAME, release), ""
        assert "install" in words
        if "--assumeno" in words:
            return 8, said + "Operation aborted.\n", ""
        if self.trouble:
            return 1, said, self.trouble
        directories = [word.partition("=")[2] for word in words if word.startswith("--downloaddir=")]
        if directories:
            assert "--downloadonly" in words
            with open("%s/%s-%s-1.x86_64.rpm" % (directories[0], NAME, release), "w"):
                pass
        else:
            self.installed = release
        return 0, said + "Complete!\n", ""

    # --- zypper

    def _zypper(self, words):
        if "repos" in words:
            checks = 'gpgcheck="%d" repo_gpgcheck="%d" pkg_gpgcheck="0"' % (
                int(not self.gpg_off),
                int(not self.gpg_off),
            )
            return (
                0,
                "<?xml version='1.0'?>\n<stream><repo-list>\n%s%s</repo-list></stream>\n"
                % (
                    '<repo alias="old" enabled="0" gpgcheck="0" repo_gpgcheck="0" pkg_gpgcheck="0"/>\n',
                    '<repo alias="lab" enabled="1" %s>\n<url>http://127.0.0.1/</url>\n</repo>\n' % checks,
                ),
                "",
            )
        if "refresh" in words:
            text = "<stream><message type='error'>Valid metadata not found at specified URL</message></stream>"
            return (4 if self.down else 0), text if self.down else "<stream/>", ""
        release = self._release(words[-1])
        if self.zypper_code is not None:
            return self.zypper_code, "<stream><message type='error'>zypper says why</message></stream>", ""
        if release not in self.available or self.down:
            return 104, "<stream><message type='error'>No provider of '%s' found.</message></stream>" % words[-1], ""
        if self.trouble:
            return 8, "", self.trouble.replace("%s", words[-1])
        if release == self.installed:
            return 0, "<stream><message type='info'>Nothing to do.</message></stream>", ""
        if "--download-only" in words and self.cache:
            self.cache.joinpath("%s-%s-1.x86_64.rpm" % (NAME, release)).write_text("")
        elif "--dry-run" not in words and "--download-only" not in words:
            self.installed = release
        solvable = "<solvable type='package' name='%s' edition='%s-1' arch='x86_64'/>" % (NAME, release)
        return 0, "<stream><install-summary><to-install>%s</to-install></install-summary></stream>" % solvable, ""


# What a release has besides.
PACKAGE_OPTIONS = dict(
    release=None,
    pattern=None,
    install=False,
    gpg_check=True,
    allow_downgrade=True,
    drift="warn",
    package_timeout=600,
    other_engines="refuse",
    kdump_directories=[],
    coredump_directories=[],
)


class PackageHost(RpmHost):
    """A host with a kernel (FakeKernel), whose packages bring their module file, as an upgrade deletes that of the one before.

    code: release -> build id. scriptlet: function from a release to what its package does when it is installed.
    """

    def __init__(self, kernel, code):
        super(PackageHost, self).__init__()
        self.kernel = kernel
        self.code = code
        self.directory = "lib/modules/%s/livepatch" % KERNEL
        self.files = [os.path.join(kernel.root, self.directory, "{release}.ko")]
        self.scriptlet = None

    def run(self, command, environ_update=None, handle_exceptions=True):
        before = self.installed
        found = super(PackageHost, self).run(command, environ_update, handle_exceptions)
        if self.installed != before:
            if before:
                os.unlink(os.path.join(self.kernel.root, self.directory, before + ".ko"))
            self.place(self.installed)
            if self.scriptlet:
                self.scriptlet(self.installed)
        return found

    def place(self, release):
        """Have a release installed, with its file."""
        self.installed = release
        module = elf.module(release, self.code[release], replace=True)
        self.kernel.data("%s/%s.ko" % (self.directory, release), module)

    def options(self, release, **more):
        """The options of the module livepatch that bring a release, with what runs commands on this host."""
        options = dict(PACKAGE_OPTIONS, release=release, run_command=self.run, find=self.find)
        return dict(options, **more)
