# Which build the repositories have for a kernel: newest, by CVE, by advisory, and every reason why there is none.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import collections
import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import builds, package_manager
from tests.unit.fakes.build_host import BUILT, CACHES, LOCKED, NOISE, BuildHost

System = collections.namedtuple("System", "release machine")
KERNEL = "5.14.0-427.40.1.el9_4.x86_64"
NAME = "kpatch-patch-5_14_0-427_40_1"
FIRST, SECOND, THIRD = [(NAME, "1", release + ".el9_4") for release in ("1", "2", "10")]
EMPTY = (NAME, "0", "0.el9_4")
# Those of kernels whose names begin alike.
OTHERS = [("kpatch-patch-5_14_0-427_40_10", "1", "99.el9_4"), ("kpatch-patch-5_14_0-427_4", "1", "99.el9_4")]


def nevra(package):
    return "%s-%s-%s.x86_64" % package


@pytest.fixture(params=["dnf", "dnf5", "zypper", "tdnf"])
def host(request, tmp_path):
    return BuildHost(request.param, [SECOND, THIRD, EMPTY, FIRST] + OTHERS, tmp_path)


@pytest.fixture
def dnf(tmp_path):
    return BuildHost("dnf", [SECOND, THIRD, EMPTY, FIRST] + OTHERS, tmp_path)


def ask(host, kernel=KERNEL, **options):
    return builds.ask(host.run, host.find, root=str(host.root), system=System(kernel, "x86_64"), **options)


def refused(host, **options):
    with pytest.raises(LivepatchError) as caught:
        ask(host, **options)
    assert "xpected" in caught.value.message
    return caught.value


def advise(host):
    host.advise(
        ("RHSA-2026:1", ["CVE-2026-40001"], [FIRST], []),
        ("RHSA-2026:2", ["CVE-2026-40002"], [SECOND, OTHERS[0]], []),
        ("RHSA-2026:10", ["CVE-2026-40010"], [THIRD], []),
        ("RHSA-2026:11", ["CVE-2026-40011"], [("kernel", "5.14.0", "500.el9_4")], []),
    )


def test_the_newest_build_of_this_kernel_is_told_by_versions_and_not_by_letters(host):
    result = ask(host)
    assert result["build"]["package"] == nevra(THIRD)
    assert (result["build"]["version"], result["build"]["livepatch"]) == ("1-10", "kpatch_5_14_0_427_40_1_1_10")
    assert (result["vendor"], result["reason"], result["changed"]) == ("rhel", None, False)
    assert (result["kernel_release"], result["architecture"]) == (KERNEL, "x86_64")


def test_when_a_build_was_made_is_told_where_the_package_manager_tells(host):
    told = {"dnf": "2026-12-01T03:57:00Z", "dnf5": "2026-12-01T03:57:07Z"}
    assert ask(host)["build"]["built"] == told.get(host.program)
    assert BUILT


def test_a_kernel_without_a_package_has_no_build(host):
    host.packages = OTHERS
    result = ask(host, cves=["CVE-2026-40001"])
    assert (result["build"], result["reason"], result["missing"]) == (None, "no_build", ["CVE-2026-40001"])


@pytest.mark.parametrize(
    "kernel, empty", [(KERNEL, EMPTY), ("6.1.186-228.376.amzn2023.x86_64", ("kernel-livepatch-6.1.186-228.376", "1.0", "0.amzn2023"))]
)
def test_a_first_package_without_a_livepatch_is_no_build_and_said_to_be_empty(host, tmp_path, kernel, empty):
    host = BuildHost(host.program, [empty], tmp_path, "ID=amzn\n" if "amzn" in kernel else "ID=rocky\nID_LIKE=rhel\n")
    result = ask(host, kernel)
    assert (result["build"], result["reason"]) == (None, "empty")


def test_suses_first_build_has_a_livepatch_without_fixes(host, tmp_path):
    name = "kernel-livepatch-6_12_0-160000_5-default"
    first, second = (name, "1", "160000.1.1"), (name, "2", "160000.2.2")
    for packages, version in (([first], "1-160000.1.1"), ([first, second], "2-160000.2.2")):
        host = BuildHost(host.program, packages, tmp_path, "ID=sles\nID_LIKE=suse\n")
        assert ask(host, "6.12.0-160000.5-default")["build"]["version"] == version


def test_a_repository_that_is_down_is_never_taken_for_one_without_a_build(host):
    host.down = True
    assert refused(host).code == "repository_unavailable"


def test_a_build_mends_what_its_advisories_and_those_of_older_builds_name(host):
    advise(host)
    result = ask(host, cves=["CVE-2026-40002", "CVE-2026-40001"])
    assert result["build"]["cves"] == ["CVE-2026-40001", "CVE-2026-40002", "CVE-2026-40010"]
    assert result["build"]["advisories"] == ["RHSA-2026:1", "RHSA-2026:2", "RHSA-2026:10"]
    assert (result["missing"], result["unknown_cves"]) == ([], [])
    assert result["sources"] == {"changelog": "absent", "advisories": "read"}


def test_an_older_build_does_not_mend_what_came_later(host):
    advise(host)
    host.packages.remove(THIRD)
    assert ask(host)["build"]["cves"] == ["CVE-2026-40001", "CVE-2026-40002"]


def test_a_cve_that_the_build_lacks_is_missing_and_one_that_nobody_names_is_unknown(host):
    advise(host)
    result = ask(host, cves=["CVE-2026-40001", "CVE-2026-40011", "CVE-2026-77777"])
    assert result["missing"] == ["CVE-2026-40011", "CVE-2026-77777"]
    assert result["unknown_cves"] == ["CVE-2026-77777"]


@pytest.mark.parametrize("program", ["dnf", "dnf5", "tdnf"])
def test_the_changelog_is_asked_for_what_the_advisories_do_not_tell(program, tmp_path):
    host = BuildHost(program, [FIRST], tmp_path)
    host.changelogs[nevra(FIRST)] = "* Thu Jan 01 2026 L - 1-1\n- kernel: CVE-2026-40003 (CVE-2026-40004)"
    assert ask(host)["build"]["cves"] == ["CVE-2026-40003", "CVE-2026-40004"]
    host.advise(("RHSA-2026:1", ["CVE-2026-40001"], [FIRST], []))
    told = ask(host, cves=["CVE-2026-40001"])
    assert (told["build"]["cves"], told["sources"]["changelog"]) == (["CVE-2026-40001"], "absent")
    more = ask(host, cves=["CVE-2026-40003"])
    assert (more["missing"], more["unknown_cves"], more["sources"]["changelog"]) == ([], [], "read")
    assert more["build"]["cves"] == ["CVE-2026-40001", "CVE-2026-40003", "CVE-2026-40004"]


def test_without_advisories_nobody_can_say_that_a_cve_is_unknown(host):
    result = ask(host, cves=["CVE-2026-40001"])
    assert (result["missing"], result["unknown_cves"]) == (["CVE-2026-40001"], [])
    assert result["sources"]["advisories"] == "absent"


def test_an_advisory_brings_the_build_that_it_names_though_there_is_a_newer_one(host):
    advise(host)
    result = ask(host, advisory="RHSA-2026:2")
    assert (result["build"]["package"], result["advisory_known"]) == (nevra(SECOND), True)


@pytest.mark.parametrize(
    "advisory, reason, known",
    [
        ("RHSA-2026:11", "not_in_advisory", True),
        ("RHSA-2026:99", "not_in_advisory", False),
        ("RHSA-2026:1000", "not_in_advisory", False),
    ],
)
def test_an_advisory_that_brings_nothing_is_told_from_one_that_nobody_knows(host, advisory, reason, known):
    advise(host)
    result = ask(host, advisory=advisory)
    assert (result["build"], result["reason"], result["advisory_known"]) == (None, reason, known)


def test_a_build_of_an_advisory_that_the_repository_has_dropped_is_no_build(host):
    advise(host)
    host.packages.remove(SECOND)
    result = ask(host, advisory="RHSA-2026:2")
    assert (result["build"], result["reason"], result["advisory_known"]) == (None, "no_build", True)


@pytest.mark.parametrize("word", ["SUSE-SU-2026:0077-1", "SUSE-SLE-Module-Live-Patching-15-SP5-2026-77"])
@pytest.mark.parametrize("calls", [[], ["SUSE-SU-2026:0077-1"]])
def test_suses_advisories_are_known_by_both_of_their_names(tmp_path, word, calls):
    package = ("kernel-livepatch-5_14_21-150400_24_33-default", "6", "150400.2.2")
    host = BuildHost("zypper", [package], tmp_path, "ID=sles\nID_LIKE=suse\n")
    host.advise(
        ("SUSE-SLE-Module-Live-Patching-15-SP5-2026-77", ["CVE-2026-40001"], [package], calls),
        ("SUSE-SLE-Module-Live-Patching-15-SP5-2026-177", ["CVE-2026-40002"], [], []),
    )
    result = ask(host, "5.14.21-150400.24.33-default", advisory=word)
    assert (result["build"]["package"], result["advisory_known"]) == (nevra(package), True)


def test_what_the_host_keeps_out_is_excluded_and_named(host):
    host.excluded = ["kpatch*"]
    result = ask(host)
    assert (result["build"], result["reason"], result["held_back"]) == (None, "excluded", nevra(THIRD))


def test_a_lock_that_lets_an_older_build_in_names_the_newer_one(host):
    host.excluded = [nevra(THIRD)]
    result = ask(host)
    assert (result["build"]["package"], result["reason"], result["held_back"]) == (nevra(SECOND), None, nevra(THIRD))


@pytest.mark.parametrize(
    "text, excluded",
    [
        ("Warning: The following packages are excluded from tdnf.conf:\n  kpatch*\nNothing to do.\n", True),
        ("1. package %s is disabled\nFound 1 problem(s) while resolving\nError(1301) : Solv general runtime error\n", True),
        ("Warning: The following packages are excluded from tdnf.conf:\n  other*\n\nInstalling:\n", False),
        ("Warning: The following packages are excluded from tdnf.conf:\n  other*\nPackage %s is already installed.\nNothing to do.\n", False),
        ("Error(1011) : No matching packages\n", False),
    ],
)
def test_tdnf_tells_what_it_leaves_out_in_words_of_its_own(text, excluded):
    manager = package_manager.Tdnf(lambda *given, **named: (0, text, ""), "/usr/bin/tdnf", 9, "/usr/bin/timeout")
    assert manager.is_excluded(nevra(FIRST)) == excluded


def test_a_version_lock_of_dnf_5_is_seen_as_such(tmp_path, monkeypatch):
    host = BuildHost("dnf5", [FIRST], tmp_path)
    host.excluded = ["*"]
    monkeypatch.setitem(host._dnf.__globals__["EXCLUDED"], "dnf5", LOCKED)
    assert ask(host)["reason"] == "excluded"


@pytest.mark.parametrize("noise", [NOISE, "available|a|b\n", "available|" + "x" * 300 + "|0|1|1|x86_64|1\n"])
def test_what_plugins_print_is_no_build(dnf, noise):
    dnf.noise = noise
    assert ask(dnf)["build"]["package"] == nevra(THIRD)


def test_packages_for_another_architecture_are_not_for_this_host():
    names = builds.Names(None, None, "6.1.0-50-amd64", "x86_64")
    rows = [package_manager.Available("klp-6.1.0-50-amd64", "0", "hf1", "1", arch, None) for arch in ("x86_64", "i686", "noarch")]
    assert [build.package.arch for build in names.builds(rows)] == ["noarch", "x86_64"]


def test_a_house_has_its_own_builds_also_on_a_vendors_hosts(host):
    host.packages = [("klp-" + KERNEL, "hotfix1", "1"), ("klp-" + KERNEL + "_debug", "hotfix9", "1")]
    result = ask(host)
    assert (result["vendor"], result["build"]["version"], result["build"]["livepatch"]) == ("generic", "hotfix1", "hotfix1")


@pytest.mark.parametrize(
    "pattern, packages, version",
    [
        ("klp-{kernel}-hotfix{release}", [("klp-" + KERNEL, "hotfix2", "1"), ("klp-" + KERNEL, "warns", "1")], "2"),
        ("acme-{release}-{kernel_base}", [("acme-7-5.14.0-427.40.1", "1", "1"), ("acme-10-5.14.0-427.40.1", "1", "1")], "10"),
        ("klp-{kernel}-{release}", [("klp-%s-7" % KERNEL, "1", "1")], "7"),
        ("klp-{kernel}-{release}", [("klp-%s-rt" % KERNEL, "9", "1"), ("klp-" + KERNEL, "7", "1")], "7"),
    ],
)
def test_a_pattern_of_ones_own_leaves_the_release_open(host, pattern, packages, version):
    host.packages = packages
    result = ask(host, pattern=pattern)
    assert (result["vendor"], result["build"]["version"], result["build"]["livepatch"]) == ("generic", version, None)


@pytest.mark.parametrize("pattern", ["{release}", "klp-{kernel}", "klp-{release}-{release}", "k {release}", "klp-{no}-{release}"])
def test_a_pattern_that_leaves_everything_open_or_nothing_is_refused(dnf, pattern):
    assert refused(dnf, pattern=pattern).code == "bad_name"
    assert dnf.calls == []


@pytest.mark.parametrize(
    "options",
    [
        {"cves": ["CVE-2026-1"]},
        {"cves": ["RHSA-2026:1"]},
        {"cves": ["CVE-2026-40001\n"]},
        {"cves": ["CVE-2026-40001"] * 201},
        {"advisory": "--root=/"},
        {"advisory": "RHSA 2026"},
        {"advisory": ""},
        {"advisory": "RHSA-2026:1", "cves": ["CVE-2026-40001"]},
    ],
)
def test_what_can_be_neither_a_cve_nor_an_advisory_is_refused_before_any_command(dnf, options):
    assert refused(dnf, **options).code == "bad_name"
    assert dnf.calls == []


def test_of_openeulers_livepatches_those_that_add_up_count(host, tmp_path):
    names = ["patch-kernel-5.10.0-60.91.0.115.oe2203-" + ending for ending in ("SGL_CVE_2026_40001", "HP002", "ACC")]
    host = BuildHost(host.program, [(name, "1", "1") for name in names], tmp_path, "ID=openEuler\n")
    for version in ("ACC-1-1", "HP002-1-1", None):
        result = ask(host, "5.10.0-60.91.0.115.oe2203.x86_64")
        assert (result["build"] or {}).get("version") == version
        host.packages.pop()


def test_a_vendor_whose_livepatches_do_not_add_up_has_no_newest_one(host, tmp_path):
    host = BuildHost(host.program, [("kernel-hotfix-4121479-21.al7", "1.0", "1.al7")], tmp_path, "ID=alinux\n")
    error = refused(host, kernel="4.19.91-21.al7.x86_64")
    assert error.code == "unsupported" and "anolis" in error.message


def test_a_package_that_is_installed_and_newer_than_the_build_is_told(host):
    host.installed = [SECOND, THIRD]
    assert ask(host)["newer_installed"] is None
    host.installed += [(NAME, "1", "12.el9_4"), (NAME, "1", "11.el9_4")]
    assert ask(host)["newer_installed"] == NAME + "-1-12.el9_4.x86_64"


@pytest.mark.parametrize(
    "ids, kernel, built, until",
    [
        ("ID=rhel\n", KERNEL, "2024-02-29", "2025-02-28"),
        ("ID=sles\nID_LIKE=suse\n", "6.12.0-160000.5-default", "2026-05-04", "2027-05-04"),
        ("ID=amzn\n", "6.1.186-228.376.amzn2023.x86_64", "2026-11-30", "2027-02-28"),
        ("ID=openEuler\n", "5.10.0-60.91.0.115.oe2203.x86_64", "2026-11-30", None),
        ("ID=debian\n", "6.1.0-50-amd64", "2026-11-30", None),
    ],
)
def test_until_when_a_kernel_gets_livepatches_is_counted_from_its_package(tmp_path, ids, kernel, built, until):
    names = {"ID=r": NAME, "ID=s": "kernel-livepatch-6_12_0-160000_5-default", "ID=a": "kernel-livepatch-6.1.186-228.376"}
    host = BuildHost("dnf", [(names.get(ids[:4], "klp-" + kernel), "1", "1" + (".el9_4" if "rhel" in ids else ""))], tmp_path, ids)
    host.packages += [("kernel-livepatch-6.1.186-228.376", "1.0", "1.amzn2023")]
    assert ask(host, kernel)["supported_until"] is None
    host.kernel = ("kernel-core", builds.times.to_seconds(built + "T12:00:00Z"))
    assert ask(host, kernel)["supported_until"] == until


def test_a_kernel_without_any_package_may_never_have_been_one_that_gets_some(dnf):
    dnf.packages, dnf.kernel = [], ("kernel-core", 32503680000 - 86400 * 30)
    assert ask(dnf)["supported_until"] is None
    dnf.kernel = ("kernel-core", 1600000000)
    assert ask(dnf)["supported_until"] == "2021-09-13"


def test_what_is_told_of_a_build_is_bounded(dnf):
    many = [("RHSA-2026:%d" % number, ["CVE-2026-%d" % (10000 + 10 * number + one) for one in range(10)], [FIRST], []) for number in range(40)]
    dnf.advise(*many)
    dnf.packages = [FIRST]
    result = ask(dnf, cves=["CVE-2026-10000", "CVE-2026-10001"])
    assert (len(result["build"]["cves"]), len(result["build"]["advisories"])) == (200, 20)
    assert result["build"]["cves"][:2] == ["CVE-2026-10000", "CVE-2026-10001"] and not result["missing"]
    assert result["build"]["advisories"][-1] == "RHSA-2026:39"


def test_only_the_advisories_of_this_package_manager_count_and_of_a_repository_that_moved_the_last(host):
    other = {"dnf": "zypper", "dnf5": "zypper"}.get(host.program, "dnf")
    host.advise(("RHSA-2026:7", ["CVE-2026-40007"], [FIRST], []), path=CACHES[other] + "/repodata/1-updateinfo.xml")
    assert ask(host)["sources"]["advisories"] == "absent"
    if host.program == "zypper":
        return
    moved = CACHES[host.program].rpartition("-")[0] + "-" + "f" * (8 if host.program == "tdnf" else 16)
    host.advise(("RHSA-2026:8", ["CVE-2026-40008"], [FIRST], []), path=moved + "/repodata/1-updateinfo.xml")
    for name in ("", "1-updateinfo.xml"):
        os.utime(os.path.join(str(host.root), moved, "repodata", name), (1000, 1000))
    advise(host)
    assert "CVE-2026-40008" not in ask(host)["build"]["cves"]


def test_most_hosts_ask_their_package_manager_twice(host):
    advise(host)
    ask(host)
    asked = [call for call in host.calls if os.path.basename(call[0]) == host.program]
    assert len(asked) == (3 if host.program == "zypper" else 2)
