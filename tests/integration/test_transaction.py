# A release in one run of the module livepatch, with real packages: also those that load their livepatch themselves.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# dnf takes seconds in an emulated guest, and nothing here depends on the kernel: it is shown on one guest.

import json
import pathlib

import pytest

from tests.lab import packages

HERE = pathlib.Path(__file__).resolve().parent

LIVEPATCH = "kernel.livepatch.livepatch"
HEALTH = "kernel.livepatch.livepatch_health"
SCRIPTLET = """%{where} -p <lua>
os.execute([[
{commands}
]])
"""
FAILS = """
%post -p <lua>
error("no")
"""


def scriptlet(commands, where="post"):
    """Shell commands that a package runs when it is installed."""
    return SCRIPTLET.replace("{where}", where).replace("{commands}", commands)


LOADS_OTHER = scriptlet("insmod /root/addon_a.ko; sleep 3")
# One that the package manager's time does not end, and one that ends the package manager.
LOADS = "insmod /usr/lib/modules/{kernel}/livepatch/{module}.ko; "
HANGS = scriptlet("trap '' TERM; " + LOADS + "for i in $(seq 30); do sleep 1; done")
KILLS = scriptlet(LOADS + "sleep 3; kill -9 $PPID; sleep 1")
# As one that hands the loading to a service, which begins when the package manager has ended.
GOES_ON = scriptlet("(sleep 2; " + LOADS + ") > /dev/null 2>&1 &", "posttrans")
# Release: the module in its package, and what that package does itself.
PACKAGES = {
    "loadshotfix1": ("hotfix1", packages.LOADS),
    "loadshotfix2": ("hotfix2", packages.LOADS),
    "loadswarns": ("warns", packages.LOADS),
    "failshotfix2": ("hotfix2", FAILS),
    "otherhotfix2": ("hotfix2", LOADS_OTHER),
    "hangshotfix2": ("hotfix2", HANGS),
    "killshotfix2": ("hotfix2", KILLS),
    "goesonhotfix2": ("hotfix2", GOES_ON),
}


def task(name, module=LIVEPATCH, check_mode=False, **options):
    return {"name": name, module: options, "check_mode": check_mode, "diff": True}


def by_name(name, livepatch):
    return {"name": name, LIVEPATCH: {"name": livepatch}, "check_mode": False, "diff": True}


@pytest.fixture
def one(fleet, tmp_path):
    """The guest, without any livepatch and package before and after, and with packages that load their livepatches."""
    guest = fleet.guests["lab-1"]
    built = []
    for release, (module, post) in PACKAGES.items():
        source = fleet.module(module, guest.machine.kernel.name)
        built.append(
            packages.build_package(guest.kernel_release, release, module, source, fleet.repository.directory, post)
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
    back = run(by_name("back by name", "hotfix1"), task("back", release="hotfix1"))
    assert back["back by name"]["proven"] and back["back by name"]["replaced"] == ["hotfix2"], back
    assert back["back"]["proven"] and back["back"]["outcome"] == "installed" and back["back"]["changed"], back


def test_what_a_package_loads_itself_belongs_to_the_run(one, run):
    results = run(
        task("bring", release="hotfix1"),
        task("loads", release="loadshotfix2"),
        task("warns", release="loadswarns"),
    )
    for name, result in results.items():
        assert not result["failed"], (name, result)
    loads, warns = results["loads"], results["warns"]
    assert loads["proven"] and loads["name"] == "hotfix2" and loads["changed"]
    assert loads["before"]["enabled"] == "hotfix1" and loads["replaced"] == ["hotfix1"]
    assert loads["health"]["events"] == [] and "hotfix2.ko" in copies(one)
    assert warns["proven"] and warns["before"]["enabled"] == "hotfix2"
    one.ssh(["sleep", "25"])
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
    assert refused["failed"] and refused["error"] == "replaces_others", (refused["msg"], refused.get("stderr"))
    assert "hotfix1 brought back" in refused["msg"] and refused["diff"]["after"]["enabled"] == ["hotfix1"]
    assert refused["before"]["enabled"] == "hotfix1" and "loadshotfix2" in refused["package"]


def test_a_full_disk_leaves_the_host_with_what_it_ran(one, run):
    run(task("bring", release="hotfix1"))
    full = "mount -t tmpfs -o size=8k none /var/lib/livepatch"
    assert one.ssh(["sh", "-c", full]).returncode == 0
    try:
        results = run(task("full", release="hotfix2"), by_name("full by name", "hotfix1"))
    finally:
        assert one.ssh(["umount", "/var/lib/livepatch"]).returncode == 0
    full = results["full"]
    assert full["failed"] and full["error"] == "disk_full" and not full["changed"], full
    assert full["diff"]["after"]["enabled"] == ["hotfix1"]
    assert results["full by name"]["proven"], "what runs is not the worse for it"


def nevra(guest, release):
    return "klp-%s-%s-1.x86_64" % (guest.kernel_release, release)


def test_a_run_that_is_killed_at_any_step_is_gone_on_with_by_the_same_task(one, run):
    one.copy(HERE / "killed.py", "/var/tmp/python/")
    command = ["python3", "/var/tmp/python/killed.py", "/var/tmp/python", "hotfix1", "hotfix2", "loadshotfix1"]
    ended = one.ssh(command, timeout=1200)
    assert ended.returncode == 0, ended.stderr
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(told) == 10
    for each in told:
        again, third, former = each["again"], each["third"], each["former"]
        assert each["reached"] == each["step"], each
        assert former in each["runs"] or each["runs"] == [again["name"]], "it is never without one"
        assert not again["failed"] and again["proven"] and again["changed"], (each["step"], again)
        assert again["before"]["enabled"] == again["replaced"][0], (each["step"], again)
        assert again["package_before"] == nevra(one, former), (each["step"], again)
        assert again["health"]["events"] == [] and again["diff"]["after"]["inert"] == [], (each["step"], again)
        assert not third["changed"] and third["proven"] and third["since"] != again["since"], (each["step"], third)
    assert one.ssh(["ls", "/run/livepatch"]).stdout.split() == ["lock"]


def test_whatever_a_packages_script_does_the_host_runs_what_it_ran_or_the_release_and_the_result_says_which(
    fleet, one, run
):
    one.copy(fleet.module("addon_a", one.machine.kernel.name), "/root/")
    back = task("back", release="hotfix1")
    results = run(
        back,
        task("fails", release="failshotfix2"),
        dict(back, name="back 1"),
        task("other", release="otherhotfix2", replaces=["hotfix1"]),
        dict(back, name="back 2"),
        task("hangs", release="hangshotfix2", package_timeout=15),
        dict(back, name="back 3"),
        task("kills", release="killshotfix2"),
        dict(back, name="back 4"),
        task("goes on", release="goesonhotfix2"),
    )
    for name in ("back", "back 1", "back 2", "back 3", "back 4"):
        assert results[name]["proven"] and results[name]["diff"]["after"]["enabled"] == ["hotfix1"], results[name]
    for name in ("fails", "goes on"):
        assert results[name]["proven"] and results[name]["replaced"] == ["hotfix1"], results[name]
    other = results["other"]
    assert other["failed"] and other["error"] == "replaces_others" and other["changed"], other
    assert other["diff"]["after"]["enabled"] == ["hotfix1"] and "Nothing was changed" not in other["msg"], other
    for name in ("hangs", "kills"):
        result = results[name]
        assert result["failed"] and result["error"] == "package_failed" and result["changed"], result
        assert result["package"] == nevra(one, name + "hotfix2"), "it is installed all the same"
        assert result["package_before"] == nevra(one, "hotfix1")
        assert result["diff"]["after"] == {"enabled": ["hotfix1"], "inert": []}, result
        assert "hotfix1 brought back" in result["msg"], result["msg"]
