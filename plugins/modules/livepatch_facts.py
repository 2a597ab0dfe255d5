#!/usr/bin/python
# What the kernel of a host says about its livepatches, as facts.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: livepatch_facts
short_description: Gathers facts about kernel livepatches
version_added: 0.1.0
description:
  - Returns which livepatches the kernel of a host runs, in one schema for every vendor.
  - It needs no privileges, starts no process and costs the host about as much as M(ansible.builtin.ping), but for
    O(gather), for a host with another livepatch engine, whose program is asked, and for one with a timer that patches it,
    of which C(systemctl) is asked.
  - What a kernel does not have is V(null) and never missing. A host without livepatch support is no error.
extends_documentation_fragment:
  - kernel.livepatch.attributes
  - kernel.livepatch.attributes.facts
options:
  gather:
    description:
      - What to gather besides. Each enabled livepatch costs a question to C(rpm) then, but for V(blockers).
      - V(packages), the package of each livepatch. V(cves), in addition what its changelog says that it mends.
        V(advisories), in addition what the advisories of the repositories say, as the package manager last read them.
      - V(blockers), the tasks that hold a pending transition up, as their stacks tell, which only root may read.
    type: list
    elements: str
    choices: [packages, cves, advisories, blockers]
    default: []
author:
  - kernel.livepatch contributors (@kernel-livepatch)
requirements:
  - Python 3.6 or later on the target
seealso:
  - module: kernel.livepatch.livepatch
"""

EXAMPLES = r"""
- name: Read the livepatches of all hosts
  kernel.livepatch.livepatch_facts:

- name: Read what the livepatches mend
  kernel.livepatch.livepatch_facts:
    gather: [cves, advisories]

- name: Say what each host really runs
  ansible.builtin.debug:
    var: ansible_facts.livepatch.effective_release
"""

RETURN = r"""
ansible_facts:
  description: The facts, under one key.
  returned: success
  type: dict
  contains:
    livepatch:
      description: The kernel's livepatches.
      type: dict
      contains:
        supported:
          description: Whether this kernel can be livepatched.
          type: bool
        kernel_release:
          description: What C(uname -r) prints.
          type: str
          sample: 6.12.107+deb13-amd64
        architecture:
          description: What C(uname -m) prints.
          type: str
          sample: x86_64
        effective_release:
          description: Kernel release plus the topmost enabled livepatch.
          type: str
          sample: 6.12.107+deb13-amd64-hotfix3
        boot_id:
          description: The kernel's name for this boot.
          type: str
        uptime_seconds:
          description: For how long the host has been up, or V(null) where it does not say.
          type: int
        enabled:
          description: Name of the topmost livepatch that all tasks run, or V(null).
          type: str
        patches:
          description: Each livepatch that is enabled or in transition, by name.
          type: dict
          contains:
            enabled:
              description: What the kernel says, also during a transition.
              type: bool
            transition:
              description: Whether tasks are still switching.
              type: bool
            replace:
              description: Whether it replaces all others. V(null) before Linux 6.11.
              type: bool
            stack_order:
              description: Its place among the livepatches; 1 is the oldest.
              type: int
            forced:
              description:
                - V(true) when this collection forced its transition, or one that it took part in, since the boot.
                - Else V(null), as the kernel does not show it.
              type: bool
            objects:
              description:
                - The kernel (C(vmlinux)) and the modules that it changes, each with C(patched) and C(functions).
                - C(patched) is V(null) before Linux 6.1.
              type: dict
            build_id:
              description: Build id of the code in the kernel.
              type: str
            srcversion:
              description: Checksum of the sources, where the build has one.
              type: str
            file:
              description: Its module file where packages put them, or V(null) where there is none.
              type: str
            package:
              description: The installed package that its code comes from, or V(null). Only with O(gather).
              type: str
              sample: klp-6.1.0-56-amd64-hotfix3-1.x86_64
            packaged:
              description:
                - Whether an installed package has the code that runs. V(false) when its package was removed, or replaced by
                  one with other code, or when it was loaded from elsewhere. V(null) without O(gather) or without C(rpm).
              type: bool
            cves:
              description: What it mends, with O(gather=cves) or O(gather=advisories); else V(null).
              type: list
              elements: str
            taint:
              description: The letters that the kernel shows for the module, for example V(OEK).
              type: str
            persistent:
              description: Whether the next boot of this kernel enables its very code, see M(kernel.livepatch.livepatch_persistence).
              type: bool
        inert:
          description: Livepatch modules that are loaded but no longer enabled.
          type: list
          elements: str
        transition:
          description:
            - The pending transition with C(livepatch) and C(direction) (V(patching) or V(unpatching)), or V(null).
            - With O(gather=blockers) also C(blockers), each as M(kernel.livepatch.livepatch) returns it, C(summary), one line
              about them, and C(seconds), for how long it has lasted by the kernel's log; otherwise these are V(null).
          type: dict
          contains:
            livepatch:
              description: Name of the livepatch.
              type: str
            direction:
              description: V(patching) or V(unpatching).
              type: str
        taint:
          description: The kernel's taint.
          type: dict
          contains:
            value:
              description: The number.
              type: int
            flags:
              description: Its letters.
              type: list
              elements: str
        cves:
          description: What the enabled livepatches mend, with O(gather=cves) or O(gather=advisories); else V(null).
          type: dict
          contains:
            covered:
              description: The CVEs, by year and number.
              type: list
              elements: str
            sources:
              description:
                - C(changelog) and C(advisories), each V(read), V(absent), V(truncated) or V(unreadable); C(advisories) is
                  V(null) when it was not asked for. A CVE that is not covered may be mended all the same unless both
                  were read.
              type: dict
        engines:
          description: Other livepatch engines on the host. Livepatches that C(kpatch) loads are not another engine's.
          type: list
          elements: dict
          contains:
            name:
              description: The engine.
              type: str
              choices: [ksplice, kernelcare, canonical, syscare, kpatch_core]
            active:
              description: Whether it has changed the kernel, V(null) when it does not say.
              type: bool
            effective_release:
              description: The kernel that the host effectively runs, by its word, or V(null).
              type: str
        automation:
          description:
            - What installs livepatches or updates on the host without being asked, timers, cron jobs and plugins of dnf, as far
              as the user may read it; cron jobs in the tables of root only root may. See M(kernel.livepatch.livepatch_automation).
          type: list
          elements: dict
          contains:
            by:
              description: The program.
              type: str
              sample: dnf-automatic
            configured_in:
              description: The file that says so.
              type: str
              sample: /etc/dnf/automatic.conf
            timer:
              description:
                - The systemd timer, or the path of the cron job, that starts it. V(null) where it only joins in when somebody
                  else runs dnf.
              type: str
              sample: dnf-automatic-install.timer
            next_run:
              description: When the timer comes next, ISO 8601 in UTC, or V(null).
              type: str
            applies:
              description: What it installs.
              type: str
              choices: [livepatches, security, all]
            held_until:
              description: Until when it is held back, ISO 8601 in UTC, or V(null).
              type: str
        image_based:
          description:
            - Why packages cannot be added to the running system. V(ostree), V(transactional), V(read_only_usr), or
              V(null) when they can.
          type: str
        pending_kernel:
          description: The kernel that boots next when it is not the running one; else V(null).
          type: dict
          contains:
            kernel_release:
              description: Its release.
              type: str
            known_by:
              description: How it is known, see M(kernel.livepatch.livepatch_package).
              type: str
              choices: [boot_loader, link, version]
            livepatches:
              description: The livepatch modules that lie ready for it.
              type: list
              elements: str
        os_family_ids:
          description: The operating system's ID and the IDs it is like, from os-release, in lower case.
          type: list
          elements: str
          sample: [rocky, rhel, centos, fedora]
        boot_guard:
          description:
            - What the last boot did about the livepatch that is persistent, with C(state), C(boots) and C(reason), V(null) where
              nothing is. See M(kernel.livepatch.livepatch_persistence).
          type: dict
error:
  description: V(unreadable), a file in sysfs or proc could not be read although it is there.
  returned: failure
  type: str
  sample: unreadable
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility.kernel_facts import CHOICES, gather


def main():
    module = AnsibleModule(
        argument_spec=dict(gather=dict(type="list", elements="str", choices=list(CHOICES), default=[])),
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "C"}
    try:
        facts = gather(asked=module.params["gather"], run_command=module.run_command)
    except LivepatchError as error:
        module.fail_json(msg=error.message, error=error.code)
    module.exit_json(changed=False, ansible_facts={"livepatch": facts})


if __name__ == "__main__":
    main()
