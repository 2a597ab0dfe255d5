# rollout_journal: what playbooks write into the journal themselves, and what is said to a rollout from outside.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os

from ansible.plugins.action import ActionBase
from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages, progress
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import (
    answers,
    lock,
    outcomes,
    overrides,
    plan,
    schedule,
    session,
)

KINDS = ["rollback", "rolled_back", "end", "override", "read"]
SPEC = {
    "journal": {"type": "path", "required": True},
    "rollout": {"type": "str"},
    "release": {"type": "str"},
    "entry": {"type": "str", "required": True, "choices": KINDS},
    "hosts": {"type": "list", "elements": "str"},
    "tier": {"type": "int"},
    "reason": {"type": "raw", "default": "asked for"},
    "result": {"type": "str", "choices": ["complete", "waiting", "stopped", "held", "rolled_back"]},
    "override": {"type": "str", "choices": list(overrides.OVERRIDES)},
    "takeover": {"type": "raw"},
}
NEEDED = [
    ("entry", "rolled_back", ["hosts"]),
    ("entry", "end", ["result"]),
    ("result", "waiting", ["tier"]),
    ("entry", "override", ["override"]),
]
# What the tasks of a rollback register besides livepatch_result_rollback, which is the livepatch's own.
BESIDES = ("livepatch_result_rollback_package", "livepatch_result_persistence", "livepatch_result_persistence_former")


class ActionModule(ActionBase):
    """Runs on the controller; needs no connection to the host it is called for."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        unused, args = self.validate_argument_spec(SPEC, required_if=NEEDED)
        if self._task.check_mode and args["entry"] != "read":
            result.update(changed=False, rollback={}, hosts=[], serial=[1], summary=[], msg="Check mode: nothing is written.")
            return result
        try:
            found = _write(values.plain(args), task_vars)
        except RolloutError as error:
            result.update(failed=True, msg=str(error))
            return result
        for line in found.pop("progress"):
            self._display.display(progress.line(line))
        result.update(found)
        return result


def _write(args, task_vars):
    if args["rollout"] is not None:
        # It may come from an alert, and the journal's path was made of it.
        values.name(args["rollout"], "rollout")
    if args["entry"] == "read":
        return _read(args["journal"])
    owner = lock.controller(task_vars)
    if args["entry"] == "override":
        return _override(args, owner["user"])
    takeover = values.own_words(args["takeover"], "livepatch_takeover")
    with session.existing(args["journal"], owner, takeover) as current:
        result = ENTRIES[args["entry"]](current, args, task_vars["hostvars"])
        return dict(result, progress=current.notes + result["progress"])


def _read(path):
    current = _existing(path)
    return dict(messages.report(current.state, path), changed=False, progress=[])


def _existing(path):
    """Read without the lock: looking is allowed while another controller works."""
    if not os.path.isfile(path):
        raise RolloutError(
            f"There is no journal {path}: expected the journal of a rollout; check livepatch_rollout and livepatch_journal_dir."
        )
    current = session.Session(path, None, dry=True)
    if current.state.tiers is None:
        raise RolloutError(f"The journal {path} has no finished plan, so no host was touched.")
    return current


def _override(args, user):
    """Say something to the controller of a rollout, which may be another process, or one that starts tomorrow."""
    state = _existing(args["journal"]).state
    if state.over or state.ended == "rolled_back":
        raise RolloutError(
            f"The rollout {state.rollout} is {state.ended}: there is nothing left to {args['override']}."
        )
    if args["override"] == "promote" and args["tier"] is None:
        args["tier"] = state.open_tier
    said = args["override"], args["reason"], args["tier"]
    if overrides.holds(args["journal"], state, *said):
        return {"changed": False, "journal": args["journal"], "progress": [f"{args['override']}: said before, with the same reason"]}
    overrides.say(args["journal"], args["override"], user, args["reason"], args["tier"])
    when = "when it is run again" if state.ended else "at its next slice or look"
    words = f"{args['override'].replace('_', ' ')} by {user}: {args['reason']}; the rollout takes it {when}"
    return {"changed": True, "journal": args["journal"], "progress": [words]}


def _rollback(current, args, hostvars):
    """Write-ahead: which hosts are about to go back. From now on nobody is patched."""
    state = current.state
    if args["release"] not in (None, state.release):
        raise RolloutError(
            f"The rollout {state.rollout} is of release {state.release}, not {args['release']}: expected the release that is to be "
            f"rolled back. Nothing was touched. Give livepatch_release={state.release}."
        )
    names = state.to_roll_back(hostvars)
    gone = outcomes.of_rollback(state, names, lambda name: {}, inventory=hostvars)
    gone = [entry for entry in gone if entry["outcome"] == "gone"]
    if names:
        current.add([{"kind": "rollback", "hosts": names, "reason": values.reason(args["reason"], "reason")}, *gone])
    targets = schedule.to_roll_back(current.state)
    size = values.count_or_share(state.parameters["slice"], "slice")
    progress = [f"rolling back {len(targets)} hosts: {args['reason']}" if targets else "no host is to be rolled back"]
    progress += [f"{entry['host']} {entry['reason']}" for entry in gone]
    return {
        "changed": bool(names),
        "hosts": [target["host"] for target in targets],
        "rollback": {target["host"]: target for target in targets},
        "serial": plan.slices(len(targets), size) or [1],
        "progress": progress,
    }


def _rolled_back(current, args, hostvars):
    """Write what came of the hosts of the slice that was just rolled back."""

    def result(name):
        # A task that failed says why; the livepatch is what counts otherwise.
        besides = [_checked(hostvars[name], register) for register in BESIDES]
        bad = [one for one in besides if one.get("failed") or one.get("unreachable")]
        return bad[0] if bad else _checked(hostvars[name], "livepatch_result_rollback")

    found = outcomes.of_rollback(current.state, args["hosts"], result, inventory=hostvars)
    current.add(found)
    failed = [entry for entry in found if entry["outcome"] == "rollback_failed"]
    progress = [f"rolled back {len(found) - len(failed)} of {len(found)} hosts"]
    progress += [f"{entry['host']} is not rolled back: {entry['reason']}" for entry in failed]
    return {"changed": True, "progress": progress}


def _checked(variables, register):
    return answers.result(values.plain(variables.get(register) or {}))


def _end(current, args, unused):
    state = current.state
    left = {tier["number"]: tier["name"] for tier in state.tiers or [] if tier["number"] not in state.tiers_done}
    waiting = args["result"] == "waiting"
    missing = [name for number, name in left.items() if not waiting or number <= args["tier"]]
    if args["result"] in ("complete", "waiting") and (missing or state.stop):
        why = "it was stopped" if state.stop else f"the gate has not passed tier {', '.join(missing)}"
        raise RolloutError(f"The rollout is not {args['result']}: {why}. Run the same command again.")
    if waiting and not left:
        args["result"] = "complete"
    unfinished = args["result"] == "rolled_back" and state.to_roll_back()
    changed = state.ended != args["result"] and not unfinished
    if changed:
        current.add([{"kind": "end", "result": args["result"]}])
    current.release()
    report = messages.report(current.state, current.path)
    words = f"waiting, tier {left[min(left)]} is next" if args["result"] == "waiting" else args["result"]
    return dict(report, changed=changed, progress=[f"{words}: {values.count_line(report['counts'])}"])


ENTRIES = {
    "rollback": _rollback,
    "rolled_back": _rolled_back,
    "end": _end,
}
