# Package and module names of vendors, and what cannot be a name.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import vendors

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 4))

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
    (["rhel", "fedora"], "4.18.0-193.el8.x86_64", "1-2", "kpatch-patch-4_18_0-193-1-2.el8", "kpatch_4_18_0_193_1_2"),
    (
        ["rhel", "fedora"],
        "6.12.0-211.16.1.el10_2.x86_64",
        "1-1",
        "kpatch-patch-6_12_0-211_16_1-1-1.el10_2",
        "kpatch_6_12_0_211_16_1_1_1",
    ),
    (
        ["sles", "suse"],
        "6.12.0-160000.5-default",
        "2-160000.2.2",
        "kernel-livepatch-6_12_0-160000_5-default-2-160000.2.2",
        "livepatch_2_160000_2_2",
    ),
    (
        ["sles", "suse"],
        "6.4.0-150600.10.23-rt",
        "3-150600.1.2",
        "kernel-livepatch-6_4_0-150600_10_23-rt-3-150600.1.2",
        "livepatch_3_150600_1_2",
    ),
    (
        ["amzn", "centos", "rhel", "fedora"],
        "5.10.102-99.473.amzn2.x86_64",
        "1.0-3",
        "kernel-livepatch-5.10.102-99.473-1.0-3.amzn2",
        None,
    ),
    (
        ["openeuler"],
        "5.10.0-216.0.0.115.oe2203sp4.x86_64",
        "ACC-1-6",
        "patch-kernel-5.10.0-216.0.0.115.oe2203sp4-ACC-1-6",
        None,
    ),
    (
        ["azurelinux"],
        "6.6.57.1-6.azl3",
        "1.0.0-1",
        "livepatch-6.6.57.1-6.azl3-1.0.0-1.azl3",
        "livepatch_6_6_57_1_6_azl3_1_0_0_1_azl3",
    ),
    (
        ["mariner"],
        "5.15.94.1-1.cm2",
        "1.0.0-2",
        "livepatch-5.15.94.1-1.cm2-1.0.0-2.cm2",
        "livepatch_5_15_94_1_1_cm2_1_0_0_2_cm2",
    ),
    (
        ["anolis", "rhel", "fedora", "centos"],
        "4.19.91-21.al7.x86_64",
        "4121479",
        "kernel-hotfix-4121479-21.al7",
        "kpatch_4121479",
    ),
    (["photon"], "6.1.10-11.ph5", "hotfix3", "klp-6.1.10-11.ph5-hotfix3", "hotfix3"),
    (["debian"], "6.12.107+deb13-amd64", "hotfix3", "klp-6.12.107+deb13-amd64-hotfix3", "hotfix3"),
    ([], "6.1.0-56-amd64", "hot-fix", "klp-6.1.0-56-amd64-hot-fix", "hot_fix"),
]


def named(ids, kernel, release, pattern=None):
    values = vendors.placeholders(kernel, "x86_64", vendors.release_name(release))
    vendor = vendors.vendor(ids, release)
    chosen = pattern or (vendor.package if vendor else vendors.GENERIC)
    return vendors.spec(chosen, values), vendors.module_name(vendor, values)


@pytest.mark.parametrize("ids,kernel,release,spec,module", EXAMPLES)
def test_the_names_of_each_vendor_are_made_from_uname_and_the_release(ids, kernel, release, spec, module):
    assert named(ids, kernel, release) == (spec, module)


@pytest.mark.parametrize("ids", [list(row.ids) for row in vendors.VENDORS if row.ids])
def test_a_release_of_ones_own_has_the_generic_name_on_a_vendors_host(ids):
    assert named(ids, "5.14.0-427.el9.x86_64", "hotfix3") == ("klp-5.14.0-427.el9.x86_64-hotfix3", "hotfix3")


# Names of packages as vendors have published them, and those of houses that build their own.
PACKAGES = [
    ("kpatch-patch-5_14_0-503_15_1-1-1.el9_5", ("rhel", "5_14_0-503_15_1", "1-1")),
    ("kpatch-patch-5_14_0-427_40_1-1-5.el9_4.x86_64", ("rhel", "5_14_0-427_40_1", "1-5")),
    ("kpatch-patch-6_12_0-211_16_1-0-0.el10_2.aarch64", ("rhel", "6_12_0-211_16_1", "0-0")),
    (
        "kernel-livepatch-5_14_21-150400_24_33-default-6-150400.2.2.x86_64",
        ("suse", "5_14_21-150400_24_33-default", "6-150400.2.2"),
    ),
    ("kpatch-patch-4_18_0-348-1-3.el8.x86_64", ("rhel", "4_18_0-348", "1-3")),
    ("kpatch-patch-4_18_0-348_12_2-0-0.el8_5.x86_64", ("rhel", "4_18_0-348_12_2", "0-0")),
    (
        "kernel-livepatch-6_12_0-160000_5-default-1-160000.1.1.x86_64",
        ("suse", "6_12_0-160000_5-default", "1-160000.1.1"),
    ),
    (
        "kernel-livepatch-6_4_0-150600_21-default-5-150600.2.1.s390x",
        ("suse", "6_4_0-150600_21-default", "5-150600.2.1"),
    ),
    ("kernel-livepatch-5.10.102-99.473-1.0-0.amzn2.x86_64", ("amazon", "5.10.102-99.473", "1.0-0")),
    ("kernel-livepatch-6.12.58-82.121-1.0-3.amzn2023.aarch64", ("amazon", "6.12.58-82.121", "1.0-3")),
    (
        "patch-kernel-5.10.0-216.0.0.115.oe2203sp4-ACC-1-6.x86_64",
        ("openeuler", "5.10.0-216.0.0.115.oe2203sp4", "ACC-1-6"),
    ),
    ("livepatch-6.6.57.1-6.azl3-1.0.0-1.azl3.x86_64", ("azurelinux", "6.6.57.1-6.azl3", "1.0.0-1")),
    ("kernel-livepatch-6.1.186-228.376-1.0-2.amzn2023", ("amazon", "6.1.186-228.376", "1.0-2")),
    ("kernel-livepatch-6.1.186-228.376-1.0-2.amzn2023.aarch64", ("amazon", "6.1.186-228.376", "1.0-2")),
    ("kernel-hotfix-4121479-21.al7-1.0-1.al7", ("anolis", "21.al7", "4121479")),
    (
        "patch-kernel-5.10.0-60.91.0.115.oe2203-HP001-1-1.x86_64",
        ("openeuler", "5.10.0-60.91.0.115.oe2203", "HP001-1-1"),
    ),
    ("livepatch-5.15.94.1-1.cm2-1.0.0-2.cm2.x86_64", ("azurelinux", "5.15.94.1-1.cm2", "1.0.0-2")),
    ("klp-6.4.3-0_fbk14_zion-hf2-r1.x86_64", ("meta", "6.4.3-0_fbk14_zion", "hf2")),
    ("klp-6.1.0-56-amd64-hotfix3-1.x86_64", ("generic", "6.1.0-56-amd64", "hotfix3")),
    ("klp-6.12.107+deb13-amd64-hotfix1_rebuilt-1", ("generic", "6.12.107+deb13-amd64", "hotfix1_rebuilt")),
    ("kernel-default-5.14.21-150400.24.33.1.x86_64", None),
    ("kpatch-patch-5_14_0-503_15_1", None),
    ("kpatch-0.9.7-3.el9.noarch", None),
    ("kernel-livepatch-tools-1.4-2.1.x86_64", None),
    ("klp-6.1.0-56-amd64", None),
    ("patch-redis-6.2.5-1-HP001-1-1.x86_64", None),
]


@pytest.mark.parametrize("nevra, expected", PACKAGES)
def test_an_installed_package_tells_its_vendor_its_kernel_and_its_release(nevra, expected):
    assert vendors.parse(nevra) == (expected and vendors.Named(*expected))


# A release with a dash is no version of an RPM: where such a name ends cannot be told from the package.
@pytest.mark.parametrize("ids,kernel,release,spec,module", [row for row in EXAMPLES if row[2] != "hot-fix"])
def test_what_the_names_make_is_told_apart_again(ids, kernel, release, spec, module):
    row = vendors.vendor(ids, release)
    ending = {"generic": "-1", "anolis": "-1.0-1.al7"}.get(row.name if row else "generic", "")
    found = vendors.parse(spec + ending + ".x86_64")
    assert found is not None and (found.vendor, found.release) == (row.name if row else "generic", release)
    if module is not None:
        assert vendors.module_name(row, vendors.placeholders(kernel, "x86_64", found.release)) == module


def test_dots_and_underscores_tell_amazon_from_suse():
    suse, amazon = vendors.VENDORS[1], vendors.VENDORS[2]
    assert (suse.name, amazon.name) == ("suse", "amazon")
    for nevra, expected in PACKAGES:
        if nevra.startswith("kernel-livepatch-") and expected:
            assert bool(suse.nevra.match(nevra)) == (expected[0] == "suse")
            assert bool(amazon.nevra.match(nevra)) == (expected[0] == "amazon")


def test_no_word_of_os_release_leads_to_two_vendors():
    words = [word for row in vendors.VENDORS for word in row.ids]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("ids,kernel,release,spec,module", EXAMPLES)
def test_a_package_is_for_its_own_kernel_and_for_none_that_begins_alike(ids, kernel, release, spec, module):
    row = vendors.vendor(ids, release)
    ending = {"generic": "-1", "anolis": "-1.0-1.al7"}.get(row.name if row else "generic", "")
    nevra = spec + ending + ".x86_64"
    assert vendors.other_kernel(nevra, kernel, "x86_64") is None
    if row is not None and row.nevra and row.nevra.match(nevra):
        other = kernel.replace("-", "-1", 1)
        assert vendors.other_kernel(nevra, other, "x86_64") == vendors.parse(nevra).kernel


def test_what_nobody_has_confirmed_is_named_by_its_column():
    for row in vendors.VENDORS:
        assert set(row.unverified) <= set(row._fields), row.name


def test_the_directories_of_a_kernel_are_those_of_every_vendor_once():
    found = vendors.directories("6.1.0-56-amd64")
    assert found[0] == "/usr/lib/modules/6.1.0-56-amd64/livepatch"
    assert {"/usr/lib/livepatching/6.1.0-56-amd64", "/var/lib/kpatch/6.1.0-56-amd64"} <= set(found)
    assert len(found) == len(set(found))


def test_every_vendor_is_in_the_table_for_people():
    with open(os.path.join(ROOT, "docs", "vendors.md")) as handle:
        text = handle.read()
    for row in vendors.VENDORS:
        line = next((line for line in text.splitlines() if line.startswith("| %s |" % row.name)), "")
        assert line, row.name
        for pattern in (row.package, row.module):
            assert pattern is None or "`%s`" % pattern in line, (row.name, pattern)
        for directory in row.directories:
            assert "`%s`" % directory in line, (row.name, directory)
        for column in row.unverified:
            assert "%s unverified" % column in line, (row.name, column)


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
        vendors.release_name(release)
    assert caught.value.code == "bad_name"
