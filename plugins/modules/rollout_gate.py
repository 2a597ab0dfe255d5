#!/usr/bin/python
# Documentation of rollout_gate; the work is done by the action plugin of the same name.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_gate
short_description: Judge a slice or a tier of a livepatch rollout
version_added: 0.1.0
description:
  - Writes what became of the hosts into the journal and judges the rollout from the journal.
  - With O(slice), takes the results registered as C(livepatch_result_package), C(livepatch_result_apply) and
    C(livepatch_result_look). Without it, takes C(livepatch_result_look) of all hosts patched so far and judges the tier.
  - A host has failed when a task failed, it was unreachable, it rebooted, its transition stalled, the livepatch is not proven to
    run, or its kernel raised an alarm since patching. Each host counts once.
  - The verdict is V(stop) when a tier has more failures than it tolerates, or when no host of a tier has a build of the release.
  - A verdict is no failure of the task. End the play, and let the run fail with RV(stop_message).
author:
  - kernel.livepatch contributors (@kernel-livepatch)
options:
  journal:
    description: Path of the journal, as M(kernel.livepatch.rollout_plan) returns it.
    type: path
    required: true
  tier:
    description: Number of the tier.
    type: int
    required: true
  slice:
    description: Number of the slice that was just patched. Without it the tier is judged.
    type: int
  hosts:
    description: Names of the hosts whose results are read.
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - kernel.livepatch.attributes.action
attributes:
  check_mode:
    details:
      - Judges nothing and writes nothing.
"""

EXAMPLES = r"""
- name: Judge the slice
  kernel.livepatch.rollout_gate:
    journal: "{{ hostvars['localhost'].livepatch_plan.journal }}"
    tier: 1
    slice: "{{ livepatch_slice.slice }}"
    hosts: "{{ ansible_play_batch }}"
  run_once: true
  register: livepatch_verdict

- name: Judge the tier
  kernel.livepatch.rollout_gate:
    journal: "{{ livepatch_plan.journal }}"
    tier: 1
    hosts: "{{ livepatch_result_soak.look_at | map(attribute='host') | list }}"
  register: livepatch_verdict
"""

RETURN = r"""
verdict:
  description: V(pass) or V(stop).
  returned: success
  type: str
reasons:
  description: Why, in plain words.
  returned: success
  type: list
  elements: str
failures:
  description: The reasons for each host that has failed.
  returned: success
  type: dict
counts:
  description: Number of hosts of the rollout by outcome.
  returned: success
  type: dict
patched:
  description: Hosts of this slice that were patched.
  returned: success
  type: list
  elements: str
progress:
  description: Lines for people.
  returned: success
  type: list
  elements: str
stop_message:
  description: Where and why the rollout is stopped, and the commands to roll back and to go on.
  returned: when RV(verdict=stop)
  type: str
rollback:
  description: The hosts to be rolled back, latest first, with what they had before.
  returned: when RV(verdict=stop)
  type: list
  elements: dict
  contains:
    host:
      description: Name of the host.
      type: str
    package:
      description: The package that the rollout installed, or none.
      type: str
    package_before:
      description: The package that was installed before, or none.
      type: str
    livepatch:
      description: Name of the livepatch that the rollout enabled.
      type: str
    enabled_before:
      description: The livepatch that was enabled before, or none.
      type: str
    outcome:
      description: The outcome of the host.
      type: str
summary:
  description: A row for each host.
  returned: when RV(verdict=stop)
  type: list
  elements: dict
table:
  description: The summary as lines for people.
  returned: when RV(verdict=stop)
  type: list
  elements: str
stats:
  description: The summary for M(ansible.builtin.set_stats).
  returned: when RV(verdict=stop)
  type: dict
"""
