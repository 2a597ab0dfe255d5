# Stalled transitions on real kernels: every kind of blocker, as its stack tells, and what is done about it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Each test is one list of tasks on all guests at once, and leaves them without livepatches.

import concurrent.futures

import pytest

from tests.integration.tasks import (  # pylint: disable=unused-import # noqa: F401 (modules is a fixture)
    CLEAN,
    assert_clean,
    assert_enabled,
    each,
    livepatch,
    modules,
    path,
    raw,
)
from tests.lab.fleet import Fleet

GONE = "for i in $(seq 100); do test -e /sys/kernel/livepatch/stalls_back || break; sleep 0.3; done; "
SLEEPERS = "for kind in %s; do (cat /proc/lab_target_sleep/$kind > /dev/null 2>&1 &); done; sleep 1"
TARGET_OUT = raw("target out", "echo 1 > /proc/lab_target_sleep/release; rmmod lab_target")
KINDS = ("interruptible", "killable", "uninterruptible")


@pytest.fixture
def patient_steps(fleet, in_guest, tasks_in):
    """Like steps, on all guests at once: these tests wait more than they work."""

    def run(tasks, guests=None):
        guests = guests or fleet.guests
        with concurrent.futures.ThreadPoolExecutor(len(guests)) as pool:
            answers = dict(zip(guests, pool.map(lambda guest: tasks_in(guest, tasks), guests.values())))
        return {
            task["name"]: {host: answer[number] for host, answer in answers.items()}
            for number, task in enumerate(tasks)
        }

    return run


@pytest.fixture
def patient_steps_in_turn(patient_steps, some, turns):
    """Like patient_steps, on the pair of kernels whose turn it is."""
    guests = some(*next(turns))
    return lambda tasks: patient_steps(tasks, guests)


def blockers(result, comm):
    return [task for task in result["transition"]["blockers"] if task["comm"] == comm]


def remedies(result):
    return [(entry["remedy"], entry["achieved"]) for entry in result["remedies"]]


def assert_stalled(result, code="stalled"):
    assert result["failed"] and result["error"] == code, result


def test_every_kind_of_blocker_is_told_by_its_stack(patient_steps, modules):  # noqa: F811
    results = patient_steps(
        [
            raw("blockers", "modprobe lab_target kthread=1 unreliable=1; " + SLEEPERS % " ".join(KINDS)),
            livepatch("stalled", path=path("stalls_user"), timeout=3),
            TARGET_OUT,
            CLEAN,
        ]
    )
    for host, result in each(results, "stalled"):
        assert_stalled(result)
        sleepers = blockers(result, "cat")
        assert {task["function"] for task in sleepers} == {"lab_sleep_" + kind for kind in KINDS}
        for task in sleepers:
            assert task["reason"] == "sleeping on patched function %s of object lab_target" % task["function"]
            assert task["state"] == ("S" if "interruptible" == task["function"][len("lab_sleep_") :] else "D")
            assert not task["kthread"] and task["stack"]
        thread = blockers(result, "lab_target")[0]
        assert (
            thread["kthread"]
            and thread["reason"] == "sleeping on patched function lab_target_thread of object lab_target"
        )
        unreliable = blockers(result, "lab_unreliable")[0]
        assert unreliable["kthread"] and unreliable["reason_code"] == "unreliable_stack", unreliable
        assert result["transition"]["summary"] in result["msg"]
        assert "1 with an unreliable stack" in result["transition"]["summary"]
        assert remedies(result) == [("revert", "reverted")]
    assert_clean(results)


def test_a_task_that_never_stops_running_is_told_where_another_processor_can_tell(
    fleet, patient_steps, modules
):  # noqa: F811
    several = {name: guest for name, guest in fleet.guests.items() if guest.machine.processors > 1}
    assert several
    # A kernel's watchdogs let nothing spin for longer. On a busy machine that may be over before the transition begins.
    for _attempt in range(3):
        results = patient_steps(
            [
                raw("a processor is busy", "modprobe lab_target spin_ms=15000; sleep 1"),
                livepatch("always running", path=path("hotfix1"), timeout=2),
                raw("still busy", "grep -h '(lab_spinning) R' /proc/[0-9]*/stat"),
                raw("target out again", "rmmod lab_target"),
                CLEAN,
            ],
            several,
        )
        enabled = [host for host, result in each(results, "always running") if not result["failed"]]
        if not enabled or not all(results["still busy"][host]["failed"] for host in enabled):
            break
    for host, result in each(results, "always running"):
        assert_stalled(result)
        spinning = blockers(result, "lab_spinning")[0]
        assert spinning["reason"] == "running all the time" and spinning["kthread"], spinning
        assert "1 task always running" in result["transition"]["summary"]
    assert_clean(results)


def test_the_kernels_signals_are_waited_for(patient_steps_in_turn, modules):  # noqa: F811
    results = patient_steps_in_turn(
        [
            raw("target", "modprobe lab_target; " + SLEEPERS % "interruptible"),
            livepatch("signalled", path=path("stalls_user"), timeout=30),
            livepatch("out", name="stalls_user", state="absent"),
            raw("target out and in", "rmmod lab_target; modprobe lab_target; " + SLEEPERS % "interruptible"),
            livepatch("waited on", path=path("stalls_user"), timeout=3, on_stall="wait"),
            CLEAN,
            TARGET_OUT,
        ]
    )
    for name, remedy in (("signalled", "signal"), ("waited on", "wait")):
        assert_enabled(results, name, ["stalls_user"])
        for host, result in each(results, name):
            assert remedies(result) == [(remedy, "ended")], result
            assert result["remedies"][0]["blockers_before"] == 1 and result["remedies"][0]["blockers_after"] == 0
    assert_clean(results)


def test_a_way_back_that_stalls_is_told_with_the_state_it_is_in(patient_steps_in_turn, modules):  # noqa: F811
    late = "(sleep 4; exec cat /proc/lab_target_sleep/killable) > /root/lab/late 2>&1 & echo $! > /root/lab/late.pid"
    results = patient_steps_in_turn(
        [
            raw("one in the old code", "modprobe lab_target; " + SLEEPERS % "uninterruptible"),
            raw("one to come to the new code", late),
            livepatch("both ways", path=path("stalls_back"), timeout=6),
            raw("it lasts", "cat /sys/kernel/livepatch/stalls_back/*"),
            raw("the task ends", "kill -KILL $(cat /root/lab/late.pid); " + GONE + "ls /sys/kernel/livepatch"),
            CLEAN,
            TARGET_OUT,
        ]
    )
    for host, result in each(results, "both ways"):
        assert_stalled(result)
        assert result["changed"] and remedies(result) == [("revert", "nothing")]
        assert "stalls_back is still being disabled" in result["msg"]
        (blocker,) = result["transition"]["blockers"]
        assert blocker["comm"] == "cat"
        assert blocker["reason"] == "sleeping in function sleeps_in_new_code of livepatch stalls_back"
        assert results["it lasts"][host]["stdout"].split()[:1] == ["0"], "enabled"
        assert "stalls_back" not in results["the task ends"][host]["stdout"]
    assert_clean(results)


@pytest.fixture
def machine(tmp_path, put_python):
    """A guest with systemd."""
    with Fleet(tmp_path / "fleet", hosts=1, kernels=["6.1"], processors=1, init="systemd") as fleet:
        guest = fleet.guests["lab-1"]
        put_python(guest)
        guest.copy(str(fleet.module("stalls_user", "6.1")), "/root/stalls_user.ko")
        yield guest


SERVICE = "[Service]\\nExecStart=/bin/sh -c 'cat /proc/lab_target_sleep/killable; exec sleep 1000'\\n"


def test_the_unit_that_holds_a_transition_up_is_restarted_where_that_is_allowed(machine, tasks_in):
    start = 'modprobe lab_target; printf "%s" > /run/systemd/system/lab-sleeper.service; ' % SERVICE
    begin, restarted, after = tasks_in(
        machine,
        [
            raw("a service", start + "systemctl daemon-reload; systemctl start lab-sleeper; sleep 2"),
            livepatch(
                "enabled", path="/root/stalls_user.ko", timeout=3, stall_restart_units=["lab-sleeper", "ssh.service"]
            ),
            raw("the service", "systemctl is-active lab-sleeper ssh; cat /proc/lab_target_sleep/killable"),
        ],
    )
    assert not begin["failed"], begin
    assert not restarted["failed"] and restarted["proven"], restarted
    assert [(task["unit"], task["cgroup"]) for task in restarted["transition"]["blockers"]] == [
        ("lab-sleeper.service", "/system.slice/lab-sleeper.service")
    ]
    remedy = restarted["remedies"][0]
    assert (remedy["remedy"], remedy["achieved"], remedy["blockers_before"]) == ("restart", "ended", 1)
    assert remedy["units"] == {"lab-sleeper.service": "restarted"}
    assert after["stdout"] == "active\nactive\nawake [stalls_user]\n", after
