#!/usr/bin/python
# Documentation of rollout_report; the work is done by the action plugin of the same name.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollout_report
short_description: Write the report of a livepatch rollout
version_added: 0.1.0
description:
  - Writes what a journal tells as one self-contained HTML page, and as JSON - the timeline of the tiers, the evidence over time
    against the lines at which the rollout is held and stopped, the events on hosts with and without the livepatch, what people
    said, and what became of each host.
  - The page needs no network and no scripts, and follows the light or dark scheme of the reader.
  - It reads the journal only, so it may be written while the rollout runs. Then it tells of the moment at which it was written.
author:
  - kernel.livepatch contributors (@kernel-livepatch)
options:
  journal:
    description: Path of the journal, as M(kernel.livepatch.rollout_plan) returns it.
    type: path
    required: true
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
  - module: kernel.livepatch.rollout_journal
requirements:
  - Jinja2 on the controller, which Ansible brings
"""

EXAMPLES = r"""
- name: Write the report of a rollout
  kernel.livepatch.rollout_report:
    journal: ~/.local/state/livepatch/hotfix3.jsonl
    page: /var/www/html/hotfix3.html
    data: /var/www/html/hotfix3.json
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
journal:
  description: Path of the journal.
  returned: success
  type: str
result:
  description: What the rollout came to, V(complete), V(stopped), V(held), V(rolled_back) or V(unfinished).
  returned: success
  type: str
written:
  description: The files that were written, or would be.
  returned: success
  type: list
  elements: str
"""
