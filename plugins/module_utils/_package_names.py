# How vendors name the livepatch package, and the module in it, for a kernel and a release.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import collections
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import package_spec

Vendor = collections.namedtuple("Vendor", "releases package module")
Vendor.__doc__ = """releases: what the vendor's releases look like (regular expression). package: pattern of the package
spec (str). module: pattern of the module's name, in which '.' and '-' become '_' (str), None where it is not known."""

_KPATCH = Vendor(
    re.compile(r"\d+-\d+(\.\d+)*\Z"),
    "kpatch-patch-{kernel_base_underscored}-{release}{dist}",
    "kpatch_{kernel_base}_{release}",
)

# By a word of ID or ID_LIKE in os-release. Examples, kernel 5.14.0-427.40.1.el9_4.x86_64 and so on:
# rhel       1-5           kpatch-patch-5_14_0-427_40_1-1-5.el9_4 with the module kpatch_5_14_0_427_40_1_1_5
# suse       6-150400.2.2  kernel-livepatch-5_14_21-150400_24_33-default-6-150400.2.2 with livepatch_6_150400_2_2
# amzn       1.0-2         kernel-livepatch-6.1.186-228.376-1.0-2.amzn2023
# openeuler  HP001-1-1     patch-kernel-5.10.0-60.91.0.115.oe2203-HP001-1-1
VENDORS = {
    "rhel": _KPATCH,
    "centos": _KPATCH,
    "suse": Vendor(
        re.compile(r"\d+-\d+(\.\d+)*\Z"),
        "kernel-livepatch-{kernel_base_underscored}-{release}",
        "livepatch_{release}",
    ),
    "amzn": Vendor(re.compile(r"\d+(\.\d+)*-\d+\Z"), "kernel-livepatch-{kernel_base}-{release}{dist}", None),
    "openeuler": Vendor(
        re.compile(r"(HP|ACC|SGL)\w*(-\d+){0,2}\Z"), "patch-kernel-{kernel_base}{dist}-{release}", None
    ),
}
GENERIC = "klp-{kernel}-{release}"

RELEASE = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.+~^-]{0,99}\Z")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# The distribution's tag at the end of a kernel release: .el9_4, .amzn2023, .oe2203sp1.
DIST = re.compile(r"\.[a-z]+\d\w*\Z")


def vendor(os_family_ids, release):
    """Return the Vendor whose names hold for this release on this host, or None for the generic ones.

    os_family_ids: the lower-case ID and ID_LIKE words of os-release (list of str). A release that is not numbered
    as the vendor does, such as hotfix3, is somebody's own: the generic names hold.
    """
    for word in os_family_ids:
        if word in VENDORS:
            return VENDORS[word] if VENDORS[word].releases.match(release) else None
    return None


def release_name(value):
    """Return value when it can be a release, or raise bad_name."""
    if not RELEASE.match(value):
        raise LivepatchError(
            "bad_name",
            "%r cannot be a release: expected letters, digits and '_.+~^-', beginning with a letter, digit or '_', "
            "at most 100 characters. Give what stands in the package's name or version, for example hotfix3."
            % (value,),
        )
    return value


def placeholders(kernel_release, architecture, release):
    """Return what a pattern may name (dict of str) for a `uname -r`, a `uname -m` and a release.

    For 5.14.0-427.40.1.el9_4.x86_64: kernel_base 5.14.0-427.40.1, kernel_base_underscored 5_14_0-427_40_1,
    dist .el9_4 (empty where the kernel's release has none).
    """
    base = kernel_release
    if base.endswith("." + architecture):
        base = base[: -len(architecture) - 1]
    found = DIST.search(base)
    dist = found.group(0) if found else ""
    base = base[: len(base) - len(dist)]
    return {
        "kernel": kernel_release,
        "kernel_base": base,
        "kernel_base_underscored": base.replace(".", "_"),
        "dist": dist,
        "arch": architecture,
        "release": release,
    }


def spec(pattern, values):
    """Return the package spec (str) that a pattern gives; raise bad_name when it is none."""
    return package_spec(_filled(pattern, values))


def module_name(chosen, values):
    """Return the name (str) the kernel will show for the livepatch, None where the vendor's rule is not known.

    chosen: a Vendor, or None: then the livepatch is called like its release.
    """
    if chosen is None:
        return values["release"].replace("-", "_")
    if chosen.module is None:
        return None
    return re.sub(r"[.-]", "_", _filled(chosen.module, values))


def _filled(pattern, values):
    def value(match):
        if match.group(1) not in values:
            raise LivepatchError(
                "bad_name",
                "pattern %r: expected only the placeholders %s, found {%s}. Correct the pattern."
                % (pattern, ", ".join("{%s}" % name for name in sorted(values)), match.group(1)),
            )
        return values[match.group(1)]

    return PLACEHOLDER.sub(value, pattern)
