# Which package has a kernel's debug information.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import re

# What a kernel's release looks like, and what its vendor calls the package; the first match wins.
_VENDORS = tuple(
    (re.compile(pattern), package)
    for pattern, package in (
        (r".*uek\.\w+\Z", "kernel-uek-debuginfo-{release}"),
        # Amazon Linux 2023 builds several kernels beside each other; only the first is called plainly kernel.
        (r"(?P<base>6\.(?:[2-9]|\d\d)|[7-9]\.\d+)\..*\.amzn2023\.\w+\Z", "kernel{base}-debuginfo-{release}"),
        # RHEL's other builds (+rt, +64k, +debug) have packages of other names.
        (r".*\.(?:el\d|fc\d|amzn\d|oe\d|an\d|tl\d|ph\d)[^+]*\Z", "kernel-debuginfo-{release}"),
        (
            r"(?P<base>\d[\w.]*-\d+(?:\.\d+)+)-(?P<flavour>default|azure|rt|64kb|preempt)\Z",
            "kernel-{flavour}-debuginfo = {base}",
        ),
        (r"[\d.]+-\d+-(?:generic|lowlatency|aws|azure|gcp|oracle|ibm|kvm)\Z", "linux-image-unsigned-{release}-dbgsym"),
        (r".*-(?:amd64|arm64|ppc64el|s390x|686|riscv64|loong64)\Z", "linux-image-{release}-dbg"),
    )
)


def package(kernel_release):
    """Return the name (str) of the package with the debug information of a kernel, None where nobody knows.

    With SUSE it is the form that zypper takes, a name and the version that it begins with.
    """
    for pattern, name in _VENDORS:
        found = pattern.match(kernel_release or "")
        if found:
            return name.format(release=kernel_release, **found.groupdict())
    return None
