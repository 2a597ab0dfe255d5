# Replacement as a transaction on real kernels: mixed worlds, what must stay, and two controllers at once.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Each test is one list of tasks on all guests at once, and leaves them without livepatches.

import json

from tests.integration.tasks import (  # pylint: disable=unused-import # noqa: F401 (modules is a fixture)
    CLEAN,
    assert_clean,
    assert_enabled,
    assert_quartet,
    assert_refused,
    each,
    in_background,
    livepatch,
    modules,
    path,
    quartet,
    raw,
)

MARKS = "cat /proc/version /proc/dma"


def test_a_stack_that_somebody_elses_tool_has_loaded_is_replaced_only_as_far_as_allowed(
    steps_in_turn, modules
):  # noqa: F811
    new = {"path": path("hotfix2")}
    results = steps_in_turn(
        [
            raw("another tool", "cd /root/lab && insmod addon_b.ko && sleep 3 && insmod hotfix1.ko && sleep 3"),
            raw("and another", "insmod /root/lab/addon_a.ko && sleep 3; cat /proc/modules"),
            livepatch("not all, check", True, replaces=["hotfix1"], **new),
            livepatch("not all", replaces=["hotfix1"], **new),
            livepatch("none", replaces=[], **new),
            raw("all run", MARKS),
        ]
        + quartet("all", replaces=["hotfix1", "addon_a"], **new)
        + [raw("one runs", MARKS + " /proc/modules"), CLEAN]
    )
    assert_refused(results, "not all, check", "replaces_others", "addon_a", "Nothing was changed")
    assert_refused(results, "not all", "replaces_others", "addon_a", "Nothing was changed")
    assert_refused(results, "none", "replaces_others", "addon_a, hotfix1")
    assert_quartet(results, "all")
    for host, result in each(results, "all"):
        # hotfix1 had replaced addon_b, whose module that tool has left behind.
        assert "addon_b" in results["and another"][host]["stdout"]
        assert result["replaced"] == ["addon_a", "hotfix1"]
        assert sorted(result["unloaded"]) == ["addon_a", "addon_b", "hotfix1"]
        assert "[hotfix1]" in results["all run"][host]["stdout"] and "[addon_a]" in results["all run"][host]["stdout"]
        left = results["one runs"][host]["stdout"]
        assert "[hotfix2]" in left and "addon_" not in left and "hotfix1" not in left
    assert_clean(results)


def test_what_cannot_be_brought_in_leaves_what_ran_and_what_it_replaced_unseen_is_brought_back(
    steps_in_turn, modules  # noqa: F811
):
    directory = "/usr/lib/modules/$(uname -r)/livepatch"
    results = steps_in_turn(
        [
            raw("known by name", "mkdir -p %s; cd /root/lab; cp hotfix1.ko addon_a.ko %s" % (directory, directory)),
            livepatch("first", name="hotfix1"),
            livepatch("second", name="addon_a"),
            livepatch("fails", path=path("no_symbol2")),
            livepatch("replaces, not expected to", path=path("replaces_unseen"), replace=False),
            raw("both run", MARKS),
            livepatch("is believed to replace", path=path("replaces_unseen"), replaces=["hotfix1"]),
            livepatch("replaces, expected to", path=path("replaces_unseen"), replace=True),
            CLEAN,
            raw("tidy", "rm %s/hotfix1.ko %s/addon_a.ko" % (directory, directory)),
        ]
    )
    assert_refused(results, "fails", "symbol_missing", "-addon_a as before")
    assert_refused(results, "replaces, not expected to", "replace_mismatch", "-addon_a as before")
    for host, result in each(results, "replaces, not expected to"):
        assert result["diff"]["after"] == {"enabled": ["hotfix1", "addon_a"], "inert": []}, (host, result)
        assert "[hotfix1]" in results["both run"][host]["stdout"] and "[addon_a]" in results["both run"][host]["stdout"]
    assert_refused(results, "is believed to replace", "replaces_others", "addon_a")
    assert_enabled(results, "replaces, expected to", ["replaces_unseen"])
    assert_clean(results)


def test_of_two_controllers_the_second_is_told_who_the_first_is_or_waits_for_it(steps_in_turn, modules):  # noqa: F811
    results = steps_in_turn(
        [
            in_background("the first", path=path("stalls"), timeout=8),
            raw("it has begun", "while ! test -s /run/livepatch/lock; do sleep 0.1; done"),
            livepatch("the second", path=path("hotfix1")),
            livepatch("a prediction", True, path=path("hotfix1")),
            livepatch("patient", path=path("hotfix1"), lock_timeout=600),
            raw("the first again", "cat /root/lab/background /root/lab/background.out"),
            CLEAN,
        ]
    )
    assert_refused(results, "the second", "locked", "Run again when that has ended", "stalls: enabled")
    for host, result in each(results, "the second"):
        group, first = results["the first again"][host]["stdout"].split("\n", 1)
        assert json.loads(first)[0]["error"] == "stalled"
        assert result["holder"]["does"] == "stalls: enabled" and result["holder"]["pid"] > int(group)
        assert not results["a prediction"][host]["failed"]
    assert_enabled(results, "patient", ["hotfix1"])
    assert_clean(results)
