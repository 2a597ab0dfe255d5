# A release in one run of the module livepatch, with real packages: also those that load their livepatch themselves.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# dnf takes seconds in an emulated guest, and nothing here depends on the kernel: it is shown on one guest.

import pytest

from tests.lab import packages

LIVEPATCH = "kernel.livepatch.livepatch"
HEALTH = "kernel.livepatch.livepatch_health"
PERSISTENCE = "kernel.livepatch.livepatch_persistence"
# Release: the module in a package that loads it.
LOADING = {"loadshotfix2": "hotfix2", "loadswarns": "warns"}


def task(name, module=LIVEPATCH, check_mode=False, **options):
    return {"name": name, module: options, "check_mode": check_mode, "diff": True}


@pytest.fixture
def one(fleet, tmp_path):
    """The guest, without any livepatch and package before and after, and with packages that load their livepatches."""
    guest = fleet.guests["lab-1"]
    built = []
    for release, module in LOADING.items():
        source = fleet.module(module, guest.machine.kernel.name)
        built.append(
            packages.build_package(
                guest.kernel_release, release, module, source, fleet.repository.directory, post=packages.LOADS
            )
        )
    packages.sign_packages(built, "lab")
    fleet.repository.refresh()
    yield guest
    for path in built:
        path.unlink()
    fleet.repository.refresh()
    guest.ssh(["sh", "-c", "rpm -e $(rpm -qa 'klp-*'); rm -rf /var/lib/livepatch/[0-9]*"])


@pytest.fixture
def run(one, in_guest, tasks_in):
    """Run tasks on the guest; results[task name]. Afterwards it runs no livepatch."""
    yield lambda *tasks: {entry["name"]: result for entry, result in zip(tasks, tasks_in(one, list(tasks)))}
    left = tasks_in(one, [task("clean", all=True, state="absent")])[0]
    assert not left["failed"], left


def copies(guest):
    return sorted(guest.ssh(["ls", "/var/lib/livepatch/" + guest.kernel_release]).stdout.split())


def test_a_release_is_brought_in_one_run_and_taken_back_in_one(one, run):
    results = run(
        task("check", check_mode=True, release="hotfix1"),
        task("bring", release="hotfix1"),
        task("again", release="hotfix1"),
        task("again in check", check_mode=True, release="hotfix1"),
        task("upgrade", release="hotfix2"),
        task("no build", release="nosuch"),
    )
    for name, result in results.items():
        assert not result["failed"], (name, result)
    for key in ("changed", "diff", "before", "effective_release", "name", "outcome", "package", "package_before"):
        assert results["check"][key] == results["bring"][key], key
    assert results["bring"]["changed"] and results["bring"]["proven"] and results["bring"]["outcome"] == "installed"
    assert results["bring"]["health"]["enabled"] == "hotfix1" and results["check"]["health"] is None
    assert not results["again"]["changed"] and not results["again in check"]["changed"]
    assert results["upgrade"]["replaced"] == ["hotfix1"] and results["upgrade"]["unloaded"] == ["hotfix1"]
    assert (results["no build"]["outcome"], results["no build"]["changed"]) == ("not_applicable", False)
    assert copies(one) == ["hotfix1.ko", "hotfix2.ko"]
    # The upgrade has deleted the file that ran: the copy is the same.
    first = "/usr/lib/modules/%s/livepatch/hotfix1.ko" % one.kernel_release
    assert one.ssh(["test", "-e", first]).returncode != 0
    back = run(task("back by name", name="hotfix1"), task("back", release="hotfix1"))
    assert back["back by name"]["proven"] and back["back by name"]["replaced"] == ["hotfix2"], back
    assert back["back"]["proven"] and back["back"]["outcome"] == "installed" and back["back"]["changed"], back


def test_what_a_package_loads_itself_belongs_to_the_run(one, run):
    results = run(
        task("bring", release="hotfix1"),
        task("loads", release="loadshotfix2"),
        task("warns", release="loadswarns"),
        {"name": "wait", "ansible.builtin.command": {"argv": ["sleep", "25"]}},
    )
    for name, result in results.items():
        assert not result["failed"], (name, result)
    loads, warns = results["loads"], results["warns"]
    assert loads["proven"] and loads["name"] == "hotfix2" and loads["changed"]
    assert loads["before"]["enabled"] == "hotfix1" and loads["replaced"] == ["hotfix1"]
    assert loads["health"]["events"] == [] and "hotfix2.ko" in copies(one)
    assert warns["proven"] and warns["before"]["enabled"] == "hotfix2"
    look = run(task("look", HEALTH, since=warns["since"]))["look"]
    events = look["events"]
    assert len(events) > 1 and all(event["new"] and event["kind"] == "warning" for event in events), events
    assert (
        look["counters"]["warn_count"] is None
        or look["counters"]["warn_count"] > warns["since"]["counters"]["warn_count"]
    )
    assert look["taint"] != warns["since"]["taint"]


def test_what_a_package_has_loaded_and_must_not_replace_is_taken_out_and_the_former_one_is_back(one, run):
    results = run(task("bring", release="hotfix1"), task("refused", release="loadshotfix2", replaces=[]))
    refused = results["refused"]
    assert refused["failed"] and refused["error"] == "replaces_others", refused
    assert "hotfix1 brought back" in refused["msg"] and refused["diff"]["after"]["enabled"] == ["hotfix1"]
    assert refused["before"]["enabled"] == "hotfix1" and "loadshotfix2" in refused["package"]


def test_a_full_disk_leaves_the_host_with_what_it_ran(one, run):
    run(task("bring", release="hotfix1"))
    full = "mount -t tmpfs -o size=8k none /var/lib/livepatch"
    assert one.ssh(["sh", "-c", full]).returncode == 0
    try:
        results = run(task("full", release="hotfix2"), task("full by name", name="hotfix1"))
    finally:
        assert one.ssh(["umount", "/var/lib/livepatch"]).returncode == 0
    full = results["full"]
    assert full["failed"] and full["error"] == "disk_full" and not full["changed"], full
    assert full["diff"]["after"]["enabled"] == ["hotfix1"]
    assert results["full by name"]["proven"], "what runs is not the worse for it"
