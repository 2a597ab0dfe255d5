# Package and module names of vendors, and what cannot be a name.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils import _package_names as names
from ansible_collections.kernel.livepatch.plugins.module_utils._errors import LivepatchError

EXAMPLES = [
    # os-release ids, uname -r, release, spec, module name
    (
        ["rhel", "fedora"],
        "5.14.0-427.40.1.el9_4.x86_64",
        "1-5",
        "kpatch-patch-5_14_0-427_40_1-1-5.el9_4",
        "kpatch_5_14_0_427_40_1_1_5",
    ),
    (
        ["rocky", "rhel", "centos", "fedora"],
        "4.18.0-348.12.2.el8_5.x86_64",
        "1-2",
        "kpatch-patch-4_18_0-348_12_2-1-2.el8_5",
        "kpatch_4_18_0_348_12_2_1_2",
    ),
    (
        ["sles", "suse"],
        "5.14.21-150400.24.33-default",
        "6-150400.2.2",
        "kernel-livepatch-5_14_21-150400_24_33-default-6-150400.2.2",
        "livepatch_6_150400_2_2",
    ),
    (
        ["amzn", "fedora"],
        "6.1.186-228.376.amzn2023.x86_64",
        "1.0-2",
        "kernel-livepatch-6.1.186-228.376-1.0-2.amzn2023",
        None,
    ),
    (
        ["openeuler"],
        "5.10.0-60.91.0.115.oe2203.x86_64",
        "HP001-1-1",
        "patch-kernel-5.10.0-60.91.0.115.oe2203-HP001-1-1",
        None,
    ),
    (["debian"], "6.12.107+deb13-amd64", "hotfix3", "klp-6.12.107+deb13-amd64-hotfix3", "hotfix3"),
    ([], "6.1.0-56-amd64", "hot-fix", "klp-6.1.0-56-amd64-hot-fix", "hot_fix"),
]


def named(ids, kernel, release, pattern=None):
    values = names.placeholders(kernel, "x86_64", names.release_name(release))
    vendor = names.vendor(ids, release)
    chosen = pattern or (vendor.package if vendor else names.GENERIC)
    return names.spec(chosen, values), names.module_name(vendor, values)


@pytest.mark.parametrize("ids,kernel,release,spec,module", EXAMPLES)
def test_the_names_of_each_vendor_are_made_from_uname_and_the_release(ids, kernel, release, spec, module):
    assert named(ids, kernel, release) == (spec, module)


@pytest.mark.parametrize("ids", [["rhel"], ["sles", "suse"], ["amzn"], ["openeuler"]])
def test_a_release_of_ones_own_has_the_generic_name_on_a_vendors_host(ids):
    assert named(ids, "5.14.0-427.el9.x86_64", "hotfix3") == ("klp-5.14.0-427.el9.x86_64-hotfix3", "hotfix3")


def test_a_pattern_of_ones_own_replaces_the_vendors():
    spec = named(["rhel"], "5.14.0-427.el9.x86_64", "7", "acme-{kernel_base_underscored}-{release}.{arch}")[0]
    assert spec == "acme-5_14_0-427-7.x86_64"


def test_an_unknown_placeholder_is_named_with_the_known_ones():
    with pytest.raises(LivepatchError, match=r"\{kernel_base\}.*found \{kernl\}") as caught:
        named([], "6.1.0", "hotfix1", "klp-{kernl}-{release}")
    assert caught.value.code == "bad_name"


@pytest.mark.parametrize(
    "pattern", ["{release.__class__}", "{0}", "{}", "klp {release}", "{release}*", "-{release}", "a{{b}}"]
)
def test_a_pattern_that_gives_no_name_is_refused(pattern):
    with pytest.raises(LivepatchError) as caught:
        named([], "6.1.0", "hotfix1", pattern)
    assert caught.value.code == "bad_name"


@pytest.mark.parametrize(
    "release",
    [
        "",
        "a/b",
        "../x",
        "a b",
        "-rf",
        "--root=/",
        "$(id)",
        "a;b",
        "a|b",
        "`id`",
        "a*",
        "a?",
        "[a]",
        "a\n",
        "a'",
        'a"',
        "@x",
        "~a",
        "ä",
        "a" * 101,
    ],
)
def test_a_release_with_anything_but_a_names_characters_is_refused(release):
    with pytest.raises(LivepatchError, match="cannot be a release") as caught:
        names.release_name(release)
    assert caught.value.code == "bad_name"
