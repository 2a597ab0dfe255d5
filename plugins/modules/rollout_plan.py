#!/usr/bin/python
# Documentation of rollout_plan; the work is done by the action plugin of the same name.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_plan
short_description: Plan a livepatch rollout, or go on with the plan in its journal
version_added: 0.1.0
description:
  - Reads the livepatch facts of all hosts, spreads the hosts over tiers and slices, and writes the plan into the journal.
  - When the journal has a plan already, the plan is read and not made anew. What was done is verified from the facts.
  - Takes the lock of the journal. A second controller is refused until the first one ends or dies; what cannot be seen from
    here to be dead may be taken over with O(takeover).
  - Hosts that run the release already are counted and not touched. Hosts without livepatch support are left out, and so are
    hosts whose kernel another livepatch engine has changed, see O(other_engines).
  - Run it on C(localhost), after M(kernel.livepatch.livepatch_facts) ran on the hosts with C(ignore_unreachable) and was
    registered as C(livepatch_result_facts).
  - The variables C(livepatch_cohort) and C(livepatch_domain) of a host say which hosts share a weakness and which share a fate.
author:
  - kernel.livepatch contributors (@kernel-livepatch)
options:
  release:
    description:
      - The release to bring to the hosts, for example V(hotfix3), or V(newest) for the newest build of each kernel.
      - Exactly one of O(release), O(cves) and O(advisory) is needed; what is empty was not given.
      - For V(newest), O(cves) and O(advisory), a plan that is made anew asks M(kernel.livepatch.livepatch_builds) on two hosts of each
        kernel release and architecture, of different domains where there are two, in a play of its own with the variables of these
        hosts. One that does not answer is replaced, five are asked at most. Where two contradict each other the plan is refused, and
        says who saw what. What is found goes into the journal, and holds for all hosts until the rollout is complete.
    type: raw
  cves:
    description:
      - The newest build of each kernel, and which of these CVEs it is not known to mend. A list, or text with commas.
      - A CVE that no repository knows is refused.
    type: raw
  advisory:
    description:
      - The newest build of each kernel that this advisory names. One that no repository knows is refused, and so is one without a
        package for any of the kernels.
    type: raw
  supported_until:
    description: A dictionary of kernel releases, each with the day (YYYY-MM-DD) until which it has livepatches, where a person knows better.
    type: raw
  rollout:
    description:
      - Name of the rollout; its journal is called after it.
      - By default the release, the CVEs with C(+) between them, or the advisory with C(-) for C(:).
    type: raw
  journal_dir:
    description: Directory on the controller for the journal. It is made if it is missing.
    type: path
    required: true
  hosts:
    description: Inventory names of all hosts of the rollout.
    type: list
    elements: str
    required: true
  named:
    description:
      - What a person has given as C(livepatch_hosts), a pattern of hosts. The controller itself, C(localhost) among O(hosts), is left out
        unless this names it.
    type: raw
  tiers:
    description:
      - List of at most 100 tiers, each a dictionary with C(name), exactly one of C(hosts), C(share) and C(group), and
        optionally C(soak), C(spread), C(max_failures) and, with C(hosts), C(max_share).
      - C(hosts) adds that many hosts, C(group) the hosts of an inventory group, and C(share) as many hosts as it takes to cover
        that share of all hosts to be patched. Shares are cumulative, so they rise, and the last one is V(100%).
      - C(soak) is the time that the tier must live before its verdict, like V(30m) or V(4h). C(spread) is the part of it over which
        the slices are spread.
    type: raw
    required: true
  slice:
    description: How many hosts of a tier are patched at once, as a count or a share of the tier. A share means at most 250 hosts.
    type: raw
    default: 25%
  max_failures:
    description:
      - How many hosts of a tier may fail to be patched, as a count, as a share of the tier rounded down, or as the larger of both, like
        V(2 or 1%). Counted over the whole tier.
      - The first tier tolerates none.
    type: raw
    default: 2 or 1%
  seed:
    description: Seed of the order of hosts. By default it follows from rollout, release and hosts. It is kept in the journal.
    type: raw
  retry:
    description:
      - Why a rollout that was stopped, halted or rolled back may go on. Begins a new round of the same plan in which the failed hosts are
        tried again; the others are watched on. Evidence is forgotten only where it was the reason of the stop.
      - Goes into the journal with the name of the user. Each reason is taken once. Ignored when nothing was stopped.
    type: raw
  last_tier:
    description:
      - The tier after which this run ends, by its name or number, or V(next) for the first one that is not done. By default the last one.
      - RV(hosts) has none of later tiers.
    type: raw
  former:
    description:
      - What an earlier job of the same workflow left with M(ansible.builtin.set_stats), RV(stats) of M(kernel.livepatch.rollout_journal).
      - If it names this rollout, its journal must be there, as that job left it. A journal that was left behind in another pod would be
        replaced by a new plan.
      - O(retry) is ignored then, as it was for the first job of the workflow.
  volume:
    description: Whether a job of AWX is refused whose O(journal_dir) is missing or no mounted volume. The journal would end with its container.
    type: bool
    default: true
  hold_automation:
    description: Whether M(kernel.livepatch.rollout_gate) is to hold back what patches hosts by itself. Here it only chooses what is said.
    type: bool
    default: false
  takeover:
    description:
      - Why the controller that has the lock is gone for good, where it ran on another machine, in another container or in another pod.
      - Refused while that one was heard of within the time that its tasks may take, 45 minutes at least, or 5 minutes where it only waited.
        Goes into the journal with the name of the user and whom it was
        taken from. Ignored when nobody else has the lock.
    type: raw
  module_pattern:
    description:
      - How the livepatch of the release is called in the kernel, with the placeholders C({release}),
        C({kernel}) (C(uname -r)) and C({kernel_base}) (without architecture and distribution tag). By default the vendor's naming.
      - Only used to see which hosts run the release already.
    type: str
  other_engines:
    description:
      - V(refuse) leaves hosts out of the plan whose kernel another livepatch engine has changed, V(ignore) does not.
      - A host with the variable C(livepatch_other_engines) decides for itself.
    type: str
    choices: [refuse, ignore]
    default: refuse
  rules:
    description:
      - The rules of the gate, a dictionary with any of C(stop_evidence), C(hold_evidence), C(look_interval), C(control_hosts), C(max_hold),
        C(report_lag), C(unreachable_grace), C(history), C(on_alarm) and C(report_only). See the variables with these
        names of the role P(kernel.livepatch.rollout#role).
      - They are kept in the journal and stay as they are for the whole rollout.
    type: raw
  sources:
    description:
      - Sources of evidence on the controller, as in C(docs/evidence.md). They are only checked here; M(kernel.livepatch.rollout_gate) reads them.
    type: raw
extends_documentation_fragment:
  - kernel.livepatch.attributes.action
attributes:
  check_mode:
    details:
      - Returns the plan that it would use; writes nothing and takes no lock.
"""

EXAMPLES = r"""
- name: Plan the rollout
  kernel.livepatch.rollout_plan:
    release: hotfix3
    rollout: web-hotfix3
    journal_dir: /var/lib/livepatch
    hosts: "{{ groups['web'] }}"
    tiers:
      - name: canary
        hosts: 12
        max_share: 10%
        soak: 2h
      - name: early
        share: 5%
        soak: 4h
      - name: rest
        share: 100%
        soak: 2h
  register: livepatch_plan
"""

RETURN = r"""
journal:
  description: Path of the journal.
  returned: success or stopped
  type: str
resumed:
  description: Whether a plan was read instead of made.
  returned: success or stopped
  type: bool
complete:
  description: Whether the rollout was complete before and nothing is left to do.
  returned: success or stopped
  type: bool
verdict:
  description: V(stop) when the rollout is stopped; the task has failed then. Otherwise V(pass).
  returned: success or stopped
  type: str
refused:
  description: Whether the task failed, for playbooks that go on to say so in their own words.
  returned: failure
  type: bool
rolls_back:
  description: Whether there are hosts that the stopped rollout touched, to be rolled back.
  returned: stopped
  type: bool
rollback_asked:
  description: Whether a person has asked for the rollback, with the override V(rollback).
  returned: stopped
  type: bool
seed:
  description: The seed of the plan.
  returned: success or stopped
  type: str
tiers:
  description: The tiers in order.
  returned: success or stopped
  type: list
  elements: dict
  contains:
    number:
      description: Number of the tier, from 1.
      type: int
    name:
      description: Name of the tier.
      type: str
    hosts:
      description: How many hosts it has.
      type: int
    left:
      description: How many of them are still to be patched.
      type: int
    done:
      description: Whether the gate has passed the tier.
      type: bool
last_tier:
  description: Number of the tier after which this run ends, V(0) when the plan has none.
  returned: success or stopped
  type: int
hosts:
  description: The hosts that this run is to patch, in order.
  returned: success or stopped
  type: list
  elements: str
serial:
  description: How many of RV(hosts) make up each slice; never empty.
  returned: success or stopped
  type: list
  elements: int
builds:
  description: The build of each kernel, with the number of its hosts. Empty where each host finds the package of the release itself.
  returned: success or stopped
  type: list
  elements: dict
  contains:
    kernel_release:
      description: What C(uname -r) prints.
      type: str
    architecture:
      description: What C(uname -m) prints.
      type: str
    kernel:
      description: The kernel release, with the architecture where it does not tell it.
      type: str
    hosts:
      description: How many hosts run it, those that are not in the plan among them.
      type: int
    package:
      description: The package that each of them gets, name-version-release.arch, or null.
      type: str
    why:
      description: Why there is none.
      type: str
    version:
      description: How the vendor numbers it.
      type: str
    livepatch:
      description: What the kernel will call it, null where that is not known before it runs.
      type: str
    built:
      description: When it was built (ISO 8601, UTC), or null.
      type: str
    cves:
      description: The CVEs that it is known to mend.
      type: list
      elements: str
    missing:
      description: The wanted CVEs that it is not known to mend.
      type: list
      elements: str
    uncovered:
      description: The hosts that these leave uncovered.
      type: list
      elements: str
    supported_until:
      description: Until which day the kernel has livepatches, where that is known.
      type: str
    asked:
      description: The hosts that were asked.
      type: list
      elements: str
packages:
  description: The package that each of RV(hosts) would get, by its name; only in check mode, as otherwise the journal has it.
  returned: success or stopped
  type: dict
hosts_already:
  description: Hosts that run the release already.
  returned: success or stopped
  type: list
  elements: str
hosts_excluded:
  description: The reason for each other host that is not in the plan.
  returned: success or stopped
  type: dict
hosts_patched:
  description: Hosts that this rollout has patched so far.
  returned: success or stopped
  type: list
  elements: str
counts:
  description: Number of hosts by outcome.
  returned: success or stopped
  type: dict
progress:
  description: Lines for people.
  returned: success or stopped
  type: list
  elements: str
stop_message:
  description: Where and why the rollout is stopped, and the commands to roll back and to go on.
  returned: stopped
  type: str
summary:
  description: A row for each host.
  returned: stopped or complete
  type: list
  elements: dict
table:
  description: The summary as lines for people.
  returned: stopped or complete
  type: list
  elements: str
stats:
  description: The summary. Where nothing is begun, it is left for whoever runs this as a job, as by M(ansible.builtin.set_stats).
  returned: stopped or complete
  type: dict
"""
