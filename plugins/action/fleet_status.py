# fleet_status: what the hosts of a fleet run, for a terminal, as a page and as data.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import time

from ansible.plugins.action import ActionBase
from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import files, fleet_page, fleet_status
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import builds, fleet, journal, plays
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states

SPEC = {
    "hosts": {"type": "list", "elements": "str", "required": True},
    "release": {"type": "str"},
    "supported_until": {"type": "raw"},
    "module_pattern": {"type": "str"},
    "journal": {"type": "path"},
    "page": {"type": "path"},
    "data": {"type": "path"},
}


class ActionModule(ActionBase):
    """Runs on the controller; needs no connection to the host it is called for."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        unused, args = self.validate_argument_spec(SPEC)
        try:
            result.update(self._status(values.plain(args), task_vars["hostvars"]))
        except RolloutError as error:
            result.update(failed=True, msg=str(error))
        return result

    def _status(self, args, hostvars):
        fleet.check_names(args["hosts"], hostvars)
        if args["release"]:
            values.name(args["release"], "release")
        raw = {name: _raw(hostvars[name]) for name in args["hosts"]}
        state = states.state(journal.read(args["journal"])) if args["journal"] else None
        wanted, notes = (state.builds if state and state.resolved else None), []
        if args["release"] == builds.NEWEST:
            wanted, notes = self._newest(raw, hostvars, builds.days(args["supported_until"], "livepatch_supported_until"))
        found = fleet_status.status(
            raw, time.time(), args["release"], args["module_pattern"], _reasons(state), wanted, today=journal.now()[:10]
        )
        written = files.write(found, fleet_page.render, args["page"], args["data"], self._task.check_mode)
        return {
            "changed": bool(written),
            "written": written,
            "counts": found["counts"],
            "rows": found["rows"],
            "kernels": found["kernels"],
            "lines": [*fleet_status.lines(found), *notes],
        }

    def _newest(self, raw, hostvars, support):
        """Ask which builds are the newest; return ({key: build entry}, lines for people). Who contradicts each other is said."""
        try:
            what, seen = builds.wanted(builds.NEWEST), fleet.survey(raw, None)
            entries, unused, notes = plays.resolve(self, hostvars, what, seen, time.time(), support, self._display.v)
        except RolloutError as error:
            return {}, [values.words(str(error), 2000)]
        return {builds.key(entry): entry for entry in entries}, notes


def _raw(variables):
    result = variables.get("livepatch_result_facts") or {}
    return {
        "result": values.plain({key: result.get(key) for key in ("unreachable", "failed", "msg")}),
        "facts": values.plain((result.get("ansible_facts") or {}).get("livepatch")),
        "cohort": values.plain(variables.get("livepatch_cohort")),
        "domain": values.plain(variables.get("livepatch_domain")),
    }


def _reasons(state):
    """What a rollout's State tells of hosts that did not get the release: {name: (outcome, reason)}."""
    if state is None:
        return {}
    told = {**state.excluded, **{host.name: host.outcome for host in state.hosts.values() if host.done}}
    return {name: (entry["outcome"], entry.get("reason")) for name, entry in told.items()}
