# What must hold at every step of a rollout, whatever happens: told from the true fleet and from the bare entries.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
from collections import Counter

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import schedule, snapshot
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states

DAY = 86400
# An entry is a line in a file that people read: what hosts say is cut long before.
LONGEST_ENTRY = 200_000
# Whoever does the same thing so often without time going by does it for ever.
AT_ONCE = 12
# Each so-many-th action reads the journal whole; so does each one after a controller that died, or could not write.
REPLAYED = 4


class Violation(AssertionError):
    """kind: which promise was broken (a word)."""

    def __init__(self, kind, text):
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Checks:
    def __init__(self, life):
        self.life = life
        self.memory = None  # the state as the controller has it, while the journal says the same
        self.bars = set()  # why nobody may be patched, told from the entries alone
        self.passed = set()  # numbers of tiers
        self.open = set()  # names of the slice that is open
        self.ours = set()  # names of this round's hosts that may have the livepatch through it
        self.answered = {}  # name -> when it last answered a look
        self.patched_at = {}  # name -> when its slice was opened
        self.shown = {}  # name -> what the last look has shown it to run
        self.planned_with = {}  # name -> what it ran when it was planned
        self.builds, self.kernels = {}, {}  # kernel release -> package; name -> the kernel release that it was planned with last
        self.reads = 0
        self.steps, self.idle, self.waited = Counter(), 0, 0.0

    def need(self, holds, kind, text):
        if not holds:
            raise Violation(kind, text)

    def process_begins(self):
        self.idle = 0
        self.open.clear()  # A slice whose controller died is done again.

    # The journal

    def before_writing(self, state, entries):
        self.memory = None
        for entry in entries:
            if entry["kind"] == "rollout" and entry.get("wanted") and state.over:
                self._settle(state)
            if entry["kind"] == "slice":
                self._door(state, entry)
            elif entry["kind"] == "tier_done" and not state.rules["report_only"]:
                self._tier_passes(state, entry["tier"])

    def written(self, entry, line):
        kind = entry["kind"]
        self.need(len(line) < LONGEST_ENTRY, "bounded", f"an entry of {len(line)} characters: {line[:200]}")
        if kind not in ("host", "looks"):
            self.life.told(f"  > {_brief(entry)}")
        if kind == "rollout":
            self.bars.clear()
            self.passed.clear()
            self.ours.clear()
            self.planned_with.clear()
            self.builds.clear()
        elif kind == "build":
            self.builds[entry["kernel_release"]] = entry["package"]
        elif kind == "host":
            self.planned_with.setdefault(entry["host"], entry["enabled"])
            self.kernels[entry["host"]] = entry["kernel_release"]
        elif kind == "run":
            self.bars.discard("hold")
        elif kind == "verdict":
            self.bars.discard("hold")
            self.bars |= {entry["verdict"]} - {"pass"}
        elif kind == "override":
            self._override(entry["override"])
        elif kind == "rollback":
            self.bars.add("rollback")
        elif kind == "retry":
            self.bars.clear()
        elif kind == "tier_done":
            self.passed.add(entry["tier"])
        elif kind == "slice":
            self.open = set(entry["hosts"])
            self.ours |= self.open
            self.patched_at.update(dict.fromkeys(self.open, self.life.fleet.now))
        elif kind == "outcome":
            self._outcome(entry)

    def _settle(self, state):
        """What a complete round of builds has brought well is what hosts have before the next one."""
        for name, had in state.before.items():
            machine = self.life.fleet.machines[name]
            if had["outcome"] in states.DONE_WELL:
                machine.had = None
                machine.brought = "before" if machine.brought == "rollout" else machine.brought

    def _override(self, override):
        if override == "resume":
            self.bars -= {"pause", "hold"}
        elif override != "promote":
            self.bars.add(override)

    def _outcome(self, entry):
        name, outcome = entry["host"], entry["outcome"]
        if outcome in ("not_applicable", "rolled_back"):
            machine = self.life.fleet.machines[name]
            ours = machine.has_ours if outcome == "rolled_back" else machine.runs_ours
            self.need(not ours, "outcome", f"{name} is {outcome} and runs what the rollout brought")
        self.open.discard(name)
        if outcome in ("not_applicable", "rolled_back", "gone"):
            self.ours.discard(name)

    def after_writing(self, state, entries):
        self.memory = state
        if any(entry["kind"] in ("outcome", "look", "looks", "retry", "host", "slice", "event", "end") for entry in entries):
            self._arms(state)
        if any(entry["kind"] == "retry" for entry in entries):
            self.passed &= state.tiers_done
        for entry in entries:
            if entry["kind"] == "look" and "enabled" in entry or entry["kind"] == "looks":
                self._control_is_without(state, [entry["host"]] if "host" in entry else entry["well"])
            if entry["kind"] == "end" and entry["result"] == "complete":
                left = [host.name for host in state.hosts.values() if not host.done and host.name not in state.excluded]
                self.need(not left and not state.stop, "complete", f"{left} are not done, stop {state.stop}")

    def read(self, disk):
        """Return the state that the journal gives (State): often the one that is known already, as reading costs."""
        self.reads += 1
        if self.memory is not None and self.reads % REPLAYED:
            return self.memory
        state = states.state(disk.read())
        self._kept(state)
        if self.memory is not None:
            self._same(state)
        return state

    def _same(self, state):
        ours, theirs = _plain(self.memory), _plain(state)
        if ours != theirs:
            wrong = [key for key in ours if ours[key] != theirs.get(key)]
            raise Violation("replay", f"{wrong[:5]}: {[(ours[key], theirs.get(key)) for key in wrong[:3]]}")

    def _kept(self, state):
        """A snapshot gives the same state; now and then, as it costs."""
        if self.reads % 2:
            return
        ours, theirs = _plain(state), _plain(snapshot._state(json.loads(json.dumps(snapshot._plain(state)))))
        wrong = [(key, ours[key], theirs.get(key)) for key in ours if ours[key] != theirs.get(key)]
        self.need(not wrong, "snapshot", f"{wrong[:3]}")

    # Who may be patched

    def _door(self, state, entry):
        untaken = [said for said in self.life.said if said["id"] not in state.overrides and said["override"] != "promote"]
        self.need(not untaken, "halt", f"a slice is opened, and nobody has heard {untaken}")
        self.need(not self.bars, "barred", f"a slice is opened after {sorted(self.bars)}")
        self.need(not self.open, "open", f"a slice is opened while {sorted(self.open)} are without an outcome")
        earlier = {tier["number"] for tier in state.tiers if tier["number"] < entry["tier"]}
        self.need(earlier <= self.passed, "order", f"tier {entry['tier']} before {sorted(earlier - self.passed)} passed")
        if entry["tier"] > 1 and not state.rules["report_only"]:
            watched = [name for name in self.patched_at if self.answered.get(name, 0) >= self.patched_at[name]]
            self.need(watched, "watched", f"tier {entry['tier']} begins, and nobody was seen in good health after being patched")

    def touched(self, name, package):
        """A host is given this package, or None where it finds that of the release itself."""
        wanted = self.builds[self.kernels[name]] if self.builds else None
        self.need(package == wanted, "build", f"{name} is given {package}, and the journal has {wanted} for its kernel {self.kernels[name]}")
        self.need(not self.bars, "barred", f"{name} is touched after {sorted(self.bars)}")
        self.need(name in self.open, "open", f"{name} is touched, and its slice is not open")

    def _tier_passes(self, state, number):
        end = judge.soak_end(state, number)
        if self.life.scenario.has("clock"):  # Then no more than a look after the slice can be promised.
            ends = {host.name: self.patched_at.get(host.name, 0.0) for host in state.watched()}
        else:
            ends = {host.name: end - 0.01 for host in state.watched()}
        unseen = [host.name for host in state.watched() if host.lost is None and self.answered.get(host.name, 0) < ends[host.name]]
        self.need(not unseen, "unlooked", f"tier {number} passes, and {unseen} did not answer since its soak ended")
        self.need(not state.remaining(number), "unpatched", f"tier {number} passes, and {state.remaining(number)} are left")

    # Who is watched

    def told(self, name, result, since):
        """A host has answered a look, or not; result: checked."""
        machine = self.life.fleet.machines[name]
        self.shown.pop(name, None)
        if result.get("failed") or result.get("unreachable") or result.get("boot_id") != machine.boot_id:
            return
        self.answered[name] = self.life.fleet.now
        if "enabled" in result:
            self.shown[name] = result["enabled"]
            if result["enabled"] != machine.livepatch and since:
                self.ours.discard(name)

    def _arms(self, state):
        looked_at = set(schedule.to_look_at(state))
        for name in self.ours:
            machine, host = self.life.fleet.machines[name], state.hosts[name]
            if not machine.runs_ours:
                continue
            self.need(host.arm == "patched" or host.crash, "arm", f"{name} runs the release and is on the arm {host.arm!r}")
            if host.arm == "patched" and not host.crash and not state.stop:
                self.need(name in looked_at, "looked_at", f"{name} runs the release and nobody looks at it")

    def _control_is_without(self, state, names):
        for name in names:
            if state.hosts[name].livepatch is None and self.planned_with.get(name):
                continue  # Nobody can know what the release is called there.
            if self.shown.get(name) == self.life.fleet.machines[name].livepatch:
                self.need(state.hosts[name].arm != "control", "control", f"{name} was seen to run the release and is a control host")

    def planned(self, state, seen):
        for name, host in state.hosts.items():
            found = seen.get(name)
            if found and found["livepatch"] and found["enabled"] == found["livepatch"] and not found["problem"] == "failed":
                done = host.tier in state.tiers_done and not host.done or state.stop or state.rollback
                self.need(host.arm != "control" or done, "control", f"{name} runs the release by its facts and is a control host")

    def first_tier(self, state, seen, tiers):
        """tiers: as they were given. A new plan puts nobody who has just booted into its first tier where others could be there."""
        groups = {tier["name"] for tier in tiers if "group" in tier}
        named = {planned["number"] for planned in state.tiers or () if planned["name"] in groups}
        if not state.tiers or 1 in named:
            return

        def cohorts(hosts, steady):
            uptimes = ((host.cohort, seen[host.name]["uptime_seconds"]) for host in hosts)
            return {cohort for cohort, uptime in uptimes if (uptime is None or uptime >= DAY) == steady}

        first = [host for host in state.hosts.values() if host.tier == 1]
        later = [host for host in state.hosts.values() if host.tier not in {1, *named}]
        wrong = cohorts(first, False) & cohorts(later, True)
        self.need(not wrong, "first", f"hosts of {sorted(wrong)} that have just booted are in the first tier, and others are not")

    # How it goes on

    def waits(self, state, now, until):
        self._step(state, now)
        true = self.life.fleet.now
        self.idle, self.waited = self.idle + 1 if true <= self.waited else 0, true
        self.need(self.idle < AT_ONCE, "endless", f"{self.idle} waits without time going by")
        self.need(until - now < 3 * DAY or self.life.scenario.has("clock"), "endless", f"waits for {until - now} s")
        self._arms(state)

    def looks(self, state, now):
        self._step(state, now)

    def _step(self, state, now):
        now = self.life.fleet.now
        self.steps[now // DAY] += 1
        most = 4 * DAY / state.rules["look_interval"] + 50 * len(state.hosts) + 200
        self.need(self.steps[now // DAY] < most, "endless", f"{self.steps[now // DAY]} steps in one day")

    def rolled_back(self, state, found):
        for name in self.life.inventory - set(state.to_roll_back()):
            machine = self.life.fleet.machines[name]
            if name in state.hosts and machine.answers(self.life.fleet.now):
                self.need(not machine.has_ours, "rollback", f"{name} still runs what the rollout brought, and nobody says so")

    def all_is_undone(self, ended):
        if ended == "nothing to be rolled back":
            return
        left = [name for name, machine in self.life.fleet.machines.items() if machine.has_ours]
        self.need(not left, "rollback", f"all can be reached, it is rolled back ({ended}), and {left} run what it brought")
        self.need(ended == "rolled_back", "rollback", f"all can be reached, and the rollback ends as {ended}")


def _plain(state):
    found = {key: value for key, value in vars(state).items() if key not in ("hosts", "by_tier")}
    found["by_tier"] = {number: [host.name for host in hosts] for number, hosts in state.by_tier.items()}
    for name, host in state.hosts.items():
        found[f"host {name}"] = vars(host)
    return found


def _brief(entry):
    words = {key: value for key, value in entry.items() if key in (
        "host", "tier", "slice", "hosts", "outcome", "reason", "verdict", "reasons", "override", "result", "until", "silent", "error",
        "enabled", "boot_id", "source", "event", "forgets", "well", "failed",
    )}  # fmt: skip
    return f"{entry['kind']} " + ", ".join(f"{key} {str(value)[:120]}" for key, value in words.items())
