# How vendors name the livepatch package, and the module in it, for a kernel and a release.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import collections
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages.rpm import package_spec

Vendor = collections.namedtuple(
    "Vendor", "name ids releases package module nevra directories loads unverified kernel empty cumulative months"
)
Vendor.__new__.__defaults__ = (None, None, ("",), None)
Vendor.__doc__ = """One row: how a vendor, or a house, names what it ships.

name: of the row. ids: words of ID and ID_LIKE in os-release by which a host is known (tuple of str), empty where nothing
in os-release tells. releases: what the vendor's releases look like (regular expression), None where they have no form.
package: pattern of the package spec (str), None where the packages have no common name. module: pattern of the module's
name, in which '.' and '-' become '_' (str), None where the release does not tell it. nevra: regular expression of an
installed package's name-version-release.arch, with the groups kernel (as the package writes it) and release, or None.
directories: where the module files lie (tuple of str; {kernel} is `uname -r`, {any} one directory of any name). loads:
whether the package's own scripts load the livepatch (bool, None: not known). unverified: the columns that nobody has seen
confirmed by the vendor (tuple of str). kernel: pattern of what the group kernel has, None for `uname -r`. empty:
regular expression of the releases whose package has no livepatch, None where there are none such. cumulative: what
the releases begin with of which the newest mends all that older ones did (tuple of str, the best first); none where a
livepatch mends one thing only. months: how long a kernel gets livepatches after it was built (int), None where the vendor does not say."""

_ARCH = r"(?:\.(?P<arch>x86_64|aarch64|ppc64le|s390x|noarch))?\Z"
_NUMBERED = re.compile(r"\d+-\d+(\.\d+)*\Z")

VENDORS = (
    # kpatch-patch-5_14_0-427_40_1-1-5.el9_4 with the module kpatch_5_14_0_427_40_1_1_5; version 0 is the empty first one.
    Vendor(
        "rhel",
        ("rhel", "centos"),
        _NUMBERED,
        "kpatch-patch-{kernel_base_underscored}-{release}{dist}",
        "kpatch_{kernel_base}_{release}",
        re.compile(
            r"kpatch-patch-(?P<kernel>\d+_\d+_\d+-\d+(?:_\d+)*)-(?P<release>\d+-\d+(?:\.\d+)*)(?P<dist>\.el\w+)" + _ARCH
        ),
        ("/usr/lib/kpatch/{kernel}", "/var/lib/kpatch/{kernel}"),
        True,
        (),
        kernel="{kernel_base_underscored}",
        empty=re.compile(r"0-"),
        months=12,
    ),
    # kernel-livepatch-5_14_21-150400_24_33-default-6-150400.2.2 with livepatch_6_150400_2_2, whose file is called
    # livepatch-6-150400_2_2.ko.
    Vendor(
        "suse",
        ("suse",),
        _NUMBERED,
        "kernel-livepatch-{kernel_base_underscored}-{release}",
        "livepatch_{release}",
        re.compile(
            r"kernel-livepatch-(?P<kernel>\d+(?:_\d+)+-\d+(?:_\d+)*-[a-z]\w*)-(?P<release>\d+-\d+(?:\.\d+)*)" + _ARCH
        ),
        ("/usr/lib/modules/{kernel}/livepatch",),
        None,
        (),
        kernel="{kernel_base_underscored}",
        months=12,
    ),
    # kernel-livepatch-6.1.186-228.376-1.0-2.amzn2023; the modules are called after what they mend: livepatch_CVE_2022_36946.
    Vendor(
        "amazon",
        ("amzn",),
        re.compile(r"\d+(\.\d+)*-\d+\Z"),
        "kernel-livepatch-{kernel_base}-{release}{dist}",
        None,
        re.compile(
            r"kernel-livepatch-(?P<kernel>\d+(?:\.\d+)+-\d+(?:\.\d+)+)-(?P<release>\d+(?:\.\d+)*-\d+)"
            r"(?P<dist>\.amzn\w+?)" + _ARCH
        ),
        ("/usr/lib/kpatch/{kernel}", "/var/lib/kpatch/{kernel}"),
        None,
        ("directories",),
        kernel="{kernel_base}",
        empty=re.compile(r"\d+(\.\d+)*-0\Z"),
        months=3,
    ),
    # patch-kernel-5.10.0-60.91.0.115.oe2203-HP001-1-1; each patch has a directory of its own.
    Vendor(
        "openeuler",
        ("openeuler",),
        re.compile(r"(HP|ACC|SGL)\w*(-\d+){0,2}\Z"),
        "patch-kernel-{kernel_base}{dist}-{release}",
        None,
        re.compile(r"patch-kernel-(?P<kernel>\d[\w.]*-[\w.]+\.oe\w+)-(?P<release>(?:HP|ACC|SGL)\w*-\d+-\d+)" + _ARCH),
        ("/usr/lib/syscare/patches/{any}",),
        False,
        (),
        kernel="{kernel_base}{dist}",
        cumulative=("ACC", "HP"),
    ),
    # livepatch-5.15.94.1-1.cm2-1.0.0-2.cm2 with livepatch_5_15_94_1_1_cm2_1_0_0_2_cm2.
    Vendor(
        "azurelinux",
        ("azurelinux", "mariner"),
        re.compile(r"\d+\.\d+\.\d+-\d+\Z"),
        "livepatch-{kernel}-{release}{dist}",
        "livepatch_{kernel}_{release}{dist}",
        re.compile(
            r"livepatch-(?P<kernel>\d+(?:\.\d+)+-[\d.]+\.(?:cm|azl)\d+)-(?P<release>\d+\.\d+\.\d+-\d+)"
            r"(?P<dist>\.(?:cm|azl)\d+)" + _ARCH
        ),
        ("/usr/lib/livepatching/{kernel}",),
        True,
        (),
    ),
    # Its tools make packages of any name; the package's scripts refuse every kernel but the running one.
    Vendor("photon", ("photon",), None, None, None, None, ("/var/opt/kpatch/modules",), True, ()),
    # kernel-hotfix-4121479-21.al7-1.0-1.al7 for a kernel 4.19.91-21.al7; the file is kpatch-4121479.ko.
    Vendor(
        "anolis",
        ("anolis", "alinux"),
        re.compile(r"\d{5,}\Z"),
        "kernel-hotfix-{release}-{kernel_build}",
        "kpatch_{release}",
        re.compile(
            r"kernel-hotfix-(?P<release>\d{5,})-(?P<kernel>[\d.]+\.(?:al|an)\w+)-[\d.]+-\d+(?P<dist>\.(?:al|an)\w+?)"
            + _ARCH
        ),
        ("/var/khotfix/{kernel}/{any}",),
        True,
        ("ids", "module", "loads"),
        kernel="{kernel_build}",
        cumulative=(),
    ),
    # klp-6.4.3-0_fbk14-hf2-r1: like the generic names, with the module in kpatch's directory.
    Vendor(
        "meta",
        (),
        None,
        None,
        None,
        re.compile(r"klp-(?P<kernel>\d+\.\d+\.\d+[\w.+]*(?:-[\w.+]+)+)-(?P<release>\w+)-r\d+" + _ARCH),
        ("/var/lib/kpatch/{kernel}",),
        True,
        ("module",),
    ),
)
# What everybody else's packages are called, and a vendor's host's for a release that is not numbered like the vendor's.
GENERIC = "klp-{kernel}-{release}"
_GENERIC_NEVRA = re.compile(
    r"klp-(?P<kernel>\d+\.\d+\.\d+[\w.+]*(?:-[\w.+]+)+)-(?P<release>\w[\w.+~^]*)-\d[\w.]*?" + _ARCH
)
_GENERIC_DIRECTORIES = ("/usr/lib/modules/{kernel}/livepatch",)
Named = collections.namedtuple("Named", "vendor kernel release")

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
        for row in VENDORS:
            if word in row.ids:
                return row if row.releases and row.releases.match(release) else None
    return None


def parse(nevra):
    """Return what the name-version-release[.arch] of a livepatch package tells: Named, or None for any other package.

    vendor: name of the row, or "generic"; kernel: as the package writes it; release: what to ask the vendor's names with.
    """
    for row in VENDORS:
        found = row.nevra.match(nevra) if row.nevra else None
        if found:
            return Named(row.name, found.group("kernel"), found.group("release"))
    found = _GENERIC_NEVRA.match(nevra)
    return Named("generic", found.group("kernel"), found.group("release")) if found else None


def other_kernel(nevra, kernel_release, architecture):
    """Return the kernel (str, as the package writes it) that a livepatch package is for by its name, None where that may be this one.

    nevra: name-version-release.arch. Where generic names have a kernel and a release end cannot be seen: what begins like this
    kernel may be for it.
    """
    found = parse(nevra)
    if found is None:
        return None
    values = placeholders(kernel_release, architecture, "")
    row = next((row for row in VENDORS if row.name == found.vendor), None)
    written = _filled(row.kernel, values) if row and row.kernel else kernel_release
    return None if (found.kernel + "-").startswith(written + "-") else found.kernel


def directories(kernel_release):
    """Return the directories where livepatch modules for a kernel may lie (list of str); "{any}" stands for each in one."""
    found = []
    for pattern in _GENERIC_DIRECTORIES + sum((row.directories for row in VENDORS), ()):
        path = pattern.replace("{kernel}", kernel_release)
        if path not in found:
            found.append(path)
    return found


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
    dist .el9_4 (empty where the kernel's release has none), kernel_build 427.40.1.el9_4.
    """
    base = kernel_release
    if base.endswith("." + architecture):
        base = base[: -len(architecture) - 1]
    found = DIST.search(base)
    dist = found.group(0) if found else ""
    build = base.partition("-")[2]
    base = base[: len(base) - len(dist)]
    return {
        "kernel": kernel_release,
        "kernel_base": base,
        "kernel_base_underscored": base.replace(".", "_"),
        "kernel_build": build,
        "dist": dist,
        "arch": architecture,
        "release": release,
    }


def vendor_of_host(os_family_ids):
    """Return the Vendor whose packages this host gets by their name, None for the generic ones. os_family_ids: as above."""
    found = [row for word in os_family_ids for row in VENDORS if word in row.ids]
    return found[0] if found and found[0].package else None


def around_release(pattern, values):
    """Return (what comes before the release, a regular expression of what comes after it) in the specs that a pattern makes.

    The tag of the distribution after it may be any, and none. Raises LivepatchError: bad_name.
    """
    parts = pattern.split("{release}")
    before = _filled(parts[0], values)
    after = re.escape(_filled(parts[-1], dict(values, dist="\0"))).replace(re.escape("\0"), r"(?:\.[a-z]+\d\w*)?")
    if len(parts) != 2 or len(before) < 2:
        raise LivepatchError(
            "bad_name",
            "pattern %r: expected a name, and {release} once behind it, so that all releases can be asked for. "
            "Correct the pattern." % pattern,
        )
    package_spec(before)
    return before, after


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
