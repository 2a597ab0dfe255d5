#!/usr/bin/python
#
# Reports crashes, kernel alarms and core dumps of a host since a moment.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: livepatch_health
short_description: Report crashes, kernel alarms and core dumps since a moment
version_added: 0.1.0
author:
  - kernel.livepatch contributors (@kernel-livepatch)
description:
  - Reads whether the host has been booted anew or has crashed, which alarms are in the log of its kernel since a
    position, and which programs have dumped core. Alarms are warnings, C(BUG)s, oopses, lockups, RCU stalls and hung
    tasks.
  - It only reads. Whether what it found is a reason to stop is for others to decide.
  - What the kernel has counted or marked and its log does not tell is an event too, of the kind V(untold). It needs no
    words, so it is the same on every architecture, and no noisy log hides it. It takes RV(counters) and RV(taint) of the
    moment before in O(since).
  - One alarm is one event, however many lines the kernel writes for it. What programs write into the log of the
    kernel is never an alarm. One crash is one event, however many sources tell of it; time, signature and text are
    those of the source that knows most.
  - A host on which nothing has happened costs a reading of its log and of some directories, and no process.
    C(journalctl) is run only when the host was booted anew, for what the kernel said before that, and when the kernel
    has overwritten records of its log.
  - Every reading is bounded. The log of the kernel to its newest 100000 records or 16 MiB, and 10 seconds; a directory to 2000
    entries; a file of a dump to its last MiB; kdump, pstore and core dumps to 5 seconds each; C(journalctl) to its last
    5000 messages and 20 seconds. At most 50 events are returned, V(crash) and V(untold) first, then the first of each
    signature, new ones before known ones, then the oldest, core dumps last. When a bound was met
    RV(sources) and RV(reasons) say so.
  - The module never opens a core dump or the memory image of a crash.
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
      - From where on to read, as M(kernel.livepatch.livepatch) returns it, or RV(boot_id), RV(sequence), RV(time),
        RV(taint) and RV(counters) of an earlier run of this module.
      - Without it everything of this boot is read.
      - Files are reported by the second. What was written in the very second of a look belongs to the next one.
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
      time:
        description:
          - The moment in UTC by the clock of the host, for example V(2026-05-04T08:15:00Z).
          - Dumps from before are not reported. If the moment is not known but O(since.boot_id) or O(since.sequence)
            is, core dumps are not looked for, and dumps of the kernel count from an hour before this boot on if
            the host was booted anew, else from this boot on.
        type: str
      taint:
        description:
          - What tainted the kernel then, as a number. Without it no V(untold) event is told of it.
        type: int
      counters:
        description:
          - The kernel's own counts then, as RV(counters). Without them no V(untold) event is told of them.
        type: dict
  kdump_directories:
    description:
      - Where kdump writes, with a directory for each crash. The layouts of C(kexec-tools), C(kdump-utils) (Red Hat,
        SUSE) and C(kdump-tools) (Debian) are known.
      - A directory that does not exist is a normal answer.
    type: list
    elements: path
    default: [/var/crash]
  coredump_directories:
    description:
      - Where core dumps of programs are. The names that C(systemd-coredump) gives are understood, and so are those of
        C(kernel.core_pattern) if it names a file in such a directory with C(%e). Any other file counts as a core
        dump of its name and of the time when it was last changed.
      - Subdirectories are not looked into. A directory that does not exist is a normal answer.
    type: list
    elements: path
    default: [/var/lib/systemd/coredump]
notes:
  - Many hosts let only root read the log of the kernel (C(kernel.dmesg_restrict)), pstore and dumps. Without that right
    these are V(unreadable) in RV(sources), and everything else is reported.
  - C(/sys/fs/pstore) and C(/var/lib/systemd/pstore) are always looked at.
  - The forms of alarms and of the lines about livepatches were seen on kernels 5.10, 6.1, 6.12 and 7.2.
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

- name: Go on only if nothing has happened that did not happen before
  ansible.builtin.assert:
    that: health.events | selectattr('new') | length == 0

- name: Look again, from the last look on
  kernel.livepatch.livepatch_health:
    since:
      boot_id: "{{ health.boot_id }}"
      sequence: "{{ health.sequence }}"
      time: "{{ health.time }}"
      taint: "{{ health.taint }}"
      counters: "{{ health.counters }}"
  become: true

- name: Look at a host that keeps its dumps elsewhere
  kernel.livepatch.livepatch_health:
    since: "{{ applied.since }}"
    kdump_directories: [/srv/crash]
    coredump_directories: [/srv/cores, /var/lib/systemd/coredump]
  become: true
"""

RETURN = r"""
boot_id:
  description: The kernel's random id of this boot.
  returned: success
  type: str
  sample: 0d9ef40f-0f3d-4a8e-9b7a-6fd0f0a6e3c1
time:
  description: When the host was looked at, in UTC, by the clock of the host.
  returned: success
  type: str
  sample: "2026-05-04T08:20:00Z"
uptime_seconds:
  description: Seconds since this boot.
  returned: success
  type: int
  sample: 86400
window_seconds:
  description:
    - Seconds from O(since.time) to RV(time), V(null) when O(since.time) is not known.
    - V(0) when the clock of the host was set back behind O(since.time); RV(reasons) says so.
  returned: success
  type: int
  sample: 300
up_seconds:
  description:
    - How many of these seconds the host was up, as far as known, V(null) when O(since.time) is not known.
    - When the host was booted anew, its time before that counts if a dump or the journal tells when that ended.
  returned: success
  type: int
  sample: 300
rebooted:
  description: Whether O(since.boot_id) was given and is not the present boot.
  returned: success
  type: bool
  sample: false
effective_release:
  description: Release of the kernel and the enabled livepatch.
  returned: success
  type: str
  sample: 6.1.0-56-amd64-hotfix3
enabled:
  description: Name of the topmost enabled livepatch, or V(null).
  returned: success
  type: str
  sample: hotfix3
sequence:
  description:
    - Number of the first record that was not read, to go on from. V(null) when the log could not be opened.
  returned: success
  type: int
  sample: 1042
events:
  description: What has happened, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(crash) is an unexpected boot or a kernel panic, V(coredump) is a program that dumped core. V(untold) is what the
          kernel has counted or marked since O(since), and nothing tells of; C(text) says what is known. The others are as
          the kernel calls them.
      type: str
      sample: warning
      choices: [crash, oops, bug, warning, lockup, rcu_stall, hung_task, module_refused, untold, coredump]
    time:
      description: When, in UTC, by the clock of the host.
      type: str
      sample: "2026-05-04T08:15:00Z"
    age_seconds:
      description:
        - How many seconds before RV(time) that was. With it others place the event on a clock of their own.
        - V(0) for what lies in the future by the clock of the host; RV(reasons) says so.
      type: int
      sample: 300
    sequence:
      description: Number of the first record of the alarm in the log of the kernel, V(null) from other sources.
      type: int
      sample: 1017
    signature:
      description:
        - Kind and function, the same each time that the same happens. Where there is no function it is the message
          without its numbers.
        - The signature of a crash is that of the panic, or of the alarm that led to it, for example
          V(crash:ext4_evict_inode); V(crash:reboot) when nothing but the new boot is known; V(crash:kdump),
          V(crash:pstore) and V(crash:systemd-pstore) when a dump tells no reason. That of a core dump is V(coredump:)
          and the name of the program. That of V(untold) names the counter, or what taints the kernel, for example
          V(untold:oops_count) or V(untold:taint_D).
      type: str
      sample: warning:ext4_evict_inode
    text:
      description: First line of the alarm, at most 200 characters.
      type: str
      sample: "WARNING: CPU: 0 PID: 123 at fs/ext4/inode.c:19 ext4_evict_inode+0x117/0x1a8 [ext4]"
    source:
      description: Where it was read. V(boot) is the boot id, V(kmsg) the log of the kernel, V(counters) and V(taint) are what
        RV(counters) and RV(taint) tell.
      type: str
      sample: kmsg
      choices: [boot, kmsg, journal, kdump, pstore, systemd-pstore, coredump, counters, taint]
    effective_release:
      description:
        - What ran at that moment, by the lines of the kernel about its livepatches, or what runs now if its log has no
          such line. A moment in a transition belongs to the livepatch in transition.
        - For a moment before this boot it is read from the dump, or from the journal. V(null) when it is not known.
      type: str
      sample: 6.1.0-56-amd64-hotfix3
    new:
      description:
        - Whether the signature was not there before the window. V(false) for those of RV(known_signatures).
        - Always V(true) for V(untold), as nobody knows whether it is what was counted before. RV(signatures) and
          RV(known_signatures) say how often that was.
      type: bool
      sample: true
events_left_out:
  description: Number of events beyond the first 50.
  returned: success
  type: int
  sample: 0
signatures:
  description:
    - How often each signature came in the window, C(count), and of how many seconds of it the log still tells, C(seconds).
      At most the 50 most frequent ones.
    - Alarms of one signature within ten seconds of the first of them count once, as many come in bursts. Of V(untold) it
      is what was counted.
    - With RV(known_signatures) it says whether something comes more often than before.
  returned: success
  type: dict
  sample: {"warning:ext4_evict_inode": {"count": 3, "seconds": 300}}
known_signatures:
  description:
    - The same for the alarms that the log of this boot still has from before O(since.sequence), at most 50. Such an alarm
      is not the doing of what was changed then, if it comes no more often. Also what was counted before, as V(untold).
  returned: success
  type: dict
  sample: {"warning:ext4_evict_inode": {"count": 40, "seconds": 86400}}
taint:
  description: What taints the kernel, as a number. V(null) where it cannot be read.
  returned: success
  type: int
  sample: 4096
counters:
  description: The kernel's own counts since this boot. V(null) where it has none.
  returned: success
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
unseen:
  description:
    - Kinds of alarm that may have come since O(since) though nothing tells of them. All where the log of the kernel could not
      be read to its end. Where it has lost records, and the journal does not have them, those that this kernel does not
      count and whose taint was there before. Empty where an alarm would have been seen.
  returned: success
  type: list
  elements: str
  sample: []
sources:
  description:
    - How far each source of evidence could be read. V(read), as far as wanted. V(absent), there is none, or it was not
      needed. V(lost), records were gone before they could be read. V(truncated), a bound was met. V(unreadable), it
      could not be read.
  returned: success
  type: dict
  contains:
    kmsg:
      description:
        - The log of the kernel. V(read), all records from O(since.sequence) on. V(lost), the kernel had overwritten
          some before they were read. V(truncated), a bound was met, and the oldest or the last of them were not looked at.
      type: str
      sample: read
      choices: [read, lost, truncated, unreadable]
    journal:
      description: The kernel's messages in the journal of systemd. V(absent) also when it was not asked.
      type: str
      sample: absent
      choices: [read, absent, truncated, unreadable]
    kdump:
      description: The directories in O(kdump_directories).
      type: str
      sample: absent
      choices: [read, absent, truncated, unreadable]
    pstore:
      description: C(/sys/fs/pstore) and C(/var/lib/systemd/pstore).
      type: str
      sample: read
      choices: [read, absent, truncated, unreadable]
    coredump:
      description: The directories in O(coredump_directories).
      type: str
      sample: read
      choices: [read, absent, truncated, unreadable]
reasons:
  description:
    - Why a source could not be read in full, and what is wrong with the clock, in words.
  returned: success
  type: list
  elements: str
  sample: []
error:
  description: V(bad_option), O(since.time) is no moment in UTC.
  returned: failure
  type: str
  sample: bad_option
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._health import boot_log, health

ARGUMENTS = dict(
    since=dict(
        type="dict",
        options=dict(
            boot_id=dict(type="str"),
            sequence=dict(type="int"),
            time=dict(type="str"),
            taint=dict(type="int"),
            counters=dict(type="dict"),
        ),
    ),
    kdump_directories=dict(type="list", elements="path", default=["/var/crash"]),
    coredump_directories=dict(type="list", elements="path", default=["/var/lib/systemd/coredump"]),
)


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = health.look(
            module.params["since"] or {},
            kdump_directories=module.params["kdump_directories"],
            coredump_directories=module.params["coredump_directories"],
            journal=lambda boot: boot_log.read_journal(module.run_command, module.get_bin_path, boot),
        )
    except LivepatchError as error:
        module.fail_json(msg=error.message, error=error.code)
    module.exit_json(changed=False, failed=False, **result)


if __name__ == "__main__":
    main()
