#!/usr/bin/python
# Documentation of rollout_gate; the work is done by the action plugin of the same name.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_gate
short_description: Let the slices of a livepatch rollout begin, one after the other, or stop it
version_added: 0.1.0
description:
  - Waits, looks at hosts and judges until a slice may begin, writes what became of a slice, and watches tiers through their soaks.
    One task does all of the waiting, so it may last for many hours. It shows how the rollout gets on.
  - It looks at the hosts that may have the livepatch, and at some that do not have it, with M(kernel.livepatch.livepatch_health). The looks
    run on the forks of ansible-playbook, with the connection and the variables of each host; they are not shown as tasks.
  - After a tier has passed, its hosts are asked to keep the livepatch over reboots with M(kernel.livepatch.livepatch_persistence).
  - A host has failed when a task failed, it was unreachable or did not answer in time, it rebooted, its transition stalled, the
    livepatch is not proven to run, or its kernel raised a new alarm since patching. Each host counts once.
  - The rollout is stopped when the first tier has any failure, when more hosts of a later tier failed to be patched than it tolerates,
    when every host of a tier or of a cohort has, when crashes of patched hosts are too many beside those of hosts without the
    livepatch, when a person has said so, or when no host of a tier has a build of the release.
  - It is on hold when the evidence is strong but not enough to stop, when it is missing, when patched hosts do not answer or cannot be
    looked at, or when a person has said so. Then nobody is patched, and the hosts are looked at again, until the hold ends by itself or
    has lasted for C(max_hold).
  - A stop is no failure of the task. End the play, and let the run fail with RV(stop_message).
author:
  - kernel.livepatch contributors (@kernel-livepatch)
options:
  journal:
    description: Path of the journal, as M(kernel.livepatch.rollout_plan) returns it.
    type: path
    required: true
  step:
    description:
      - V(open) goes on until the slice of O(hosts) may begin, and opens it, unless RV(open) is false. The tiers before it are watched through
        their soaks first.
      - V(close) writes what became of the slice that is open, from the results of M(kernel.livepatch.livepatch) that are registered as
        C(livepatch_result_apply), and judges.
      - V(finish) watches the tiers up to O(last_tier) through their soaks.
      - V(give_back) has hosts give back what they hold back for O(hold_automation), where all tiers have passed or the hosts were rolled
        back.
    type: str
    required: true
    choices: [open, close, finish, give_back]
  hosts:
    description: Names of the hosts of the slice. Required with O(step=open).
    type: list
    elements: str
    default: []
  last_tier:
    description: Number of the tier after which the run ends. Required with O(step=finish).
    type: int
  persist:
    description: Whether hosts of a tier that has passed are asked to keep the livepatch over reboots.
    type: bool
    default: true
  hold_automation:
    description:
      - Whether what patches hosts by itself is held back with M(kernel.livepatch.livepatch_automation), before the first of them is touched
        and for as long as the plan and a hold of it may take. With O(step=open) and O(step=finish).
    type: bool
    default: false
  timeouts:
    description:
      - The timeouts of the tasks that patch a slice, in seconds. With O(step=open). The controller writes nothing meanwhile, and its lock may
        be silent for as long as these tasks may take.
    type: list
    elements: int
    default: []
  packages:
    description: The packages that M(kernel.livepatch.rollout_plan) has returned. Only check mode takes them from there, otherwise the journal has them.
    type: dict
    default: {}
  sources:
    description:
      - Sources of evidence on the controller, which are read after a look. See C(docs/evidence.md) of the collection.
      - Where one has a JMESPath expression, the Python library jmespath must be on the controller.
    type: list
    elements: dict
    default: []
extends_documentation_fragment:
  - kernel.livepatch.attributes.action
attributes:
  check_mode:
    details:
      - Judges nothing and writes nothing; RV(open) is true.
"""

EXAMPLES = r"""
- name: Wait until the slice may begin
  kernel.livepatch.rollout_gate:
    journal: "{{ hostvars['localhost'].livepatch_plan.journal }}"
    step: open
    hosts: "{{ ansible_play_batch }}"
  timeout: 0
  run_once: true
  register: livepatch_gate

- name: Write what became of the slice
  kernel.livepatch.rollout_gate:
    journal: "{{ hostvars['localhost'].livepatch_plan.journal }}"
    step: close
  run_once: true
  register: livepatch_gate
"""

RETURN = r"""
open:
  description: With O(step=open) whether the slice has begun, with O(step=close) whether a further one may be tried.
  returned: success, with O(step=open) and O(step=close)
  type: bool
packages:
  description: The very package that each host of the slice gets, by the journal. Empty where each finds that of the release itself.
  returned: when the slice has begun
  type: dict
passed:
  description: Whether all tiers up to O(last_tier) have passed.
  returned: success, with O(step=finish)
  type: bool
verdict:
  description: V(pass), V(hold) or V(stop).
  returned: success
  type: str
journal:
  description: Path of the journal.
  returned: success
  type: str
rolls_back:
  description: Whether an override asked for the hosts to be rolled back.
  returned: success
  type: bool
reasons:
  description: Why, in plain words.
  returned: when RV(verdict) is not V(pass)
  type: list
  elements: str
counts:
  description: Number of hosts of the rollout by outcome.
  returned: when RV(verdict) is not V(pass)
  type: dict
stop_message:
  description: Where and why the rollout is stopped, and the commands to roll back and to go on.
  returned: when RV(verdict=stop)
  type: str
hold_message:
  description: Why the rollout is on hold, and the commands to go on and to roll back.
  returned: when RV(verdict=hold)
  type: str
table:
  description: A row for each host that needs a person, as lines for people.
  returned: when RV(verdict) is not V(pass)
  type: list
  elements: str
stats:
  description: The summary for M(ansible.builtin.set_stats).
  returned: when RV(verdict) is not V(pass)
  type: dict
"""
