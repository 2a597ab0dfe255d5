# Which build of a livepatch the repositories have for the running kernel: the newest, or an advisory's, and what it mends.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Vendors number the livepatches of each kernel by themselves, and the newest has what all older ones of its kernel had.

import calendar
import collections
import os
import re
import time

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading, times
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import (
    advisories,
    drift,
    package_manager,
    rpm,
    vendors,
)

CVE = re.compile(r"\ACVE-[0-9]{4}-[0-9]{4,19}\Z")
ADVISORY = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9:._-]{3,99}\Z")
MOST_CVES, MOST_ADVISORIES = 200, 20
# Reading the advisories of a large distribution takes a second or two where nothing else runs.
ADVISORY_SECONDS = 60.0
# So many builds that are newer than the first one that may be installed are asked about.
_MOST_EXCLUDED = 10
_CHANGELOG_CHARACTERS = 1024 * 1024
_NO_BUILD, _EMPTY, _NOT_IN_ADVISORY, _EXCLUDED = "no_build", "empty", "not_in_advisory", "excluded"

Build = collections.namedtuple("Build", "package release order empty")
Build.__doc__ = """A package with a livepatch for one kernel. package: package_manager.Available. release: what stands for
{release} in its pattern (str). order: key by which newer ones come later. empty: whether it has no livepatch (bool)."""


class Names(object):
    """How the packages for one kernel are called. row: vendors.Vendor, None for the generic names and a house's own."""

    def __init__(self, row, pattern, kernel_release, architecture):
        self.row = row
        self._own = pattern is not None and (row is None or pattern != row.package)
        values = vendors.placeholders(kernel_release, architecture, "")
        self._kernel_release, self._architecture = kernel_release, architecture
        self._before, after = vendors.around_release(pattern or vendors.GENERIC, values)
        self._spec = re.compile(re.escape(self._before) + "(?P<release>.+?)" + after + r"\Z")

    @property
    def glob(self):
        """What every name begins with, as package managers match names (str)."""
        return (self._before.rpartition("-")[0] or self._before) + "*"

    def builds(self, packages):
        """Return those of some packages (Available) that are for this kernel and architecture: list of Build, oldest first."""
        found = [self._build(package) for package in packages if package.arch in (self._architecture, "noarch")]
        found = [build for build in found if build is not None]
        # klp-6.1.0-rt with the version hotfix1 is for another kernel than 6.1.0: where the name ends, the release begins.
        exact = [build for build in found if build.package.name + "-" == self._before]
        if exact or not (self.row or self._own):
            found = exact
        # What two repositories have is one.
        once = {build.package.nevra: build for build in found}
        return sorted(once.values(), key=lambda build: (build.order, build.package.nevra))

    def cumulative(self, builds):
        """Return the builds of which the newest mends all that the others do; raise unsupported where there are no such."""
        if self.row is None:
            return builds
        if not self.row.cumulative:
            raise LivepatchError(
                "unsupported",
                "vendor %s: expected livepatches of which the newest has all that older ones had, found that each mends one "
                "thing by itself. Give a release." % self.row.name,
            )
        for beginning in self.row.cumulative:
            found = [build for build in builds if build.release.startswith(beginning)]
            if found:
                return found
        return []

    def livepatch(self, build):
        """Return the name that the kernel will show (str), None where it is not known."""
        if self._own:
            return None
        values = vendors.placeholders(self._kernel_release, self._architecture, build.release)
        return vendors.module_name(self.row, values)

    def _build(self, package):
        forms = rpm.forms(rpm.Installed(package.name, package.version, package.release, package.arch, "", None, []))
        found = []
        for form in sorted(forms, key=len):
            match = self._spec.match(form)
            release = match.group("release") if match else ""
            known = self.row.releases.match(release) if self.row and self.row.releases else True
            if known and vendors.RELEASE.match(release):
                found.append(release)
        if not found:
            return None
        release = found[-1 if self.row else 0]
        empty = bool(self.row and self.row.empty and self.row.empty.match(release))
        parts = (package.name, package.epoch or "0", package.version, package.release)
        return Build(package, release, tuple(rpm.version_key(part) for part in parts), empty)


def check(cves, advisory):
    """Raise bad_name for what cannot be CVEs (list of str) or an advisory (str or None)."""
    if cves and advisory is not None:
        raise _bad("advisory: expected either CVEs or an advisory, found both. Leave one out.")
    if len(cves) > MOST_CVES:
        raise _bad("cves: expected at most %d, found %d. Ask for fewer." % (MOST_CVES, len(cves)))
    for cve in cves:
        if not CVE.match(cve):
            raise _bad("cves: expected names like CVE-2026-40001, found %r. Correct it." % (cve[:100],))
    if advisory is not None and not ADVISORY.match(advisory):
        raise _bad("advisory: expected a name like RHSA-2026:1234, found %r. Correct it." % (advisory[:100],))


def ask(run_command, find, cves=(), advisory=None, pattern=None, timeout=600, root="/", system=None):
    """Return what the repositories have for this host's kernel: the result of the module livepatch_builds (dict).

    run_command: AnsibleModule.run_command. find: function from a program's name to its path or None. cves, advisory: what
    is wanted; neither is the newest. timeout: seconds for each command. system: os.uname(). Raises LivepatchError.
    """
    check(cves, advisory)
    system = system or os.uname()
    ids = reading.os_family_ids(root)
    row = vendors.vendor_of_host(ids) if pattern is None else None
    names = Names(row, pattern or (row.package if row else None), system.release, system.machine)
    manager = package_manager.choose(run_command, find, timeout, ids)
    packages = manager.candidates(names.glob)
    builds = names.builds(packages)
    if row and not builds:
        # A house's own, on a vendor's hosts.
        own = Names(None, None, system.release, system.machine)
        found = own.builds(manager.candidates(own.glob))
        names, builds = (own, found) if found else (names, builds)
    told = _Told(names, cves, advisory, advisories.files(root, manager.program))
    build, reason, held_back = _chosen(manager, told, names.cumulative(builds) if builds else [])
    changelog = advisories.ABSENT
    mended = told.cves(build) if build else []
    if build and (not mended or set(cves) - set(mended)):
        text = manager.changelog(build.package.nevra)
        if text:
            changelog = advisories.READ
            mended = advisories.cves_in_text(" ".join(mended) + "\n" + text[:_CHANGELOG_CHARACTERS])
    known = told.known | set(mended)
    return {
        "changed": False,
        "kernel_release": system.release,
        "architecture": system.machine,
        "vendor": names.row.name if names.row else "generic",
        "build": _shown(names, told, build, mended, cves) if build else None,
        "reason": reason,
        "held_back": held_back.package.nevra if held_back else None,
        "missing": [cve for cve in cves if cve not in mended] if build else list(cves),
        "unknown_cves": [cve for cve in cves if cve not in known] if told.is_whole else [],
        "advisory_known": told.advisory_known,
        "sources": {"changelog": changelog, "advisories": told.status},
        "newer_installed": _newer_installed(run_command, names, build) if build else None,
        "supported_until": _supported_until(run_command, names.row, bool(builds), system.release),
    }


class _Told(object):
    """What the advisories on this host tell about the builds for its kernel, read once."""

    def __init__(self, names, cves, advisory, files):
        wanted = set(cves)
        needles = [names.glob[:-1].encode()] + (advisories.needles(advisory) if advisory else [])
        self.known, self._found, self._asked = set(), [], None
        reader = advisories.Reader(ADVISORY_SECONDS)

        def is_wanted(update):
            if wanted:
                self.known.update(wanted.intersection(advisories.cves_in_bytes(update)))
            return any(needle in update for needle in needles)

        for found in reader.parsed(files, is_wanted):
            named = names.builds([package_manager.Available(*(package + (None,))) for package in found.packages])
            if named:
                self._found.append((found, named))
            if advisory and advisories.is_called(found, advisory):
                self._asked = (self._asked or []) + named
        self.status = reader.status
        self._advisory = advisory

    @property
    def is_whole(self):
        """Whether what is not told is not there (bool)."""
        return self.status == advisories.READ

    @property
    def advisory_known(self):
        """Whether there is the advisory that was asked for (bool), None where none was, or it may be unread."""
        if self._advisory is None:
            return None
        return True if self._asked is not None else False if self.is_whole else None

    def named(self, builds):
        """Return those of some builds that the advisory which was asked for names; all where none was asked for."""
        if self._advisory is None:
            return builds
        asked = {build.package.nevra for build in self._asked or []}
        return [build for build in builds if build.package.nevra in asked]

    def names_kernel(self):
        """Whether the advisory that was asked for, if one was, brings something for this kernel (bool)."""
        return self._advisory is None or bool(self._asked)

    def about(self, build):
        """Return the advisories that bring this build or an older one of its name (list of Advisory)."""
        return [
            found
            for found, named in self._found
            if any(old.package.name == build.package.name and old.order <= build.order for old in named)
        ]

    def cves(self, build):
        """Return the CVEs that a build mends as far as advisories tell (list of str)."""
        return advisories.cves_in_text(" ".join(cve for found in self.about(build) for cve in found.cves))


def _chosen(manager, told, builds):
    """Return (Build or None, why there is none, the newer Build that this host keeps out)."""
    named = told.named(builds)
    if not named:
        return None, _NO_BUILD if told.names_kernel() else _NOT_IN_ADVISORY, None
    full = [build for build in named if not build.empty]
    if not full:
        return None, _EMPTY, None
    held_back = None
    for build in list(reversed(full))[:_MOST_EXCLUDED]:
        if not manager.is_excluded(build.package.nevra):
            return build, None, held_back
        held_back = held_back or build
    return None, _EXCLUDED, held_back


def _shown(names, told, build, mended, wanted):
    package = build.package
    # What was asked for is told in any case.
    least = [cve for cve in mended if cve in wanted]
    others = [cve for cve in mended if cve not in wanted][-(MOST_CVES - len(least)) or len(mended) :]
    about = sorted({found.id for found in told.about(build) if ADVISORY.match(found.id)}, key=drift.age)
    return {
        "package": package.nevra,
        "version": build.release,
        "livepatch": names.livepatch(build),
        "built": times.to_text(package.built) if package.built is not None else None,
        "cves": advisories.cves_in_text(" ".join(least + others)),
        "advisories": about[-MOST_ADVISORIES:],
    }


def _newer_installed(run_command, names, build):
    """Return the newest installed package of a build's name (nevra) if that is newer than the build, else None."""
    installed = [
        package_manager.Available(found.name, build.package.epoch, found.version, found.release, found.arch, None)
        for found in rpm.versions(run_command, build.package.name)
    ]
    newer = [other for other in names.builds(installed) if other.order > build.order]
    return newer[-1].package.nevra if newer else None


def _supported_until(run_command, row, has_packages, kernel_release, now=time.time):
    """Return the day (YYYY-MM-DD) until which a kernel gets livepatches, None where that is not known.

    Not every kernel of every vendor gets some: without a package for it only a day that is over is told.
    """
    if row is None or row.months is None:
        return None
    built = rpm.kernel_built(run_command, kernel_release)
    if built is None:
        return None
    until = _months_later(times.to_text(built)[:10], row.months)
    return until if has_packages or until < times.to_text(now())[:10] else None


def _months_later(day, months):
    """Return the day (YYYY-MM-DD) so many months later; of a shorter month the last."""
    year, month, number = [int(part) for part in day.split("-")]
    year, month = year + (month - 1 + months) // 12, (month - 1 + months) % 12 + 1
    return "%04d-%02d-%02d" % (year, month, min(number, calendar.monthrange(year, month)[1]))


def _bad(message):
    return LivepatchError("bad_name", message)
