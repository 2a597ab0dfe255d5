# Replacement is a transaction: what may be replaced, what cannot come in, and what is brought back.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import errno

import pytest

from tests.unit.fakes import elf
from tests.unit.fakes.runs import begin, refusal, run

A, B, C = "aa" * 20, "bb" * 20, "cc" * 20


@pytest.fixture
def stack(kernel, put):
    """hotfix1, which replaces, and addon_a on it; the files of both can be found by their names."""
    put("hotfix1", build_id=A, replace=True)
    put("addon_a", build_id=B, replace=False)
    kernel.insert("hotfix1", build_id=A, transition=0)
    kernel.insert("addon_a", build_id=B, replace=False, transition=0)
    return kernel


def replaces_unseen(kernel, monkeypatch, path_name="unseen"):
    """Make one livepatch replace all others, which its file does not show."""
    insert = kernel.insert
    monkeypatch.setattr(
        kernel,
        "insert",
        lambda name, build_id, replace: insert(name, build_id, True if name == path_name else replace),
    )


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("allowed,others", [(["hotfix1"], "addon_a"), ([], "addon_a, hotfix1")])
def test_what_must_not_be_replaced_refuses_the_livepatch_before_anything_is_touched(
    stack, put, check_mode, allowed, others
):
    error = refusal(stack, path=put("hotfix2", replace=True), replaces=allowed, check_mode=check_mode)
    assert error.code == "replaces_others" and others in error.message and "Nothing was changed" in error.message
    assert stack.events == [] and not error.details["changed"]


def test_what_may_be_replaced_is(stack, put):
    path = put("hotfix2", replace=True)
    allowed = ["hotfix1", "addon_a", "not_even_there"]
    assert run(stack, True, path=path, replaces=allowed)["replaced"] == ["addon_a", "hotfix1"]
    assert run(stack, path=path, replaces=allowed)["replaced"] == ["addon_a", "hotfix1"]


def test_a_livepatch_that_stacks_replaces_nothing(stack, put):
    assert run(stack, path=put("addon_b", build_id=C, replace=False), replaces=[])["replaced"] == []


def test_what_has_come_while_a_transition_was_waited_for_is_spared_too(kernel, put):
    kernel.attributes = ("replace",)
    kernel.insert("hotfix1", transition=0)
    kernel.insert("addon_a", replace=True)
    error = refusal(kernel, path=put("hotfix2", replace=True), replaces=["hotfix1"])
    assert error.code == "replaces_others" and kernel.events == []


@pytest.mark.parametrize("attributes", [("patched",), ("patched", "replace", "stack_order")])
def test_what_was_replaced_unseen_is_brought_back_before_the_new_one_is_taken_out(stack, put, monkeypatch, attributes):
    stack.attributes = attributes
    stack.takes = 0.0 if "replace" in attributes else 1.0
    replaces_unseen(stack, monkeypatch)
    error = refusal(stack, path=put("unseen", build_id=C), replace=False)
    assert error.code == "replace_mismatch"
    assert error.details["diff"]["after"] == {"enabled": ["hotfix1", "addon_a"], "inert": []}
    assert "as before" in error.message and not error.details["changed"]


def test_what_is_spared_and_was_replaced_unseen_is_brought_back(stack, put, monkeypatch):
    replaces_unseen(stack, monkeypatch)
    error = refusal(stack, path=put("unseen", build_id=C, replace=False), replaces=[])
    assert error.code == "replaces_others"
    assert "hotfix1, addon_a brought back: this host runs %s-addon_a as before" % elf.KERNEL in error.message
    assert error.details["diff"]["after"] == {"enabled": ["hotfix1", "addon_a"], "inert": []}


def test_stacked_ones_are_brought_back_on_top_before_the_new_one_goes(kernel, put, monkeypatch):
    put("addon_a", build_id=A, replace=False)
    kernel.insert("addon_a", build_id=A, replace=False, transition=0)
    replaces_unseen(kernel, monkeypatch)
    error = refusal(kernel, path=put("unseen", build_id=C), replace=False)
    assert error.details["diff"]["after"] == {"enabled": ["addon_a"], "inert": []}
    assert kernel.events == ["load unseen", "unload addon_a", "load addon_a", "unseen enabled=0", "unload unseen"]


def test_where_they_are_back_and_the_new_one_does_not_go_that_is_said_and_not_that_they_are_gone(kernel, put, monkeypatch):
    put("addon_a", build_id=A, replace=False)
    kernel.insert("addon_a", build_id=A, replace=False, transition=0)
    replaces_unseen(kernel, monkeypatch)
    write = kernel.write

    def stalls(path, value):
        kernel.takes = None if value == "0" else kernel.takes
        write(path, value)

    monkeypatch.setattr(kernel, "write", stalls)
    error = refusal(kernel, path=put("unseen", build_id=C), replace=False)
    assert "addon_a came back, but taking it out again failed, and this host runs %s-addon_a" % elf.KERNEL in error.message
    assert error.details["diff"]["after"]["enabled"] == ["unseen", "addon_a"] and "in the place of" not in error.message


def no_file(kernel, put):
    kernel.insert("elsewhere", build_id=A, replace=False, transition=0)


def other_file(kernel, put):
    kernel.insert("elsewhere", build_id=A, replace=False, transition=0)
    put("elsewhere", build_id=B)


@pytest.mark.parametrize("former,words", [(no_file, "modules.dep"), (other_file, "found " + B)])
def test_what_cannot_be_brought_back_is_said_and_nothing_more_is_touched(kernel, put, monkeypatch, former, words):
    former(kernel, put)
    replaces_unseen(kernel, monkeypatch)
    error = refusal(kernel, path=put("unseen", build_id=C), replace=False)
    assert "in the place of elsewhere" in error.message and words in error.message
    assert "this host runs %s-unseen" % elf.KERNEL in error.message
    assert error.details["changed"] and kernel.events == ["load unseen"]


def loading_fails(kernel):
    kernel.refusal = errno.ENOMEM


def unloading_fails(kernel):
    kernel.busy_unloads = 10**6


def never_ends(kernel):
    kernel.takes = None


@pytest.mark.parametrize(
    "harm,words",
    [(loading_fails, "Cannot allocate"), (unloading_fails, "temporarily unavailable"), (never_ends, "has not ended")],
)
def test_a_way_back_that_fails_is_said(stack, put, monkeypatch, harm, words):
    replaces_unseen(stack, monkeypatch)
    complete = stack._complete

    def completed(name):
        complete(name)
        harm(stack)

    monkeypatch.setattr(stack, "_complete", completed)
    error = refusal(stack, path=put("unseen", build_id=C), replace=False)
    assert "bringing back failed" in error.message and words in error.message


def test_taking_a_stacked_one_out_that_stalls_is_said(kernel, put):
    kernel.insert("hotfix1", transition=0)

    def complete(name, real=kernel._complete):
        real(name)
        kernel.takes = None

    kernel._complete = complete
    error = refusal(kernel, path=put("addon_a"), replace=True)
    assert error.code == "replace_mismatch" and "Taking it out again failed" in error.message


def test_a_livepatch_that_cannot_come_in_leaves_the_host_as_it_was_and_says_so(stack, put):
    stack.refusal = errno.EINVAL
    error = refusal(stack, path=put("hotfix2", build_id=C, replace=True))
    assert "This host runs %s-addon_a as before." % elf.KERNEL in error.message
    assert error.details["diff"]["after"] == {"enabled": ["hotfix1", "addon_a"], "inert": []}


def test_somebody_else_who_changes_the_host_meanwhile_is_noticed(stack, put, monkeypatch):
    def load(path, image, packed):
        stack.insert("foreign", transition=0)
        raise OSError(errno.EEXIST, "File exists")

    monkeypatch.setattr(stack, "load", load)
    error = refusal(stack, path=put("hotfix2", build_id=C, replace=True))
    assert "before it had hotfix1, addon_a: somebody else changes it" in error.message


def other_code_comes_in(kernel, monkeypatch):
    insert = kernel.insert
    monkeypatch.setattr(
        kernel,
        "insert",
        lambda name, build_id, replace: insert(name, "dd" * 20 if name == "hotfix2" else build_id, replace),
    )


def test_what_cannot_be_proven_is_taken_out_before_anything_that_it_replaced_is_unloaded(stack, put, monkeypatch):
    other_code_comes_in(stack, monkeypatch)
    error = refusal(stack, path=put("hotfix2", build_id=C, replace=True))
    assert error.code == "not_proven" and "dd" * 20 in error.message
    assert "hotfix1, addon_a brought back" in error.message
    assert error.details["diff"]["after"] == {"enabled": ["hotfix1", "addon_a"], "inert": []}


def test_an_object_that_is_patched_a_moment_later_is_waited_for(kernel, put, monkeypatch):
    sleep = kernel.sleep
    show = kernel._show_patch

    def shown(directory, patch, order):
        show(directory, patch, order)
        if kernel.time < 2:
            kernel.text(directory + "/vmlinux/patched", "0")

    def slept(seconds):
        sleep(seconds)
        kernel._show()

    monkeypatch.setattr(kernel, "_show_patch", shown)
    monkeypatch.setattr(kernel, "sleep", slept)
    assert run(kernel, path=put("hotfix1"))["proven"]
    assert kernel.time >= 2


def test_a_foreign_tools_livepatch_and_leftovers_are_predicted_replaced_and_unloaded(stack, put):
    stack.leave_inert("leftover")
    path = put("hotfix2", build_id=C, replace=True)
    predicted = run(stack, True, path=path)
    started = begin(stack, path=path)
    result = started.execute()
    assert predicted["replaced"] == result["replaced"] == ["addon_a", "hotfix1"]
    assert predicted["unloaded"] == result["unloaded"]
    assert sorted(result["unloaded"]) == ["addon_a", "hotfix1", "leftover"] and started.warnings == []


@pytest.mark.parametrize("attributes", [("patched",), ("patched", "replace")])
def test_what_somebody_else_takes_out_beside_one_that_stacks_was_not_replaced_by_it(kernel, put, attributes):
    kernel.attributes = attributes
    kernel.insert("addon_a", "aa" * 20, replace=False, transition=0)
    kernel.insert("addon_b", "bb" * 20, replace=False, transition=0)

    def out():
        del kernel.patches["addon_a"]
        kernel.modules["addon_a"]["refcount"] = 0

    kernel.later(0.5, out)
    result = run(kernel, path=put("addon_c", build_id="cc" * 20, replace=False), timeout=10)
    assert result["replaced"] == []
