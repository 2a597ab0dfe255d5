#!/usr/bin/python
# Documentation of fleet_status; the work is done by the action plugin of the same name.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: fleet_status
short_description: Show which livepatches the hosts of a fleet run
version_added: 0.1.0
description:
  - Takes what M(kernel.livepatch.livepatch_facts) has registered as C(livepatch_result_facts) on each host, and returns a table of
    cohorts, kernel releases and livepatches, and the hosts that need a person, with the reason.
  - Writes the same as one self-contained HTML page, and as JSON.
  - The playbook C(kernel.livepatch.status) asks the hosts and calls it.
author:
  - kernel.livepatch contributors (@kernel-livepatch)
options:
  hosts:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  release:
    description:
      - The release that the hosts should run. Those that do not are behind.
      - With V(newest) two hosts of each kernel are asked for the newest build that their repositories have, as M(kernel.livepatch.rollout_plan)
        does it. Of a rollout that was begun with V(newest), CVEs or an advisory O(journal) has the builds that hosts should run.
      - Without it every host with a livepatch is current.
    type: str
  supported_until:
    description: A dictionary of kernel releases, each with the day (YYYY-MM-DD) until which it has livepatches, where a person knows better.
    type: raw
  module_pattern:
    description: How the livepatch of the release is called, see M(kernel.livepatch.rollout_plan).
    type: str
  journal:
    description: The journal of a rollout, which tells why hosts are behind.
    type: path
  page:
    description: Where the page is written. Its directory must be there. By default no page is written.
    type: path
  data:
    description: Where the JSON is written, likewise.
    type: path
extends_documentation_fragment:
  - kernel.livepatch.attributes.action
attributes:
  check_mode:
    details:
      - Says whether a file would change.
seealso:
  - module: kernel.livepatch.livepatch_facts
  - module: kernel.livepatch.rollout_report
requirements:
  - Jinja2 on the controller, which Ansible brings
"""

EXAMPLES = r"""
- name: Show what the fleet runs
  kernel.livepatch.fleet_status:
    hosts: "{{ groups.all }}"
    release: hotfix3
    page: /var/www/html/livepatches.html
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
counts:
  description:
    - How many hosts are in which state. The worst that holds gives a host its state - V(unreachable), V(failed), V(unsupported),
      V(stalled) (tasks are still switching to or from a livepatch after 60 seconds), V(switching) (they are, for less),
      V(other_code) (what runs is in no installed package), V(behind), V(unpatched), V(reboot_pending) (another kernel
      boots next), V(elsewhere) (livepatched by another engine), V(current).
  returned: success
  type: dict
rows:
  description: A dict for each C(cohort), C(kernel_release) and C(livepatch), with C(hosts) and C(need), how many of them need a person.
  returned: success
  type: list
  elements: dict
kernels:
  description:
    - Where each kernel has a build of its own, a dict for each C(kernel_release) and C(architecture), with C(hosts), C(runs) (how many
      run which livepatch), C(build) (the package that they should run, or null) and C(built), C(why) (there is none), C(cves) (what it
      mends, and what one of these hosts at least runs is not known to mend), and C(supported_until). Otherwise empty.
  returned: success
  type: list
  elements: dict
lines:
  description: The status for a terminal, with the table and the hosts that need a person.
  returned: success
  type: list
  elements: str
written:
  description: The files that were written, or would be.
  returned: success
  type: list
  elements: str
"""
