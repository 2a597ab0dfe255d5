# What an action does with the journal of a large rollout, without Ansible: the time to read it and to judge.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: python -m tests.bench.scale --micro [--hosts 10000] [--interval 15m]

import multiprocessing
import os
import resource
import time
from pathlib import Path

import yaml
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge, rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal, lock, schedule, session
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states

from tests.unit.plugin_utils import rollouts

PLANS = Path(__file__).resolve().parents[2] / "roles" / "rollout" / "vars" / "plans.yml"
# What a real look tells more than those of the unit tests.
PATCHED = {
    "time": "2026-05-04T08:20:00Z",
    "signatures": {},
    "counters": {"oops_count": 0, "warn_count": 0},
    "taint": 32768,
    "unseen": [],
    "sources": {"kmsg": "read", "journal": "absent", "kdump": "absent", "pstore": "read", "coredump": "read"},
}
CONTROL = dict(PATCHED, enabled=None, effective_release="6.1.0-1")


class Written(rollouts.Rollout):
    """A rollout whose entries go into a file at once, and the state with them."""

    def __init__(self, path, *args, **options):
        self.path, self.known = str(path), states.State()
        super().__init__(*args, **options)

    state = property(lambda self: self.known)

    def write(self, entries, run=None):
        if entries:
            stamped = journal.stamped(entries, self.known.runs if run is None else run, lambda: self.now)
            states.advance(self.known, stamped)
            journal.append(self.path, stamped)

    def look_around(self, tier, after):
        """Look at all that looks are for, `after` seconds from now; return what that cost."""
        names = schedule.to_look_at(self.state)
        told = {name: {"look": PATCHED if self.state.hosts[name].arm == "patched" else CONTROL} for name in names}
        size, begun = os.path.getsize(self.path), time.process_time()
        self.look(tier, names, after, **{name.replace("-", "_"): look for name, look in told.items()})
        spent, grown = time.process_time() - begun, os.path.getsize(self.path) - size
        return {"hosts": len(names), "seconds": spent, "bytes": grown}


def write(path, hosts, interval):
    """Write the journal of a rollout with the plan `scheduled` of so many hosts in good health; return what it cost."""
    tiers = yaml.safe_load(PLANS.read_text())["livepatch_plans"]["scheduled"]
    options = {"tiers": tiers, "slice": "25%", "max_failures": "2 or 1%"}
    rollout = Written(path, rollouts.hosts(hosts), rules=rules.parse({"look_interval": interval}), **options)
    looks, rounds, begun = 0, [], rollout.now
    for tier in rollout.state.tiers:
        number = tier["number"]
        while number not in rollout.state.tiers_done:
            verdict = judge.judge(rollout.state, rollout.now, number)
            step = schedule.step(rollout.state, number, verdict, rollout.now)
            if step.do == "slice":
                rollout.patch(number)
                continue
            if step.do == "wait":
                rollout.now = step.at
                continue
            rounds.append(rollout.look_around(number, 1))
            looks += rounds[-1]["hosts"]
    return {"hours": (rollout.now - begun) / 3600, "looks": looks, "rounds": len(rounds), "last_round": rounds[-1]}


def act(path):
    """Do what every action does with a journal: open it, judge, and say what comes next; return what each step cost."""
    owner = lock.owner(os.getpid(), "bench")
    steps = {}
    with _timed(steps, "open"):
        current = session.existing(path, owner)
    state, now, tier = current.state, journal.seconds(current.state.verdict["time"]), len(current.state.tiers)
    with _timed(steps, "judge"):
        verdict = judge.judge(state, now, tier)
    with _timed(steps, "what comes next"):
        schedule.step(state, tier, verdict, now)
    with _timed(steps, "close"), current:
        current.release()
    return steps


def read(path):
    """Make the state from the whole journal; return what that cost."""
    steps = {}
    with _timed(steps, "read"):
        states.state(journal.read(path))
    return steps


class _timed:
    def __init__(self, steps, name):
        self.steps, self.name = steps, name

    def __enter__(self):
        self.cpu, self.wall = time.process_time(), time.monotonic()

    def __exit__(self, *unused):
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        self.steps[self.name] = {
            "cpu": time.process_time() - self.cpu, "wall": time.monotonic() - self.wall, "megabytes": memory
        }  # fmt: skip


def measure(hosts, directory, interval="15m"):
    """Return the figures (dict); the journal is written into the directory."""
    path = str(directory / "rollout.jsonl")
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:  # each with memory of its own
        written = pool.apply(write, (path, hosts, interval))
        found = {"read": pool.apply(read, (path,)), "first": pool.apply(act, (path,)), "next": pool.apply(act, (path,))}
    with open(path, "rb") as stream:
        entries = sum(1 for unused in stream)
    size = {"bytes": os.path.getsize(path), "entries": entries}
    return {"hosts": hosts, "interval": interval, **size, **written, **found}


def lines(found):
    """Yield the lines of a table about what measure() returned."""
    last = found["last_round"]
    yield "%d hosts, plan scheduled (%.0f hours), a look every %s" % (found["hosts"], found["hours"], found["interval"])
    yield "  %-42s %10.1f MB, %d entries" % ("journal", found["bytes"] / 1e6, found["entries"])
    yield "  %-42s %10d of hosts in %d rounds" % ("looks", found["looks"], found["rounds"])
    yield "  %-42s %10.2f MB, %d hosts, %.0f bytes per host, %.2f s CPU" % (
        "the last round", last["bytes"] / 1e6, last["hosts"], last["bytes"] / last["hosts"], last["seconds"])
    for name, title in (("read", "the journal whole"), ("first", "an action"), ("next", "the next action")):
        for step, cost in found[name].items():
            yield "  %-42s %10.2f s CPU, %.2f s, %.0f MB in all" % (
                "%s: %s" % (title, step), cost["cpu"], cost["wall"], cost["megabytes"])  # fmt: skip
