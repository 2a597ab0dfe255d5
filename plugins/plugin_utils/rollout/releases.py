# What a release is called once the kernel runs it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import re

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError

# The rows of module_utils/_packages/vendors.py; a test keeps the two together. Releases as the vendor numbers them, and
# the livepatch's name, None where it is not known before it runs.
NUMBERED = re.compile(r"\d+-\d+(\.\d+)*")
AZURE = re.compile(r"\d+\.\d+\.\d+-\d+")
HOTFIX = re.compile(r"\d{5,}")
DIST = re.compile(r"\.[a-z]+\d\w*\Z")
VENDORS = {
    "rhel": (NUMBERED, "kpatch_{kernel_base}_{release}"),
    "centos": (NUMBERED, "kpatch_{kernel_base}_{release}"),
    "suse": (NUMBERED, "livepatch_{release}"),
    "amzn": (re.compile(r"\d+(\.\d+)*-\d+"), None),
    "openeuler": (re.compile(r"(HP|ACC|SGL)\w*(-\d+){0,2}"), None),
    "azurelinux": (AZURE, "livepatch_{kernel}_{release}{dist}"),
    "mariner": (AZURE, "livepatch_{kernel}_{release}{dist}"),
    "photon": (None, None),
    "anolis": (HOTFIX, "kpatch_{release}"),
    "alinux": (HOTFIX, "kpatch_{release}"),
}
GENERIC = "{release}"


def livepatch_name(release, kernel_release, architecture="", os_family_ids=(), pattern=None):
    """Return the name at /sys/kernel/livepatch of this release on this kernel (str), None where it cannot be known.

    release: the release of the rollout; kernel_release: `uname -r`; architecture: `uname -m`; os_family_ids: ID and
    ID_LIKE of os-release; pattern: overrides the vendor's naming, with {release}, {kernel}, {kernel_base} and {dist}.

    Vendors' names hold only where the release is numbered as vendors do (`1-2`); everywhere else a livepatch is
    called like its release. The kernel writes '_' for '-' in a module's name; kpatch-build and SUSE's packages turn
    '.' into '_' as well.
    """
    base = kernel_release.removesuffix("." + architecture)
    kernel_base = DIST.sub("", base)
    words = {"release": release, "kernel": kernel_release, "kernel_base": kernel_base, "dist": base[len(kernel_base) :]}
    chosen = pattern or vendor_pattern(release, os_family_ids)
    if chosen is None:
        return None
    try:
        text = chosen.format(**words)
    except (KeyError, IndexError, ValueError, AttributeError):
        raise RolloutError(
            f"module_pattern {chosen!r} cannot be filled in: "
            "expected only the placeholders {release}, {kernel}, {kernel_base} and {dist}. Correct the pattern."
        ) from None
    return re.sub("-" if chosen == GENERIC else "[-.]", "_", text)


def vendor_pattern(release, os_family_ids):
    """Return the pattern of the host's vendor, or the generic one (str); None where the vendor's is not known."""
    for word in os_family_ids:
        if word in VENDORS:
            numbered, pattern = VENDORS[word]
            return pattern if numbered and numbered.fullmatch(release) else GENERIC
    return GENERIC
