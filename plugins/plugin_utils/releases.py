# What a release is called once the kernel runs it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import re

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError

# "1-2" or "6-150400.2.2": what vendors number their livepatch packages with.
VENDOR_RELEASE = re.compile(r"[0-9]+-[0-9][0-9A-Za-z_.]*")
KERNEL = re.compile(r"(?P<version>[0-9][^-]*)-(?P<release>[^-]+)")
DIST = re.compile(r"\.(?:el|fc)[0-9].*")
PATTERNS = {
    "rhel": "kpatch_{kernel_version}_{kernel_release}_{release}",
    "suse": "livepatch_{release}",
}
GENERIC = "{release}"


def livepatch_name(release, kernel_release, os_family_ids=(), pattern=None):
    """Return the name at /sys/kernel/livepatch of this release on this kernel (str).

    release: the release of the rollout; kernel_release: `uname -r`; os_family_ids: ID and ID_LIKE of os-release;
    pattern: overrides the vendor's naming, with {release}, {kernel}, {kernel_version} and {kernel_release}.

    Vendors' names hold only where the release is numbered as vendors do (`1-2`); everywhere else a livepatch is
    called like its release. The kernel writes '_' for '-' in a module's name (include/linux/module.h, modpost);
    kpatch-build and SUSE's packages turn '.' into '_' as well.
    """
    match = KERNEL.match(kernel_release)
    words = {
        "release": release,
        "kernel": kernel_release,
        "kernel_version": match.group("version") if match else kernel_release,
        "kernel_release": DIST.sub("", match.group("release")) if match else "",
    }
    chosen = pattern or vendor_pattern(release, os_family_ids)
    try:
        text = chosen.format(**words)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise RolloutError(
            f"module_pattern {chosen!r} cannot be filled in ({error}): "
            "expected only the placeholders {release}, {kernel}, {kernel_version} and {kernel_release}."
        ) from None
    return re.sub("[-.]" if chosen != GENERIC else "-", "_", text)


def vendor_pattern(release, os_family_ids):
    """Return the pattern of the host's vendor, or the generic one (str)."""
    if not VENDOR_RELEASE.fullmatch(release):
        return GENERIC
    for identifier in os_family_ids:
        if identifier in ("rhel", "centos"):
            return PATTERNS["rhel"]
        if identifier in ("suse", "sles", "sled", "opensuse"):
            return PATTERNS["suse"]
    return GENERIC
