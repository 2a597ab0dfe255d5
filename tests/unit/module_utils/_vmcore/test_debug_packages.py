# Which package has a kernel's debug information, by the vendors' names for their kernels.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._vmcore.dump import debug_package


@pytest.mark.parametrize(
    "kernel_release,expected",
    [
        ("5.14.0-427.40.1.el9_4.x86_64", "kernel-debuginfo-5.14.0-427.40.1.el9_4.x86_64"),
        ("6.11.4-301.fc41.aarch64", "kernel-debuginfo-6.11.4-301.fc41.aarch64"),
        ("5.15.0-200.131.27.el9uek.x86_64", "kernel-uek-debuginfo-5.15.0-200.131.27.el9uek.x86_64"),
        ("6.1.112-124.190.amzn2023.x86_64", "kernel-debuginfo-6.1.112-124.190.amzn2023.x86_64"),
        ("6.12.20-23.97.amzn2023.x86_64", "kernel6.12-debuginfo-6.12.20-23.97.amzn2023.x86_64"),
        ("5.10.226-214.879.amzn2.x86_64", "kernel-debuginfo-5.10.226-214.879.amzn2.x86_64"),
        ("5.10.0-216.0.0.115.oe2203sp4.x86_64", "kernel-debuginfo-5.10.0-216.0.0.115.oe2203sp4.x86_64"),
        ("6.4.0-150600.23.25-default", "kernel-default-debuginfo = 6.4.0-150600.23.25"),
        ("6.1.0-50-amd64", "linux-image-6.1.0-50-amd64-dbg"),
        ("6.12.107+deb13-cloud-arm64", "linux-image-6.12.107+deb13-cloud-arm64-dbg"),
        ("6.8.0-45-generic", "linux-image-unsigned-6.8.0-45-generic-dbgsym"),
        ("6.8.0-1016-aws", "linux-image-unsigned-6.8.0-1016-aws-dbgsym"),
        ("5.14.21-150500.33.66-azure", "kernel-azure-debuginfo = 5.14.21-150500.33.66"),
        ("6.8.0-1016-azure", "linux-image-unsigned-6.8.0-1016-azure-dbgsym"),
        ("5.14.0-427.40.1.el9_4.x86_64+rt", None),
        ("7.2.0-rc1-mine", None),
        (None, None),
    ],
)
def test_the_package_is_called_as_the_vendor_calls_it(kernel_release, expected):
    assert debug_package(kernel_release) == expected
