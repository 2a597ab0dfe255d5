# Facts beyond the kernel's own tree: packages, CVEs, other engines, images, and the kernel that boots next.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# What is always gathered costs a few looks at files. Packages and CVEs cost a start of rpm for each enabled livepatch,
# and advisories the reading of all that the package manager keeps: only where they are asked for.

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import cves, drift, engines, image_based, rpm

PACKAGES, CVES, ADVISORIES = "packages", "cves", "advisories"
CHOICES = (PACKAGES, CVES, ADVISORIES)


def add(facts, root, host, gather=(), run_command=None):
    """Add to the facts (dict, changed in place) what surrounds the livepatches of a sysfs.Host.

    gather: what is to be asked for besides, of CHOICES. run_command: AnsibleModule.run_command, for these only.
    """
    facts["engines"] = [dict(engine._asdict()) for engine in engines.find(root, host)]
    facts["image_based"] = image_based.kind(root)
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
    covered, sources = set(), {"changelog": cves.ABSENT, "advisories": cves.ABSENT if ADVISORIES in gather else None}
    for patch in patches.values():
        if not patch.get("package"):
            continue
        sources["changelog"] = cves.READ
        found = cves.in_text(patch["changelog"])
        if ADVISORIES in gather:
            named, sources["advisories"] = cves.in_advisories(patch["package"], root)
            found = cves.in_text(" ".join(found + named))
        patch["cves"] = found
        if patch["enabled"] and not patch["transition"]:
            covered.update(found)
    return {"covered": cves.in_text(" ".join(covered)), "sources": sources}
