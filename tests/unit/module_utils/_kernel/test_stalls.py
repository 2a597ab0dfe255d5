# Stalled transitions: who blocks and why, and what is done about it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import json
import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import run_files
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import stalls
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import kernel_facts
from tests.unit.fakes.runs import begin, refusal, run


@pytest.fixture
def stalled(kernel):
    """A kernel whose transition to hotfix1 does not end, with four blockers."""
    kernel.takes = None
    kernel.task(7, "kworker/1:0", 0, "", flags=0x00200040, state="R")
    kernel.task(
        8,
        "a:1 is running",
        0,
        "[<0>] ep_poll+0x1/0x2\n[<0>] some_function+0x1/0x2",
        cgroup="0::/system.slice/app.service",
    )
    kernel.task(9, "odd", 0, "[<0>] odd_wait+0x1/0x2")
    kernel.task(10, "late", 0, "[<0>] some_function.isra.0+0x1/0x2", state="D")
    kernel.task(11, "switched", 1, "[<0>] do_wait+0x1/0x2")
    return kernel


def found(kernel):
    return stalls.find(kernel.root, "hotfix1", kernel)


def by_pid(blockers):
    return {task["pid"]: task for task in blockers.tasks}


def test_two_looks_tell_why_each_task_does_not_switch(stalled):
    stalled.insert("hotfix1")
    blockers = found(stalled)
    tasks = by_pid(blockers)
    assert blockers.count == 4 and 2 < stalled.time < 3
    assert tasks[7]["reason"] == "running all the time" and tasks[7]["reason_code"] == "running"
    assert tasks[8]["reason"] == "sleeping on patched function some_function of object vmlinux"
    for pid in (8, 10):
        told = (tasks[pid]["function"], tasks[pid]["object"], tasks[pid]["reason_code"])
        assert told == ("some_function", "vmlinux", "sleeping")
    assert (tasks[8]["unit"], tasks[8]["cgroup"]) == ("app.service", "/system.slice/app.service")
    assert "unreliable stack" in tasks[9]["reason"] and tasks[9]["reason_code"] == "unreliable_stack"
    assert tasks[9]["function"] is None and tasks[9]["stack"] == ["[<0>] odd_wait+0x1/0x2"]


def test_where_one_look_tells_each_reason_there_is_no_second(stalled):
    for pid in (7, 9):
        stalled.task(pid, "switched", 1, "")
    stalled.insert("hotfix1")
    assert found(stalled).count == 2 and stalled.time == 0


IN_PATCHED = ("S", "[<0>] schedule+0x1/0x2\n[<0>] some_function+0x1/0x2")
ELSEWHERE = ("S", "[<0>] schedule+0x1/0x2")


@pytest.mark.parametrize(
    "first,second,code,words",
    [
        (ELSEWHERE, IN_PATCHED, "sleeping", "sleeping on patched function some_function"),
        (IN_PATCHED, ("R", ""), "sleeping", "sleeping on patched function some_function"),
        (("R", ""), ELSEWHERE, "running", "running when it was looked at"),
        (ELSEWHERE, ("R", ""), "running", "running when it was looked at"),
        (("R", ""), ("R", ""), "running", "running all the time"),
        (ELSEWHERE, ELSEWHERE, "unreliable_stack", "and yet not switched"),
        (("S", ""), ("S", ""), "unknown", "cannot be read"),
        (("S", ""), ELSEWHERE, "unknown", "no patched function on its stack"),
    ],
)
def test_two_looks_at_a_task_are_one_reason(stalled, first, second, code, words):
    def task(state, stack):
        stalled.task(12, "twice", 0, stack, state=state)

    task(*first)
    stalled.insert("hotfix1")
    stalled.later(1, lambda: task(*second))
    told = by_pid(found(stalled))[12]
    assert told["reason_code"] == code and words in told["reason"]


def test_a_function_of_the_same_name_in_another_module_is_not_the_patched_one(stalled):
    stalled.task(12, "other", 0, "[<0>] some_function+0x1/0x2 [other]")
    stalled.insert("hotfix1")
    assert by_pid(found(stalled))[12]["reason_code"] == "unreliable_stack"


def test_a_task_in_the_code_of_a_livepatch_is_told_with_the_livepatch(stalled):
    stalled.insert("hotfix0", transition=0)
    stalled.task(12, "cat", 0, "[<0>] new_function.cold+0x1/0x2 [hotfix0]")
    stalled.insert("hotfix1")
    told = by_pid(found(stalled))[12]
    assert (told["reason_code"], told["object"]) == ("sleeping", "hotfix0")
    assert told["reason"] == "sleeping in function new_function.cold of livepatch hotfix0"


def test_a_patched_function_far_down_a_stack_is_found(stalled):
    stalled.task(12, "deep", 0, "[<0>] deeper+0x1/0x2\n" * 40 + "[<0>] some_function+0x1/0x2")
    stalled.insert("hotfix1")
    told = by_pid(found(stalled))[12]
    assert told["reason_code"] == "sleeping" and len(told["stack"]) == 32


def test_one_line_sums_the_blockers_up(stalled):
    stalled.insert("hotfix1")
    assert found(stalled).summary == ("2 tasks sleeping in some_function; 1 always running; 1 with an unreliable stack")


def test_one_blocker_is_one_task_and_those_not_described_are_counted():
    task = {"reason_code": "unknown", "function": None}
    assert stalls.summary([task], 1) == "1 task for an unknown reason"
    assert stalls.summary([task, task], 60) == "2 tasks for an unknown reason; 58 more"
    assert stalls.summary([], 0) == ""


def test_of_hundreds_of_blockers_fifty_are_described(stalled):
    for pid in range(100, 300):
        stalled.task(pid, "many", 0, "[<0>] some_function+0x1/0x2")
    stalled.insert("hotfix1")
    blockers = found(stalled)
    assert blockers.count == 204 and len(blockers.tasks) == 50
    assert blockers.summary.endswith("; 154 more")


@pytest.mark.parametrize(
    "lines,cgroup",
    [
        ("0::/system.slice/app.service", "/system.slice/app.service"),
        ("12:cpu:/\n1:name=systemd:/system.slice/app.service\n0::/", "/system.slice/app.service"),
        ("3:cpu:/x", None),
        ("garbage", None),
    ],
)
def test_a_tasks_control_group_is_systemds_or_that_of_version_two(stalled, lines, cgroup):
    stalled.task(8, "app", 0, "[<0>] ep_poll+0x1/0x2", cgroup=lines)
    stalled.insert("hotfix1")
    task = by_pid(found(stalled))[8]
    assert (task["cgroup"], task["unit"]) == (cgroup, "app.service" if cgroup else None)


# --- what is done about a stall


def remedies(result):
    return [(entry["remedy"], entry["achieved"]) for entry in result["remedies"]]


def test_a_transition_without_a_stall_needs_no_remedy(kernel, put):
    result = run(kernel, path=put("hotfix1"))
    assert result["remedies"] == [] and result["transition"]["summary"] is None


def test_the_kernels_signals_are_waited_for_and_what_they_achieve_is_told(stalled, put):
    stalled.takes = 16.5
    result = run(stalled, path=put("hotfix1"))
    assert remedies(result) == [("signal", "ended")]
    assert (result["remedies"][0]["blockers_before"], result["remedies"][0]["blockers_after"]) == (4, 0)


def test_what_signals_do_not_end_is_reverted_when_its_time_is_over(stalled, put):
    error = refusal(stalled, path=put("hotfix1"))
    assert remedies(error.details) == [("signal", "nothing"), ("revert", "reverted")]
    assert error.details["remedies"][0]["blockers_after"] == 4
    assert "2 tasks sleeping in some_function; 1 always running; 1 with an unreliable stack" in error.message


def test_a_short_timeout_is_kept_to_the_second_and_gives_up_before_the_signals(stalled, put):
    error = refusal(stalled, path=put("hotfix1"), timeout=5)
    assert remedies(error.details) == [("revert", "reverted")]
    assert 7 < stalled.time < 9.5


def test_a_transition_that_nobody_holds_up_any_more_is_not_turned_round_but_given_the_kernels_next_try(kernel, put):
    kernel.takes = 9
    result = run(kernel, path=put("hotfix1"), timeout=5)
    assert result["proven"] and result["remedies"] == [] and result["transition"]["summary"] is None
    kernel.takes = None
    error = refusal(kernel, path=put("hotfix2", replace=True), timeout=5)
    assert "without any task that blocks it" in error.message and remedies(error.details) == [("revert", "reverted")]


def test_waiting_on_lasts_at_least_until_the_signals_had_their_effect(stalled, put):
    stalled.takes = 17.5
    result = run(stalled, path=put("hotfix1"), timeout=3, on_stall="wait")
    assert remedies(result) == [("wait", "ended")]


def test_waiting_on_that_achieves_nothing_leaves_the_transition_and_says_so(stalled, put):
    error = refusal(stalled, path=put("hotfix1"), timeout=20, on_stall="wait")
    assert remedies(error.details) == [("signal", "nothing"), ("wait", "nothing")]
    assert "still in transition" in error.message and "refuses every other livepatch" in error.message


class Systemctl(object):
    """Stands for systemctl: restarting ends the unit's task and with it the transition."""

    def __init__(self, kernel, code=0, errors="", ends=True):
        self.kernel, self.code, self.errors, self.ends, self.commands = kernel, code, errors, ends, []

    def __call__(self, arguments, handle_exceptions):
        self.commands.append(arguments)
        if self.ends:
            self.kernel.task(8, "app", 1, "")
            self.kernel.ends = self.kernel.time + 1
        return self.code, "", self.errors


def test_only_allowed_units_that_hold_blockers_are_restarted(stalled, put):
    systemctl = Systemctl(stalled)
    result = run(
        stalled, run_command=systemctl, path=put("hotfix1"), timeout=5, stall_restart_units=["app", "other.service"]
    )
    assert systemctl.commands == [
        ["timeout", "--kill-after=5", "100", "systemctl", "restart", "--", "app.service"],
    ]
    assert remedies(result) == [("restart", "ended")]
    assert result["remedies"][0]["units"] == {"app.service": "restarted"}


def test_a_unit_is_found_however_many_blockers_are_named_before_its_own(stalled, put):
    for pid in range(100, 160):
        stalled.task(pid, "batch", 0, "[<0>] ep_poll+0x1/0x2", cgroup="0::/system.slice/batch.service")
    stalled.task(900, "b", 0, "[<0>] ep_poll+0x1/0x2", cgroup="0::/system.slice/late.service")
    systemctl = Systemctl(stalled)
    result = run(
        stalled, run_command=systemctl, path=put("hotfix1"), timeout=5, stall_restart_units=["late", "other.service"]
    )
    assert result["remedies"][-1]["units"] == {"late.service": "restarted"}


def test_a_unit_that_is_not_allowed_is_not_restarted(stalled, put):
    error = refusal(stalled, path=put("hotfix1"), timeout=5, stall_restart_units=["other.service"])
    assert remedies(error.details) == [("revert", "reverted")]


def no_systemctl(arguments, handle_exceptions):
    raise OSError(errno.ENOENT, "No such file or directory")


@pytest.mark.parametrize(
    "command,words",
    [
        (lambda kernel: Systemctl(kernel, 124, ends=False), "not restarted within 100 s"),
        (lambda kernel: Systemctl(kernel, 1, "Access denied", ends=False), "not restarted: Access denied"),
        (lambda kernel: Systemctl(kernel, 5, ends=False), "systemctl ended with 5"),
        (lambda kernel: no_systemctl, "No such file"),
    ],
)
def test_a_restart_that_fails_is_told_and_the_next_remedy_is_tried(stalled, put, command, words):
    error = refusal(
        stalled, run_command=command(stalled), path=put("hotfix1"), timeout=5, stall_restart_units=["app.service"]
    )
    assert remedies(error.details) == [("restart", "nothing"), ("revert", "reverted")]
    assert words in error.details["remedies"][0]["units"]["app.service"]


def test_a_restart_that_helps_in_part_leaves_the_others_to_be_named(stalled, put):
    def restart(arguments, handle_exceptions):
        stalled.task(8, "app", 1, "")
        return 0, "", ""

    error = refusal(stalled, run_command=restart, path=put("hotfix1"), timeout=5, stall_restart_units=["app.service"])
    assert remedies(error.details) == [("restart", "fewer"), ("revert", "reverted")]
    assert 8 not in [task["pid"] for task in error.details["transition"]["blockers"]]


def test_a_stall_is_looked_at_in_one_scan_of_all_tasks(stalled, monkeypatch):
    scans, every_task = [], stalls.every_task
    monkeypatch.setattr(stalls, "every_task", lambda root: scans.append(root) or every_task(root))
    stalled.insert("hotfix1")
    assert found(stalled).count
    assert len(scans) == 1


def test_of_a_hundred_thousand_threads_that_block_all_are_counted_and_fifty_described(stalled, monkeypatch):
    asked, read_number = [], stalls.reading.read_number
    threads = ["%s/proc/100/task/%d" % (stalled.root, number) for number in range(100, 100100)]

    def states(path):
        if not path.endswith("/patch_state"):
            return read_number(path)
        asked.append(path)
        return 0

    monkeypatch.setattr(stalls, "every_task", lambda root: iter(threads))
    monkeypatch.setattr(stalls.reading, "read_number", states)
    stalled.insert("hotfix1")
    blockers = found(stalled)
    assert (blockers.count, len(blockers.tasks)) == (100000, 50) and "99950 more" in blockers.summary
    assert len(asked) == 200000, "each is asked once in each of the two looks"
    assert stalls.blocked(stalled.root, "hotfix1") and len(asked) == 200001


def test_whether_anybody_blocks_is_known_at_the_first_one(stalled, monkeypatch):
    seen, read_number = [], stalls.reading.read_number
    stalled.insert("hotfix1")
    for pid in range(100, 120):
        stalled.task(pid, "cat", 0, "")
    monkeypatch.setattr(stalls.reading, "read_number", lambda path: seen.append(path) or read_number(path))
    assert stalls.blocked(stalled.root, "hotfix1")
    assert len([path for path in seen if path.endswith("patch_state")]) < 20
    assert not stalls.blocked(stalled.root, "another")


@pytest.mark.parametrize(
    "cgroup, unit",
    [
        ("/system.slice/app.service", "app.service"),
        ("/system.slice/app.service/worker", "app.service"),
        ("/system.slice/system-app.slice/app@1.service", "app@1.service"),
        ("/init.scope", "init.scope"),
        ("/machine.slice/libpod-3f2a.scope/container/system.slice/nginx.service", "libpod-3f2a.scope"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service", "user@1000.service"),
        ("/docker/3f2a/system.slice/nginx.service", None),
        ("/lxc.payload.web/system.slice/nginx.service", None),
        ("/system.slice", None),
        ("/", None),
        (None, None),
    ],
)
def test_a_task_belongs_to_the_first_unit_behind_the_slices(cgroup, unit):
    assert stalls._unit(cgroup) == unit


@pytest.mark.parametrize("name", ["--now", "a b", "", "../x", "a\nb"])
def test_what_is_no_units_name_is_refused_before_anything_is_touched(stalled, put, name):
    assert refusal(stalled, path=put("hotfix1"), stall_restart_units=[name]).code == "bad_option"
    assert stalled.events == []


def test_a_way_back_that_stalls_names_its_own_blockers_and_the_state_it_is_in(stalled, put):
    stalled.takes_back = 1000
    error = refusal(stalled, path=put("hotfix1"), timeout=5)
    assert error.code == "stalled" and remedies(error.details) == [("revert", "nothing")]
    assert "still being disabled, held up by 1 task" in error.message and "switched (11)" in error.message
    assert [task["pid"] for task in error.details["transition"]["blockers"]] == [11]
    assert error.details["changed"]


# --- force


def test_a_forced_transition_is_noted_and_the_facts_and_a_warning_tell(stalled, put):
    stalled.insert("hotfix0", transition=0)
    started = begin(stalled, path=put("hotfix1"), force=True)
    result = started.execute()
    assert result["forced"] and remedies(result)[-1] == ("force", "ended")
    assert any("plan a reboot" in warning for warning in started.warnings)
    assert kernel_facts.gather(stalled.root)["patches"]["hotfix1"]["forced"] is True
    assert run_files.forced(stalled.root) == ["hotfix0", "hotfix1"]


def test_nothing_is_forced_that_cannot_be_noted(stalled, put, monkeypatch):
    def full(root, name, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_files, "write_text", full)
    error = refusal(stalled, path=put("hotfix1"), timeout=5, force=True)
    assert error.code == "stalled" and "No space left on device" in error.message and "not forced" in error.message
    assert "It was turned round" in error.message and not error.details["forced"]
    assert not [event for event in stalled.events if "force" in event]


def test_further_livepatches_on_a_host_with_a_forced_one_are_warned_of(stalled, put):
    run(stalled, path=put("hotfix1"), force=True)
    stalled.takes = 1.0
    started = begin(stalled, path=put("hotfix2", replace=True))
    assert started.execute()["proven"]
    assert "plan a reboot before further livepatches" in started.warnings[0]


def noted(kernel):
    run_files.write(kernel.root, run_files.FORCED, {"livepatches": ["hotfix0"]})


def held(kernel):
    kernel.leave_inert("hotfix0", refcount=1)


def logged(kernel):
    kernel.log.append("livepatch: forcing remaining tasks to the patched state")


@pytest.mark.parametrize("evidence,words", [(noted, "hotfix0"), (held, "holds hotfix0"), (logged, "log says")])
def test_nothing_is_forced_twice_in_a_boot_whoever_did_it_first(stalled, put, evidence, words):
    evidence(stalled)
    error = refusal(stalled, path=put("hotfix1"), force=True)
    assert error.code == "already_forced"
    assert words in error.message and "plan a reboot" in error.message
    assert "hotfix1 force=1" not in stalled.events and remedies(error.details)[-1] == ("revert", "reverted")


def test_a_forced_transition_of_another_boot_does_not_count(stalled, put):
    noted(stalled)
    stalled.text("proc/sys/kernel/random/boot_id", "b1")
    assert run_files.forced(stalled.root) == []
    assert run(stalled, path=put("hotfix1"), force=True)["forced"]


def test_a_forced_transition_that_stays_pending_is_said(stalled, put, monkeypatch):
    write = stalled.write

    def forgetful(path, value):
        write(path, value)
        stalled.ends = None

    monkeypatch.setattr(stalled, "write", forgetful)
    error = refusal(stalled, path=put("hotfix1"), force=True)
    assert error.code == "stalled" and "forced transition to end" in error.message


def test_force_needs_a_livepatch_that_is_named(stalled):
    assert refusal(stalled, all=True, state="absent", force=True).code == "bad_option"


@pytest.mark.parametrize("record", ["[]", "{", "null", '{"boot_id": "b0", "livepatches": 5}', '{"boot_id": "b0"}'])
def test_a_damaged_record_is_no_record(kernel, record):
    kernel.text("run/livepatch/forced.json", record)
    assert run_files.forced(kernel.root) == []


def test_a_record_can_be_read_by_anybody_and_is_written_whole(kernel):
    run_files.write(kernel.root, run_files.FORCED, {"livepatches": ["hotfix1"]})
    where = run_files.path(kernel.root, run_files.FORCED)
    assert os.stat(where).st_mode & 0o777 == 0o644
    assert os.listdir(os.path.dirname(where)) == ["forced.json"]
    with open(where) as stream:
        assert json.load(stream) == {"boot_id": "b0", "livepatches": ["hotfix1"]}
