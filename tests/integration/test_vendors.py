# What differs between vendors and systems: zypper, images, other engines, packages that go, kernels that come, CVEs.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Nothing here depends on the kernel: it is shown on one guest, in few processes of Python, as those cost most there.

import contextlib

import pytest

PACKAGE, LIVEPATCH, FACTS = [
    "kernel.livepatch." + name for name in ("livepatch_package", "livepatch", "livepatch_facts")
]
CANONICAL = "/snap/bin/canonical-livepatch"


@pytest.fixture
def one(fleet, in_guest):
    """The guest; before and after it runs no livepatch and has no package of one."""
    guest = fleet.guests["lab-1"]
    clean(guest)
    yield guest
    clean(guest)


def clean(guest):
    tidy = (
        'for p in /sys/kernel/livepatch/*/enabled; do [ -e "$p" ] && echo 0 > "$p"; done; sleep 2; '
        "lsmod | awk '/^hotfix/ {print $1}' | xargs -r rmmod; rpm -qa 'klp-*' | xargs -r rpm -e; true"
    )
    assert guest.ssh(["sh", "-c", tidy]).returncode == 0


@pytest.fixture
def run(one, tasks_in):
    """Run tasks in one process of the guest; results[task name]."""
    return lambda *tasks: {task["name"]: result for task, result in zip(tasks, tasks_in(one, list(tasks)))}


def task(title, module, check_mode=False, **options):
    return {"name": title, module: options, "check_mode": check_mode}


def raw(name, command):
    return {"name": name, "ansible.builtin.raw": command}


def quartet(name, module, **options):
    """Check, real, again, again in check."""
    return [
        task(name + ", check", module, check_mode=True, **options),
        task(name, module, **options),
        task(name + ", again", module, **options),
        task(name + ", again in check", module, check_mode=True, **options),
    ]


def nevra(guest, release):
    return "klp-%s-%s-1.x86_64" % (guest.kernel_release, release)


def brief(result):
    assert not result["failed"], result
    return result["outcome"], result["changed"], result["before"], result["package"]


def refused(result):
    assert result["failed"] and not result["changed"], result
    return result["error"]


@contextlib.contextmanager
def on_suse(guest):
    """A host of the SUSE family, by its os-release and its repositories; dnf is there too, as it may be there."""
    before = (
        "cp /etc/os-release /etc/os-release.before; printf 'ID=sles\\nID_LIKE=suse\\n' > /etc/os-release.new; "
        "mv /etc/os-release.new /etc/os-release; mkdir -p /etc/zypp/repos.d; "
        "cp /etc/yum.repos.d/lab.repo /etc/zypp/repos.d/lab.repo"
    )
    after = "mv /etc/os-release.before /etc/os-release; rm -rf /etc/zypp/repos.d/lab.repo /var/cache/zypp"
    done = guest.ssh(["sh", "-c", before])
    assert done.returncode == 0, done.stderr
    try:
        yield
    finally:
        guest.ssh(["sh", "-c", after])


def test_zypper_installs_takes_back_and_removes_a_release_with_its_signatures_checked(fleet, one, run):
    with on_suse(one):
        results = run(
            *quartet("install", PACKAGE, release="hotfix1"),
            task("upgrade", PACKAGE, release="hotfix2"),
            task("refused", PACKAGE, release="hotfix1", allow_downgrade=False),
            task("go back", PACKAGE, release="hotfix1"),
            task("no build", PACKAGE, release="nosuch"),
            task("bad signature", PACKAGE, release="badsig"),
            *quartet("remove", PACKAGE, release="hotfix1", state="absent"),
            raw("switch checks off", "sed -i -e s/gpgcheck=1/gpgcheck=0/ /etc/zypp/repos.d/lab.repo"),
            task("unchecked", PACKAGE, release="hotfix1"),
            raw("switch checks on", "sed -i -e s/gpgcheck=0/gpgcheck=1/ /etc/zypp/repos.d/lab.repo"),
            # The libsolv of the guest stumbles over its notes on a database whose last package has gone.
            raw("forget", "rm -rf /var/cache/zypp/solv/@System"),
        )
        fleet.repository.stop()
        try:
            down = run(task("down", PACKAGE, release="nosuch"))
        finally:
            fleet.repository.start()
    first, second = nevra(one, "hotfix1"), nevra(one, "hotfix2")
    assert brief(results["install, check"]) == brief(results["install"]) == ("installed", True, None, first)
    for again in ("install, again", "install, again in check"):
        assert brief(results[again]) == ("already_installed", False, first, first)
    assert brief(results["upgrade"]) == ("installed", True, first, second)
    assert refused(results["refused"]) == "package_failed" and "allow_downgrade is false" in results["refused"]["msg"]
    assert brief(results["go back"]) == ("installed", True, second, first)
    assert brief(results["no build"]) == ("not_applicable", False, first, None)
    assert refused(results["bad signature"]) == "bad_signature"
    assert brief(results["remove, check"]) == brief(results["remove"]) == ("removed", True, first, None)
    assert brief(results["remove, again"])[0] == "already_absent"
    assert refused(results["unchecked"]) == "bad_signature" and "off in lab" in results["unchecked"]["msg"]
    assert refused(down["down"]) == "repository_unavailable"


def test_a_livepatch_whose_package_is_removed_is_said_to_run_without_it_by_everybody(one, run):
    first = nevra(one, "hotfix1")
    results = run(
        task("install", PACKAGE, release="hotfix1"),
        task("apply", LIVEPATCH, package=first),
        task("facts before", FACTS, gather=["packages"]),
        task("remove", PACKAGE, release="hotfix1", state="absent"),
        task("facts after", FACTS, gather=["packages"]),
        task("apply again", LIVEPATCH, package=first),
        task("by name", LIVEPATCH, name="hotfix1"),
        task("take out", LIVEPATCH, name="hotfix1", state="absent"),
    )
    assert not results["install"]["failed"], results["install"]
    before = results["facts before"]["ansible_facts"]["livepatch"]["patches"]["hotfix1"]
    after = results["facts after"]["ansible_facts"]["livepatch"]["patches"]["hotfix1"]
    assert (before["package"], before["packaged"], before["file"].endswith("/livepatch/hotfix1.ko")) == (
        first,
        True,
        True,
    )
    assert (after["package"], after["packaged"], after["file"]) == (None, False, None)
    assert results["remove"]["still_running"] == ["hotfix1"]
    assert refused(results["apply again"]) == "not_found"
    assert results["apply again"]["package_removed"] and "hotfix1 runs all the same" in results["apply again"]["msg"]
    # The host has kept a copy.
    assert results["by name"]["proven"] and not results["by name"]["changed"]
    assert not results["take out"]["failed"]


def test_what_a_livepatch_mends_is_read_from_its_changelog_and_its_advisories(one, run):
    results = run(
        task("install", PACKAGE, release="hotfix3"),
        task("apply", LIVEPATCH, package=nevra(one, "hotfix3")),
        task("changelog", FACTS, gather=["cves"]),
        task("advisories", FACTS, gather=["cves", "advisories"]),
        task("nothing asked", FACTS),
    )
    found = {
        name: result["ansible_facts"]["livepatch"] for name, result in results.items() if "ansible_facts" in result
    }
    cves = ["CVE-2026-40001", "CVE-2026-40002", "CVE-2026-40003"]
    assert found["changelog"]["cves"] == {"covered": cves, "sources": {"changelog": "read", "advisories": None}}
    assert found["advisories"]["cves"] == {"covered": cves, "sources": {"changelog": "read", "advisories": "read"}}
    assert found["advisories"]["patches"]["hotfix3"]["cves"] == cves
    assert found["nothing asked"]["cves"] is None


def test_a_kernel_that_boots_next_without_the_release_is_warned_about_or_refused(one, run):
    release = "99.1.0-1-amd64"
    here, there = "/usr/lib/modules/%s" % release, "/boot/vmlinuz-%s" % release
    results = run(
        raw("install a kernel", "mkdir -p %s && touch %s" % (here, there)),
        task("facts", FACTS),
        task("fail", PACKAGE, release="hotfix1", drift="fail"),
        task("warn", PACKAGE, release="hotfix1"),
        task("ignore", PACKAGE, release="hotfix1", drift="ignore"),
        raw("take it away", "rm -r %s %s" % (here, there)),
        task("no drift", PACKAGE, release="hotfix1"),
    )
    facts = results["facts"]["ansible_facts"]["livepatch"]
    assert facts["pending_kernel"] == {"kernel_release": release, "known_by": "version", "livepatches": []}
    drift = {
        "kernel_release": release,
        "known_by": "version",
        "package": "klp-%s-hotfix1" % release,
        "build": "missing",
    }
    assert refused(results["fail"]) == "drift" and results["fail"]["drift"] == drift
    assert brief(results["warn"])[0] == "installed" and results["warn"]["drift"] == drift
    assert "in no repository" in str(results["warn"]["warnings"])
    assert results["ignore"]["drift"] is None and results["no drift"]["drift"] is None


@pytest.mark.parametrize(
    "make, undo, kind",
    [
        ("touch /run/ostree-booted", "rm /run/ostree-booted", "ostree"),
        ("mount --bind /usr /usr && mount -o remount,bind,ro /usr", "umount -l /usr", "read_only_usr"),
    ],
)
def test_a_system_that_is_an_image_is_left_untouched(one, run, make, undo, kind):
    results = run(
        raw("make it one", make),
        task("facts", FACTS),
        task("check", PACKAGE, check_mode=True, release="hotfix1"),
        task("real", PACKAGE, release="hotfix1"),
        raw("packages", "rpm -q klp-%s" % one.kernel_release),
        raw("undo", undo),
    )
    assert not results["make it one"]["failed"] and not results["undo"]["failed"], results
    assert results["facts"]["ansible_facts"]["livepatch"]["image_based"] == kind
    for name in ("check", "real"):
        assert refused(results[name]) == "image_based" and results[name]["image_based"] == kind
    assert "is not installed" in results["packages"]["stdout"]


def test_another_engine_at_work_is_refused_and_an_idle_one_is_not(one, run):
    answer = '{"Status": [{"Running": true, "Livepatch": {"State": "%s", "Version": "104.1"}}]}'
    say = "mkdir -p /snap/bin && printf '#!/bin/sh\\necho '\\''%s'\\''\\n' > %s && chmod 755 %s"
    path = "/usr/lib/modules/%s/livepatch/hotfix1.ko" % one.kernel_release
    results = run(
        raw("at work", say % (answer % "applied", CANONICAL, CANONICAL)),
        task("facts", FACTS),
        task("package", PACKAGE, release="hotfix1"),
        task("package all the same", PACKAGE, release="hotfix1", other_engines="ignore"),
        task("livepatch", LIVEPATCH, path=path),
        task("livepatch, check", LIVEPATCH, check_mode=True, path=path),
        raw("idle", say % (answer % "nothing-to-apply", CANONICAL, CANONICAL)),
        task("livepatch beside an idle engine", LIVEPATCH, path=path),
        raw("at work again", say % (answer % "applied", CANONICAL, CANONICAL)),
        task("nothing to do", LIVEPATCH, path=path),
        task("take out", LIVEPATCH, name="hotfix1", state="absent"),
        raw("gone", "rm -r /snap"),
        task("facts without", FACTS),
    )
    assert results["facts"]["ansible_facts"]["livepatch"]["engines"] == [
        {"name": "canonical", "active": True, "effective_release": one.kernel_release + "-104.1"}
    ]
    for name in ("package", "livepatch", "livepatch, check"):
        assert refused(results[name]) == "other_engine" and "canonical active" in results[name]["msg"]
    assert brief(results["package all the same"])[0] == "installed"
    for name in ("livepatch beside an idle engine", "nothing to do", "take out"):
        assert not results[name]["failed"], results[name]
    assert results["facts without"]["ansible_facts"]["livepatch"]["engines"] == []
