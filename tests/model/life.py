# The life of one rollout: the playbooks' way through the product's own functions, until people have done with it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
from types import SimpleNamespace

from ansible_collections.kernel.livepatch.plugins.action import rollout_gate, rollout_journal, rollout_plan
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages, rollout_report
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import (
    answers,
    builds,
    journal,
    run,
    schedule,
    session,
    start,
)
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import fleet as fleets
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states

from tests.model.checks import Checks, Violation
from tests.model.fleet import RELEASE, START, Fleet

PATH = "/journals/web.jsonl"
SAYINGS = ("pause", "resume", "promote", "abort", "say_rollback")
# How many seconds somebody puts the controller's clock ahead, or back.
AHEAD = (0.0, 0.0, 5.0, -5.0, 1200.0, -1200.0, 7200.0, -7200.0, 86400.0, -86400.0, 4e7)
# Which of opening's refusals are meant, and for whom: (words of it, may it be a resume?).
MEANT = (
    ("which a former retry of this rollout has given already", True),
    ("is of another fleet: none of its", True),
    ("An earlier job (livepatch_summary) ended with rollout", True),
    ("hosts can be patched", False),
    ("can be patched now", False),
    ("has none of the hosts of this rollout", False),
    ("see different builds", False),
)


class Killed(BaseException):
    """The controller is gone, in the middle of whatever it did."""


class Disk:
    """The journal as it lies on the disk: lines of JSON."""

    def __init__(self, life):
        self.life, self.lines, self.writes, self.full = life, [], 0, None

    def read(self):
        return [json.loads(line) for line in self.lines]

    def append(self, entries):
        self.writes += 1
        if self.full is not None and self.writes in self.full:
            self.life.told("the disk is full: nothing is written")
            raise RolloutError("The journal cannot be written: no space left on device.")
        for entry in entries:
            line = json.dumps(entry, ensure_ascii=False)
            self.life.tick()
            self.lines.append(line)
            self.life.checks.written(json.loads(line), line)


class Memory(session.Session):
    """A session whose journal is a Disk; what is said from outside is a list."""

    def __init__(self, life):
        self.life, self.disk, self.path, self.dry, self.notes = life, life.disk, PATH, False, []
        self.changed = False
        self.owner = {"user": "ann"}
        self.clock = life.clock
        self.state = life.checks.read(self.disk)

    def add(self, entries, run=None):
        if not entries:
            return
        self.changed = True
        stamped = journal.stamped(entries, self.state.runs if run is None else run, self.clock)
        self.life.checks.before_writing(self.state, stamped)
        self.state = states.advance(self.state, stamped)
        self.disk.append(stamped)
        self.life.checks.after_writing(self.state, stamped)

    def take_overrides(self):
        entries = [entry for entry in self.life.said if entry["id"] not in self.state.overrides]
        self.add(entries)
        return entries

    def release(self):
        pass


class World:
    """What a Run acts through."""

    def __init__(self, life, current):
        self.life, self.current = life, current

    def now(self):
        return self.life.clock()

    def wait(self, until):
        self.life.tick()
        self.life.checks.waits(self.current.state, self.now(), until)
        while True:
            if any(entry["id"] not in self.current.state.overrides for entry in self.life.said) or self.now() >= until:
                return
            # Whatever is said, and where the clock is put, ends a wait or changes how long it is.
            self.life.advance(min([until - self.life.ahead, *self.life.next_moment()]))

    def look(self, hosts):
        self.life.tick()
        self.life.checks.looks(self.current.state, self.now())
        self.life.advance(self.life.fleet.now + self.life.dice("look").choice((0, 1, 30)))
        found = {}
        for name, since in hosts.items():
            machine = self.life.fleet.machines[name]
            if name not in self.life.inventory:
                found[name] = {"unreachable": True, "msg": "it is in the inventory no longer"}
            else:
                found[name] = answers.result(self.life.fleet.look(machine, since))
            self.life.checks.told(name, found[name], since)
        return found

    def keep(self, hosts):
        self.life.tick()
        if not self.life.persist:
            return {}
        known = {name: self.life.fleet.machines[name] for name in hosts if name in self.life.inventory}
        return {name: answers.result(self.life.fleet.keep(machine)) for name, machine in known.items()}

    def sources(self, state):
        scenario, readings = self.life.scenario, []
        if not scenario.has("source"):
            return []
        verdict, events = "pass", []
        if scenario.strikes("source", "verdict", 0.3):
            verdict = scenario.dice("source").choice(("hold", "stop", "pass"))
        for name, machine in self.life.fleet.machines.items():
            if machine.boots and scenario.strikes("source", name, 0.3):
                kind = scenario.dice("source").choice(("crash", "warning", "coredump"))
                events.append({"host": name, "kind": kind, "time": machine.booted_at - 1, "text": "told elsewhere"})
        if scenario.strikes("source", "unknown", 0.1):
            events.append({"host": "nobody", "kind": "crash", "time": self.now(), "text": "x"})
        readings.append({"name": "prom", "verdict": verdict, "reason": f"prom: {verdict}", "events": events})
        return readings

    def tell(self, state, number, verdict, found):
        rollout_gate._verdict_lines(state, number, verdict, found, self.now())


class Life:
    """One scenario, from the first command to the last. `trace` holds what happened, for whoever reads a failure."""

    def __init__(self, scenario):
        self.scenario, self.dice = scenario, scenario.dice
        self.trace, self.said, self.sayings = [], [], []
        self.fleet = Fleet(scenario, self.told)
        self.checks = Checks(self)
        self.disk = Disk(self)
        self.ticks, self.kill_at, self.ahead = 0, None, 0.0
        self.retry_number, self.left = 0, None
        self.persist = self.dice("persist").random() < 0.6
        self.calm = False
        self._options()

    def told(self, text):
        self.trace.append(f"{self.fleet.now - START:9.0f} {text}" if hasattr(self, "fleet") else text)

    def clock(self):
        """What the controller takes for the time: the true time, unless somebody has put its clock."""
        return self.fleet.now + self.ahead

    def next_moment(self):
        """When somebody says something, or puts the clock, next (list of at most one)."""
        return [self.sayings[0][0]] if self.sayings else []

    def tick(self):
        """The controller lives for another moment, or it does not."""
        self.ticks += 1
        if self.kill_at is not None and self.ticks >= self.kill_at:
            self.kill_at = None
            self.told("the controller is killed")
            raise Killed

    def advance(self, to):
        while self.sayings and self.sayings[0][0] <= to:
            when, what = self.sayings.pop(0)
            self.fleet.advance(when)
            if what == "clock":
                self.ahead = self.dice("ahead").choice(AHEAD)
                self.told(f"somebody puts the controller's clock {self.ahead:.0f} s ahead")
            for one in [self.dice("burst").choice(SAYINGS) for unused in range(3)] if what == "burst" else [what]:
                if one != "clock":
                    self.say(one)
        self.fleet.advance(to)

    # What people set

    def _options(self):
        dice, scenario = self.dice("options"), self.scenario
        self._group()

        def tier(name, **more):
            return dict(name=name, soak=dice.choice((0, 0, 600, 3600, 7200)), spread=dice.choice((0, 0, 0, 1800)), **more)

        plans = [
            [tier("canary", hosts=dice.choice((1, 2, 12)), max_share="10%"), tier("half", share="50%"), tier("rest", share="100%")],
            [tier("canary", hosts=2), tier("rest", share="100%", max_failures=dice.choice((0, 1, 5, "50%")))],
            [tier("all", share="100%")],
            [tier("1%", share="1%"), tier("10%", share="10%"), tier("30%", share="30%"), tier("rest", share="100%")],
            [tier("canary", hosts=1), tier("web", group="web"), tier("rest", share="100%")],
            [tier("rc", group="rc"), tier("web", group="web"), tier("rest", share="100%")],
        ]
        self.tiers = dice.choice(plans if all(self.groups.values()) else plans[:4])
        self.slice = dice.choice((1, 2, "25%", "100%"))
        self.max_failures = dice.choice((0, 1, "2 or 1%", "20%"))
        self.rules = {
            "look_interval": dice.choice(("5m", "15m", "1h")),
            "max_hold": dice.choice((0, "1h", "4h")),
            "unreachable_grace": dice.choice((0, "5m", "15m", "2h")),
            "control_hosts": dice.choice((0, 1, 3)) if scenario.has("few_control") else 5000,
            "on_alarm": dice.choice(("hold", "hold", "stop", "report")),
            "stop_evidence": dice.choice((20, 3)),
            "hold_evidence": dice.choice((3, 2)),
            "report_lag": dice.choice((0, 0, 0, 900)),
            "report_only": scenario.has("report_only"),
            "history": {"crashes": 3, "hosts": 100, "days": 30} if dice.random() < 0.2 else None,
        }
        moment = START
        for what in (*SAYINGS, "clock", "burst"):
            while scenario.strikes(what, "said", 2):
                self.sayings.append((moment + self.dice(f"saying/{what}").expovariate(1 / 3600), what))
        self.sayings.sort()

    def _group(self):
        dice = self.dice("groups")
        self.groups = {"web": [name for name in self.fleet.machines if dice.random() < 0.3]}
        self.groups["rc"] = [name for name in self.fleet.machines if name not in self.groups["web"] and dice.random() < 0.3]

    def request(self, retry):
        what = self.wanted()
        return {
            "rollout": "web",
            "release": what.word,
            "wanted": what if builds.is_resolved(what) else None,
            "resolved": None,
            "today": "2027-01-15",
            "tiers": self.tiers,
            "slice": self.slice,
            "max_failures": self.max_failures,
            "rules": rules.parse(self.rules),
            "seed": self.scenario.seed,
            "retry": retry,
            "groups": self.groups,
            "former": self.left if self.scenario.strikes("workflow", "job") else None,
            "run": {"kind": "run", "user": "ann", "controller": "desk", "ansible": "2.21", "inventory": ["site"]},
        }

    def wanted(self):
        """What the rollout brings: one release, or builds."""
        if not self.fleet.builds:
            return builds.wanted(RELEASE)
        return builds.wanted(cves=self.fleet.builds.cves) if self.fleet.builds.cves else builds.wanted("newest")

    def resolve(self, seen):
        """What rollout_plan asks hosts before it makes a plan of builds."""
        what = self.wanted()

        def ask(names):
            self.tick()
            self.advance(self.fleet.now + self.dice("ask").choice((1, 30, 300)))
            return {name: answers.build(self.fleet.ask(self.fleet.machines[name], what.cves)) for name in names}

        return builds.resolve(what, builds.ask(seen, self.scenario.seed, ask))

    def say(self, what):
        """As rollout_journal says an override: not to a rollout that is over."""
        state = states.state(self.disk.read())
        if state.tiers is None or state.over or state.ended == "rolled_back":
            return
        override = {"say_rollback": "rollback"}.get(what, what)
        entry = {"kind": "override", "id": f"said-{len(self.said):04d}", "override": override, "user": "bob", "reason": f"{what}!"}
        if override == "promote":
            # As the command has it, or as somebody has written it by hand.
            told = self.dice("promote").choice((None, None, 1, 2, 9))
            entry["tier"] = rollout_journal._tier(state, {"override": override, "tier": told})
            by_hand = self.dice("promote").random() < 0.3
            if entry["tier"] is None or (rollout_journal._needless(state, override, entry["tier"]) and not by_hand):
                return
        self.said.append(entry)
        self.told(f"bob says {override} {entry.get('tier', '')}")

    # The playbooks

    def rollout(self, retry=None, last_tier=None):
        """kernel.livepatch.rollout; returns how it ended (str)."""
        self.told(f"COMMAND rollout, retry {retry}, last tier {last_tier}")
        return self._process(lambda: self._rollout(retry, last_tier))

    def rollback(self):
        """kernel.livepatch.rollback; returns how it ended (str)."""
        self.told("COMMAND rollback")
        return self._process(self._rollback)

    def _process(self, command):
        self.inventory = {name for name, machine in self.fleet.machines.items() if machine.listed}
        if self.scenario.strikes("regroup", "when"):
            self._group()
        self.kill_at = self.disk.full = None
        if not self.calm:
            if self.scenario.strikes("kill", "when", 2):
                self.kill_at = self.ticks + 1 + int(self.dice("kill").expovariate(1 / 40))
            if self.scenario.strikes("disk", "when", 2):
                first = self.disk.writes + 1 + int(self.dice("disk").expovariate(1 / 10))
                self.disk.full = range(first, first + self.dice("disk").choice((1, 1, 3, 100)))
        self.checks.process_begins()
        try:
            ended = command()
        except Killed:
            ended = "killed"
        except RolloutError as error:
            if self.disk.full is None:
                raise Violation("refused", f"{error}") from error
            ended = f"failed: {error}"
        self.disk.full = None
        self.told(f"ended: {ended}")
        return ended

    def _rollout(self, retry, last_tier):
        raw = {name: self.fleet.facts(self.fleet.machines[name]) for name in self.fleet.machines if name in self.inventory}
        self.advance(self.fleet.now + 5)
        self.tick()
        seen = fleets.survey(raw, None if self.fleet.builds else RELEASE)
        current = Memory(self)
        resumed = current.state.tiers is not None and not current.state.over
        request = self.request(retry)
        if current.state.tiers is not None:
            current.take_overrides()
        try:
            if request["wanted"] and start.plans_anew(current.state, request):
                request["resolved"] = self.resolve(seen)
            entries, notes = start.opening(current.state, request, seen)
            rollout_plan._check_last_tier(current.state, entries, last_tier, request)
        except RolloutError as error:
            if not seen or any(words in str(error) and (may or not resumed) for words, may in MEANT):
                return f"refused: {error}"
            raise Violation("resume", str(error)) from error
        current.add(entries, current.state.runs + 1)
        for name, host in current.state.hosts.items() if self.fleet.builds else ():
            self.fleet.machines[name].wanted = self.fleet.builds.name(host.package)
        self.checks.planned(current.state, seen)
        if not resumed and entries:
            self.checks.first_tier(current.state, seen, self.tiers)
        rollout_plan._judge(current, self.clock())
        last = schedule.last_tier(current.state, last_tier)
        plan = rollout_plan._result(current, last, resumed, bool(entries), notes)
        on_stop = self.scenario.has("on_stop")
        if plan.get("refused") and not (plan["rolls_back"] and (on_stop or plan["rollback_asked"])):
            return "refused by the state"
        try:
            self._patch(plan)
        except RolloutError as error:
            self._unless_full(error)
        gate = {"verdict": "pass"}
        if plan["tiers"]:
            current = self._existing()
            if not run.Run(current, World(self, current)).finish(plan["last_tier"]):
                rollout_gate._require_reason(current.state)
            gate = rollout_gate._result(current)
            if gate["verdict"] == "stop" and (on_stop or gate["rolls_back"]):
                self._roll_back()
        ends = {"stop": "stopped", "hold": "held"}
        result = ends.get(gate["verdict"]) or ("waiting" if plan["last_tier"] < len(plan["tiers"]) else "complete")
        current = self._existing()
        found = rollout_journal._end(current, {"result": result, "tier": plan["last_tier"]}, None)
        self.left = found["stats"]["livepatch_summary"]
        return result

    def _unless_full(self, error):
        """A task that fails ends its play; the next one, on the controller, begins all the same."""
        if self.disk.full is None:
            raise Violation("refused", str(error)) from error

    def _existing(self):
        self.tick()
        current = Memory(self)
        if current.state.tiers is None and not (current.state.before or current.state.rollback):
            raise RolloutError("The journal has no finished plan")
        return current

    def _patch(self, plan):
        names, sizes = list(plan["hosts"]), list(plan["serial"])
        while names:
            size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
            batch, names = names[:size], names[size:]
            current = self._existing()
            if not run.Run(current, World(self, current)).open(batch):
                return
            given = rollout_gate._packages(current.state, batch)
            hostvars = {name: {rollout_gate.REGISTERED: raw} for name, raw in self._patch_slice(batch, given).items()}
            current = self._existing()
            told = SimpleNamespace(hostvars=hostvars)
            verdict = run.Run(current, World(self, current)).close(lambda name, told=told: rollout_gate.World.results(told, name))["verdict"]
            if verdict == "stop":
                return

    def _patch_slice(self, batch, given):
        """Return {name: what the hosts of a slice answer}; hosts that are in the inventory no longer say nothing."""
        machines = {name: self.fleet.machines[name] for name in batch if name in self.inventory}
        found, goes_on = {}, {}
        for name, machine in machines.items():
            self.tick()
            self.checks.touched(name, given.get(name))
            found[name], goes_on[name] = self.fleet.install(machine, given.get(name))
        self.advance(self.fleet.now + self.dice("patch").choice((1, 10, 100)))
        for name, machine in machines.items():
            self.tick()
            if goes_on[name]:
                found[name] = self.fleet.apply(machine, found[name])
        self.advance(self.fleet.now + self.dice("patch").choice((0, 1, 10)))
        for name, machine in machines.items():
            found[name] = self.fleet.answer(machine, found[name])
            self.told(f"{name} is patched: {_short(found[name])}")
            look = answers.result(found[name]).get("health") or {}
            if look.get("boot_id"):
                self.checks.told(name, look, {})
        return found

    def _rollback(self):
        try:
            current = self._existing()
        except RolloutError:
            return "nothing to be rolled back"
        self._roll_back()
        current = self._existing()
        found = rollout_journal._end(current, {"result": "rolled_back"}, None)
        self.checks.rolled_back(current.state, found)
        return current.state.ended

    def _roll_back(self):
        current = self._existing()
        what = self.wanted()
        args = {"release": None if what.cves else what.word, "cves": what.cves, "advisory": "", "reason": "asked for"}
        targets = rollout_journal._rollback(current, args, dict.fromkeys(self.inventory, {}))
        names, sizes = list(targets["hosts"]), list(targets["serial"])
        while names:
            size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
            batch, names = names[:size], names[size:]
            registered = {}
            for name in batch:
                self.tick()
                registered[name] = self.fleet.roll_back(self.fleet.machines[name], targets["rollback"][name], self.persist)
            self.advance(self.fleet.now + 10)
            current = self._existing()
            rollout_journal._rolled_back(current, {"hosts": batch}, registered)

    # The people

    def live(self):
        """Commands as people give them, until they are tired of it; then all troubles end, and a last command must do."""
        dice = self.dice("people")
        last_tier = "next" if self.scenario.has("last_tier") else None
        ended = self.rollout(last_tier=last_tier)
        for unused in range(dice.choice((0, 1, 2, 3, 6))):
            self.advance(self.fleet.now + dice.choice((1, 600, 7200, 30000)))
            if self.scenario.strikes("rollback", "person") or (ended != "complete" and dice.random() < 0.2):
                ended = self.rollback()
            else:
                wanted = ended in ("stopped", "refused by the state", "rolled_back") and dice.random() < 0.5
                ended = self.rollout(self._retry(wanted), last_tier if dice.random() < 0.7 else None)
        self.be_calm()
        if dice.random() < 0.5:
            self.rollout()
            self.rollout(self._retry(True))
        ended = self.rollback()
        self.checks.all_is_undone(ended)
        entries = self.disk.read()
        if entries and states.state(entries).tiers is not None:
            messages.report(states.state(entries), PATH)
            rollout_report.report(entries, PATH, self.clock())

    def _retry(self, wanted):
        if self.scenario.strikes("old_retry", "person"):
            return f"reason {self.retry_number}"
        if not wanted:
            return None
        self.retry_number += 1
        return f"reason {self.retry_number}"

    def be_calm(self):
        self.told("ALL TROUBLES END")
        self.calm, self.sayings, self.ahead = True, [], 0.0
        self.fleet.be_calm()
        self.advance(self.fleet.now + 60)


def _short(raw):
    words = [key for key in ("failed", "unreachable") if raw.get(key)]
    words += [f"{key} {raw[key]}" for key in ("outcome", "error", "name", "proven") if raw.get(key) is not None]
    words += [f"looks like {raw['health'].get('enabled')}"] if raw.get("health") else []
    return " ".join(str(word)[:60] for word in words)
