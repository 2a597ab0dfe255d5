# Facts beyond the kernel's own tree: packages, CVEs, other engines, images, and the kernel that boots next.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# What is always gathered costs a few looks at files. Packages and CVEs cost a start of rpm for each enabled livepatch,
# and advisories the reading of all that the package manager keeps of its last refresh: only where they are asked for.

import os
import time

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import advisories, automation, drift, engines, rpm
from ansible_collections.kernel.livepatch.plugins.module_utils._packages.advisories import cves_in_text

PACKAGES, CVES, ADVISORIES = "packages", "cves", "advisories"
CHOICES = (PACKAGES, CVES, ADVISORIES)

ADVISORY_SECONDS = 10.0
ABSENT, READ = advisories.ABSENT, advisories.READ

_SYSTEMS = {
    "ostree": "an image that ostree has booted (rpm-ostree, bootc)",
    "transactional": "a read-only root that transactional-update changes in snapshots",
    "read_only_usr": "a read-only /usr",
}


def add(facts, root, host, gather=(), run_command=None):
    """Add to the facts (dict, changed in place) what surrounds the livepatches of a sysfs.Host.

    gather: what is to be asked for besides, of CHOICES. run_command: AnsibleModule.run_command, for these only.
    """
    facts["engines"] = [dict(engine._asdict()) for engine in engines.find(root, host)]
    facts["automation"] = [dict(one._asdict()) for one in automation.find(root)]
    facts["image_based"] = image_based(root)
    facts["pending_kernel"] = _pending(root, host)
    facts["cves"] = None
    files = drift.files(root, host.kernel_release, others=True) if host.patches else {}
    for name, patch in facts["patches"].items():
        patch.update(file=files.get(name), package=None, packaged=None, cves=None)
        if gather:
            patch.update(_packaged(run_command, root, name, files.get(name)))
    if CVES in gather or ADVISORIES in gather:
        facts["cves"] = _cves_of(facts["patches"], root, gather)
    for patch in facts["patches"].values():
        patch.pop("changelog", None)


def _pending(root, host):
    found = drift.pending(root, host.kernel_release)
    if found is None:
        return None
    return dict(found._asdict(), livepatches=drift.livepatches(root, found.kernel_release))


def _packaged(run_command, root, name, path):
    """Return what the RPM database tells about a livepatch (dict): package, packaged, changelog.

    A package whose file has other code than the kernel is not the package of what runs.
    """
    try:
        found = rpm.owner(run_command, path) if path else None
    except LivepatchError:
        return {}
    if found is None or not _same_code(root, name, path):
        return {"packaged": False}
    return {"package": found.nevra, "packaged": True, "changelog": found.changelog}


def _same_code(root, name, path):
    try:
        in_file = module_file.read(path).build_id
    except LivepatchError:
        return False
    return in_file is None or in_file == sysfs.build_id(root, name)


def _cves_of(patches, root, gather):
    """Give each livepatch its CVEs and return those that all tasks are safe from, with what was read (dict)."""
    covered, sources = set(), {"changelog": ABSENT, "advisories": ABSENT if ADVISORIES in gather else None}
    for patch in patches.values():
        if not patch.get("package"):
            continue
        sources["changelog"] = READ
        found = cves_in_text(patch["changelog"])
        if ADVISORIES in gather:
            named, sources["advisories"] = cves_in_advisories(patch["package"], root)
            found = cves_in_text(" ".join(found + named))
        patch["cves"] = found
        if patch["enabled"] and not patch["transition"]:
            covered.update(found)
    return {"covered": cves_in_text(" ".join(covered)), "sources": sources}


def cves_in_advisories(package, root="/", clock=time.monotonic):
    """Return (CVEs, status) of the advisories that bring a package: (list of str, word).

    package: name-version-release.arch, as the advisory writes its file without .rpm. status: read, absent (there are no
    advisories on this host), truncated (a limit was met) or unreadable (a file is damaged, or cannot be unpacked here).
    """
    reader = advisories.Reader(ADVISORY_SECONDS, clock)
    wanted = (package + ".rpm").encode()
    found = set()
    for advisory in reader.parsed(advisories.files(root), lambda update: wanted in update):
        found.update(advisory.cves)
    return cves_in_text(" ".join(found)), reader.status


def image_based(root="/", statvfs=os.statvfs):
    """Return "ostree", "transactional" or "read_only_usr", or None for a host whose packages can be changed as it runs.

    ostree-prepare-root(1) makes /run/ostree-booted; transactional-update(8) works on snapshots of a read-only root.
    """
    if os.path.exists(os.path.join(root, "run/ostree-booted")):
        return "ostree"
    if not _read_only(os.path.join(root, "usr"), statvfs):
        return None
    tool = os.path.join(root, "usr/sbin/transactional-update")
    return "transactional" if os.path.exists(tool) else "read_only_usr"


def require_no_image(subject, root="/", statvfs=os.statvfs):
    """Raise image_based on such a host. subject: what was about to be done, for the message."""
    found = image_based(root, statvfs)
    if found:
        raise LivepatchError(
            "image_based",
            "%s: expected a host whose packages can be changed while it runs, found %s. Nothing was touched. Put the "
            "package into the image, or copy the module file to the host and give its path to the module livepatch: it "
            "then runs until the next boot." % (subject, _SYSTEMS[found]),
            image_based=found,
        )


def _read_only(path, statvfs):
    try:
        return bool(statvfs(path).f_flag & os.ST_RDONLY)
    except EnvironmentError:
        return False
