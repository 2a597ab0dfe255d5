#!/usr/bin/python
# Documentation of rollout_journal; the work is done by the action plugin of the same name.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_journal
short_description: Write into, or read, the journal of a livepatch rollout
version_added: 0.1.0
description:
  - Writes the entries that a playbook makes itself, and returns what they mean for it.
  - Every entry is on disk before the task ends.
author:
  - kernel.livepatch contributors (@kernel-livepatch)
options:
  journal:
    description: Path of the journal, as M(kernel.livepatch.rollout_plan) returns it.
    type: path
    required: true
  rollout:
    description: The name of the rollout that O(journal) was made of. What is no name of a rollout is refused.
    type: str
  entry:
    description:
      - V(slice) says which hosts are about to be touched. Fails when the rollout is stopped.
      - V(soak) begins the soak of a tier, or goes on with it, and returns whom to look at.
      - V(wait) writes nothing. It waits for O(seconds), or until somebody has said something with V(override).
      - V(rollback) says that all hosts which the rollout touched are about to be rolled back, and returns them.
      - V(rolled_back) takes C(livepatch_result_rollback) of O(hosts) and records whether they were rolled back.
      - V(keep) writes nothing and returns the hosts of a tier that has passed which have not been asked to keep the livepatch over reboots.
      - V(persisted) takes C(livepatch_result_persistence) of O(hosts) and records which of them keep the livepatch over reboots, and why
        the others do not.
      - V(end) ends the run and gives the lock back.
      - V(override) says something to the controller of the rollout, which may be another process. It needs no lock, as it is written into
        a file beside the journal, and the controller copies it into the journal at its next slice or look. What was said last, or
        holds already, with the same reason, is not said again.
      - V(read) writes nothing and needs no lock; it returns the summary and the hosts that could be rolled back.
    type: str
    required: true
    choices: [slice, soak, wait, rollback, rolled_back, keep, persisted, end, override, read]
  tier:
    description:
      - Number of the tier. Required with O(entry=slice), O(entry=soak), O(entry=keep) and O(result=waiting).
      - With O(override=promote) the default is the first tier that is not done.
    type: int
  slice:
    description: Number of the slice. By default that of the first host in the plan.
    type: int
  hosts:
    description: Names of hosts. Required with O(entry=slice), O(entry=rolled_back) and O(entry=persisted).
    type: list
    elements: str
  reason:
    description: Why hosts are rolled back, or why something is overridden.
    type: raw
    default: asked for
  result:
    description:
      - How the run ended. Required with O(entry=end).
      - V(complete) is refused while the gate has not passed all tiers.
      - V(waiting) is a run that was to end after O(tier); a later one goes on. It is V(complete) when no tier is left.
    type: str
    choices: [complete, waiting, stopped, held, rolled_back]
  seconds:
    description: How long to wait. Required with O(entry=wait).
    type: int
  override:
    description:
      - V(pause) holds the rollout until V(resume). V(promote) ends the soak of a tier. V(abort) stops it, V(rollback) stops it and
        has its hosts rolled back.
      - Required with O(entry=override).
    type: str
    choices: [pause, resume, promote, abort, rollback]
  takeover:
    description: Why whoever has the lock elsewhere is gone for good, see O(kernel.livepatch.rollout_plan#module:takeover).
    type: raw
extends_documentation_fragment:
  - kernel.livepatch.attributes.action
attributes:
  check_mode:
    details:
      - Writes nothing. O(entry=read) works as ever.
"""

EXAMPLES = r"""
- name: Say which hosts are touched next
  kernel.livepatch.rollout_journal:
    journal: "{{ hostvars['localhost'].livepatch_plan.journal }}"
    entry: slice
    tier: 1
    hosts: "{{ ansible_play_batch }}"
  run_once: true
  register: livepatch_slice

- name: End the rollout
  kernel.livepatch.rollout_journal:
    journal: "{{ livepatch_plan.journal }}"
    entry: end
    result: complete
"""

RETURN = r"""
slice:
  description: Number of the slice.
  returned: with O(entry=slice)
  type: int
seconds:
  description: Seconds that the tier has still to soak.
  returned: with O(entry=soak)
  type: int
begins:
  description: That this is the beginning of watching the tier, in this run.
  returned: with O(entry=soak)
  type: bool
wait:
  description: Seconds until the next look.
  returned: with O(entry=soak)
  type: int
look_at:
  description:
    - The hosts to look at during the soak, patched ones and those to compare with.
    - Each with C(since), what to hand to M(kernel.livepatch.livepatch_health).
  returned: with O(entry=soak)
  type: list
  elements: dict
keep:
  description: The hosts to ask, each a dictionary of C(host) and C(livepatch). Empty in check mode, and when the rollout is stopped.
  returned: with O(entry=keep)
  type: list
  elements: dict
timeline:
  description:
    - Where each tier stands. C(tier), its name; C(mark), one of V(wait), V(patch), V(soak), V(hold), V(stop), V(pass); C(line), the
      same for people, with the time at which it began, how long ago that was, and what it waits for.
  returned: with O(entry=slice) and O(entry=soak)
  type: list
  elements: dict
progress:
  description: Lines for people.
  returned: success
  type: list
  elements: str
counts:
  description: Number of hosts by outcome.
  returned: with O(entry=rolled_back), O(entry=end) and O(entry=read)
  type: dict
hosts_patched:
  description: Hosts that this rollout has patched.
  returned: with O(entry=rolled_back), O(entry=end) and O(entry=read)
  type: list
  elements: str
rollback:
  description: The hosts that could be rolled back, latest first, with what they had before.
  returned: with O(entry=rollback), O(entry=rolled_back), O(entry=end) and O(entry=read)
  type: list
  elements: dict
serial:
  description: Sizes of the slices in which RV(rollback) goes back, as in the plan.
  returned: with O(entry=rollback)
  type: list
  elements: int
summary:
  description: A row for each host, with host, kernel_release, tier, effective_release, outcome and reason.
  returned: with O(entry=rolled_back), O(entry=end) and O(entry=read)
  type: list
  elements: dict
table:
  description: The summary as lines for people.
  returned: with O(entry=rolled_back), O(entry=end) and O(entry=read)
  type: list
  elements: str
lines:
  description: Where the rollout stands, as lines for people.
  returned: with O(entry=rolled_back), O(entry=end) and O(entry=read)
  type: list
  elements: str
stats:
  description: The summary for M(ansible.builtin.set_stats).
  returned: with O(entry=rolled_back), O(entry=end) and O(entry=read)
  type: dict
hold_message:
  description: Why the rollout is on hold, and the commands to go on and to roll back.
  returned: when the rollout is on hold
  type: str
stop_message:
  description: Where and why the rollout is stopped, and the commands to roll back and to go on.
  returned: when the rollout is stopped
  type: str
"""
