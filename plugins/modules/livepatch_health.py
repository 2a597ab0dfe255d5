#!/usr/bin/python
#
# Reports crashes and kernel alarms of a host since a moment.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: livepatch_health
short_description: Report crashes and kernel alarms since a moment
version_added: 0.1.0
author:
  - kernel.livepatch contributors (@kernel-livepatch)
description:
  - Reads whether the host has been booted anew, and which alarms are in the log of its kernel since a position.
    Alarms are warnings, C(BUG)s, oopses, lockups, RCU stalls and hung tasks.
  - It only reads. Whether what it found is a reason to stop is for others to decide.
  - One alarm is one event, however many lines the kernel writes for it. What programs write into the log of the
    kernel is never an alarm.
  - Reading never waits for new records and is bounded to 100000 records, 16 MiB and 10 seconds. At most 50 events are
    returned, the oldest.
extends_documentation_fragment:
  - kernel.livepatch.attributes
attributes:
  check_mode:
    support: full
    details:
      - This module only reads.
  diff_mode:
    support: none
    details:
      - This module only reads.
options:
  since:
    description:
      - From where on to read, as M(kernel.livepatch.livepatch) returns it, or RV(boot_id) and RV(sequence) of an
        earlier run of this module.
      - Without it the whole log of this boot is read.
    type: dict
    suboptions:
      boot_id:
        description:
          - The boot that was expected to last. If the host has been booted anew, there is an event of the kind
            V(crash), and the log of the new boot is read from its beginning.
        type: str
      sequence:
        description:
          - Number of the first record of the kernel's log to look at.
        type: int
notes:
  - Many hosts let only root read the log of the kernel (C(kernel.dmesg_restrict)). Without that right RV(sources.kmsg)
    is V(unreadable), and everything else is reported.
seealso:
  - module: kernel.livepatch.livepatch
  - module: kernel.livepatch.livepatch_facts
"""

EXAMPLES = r"""
- name: Load a livepatch
  kernel.livepatch.livepatch:
    name: hotfix3
  become: true
  register: applied

- name: Look what has happened since then
  kernel.livepatch.livepatch_health:
    since: "{{ applied.since }}"
  become: true
  register: health

- name: Go on only if nothing has happened
  ansible.builtin.assert:
    that: health.events | length == 0
"""

RETURN = r"""
boot_id:
  description: The kernel's random id of this boot.
  returned: always
  type: str
  sample: 0d9ef40f-0f3d-4a8e-9b7a-6fd0f0a6e3c1
uptime_seconds:
  description: Seconds since this boot.
  returned: always
  type: int
  sample: 86400
rebooted:
  description: Whether O(since.boot_id) was given and is not the present boot.
  returned: always
  type: bool
  sample: false
effective_release:
  description: Release of the kernel and the enabled livepatch.
  returned: always
  type: str
  sample: 6.1.0-56-amd64-hotfix3
enabled:
  description: Name of the topmost enabled livepatch, or V(null).
  returned: always
  type: str
  sample: hotfix3
sequence:
  description:
    - Number of the first record that was not read, to go on from. V(null) when the log could not be opened.
  returned: always
  type: int
  sample: 1042
events:
  description: What has happened, oldest first.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: V(crash) is an unexpected boot or a kernel panic; the others are as the kernel calls them.
      type: str
      sample: warning
      choices: [crash, oops, bug, warning, lockup, rcu_stall, hung_task]
    time:
      description: When, in UTC, by the clock of the host.
      type: str
      sample: "2026-05-04T08:15:00Z"
    sequence:
      description: Number of the first record of the alarm, V(null) for a boot.
      type: int
      sample: 1017
    signature:
      description: Kind and function, the same each time that the same happens.
      type: str
      sample: warning:ext4_evict_inode
    text:
      description: First line of the alarm, at most 200 characters.
      type: str
      sample: "WARNING: CPU: 0 PID: 123 at fs/ext4/inode.c:19 ext4_evict_inode+0x117/0x1a8 [ext4]"
    effective_release:
      description: What ran when the event was read. V(null) for a boot, because what ran before it is not known here.
      type: str
      sample: 6.1.0-56-amd64-hotfix3
events_left_out:
  description: Number of events beyond the first 50.
  returned: always
  type: int
  sample: 0
counters:
  description: The kernel's own counts since this boot. V(null) where it has none.
  returned: always
  type: dict
  contains:
    oops_count:
      description: Number of oopses and C(BUG)s.
      type: int
      sample: 0
    warn_count:
      description: Number of warnings.
      type: int
      sample: 1
sources:
  description: How far each source of evidence could be read.
  returned: always
  type: dict
  contains:
    kmsg:
      description:
        - V(read), all records from O(since.sequence) on. V(lost), the kernel had overwritten some before they
          were read. V(truncated), a bound was met, and RV(sequence) says where. V(unreadable), the log could not be read.
      type: str
      sample: read
      choices: [read, lost, truncated, unreadable]
reasons:
  description: Why a source could not be read in full, in words.
  returned: always
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kernel.livepatch.plugins.module_utils import _health

ARGUMENTS = dict(since=dict(type="dict", options=dict(boot_id=dict(type="str"), sequence=dict(type="int"))))


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.exit_json(changed=False, failed=False, **_health.look(module.params["since"] or {}))


if __name__ == "__main__":
    main()
