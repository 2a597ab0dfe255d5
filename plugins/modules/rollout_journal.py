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
    description:
      - The name of the rollout that O(journal) was made of. What is no name of a rollout is refused.
      - With O(entry=override) all rollouts of the same directory that are not over and whose name or release it is are spoken to.
    type: str
  release:
    description:
      - The release that is to be rolled back. With O(entry=rollback), another one than that of the journal is refused.
      - At most one of this, O(cves) and O(advisory); what is empty was not given.
    type: str
  cves:
    description: The same for a rollout that was begun for these CVEs, a list or text with commas.
    type: raw
  advisory:
    description: The same for a rollout that was begun for this advisory.
    type: str
  entry:
    description:
      - V(rollback) says that all hosts which the rollout touched are about to be rolled back, and returns them. From then on nobody is
        patched, until a retry with a reason.
      - V(rolled_back) takes C(livepatch_result_rollback) of O(hosts) and records whether they were rolled back.
      - V(end) ends the run and gives the lock back.
      - V(override) says something to the controller of the rollout, which may be another process. It needs no lock, as it is written into
        a file beside the journal, and the controller copies it into the journal at its next slice or look. Where a controller works now,
        the task waits for some seconds until it has taken it. What was said last, or holds already, with the same reason, is not said again.
      - V(read) writes nothing and needs no lock; it returns the summary and the hosts that could be rolled back.
    type: str
    required: true
    choices: [rollback, rolled_back, end, override, read]
  tier:
    description:
      - Number of the tier. Required with O(result=waiting).
      - With O(override=promote) the default is the first tier that is not done.
    type: int
  hosts:
    description: Names of hosts. Required with O(entry=rolled_back).
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
- name: Halt a rollout that runs elsewhere
  kernel.livepatch.rollout_journal:
    journal: /var/lib/livepatch/hotfix3.jsonl
    rollout: hotfix3
    entry: override
    override: abort
    reason: errors in the shop

- name: End the rollout
  kernel.livepatch.rollout_journal:
    journal: "{{ livepatch_plan.journal }}"
    entry: end
    result: complete
"""

RETURN = r"""
journals:
  description: Paths of the journals of all rollouts that were spoken to.
  returned: with O(entry=override)
  type: list
  elements: str
taken:
  description: Whether the controllers that work now have taken what was said. False when none works.
  returned: with O(entry=override)
  type: bool
progress:
  description: Lines for people.
  returned: success
  type: list
  elements: str
counts:
  description: Number of hosts by outcome.
  returned: with O(entry=end) and O(entry=read)
  type: dict
hosts_patched:
  description: Hosts that this rollout has patched.
  returned: with O(entry=end) and O(entry=read)
  type: list
  elements: str
rollback:
  description:
    - The hosts that could be rolled back, latest first, with what they had before. A list of dictionaries.
    - With O(entry=rollback) a dictionary by host.
  returned: with O(entry=rollback), O(entry=end) and O(entry=read)
  type: raw
hosts:
  description: The names of these hosts, in the order in which they go back.
  returned: with O(entry=rollback)
  type: list
  elements: str
serial:
  description: Sizes of the slices in which RV(hosts) go back, as in the plan.
  returned: with O(entry=rollback)
  type: list
  elements: int
summary:
  description: A row for each host, with host, kernel_release, tier, effective_release, outcome and reason.
  returned: with O(entry=end) and O(entry=read)
  type: list
  elements: dict
table:
  description: The summary as lines for people.
  returned: with O(entry=end) and O(entry=read)
  type: list
  elements: str
lines:
  description: Where the rollout stands, as lines for people.
  returned: with O(entry=end) and O(entry=read)
  type: list
  elements: str
stats:
  description: The summary. With O(entry=end) it is left for whoever runs this as a job, as by M(ansible.builtin.set_stats).
  returned: with O(entry=end) and O(entry=read)
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
