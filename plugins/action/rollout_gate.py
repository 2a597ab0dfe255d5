# rollout_gate: writes what became of a slice or a look into the journal, and judges.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import getpass
import time

from ansible.plugins.action import ActionBase
from ansible_collections.kernel.livepatch.plugins.plugin_utils import (
    evidence,
    gate,
    lock,
    session,
    summary,
    values,
    view,
)
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError

SPEC = {
    "journal": {"type": "path", "required": True},
    "tier": {"type": "int", "required": True},
    "slice": {"type": "int"},
    "hosts": {"type": "list", "elements": "str", "required": True},
}


class ActionModule(ActionBase):
    """Runs on the controller; needs no connection to the host it is called for."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        unused, args = self.validate_argument_spec(SPEC)
        if self._task.check_mode:
            result.update(
                changed=False,
                verdict="pass",
                reasons=[],
                failures={},
                counts={},
                progress=[],
                msg="Check mode: nothing is judged and nothing is written.",
            )
            return result
        try:
            result.update(_judge(values.plain(args), task_vars["hostvars"]))
        except RolloutError as error:
            result.update(failed=True, msg=str(error))
        return result


def _judge(args, hostvars):
    current = session.existing(args["journal"], lock.controller(getpass.getuser()))
    tier = next((tier for tier in current.state.tiers if tier["number"] == args["tier"]), None)
    if tier is None:
        raise RolloutError(f"The plan has no tier {args['tier']}: expected 1 to {len(current.state.tiers)}.")
    left = current.state.remaining(args["tier"])
    if args["slice"] is None and left and not current.state.stop:
        raise RolloutError(
            f"{len(left)} hosts of tier {tier['name']} have no outcome yet ({', '.join(left[:gate.NAMED_HOSTS])}): "
            "expected the whole tier to be patched before its verdict. Run the same command again."
        )
    found = _found(current.state, args, hostvars)
    current.add(found)
    verdict = gate.judge(current.state, args["tier"], args["slice"])
    passed = args["slice"] is None and verdict["verdict"] == "pass"
    current.add([verdict] + ([{"kind": "tier_done", "tier": args["tier"]}] if passed else []))
    return _result(current, tier, args["slice"], verdict, found)


def _found(state, args, hostvars):
    if args["slice"] is not None:
        return evidence.of_slice(state, args["hosts"], _results(hostvars, evidence.REGISTERED), time.time())
    if state.stop:
        return []  # Nobody is looked at after a stop: that says nothing about the patched hosts.
    look = {"look": evidence.REGISTERED["look"]}
    return evidence.of_tier(state, args["hosts"], _results(hostvars, look), time.time())


def _results(hostvars, registered):
    def results(name):
        variables = hostvars[name]
        return {step: values.plain(variables.get(key) or {}) for step, key in registered.items()}

    return results


def _result(current, tier, number, verdict, found):
    outcomes = [entry for entry in found if entry["kind"] == "outcome"]
    counts = {}
    for entry in outcomes:
        counts[entry["outcome"]] = counts.get(entry["outcome"], 0) + 1
    where = f"tier {tier['name']}" + (f", slice {number}: {summary.count_line(counts)}" if number else "")
    result = {
        "changed": True,
        "verdict": verdict["verdict"],
        "reasons": verdict["reasons"],
        "failures": verdict["failures"],
        "counts": gate.counts(current.state),
        "patched": [entry["host"] for entry in outcomes if entry["outcome"] == "patched"],
        "progress": [f"{where}; {reason}" for reason in verdict["reasons"]],
    }
    if verdict["verdict"] == "stop":
        report = view.report(current.state, current.path)
        result.update(
            {key: report[key] for key in ("journal", "stop_message", "rollback", "summary", "table", "stats")}
        )
    return result
