# livepatch_package with real dnf and rpm against a real, signed repository.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# dnf takes seconds in an emulated guest: what does not depend on the kernel is shown on one guest.

import contextlib
import subprocess

import pytest

PACKAGE = "kernel.livepatch.livepatch_package"
REPOSITORY_FILES = "/etc/yum.repos.d"
NEEDS_IT = """
Name: needs-livepatch
Version: 1
Release: 1
Summary: Needs the livepatch package
License: GPL-3.0-or-later
BuildArch: noarch
Requires: {name}
%description
{name} is needed.
%files
"""


def package(name, check_mode=False, **options):
    return {"name": name, PACKAGE: options, "check_mode": check_mode, "diff": True}


def quartet(name, **options):
    """Check, real, again, again in check."""
    return [
        package(name + ", check", check_mode=True, **options),
        package(name, **options),
        package(name + ", again", **options),
        package(name + ", again in check", check_mode=True, **options),
    ]


def nevra(guest, release):
    return "klp-%s-%s-1.x86_64" % (guest.kernel_release, release)


@pytest.fixture
def one(fleet):
    """The guest on which is shown what depends on dnf only; before and after it has no livepatch package."""
    guest = fleet.guests["lab-1"]
    remove_packages(guest)
    yield guest
    remove_packages(guest)


@pytest.fixture
def on_one(one, in_guest, tasks_in):
    """Run tasks on the one guest; results[task name]."""
    return lambda *tasks: {task["name"]: result for task, result in zip(tasks, tasks_in(one, list(tasks)))}


def remove_packages(guest):
    found = guest.ssh(["rpm", "-qa", "--qf", "%{NAME}\\n", "klp-*", "needs-livepatch"]).stdout.split()
    if found:
        guest.ssh(["rpm", "-e"] + found)


@contextlib.contextmanager
def changed(guest, before, after):
    """Change a guest by a command, and change it back."""
    done = guest.ssh(before)
    assert done.returncode == 0, done.stderr
    try:
        yield
    finally:
        undone = guest.ssh(after)
    assert undone.returncode == 0, undone.stderr


def test_a_release_is_installed_taken_back_and_removed_for_the_kernel_that_runs(some, steps):
    guests = some("5.10", "7.2")
    results = steps(
        quartet("install", release="hotfix1")
        + [package("upgrade", release="hotfix2"), package("go back", release="hotfix1")]
        + [package("leave another", release="hotfix2", state="absent")]
        + quartet("remove", release="hotfix1", state="absent"),
        guests,
    )
    for host, guest in guests.items():
        first, second = nevra(guest, "hotfix1"), nevra(guest, "hotfix2")
        assert_quartet(results, "install", host, "installed", "already_installed", first)
        assert_quartet(results, "remove", host, "removed", "already_absent", None)
        files = ["/usr/lib/modules/%s/livepatch/hotfix1.ko" % guest.kernel_release]
        assert results["install"][host]["module_files"] == results["install, again"][host]["module_files"] == files
        assert results["install, check"][host]["diff"] == results["install"][host]["diff"]
        assert results["remove, check"][host]["diff"] == results["remove"][host]["diff"]
        assert brief(results["upgrade"][host]) == ("installed", True, first, second)
        assert brief(results["go back"][host]) == ("installed", True, second, first)
        assert brief(results["leave another"][host]) == ("already_absent", False, None, None)
        assert guest.ssh(["rpm", "-q", "klp-" + guest.kernel_release]).returncode != 0


def test_no_build_for_the_kernel_is_not_applicable_and_an_unreachable_repository_never_is(fleet, one, on_one):
    reachable = on_one(
        package("no build", release="nosuch"),
        package("no build, check", check_mode=True, release="nosuch"),
    )
    assert brief(reachable["no build"]) == brief(reachable["no build, check"]) == ("not_applicable", False, None, None)
    assert not reachable["no build"]["failed"]
    fleet.repository.stop()
    try:
        unreachable = on_one(package("no build", release="nosuch"), package("cached metadata", release="hotfix3"))
    finally:
        fleet.repository.start()
    for result in unreachable.values():
        assert (result["failed"], result["changed"], result["error"]) == (True, False, "repository_unavailable")
        assert result["stderr"]


def test_one_dead_repository_of_two_is_not_overlooked_but_does_not_stop_what_the_other_has(one, on_one):
    dead = "[dead]\\nname=dead\\nbaseurl=http://127.0.0.1:9/\\nskip_if_unavailable=1\\n"
    write = ["sh", "-c", "printf '%s' > %s/dead.repo" % (dead, REPOSITORY_FILES)]
    with changed(one, write, ["rm", REPOSITORY_FILES + "/dead.repo"]):
        results = on_one(package("no build", release="nosuch"), package("a build", release="hotfix3"))
    assert results["no build"]["error"] == "repository_unavailable"
    assert "dead" in results["no build"]["msg"]
    assert results["a build"]["outcome"] == "installed"


def test_a_package_signed_with_an_unknown_key_is_refused_though_the_host_does_not_check(one, on_one):
    switch = ["sed", "-i", "s/^gpgcheck=%s/gpgcheck=%s/", REPOSITORY_FILES + "/lab.repo"]
    off, on = [switch[:2] + [switch[2] % pair] + switch[3:] for pair in (("1", "0"), ("0", "1"))]
    with changed(one, off, on):
        result = on_one(package("bad signature", release="badsig"))["bad signature"]
    assert (result["failed"], result["changed"], result["error"]) == (True, False, "bad_signature")
    assert one.ssh(["rpm", "-q", "klp-" + one.kernel_release]).returncode != 0


def test_a_full_disk_is_named_with_what_is_free(one, on_one):
    directory = "/usr/lib/modules/%s/livepatch" % one.kernel_release
    full = ["sh", "-c", "mkdir -p %s && mount -t tmpfs -o size=4k none %s" % (directory, directory)]
    with changed(one, full, ["umount", directory]):
        result = on_one(package("full", release="hotfix1"))["full"]
    assert (result["failed"], result["changed"], result["error"]) == (True, False, "disk_full")
    assert "bytes free" in result["msg"] and directory in result["stderr"]


def test_files_that_were_changed_after_the_installation_are_found(one, on_one):
    on_one(package("install", release="hotfix1"))
    one.ssh(["sh", "-c", "echo x >> /usr/lib/modules/%s/livepatch/hotfix1.ko" % one.kernel_release])
    result = on_one(package("again", release="hotfix1"))["again"]
    assert (result["failed"], result["changed"], result["error"]) == (True, False, "modified_files")
    assert {"size", "digest"} <= set(result["modified_files"][0]["differs"])


def test_a_package_that_another_needs_stays_and_says_so(one, on_one, tmp_path):
    on_one(package("install", release="hotfix1"))
    spec = tmp_path / "needs.spec"
    spec.write_text(NEEDS_IT.format(name="klp-" + one.kernel_release))
    one.copy(build_rpm(spec, tmp_path), "/root/needs.rpm")
    installed = one.ssh(["rpm", "-i", "--nosignature", "/root/needs.rpm"])
    assert installed.returncode == 0, installed.stderr
    results = on_one(
        package("check", check_mode=True, release="hotfix1", state="absent"),
        package("remove", release="hotfix1", state="absent"),
    )
    for result in results.values():
        assert (result["failed"], result["changed"], result["error"]) == (True, False, "package_failed")
        assert "needs-livepatch" in result["msg"]


def test_a_package_for_another_kernel_is_told_from_one_for_this(fleet, one, on_one):
    others = [guest.kernel_release for guest in fleet.guests.values() if guest.kernel_release != one.kernel_release]
    if not others:
        pytest.fail("this test needs a fleet of two kernels: set LAB_KERNELS")
    name = "klp-%s" % others[0]
    result = on_one(package("other kernel", package=name + "-hotfix1"))["other kernel"]
    one.ssh(["rpm", "-e", name])
    assert (result["failed"], result["changed"], result["error"]) == (True, True, "other_kernel")
    assert others[0] in result["msg"] and one.kernel_release in result["msg"]


def test_a_host_without_a_package_manager_says_so(one, on_one):
    hide = "for p in dnf dnf-3 yum zypper; do [ ! -e /usr/bin/$p ] || mv /usr/bin/$p /usr/bin/$p.%s; done"
    # dnf is a link to dnf-3, which has to be there again before it.
    show = "for p in dnf-3 dnf yum zypper; do [ ! -e /usr/bin/$p.hidden ] || mv /usr/bin/$p.hidden /usr/bin/$p; done; dnf --version >/dev/null"
    with changed(one, ["sh", "-c", hide % "hidden"], ["sh", "-c", show]):
        result = on_one(package("no package manager", release="hotfix1"))["no package manager"]
    assert (result["failed"], result["error"]) == (True, "no_package_manager")


def test_what_cannot_be_a_name_is_refused_before_any_command(on_one):
    names = ["../../etc/passwd", "a b", "--installroot=/", "hotfix*", "$(reboot)", "hotfix1;reboot", "-e"]
    results = on_one(*[package("name %d" % number, release=name) for number, name in enumerate(names)])
    for result in results.values():
        assert (result["failed"], result["changed"], result["error"]) == (True, False, "bad_name")


def brief(result):
    return result["outcome"], result["changed"], result["before"], result["package"]


def assert_quartet(results, name, host, outcome, again, after):
    for suffix, expected, changes in (
        (", check", outcome, True),
        ("", outcome, True),
        (", again", again, False),
        (", again in check", again, False),
    ):
        result = results[name + suffix][host]
        assert (result["outcome"], result["changed"], result["failed"]) == (expected, changes, False), (
            host,
            name + suffix,
        )
        assert result["package"] == after


def build_rpm(spec, directory):
    command = [
        "rpmbuild",
        "--quiet",
        "-bb",
        "--target",
        "noarch",
        "--define",
        "_topdir %s" % (directory / "rpmbuild"),
        str(spec),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return next((directory / "rpmbuild").glob("RPMS/*/*.rpm"))
