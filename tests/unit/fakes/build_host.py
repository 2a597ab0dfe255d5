# A host whose repositories have livepatch packages of a vendor, as its package manager tells of them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The texts are what dnf 4.14, 4.23 and 5.4, zypper 1.14 and tdnf 3.6 wrote in the same situation.

import fnmatch
import os
import time

UPDATE = """<update type="security"><id>%s</id><issued date="2026-01-01 00:00:00"/><references>%s</references>
<pkglist><collection>%s</collection></pkglist></update>
"""
REFERENCE = '<reference href="https://example.org/%s" id="%s" type="%s" title="%s"/>'
PACKAGE = '<package name="%s" version="%s" release="%s" epoch="0" arch="x86_64"><filename>%s.rpm</filename></package>'
CACHES = {"dnf": "var/cache/dnf/lab-0123456789abcdef", "dnf5": "var/cache/libdnf5/lab-0123456789abcdef"}
CACHES.update(zypper="var/cache/zypp/raw/lab", tdnf="var/cache/tdnf/lab-01234567")
BUILT = 1796097427  # 2026-12-01T03:57:07Z

DOWN = "Error: Failed to download metadata for repo 'lab': Cannot download repomd.xml: All mirrors were tried\n"
LOCKED = "Argument '%s' matches only packages excluded by versionlock.\n"
EXCLUDED = {
    "dnf": "All matches were filtered out by exclude filtering for argument: %s\nError: Unable to find a match: %s\n",
    "dnf5": "Failed to resolve the transaction:\nArgument '%s' matches only excluded packages.\n",
    "zypper": "<stream><prompt id='1'><description>Problem: conflicting requests\n"
    " Solution 1: remove lock to allow installation of %s[lab]\n</description></prompt></stream>",
    "tdnf": "Warning: The following packages are excluded from tdnf.conf:\n  kpatch*\n",
}
NOISE = "Updating Subscription Management repositories.\n\nThis system is registered with an entitlement server\n"


class BuildHost(object):
    """packages: (name, version, release) in the repositories. excluded: globs of name-version-release. changelogs: by
    name-version-release. installed: (name, version, release). kernel: the package of the kernel and when that was built.
    """

    def __init__(self, program="dnf", packages=(), root=None, ids="ID=rhel\n"):
        self.program = program
        self.packages = list(packages)
        self.excluded = []
        self.changelogs = {}
        self.installed = []
        self.kernel = None
        self.down = False
        self.noise = ""
        self.calls = []
        self.root = root
        self._put("etc/os-release", ids)

    def _put(self, path, text):
        place = os.path.join(str(self.root), path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w") as stream:
            stream.write(text)

    def advise(self, *advisories, **options):
        """Have advisories: (id, CVEs, packages, what its vendor calls it)."""
        text = ""
        for name, cves, packages, calls in advisories:
            references = [REFERENCE % (cve, cve, "cve", cve) for cve in cves]
            references += [REFERENCE % (call, call, "self", call) for call in calls]
            brought = [PACKAGE % (package + ("%s-%s-%s.x86_64" % package,)) for package in packages]
            text += UPDATE % (name, "".join(references), "".join(brought))
        path = options.get("path", CACHES[self.program] + "/repodata/0123-updateinfo.xml")
        self._put(path, '<?xml version="1.0"?>\n<updates>\n%s</updates>\n' % text)

    def find(self, name):
        return "/usr/bin/" + name if name in ("timeout", self.program) else None

    def run(self, command, environ_update=None, handle_exceptions=True):
        words = [word for word in command if not word.startswith("--kill-after=")][2:]
        self.calls.append(words)
        program = os.path.basename(words[0])
        if program == "rpm":
            return self._rpm(words[1:])
        assert program == self.program
        return {"zypper": self._zypper, "tdnf": self._tdnf}.get(program, self._dnf)(words[1:])

    def _rpm(self, words):
        if words[0] == "-qf":
            text = "".join("file %s is not owned by any package\n" % path for path in words[4:])
            return 1, "built\t%s\t%d\n" % self.kernel + text if self.kernel else text, ""
        rows = ["installed\t%s\t%s\t%s\tx86_64\t100\t(none)\n" % row for row in self.installed if row[0] == words[-1]]
        return (0 if rows else 1), "".join(rows) or "package %s is not installed\n" % words[-1], ""

    def _matching(self, glob):
        names = ["%s-%s-%s.x86_64" % row for row in self.packages]
        return [row for row, nevra in zip(self.packages, names) if fnmatch.fnmatch(row[0], glob) or nevra == glob]

    def _keeps_out(self, nevra):
        return any(fnmatch.fnmatch(nevra, glob) for glob in self.excluded)

    def _dnf(self, words):
        if self.down:
            assert "--refresh" in words and "--setopt=*.skip_if_unavailable=0" in words
            return 1, self.noise, DOWN
        if "install" in words:
            assert "--assumeno" in words
            text = EXCLUDED[self.program].replace("%s", words[-1]) if self._keeps_out(words[-1]) else "Operation aborted.\n"
            return 1, self.noise, text
        assert words[words.index("repoquery") + 1] == "--available"
        if "--changelogs" in words:
            text = self.changelogs.get(words[-1], "")
            return 0, self.noise + "Changelog for %s\n%s\n" % (words[-1], text), ""
        lines = []
        for row in self._matching(words[-1]):
            built = time.strftime("%Y-%m-%d %H:%M", time.gmtime(BUILT)) if self.program == "dnf" else "%d" % BUILT
            known = "--setopt=disable_excludes=all,*" in words or not self._keeps_out("%s-%s-%s.x86_64" % row)
            lines += ["available|%s|0|%s|%s|x86_64|%s\n" % (row + (built,))] if known else []
        return 0, self.noise + "\n".join(lines), ""

    def _zypper(self, words):
        if "refresh" in words:
            text = "<stream><message type='error'>Valid metadata not found at specified URL</message></stream>"
            return (4, text, "") if self.down else (0, "<stream/>", "")
        if "install" in words:
            assert "--dry-run" in words
            return (4, EXCLUDED["zypper"] % words[-1], "") if self._keeps_out(words[-1]) else (0, "<stream/>", "")
        solvables = [
            '<solvable status="not-installed" name="%s" kind="package" edition="%s-%s" arch="x86_64" repository="lab"/>\n' % row
            for row in self._matching(words[-1])
        ] + [
            '<solvable status="installed" name="%s" kind="package" edition="%s-%s" arch="x86_64" repository="(System Packages)"/>'
            % row
            for row in self.installed
        ]
        found = "<search-result><solvable-list>\n%s</solvable-list></search-result>" % "".join(solvables)
        return (0 if solvables else 104), "<?xml version='1.0'?>\n<stream>%s</stream>" % (found if solvables else ""), ""

    def _tdnf(self, words):
        if self.down:
            return 0, "", "Disabling Repo: 'lab'\n"
        if "install" in words:
            assert "--assumeno" in words
            if self._keeps_out(words[-1]):
                return 0, EXCLUDED["tdnf"], "Nothing to do.\n"
            return 8, "\nInstalling:\n", "Error(1032) : Operation aborted.\n"
        if "--changelogs" in words:
            return 0, self.changelogs.get(words[-1], "") + "\n", ""
        assert "--refresh" in words
        names = ["%s-%s-%s.x86_64\n" % row for row in self._matching(words[-1])]
        return 0, "".join(names), "" if names else "No data available\n"
