# rollout_report: the report of a rollout, as a page and as data.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import time

from ansible.plugins.action import ActionBase
from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import files, rollout_page, rollout_report
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal

SPEC = {
    "journal": {"type": "path", "required": True},
    "page": {"type": "path"},
    "data": {"type": "path"},
}


class ActionModule(ActionBase):
    """Runs on the controller; needs no connection to the host it is called for."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        unused, args = self.validate_argument_spec(SPEC, required_one_of=[("page", "data")])
        try:
            result.update(_write(values.plain(args), self._task.check_mode))
        except RolloutError as error:
            result.update(failed=True, msg=str(error))
        return result


def _write(args, check_mode):
    entries = list(journal.read(args["journal"]))
    if not any(entry["kind"] == "planned" for entry in entries):
        raise RolloutError(
            f"{args['journal']}: expected the journal of a rollout with a finished plan, found "
            f"{'a plan that was never finished' if entries else 'no such file'}. Check livepatch_rollout and livepatch_journal_dir."
        )
    found = rollout_report.report(entries, args["journal"], time.time())
    written = files.write(found, rollout_page.render, args["page"], args["data"], check_mode)
    return {"changed": bool(written), "written": written, "journal": args["journal"], "result": found["result"]}
