#!/usr/bin/python
#
# Tells what patches a host by itself, and holds it back for a while.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: livepatch_automation
short_description: Tell what patches a host by itself, and hold it back for a while
version_added: 0.1.0
author:
  - kernel.livepatch contributors (@kernel-livepatch)
description:
  - Tells which timers, cron jobs and plugins of dnf install livepatches or updates on a host without being asked.
  - With O(hold) what systemd timers start does nothing until that time is over, the host boots, or it is given back. The
    timers stay enabled and go on; only C(/run) is written to.
  - A cron job cannot be held back. A run that has begun already is not ended, and a warning tells of it.
  - All that a held service would install waits, not livepatches alone.
extends_documentation_fragment:
  - kernel.livepatch.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  hold:
    description:
      - For how many seconds to hold it back, 30 days at most. V(0) gives back what is held, and without it the host is only
        looked at.
      - A hold of which more than nine tenths of this time are left stays as it is.
    type: int
requirements:
  - systemd 243 or later on the target, to hold something back
  - Python 3.6 or later on the target
seealso:
  - module: kernel.livepatch.livepatch_facts
notes:
  - On failure RV(error) is one of V(not_held), V(not_permitted), V(write_failed), V(systemctl_failed), V(unreadable),
    V(insecure_path), V(bad_option).
"""

EXAMPLES = r"""
- name: Tell what patches the host by itself
  kernel.livepatch.livepatch_automation:
  become: true

- name: Hold it back for four hours
  kernel.livepatch.livepatch_automation:
    hold: 14400
  become: true

- name: Give it back
  kernel.livepatch.livepatch_automation:
    hold: 0
  become: true
"""

RETURN = r"""
automation:
  description:
    - What patches the host by itself, as RV(kernel.livepatch.livepatch_facts#module:ansible_facts.livepatch.automation) has it.
  returned: success
  type: list
  elements: dict
held:
  description: The timers whose services are held back from now on.
  returned: success
  type: list
  elements: str
held_until:
  description: Until when, ISO 8601 in UTC, by the host's clock; V(null) where nothing is held back.
  returned: success
  type: str
  sample: "2026-05-04T08:15:00Z"
not_held:
  description: What cannot be held back although O(hold) asks for it, cron jobs mostly.
  returned: success
  type: list
  elements: str
diff:
  description: C(before) and C(after), each with the C(services) that are held back and C(until) when.
  returned: success
  type: dict
error:
  description: A code for the reason, see the notes.
  returned: on failure
  type: str
  sample: not_held
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages.hold import LONGEST, Run


def main():
    module = AnsibleModule(argument_spec=dict(hold=dict(type="int")), supports_check_mode=True)
    hold = module.params["hold"]
    if hold is not None and not 0 <= hold <= LONGEST:
        module.fail_json(
            error="bad_option", msg="hold: expected 0 to %d seconds, found %d. Give seconds." % (LONGEST, hold)
        )
    module.run_command_environ_update = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "C"}
    run = Run(hold, module.run_command, module.check_mode)
    try:
        result = run.execute()
    except LivepatchError as error:
        module.fail_json(msg=error.message, error=error.code, **error.details)
    for warning in run.warnings:
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
