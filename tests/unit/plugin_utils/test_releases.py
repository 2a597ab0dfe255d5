# Tests of what a release is called in the kernel.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import vendors
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import releases
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout.releases import livepatch_name

KERNELS = [
    ("hotfix3", "6.12.107+deb13-amd64", "x86_64", ["debian"], "hotfix3"),
    ("web-hotfix-3", "6.1.0-1", "x86_64", [], "web_hotfix_3"),
    ("1-2", "4.18.0-348.12.2.el8_5.x86_64", "x86_64", ["rhel", "fedora"], "kpatch_4_18_0_348_12_2_1_2"),
    (
        "1-2",
        "5.14.0-427.40.1.el9_4.aarch64",
        "aarch64",
        ["rocky", "rhel", "centos", "fedora"],
        "kpatch_5_14_0_427_40_1_1_2",
    ),
    ("6-150400.2.2", "5.14.21-150400.24.33-default", "x86_64", ["sles", "suse"], "livepatch_6_150400_2_2"),
    ("hotfix3", "5.14.0-427.40.1.el9_4.x86_64", "x86_64", ["rhel"], "hotfix3"),
    ("1-2", "6.1.0-1", "x86_64", ["debian"], "1_2"),
    ("1.0-2", "6.1.186-228.376.amzn2023.x86_64", "x86_64", ["amzn", "centos", "rhel", "fedora"], None),
    ("1-2", "6.1.186-228.376.amzn2023.x86_64", "x86_64", ["amzn", "centos", "rhel", "fedora"], None),
    ("hotfix3", "6.1.186-228.376.amzn2023.x86_64", "x86_64", ["amzn", "fedora"], "hotfix3"),
    ("1.0.0-2", "5.15.94.1-1.cm2", "x86_64", ["mariner"], "livepatch_5_15_94_1_1_cm2_1_0_0_2_cm2"),
    ("1.0.0-2", "6.6.121.1-1.azl3", "x86_64", ["azurelinux"], "livepatch_6_6_121_1_1_azl3_1_0_0_2_azl3"),
    ("4121479", "4.19.91-21.al7.x86_64", "x86_64", ["alinux", "rhel", "fedora", "centos", "anolis"], "kpatch_4121479"),
    ("1-2", "4.19.91-21.an8.x86_64", "x86_64", ["anolis", "rhel", "fedora", "centos"], "1_2"),
    ("1-2", "6.1.10-11.ph5", "x86_64", ["photon"], "1_2"),
    ("HP001-1-1", "5.10.0-60.91.0.115.oe2203.x86_64", "x86_64", ["openeuler"], None),
]


@pytest.mark.parametrize("release, kernel, architecture, family, name", KERNELS)
def test_a_release_is_called_as_its_vendor_calls_it(release, kernel, architecture, family, name):
    assert livepatch_name(release, kernel, architecture, family) == name


@pytest.mark.parametrize("release, kernel, architecture, family, unused", KERNELS)
def test_the_planner_and_the_package_module_expect_the_same_name(release, kernel, architecture, family, unused):
    vendor = vendors.vendor(family, release)
    found = vendors.module_name(vendor, vendors.placeholders(kernel, architecture, release))
    assert livepatch_name(release, kernel, architecture, family) == found


def test_the_planner_knows_every_vendor_that_the_package_module_knows():
    assert set(releases.VENDORS) == {word for row in vendors.VENDORS for word in row.ids}
    for row in vendors.VENDORS:
        for word in row.ids:
            numbered, pattern = releases.VENDORS[word]
            assert pattern == row.module
            assert (numbered and numbered.pattern + r"\Z") == (row.releases and row.releases.pattern)


def test_a_pattern_overrides_the_vendor():
    name = livepatch_name("1-2", "5.14.0-427.el9.x86_64", "x86_64", ["rhel"], "acme-{release}-{kernel_base}")
    assert name == "acme_1_2_5_14_0_427"


@pytest.mark.parametrize("pattern", ["{nothing}", "{release", "{0}", "{release.x}"])
def test_a_pattern_with_an_unknown_placeholder_is_refused(pattern):
    with pytest.raises(RolloutError, match="module_pattern .* expected only the placeholders"):
        livepatch_name("1-2", "6.1.0-1", "x86_64", [], pattern)
