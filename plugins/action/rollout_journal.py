# rollout_journal: the entries that playbooks write into the journal themselves.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import time

from ansible.plugins.action import ActionBase
from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages, timeline
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import (
    journal,
    lock,
    looking,
    overrides,
    plan,
    results,
    session,
    view,
)

KINDS = ["slice", "soak", "wait", "rollback", "rolled_back", "keep", "persisted", "end", "override", "read"]
SPEC = {
    "journal": {"type": "path", "required": True},
    "rollout": {"type": "str"},
    "entry": {"type": "str", "required": True, "choices": KINDS},
    "tier": {"type": "int"},
    "slice": {"type": "int"},
    "hosts": {"type": "list", "elements": "str"},
    "reason": {"type": "raw", "default": "asked for"},
    "result": {"type": "str", "choices": ["complete", "waiting", "stopped", "held", "rolled_back"]},
    "seconds": {"type": "int"},
    "override": {"type": "str", "choices": list(overrides.OVERRIDES)},
    "takeover": {"type": "raw"},
}
NEEDED = [
    ("entry", "slice", ["tier", "hosts"]),
    ("entry", "soak", ["tier"]),
    ("entry", "rolled_back", ["hosts"]),
    ("entry", "keep", ["tier"]),
    ("entry", "persisted", ["hosts"]),
    ("entry", "end", ["result"]),
    ("result", "waiting", ["tier"]),
    ("entry", "wait", ["seconds"]),
    ("entry", "override", ["override"]),
]
# What the tasks of a rollback register besides livepatch_result_rollback, which is the livepatch's own.
BESIDES = ("livepatch_result_rollback_package", "livepatch_result_persistence", "livepatch_result_persistence_former")
# How often a waiting controller looks whether somebody has said something.
STEP = 2


class ActionModule(ActionBase):
    """Runs on the controller; needs no connection to the host it is called for."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        unused, args = self.validate_argument_spec(SPEC, required_if=NEEDED)
        if self._task.check_mode and args["entry"] != "read":
            result.update(
                changed=False,
                slice=args["slice"] or 0,
                seconds=0,
                wait=0,
                look_at=[],
                keep=[],
                rollback=[],
                serial=[1],
                summary=[],
                progress=[],
                msg="Check mode: nothing is written.",
            )
            return result
        try:
            result.update(_write(values.plain(args), task_vars))
        except RolloutError as error:
            result.update(failed=True, msg=str(error))
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


def _slice(current, args, unused):
    state = current.state
    if state.stop:
        raise RolloutError(messages.stop_message(state, current.path))
    expected = set(state.remaining(args["tier"]))
    strangers = [name for name in args["hosts"] if name not in expected]
    if strangers or not args["hosts"]:
        raise RolloutError(
            f"{strangers[0] if strangers else 'No host'} is not to be patched in tier {args['tier']}: "
            "expected hosts of this tier that have no outcome yet. Take them from the result of rollout_plan."
        )
    number = args["slice"] or state.hosts[args["hosts"][0]]["slice"]
    current.add([{"kind": "slice", "tier": args["tier"], "slice": number, "hosts": args["hosts"]}])
    return {"changed": True, "slice": number, "progress": [], "timeline": timeline.tiers(state, time.time())}


def _soak(current, args, unused):
    """Begin the soak, or go on with it; nothing is looked at while hosts of the tier are still to be patched."""
    state, number, now = current.state, args["tier"], time.time()
    tier = next((tier for tier in state.tiers if tier["number"] == number), None)
    if tier is None:
        raise RolloutError(f"The plan has no tier {number}: expected 1 to {len(state.tiers)}.")
    if state.stop or state.remaining(number):
        return {"changed": False, "seconds": 0, "wait": 0, "look_at": [], "progress": []}
    begins = number not in state.soaks
    if begins:
        until = view.soak_until(state, number, now)
        current.add([{"kind": "soak", "tier": number, "until": journal.now(lambda: until)}])
    left = view.soak_left(current.state, number, now)
    turn = looking.turn(current.state, number, {"verdict": "pass"}, now)
    # A tier without a soak was just looked at, slice by slice: only whoever was not seen since its last one is left.
    look_at = turn["look_at"] if begins and not left else view.to_look_at(current.state)
    return {
        "changed": begins,
        "seconds": left,
        "begins": True,
        "wait": turn["wait"],
        "look_at": look_at,
        "progress": [],
        "timeline": timeline.tiers(current.state, now),
    }


def _wait(current, args, unused):
    """Wait, but not longer than until somebody says something. Whoever lost the lock meanwhile waits no longer either."""
    end = time.monotonic() + args["seconds"]
    beat = time.monotonic() + lock.BEAT
    while time.monotonic() < end:
        if overrides.new(current.path, current.state.overrides):
            break
        lock.living_controller()
        if time.monotonic() >= beat:
            lock.take(current.path, current.owner)
            beat += lock.BEAT
        time.sleep(max(0.0, min(STEP, end - time.monotonic())))
    return {"changed": False, "progress": []}


def _override(args, user):
    """Say something to the controller of a rollout, which may be another process, or one that starts tomorrow."""
    state = _existing(args["journal"]).state
    if state.over:
        raise RolloutError(
            f"The rollout {state.rollout} is {state.ended}: there is nothing left to {args['override']}."
        )
    if args["override"] == "promote" and args["tier"] is None:
        open_tiers = [tier["number"] for tier in state.tiers if tier["number"] not in state.tiers_done]
        args["tier"] = open_tiers[0] if open_tiers else None
    said = args["override"], args["reason"], args["tier"]
    if overrides.holds(args["journal"], state, *said):
        return {"changed": False, "journal": args["journal"], "progress": [f"{args['override']}: said before, with the same reason"]}
    overrides.say(args["journal"], args["override"], user, args["reason"], args["tier"])
    when = "when it is run again" if state.ended else "at its next slice or look"
    words = f"{args['override'].replace('_', ' ')} by {user}: {args['reason']}; the rollout takes it {when}"
    return {"changed": True, "journal": args["journal"], "progress": [words]}


def _rollback(current, args, unused):
    """Write-ahead: which hosts are about to go back."""
    targets = view.to_roll_back(current.state)
    names = [target["host"] for target in targets]
    if names:
        current.add([{"kind": "rollback", "hosts": names, "reason": values.reason(args["reason"], "reason")}])
    progress = [f"rolling back {len(names)} hosts: {args['reason']}" if names else "no host is to be rolled back"]
    size = values.count_or_share(current.state.parameters["slice"], "slice")
    return {
        "changed": bool(names),
        "rollback": targets,
        "serial": plan.slices(len(names), size) or [1],
        "progress": progress,
    }


def _rolled_back(current, args, hostvars):
    def result(name):
        # A task that failed says why; the livepatch is what counts otherwise.
        besides = [hostvars[name].get(register) or {} for register in BESIDES]
        bad = [one for one in besides if one.get("failed") or one.get("unreachable")]
        return values.plain(bad[0] if bad else hostvars[name].get("livepatch_result_rollback") or {})

    found = results.of_rollback(current.state, args["hosts"], result)
    current.add(found)
    failed = [entry for entry in found if entry["outcome"] == "rollback_failed"]
    progress = [f"rolled back {len(found) - len(failed)} of {len(found)} hosts"]
    progress += [f"{entry['host']} is not rolled back: {entry['reason']}" for entry in failed]
    return dict(messages.report(current.state, current.path), changed=True, progress=progress)


def _keep(current, args, unused):
    return {"changed": False, "keep": view.to_keep(current.state, args["tier"]), "progress": []}


def _persisted(current, args, hostvars):
    answers = {name: values.plain(hostvars[name].get("livepatch_result_persistence") or {}) for name in args["hosts"]}
    entry = results.of_persistence(answers)
    current.add([entry])
    progress = [f"{len(entry['hosts'])} of {len(answers)} hosts keep the livepatch over reboots"]
    return {"changed": True, "progress": progress + messages.not_persistent_lines(entry["failed"])}


def _end(current, args, unused):
    left = {tier["number"]: tier["name"] for tier in current.state.tiers if tier["number"] not in current.state.tiers_done}
    waiting = args["result"] == "waiting"
    missing = [name for number, name in left.items() if not waiting or number <= args["tier"]]
    if args["result"] in ("complete", "waiting") and (missing or current.state.stop):
        why = "it was stopped" if current.state.stop else f"the gate has not passed tier {', '.join(missing)}"
        raise RolloutError(f"The rollout is not {args['result']}: {why}. Run the same command again.")
    if waiting and not left:
        args["result"] = "complete"
    unfinished = args["result"] == "rolled_back" and view.to_roll_back(current.state)
    changed = current.state.ended != args["result"] and not unfinished
    if changed:
        current.add([{"kind": "end", "result": args["result"]}])
    current.release()
    report = messages.report(current.state, current.path)
    words = f"waiting, tier {next(iter(left.values()))} is next" if args["result"] == "waiting" else args["result"]
    return dict(report, changed=changed, progress=[f"{words}: {values.count_line(report['counts'])}"])


ENTRIES = {
    "slice": _slice,
    "soak": _soak,
    "wait": _wait,
    "rollback": _rollback,
    "rolled_back": _rolled_back,
    "keep": _keep,
    "persisted": _persisted,
    "end": _end,
}
