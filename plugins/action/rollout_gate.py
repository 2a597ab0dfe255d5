# rollout_gate: waits, looks and judges until a slice may begin, writes what became of it, and ends a run's tiers.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import time

from ansible.plugins.action import ActionBase
from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages, progress, timeline
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import (
    answers,
    automation,
    lock,
    overrides,
    plays,
    run,
    schedule,
    session,
)
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import http, sources

SPEC = {
    "journal": {"type": "path", "required": True},
    "step": {"type": "str", "required": True, "choices": ["open", "close", "finish", "give_back"]},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "last_tier": {"type": "int"},
    "persist": {"type": "bool", "default": True},
    "hold_automation": {"type": "bool", "default": False},
    "timeouts": {"type": "list", "elements": "int", "default": []},
    "packages": {"type": "dict", "default": {}},
    "sources": {"type": "list", "elements": "dict", "default": []},  # not no_log, as in rollout_plan
}
NEEDED = [("step", "open", ["hosts"]), ("step", "finish", ["last_tier"])]
REGISTERED = "livepatch_result_apply"
# How often a waiting controller looks whether somebody has said something.
STEP = 2
LOOK = plays.Nested(
    "Look", "livepatch_health", "since", {name: name for name in ("kdump_directories", "coredump_directories")}
)
KEEP = plays.Nested("Keep over reboots", "livepatch_persistence", "name", {"guard_minutes": "guard_minutes"})
HOLD = plays.Nested("Hold back what patches the host by itself", "livepatch_automation", "hold", {})


class ActionModule(ActionBase):
    """Runs on the controller; needs no connection to the host it is called for."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        unused, args = self.validate_argument_spec(SPEC, required_if=NEEDED)
        if self._task.check_mode:
            result.update(changed=False, open=True, verdict="pass", msg="Check mode: nothing is judged and nothing is written.")
            result["packages"] = values.plain(args["packages"])  # There may be no journal.
            return result
        try:
            result.update(self._work(values.plain(args), task_vars))
        except RolloutError as error:
            result.update(failed=True, msg=str(error))
        return result

    def _work(self, args, task_vars):
        owner = lock.controller(task_vars)
        with lock.ending(), session.existing(args["journal"], owner) as current:
            world = World(self, current, args, task_vars)
            going = run.Run(current, world)
            if args["step"] == "open":
                found = {"open": going.open(args["hosts"])}
                if found["open"]:
                    found["packages"] = _packages(current.state, args["hosts"])
                    # From now on hosts work, and nothing is written until the slice is closed.
                    lock.take(current.path, dict(owner, silence=lock.longest(args["timeouts"], len(args["hosts"]), plays.forks())))
            elif args["step"] == "give_back":
                going.give_back()
                return {"changed": current.changed}
            elif args["step"] == "close":
                found = {"open": going.close(world.results)["verdict"] != "stop"}
            else:
                found = {"passed": going.finish(args["last_tier"])}
                if not found["passed"]:
                    _require_reason(current.state)
            return dict(found, **_result(current))


def _packages(state, names):
    """Return {host: the very package that it gets, by the journal}, of those that do not find that of the release themselves."""
    return {name: state.hosts[name].package for name in names if state.hosts[name].package}


def _require_reason(state):
    """A run that does not go on says why; one that cannot say it has lost hosts on its way."""
    if state.stop or state.held_since is not None:
        return
    left = state.remaining(state.open_tier)
    raise RolloutError(
        f"{len(left)} hosts of tier {state.tier(state.open_tier)['name']} have no outcome yet ({', '.join(left[:judge.NAMED_HOSTS])}), "
        "though nothing holds the rollout back: expected the whole tier to be patched. Run the same command again, it goes on."
    )


def _result(current):
    state = current.state
    verdict = "stop" if state.stop else "hold" if state.held_since is not None else "pass"
    result = {"changed": current.changed, "verdict": verdict, "journal": current.path, "rolls_back": False}
    if verdict == "pass":
        return result
    report = messages.report(state, current.path)
    kept = ("stop_message", "hold_message", "table", "stats", "counts")
    result.update({key: report[key] for key in kept if key in report})
    result["reasons"] = (state.stop or state.verdict)["reasons"]
    result["rolls_back"] = bool(state.aborted and state.aborted["override"] == "rollback")
    return result


class World:
    """What a Run acts through: the clock, the hosts of the inventory, sources of evidence, and the terminal."""

    def __init__(self, action, current, args, task_vars):
        self.action, self.current, self.args, self.hostvars = action, current, args, task_vars["hostvars"]
        self.specs = sources.check(args["sources"])
        self.marks = progress.marks(timeline.tiers(current.state, time.time()))

    def now(self):
        return time.time()

    def wait(self, until):
        """Whoever lost the lock meanwhile waits no longer either."""
        beat = time.monotonic()
        left = schedule.words(max(0, until - time.time()))
        self.action._display.v(f"livepatch: waits for {left}")
        while time.time() < until:
            if overrides.new(self.current.path, self.current.state.overrides):
                break
            lock.living_controller()
            if time.monotonic() >= beat:
                lock.take(self.current.path, dict(self.current.owner, silence=lock.WAITING))
                beat += lock.BEAT
            time.sleep(max(0.0, min(STEP, until - time.time())))

    def look(self, hosts):
        return self._play(LOOK, hosts)

    def keep(self, hosts):
        return self._play(KEEP, hosts) if self.args["persist"] else {}

    def hold(self, hosts):
        """Whoever holds something back gives it back also where nothing is to be held any more."""
        return self._play(HOLD, hosts) if self.args["hold_automation"] or not any(hosts.values()) else {}

    def results(self, name):
        """Return {package, apply, look}: what the one execution that patched a host has said of each, checked."""
        variables = self.hostvars.get(name) if name in self.hostvars else None
        if variables is None:
            return {"apply": {"unreachable": True, "msg": "it is in the inventory no longer"}}
        found = answers.result(values.plain(variables.get(REGISTERED) or {}))
        package = {key: found.get(key) for key in ("outcome", "package", "kernel_release")}
        return {"package": dict(package, before=found.get("package_before")), "apply": found, "look": found.get("health") or {}}

    def sources(self, state):
        if not self.specs:
            return []
        # It takes its time to import, and few rollouts ask a server.
        from ansible.module_utils.urls import open_url

        named = {name: self.hostvars[name] for name in state.hosts if name in self.hostvars}
        addresses = {name: str(found.get("ansible_host") or name) for name, found in named.items()}
        arms = schedule.arms_of(state, addresses)
        since = min((host.planned for host in state.hosts.values()), default=self.now())
        return [sources.read(source, arms, since, self.now(), http.fetching(open_url)) for source in self.specs]

    def tell(self, state, number, verdict, found):
        """Show what is news: where tiers stand, and a verdict with what led to it."""
        while self.current.notes:
            self._line(self.current.notes.pop(0), None)
        stands = timeline.tiers(state, self.now())
        for tier in progress.news(self.marks, stands):
            self._line(tier["line"], tier["mark"])
        self.marks = progress.marks(stands)
        for entry in found:
            if entry["kind"] == "held":
                for line in automation.held_lines(state):
                    self._line(line, None)
            if entry["kind"] == "given_back":
                for line in automation.kept_lines(entry):
                    self._line(line, "hold")
            if entry["kind"] == "persisted":
                whole = len(entry["hosts"]) + len(entry["failed"])
                self._line(f"{len(entry['hosts'])} of {whole} hosts keep the livepatch over reboots", None)
                for line in messages.not_persistent_lines(entry["failed"]):
                    self._line(line, None)
        for line in _verdict_lines(state, number, verdict, found, self.now()):
            self._line(line, verdict["verdict"])

    def _line(self, text, mark):
        self.action._display.display(progress.line(text), color=progress.COLORS.get(mark))

    def _play(self, task, hosts):
        """Run one task (Nested) on other hosts; return {host: checked result}. hosts: see plays.run."""
        known = [name for name in hosts if name in self.hostvars]
        if known:
            # Nothing is written until all of them have answered, or have been given up.
            silence = lock.longest([task.timeout], len(known), plays.forks())
            lock.take(self.current.path, dict(self.current.owner, silence=silence))
        return plays.run(self.action, self.hostvars, task, hosts)


def _verdict_lines(state, number, verdict, found, now):
    if verdict is None:
        return []
    tier = state.tier(number)
    where = f"tier {tier['name']}"
    if verdict["slice"] is not None:
        counts = {}
        for entry in found:
            if entry["kind"] == "outcome":
                counts[entry["outcome"]] = counts.get(entry["outcome"], 0) + 1
        where += f", slice {verdict['slice']}: {values.count_line(counts)}"
    elif not state.stop and number in state.soaks:
        left = schedule.soak_left(state, number, now)
        where += f", {schedule.words(left)} of its soak left" if left else ""
    return [f"{where}; {reason}" for reason in verdict["reasons"]]
