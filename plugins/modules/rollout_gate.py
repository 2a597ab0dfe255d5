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
  - After a slice it takes the results registered as C(livepatch_result_package), C(livepatch_result_apply) and
    C(livepatch_result_look). After a look it takes C(livepatch_result_look), or, of hosts that looked at others by delegation,
    the results of the loop in C(livepatch_result_looks), whose items have a C(host).
  - A host has failed when a task failed, it was unreachable, it rebooted, its transition stalled, the livepatch is not proven to
    run, or its kernel raised a new alarm since patching. Each host counts once.
  - The verdict is V(stop) when the first tier has any failure, when more hosts of a later tier failed to be patched than it tolerates,
    when crashes of patched hosts are too many beside those of hosts without the livepatch (RV(evidence)), when a person has said so,
    or when no host of a tier has a build of the release.
  - It is V(hold) when the evidence is strong but not enough to stop, when it is missing, when patched hosts do not answer,
    or when a person has said so. Then nobody is to be patched, and the hosts are to be looked at again.
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
  after:
    description:
      - V(slice), the hosts of a slice were just patched. V(look), hosts were looked at. V(wait), nothing has happened but time.
      - V(tier), the tier is at its end; a tier that is neither done nor held nor stopped is an error.
    type: str
    required: true
    choices: [slice, look, wait, tier]
  slice:
    description: Number of the slice that was just patched. Required with O(after=slice).
    type: int
  hosts:
    description: Names of the hosts whose results are read. Required with O(after=slice) and O(after=look).
    type: list
    elements: str
    default: []
  delegated:
    description: Whether O(hosts) have looked at other hosts, by delegation.
    type: bool
    default: false
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
      - Judges nothing and writes nothing.
"""

EXAMPLES = r"""
- name: Judge the slice
  kernel.livepatch.rollout_gate:
    journal: "{{ hostvars['localhost'].livepatch_plan.journal }}"
    tier: 1
    after: slice
    slice: "{{ livepatch_slice.slice }}"
    hosts: "{{ ansible_play_batch }}"
  run_once: true
  register: livepatch_verdict

- name: Judge the tier
  kernel.livepatch.rollout_gate:
    journal: "{{ livepatch_plan.journal }}"
    tier: 1
    after: tier
  register: livepatch_verdict
"""

RETURN = r"""
verdict:
  description: V(pass), V(hold) or V(stop).
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
evidence:
  description:
    - What the verdict rests on, for C(crashes) and C(alarms) each. C(e) is the evidence; a harmless livepatch ever reaches C(e) in at most
      one of C(e) rollouts, however often one looks. C(suspicion) is what it will be when no other host of a failure domain can join those
      that crashed. C(bets) are the bets whose mean it is. C(patched) and C(control) have C(incidents), C(hosts) and C(host_hours).
      C(rate_ratio) is for people and decides nothing.
    - C(would_stop) is how many crashes, spread evenly over the patched hosts, would have stopped the rollout by now;
      C(would_have_seen) with what chance a livepatch that multiplies crashes by so much would have been stopped.
    - C(readings) are the last readings of C(livepatch_sources).
  returned: success
  type: dict
again:
  description: Whether to wait, look and judge once more before going on.
  returned: success
  type: bool
wait:
  description: Seconds until then.
  returned: success
  type: int
look_at:
  description: The hosts to look at then, each with C(host) and C(since), what to hand to M(kernel.livepatch.livepatch_health).
  returned: success
  type: list
  elements: dict
held:
  description: Whether the rollout was on hold for as long as it may be, so that the run is to end.
  returned: success
  type: bool
rolls_back:
  description: Whether an override asked for the hosts to be rolled back.
  returned: success
  type: bool
timeline:
  description:
    - Where each tier stands. C(tier), its name; C(mark), one of V(wait), V(patch), V(soak), V(hold), V(stop), V(pass); C(line), the
      same for people, with the time at which it began, how long ago that was, and what it waits for.
  returned: success
  type: list
  elements: dict
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
