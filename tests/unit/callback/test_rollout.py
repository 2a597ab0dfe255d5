# Tests of what the callback prints at the end of a run, with results put into it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import signal
import subprocess
import sys
from types import ModuleType, SimpleNamespace
from unittest import mock

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import lock


@pytest.fixture(scope="module")
def plugin():
    """The callback without Ansible's base class: with that this process would be a controller, and modules would warn elsewhere."""
    base = ModuleType("ansible.plugins.callback")
    base.CallbackBase = object
    with mock.patch.dict(sys.modules, {base.__name__: base}):
        from ansible_collections.kernel.livepatch.plugins.callback.rollout import CallbackModule
    return CallbackModule


@pytest.fixture
def callback(plugin):
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    found = plugin()
    found.printed = []
    found._display = SimpleNamespace(display=lambda text, **unused: found.printed.append(text))
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)


def give(callback, action, failed=False, **data):
    task = SimpleNamespace(action=action)
    result = SimpleNamespace(task=task, result=data, _task=task, _result=data)
    (callback.v2_runner_on_failed if failed else callback.v2_runner_on_ok)(result)


def test_the_end_tells_the_last_table_the_journal_and_why_it_was_stopped(callback):
    give(callback, "kernel.livepatch.rollout_plan", journal="/j/web.jsonl", table=["host", "web1"])
    give(callback, "rollout_gate", table=["host", "web2"], stop_message="stopped\nbecause")
    give(callback, "kernel.livepatch.rollout_journal", failed=True, msg="x")
    callback.v2_playbook_on_stats(None)
    assert callback.printed == [
        "livepatch | host", "livepatch | web2", "livepatch | journal: /j/web.jsonl", "livepatch | stopped", "livepatch | because"
    ]  # fmt: skip


def test_a_run_on_hold_ends_with_what_holds_it(callback):
    give(callback, "kernel.livepatch.rollout_journal", journal="/j/web.jsonl", hold_message="on hold")
    callback.v2_playbook_on_stats(None)
    assert callback.printed == ["livepatch | journal: /j/web.jsonl", "livepatch | on hold"]


def test_progress_is_not_printed_as_the_actions_tell_it_themselves(callback):
    give(
        callback,
        "kernel.livepatch.rollout_gate",
        progress=["pass"],
        timeline=[{"tier": "a", "mark": "soak", "line": "x"}],
    )
    assert callback.printed == []


def test_runs_without_a_rollout_end_without_a_word(callback):
    give(callback, "ansible.builtin.copy", journal="/x", table=["y"])
    give(callback, "other.collection.rollout_gateway", journal="/x")
    callback.v2_playbook_on_stats(None)
    assert callback.printed == []


def test_what_hosts_say_acts_on_no_terminal_and_no_line_of_it_looks_like_one_of_ours(callback):
    give(
        callback,
        "kernel.livepatch.rollout_gate",
        journal="/j/web.jsonl",
        table=["web1  \x1b[2J\rlivepatch | web1  patched"],
        stop_message="crash: \u202eabc\x9b31m\x07\u2028more\nnext",
    )
    callback.v2_playbook_on_stats(None)
    assert callback.printed[0] == "livepatch | web1   [2J livepatch | web1  patched"
    assert callback.printed[-2:] == ["livepatch | crash:  abc 31m  more", "livepatch | next"]
    assert all(line.isprintable() for line in callback.printed)


def test_the_end_of_a_run_gives_its_own_lock_back_and_no_other(callback, tmp_path):
    journal = str(tmp_path / "web.jsonl")
    give(callback, "kernel.livepatch.rollout_plan", journal=journal)
    lock.take(journal, lock.owner(os.getppid(), "bob"))
    callback.v2_playbook_on_stats(None)
    assert lock.holder(journal, lock.owner(os.getpid(), "ann"))["user"] == "bob"
    lock.release(journal, lock.owner(os.getppid(), "bob"))
    lock.take(journal, lock.owner(os.getpid(), "ann"))
    callback.v2_playbook_on_stats(None)
    assert os.path.getsize(journal + ".lock") == 0


def test_a_lock_that_cannot_be_given_back_does_not_break_the_end(callback, tmp_path):
    (tmp_path / "web.jsonl.lock").mkdir()
    give(callback, "kernel.livepatch.rollout_plan", journal=str(tmp_path / "web.jsonl"))
    callback.v2_playbook_on_stats(None)
    assert len(callback.printed) == 1


RUN = """
import os, signal, sys, time
from types import SimpleNamespace
from ansible_collections.kernel.livepatch.plugins.callback.rollout import CallbackModule
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import lock

if sys.argv[2] == "handled":  # as by ansible-core from 2.19 on
    signal.signal(signal.SIGTERM, lambda number, frame: (print("ended", flush=True), os._exit(7)))
lock.take(sys.argv[1], lock.owner(os.getpid(), "ann"))
callback = CallbackModule()
task, result = SimpleNamespace(action="kernel.livepatch.rollout_plan"), {"journal": sys.argv[1]}
callback.v2_runner_on_ok(SimpleNamespace(task=task, result=result, _task=task, _result=result))
print("tasks run", flush=True)
time.sleep(60)  # not cut short where the signal comes just before it
"""


@pytest.mark.parametrize(
    "way, number, status", [("", signal.SIGTERM, -15), ("", signal.SIGINT, -2), ("handled", signal.SIGTERM, 7)]
)
def test_a_run_that_is_told_to_end_while_tasks_run_gives_the_lock_back_and_ends_as_ever(tmp_path, way, number, status):
    journal = str(tmp_path / "web.jsonl")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    command = [sys.executable, "-c", RUN, journal, way]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    ) as child:
        assert child.stdout.readline() == "tasks run\n"
        child.send_signal(number)
        assert child.communicate(timeout=120)[0] == ("ended\n" if way else "")
    assert child.returncode == status
    assert os.path.getsize(journal + ".lock") == 0
