# The behaviour of Ansible that the playbooks rely on.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What the playbooks avoid, and why, is in test_ansible_traps.py.

import pytest

from tests.rollout.semantics import run

NEXT = """
- hosts: localhost
  gather_facts: false
  tasks: [{name: next play, debug: {}}]
"""


def test_a_play_on_an_empty_list_of_hosts_is_skipped_without_a_warning(tmp_path):
    outcome = run(tmp_path, """
- hosts: "{{ hostvars['localhost'].nothing.there | default([]) }}"
  gather_facts: false
  serial: "{{ hostvars['localhost'].nothing.there | default([1]) }}"
  tasks: [{name: never, debug: {}}]
""" + NEXT)
    assert outcome.status == 0
    assert outcome.hosts("next play") == ["localhost"]
    assert not outcome.hosts("never")
    assert "WARNING" not in outcome.output


PLAN = """
- hosts: localhost
  gather_facts: false
  tasks:
    - {name: plan, debug: {msg: {serial: [1, 3], hosts: [h4, h2, h5, h1]}}, register: plan}
"""


def test_hosts_come_in_the_order_of_a_registered_list_and_in_its_batches_with_their_own_variables(tmp_path):
    outcome = run(tmp_path, PLAN + """
- hosts: "{{ hostvars['localhost'].plan.msg.hosts }}"
  gather_facts: false
  serial: "{{ hostvars['localhost'].plan.msg.serial }}"
  tasks:
    - {name: batch, debug: {msg: "{{ ansible_play_batch | join(' ') }}"}, run_once: true}
    - {name: variables, debug: {msg: "{{ inventory_hostname }} {{ ansible_connection }}"}}
""")
    assert outcome.status == 0
    assert outcome.messages("batch") == ["h4", "h2 h5 h1"]
    assert sorted(outcome.messages("variables")) == ["h%d local" % number for number in (1, 2, 4, 5)]


def test_names_in_a_list_of_hosts_are_names_unless_they_are_taken_apart(tmp_path):
    names = ["db-1.example.org", "10.0.0.7", "fe80::1", "web_9", "rack7:u3"]
    outcome = run(tmp_path, """
- hosts: localhost
  gather_facts: false
  tasks:
    - {name: add, add_host: {name: "{{ item }}", ansible_connection: local}, loop: %s}
    - {name: plan, debug: {msg: %s}, register: plan}
- hosts: "{{ hostvars['localhost'].plan.msg }}"
  gather_facts: false
  tasks: [{name: here, debug: {}}]
""" % (names, names))
    assert outcome.status == 0
    assert outcome.hosts("here") == sorted(names[:-1]), "so the planner leaves a host of the last kind out"


LOSSES = """
- hosts: fleet
  gather_facts: false
  tasks:
    - {name: touch, ping: {}, register: touched, ignore_unreachable: true}
    - {name: work, fail: {msg: broken}, when: inventory_hostname == 'h3', register: worked, ignore_errors: true}
"""


def test_an_ignored_lost_host_stays_in_the_batch_with_a_result_that_says_so(tmp_path):
    outcome = run(tmp_path, LOSSES + """
    - {name: lost, debug: {}, when: touched.unreachable | default(false)}
    - {name: reached, debug: {}, when: touched.unreachable is not defined}
    - {name: batch, debug: {msg: "{{ ansible_play_batch | join(' ') }}"}, run_once: true}
""", lost=[1, 4])
    assert outcome.hosts("touch", "unreachable") == ["h1", "h4"]
    assert outcome.hosts("lost") == ["h1", "h4"]
    assert outcome.hosts("reached") == ["h2", "h3", "h5"]
    assert outcome.messages("batch") == ["h1 h2 h3 h4 h5"]
    assert outcome.status == 0


def test_a_task_of_the_controller_that_runs_once_runs_on_the_lost_first_host_and_sees_all_results(tmp_path):
    outcome = run(tmp_path, LOSSES + """
    - name: judge
      debug:
        msg:
          lost: "{{ results | selectattr('touched.unreachable', 'defined') | map(attribute='inventory_hostname') }}"
          failed: "{{ results | rejectattr('worked.skipped', 'defined') | map(attribute='inventory_hostname') }}"
      vars:
        results: "{{ ansible_play_batch | map('extract', hostvars) }}"
      run_once: true
""", lost=[1, 4])
    assert outcome.hosts("judge") == ["h1"]
    assert outcome.messages("judge") == [{"lost": ["h1", "h4"], "failed": ["h3"]}]


def test_a_later_play_on_localhost_sees_the_results_of_lost_and_failed_hosts(tmp_path):
    outcome = run(tmp_path, LOSSES + """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: results
      debug: {msg: ["{{ hostvars.h1.touched.unreachable }}", "{{ hostvars.h3.worked.failed }}"]}
""", lost=[1])
    assert outcome.messages("results") == [[True, True]]


def test_an_ignored_lost_or_failed_host_takes_part_in_the_next_play(tmp_path):
    outcome = run(tmp_path, LOSSES + """
- hosts: fleet
  gather_facts: false
  tasks: [{name: again, debug: {}}]
""", lost=[1])
    assert outcome.hosts("again") == ["h1", "h2", "h3", "h4", "h5"]


def test_a_batch_of_ignored_lost_hosts_does_not_end_the_play(tmp_path):
    outcome = run(tmp_path, """
- hosts: fleet
  gather_facts: false
  serial: 2
  tasks:
    - {name: touch, raw: "true", ignore_unreachable: true}
    - {name: judge, debug: {msg: "{{ ansible_play_batch | join(' ') }}"}, run_once: true}
""", lost=[1, 2])
    assert outcome.messages("judge") == ["h1 h2", "h3 h4", "h5"]


def test_the_lost_first_host_can_hand_all_names_of_its_play_to_localhost(tmp_path):
    outcome = run(tmp_path, """
- hosts: fleet
  gather_facts: false
  tasks:
    - {name: touch, raw: "true", ignore_unreachable: true}
    - name: tell
      set_fact: {names: "{{ ansible_play_hosts_all }}"}
      delegate_to: localhost
      delegate_facts: true
      run_once: true
- hosts: localhost
  gather_facts: false
  tasks: [{name: told, debug: {msg: "{{ names | join(' ') }}"}}]
""", lost=[1, 2])
    assert outcome.messages("told") == ["h1 h2 h3 h4 h5"]


def test_each_batch_can_hand_the_names_of_all_batches_to_localhost(tmp_path):
    outcome = run(tmp_path, """
- hosts: fleet
  gather_facts: false
  serial: 2
  tasks:
    - {name: touch, raw: "true", ignore_unreachable: true}
    - name: tell
      set_fact: {names: "{{ ansible_play_hosts_all }}"}
      delegate_to: localhost
      delegate_facts: true
      run_once: true
- hosts: localhost
  gather_facts: false
  tasks: [{name: told, debug: {msg: "{{ names | join(' ') }}"}}]
""", lost=[1, 2])
    assert outcome.messages("told") == ["h1 h2 h3 h4 h5"]


def test_a_play_that_ends_itself_in_its_first_batch_of_one_runs_once_and_leaves_every_host_to_the_next(tmp_path):
    outcome = run(tmp_path, """
- hosts: fleet
  gather_facts: false
  serial: 1
  tasks: [{name: check, debug: {}, run_once: true}, {name: once, meta: end_play}]
- hosts: fleet
  gather_facts: false
  tasks: [{name: after, debug: {}}]
""")
    assert outcome.hosts("check") == ["h1"]
    assert outcome.hosts("after") == ["h1", "h2", "h3", "h4", "h5"]


def test_a_failure_in_the_first_batch_of_one_ends_the_run(tmp_path):
    outcome = run(tmp_path, """
- hosts: fleet
  gather_facts: false
  serial: 1
  tasks: [{name: check, fail: {}, run_once: true}, {name: once, meta: end_play}]
""" + NEXT)
    assert outcome.hosts("check", "failed") == ["h1"]
    assert not outcome.hosts("next play")
    assert outcome.status == 2


def test_a_result_registered_once_is_there_for_every_host_of_its_batch_and_new_in_each_batch(tmp_path):
    outcome = run(tmp_path, """
- hosts: fleet
  gather_facts: false
  serial: [2, 3]
  tasks:
    - {name: gate, debug: {msg: "{{ ansible_play_batch | first }}"}, register: gate, run_once: true}
    - {name: seen, debug: {msg: "{{ gate.msg }}"}}
""")
    assert outcome.messages("seen") == ["h1", "h1", "h3", "h3", "h3"]


def test_end_play_by_a_verdict_ends_the_remaining_batches_and_the_next_play_runs(tmp_path):
    outcome = run(tmp_path, """
- hosts: fleet
  gather_facts: false
  serial: 2
  tasks:
    - {name: touch, raw: "true", ignore_unreachable: true}
    - {name: gate, debug: {msg: "{{ 'stop' if 'h3' in ansible_play_batch else 'pass' }}"}, register: gate, run_once: true}
    - {name: end, meta: end_play, when: gate.msg != 'pass'}
    - {name: after, debug: {}}
""" + NEXT, lost=[3])
    assert outcome.messages("gate") == ["pass", "stop"]
    assert outcome.hosts("after") == ["h1", "h2"]
    assert outcome.hosts("next play") == ["localhost"]
    assert outcome.status == 0


@pytest.mark.parametrize("lost", [[], [1]], ids=["all reached", "first host lost"])
def test_a_task_that_runs_once_and_fails_ends_the_batch_later_batches_and_later_plays(tmp_path, lost):
    outcome = run(tmp_path, """
- hosts: fleet
  gather_facts: false
  serial: 2
  tasks:
    - {name: touch, raw: "true", ignore_unreachable: true}
    - {name: refuse, fail: {msg: stopped}, run_once: true}
    - {name: after, debug: {}}
""" + NEXT, lost=lost)
    assert outcome.hosts("refuse", "failed") == ["h1"]
    assert not outcome.hosts("after")
    assert not outcome.hosts("next play")
    assert outcome.status == 2


GATES = {
    "plain": "[{name: gate, fail: {msg: stop}}]",
    "in a block": "[{block: [{name: gate, fail: {msg: stop}}], always: [{name: note, debug: {}}]}]",
    "in always": "[{block: [{name: note, debug: {}}], always: [{name: gate, fail: {msg: stop}}]}]",
}


@pytest.mark.parametrize("gate", GATES.values(), ids=list(GATES))
@pytest.mark.parametrize("lost", [[1], [1, 2, 3, 4, 5]], ids=["one lost", "all lost"])
def test_a_failing_play_on_localhost_always_ends_the_run(tmp_path, gate, lost):
    outcome = run(tmp_path, LOSSES + """
- hosts: localhost
  gather_facts: false
  force_handlers: true
  tasks: %s
""" % gate + NEXT, lost=lost)
    assert outcome.hosts("gate", "failed") == ["localhost"]
    assert not outcome.hosts("next play")
    assert outcome.status == 2


def test_an_imported_role_or_file_hands_its_ignore_words_down_to_its_tasks(tmp_path):
    outcome = run(tmp_path, """
- hosts: fleet
  gather_facts: false
  tasks:
    - {name: all of it, import_tasks: work.yml, ignore_errors: true, ignore_unreachable: true}
    - {name: after, debug: {}}
""", lost=[1], work="[{name: touch, raw: 'true'}, {name: work, fail: {msg: broken}, when: \"inventory_hostname == 'h2'\"}]\n")
    assert outcome.hosts("touch", "unreachable") == ["h1"]
    assert outcome.hosts("work", "ignored") == ["h2"]
    assert outcome.hosts("after") == ["h1", "h2", "h3", "h4", "h5"]
    assert outcome.status == 0
