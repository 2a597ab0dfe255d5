# Tests of what the callback prints at the end of a run, with results put into it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from types import SimpleNamespace

import pytest
from ansible_collections.kernel.livepatch.plugins.callback.rollout import CallbackModule


@pytest.fixture
def callback():
    found = CallbackModule()
    found.printed = []
    found._display = SimpleNamespace(display=lambda text, **unused: found.printed.append(text))
    return found


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
