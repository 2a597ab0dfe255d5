#!/usr/bin/python
#
# Counts how often the functions are called that a livepatch changes.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: livepatch_profile
short_description: Count how often the functions of a livepatch are called
version_added: 0.1.0
author:
  - kernel.livepatch contributors (@kernel-livepatch)
description:
  - Says whether a livepatch changes hot functions, before it is loaded (O(path)) and while it runs.
  - Each function gets a kprobe for O(seconds), in an instance of tracefs that records nothing, so that only a counter moves. The
    probes are taken away however the module ends; what a run that was killed has left is removed by the next one.
  - It ends early when 2 million calls were counted, as counting a very hot function costs the machine something.
  - Of a name that several functions have nothing is counted, as the kernel would count any one of them.
  - Where another tracer is active nothing is done. Nobody calls this module by itself, least of all a rollout.
extends_documentation_fragment:
  - kernel.livepatch.attributes
attributes:
  check_mode:
    support: full
    details:
      - Names the functions and counts nothing.
  diff_mode:
    support: none
    details:
      - Nothing is changed.
options:
  name:
    description: The livepatch, as it is called in C(/sys/kernel/livepatch). By default all that are enabled or in transition.
    type: str
  path:
    description: The module file of a livepatch that need not be loaded, instead of O(name).
    type: path
  seconds:
    description: For how long to count, 1 to 60.
    type: int
    default: 5
requirements:
  - Python 3.6 or later on the target
  - tracefs mounted and CONFIG_KPROBE_EVENTS on the target
seealso:
  - module: kernel.livepatch.livepatch_preflight
notes:
  - On failure RV(error) is one of V(not_permitted), V(tracefs_missing), V(tracer_active), V(trace_failed), V(not_found),
    V(bad_option), V(bad_name), V(bad_module_file), V(not_a_livepatch), V(locked), V(unreadable).
"""

EXAMPLES = r"""
- name: See whether the functions that the next livepatch changes are hot
  kernel.livepatch.livepatch_profile:
    path: /root/hotfix3.ko
  become: true
  register: profile

- name: Count for a minute what runs
  kernel.livepatch.livepatch_profile:
    name: hotfix3
    seconds: 60
  become: true
"""

RETURN = r"""
functions:
  description: The functions, the most called first.
  returned: success
  type: list
  elements: dict
  contains:
    object:
      description: V(vmlinux), or the module that it is in.
      type: str
    name:
      description: Name of the function.
      type: str
    calls:
      description: How often it was called, V(null) where that was not counted.
      type: int
    calls_per_second:
      description: The same for a second.
      type: float
    reason:
      description: Why it was not counted, else V(null).
      type: str
seconds:
  description: For how long calls were counted.
  returned: success
  type: float
ended_early:
  description: Whether so many calls were counted that it ended before O(seconds) were over.
  returned: success
  type: bool
error:
  description: A code for the reason, see the notes.
  returned: on failure
  type: str
  sample: tracer_active
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._preflight.profile import run


def main():
    module = AnsibleModule(
        argument_spec=dict(name=dict(type="str"), path=dict(type="path"), seconds=dict(type="int", default=5)),
        mutually_exclusive=[("name", "path")],
        supports_check_mode=True,
    )
    if not 1 <= module.params["seconds"] <= 60:
        module.fail_json(
            error="bad_option", msg="seconds: expected 1 to 60, found %d. Give seconds." % module.params["seconds"]
        )
    try:
        result = run(module.params, module.check_mode)
    except LivepatchError as error:
        module.fail_json(msg=error.message, error=error.code, **error.details)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
