# Builds whole rollouts in memory: facts, requests, results, and the journal's entries they lead to.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge, rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import (
    answers,
    fleet,
    journal,
    outcomes,
    schedule,
    start,
)
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states

TIERS = [{"name": "canary", "hosts": 2}, {"name": "rest", "share": "100%"}]


def facts(name, **changed):
    found = {
        "supported": True,
        "kernel_release": "6.1.0-1",
        "effective_release": "6.1.0-1",
        "boot_id": f"boot-{name}",
        "uptime_seconds": 10**6,
        "enabled": None,
        "transition": None,
        "os_family_ids": ["fedora"],
    }
    return dict(found, **changed)


def raw(names, **changed):
    """What is read from hostvars; changed: host name (with _ for -) -> changed facts, or None for an unreachable host."""
    found = {}
    for name in names:
        change = changed.get(name.replace("-", "_"), {})
        lost = change is None
        found[name] = {"facts": None if lost else facts(name, **change), "result": {"unreachable": lost}}
    return found


def hosts(count):
    return [f"host-{number}" for number in range(1, count + 1)]


def request(**changed):
    found = {
        "rollout": "web",
        "release": "hotfix3",
        "tiers": TIERS,
        "slice": "50%",
        "max_failures": 1,
        "rules": rules.parse({"control_hosts": 0}),
        "seed": 7,
        "retry": None,
        "groups": {},
        "run": {"kind": "run", "user": "ann", "controller": "desk", "ansible": "2.21", "inventory": ["site"]},
    }
    return dict(found, **changed)


def good(name, **steps):
    """Registered results of a host that was patched; steps: package, apply, look -> changed keys."""
    results = {
        "package": {"changed": True, "outcome": "installed", "package": "hotfix-3-1.x86_64", "before": None},
        "apply": {
            "changed": True,
            "name": "hotfix3",
            "proven": True,
            "before": {"enabled": None},
            "since": {"boot_id": f"boot-{name}", "sequence": 5},
            "transition": {"seconds": 0.5},
        },
        "look": {
            "boot_id": f"boot-{name}",
            "rebooted": False,
            "enabled": "hotfix3",
            "effective_release": "6.1.0-1-hotfix3",
            "uptime_seconds": 100000,
            "events": [],
            "sequence": 9,
            "unseen": [],
            "sources": {"kmsg": "read"},
        },
    }
    return {step: answers.result(dict(found, **steps.get(step, {}))) for step, found in results.items()}


def _results(bad):
    """Results by host name: those of a good host, changed as `bad` (host name with _ for -) says."""

    def of(name):
        return good(name, **bad.get(name.replace("-", "_"), {}))

    return of


# What livepatch answers of a host that had no livepatch before and has none again.
OUT = {"changed": True, "name": None, "proven": True}
REBOOTED = {"look": {"boot_id": "other", "rebooted": True, "enabled": None, "uptime_seconds": 2}}


class Rollout:
    """A rollout on a clock of its own; `entries` is its journal."""

    def __init__(self, names, changed=None, **options):
        self.now, self.entries, self.notes = 1000000.0, [], []
        self.names, self.options, self._known = list(names), options, (None, None, None)
        self.open(**(changed or {}))

    @property
    def state(self):
        """The state after all entries, the same one until another is written."""
        if self._known[:2] != (id(self.entries), len(self.entries)):
            self._known = (id(self.entries), len(self.entries), states.state(self.entries))
        return self._known[2]

    def tier(self, number):
        """The names of the hosts of a tier."""
        return [host.name for host in self.state.tier_hosts(number)]

    def waiting(self):
        return [host.name for host in self.state.waiting()]

    def watched(self):
        return [host.name for host in self.state.watched()]

    def outcome(self, name):
        return self.state.hosts[name].outcome["outcome"]

    def failures(self):
        return {host.name: host.failure for host in self.state.hosts.values() if host.failure}

    def crashes(self):
        return {host.name: host.crash for host in self.state.hosts.values() if host.crash}

    def alarms(self):
        return {host.name: host.alarm for host in self.state.hosts.values() if host.alarm}

    def verdicts(self):
        return [entry for entry in self.entries if entry["kind"] == "verdict"]

    def say(self, override, **more):
        """Somebody says something from outside, and this controller has taken it."""
        said = {"kind": "override", "id": f"said-{len(self.entries)}", "user": "ann", "reason": "shop"}
        self.write([{**said, "override": override, **more}])

    def state_after(self, entry):
        stamp = {"time": journal.now(lambda: self.now), "run": 1}
        return states.state([*self.entries, {**stamp, **entry}])

    def write(self, entries, run=None):
        """Write what the state can take, as a session does."""
        stamped = journal.stamped(entries, self.state.runs if run is None else run, lambda: self.now)
        taken = states.state([*self.entries, *stamped])
        self.entries += stamped
        self._known = (id(self.entries), len(self.entries), taken)

    def open(self, retry=None, options=None, **changed):
        """One start of a controller; changed: as in raw(), on top of what the rollout has brought."""
        for name in self.state.patched():
            known = changed.get(name.replace("-", "_"), {})
            changed[name.replace("-", "_")] = known if known is None else dict({"enabled": "hotfix3"}, **known)
        wanted = request(**dict(self.options, retry=retry, **(options or {})))
        found, self.notes = start.opening(self.state, wanted, fleet.survey(raw(self.names, **changed), wanted["release"]))
        self.write(found, self.state.runs + 1)
        return found

    def begin(self, tier, names=None):
        number = self.state.hosts[self.state.remaining(tier)[0]].slice
        names = names or [name for name in self.state.remaining(tier) if self.state.hosts[name].slice == number]
        self.write([{"kind": "slice", "tier": tier, "slice": number, "hosts": names}])
        return number, names

    def patch(self, tier, **bad):
        """Patch the next slice; bad: host name (with _ for -) -> steps for good(). Returns the verdict."""
        number, unused = self.begin(tier)
        self.now += 10
        self.write(outcomes.of_slice(self.state, _results(bad), self.now))
        return self.judge(tier, number)

    def look(self, tier, names=None, after=100, **bad):
        """Let the tier soak, look at these hosts (default: all that looks are for) and judge. Returns the verdict."""
        self.now += after
        if tier not in self.state.soaks and not self.state.remaining(tier):
            until = schedule.soak_until(self.state, tier, self.now)
            self.write([{"kind": "soak", "tier": tier, "until": journal.now(lambda: until)}])
        names = schedule.to_look_at(self.state) if names is None else names
        said = {name: self.answer(name, **bad.get(name.replace("-", "_"), {})) for name in names}
        self.write(outcomes.of_looks(self.state, said, self.now))
        self.write(outcomes.of_silence(self.state, self.now))
        verdict = self.judge(tier, looked=True)
        step = schedule.step(self.state, tier, verdict, self.now)
        if step.do == "pass" and tier not in self.state.tiers_done:
            self.write([{"kind": "tier_done", "tier": tier}])
        return verdict

    def answer(self, name, look=None, **unused):
        """What a host says to a look that is as it was, but for `look`."""
        host = self.state.hosts[name]
        as_it_was = {} if host.arm == "patched" else {"enabled": host.enabled, "effective_release": host.effective_release}
        return good(name, look={**as_it_was, **(look or {})})["look"]

    def pass_tier(self, tier):
        self.write([{"kind": "tier_done", "tier": tier}])

    def judge(self, tier, number=None, looked=False):
        verdict = judge.judge(self.state, self.now, tier, number, looked)
        self.write([verdict])
        return verdict
