# rollout_journal: what playbooks write into the journal themselves, and what is said to a rollout from outside.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import time

from ansible.plugins.action import ActionBase
from ansible_collections.kernel.livepatch.plugins.plugin_utils import awx, values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages, progress
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import (
    answers,
    builds,
    journal,
    lock,
    outcomes,
    overrides,
    plan,
    schedule,
    session,
)
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import http

KINDS = ["rollback", "rolled_back", "end", "override", "read"]
SPEC = {
    "journal": {"type": "path", "required": True},
    "rollout": {"type": "str"},
    "release": {"type": "str"},
    "cves": {"type": "raw"},
    "advisory": {"type": "str"},
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
# For how long halt waits for a controller that works to take what was said, in seconds.
TAKEN = 20
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
            found = _write(values.plain(args), task_vars, lambda line: self._display.display(progress.line(line)))
        except RolloutError as error:
            result.update(failed=True, msg=str(error))
            return result
        for line in found.pop("progress"):
            self._display.display(progress.line(line))
        result.update(found)
        if "stats" in found and args["entry"] == "end":
            result["ansible_stats"] = messages.left(found["stats"])
        return result


def _write(args, task_vars, show):
    if args["rollout"] is not None:
        # It may come from an alert, and the journal's path was made of it.
        values.name(args["rollout"], "rollout")
    if args["entry"] == "read":
        return _read(args["journal"])
    owner = lock.controller(task_vars)
    server, fetch = awx.server(os.environ), http.fetching(_open_url)
    if args["entry"] == "override":
        if args["reason"] == awx.DENIED and awx.is_job(task_vars):
            # Who did not approve, the server knows; the job runs as whoever started the workflow.
            owner["user"], args["reason"] = awx.denial(task_vars, server, fetch)
        return _override(args, owner, show)
    takeover = values.own_words(args["takeover"], "livepatch_takeover")
    with session.existing(args["journal"], owner, takeover, awx.witness(server, fetch)) as current:
        result = ENTRIES[args["entry"]](current, args, task_vars["hostvars"])
        return dict(result, progress=current.notes + result["progress"])


def _open_url(*args, **options):
    # What asks a server takes its time to import, and few rollouts ask one.
    from ansible.module_utils.urls import open_url

    return open_url(*args, **options)


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


def _override(args, owner, show):
    """Say something to the rollouts of a release, or to one by its name; their controllers are other processes.

    Where one works now, wait until it has taken what was said. One that cannot be told keeps no other from hearing it.
    """
    journals = [args["journal"]] if os.path.isfile(args["journal"]) else []
    journals += [path for path in overrides.unfinished(os.path.dirname(args["journal"]), args["rollout"]) if path not in journals]
    if not journals:
        _existing(args["journal"])  # It says that there is none.
    said, names, needless, failed = {}, {}, [], []
    for path in journals:
        try:
            state = session.Session(path, None, dry=True).state
            tier = _tier(state, args)
            why = _needless(state, args["override"], tier)
            needless += [why] if why else []
            if not why:
                said[path], words = _say(path, state, dict(args, tier=tier), owner["user"])
                names[path] = state.rollout
                show(words)
        except RolloutError as error:
            failed.append(str(error))
    if not said:
        raise RolloutError((failed or needless)[0])
    for line in needless + failed:
        show(line)
    taken = {path: one["id"] for path, one in said.items() if lock.holder(path, owner)}
    missed = _wait_taken(taken)
    for path in taken:
        show(
            f"{names[path]}: its controller has not taken it yet, as it patches a slice; no further one is begun before it does"
            if path in missed
            else f"{names[path]}: its controller has taken it"
        )
    if failed:
        raise RolloutError(f"Not every rollout could be told, only {', '.join(names.values())}. {failed[0]}")
    return {
        "changed": any(one["new"] for one in said.values()),
        "journal": next(iter(said)),
        "journals": list(said),
        "taken": bool(taken) and not missed,
        "progress": [],
    }


def _tier(state, args):
    """Return the number (int) of the tier that is meant, None for none. When the rollout takes it, another one may be open."""
    return state.open_tier if args["override"] == "promote" and args["tier"] is None else args["tier"]


def _needless(state, override, tier):
    """Return why (str) there is no need to say this to a rollout, None where there is."""
    if state.over or state.ended == "rolled_back":
        return f"The rollout {state.rollout} is {state.ended}: there is nothing left to {override}."
    why = state.without_effect({"override": override, "tier": tier})
    return why and f"{state.rollout}: {override} would do nothing, as {why}. Expected a tier that has not passed."


def _say(path, state, args, user):
    """Say it to one rollout; return ({id, new}, what a person is told of it)."""
    known = overrides.holds(path, state, args["override"], args["reason"], args["tier"])
    what = f"{state.rollout}: {args['override']}"
    if known:
        return {"id": known, "new": False}, f"{what}: said before, with the same reason, or more than that"
    identity = overrides.say(path, args["override"], user, args["reason"], args["tier"])
    when = "when it is run again" if state.ended else "at its next slice or look"
    return {"id": identity, "new": True}, f"{what} by {user}: {args['reason']}; the rollout takes it {when}"


def _wait_taken(said):
    """Return the journals (list of paths) whose controllers have not taken what was said ({path: id}) in TAKEN seconds."""
    end = time.monotonic() + TAKEN
    left = dict(said)
    while left and time.monotonic() < end:
        left = {path: one for path, one in left.items() if not overrides.is_taken(journal.read(path), one)}
        if left:
            time.sleep(1)
    return list(left)


def _rollback(current, args, hostvars):
    """Write-ahead: which hosts are about to go back. From now on nobody is patched."""
    state = current.state
    given = next(iter(messages.given(state).items()))
    asked = {name: args.get(name) for name in ("release", "cves", "advisory")}
    word = builds.wanted(**asked).word if any(asked.values()) else None
    if word is not None and builds.rollout_name(word) != builds.rollout_name(state.release):
        raise RolloutError(
            f"The rollout {state.rollout} is of release {state.release}, not {word}: expected the release that is to be "
            f"rolled back. Nothing was touched. Give {given[0]}={given[1]}."
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
