#!/usr/bin/python
#
# Makes the livepatch that runs persistent over reboots, or takes that back.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: livepatch_persistence
short_description: Enable a livepatch at boot too, with a guard against crash loops
version_added: 0.1.0
author:
  - kernel.livepatch contributors (@kernel-livepatch)
description:
  - A livepatch that was enabled at run time is gone after a reboot. This module records the livepatch that the kernel runs,
    and installs C(livepatch-boot.service), which enables it early in every later boot of the very same kernel release.
  - Each kernel release has a record of its own. A kernel without one boots without a livepatch, and says so.
  - When two boots in a row have died within O(guard_minutes) of enabling the livepatch, it stays out, and says so.
  - The words V(livepatch.boot=0) or V(kpatch.enable=0) on the kernel command line keep it out for one boot.
  - What C(kpatch.service) would load too is left to C(livepatch-boot.service), which counts boots, as soon as it is persistent,
    and loaded by none of them after O(state=absent). Other files in the directory of C(kpatch) are loaded as ever.
  - Only C(/etc) and C(/var) are written to. C(kpatch) is not needed.
  - One livepatch is kept. Of others that run beside it, and that no boot would enable, a warning tells.
  - What boots must be root's alone. Owner and mode of what this module wrote are put right, a directory on the way that others
    can write to is refused.
extends_documentation_fragment:
  - kernel.livepatch.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  state:
    description:
      - V(present) records the livepatch for the running kernel.
      - V(absent) removes the records that name the livepatch O(name), for all kernels, and without O(name) all records.
        When none is left, what was installed is removed too. The livepatch in the kernel stays.
    type: str
    choices: [present, absent]
    default: present
  name:
    description:
      - Name of the livepatch. By default the topmost one that the kernel runs, and with O(state=absent) all.
      - Its module file is looked up like M(kernel.livepatch.livepatch) does, and in the directory of C(kpatch).
    type: str
  path:
    description: Its module file, instead of O(name). Only root may be able to change it. Where it is a link, what it leads to counts.
    type: path
  package:
    description: The installed RPM that holds it, instead of O(name).
    type: str
  instead_of:
    description:
      - Name of a livepatch that is being rolled back. Records that name it, for any kernel, are removed, and where that is
        the record of the running kernel, the given livepatch takes its place, though it may not run yet.
      - A host on which O(instead_of) is not persistent is left as it is.
    type: str
  guard_minutes:
    description: How long a boot must live with the livepatch to count as one that did not die of it.
    type: int
    default: 10
  clear_guard:
    description: Forget the boots that have died, so that the next boot tries the livepatch again.
    type: bool
    default: false
requirements:
  - systemd 229 or later on the target
  - Python 3.6 or later on the target
seealso:
  - module: kernel.livepatch.livepatch
  - module: kernel.livepatch.livepatch_facts
notes:
  - On failure RV(error) is one of V(no_systemd), V(not_enabled), V(other_code), V(not_a_livepatch), V(vermagic),
    V(insecure_path), V(not_found), V(bad_module_file), V(bad_name), V(bad_option), V(not_permitted), V(write_failed),
    V(systemctl_failed), V(late_mount), V(package_modified), V(package_failed), V(no_module_in_package), V(no_package_manager),
    V(other_kernel).
"""

EXAMPLES = r"""
- name: Keep the livepatch that runs over reboots
  kernel.livepatch.livepatch_persistence:
  become: true

- name: Try the livepatch again at the next boot, after two boots have died with it
  kernel.livepatch.livepatch_persistence:
    clear_guard: true
  become: true

- name: Let no livepatch be enabled at boot
  kernel.livepatch.livepatch_persistence:
    state: absent
  become: true
"""

RETURN = r"""
name:
  description: The livepatch that a boot of the running kernel enables from now on, or V(null).
  returned: success
  type: str
  sample: hotfix3
by:
  description: What enables it, C(livepatch-boot.service), C(kpatch.service), or V(null).
  returned: success
  type: str
kernel_release:
  description: What C(uname -r) prints.
  returned: success
  type: str
livepatches:
  description: What is recorded, by kernel release, each with C(name), C(path) and C(build_id).
  returned: success
  type: dict
boot_guard:
  description:
    - What the last boot did about it, V(null) where nothing was recorded. Check mode does not predict it.
    - M(kernel.livepatch.livepatch_facts) has it too.
  returned: success
  type: dict
  contains:
    state:
      description:
        - V(waiting) for the next boot, V(enabled) at this boot, V(survived) O(guard_minutes) of it, V(stopped),
          V(already) enabled by others.
        - It stayed out because the guard has V(tripped), it was V(switched_off), the host runs an V(other_kernel), its file is
          V(missing) or has V(changed), its boots cannot be counted (V(unguarded)), the kernel V(refused) it, or the boot has
          V(not_started) what enables it.
      type: str
    boots:
      description: How many boots in a row were not known to survive it, this one included.
      type: int
    reason:
      description: The same in words.
      type: str
diff:
  description: C(before) and C(after), each with the C(livepatches), the C(service) and the C(files) that differ.
  returned: success
  type: dict
error:
  description: A code for the reason, see the notes.
  returned: on failure
  type: str
  sample: no_systemd
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kernel.livepatch.plugins.module_utils._boot.persistence import Run
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["present", "absent"], default="present"),
            name=dict(type="str"),
            path=dict(type="path"),
            package=dict(type="str"),
            instead_of=dict(type="str"),
            guard_minutes=dict(type="int", default=10),
            clear_guard=dict(type="bool", default=False),
        ),
        mutually_exclusive=[("name", "path", "package")],
        supports_check_mode=True,
    )
    if not 1 <= module.params["guard_minutes"] <= 1440:
        module.fail_json(
            error="bad_option",
            msg="guard_minutes: expected 1 to 1440, found %d. Give minutes." % module.params["guard_minutes"],
        )
    module.run_command_environ_update = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "C"}
    run = Run(module.params, module.run_command, module.check_mode)
    try:
        result = run.execute()
    except LivepatchError as error:
        module.fail_json(msg=error.message, error=error.code, **error.details)
    for warning in run.warnings:
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
