# The behaviour of Ansible that looks like a safety net and is none: why the judge is a play on localhost.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A test that fails here tells of a newer ansible-core that behaves better: then a simpler shape may do.

import pytest

from tests.rollout.semantics import CORE, run


def play(*tasks, **keywords):
    """Return a play on the fleet with these tasks and play keywords."""
    lines = ["- hosts: fleet", "  gather_facts: false"]
    lines += ["  %s: %s" % pair for pair in keywords.items()]
    return "\n".join(lines + ["  tasks:"] + ["    - " + task for task in tasks]) + "\n"


TOUCH = "{name: touch, ping: {}}"
AFTER = "{name: after, debug: {}}"
NEXT = "- {hosts: fleet, gather_facts: false, tasks: [{name: next play, debug: {}}]}\n"


def breaks(*numbers):
    """Return a task that fails on these hosts."""
    hosts = " ".join("h%d" % number for number in numbers)
    return "{name: work, fail: {msg: broken}, when: \"inventory_hostname in '%s'.split()\"}" % hosts


def test_max_fail_percentage_must_be_exceeded(tmp_path):
    outcome = run(tmp_path, play(breaks(1), AFTER, max_fail_percentage=20))
    assert outcome.hosts("after") == ["h2", "h3", "h4", "h5"]


def test_max_fail_percentage_ends_the_batch_later_batches_and_later_plays_when_it_is_exceeded(tmp_path):
    outcome = run(tmp_path, play(breaks(1, 2), AFTER, max_fail_percentage=20, serial=4) + NEXT)
    assert not outcome.hosts("after")
    assert not outcome.hosts("next play")
    assert outcome.status == 2


def test_max_fail_percentage_is_never_cumulative(tmp_path):
    outcome = run(tmp_path, play(breaks(1, 6, 11, 16), AFTER, max_fail_percentage=20, serial=5), count=20)
    assert len(outcome.hosts("after")) == 16


def test_max_fail_percentage_does_not_count_lost_hosts(tmp_path):
    outcome = run(tmp_path, play(TOUCH, AFTER, max_fail_percentage=0, serial=4), count=6, lost=[1, 2, 3])
    assert outcome.hosts("after") == ["h4", "h5", "h6"]


def test_a_batch_of_failed_and_lost_hosts_that_leaves_nobody_does_not_end_the_play(tmp_path):
    working = "{name: work, raw: \"{{ 'true' if inventory_hostname == 'h6' else 'false' }}\"}"
    outcome = run(tmp_path, play(working, AFTER, max_fail_percentage=10, serial=5), count=6, lost=[1])
    assert "NO MORE HOSTS LEFT" in outcome.output
    assert outcome.hosts("after") == ["h6"]


def test_a_failure_inside_a_block_is_not_counted(tmp_path):
    block = "{block: [%s], always: [{name: note, debug: {}}]}" % breaks(1)
    outcome = run(tmp_path, play(block, AFTER, max_fail_percentage=0, serial=4))
    assert outcome.hosts("after") == ["h2", "h3", "h4", "h5"]


NOTIFY = "{name: change, raw: 'true', notify: handle}"
HANDLERS = "[{name: handle, debug: {}}]"


def test_force_handlers_with_a_pending_handler_switches_max_fail_percentage_off(tmp_path):
    words = dict(max_fail_percentage=10, serial=4, force_handlers="true", handlers=HANDLERS)
    outcome = run(tmp_path, play(NOTIFY, breaks(1), AFTER, **words))
    assert outcome.hosts("after") == ["h2", "h3", "h4", "h5"]


def test_a_wholly_lost_batch_ends_the_run_although_every_loss_is_tolerated(tmp_path):
    outcome = run(tmp_path, play(TOUCH, AFTER, max_fail_percentage=100, serial=2) + NEXT, lost=[1, 2])
    assert not outcome.hosts("after")
    assert not outcome.hosts("next play")


@pytest.mark.parametrize("fatal, goes_on", [("true", ["h2", "h3"]), ("false", [])])
def test_any_errors_fatal_goes_on_where_without_it_a_lost_host_ends_the_play(tmp_path, fatal, goes_on):
    outcome = run(tmp_path, play(TOUCH, AFTER, serial=1, any_errors_fatal=fatal), count=3, lost=[1])
    assert outcome.hosts("after") == goes_on


def test_any_errors_fatal_does_not_end_the_run_at_a_failure_inside_a_block_before_core_2_17(tmp_path):
    block = "{block: [%s], always: [{name: note, debug: {}}]}" % breaks(1)
    outcome = run(tmp_path, play(block, AFTER, serial=4, any_errors_fatal="true"))
    assert outcome.hosts("after") == (["h2", "h3", "h4", "h5"] if CORE < (2, 17) else [])


def test_any_errors_fatal_with_a_rescue_goes_on_and_since_core_2_17_rescues_all_hosts(tmp_path):
    block = "{block: [%s], rescue: [{name: rescue, debug: {}}]}" % breaks(1)
    outcome = run(tmp_path, play(block, AFTER, serial=[2, 3], any_errors_fatal="true"))
    assert outcome.hosts("rescue") == (["h1"] if CORE < (2, 17) else ["h1", "h2"])
    assert set(outcome.hosts("after")) >= {"h3", "h4", "h5"}


def test_a_rescued_failure_counts_as_success(tmp_path):
    block = "{block: [%s], rescue: [{name: rescue, debug: {}}]}" % breaks(1)
    outcome = run(tmp_path, play(block, AFTER, serial=2, max_fail_percentage=0))
    assert outcome.hosts("after") == ["h1", "h2", "h3", "h4", "h5"]
    assert outcome.status == 0


def test_a_rescue_that_fails_again_is_counted(tmp_path):
    block = "{block: [%s], rescue: [{name: rescue, fail: {msg: again}}]}" % breaks(1)
    outcome = run(tmp_path, play(block, AFTER, serial=2, max_fail_percentage=0))
    assert not outcome.hosts("after")


def test_a_task_that_runs_once_and_is_lost_with_its_host_does_not_end_the_play(tmp_path):
    outcome = run(tmp_path, play("{name: touch, ping: {}, run_once: true}", AFTER, serial=2), lost=[1])
    assert outcome.hosts("touch", "unreachable") == ["h1"]
    assert set(outcome.hosts("after")) >= {"h3", "h4", "h5"}


def test_healthy_hosts_lose_their_pending_handlers_when_the_limit_is_exceeded(tmp_path):
    good = run(tmp_path, play(NOTIFY, serial="[2, 3]", handlers=HANDLERS))
    assert good.hosts("handle") == ["h1", "h2", "h3", "h4", "h5"]
    (tmp_path / "trace").unlink()
    tripped = run(tmp_path, play(NOTIFY, breaks(1), serial="[2, 3]", max_fail_percentage=0, handlers=HANDLERS))
    assert not tripped.hosts("handle")


def test_the_free_strategy_ignores_every_limit(tmp_path):
    words = dict(strategy="free", serial=2, max_fail_percentage=0)
    outcome = run(tmp_path, play(breaks(1), "{name: after, debug: {}, run_once: true}", **words))
    assert outcome.hosts("after") == ["h2", "h3", "h4", "h5"]


def test_a_share_of_serial_is_of_the_whole_play_and_cut_off(tmp_path):
    batch = "{name: batch, debug: {msg: \"{{ ansible_play_batch | length }} hosts\"}, run_once: true}"
    outcome = run(tmp_path, play(batch, serial='[1, "10%", "7%", "100%"]'), count=20)
    assert outcome.messages("batch") == ["1 hosts", "2 hosts", "1 hosts", "16 hosts"]


def test_the_status_does_not_tell_a_stop_from_a_tolerated_failure(tmp_path):
    tolerated = run(tmp_path, play(breaks(1), AFTER, max_fail_percentage=50))
    (tmp_path / "trace").unlink()
    stopped = run(tmp_path, play(breaks(1), AFTER, max_fail_percentage=0))
    assert (tolerated.status, len(tolerated.hosts("after"))) == (2, 4)
    assert (stopped.status, len(stopped.hosts("after"))) == (2, 0)


def test_the_status_of_a_run_that_only_lost_hosts_is_four(tmp_path):
    assert run(tmp_path, play(TOUCH), lost=[1]).status == 4


def test_end_batch_ends_one_batch_only(tmp_path):
    outcome = run(tmp_path, play("{name: end, meta: end_batch, when: \"'h1' in ansible_play_batch\"}", AFTER, serial=2))
    assert outcome.hosts("after") == ["h3", "h4", "h5"]


def test_a_limit_without_localhost_skips_the_plays_on_localhost(tmp_path):
    judge = "- {hosts: localhost, gather_facts: false, tasks: [{name: judge, fail: {msg: stop}}]}\n"
    outcome = run(tmp_path, judge + play(AFTER), arguments=["--limit", "h1"])
    assert not outcome.hosts("judge", "failed")
    assert outcome.hosts("after") == ["h1"]
    assert outcome.status == 0


def test_a_tag_that_nothing_has_leaves_out_everything_and_the_run_is_a_success(tmp_path):
    outcome = run(tmp_path, play(AFTER) + NEXT, arguments=["--tags", "x"])
    assert not outcome.hosts("after") and not outcome.hosts("next play")
    assert outcome.status == 0


def test_a_task_that_is_to_run_always_can_be_left_out(tmp_path):
    refuses = "{name: refuse, fail: {msg: no tags here}, tags: always}"
    outcome = run(tmp_path, play(refuses, AFTER), arguments=["--skip-tags", "always"])
    assert not outcome.hosts("refuse", "failed")
    assert outcome.hosts("after") == ["h1", "h2", "h3", "h4", "h5"]


@pytest.mark.parametrize("unreachable", [[], [2]], ids=["failed", "lost"])
def test_a_host_that_is_not_ignored_takes_no_part_in_later_plays(tmp_path, unreachable):
    outcome = run(tmp_path, play(TOUCH, breaks(2)) + NEXT, lost=unreachable)
    assert outcome.hosts("next play") == ["h1", "h3", "h4", "h5"]
