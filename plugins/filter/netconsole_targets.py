# The filter netconsole_targets: targets as people write them, checked and made uniform.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
name: netconsole_targets
short_description: Check targets of netconsole
version_added: 0.1.0
description:
  - Checks names, addresses and ports of targets for M(kernel.livepatch.livepatch_visibility) on the controller, before any host is
    asked, and returns them with addresses in their usual form.
author:
  - kernel.livepatch contributors (@kernel-livepatch)
positional: _input
options:
  _input:
    description:
      - The targets, each a dict as for O(kernel.livepatch.livepatch_visibility#module:netconsole_targets).
    type: list
    elements: dict
    required: true
requirements:
  - the Python library netaddr on the controller
"""

EXAMPLES = r"""
- name: Send kernel messages to the log host of the datacentre
  kernel.livepatch.livepatch_visibility:
    netconsole_targets: "{{ targets | kernel.livepatch.netconsole_targets }}"
  vars:
    targets:
      - name: dc1
        remote_ip: 192.0.2.10
        remote_mac: 00-11-22-33-44-55
  become: true
"""

RETURN = r"""
_value:
  description: The targets.
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kernel.livepatch.plugins.plugin_utils import netconsole
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError


def netconsole_targets(targets):
    """Return the targets (list of dict) checked."""
    try:
        return netconsole.check(targets)
    except RolloutError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Names of the filters."""

    def filters(self):
        return {"netconsole_targets": netconsole_targets}
