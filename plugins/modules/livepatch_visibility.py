#!/usr/bin/python
#
# Makes the livepatches of a host visible to every program on it, and keeps that true.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: livepatch_visibility
short_description: Tell every program on a host which livepatches run
version_added: 0.1.0
author:
  - kernel.livepatch contributors (@kernel-livepatch)
description:
  - Writes C(/run/livepatch/active), one line for each livepatch (name, state, build id, with tabs between them), and
    C(/run/livepatch/effective-release), one line such as V(6.12.107+deb13-amd64-hotfix3). Their time is that of the last change.
  - With O(textfile_directory) it also writes C(livepatch.prom) for node_exporter's textfile collector.
  - With O(fact) it installs C(livepatch.fact), so that C(ansible_local.livepatch) holds what
    M(kernel.livepatch.livepatch_facts) returns, also for controllers without this collection. It is made of the same code.
  - C(livepatch-publish.timer) writes these files at boot and once a minute. From then on M(kernel.livepatch.livepatch) does so
    too, at once, with every change that it makes.
  - Only C(/etc), C(/run) and O(textfile_directory) are written to.
extends_documentation_fragment:
  - kernel.livepatch.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  state:
    description: V(present) installs and starts it, V(absent) removes all of it.
    type: str
    choices: [present, absent]
    default: present
  fact:
    description: Whether C(livepatch.fact) is installed. V(false) removes it.
    type: bool
    default: true
  fact_directory:
    description: Where M(ansible.builtin.setup) looks for it, see C(fact_path) there.
    type: path
    default: /etc/ansible/facts.d
  textfile_directory:
    description:
      - The directory that node_exporter reads (C(--collector.textfile.directory)), which must be there, for example
        C(/var/lib/prometheus/node-exporter) on Debian. By default no metrics are written.
    type: path
  netconsole_targets:
    description:
      - Where netconsole sends the messages of the kernel. Each of these targets is set up and switched on, and those that were
        set up by this module before and are not in the list are removed. Unset leaves them as they are.
      - A network interface that is down is not brought up for it, which is RV(error=netconsole_failed).
      - Every message of every target, also of those that others have set up, then ends with C(livepatch=) and the livepatches
        that run. That needs Linux 6.9. Before that a line in the log, C(livepatch-marker), tells of each change, as nothing better
        is supported there. RV(netconsole) says which it is.
      - An empty list sets up no target, and has the messages of those that are there carry it.
      - O(netconsole_targets) are checked on the controller with P(kernel.livepatch.netconsole_targets#filter).
    type: list
    elements: dict
    suboptions:
      name:
        description: Its name in configfs is C(livepatch-) and this.
        type: str
        required: true
      dev_name:
        description: The network interface.
        type: str
        default: eth0
      local_ip:
        description: Address to send from. By default that of the interface.
        type: str
      local_port:
        description: Port to send from.
        type: int
        default: 6665
      remote_ip:
        description: Address to send to, IPv4 or IPv6.
        type: str
        required: true
      remote_port:
        description: Port to send to.
        type: int
        default: 6666
      remote_mac:
        description: MAC address of the receiver, or of the router to it. By default messages go to all of the network.
        type: str
requirements:
  - Python 3.6 or later on the target
  - systemd 229 or later on the target, to keep the files true after a reboot and after changes by other programs
seealso:
  - module: kernel.livepatch.livepatch_facts
  - module: ansible.builtin.setup
notes:
  - On a host without systemd RV(kept_by) is V(null), with a warning.
  - On failure RV(error) is one of V(not_found), V(not_permitted), V(write_failed), V(systemctl_failed), V(unreadable),
    V(bad_option), V(netconsole_missing), V(netconsole_failed), V(insecure_path).
  - What root runs or reads must be root's alone. V(insecure_path) names a directory that others can write to, or says that no
    Python was found that only root can change; a Python that others can change is passed over for that of the system.
"""

EXAMPLES = r"""
- name: Show the livepatch to programs and to facts
  kernel.livepatch.livepatch_visibility:
  become: true

- name: Show it to Prometheus as well
  kernel.livepatch.livepatch_visibility:
    textfile_directory: /var/lib/prometheus/node-exporter
  become: true

- name: Have every message of netconsole tell which livepatch runs
  kernel.livepatch.livepatch_visibility:
    netconsole_targets:
      - name: dc1
        remote_ip: 192.0.2.10
  become: true

- name: Take all of it back
  kernel.livepatch.livepatch_visibility:
    state: absent
  become: true
"""

RETURN = r"""
effective_release:
  description: Kernel release plus the topmost enabled livepatch.
  returned: success
  type: str
  sample: 6.12.107+deb13-amd64-hotfix3
active:
  description: The lines of C(/run/livepatch/active), as the host is now.
  returned: success
  type: list
  elements: str
kept_by:
  description: What keeps the files true from now on, C(livepatch-publish.timer) or V(null).
  returned: success
  type: str
netconsole:
  description:
    - The targets of netconsole with C(name), C(enabled), C(remote_ip) and C(how) - V(userdata) where each message tells which
      livepatch runs, V(marker) where only the log is told of changes, V(null) for a target that is off.
    - V(null) without O(netconsole_targets).
  returned: success
  type: list
  elements: dict
diff:
  description: C(before) and C(after), each with the C(files) that differ and the C(netconsole_targets) of this module.
  returned: success
  type: dict
error:
  description: A code for the reason, see the notes.
  returned: on failure
  type: str
  sample: not_found
"""

import sys

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import fact_program
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility.visibility import Run

TARGET = dict(
    name=dict(type="str", required=True),
    dev_name=dict(type="str", default="eth0"),
    local_ip=dict(type="str"),
    local_port=dict(type="int", default=6665),
    remote_ip=dict(type="str", required=True),
    remote_port=dict(type="int", default=6666),
    remote_mac=dict(type="str"),
)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["present", "absent"], default="present"),
            fact=dict(type="bool", default=True),
            fact_directory=dict(type="path", default="/etc/ansible/facts.d"),
            textfile_directory=dict(type="path"),
            netconsole_targets=dict(type="list", elements="dict", options=TARGET),
        ),
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "C"}
    try:
        python = fact_program.interpreter(sys.executable) if module.params["state"] == "present" else sys.executable
        run = Run(module.params, module.run_command, module.check_mode, python)
        result = run.execute()
    except LivepatchError as error:
        module.fail_json(msg=error.message, error=error.code, **error.details)
    for warning in run.warnings:
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
