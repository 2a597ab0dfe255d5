# What ran at a moment, from the lines that kernels 5.10 to 7.2 log about livepatches.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import random

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._health import livepatch_log
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.kernel_log import Record

LOADED = ["enabling patch '%s'", "'%s': starting patching transition", "'%s': patching complete"]
REMOVED = ["'%s': starting unpatching transition", "'%s': unpatching complete"]


def records(*parts, **keywords):
    """Records, one a second from 10 on. parts: (list of forms, name of a livepatch)."""
    lines = ["livepatch: " + form % name for forms, name in parts for form in forms]
    kernel = keywords.get("kernel", True)
    return [Record(number, 10.0 + number, 5, kernel, line) for number, line in enumerate(lines)]


def history(entries, whole=True, enabled=None):
    return livepatch_log.History(entries, whole, "6.1.0", enabled)


def test_a_livepatch_counts_from_its_first_task_on():
    found = history(records((LOADED, "hotfix1")))
    assert [found.at(moment) for moment in (9.0, 10.0, 11.5, 12.0, 99.0)] == ["6.1.0"] + ["6.1.0-hotfix1"] * 4


def test_a_livepatch_counts_to_its_last_task():
    found = history(records((LOADED, "hotfix1"), (REMOVED, "hotfix1")))
    assert [found.at(moment) for moment in (13.5, 14.0)] == ["6.1.0-hotfix1", "6.1.0"]


def test_a_livepatch_that_is_taken_back_before_it_was_in_leaves_what_was_there():
    found = history(records((LOADED, "hotfix1"), (LOADED[:2], "hotfix2"), (REMOVED[1:], "hotfix2")))
    assert [found.at(moment) for moment in (12.0, 13.0, 15.0)] == ["6.1.0-hotfix1", "6.1.0-hotfix2", "6.1.0-hotfix1"]


def test_what_was_replaced_does_not_come_back():
    found = history(records((LOADED, "hotfix1"), (LOADED, "hotfix2"), (REMOVED, "hotfix2")), enabled=[])
    assert found.at_end() == "6.1.0"


def test_what_is_still_enabled_was_not_replaced():
    found = history(records((LOADED, "base"), (LOADED, "addon"), (REMOVED, "addon")), enabled=["base"])
    assert found.at_end() == "6.1.0-base"


def test_what_was_replaced_and_came_again_does_not_run_in_between():
    entries = records((LOADED, "a"), (LOADED, "b"), (REMOVED, "b"), (LOADED, "a"))
    assert history(entries, enabled=["a"]).at(17.5) == "6.1.0"


def test_what_goes_out_itself_later_was_not_replaced_and_ran_in_between():
    parts = (LOADED, "base"), (LOADED, "addon"), (REMOVED, "addon"), (REMOVED, "base")
    for enabled in ([], None):
        found = history(records(*parts), enabled=enabled)
        assert [found.at(moment) for moment in (16.5, 17.5, 18.5, 19.5)] == ["6.1.0-addon", "6.1.0-base", "6.1.0-base", "6.1.0"]


def test_by_which_of_two_it_was_replaced_is_not_known_and_so_what_ran_between_them():
    parts = (LOADED, "a"), (LOADED, "b"), (REMOVED, "b"), (LOADED, "c")
    found = history(records(*parts), enabled=["c"])
    assert [found.at(moment) for moment in (12.5, 15.5, 17.5, 20.5)] == ["6.1.0-a", "6.1.0-b", None, "6.1.0-c"]
    assert history(records(*parts, (REMOVED, "c")), enabled=[]).at_end() == "6.1.0", "what runs now is known"


@pytest.mark.parametrize("enabled,expected", [(["base", "addon"], "6.1.0-addon"), ([], "6.1.0"), (None, None)])
def test_without_such_lines_it_is_what_runs_now_if_that_is_known(enabled, expected):
    assert history([Record(7, 1.0, 4, True, "x")], whole=False, enabled=enabled).at(5.0) == expected


def test_a_former_boot_without_such_lines_ran_none_if_its_log_is_whole():
    assert history([Record(0, 1.0, 4, True, "x")]).at_end() == "6.1.0"


@pytest.mark.parametrize(
    "parts,expected",
    [((LOADED, "a"), None), ((LOADED[1:], "a"), None), ((LOADED[2:], "a"), "6.1.0-a"), ((REMOVED, "a"), "6.1.0-a")],
)
def test_before_the_first_line_of_a_torn_log_only_what_that_line_proves_is_known(parts, expected):
    assert history(records(parts), whole=False).at(1.0) == expected


def test_a_program_cannot_tell_what_runs():
    assert history(records((LOADED, "evil"), kernel=False)).at_end() == "6.1.0"


def test_without_the_release_of_the_kernel_nothing_is_known():
    assert livepatch_log.History(records((LOADED, "a")), True, None).at_end() is None


def test_what_was_below_a_livepatch_that_was_taken_back_stays_unknown_where_the_log_does_not_say_it():
    found = history(records((LOADED[:2], "hotfix2"), (REMOVED[1:], "hotfix2")), whole=False)
    assert found.at_end() is None and found.stack_at_end() is None
    for parts in ([(LOADED, "hotfix2"), (REMOVED, "hotfix2")], [(REMOVED, "hotfix2")], [(REMOVED[1:], "hotfix2")]):
        torn = history(records(*parts), whole=False)
        assert torn.at_end() is None and torn.stack_at_end() is None, parts


def test_whether_one_that_went_out_had_replaced_the_others_is_not_known_of_a_former_boot():
    stacked = records((LOADED, "base"), (LOADED, "addon"), (REMOVED, "addon"))
    assert history(stacked).at(15.0) == "6.1.0-addon" and history(stacked).at_end() is None
    assert history(records((LOADED, "only"), (REMOVED, "only"))).at_end() == "6.1.0"


def test_what_is_enabled_and_in_no_line_was_there_before_a_torn_log_begins():
    torn = records((LOADED[:2], "b"), (REMOVED[1:], "b"))
    assert history(torn, whole=False, enabled=["a"]).at_end() == "6.1.0-a"
    assert history(torn, whole=False, enabled=[]).at_end() == "6.1.0"


@pytest.mark.parametrize(
    "parts,stack,pending",
    [
        ([], [], None),
        ([(LOADED[:1], "a")], ["a"], ("a", "patching")),
        ([(LOADED[:2], "a")], ["a"], ("a", "patching")),
        ([(LOADED, "a")], ["a"], None),
        ([(LOADED, "a"), (LOADED[:2], "b")], ["a", "b"], ("b", "patching")),
        ([(LOADED, "a"), (REMOVED[:1], "a")], ["a"], ("a", "unpatching")),
        ([(LOADED, "a"), (REMOVED, "a")], [], None),
    ],
)
def test_the_end_of_the_log_tells_what_was_enabled_and_what_was_in_transition(parts, stack, pending):
    found = history(records(*parts))
    assert (found.stack_at_end(), found.pending_at_end()) == (stack, pending)


@pytest.mark.parametrize("uptime,expected", [("100.5 7.0", 89.5), ("3.0 1.0", 0.0), ("", None), ("soon", None)])
def test_a_transition_lasts_since_its_tasks_began_to_switch(tmp_path, uptime, expected):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/uptime").write_text(uptime)
    assert livepatch_log.lasts(records((LOADED[:2], "hotfix1")), "hotfix1", str(tmp_path)) == expected
    assert livepatch_log.lasts(records((LOADED[:2], "hotfix1")), "hotfix2", str(tmp_path)) is None


def played(dice):
    """What a kernel logs of livepatches that come, go, and are turned round, with what is topmost after each line; what is left."""
    stack, replaces, lines, topmost = [], {}, [], []

    def log(form, name, now=None):
        lines.append("livepatch: " + form % name)
        topmost.append(now or (stack[-1] if stack else None))

    for unused in range(dice.randint(1, 6)):
        out, is_back = [name for name in "abcd" if name not in stack], dice.random() < 0.3
        if out and (not stack or dice.random() < 0.5):
            name = dice.choice(out)
            for form in LOADED[:2]:
                log(form, name, name)
            if not is_back:
                replaces[name] = dice.random() < 0.5
                stack = ([] if replaces[name] else stack) + [name]
            log(REMOVED[1] if is_back else LOADED[2], name)
        else:
            name = dice.choice(stack)
            log(REMOVED[0], name, name)
            if not is_back:
                stack.remove(name)
            elif replaces[name]:
                stack = stack[stack.index(name) :]
            log(LOADED[2] if is_back else REMOVED[1], name)
    return lines, topmost, stack


def test_of_a_boot_whose_log_is_whole_nothing_is_told_that_did_not_run():
    known = total = 0
    for seed in range(500):
        lines, topmost, stack = played(random.Random(seed))
        entries = [Record(number, 10.0 + number, 5, True, line) for number, line in enumerate(lines)]
        for enabled in (stack, None):
            found = history(entries, enabled=enabled)
            for number, name in enumerate(topmost):
                told, total = found.at(10.5 + number), total + 1
                assert told in ("6.1.0-%s" % name if name else "6.1.0", None), (seed, number, lines)
                known += told is not None
        assert history(entries, enabled=stack).at_end() is not None
    assert known > 0.95 * total
