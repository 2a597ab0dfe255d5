# Which CVEs a package mends: by its changelog, and by the advisories that the package manager keeps.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import bz2
import gzip
import lzma
import os
import subprocess

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._packages import advisories, package_facts

PACKAGE = "klp-6.1.0-56-amd64-hotfix2-1.x86_64"
UPDATE = """<update type="security"><id>LAB-1</id><references>%s</references>
<pkglist><collection><package name="klp"><filename>%s.rpm</filename></package></collection></pkglist></update>
"""
CACHE = "var/cache/dnf/lab-0123456789abcdef/repodata/0123-updateinfo.xml"


def zstd(data):
    return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout


@pytest.fixture
def root(tmp_path):
    return str(tmp_path)


def updates(*pairs):
    text = "".join(
        UPDATE % ("".join('<reference id="%s" type="cve"/>' % cve for cve in cves), name) for name, cves in pairs
    )
    return ('<?xml version="1.0"?>\n<updates>\n%s</updates>\n' % text).encode()


def put(root, data, path=CACHE):
    place = os.path.join(root, path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "wb") as stream:
        stream.write(data)


def test_cves_are_sorted_by_year_and_number_and_told_once():
    text = "- CVE-2026-9999, CVE-2026-10001 (CVE-2025-40001) fix; CVE-2026-9999 again, xCVE-2026-1111 CVE-26-1"
    assert package_facts.cves_in_text(text) == ["CVE-2025-40001", "CVE-2026-9999", "CVE-2026-10001"]


@pytest.mark.parametrize(
    "suffix, pack",
    [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress), (".zst", zstd)],
)
def test_the_advisories_of_exactly_this_package_are_read_packed_or_not(root, suffix, pack):
    other = PACKAGE.replace("hotfix2", "hotfix3")
    data = updates((PACKAGE, ["CVE-2026-40001"]), (other, ["CVE-2026-40003"]), (PACKAGE, ["CVE-2026-40002"]))
    put(root, pack(data), CACHE + suffix)
    assert package_facts.cves_in_advisories(PACKAGE, root) == (["CVE-2026-40001", "CVE-2026-40002"], "read")


@pytest.mark.parametrize(
    "path", ["var/cache/libdnf5/lab-01/repodata/01-updateinfo.xml", "var/cache/zypp/raw/lab/repodata/01-updateinfo.xml"]
)
def test_every_package_managers_advisories_are_found(root, path):
    put(root, updates((PACKAGE, ["CVE-2026-40001"])), path)
    assert package_facts.cves_in_advisories(PACKAGE, root) == (["CVE-2026-40001"], "read")


def test_a_host_without_advisories_says_so(root):
    assert package_facts.cves_in_advisories(PACKAGE, root) == ([], "absent")


@pytest.mark.parametrize(
    "suffix, data",
    [
        (".zst", b"("),
        (".gz", b"no gzip"),
        (".gz", gzip.compress(updates() * 50)[:-30]),
        (".xz", b"no xz"),
        (".bz2", b"x"),
        (".zst", zstd(updates(("other", ["CVE-2026-40001"])) * 5000)[:-30]),
        (".zck", b"no program of ours"),
    ],
    ids=["zst", "no gzip", "cut gzip", "no xz", "bz2", "cut zst", "zck"],
)
def test_advisories_that_cannot_be_unpacked_are_not_taken_for_none(root, suffix, data):
    put(root, data, CACHE + suffix)
    assert package_facts.cves_in_advisories(PACKAGE, root) == ([], "unreadable")


def test_an_advisory_across_two_reads_is_read_whole(root, monkeypatch):
    monkeypatch.setattr(advisories, "_CHUNK", 7)
    put(root, updates((PACKAGE, ["CVE-2026-40001"]), ("other", ["CVE-2026-40002"])))
    assert package_facts.cves_in_advisories(PACKAGE, root) == (["CVE-2026-40001"], "read")


@pytest.mark.parametrize(
    "module, name, value",
    [(advisories, "MAX_BYTES", 300), (advisories, "MAX_UPDATE", 20), (package_facts, "ADVISORY_SECONDS", -1.0)],
)
def test_reading_ends_at_its_limits_and_says_so(root, monkeypatch, module, name, value):
    monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(advisories, "_CHUNK", 50)
    put(
        root,
        updates(*[("other%d" % number, ["CVE-2026-40002"]) for number in range(100)], (PACKAGE, ["CVE-2026-40001"])),
    )
    assert package_facts.cves_in_advisories(PACKAGE, root) == ([], "truncated")
