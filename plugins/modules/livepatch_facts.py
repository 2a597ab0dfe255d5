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
  - It needs no privileges, starts no process and costs the host about as much as M(ansible.builtin.ping).
  - What a kernel does not have is V(null) and never missing. A host without livepatch support is no error.
extends_documentation_fragment:
  - kernel.livepatch.attributes
  - kernel.livepatch.attributes.facts
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

- name: Say what each host really runs
  ansible.builtin.debug:
    var: ansible_facts.livepatch.effective_release
"""

RETURN = r"""
ansible_facts:
  description: The facts, under one key.
  returned: always
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
              description: Always V(null). The kernel does not show it.
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
            package:
              description: Always V(null) here. Finding it would need a process.
              type: str
            taint:
              description: The letters that the kernel shows for the module, for example V(OEK).
              type: str
            persistent:
              description: Always V(null) here. Finding it would need a process.
              type: bool
        inert:
          description: Livepatch modules that are loaded but no longer enabled.
          type: list
          elements: str
        transition:
          description: The pending transition, or V(null).
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
        os_family_ids:
          description: The operating system's ID and the IDs it is like, from os-release, in lower case.
          type: list
          elements: str
          sample: [rocky, rhel, centos, fedora]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kernel.livepatch.plugins.module_utils._facts import gather


def main():
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.exit_json(changed=False, ansible_facts={"livepatch": gather()})


if __name__ == "__main__":
    main()
