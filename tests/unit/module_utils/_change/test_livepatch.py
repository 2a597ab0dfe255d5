# Whole runs against a kernel in a temporary directory: what happens, what check mode said, and what is undone.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import stalls
from tests.unit.fakes import elf
from tests.unit.fakes.runs import begin, refusal, run

PREDICTED = ("changed", "diff", "replaced", "unloaded", "effective_release", "name", "before")


def quartet(kernel, **options):
    """Check, real, again, again in check: return the real run's result."""
    predicted = run(kernel, True, **options)
    real = run(kernel, **options)
    again = run(kernel, **options)
    again_in_check = run(kernel, True, **options)
    assert {key: predicted[key] for key in PREDICTED} == {key: real[key] for key in PREDICTED}
    assert real["changed"] and real["proven"]
    assert not again["changed"] and again["proven"]
    assert not again_in_check["changed"] and again_in_check["proven"]
    assert again["diff"]["before"] == again["diff"]["after"] == real["diff"]["after"]
    return real


def test_a_livepatch_is_loaded_by_path_and_proven(kernel, put):
    real = quartet(kernel, path=put("hotfix1"))
    assert real["effective_release"] == elf.KERNEL + "-hotfix1"
    assert real["before"] == {"enabled": None, "effective_release": elf.KERNEL}
    assert real["diff"]["after"] == {"enabled": ["hotfix1"], "inert": []}
    assert real["build_id"] == "11" * 20
    position = {"boot_id": "b0", "sequence": 0, "time": "2026-05-04T08:15:00Z"}
    assert real["since"] == dict(position, taint=0, counters={"oops_count": None, "warn_count": None})
    assert 0.9 < real["transition"]["seconds"] < 3


def test_a_livepatch_is_found_by_name_where_no_depmod_has_recorded_it(kernel, put):
    put("hotfix1")
    assert quartet(kernel, name="hotfix1")["name"] == "hotfix1"


def test_a_livepatch_is_found_by_name_where_its_vendor_puts_it(kernel, put):
    put("kpatch_5_14_0_427_1_1_5", "var/lib/kpatch/%s" % elf.KERNEL)
    assert quartet(kernel, name="kpatch_5_14_0_427_1_1_5")["name"] == "kpatch_5_14_0_427_1_1_5"


def test_a_recorded_module_goes_before_one_that_merely_lies_there(kernel, put):
    put("hotfix1", build_id="22" * 20)
    put("hotfix1", "lib/modules/%s/weak-updates" % elf.KERNEL)
    kernel.text("lib/modules/%s/modules.dep" % elf.KERNEL, "weak-updates/hotfix1.ko:")
    assert quartet(kernel, name="hotfix1")["build_id"] == "11" * 20


def test_a_cumulative_livepatch_replaces_the_others_and_their_modules_are_unloaded(kernel, put):
    kernel.insert("hotfix1", transition=0)
    kernel.insert("addon_a", replace=False, transition=0)
    real = quartet(kernel, path=put("hotfix2", build_id="22" * 20, replace=True))
    assert real["replaced"] == ["addon_a", "hotfix1"]
    assert sorted(real["unloaded"]) == ["addon_a", "hotfix1"]
    assert real["diff"] == {
        "before": {"enabled": ["hotfix1", "addon_a"], "inert": []},
        "after": {"enabled": ["hotfix2"], "inert": []},
    }
    assert kernel.events.index("load hotfix2") < kernel.events.index("unload hotfix1")


def test_replaced_modules_stay_when_asked_to(kernel, put):
    kernel.insert("hotfix1", transition=0)
    real = quartet(kernel, path=put("hotfix2", replace=True), unload_inert=False)
    assert real["diff"]["after"] == {"enabled": ["hotfix2"], "inert": ["hotfix1"]}
    assert real["unloaded"] == []


def test_an_older_release_is_brought_back_over_a_newer_one(kernel, put):
    kernel.insert("hotfix1", transition=0)
    run(kernel, path=put("hotfix2", build_id="22" * 20, replace=True), unload_inert=False)
    real = quartet(kernel, path=put("hotfix1", replace=True))
    assert real["replaced"] == ["hotfix2"]
    assert real["unloaded"] == ["hotfix2"]
    assert kernel.events[-4:] == ["load hotfix2", "unload hotfix1", "load hotfix1", "unload hotfix2"]


def test_a_livepatch_that_does_not_replace_stacks_on_the_others(kernel, put):
    kernel.insert("hotfix1", transition=0)
    real = quartet(kernel, path=put("addon_a", replace=False), replace=False)
    assert real["diff"]["after"]["enabled"] == ["hotfix1", "addon_a"]
    assert real["replaced"] == []


def test_a_stack_is_taken_down_the_newest_first(kernel):
    for name in ("hotfix1", "addon_a", "addon_b"):
        kernel.insert(name, replace=False, transition=0)
    real = quartet(kernel, all=True, state="absent")
    assert real["unloaded"] == ["addon_b", "addon_a", "hotfix1"]
    assert [event for event in kernel.events if "enabled" in event] == [
        "addon_b enabled=0",
        "addon_a enabled=0",
        "hotfix1 enabled=0",
    ]
    assert real["effective_release"] == elf.KERNEL


def test_one_of_a_stack_is_taken_out_and_the_others_stay(kernel):
    kernel.insert("addon_a", replace=False, transition=0)
    kernel.insert("addon_b", replace=False, transition=0)
    assert quartet(kernel, name="addon_a", state="absent")["diff"]["after"] == {"enabled": ["addon_b"], "inert": []}


def test_a_disabled_livepatch_stays_loaded_and_inert_until_it_is_to_be_absent(kernel):
    kernel.insert("hotfix1", transition=0)
    assert quartet(kernel, name="hotfix1", state="disabled")["diff"]["after"] == {"enabled": [], "inert": ["hotfix1"]}
    assert quartet(kernel, name="hotfix1", state="absent")["unloaded"] == ["hotfix1"]


def test_an_inert_module_makes_way_for_the_wanted_code_of_its_name(kernel, put):
    kernel.leave_inert("hotfix1", build_id="33" * 20)
    real = quartet(kernel, path=put("hotfix1"))
    assert kernel.events[:2] == ["unload hotfix1", "load hotfix1"]
    assert real["unloaded"] == []
    assert real["diff"]["before"] == {"enabled": [], "inert": ["hotfix1"]}


def test_other_code_of_the_same_name_is_never_called_ok(kernel, put):
    kernel.insert("hotfix1", build_id="33" * 20, transition=0)
    path = put("hotfix1")
    for check_mode in (True, False):
        error = refusal(kernel, path=path, check_mode=check_mode)
        assert error.code == "other_code"
        assert "33" * 20 in error.message and "11" * 20 in error.message and "new module name" in error.message
    assert kernel.events == []


def test_an_ordinary_module_of_that_name_is_left_alone(kernel, put):
    kernel.ordinary_module("hotfix1")
    assert refusal(kernel, path=put("hotfix1")).code == "other_code"
    assert refusal(kernel, name="hotfix1", state="absent").code == "other_code"
    assert kernel.events == []


def test_unloading_is_tried_again_while_the_kernel_still_holds_the_module(kernel):
    kernel.insert("hotfix1", transition=0)
    kernel.busy_unloads = 3
    assert run(kernel, name="hotfix1", state="absent")["unloaded"] == ["hotfix1"]


def test_a_module_that_cannot_be_unloaded_fails_the_state_absent(kernel):
    kernel.insert("hotfix1", transition=0)
    kernel.busy_unloads = 10**6
    error = refusal(kernel, name="hotfix1", state="absent")
    assert error.code == "unload_refused"
    assert error.details["changed"] and error.details["diff"]["after"] == {"enabled": [], "inert": ["hotfix1"]}


def test_a_module_pinned_by_a_forced_transition_cannot_be_loaded_again(kernel, put):
    kernel.leave_inert("hotfix1", refcount=1)
    kernel.log.append("livepatch: forcing remaining tasks to the unpatched state")
    assert refusal(kernel, path=put("hotfix1")).code == "already_forced"
    assert refusal(kernel, name="hotfix1", state="absent").code == "already_forced"


def test_a_module_that_others_use_is_said_with_their_names_and_nobody_was_forced(kernel, put):
    kernel.leave_inert("hotfix1", refcount=1, users="other_a,other_b,")
    for options in (dict(path=put("hotfix1")), dict(name="hotfix1", state="absent")):
        error = refusal(kernel, **options)
        assert error.code == "unload_refused" and "other_a, other_b" in error.message
    assert kernel.time >= 5 and kernel.events == []


def test_a_module_that_the_kernel_lets_go_within_seconds_is_waited_for(kernel, put):
    kernel.leave_inert("hotfix1", refcount=1)
    kernel.later(2, lambda: kernel.modules["hotfix1"].update(refcount=0))
    assert run(kernel, path=put("hotfix1"))["proven"]


def test_a_module_that_is_just_being_loaded_by_somebody_else_is_waited_for(kernel, put):
    kernel.ordinary_module("hotfix1")
    kernel.modules["hotfix1"].update(state="Loading", taint="OEK")
    kernel._show()
    kernel.later(2, lambda: kernel.insert("hotfix1", transition=0))
    assert run(kernel, path=put("hotfix1"))["proven"] and "load hotfix1" not in kernel.events


def test_a_module_that_does_not_stop_being_loaded_is_somebody_elses_doing(kernel, put):
    kernel.ordinary_module("hotfix1")
    kernel.modules["hotfix1"].update(state="Loading", taint="OEK")
    kernel._show()
    for options in (dict(path=put("hotfix1")), dict(name="hotfix1", state="absent")):
        error = refusal(kernel, **options)
        assert error.code == "busy" and "just being loaded" in error.message
    assert kernel.events == []


def test_pinned_modules_of_others_stay_and_are_named_in_a_warning(kernel, put):
    kernel.leave_inert("hotfix0", refcount=1)
    path = put("hotfix1")
    started = begin(kernel, path=path)
    result = started.execute()
    assert result["diff"]["after"] == {"enabled": ["hotfix1"], "inert": ["hotfix0"]}
    assert "hotfix0" in started.warnings[0]


def stall(kernel):
    kernel.takes = None
    kernel.task(7, "kswapd0", 0, "[<0>] some_function+0x1/0x2\n[<0>] ret_from_fork+0x1/0x2", flags=0x00200040)
    kernel.task(8, "cat", 1, "[<0>] do_wait+0x1/0x2")
    kernel.task(9, "java (x) S", 0, "[<0>] ep_poll+0x1/0x2", cgroup="0::/system.slice/java.service")


def test_what_lies_on_a_livepatch_whose_way_out_was_turned_round_stays(kernel, put):
    kernel.insert("hotfix1", transition=0)
    kernel.insert("addon_a", replace=False, transition=0)
    for value in ("0", "1"):
        kernel.write("hotfix1/enabled", value)
    predicted, real = (run(kernel, check, path=put("hotfix1")) for check in (True, False))
    assert predicted["diff"]["after"] == real["diff"]["after"] == {"enabled": ["hotfix1", "addon_a"], "inert": []}


def test_a_stalled_transition_is_reverted_and_names_its_blockers(kernel, put):
    kernel.insert("hotfix1", transition=0)
    stall(kernel)
    error = refusal(kernel, path=put("hotfix2", replace=True))
    assert error.code == "stalled"
    assert "kswapd0 (7)" in error.message and "%s-hotfix1 as before" % elf.KERNEL in error.message
    assert not error.details["changed"]
    assert error.details["diff"]["after"] == {"enabled": ["hotfix1"], "inert": []}
    assert kernel.events == ["load hotfix2", "hotfix2 enabled=0", "unload hotfix2"]
    first, second = error.details["transition"]["blockers"]
    assert (first["pid"], first["kthread"], first["function"]) == (7, True, "some_function")
    assert first["reason"] == "sleeping on patched function some_function of object vmlinux"
    assert (second["comm"], second["kthread"], second["unit"]) == ("java (x) S", False, "java.service")
    assert second["reason_code"] == "unreliable_stack" and "ep_poll" in second["stack"][0]
    assert error.details["transition"]["seconds"] >= 60


def test_the_way_back_is_given_time_however_short_the_timeout(kernel, put, monkeypatch):
    stall(kernel)
    monkeypatch.setattr(kernel, "takes_back", 30)
    error = refusal(kernel, path=put("hotfix1"), timeout=2)
    assert error.code == "stalled" and "as before" in error.message
    assert error.details["diff"]["after"] == {"enabled": [], "inert": []}


@pytest.mark.parametrize("force", [False, True])
def test_a_transition_that_ends_while_its_blockers_are_read_is_not_turned_round(kernel, put, monkeypatch, force):
    kernel.insert("hotfix1", transition=0)
    stall(kernel)

    def find(*unused):
        kernel.ends = kernel.time
        kernel.sleep(0)
        return stalls.Found([], 0, "")

    monkeypatch.setattr(stalls, "find", find)
    result = run(kernel, path=put("hotfix2", replace=True), force=force)
    assert result["proven"] and not result["forced"]
    assert result["diff"]["after"]["enabled"] == ["hotfix2"]


def one_moment_too_late(kernel, monkeypatch, at_once):
    """The transition to hotfix2 ends when it is just being turned round; at_once: so does that of turning it round."""
    write = kernel.write

    def written(path, value):
        first = path.endswith("hotfix2/enabled") and value == "0" and "hotfix2 enabled=0" not in kernel.events
        if first:
            kernel._complete("hotfix2")
        write(path, value)
        if first and at_once:
            kernel._complete("hotfix2")

    monkeypatch.setattr(kernel, "write", written)


def test_a_transition_that_ends_while_its_blockers_are_counted_is_not_turned_round(kernel, put, monkeypatch):
    kernel.insert("hotfix1", transition=0)
    stall(kernel)
    look, count = stalls.find, stalls.count
    looked = []

    def counted(root, name):
        number = count(root, name)
        if looked:
            kernel._complete("hotfix2")
        return number

    monkeypatch.setattr(stalls, "find", lambda *where: looked.append(1) or look(*where))
    monkeypatch.setattr(stalls, "count", counted)
    result = run(kernel, path=put("hotfix2", replace=True))
    assert result["proven"] and "hotfix2 enabled=0" not in kernel.events
    assert result["diff"]["after"]["enabled"] == ["hotfix2"] and result["remedies"][-1]["achieved"] == "ended"


def test_a_transition_that_ended_when_it_was_turned_round_is_turned_once_more(kernel, put, monkeypatch):
    kernel.insert("hotfix1", transition=0)
    stall(kernel)
    one_moment_too_late(kernel, monkeypatch, at_once=False)
    result = run(kernel, path=put("hotfix2", replace=True))
    assert kernel.events[1:3] == ["hotfix2 enabled=0", "hotfix2 enabled=1"]
    assert result["proven"] and result["diff"]["after"]["enabled"] == ["hotfix2"]


def test_what_ran_is_brought_back_where_turning_round_came_too_late_and_ended_at_once(kernel, put, monkeypatch):
    put("hotfix1", replace=True)
    kernel.insert("hotfix1", transition=0)
    stall(kernel)
    one_moment_too_late(kernel, monkeypatch, at_once=True)
    insert = kernel.insert
    monkeypatch.setattr(
        kernel, "insert", lambda name, code, replace: insert(name, code, replace, int(name == "hotfix2"))
    )
    error = refusal(kernel, path=put("hotfix2", build_id="22" * 20, replace=True))
    assert error.code == "stalled" and "hotfix1 brought back" in error.message
    assert error.details["diff"]["after"] == {"enabled": ["hotfix1"], "inert": []} and not error.details["changed"]


def test_a_disabling_that_ends_when_it_is_turned_round_is_what_was_asked_for(kernel, monkeypatch):
    kernel.insert("hotfix1", transition=0)
    kernel.takes = None
    write = kernel.write

    def written(path, value):
        if value == "1":
            kernel._complete("hotfix1")
        write(path, value)

    monkeypatch.setattr(kernel, "write", written)
    result = run(kernel, name="hotfix1", state="absent")
    assert result["proven"] and result["diff"]["after"] == {"enabled": [], "inert": []}


def test_a_way_back_that_stalls_too_is_said(kernel, put, monkeypatch):
    stall(kernel)
    monkeypatch.setattr(kernel, "takes_back", 1000)
    error = refusal(kernel, path=put("hotfix1"))
    assert error.code == "stalled" and "the way back has not ended" in error.message


def test_a_stalled_disabling_is_turned_round_and_the_livepatch_stays(kernel):
    kernel.insert("hotfix1", transition=0)
    kernel.takes = None
    error = refusal(kernel, name="hotfix1", state="absent")
    assert error.code == "stalled" and "enabled as before" in error.message
    assert kernel.events == ["hotfix1 enabled=0", "hotfix1 enabled=1"]


def test_a_stall_is_left_pending_when_asked_to(kernel, put):
    stall(kernel)
    error = refusal(kernel, path=put("hotfix1"), on_stall="fail")
    assert error.code == "stalled" and "still in transition" in error.message
    assert error.details["changed"]
    assert kernel.events == ["load hotfix1"]


def test_waiting_on_gives_a_transition_a_second_chance(kernel, put):
    kernel.takes = 80
    result = run(kernel, path=put("hotfix1"), on_stall="wait")
    assert result["proven"] and result["transition"]["seconds"] > 79
    kernel.takes = None
    assert refusal(kernel, path=put("hotfix2", replace=True), on_stall="wait").code == "stalled"
    assert "enabled=0" not in " ".join(kernel.events)


def test_force_is_used_only_when_asked_for_and_recorded(kernel, put):
    stall(kernel)
    result = run(kernel, path=put("hotfix1"), force=True)
    assert result["forced"] and result["proven"]
    assert kernel.events == ["load hotfix1", "hotfix1 force=1"]


def test_its_own_pending_transition_is_waited_for_and_is_no_change(kernel, put):
    kernel.insert("hotfix1")
    result = run(kernel, path=put("hotfix1"))
    assert result["proven"] and not result["changed"]
    assert kernel.events == []


def test_its_own_transition_in_the_wrong_direction_is_turned_round(kernel, put):
    path = put("hotfix1")
    kernel.insert("hotfix1", transition=0)
    kernel.takes = None
    kernel.write("enabled/hotfix1/enabled", "0")
    predicted = run(kernel, True, path=path)
    result = run(kernel, path=path)
    assert result["changed"] and result["proven"] and predicted["diff"] == result["diff"]
    assert kernel.events[-1] == "hotfix1 enabled=1"


def test_a_livepatch_that_is_just_coming_is_turned_away_when_it_is_to_be_absent(kernel):
    kernel.insert("hotfix1", transition=0)
    kernel.takes = None
    kernel.insert("hotfix2")
    predicted = run(kernel, True, name="hotfix2", state="absent")
    result = run(kernel, name="hotfix2", state="absent")
    assert {key: predicted[key] for key in PREDICTED} == {key: result[key] for key in PREDICTED}
    assert result["diff"]["after"] == {"enabled": ["hotfix1"], "inert": []}
    assert result["unloaded"] == ["hotfix2"]


def test_another_livepatchs_transition_is_waited_for(kernel, put):
    kernel.insert("addon_a", replace=False)
    result = run(kernel, path=put("hotfix1", replace=True))
    assert result["replaced"] == ["addon_a"] and result["diff"]["before"]["enabled"] == ["addon_a"]


def test_another_livepatchs_endless_transition_is_named_and_left_alone(kernel, put):
    stall(kernel)
    kernel.insert("hotfix9")
    error = refusal(kernel, path=put("hotfix1"))
    assert error.code == "busy" and "hotfix9" in error.message and "kswapd0" in error.message
    assert not error.details["changed"]
    assert kernel.events == []


@pytest.mark.parametrize("attributes", [("patched",), ("patched", "replace", "stack_order")])
def test_one_that_is_to_replace_the_wanted_livepatch_for_ever_is_turned_round(kernel, put, attributes):
    kernel.attributes = attributes
    path = put("hotfix1", replace=True)
    kernel.insert("hotfix1", transition=0)
    stall(kernel)
    kernel.insert("hotfix2", build_id="22" * 20)
    predicted = run(kernel, True, path=path)
    result = run(kernel, path=path)
    assert {key: predicted[key] for key in PREDICTED} == {key: result[key] for key in PREDICTED}
    assert result["proven"] and result["diff"]["after"] == {"enabled": ["hotfix1"], "inert": []}
    assert kernel.events == ["hotfix2 enabled=0", "unload hotfix2"] and kernel.time < 10


def test_one_that_stacks_on_the_wanted_livepatch_is_waited_for_and_stays(kernel, put):
    kernel.attributes = ("replace",)
    path = put("hotfix1", replace=True)
    kernel.insert("hotfix1", transition=0)
    kernel.insert("addon_a", replace=False)
    result = run(kernel, path=path)
    assert result["proven"] and not result["changed"] and result["diff"]["after"]["enabled"] == ["hotfix1", "addon_a"]


def test_what_somebody_else_begins_after_the_runs_own_steps_does_not_change_what_was_before(kernel, put, monkeypatch):
    kernel.insert("hotfix1", transition=0)
    complete = kernel._complete
    kernel.attributes = ("patched", "replace")

    def completed(name):
        complete(name)
        if name == "hotfix2":
            kernel.insert("intruder", replace=False)

    monkeypatch.setattr(kernel, "_complete", completed)
    result = run(kernel, path=put("hotfix2", build_id="22" * 20, replace=True))
    assert result["changed"] and result["before"]["enabled"] == "hotfix1" and result["replaced"] == ["hotfix1"]


def test_a_wrong_expectation_of_replacing_is_refused_before_anything_is_touched(kernel, put):
    assert refusal(kernel, path=put("addon_a", replace=False), replace=True).code == "replace_mismatch"
    assert refusal(kernel, path=put("hotfix1", replace=True), replace=False).code == "replace_mismatch"
    assert kernel.events == []


@pytest.mark.parametrize("attributes", [("patched",), ("patched", "replace", "stack_order")])
def test_a_livepatch_found_not_to_replace_is_taken_out_again(kernel, put, attributes):
    kernel.attributes = attributes
    kernel.insert("hotfix1", transition=0)
    error = refusal(kernel, path=put("addon_a"), replace=True)
    assert error.code == "replace_mismatch"
    assert not error.details["changed"]
    assert error.details["diff"]["after"] == {"enabled": ["hotfix1"], "inert": []}


def test_a_livepatch_found_to_replace_all_others_is_said_when_it_is_too_late_to_undo(kernel, put, monkeypatch):
    kernel.insert("hotfix1", transition=0)
    path = put("hotfix2")
    load = kernel.insert
    monkeypatch.setattr(kernel, "insert", lambda name, build_id, replace: load(name, build_id, True))
    error = refusal(kernel, path=path, replace=False)
    assert error.code == "replace_mismatch" and "in the place of hotfix1" in error.message
    assert error.details["changed"] and error.details["diff"]["after"]["enabled"] == ["hotfix2"]


def test_on_a_bare_host_the_kernels_own_word_about_replacing_decides(kernel, put):
    kernel.attributes = ("replace",)
    error = refusal(kernel, path=put("addon_a"), replace=True)
    assert error.code == "replace_mismatch"
    assert error.details["diff"]["after"] == {"enabled": [], "inert": []}


REFUSALS = [
    (errno.EINVAL, "livepatch: symbol 'f' not found in symbol table", "symbol_missing"),
    (errno.EINVAL, "livepatch: unresolvable ambiguity for symbol 'f' in object '(null)'", "symbol_missing"),
    (
        errno.EINVAL,
        "livepatch: Livepatch patch (hotfix1) is not compatible with the already installed livepatches.",
        "incompatible_state",
    ),
    (errno.EINVAL, "livepatch: module hotfix1 is not marked as a livepatch module", "not_a_livepatch"),
    (errno.EINVAL, None, "load_failed"),
    (errno.EPERM, "livepatch: pre-patch callback failed for object 'vmlinux'", "load_failed"),
    (errno.EBUSY, "livepatch: pre-patch callback failed for object 'vmlinux'", "load_failed"),
    (errno.EEXIST, "livepatch: pre-patch callback failed for object 'vmlinux'", "load_failed"),
    (errno.ENOKEY, "livepatch: pre-patch callback failed for object 'vmlinux'", "load_failed"),
    (errno.EKEYREJECTED, "livepatch: pre-patch callback failed for object 'vmlinux'", "load_failed"),
    (errno.ENOEXEC, "livepatch: pre-patch callback failed for object 'vmlinux'", "load_failed"),
    (
        errno.EINVAL,
        "livepatch: symbol position 99 for symbol 'c_start' in object 'vmlinux' not found",
        "symbol_missing",
    ),
    (errno.EPERM, None, "not_permitted"),
    (errno.EACCES, None, "not_permitted"),
    (errno.EKEYREJECTED, "Loading of module with unavailable key is rejected", "key_rejected"),
    (errno.ENOEXEC, "hotfix1: version magic 'A' should be 'B'", "vermagic"),
    (errno.ENOEXEC, "hotfix1: disagrees about version of symbol module_layout", "vermagic"),
    (errno.ENOEXEC, None, "bad_module_file"),
    (errno.EBUSY, "livepatch: failed to register ftrace handler for function 'f' (-16)", "load_failed"),
    (errno.EBUSY, None, "busy"),
    (errno.EEXIST, None, "busy"),
    (errno.ENOMEM, None, "load_failed"),
]


@pytest.mark.parametrize("number,line,code", REFUSALS)
def test_a_refusal_of_the_kernel_is_explained_with_its_own_words(kernel, put, number, line, code):
    kernel.refusal = number
    kernel.lines_since = lambda sequence, limit: ["eth0: link up"] + ([line] if line else [])
    error = refusal(kernel, path=put("hotfix1"))
    assert error.code == code
    assert error.details["errno"] == errno.errorcode[number]
    assert error.details["kernel_log"] == ([line] if line else [])
    assert line is None or line in error.message
    assert not error.details["changed"]


BAD_FILES = [
    ({"livepatch": False}, "not_a_livepatch"),
    ({"kernel": "6.1.0-57-amd64"}, "vermagic"),
    ({"machine": 183}, "bad_module_file"),
]


@pytest.mark.parametrize("fields,code", BAD_FILES)
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_wrong_file_is_refused_before_anything_is_touched(kernel, put, fields, code, check_mode):
    error = refusal(kernel, path=put("hotfix1", **fields), check_mode=check_mode)
    assert error.code == code
    assert kernel.events == []


SETTINGS = [
    ("proc/sys/kernel/modules_disabled", "1", "not_permitted"),
    ("proc/sys/kernel/ftrace_enabled", "0", "not_permitted"),
    ("sys/kernel/security/lockdown", "none [integrity] confidentiality", "not_permitted"),
]


@pytest.mark.parametrize("path,text,code", SETTINGS)
def test_a_setting_that_forbids_loading_is_named_before_anything_is_touched(kernel, put, path, text, code):
    kernel.text(path, text)
    error = refusal(kernel, path=put("hotfix1"), check_mode=True)
    assert error.code == code
    assert kernel.events == []


def test_an_unsigned_module_is_refused_where_signatures_are_enforced(kernel, put, monkeypatch):
    read = reading.read_text
    monkeypatch.setattr(reading, "read_text", lambda path: "Y" if path.endswith("sig_enforce") else read(path))
    assert refusal(kernel, path=put("hotfix1")).code == "key_rejected"
    assert run(kernel, path=put("hotfix2", signed=True))["proven"]


def test_a_user_who_is_not_root_learns_it_before_anything_is_touched(kernel, put, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert refusal(kernel, path=put("hotfix1")).code == "not_permitted"
    assert kernel.events == []


def test_a_kernel_without_livepatch_support_is_said(kernel, put):
    path = put("hotfix1")
    os.rmdir(kernel.root + "/sys/kernel/livepatch")
    assert refusal(kernel, path=path).code == "unsupported"
    assert not run(kernel, name="hotfix1", state="absent")["changed"]


def test_a_missing_module_is_said(kernel):
    assert refusal(kernel, name="hotfix1").code == "not_found"
    assert refusal(kernel, path=kernel.root + "/nowhere.ko").code == "not_found"


def test_a_file_that_holds_another_module_than_its_name_says_is_refused(kernel):
    kernel.data("lib/modules/%s/livepatch/hotfix1.ko" % elf.KERNEL, elf.module("hotfix2"))
    assert refusal(kernel, name="hotfix1").code == "bad_name"


def test_a_module_name_that_could_leave_its_directory_is_refused(kernel):
    assert refusal(kernel, name="../../etc/passwd", state="absent").code == "bad_name"
    assert refusal(kernel, path=kernel.data("x.ko", elf.module("../x"))).code == "bad_name"


def test_all_and_enabled_do_not_go_together(kernel):
    assert refusal(kernel, all=True).code == "bad_option"
    assert refusal(kernel, name="x", timeout=0).code == "bad_option"


def test_on_a_kernel_without_transitions_nothing_is_said_to_be_gone_that_runs(kernel, put):
    kernel.consistent = False
    assert run(kernel, path=put("hotfix1"))["proven"]
    assert not run(kernel, path=put("hotfix1"))["changed"]
    done = run(kernel, name="hotfix1", state="disabled")
    assert done["changed"] and done["proven"] and done["diff"]["before"]["enabled"] == ["hotfix1"]
    assert "hotfix1 enabled=0" in kernel.events


def test_modules_that_it_depends_on_are_loaded_first_and_taken_back_when_it_fails(kernel, put):
    commands = []

    def run_command(arguments, handle_exceptions):
        commands.append(arguments)
        return 0, "", ""

    kernel.refusal = errno.EINVAL
    error = refusal(kernel, path=put("hotfix1", depends="lab_target"), run_command=run_command)
    assert error.code == "load_failed"
    assert commands == [["modprobe", "--", "lab_target"], ["modprobe", "-r", "--", "lab_target"]]


def test_a_module_that_it_depends_on_and_that_is_missing_is_named(kernel, put):
    error = refusal(
        kernel,
        path=put("hotfix1", depends="lab_target"),
        run_command=lambda arguments, handle_exceptions: (1, "", "not found in directory"),
    )
    assert error.code == "object_missing" and "lab_target" in error.message
    assert kernel.events == []


def test_a_host_without_modprobe_is_told_so(kernel, put):
    def run_command(arguments, handle_exceptions):
        raise OSError(errno.ENOENT, "No such file or directory")

    error = refusal(kernel, path=put("hotfix1", depends="lab_target"), run_command=run_command)
    assert error.code == "object_missing" and "modprobe: No such file" in error.message


def test_an_object_that_is_loaded_but_not_patched_is_no_proof(kernel, put):
    kernel.insert("hotfix1", transition=0)
    kernel.text("sys/kernel/livepatch/hotfix1/vmlinux/patched", "0")
    error = refusal(kernel, path=put("hotfix1"))
    assert error.code == "not_proven" and "vmlinux is not patched" in error.message


@pytest.mark.parametrize("state", ["Loading", "Unloading"])
def test_an_object_that_is_just_coming_or_going_need_not_be_patched(kernel, put, state):
    kernel.insert("hotfix1", transition=0, objects=("vmlinux", "lab_target"))
    kernel.ordinary_module("lab_target")
    kernel.modules["lab_target"]["state"] = state
    kernel._show()
    kernel.text("sys/kernel/livepatch/hotfix1/lab_target/patched", "0")
    assert run(kernel, path=put("hotfix1"))["proven"] and kernel.time == 0


def test_an_object_that_has_just_come_is_given_two_seconds_by_every_run(kernel, put):
    kernel.insert("hotfix1", transition=0)
    patched = "sys/kernel/livepatch/hotfix1/vmlinux/patched"
    kernel.text(patched, "0")
    kernel.later(1, lambda: None)
    assert run(kernel, path=put("hotfix1"))["proven"] and 1 <= kernel.time <= 2


def test_an_object_that_is_not_loaded_does_not_matter(kernel, put):
    kernel.insert("hotfix1", transition=0, objects=("vmlinux", "lab_target"))
    assert run(kernel, path=put("hotfix1"))["proven"]


class Rpm(object):
    """Stands for rpm: the files of one package, and what its verification prints."""

    def __init__(self, files, verification=""):
        self.files, self.verification = files, verification

    def __call__(self, arguments, **_options):
        if "-q" in arguments:
            row = "installed\t%s\t1\t1\tx86_64\t100\t(none)\n" % arguments[-1]
            return 0, row + "".join("file\t%s\n" % path for path in self.files), ""
        return (1 if self.verification else 0), self.verification, ""


def test_a_packages_module_is_enabled_after_its_files_are_verified(kernel, put):
    assert quartet(kernel, package="klp-hotfix1", run_command=Rpm([put("hotfix1")]))["name"] == "hotfix1"


def test_a_package_whose_files_were_changed_is_not_loaded(kernel, put):
    path = put("hotfix1")
    error = refusal(kernel, package="klp-hotfix1", run_command=Rpm([path], "S.5....T.    %s" % path))
    assert error.code == "package_modified" and path in error.message and "digest" in error.message
    assert kernel.events == []


def test_a_package_with_two_modules_for_this_kernel_is_refused(kernel, put):
    error = refusal(kernel, package="klp", run_command=Rpm([put("hotfix1"), put("hotfix2")]))
    assert error.code == "unsupported" and "hotfix1.ko" in error.message and "hotfix2.ko" in error.message
