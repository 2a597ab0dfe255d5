# Whatever a package is called, a changelog says or an engine prints, the answer is one of those that were promised.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import tempfile

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import (
    advisories,
    drift,
    engines,
    package_facts,
    package_manager,
    rpm,
    vendors,
)

HOST = sysfs.Host(True, "6.1.0-1", {}, {"kcare": sysfs.Module(0, "OE", True)})


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
@example('{"Status": [{"Running": true, "Livepatch": {"State": "applied", "Version": 104.1}}]}')
def test_whatever_an_engine_prints_the_answer_is_an_engine(text):
    original, engines._answer = engines._answer, lambda command, seconds: text
    try:
        for ask in (engines._ksplice, engines._kernelcare, engines._canonical, engines._syscare):
            active, release = ask("/usr/sbin/uptrack-uname", HOST, 1)
            assert active in (True, False, None) and (release is None or isinstance(release, str))
    finally:
        engines._answer = original


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_two_kernel_releases_can_be_compared(one, other):
    assert (drift.age(one) < drift.age(other)) + (drift.age(other) < drift.age(one)) <= 1


@given(st.text("CVE-0129 \n", max_size=200))
def test_whatever_a_changelog_says_only_whole_names_are_cves(text):
    for cve in package_facts.cves_in_text(text):
        assert cve in text and cve.count("-") == 2


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["", ".gz", ".xz", ".bz2", ".zst"]))
def test_whatever_lies_among_the_advisories_reading_it_ends_with_a_word(data, suffix):
    with tempfile.TemporaryDirectory() as root:
        original, advisories.files = advisories.files, lambda dummy: [root + "/updateinfo.xml" + suffix]
        try:
            with open(root + "/updateinfo.xml" + suffix, "wb") as stream:
                stream.write(data)
            found, status = package_facts.cves_in_advisories("klp-1-1.x86_64", root)
        finally:
            advisories.files = original
    assert isinstance(found, list) and status in ("read", "truncated", "unreadable")


@given(st.text("abz059._-+~^", max_size=60))
def test_any_text_is_a_livepatch_package_or_is_not_one(text):
    for prefix in ("", "klp-6.1.0-1-", "kpatch-patch-5_14_0-", "kernel-livepatch-", "patch-kernel-"):
        found = vendors.parse(prefix + text)
        assert found is None or (found.kernel in prefix + text and found.release in prefix + text)


@given(
    st.lists(
        st.sampled_from(
            ["installed\tk\t1\t1\tx86_64\t9\t(none)", "file\t/a.ko", "file", "", "package k is not installed"]
        )
    )
)
def test_what_rpm_prints_gives_as_many_packages_as_it_has_rows(lines):
    rows = rpm._rows("\n".join(lines))
    assert len(rows) == len([line for line in lines if line.startswith("installed\t")])
    first = next((number for number, line in enumerate(lines) if line.startswith("installed\t")), len(lines))
    assert sum(len(row.files) for row in rows) == len([line for line in lines[first:] if line.startswith("file")])


@given(st.text("<>/='abinstallsolve kp-1", max_size=200))
def test_whatever_zypper_prints_is_read_without_a_fault(text):
    for output in (text, "<stream>%s</stream>" % text):
        assert isinstance(package_manager._messages(output), str)
        assert package_manager._to_install(output, "klp-1") is None
