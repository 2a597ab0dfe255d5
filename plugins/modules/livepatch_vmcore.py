#!/usr/bin/python
#
# Tells which livepatches a machine ran when it died, from its crash dump.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: livepatch_vmcore
short_description: Tell from a crash dump which livepatches the machine ran
version_added: 0.1.0
author:
  - kernel.livepatch contributors (@kernel-livepatch)
description:
  - Reads a dump of a kernel's memory, as kdump or a hypervisor makes it, on any host that has drgn, and says which livepatches
    were loaded, enabled or in transition at its end, and what the kernel's log in it tells.
  - With the kernel's debug information everything is read from the kernel's own structures. Without it the log is found by
    VMCOREINFO, which every dump of kdump holds, and says what it can; what it cannot is V(null), and RV(reasons) says why.
  - The dump may be of another machine and of another architecture. It is only read.
extends_documentation_fragment:
  - kernel.livepatch.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - At most one line is added to a file of events.
options:
  path:
    description: The dump.
    type: path
    required: true
  debug_info:
    description:
      - Files with debug information, the kernel's C(vmlinux) first of all. What the dump is not of is passed over.
      - Besides these, drgn looks where packages install it (C(/usr/lib/debug)).
    type: list
    elements: path
    default: []
  time:
    description:
      - When the machine died (ISO 8601, UTC), for a dump that does not say, as a hypervisor's. The time of the file may be that of
        a copy.
    type: str
  host:
    description: The host whose dump it is, as the inventory calls it, for RV(crash).
    type: str
  events_file:
    description:
      - Adds RV(crash) to this file, one JSON object a line, unless it is there. A rollout on this host reads it as evidence by a
        source of O(kernel.livepatch.rollout_gate#module:sources) of type C(events).
      - Needs O(host), and O(time) where the dump does not say it.
    type: path
requirements:
  - Python 3.6 or later on the target
  - drgn (from PyPI, or the packages drgn or python3-drgn of distributions) on the target
seealso:
  - module: kernel.livepatch.livepatch_health
    description: Reads on the host itself what kdump has left there, without opening the dump.
notes:
  - On failure RV(error) is one of V(drgn_missing), V(not_found), V(not_permitted), V(bad_vmcore), V(no_vmcoreinfo),
    V(bad_debug_info), V(unreadable), V(time_unknown), V(not_writable), V(bad_option).
"""

EXAMPLES = r"""
- name: Ask what web1 ran when it died
  kernel.livepatch.livepatch_vmcore:
    path: /srv/crash/web1/127.0.0.1-2026-03-01-10:11:12/vmcore
  register: dump

- name: Let the gate of the rollout know
  kernel.livepatch.livepatch_vmcore:
    path: /srv/crash/web1/127.0.0.1-2026-03-01-10:11:12/vmcore
    host: web1
    events_file: /var/lib/crash-collector/events.jsonl
  delegate_to: localhost
"""

RETURN = r"""
kernel_release:
  description: What C(uname -r) said there.
  returned: success
  type: str
  sample: 6.1.0-50-amd64
build_id:
  description: The kernel's build id, by which debug information is found; V(null) before 5.9.
  returned: success
  type: str
architecture:
  description: The same for C(uname -m), of the machine that died.
  returned: success
  type: str
told_by:
  description: V(debug_info) when the kernel's own structures were read, V(log) when only its log could be.
  returned: success
  type: str
effective_release:
  description: Kernel release with the topmost livepatch that all tasks ran, V(null) when that is not known.
  returned: success
  type: str
  sample: 6.1.0-50-amd64-hotfix2
enabled:
  description: That livepatch; V(null) for none, and when it is not known.
  returned: success
  type: str
patches:
  description:
    - Livepatches that were enabled or in transition, by name, with the keys of the facts that a dump can fill. From the log only the
      topmost one and the one in transition are certain; V(null) when it names none and does not reach back.
  returned: success
  type: dict
inert:
  description: Livepatch modules that were loaded and not enabled, V(null) when that is not known.
  returned: success
  type: list
  elements: str
loaded:
  description: All livepatch modules that were loaded; from the log as its last C(Modules linked in) says, V(null) without one.
  returned: success
  type: list
  elements: str
transition:
  description: The livepatch that was in transition, and its C(direction), V(null) for none, and when that is not known.
  returned: success
  type: dict
  sample: {livepatch: hotfix2, direction: patching}
supported:
  description: Whether the kernel can be livepatched, V(null) when that is not known.
  returned: success
  type: bool
taint:
  description: The kernel's taint, C(value) and the letters of C(flags), V(null) when it is not known.
  returned: success
  type: dict
time:
  description: When the machine died (ISO 8601, UTC).
  returned: success
  type: str
time_of:
  description: Who says that; V(crash) for the dying kernel itself, V(option) for O(time), V(file) for the time of the file.
  returned: success
  type: str
crash:
  description:
    - The crash as an event, with C(host), C(kind), C(time), C(signature), C(text) and the C(effective_release) of that moment;
      V(null) for a dump of a machine that had not crashed.
  returned: success
  type: dict
events:
  description:
    - The last 50 alarms in the log (C(kind), C(seconds) since its boot, C(signature), C(text), and the C(effective_release) of that
      moment).
  returned: success
  type: list
  elements: dict
events_left_out:
  description: How many earlier ones there were.
  returned: success
  type: int
debug_package:
  description: The package that brings the debug information that was missing, V(null) when nothing was missing or nobody knows it.
  returned: success
  type: str
  sample: kernel-debuginfo-5.14.0-427.40.1.el9_4.x86_64
reasons:
  description: What could not be told, and why.
  returned: success
  type: list
  elements: str
error:
  description: A code for the reason, see the notes.
  returned: on failure
  type: str
  sample: no_vmcoreinfo
"""

import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._vmcore.vmcore import run

try:
    import drgn  # pylint: disable=unused-import

    DRGN_ERROR = None
except ImportError:
    DRGN_ERROR = traceback.format_exc()


def main():
    module = AnsibleModule(
        argument_spec=dict(
            path=dict(type="path", required=True),
            debug_info=dict(type="list", elements="path", default=[]),
            time=dict(type="str"),
            host=dict(type="str"),
            events_file=dict(type="path"),
        ),
        required_by=dict(events_file=["host"]),
        supports_check_mode=True,
    )
    if DRGN_ERROR:
        module.fail_json(error="drgn_missing", msg=missing_required_lib("drgn"), exception=DRGN_ERROR)
    try:
        result = run(module.params, module.check_mode)
    except LivepatchError as error:
        module.fail_json(msg=error.message, error=error.code, **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
