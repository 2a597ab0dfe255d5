# The modules livepatch and livepatch_facts on real kernels: check, real, again, again in check.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Each test is one list of tasks on all guests at once, and leaves them without livepatches.

import pytest

from tests.integration.tasks import (  # pylint: disable=unused-import # noqa: F401 (modules is a fixture)
    CLEAN,
    assert_clean,
    assert_enabled,
    assert_predicted,
    assert_quartet,
    assert_refused,
    each,
    facts,
    livepatch,
    modules,
    path,
    quartet,
    raw,
)


def test_a_livepatch_is_enabled_replaced_brought_back_disabled_and_unloaded(fleet, steps, modules):
    results = steps(
        [facts("facts of a bare host")]
        + quartet("hotfix1", path=path("hotfix1"))
        + [raw("hotfix1 runs", "cat /proc/version"), facts("facts of a patched host")]
        + quartet("hotfix2", path=path("hotfix2.ko.xz"), replace=True)
        + [raw("hotfix2 runs", "cat /proc/version; cat /proc/modules")]
        + [livepatch("back, check", True, path=path("hotfix1")), livepatch("back", path=path("hotfix1"))]
        + [raw("hotfix1 runs again", "cat /proc/version")]
        + quartet("disabled", name="hotfix1", state="disabled")
        + quartet("absent", name="hotfix1", state="absent")
        + [raw("nothing runs", "cat /proc/version; cat /proc/modules"), CLEAN]
    )
    for name in ("hotfix1", "hotfix2", "disabled", "absent"):
        assert_quartet(results, name)
    for host, guest in fleet.guests.items():
        release = guest.kernel_release
        bare = results["facts of a bare host"][host]["ansible_facts"]["livepatch"]
        patched = results["facts of a patched host"][host]["ansible_facts"]["livepatch"]
        assert (bare["supported"], bare["enabled"], bare["effective_release"], bare["patches"]) == (
            True,
            None,
            release,
            {},
        )
        assert patched["effective_release"] == release + "-hotfix1" == results["hotfix1"][host]["effective_release"]
        assert set(bare) == set(patched)
        one = patched["patches"]["hotfix1"]
        assert (one["enabled"], one["transition"], one["stack_order"]) == (True, False, 1)
        assert one["build_id"] == results["hotfix1"][host]["build_id"]
        assert one["objects"]["vmlinux"]["functions"] == ["version_proc_show"]
        version = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
        assert one["replace"] is (True if version >= (6, 11) else None)
        assert one["objects"]["vmlinux"]["patched"] is (True if version >= (6, 1) else None)
        assert "[hotfix1]" in results["hotfix1 runs"][host]["stdout"]
        second = results["hotfix2"][host]
        assert (second["replaced"], second["unloaded"]) == (["hotfix1"], ["hotfix1"])
        assert (
            "[hotfix2]" in results["hotfix2 runs"][host]["stdout"]
            and "hotfix1" not in results["hotfix2 runs"][host]["stdout"]
        )
        back = results["back"][host]
        assert back["proven"] and back["before"]["enabled"] == "hotfix2" and back["unloaded"] == ["hotfix2"]
        assert_predicted(results["back, check"][host], back)
        assert "[hotfix1]" in results["hotfix1 runs again"][host]["stdout"]
        assert results["disabled"][host]["diff"]["after"] == {"enabled": [], "inert": ["hotfix1"]}
        assert "hotfix" not in results["nothing runs"][host]["stdout"]
    assert_clean(results)


def test_ansible_reaches_the_modules_with_privileges_and_the_facts_without(some, play, modules):
    guests = some("6.12")
    tasks = [livepatch("hotfix1", path=path("hotfix1")), facts("facts"), CLEAN]
    results = play(tasks, hosts=":".join(guests))
    assert_enabled(results, "hotfix1", ["hotfix1"])
    for host, guest in guests.items():
        found = results["facts"][host]["ansible_facts"]["livepatch"]
        assert found["effective_release"] == guest.kernel_release + "-hotfix1"
    assert_clean(results)


def test_a_stack_grows_is_replaced_and_is_taken_down_the_newest_first(steps_in_turn, modules):
    results = steps_in_turn(
        [
            livepatch("first", path=path("hotfix1")),
            livepatch("second, check", True, path=path("addon_a")),
            livepatch("second", path=path("addon_a"), replace=False),
            livepatch("third", path=path("addon_b")),
            livepatch("one out, check", True, name="addon_a", state="absent"),
            livepatch("one out", name="addon_a", state="absent"),
            livepatch("wrong expectation", path=path("addon_a"), replace=True),
            livepatch("all out, check", True, all=True, state="absent"),
            livepatch("all out", all=True, state="absent"),
            livepatch("first again", path=path("addon_a")),
            livepatch("second again", path=path("addon_b")),
            livepatch("replaced, check", True, path=path("hotfix3.ko.gz"), unload_inert=False),
            livepatch("replaced", path=path("hotfix3.ko.gz"), unload_inert=False),
            livepatch("cleaned, check", True, path=path("hotfix3.ko.gz")),
            livepatch("cleaned", path=path("hotfix3.ko.gz")),
            CLEAN,
        ]
    )
    for name in ("second", "one out", "all out", "replaced", "cleaned"):
        for host, real in each(results, name):
            assert_predicted(results[name + ", check"][host], real)
    assert_enabled(results, "second", ["hotfix1", "addon_a"])
    assert_enabled(results, "third", ["hotfix1", "addon_a", "addon_b"])
    assert_enabled(results, "one out", ["hotfix1", "addon_b"])
    assert_refused(results, "wrong expectation", "replace_mismatch")
    assert_enabled(results, "all out", [])
    assert_enabled(results, "replaced", ["hotfix3"], ["addon_a", "addon_b"])
    assert_enabled(results, "cleaned", ["hotfix3"])
    for host, result in each(results, "all out"):
        assert result["unloaded"] == ["addon_b", "hotfix1"], host
    for host, result in each(results, "replaced"):
        assert result["replaced"] == ["addon_b", "addon_a"], host
    assert_clean(results)


def test_other_code_of_the_same_name_is_refused_until_the_old_one_is_out(steps_in_turn, modules):
    rebuilt = path("hotfix1_rebuilt.ko.zst")
    results = steps_in_turn(
        [
            livepatch("old code", path=path("hotfix1")),
            livepatch("other code, check", True, path=rebuilt),
            livepatch("other code", path=rebuilt),
            livepatch("old code out", name="hotfix1", state="disabled"),
            livepatch("new code, check", True, path=rebuilt),
            livepatch("new code", path=rebuilt),
            CLEAN,
        ]
    )
    assert_refused(results, "other code, check", "other_code", "new module name")
    assert_refused(results, "other code", "other_code", "new module name")
    assert_enabled(results, "new code", ["hotfix1"])
    for host, result in each(results, "new code"):
        assert_predicted(results["new code, check"][host], result)
        assert result["build_id"] != results["old code"][host]["build_id"]
    assert_clean(results)


def test_every_wrong_file_is_refused_with_its_own_reason_and_leaves_nothing(steps_in_turn, modules):
    results = steps_in_turn(
        [
            livepatch("another kernel's", path=path("wrong_vermagic")),
            livepatch("an ordinary module", path=path("not_a_livepatch")),
            livepatch("garbage", path=path("garbage")),
            livepatch("truncated", path=path("truncated")),
            livepatch("no such file", path=path("nowhere")),
            livepatch("no such name", name="nowhere"),
            livepatch("a name that leaves its directory", name="../hotfix1", state="absent"),
            livepatch("a missing symbol", path=path("no_symbol")),
            raw("nothing is loaded", "ls /sys/kernel/livepatch; cat /proc/modules"),
        ]
    )
    assert_refused(results, "another kernel's", "vermagic", "Install the build for this kernel")
    assert_refused(results, "an ordinary module", "not_a_livepatch", "ordinary module")
    assert_refused(results, "garbage", "bad_module_file", "#!/bin/sh"[:8])
    assert_refused(results, "truncated", "bad_module_file", "truncated")
    assert_refused(results, "no such file", "not_found")
    assert_refused(results, "no such name", "not_found", "modules.dep")
    assert_refused(results, "a name that leaves its directory", "bad_name")
    assert_refused(results, "a missing symbol", "symbol_missing", "version_proc_shoX")
    for host, result in each(results, "nothing is loaded"):
        assert "hotfix1" not in result["stdout"] and "not_a_livepatch" not in result["stdout"], host


def test_a_stalled_transition_is_reverted_or_left_and_names_its_blockers(steps_in_turn, modules):
    results = steps_in_turn(
        [
            livepatch("before", path=path("hotfix1")),
            livepatch("stalled", path=path("stalls"), timeout=4),
            livepatch("left pending", path=path("stalls"), timeout=2, on_stall="fail"),
            facts("facts in transition"),
            {"name": "with blockers", "kernel.livepatch.livepatch_facts": {"gather": ["blockers"]}},
            livepatch("busy", path=path("hotfix2"), timeout=2),
            livepatch("turned away, check", True, name="stalls", state="absent"),
            livepatch("turned away", name="stalls", state="absent"),
            CLEAN,
        ]
    )
    for host, result in each(results, "stalled"):
        assert result["failed"] and result["error"] == "stalled" and not result["changed"], result
        assert result["diff"]["after"] == {"enabled": ["hotfix1"], "inert": []}
        assert "hotfix1 as before" in result["msg"]
        kswapd = [task for task in result["transition"]["blockers"] if task["comm"].startswith("kswapd")]
        assert kswapd and kswapd[0]["kthread"] and kswapd[0]["function"] == "kswapd", result["transition"]
        assert kswapd[0]["reason"] == "sleeping on patched function kswapd of object vmlinux" and kswapd[0]["stack"]
    for host, result in each(results, "left pending"):
        assert result["failed"] and result["error"] == "stalled"
        found = results["facts in transition"][host]["ansible_facts"]["livepatch"]
        pending = {"livepatch": "stalls", "direction": "patching"}
        assert found["transition"] == dict(pending, blockers=None, summary=None, seconds=None)
        told = results["with blockers"][host]["ansible_facts"]["livepatch"]["transition"]
        assert told["livepatch"] == "stalls" and "kswapd0" in [task["comm"] for task in told["blockers"]], told
        assert "sleeping in kswapd" in told["summary"] and 2 <= told["seconds"] < 600, told
        assert found["enabled"] == "hotfix1"
    assert_refused(results, "busy", "busy", "stalls", "kswapd")
    for host, result in each(results, "turned away"):
        assert_predicted(results["turned away, check"][host], result)
        assert result["diff"]["after"] == {"enabled": ["hotfix1"], "inert": []} and result["unloaded"] == ["stalls"]
    assert_clean(results)


def test_a_program_that_sleeps_in_a_changed_function_is_named_and_waited_for(steps_in_turn, modules):
    sleeper = "modprobe lab_target; (cat /proc/lab_target_sleep/uninterruptible >/dev/null 2>&1 &) ; sleep 1"
    results = steps_in_turn(
        [
            raw("somebody sleeps", sleeper),
            livepatch("stalled", path=path("stalls_user"), timeout=3),
            raw("it will wake", "(sleep 2; echo 1 > /proc/lab_target_sleep/release) >/dev/null 2>&1 &"),
            livepatch("waited for", path=path("stalls_user")),
            CLEAN,
            raw("target out", "rmmod lab_target"),
        ]
    )
    for host, result in each(results, "stalled"):
        assert result["failed"] and result["error"] == "stalled", result
        blocker = result["transition"]["blockers"][0]
        assert (blocker["comm"], blocker["kthread"], blocker["state"]) == ("cat", False, "D"), result["transition"]
        assert blocker["function"] == "lab_sleep_uninterruptible" and blocker["object"] == "lab_target"
    assert_enabled(results, "waited for", ["stalls_user"])
    assert_clean(results)


def test_a_livepatch_for_a_module_is_proven_before_and_after_the_module_comes(steps_in_turn, modules):
    results = steps_in_turn(
        [
            livepatch("without the module", path=path("modulefix")),
            facts("facts without"),
            raw("the module comes", "modprobe lab_target; cat /proc/lab_target"),
            livepatch("with the module", path=path("modulefix")),
            facts("facts with"),
            CLEAN,
            raw("target out", "rmmod lab_target"),
        ]
    )
    assert_enabled(results, "without the module", ["modulefix"])
    assert_enabled(results, "with the module", ["modulefix"])
    for host, result in each(results, "with the module"):
        assert not result["changed"]
        patched = [
            results[name][host]["ansible_facts"]["livepatch"]["patches"]["modulefix"]["objects"]["lab_target"][
                "patched"
            ]
            for name in ("facts without", "facts with")
        ]
        assert patched in ([False, True], [None, None])
        assert "[modulefix]" in results["the module comes"][host]["stdout"]
    assert_clean(results)


def test_a_packages_livepatch_is_verified_before_it_is_enabled(fleet, steps, modules):
    for guest in fleet.guests.values():
        name = "klp-%s-hotfix3-1.x86_64.rpm" % guest.kernel_release
        found = [file for file in fleet.repository.directory.rglob("*.rpm") if file.name == name]
        guest.copy(found[0], "/root/klp.rpm")
    package = "klp-{kernel}-hotfix3-1.x86_64"
    results = steps(
        [
            raw("install", "rpm -U --replacepkgs /root/klp.rpm"),
            livepatch("by package, check", True, package=package),
            livepatch("by package", package=package),
            livepatch("by name, again", name="hotfix3"),
            livepatch("out", package=package, state="absent"),
            raw("somebody changes a file", "printf x >> /usr/lib/modules/$(uname -r)/livepatch/hotfix3.ko"),
            livepatch("changed file", package=package),
            raw("remove", "rpm -e klp-{kernel}"),
            livepatch("removed package", package=package),
            CLEAN,
        ]
    )
    assert_enabled(results, "by package", ["hotfix3"])
    for host, result in each(results, "by package"):
        assert_predicted(results["by package, check"][host], result)
        assert not results["by name, again"][host]["changed"]
    assert_enabled(results, "out", [])
    assert_refused(results, "changed file", "package_modified", "hotfix3.ko", "digest")
    assert_refused(results, "removed package", "not_found")
    assert_clean(results)


@pytest.fixture
def doomed(some):
    """Guests for a test that leaves their kernels in a state only a boot ends."""
    guests = some("5.10", "7.2")
    yield guests
    for guest in guests.values():
        guest.ssh(["sync"])
        guest.kill()
        guest.start()
    for guest in guests.values():
        guest.wait_for_ssh()


def test_a_forced_transition_is_recorded_and_what_forbids_loading_is_named(steps, modules, doomed):
    results = steps(
        [
            livepatch("forced", path=path("stalls"), timeout=3, force=True),
            facts("facts of a forced host"),
            {
                "name": "not root",
                "become": False,
                "kernel.livepatch.livepatch": {"name": "stalls", "state": "disabled"},
            },
            livepatch("disabled", name="stalls", state="disabled"),
            livepatch("unloaded", name="stalls", state="absent"),
            livepatch("forced again", path=path("stalls"), timeout=3, force=True),
            raw("ftrace off", "echo 0 > /proc/sys/kernel/ftrace_enabled"),
            livepatch("no ftrace", path=path("hotfix1")),
            raw("ftrace on", "echo 1 > /proc/sys/kernel/ftrace_enabled"),
            raw("enforce signatures", "echo Y > /sys/module/module/parameters/sig_enforce"),
            livepatch("unsigned", path=path("hotfix1")),
            livepatch("unknown key", path=path("unknown_key")),
            raw("no more modules", "echo 1 > /proc/sys/kernel/modules_disabled"),
            livepatch("modules disabled", path=path("unknown_key")),
        ],
        doomed,
    )
    for host, result in each(results, "forced"):
        assert not result["failed"] and result["forced"] and result["proven"], (host, result)
        assert result["transition"]["blockers"][0]["comm"].startswith("kswapd")
        assert result["remedies"][-1]["remedy"] == "force" and result["remedies"][-1]["achieved"] == "ended"
        assert "plan a reboot" in str(result["warnings"])
        assert (
            results["facts of a forced host"][host]["ansible_facts"]["livepatch"]["patches"]["stalls"]["forced"] is True
        )
        # Before 6.1 the kernel holds every module that took part in a forced transition until the next boot.
        unloaded = results["unloaded"][host]
        pinned = doomed[host].kernel_release.startswith("5.10")
        assert unloaded["failed"] is pinned and unloaded.get("error") == (
            "already_forced" if pinned else None
        ), unloaded
    assert_refused(results, "forced again", "already_forced", "boot")
    assert_refused(results, "not root", "not_permitted", "become")
    assert_enabled(results, "disabled", [], ["stalls"])
    assert_refused(results, "no ftrace", "not_permitted", "ftrace_enabled")
    assert_refused(results, "unsigned", "key_rejected", "expected a signed module")
    assert_refused(results, "unknown key", "key_rejected", "The kernel said")
    assert_refused(results, "modules disabled", "not_permitted", "modules_disabled")
