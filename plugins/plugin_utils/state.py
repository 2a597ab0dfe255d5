# The state of a rollout: a pure function of the journal's entries, and of nothing else.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import copy
from dataclasses import dataclass, field

from ansible_collections.kernel.livepatch.plugins.plugin_utils import journal
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError

FAILURES = ("failed", "unreachable", "stalled", "rebooted", "alarmed")
ROLLED_BACK = ("rolled_back", "rollback_failed")
DONE_WELL = ("patched", "already")


@dataclass
class State:
    """What the journal says. Hosts, tiers and entries are plain values as they stand in the entries."""

    rollout: str = ""
    release: str = ""
    seed: str = ""
    parameters: dict = field(default_factory=dict)
    rounds: int = 0
    runs: int = 0
    last_run: dict = field(default_factory=dict)
    tiers: list = None  # None until `planned`: a plan that was not finished was never made
    hosts: dict = field(default_factory=dict)  # name -> the last host entry, in planned order
    excluded: dict = field(default_factory=dict)  # name -> excluded entry
    begun: dict = field(default_factory=dict)  # name -> slice entry that is still without an outcome
    last_slice: dict = None
    outcomes: dict = field(default_factory=dict)  # name -> the last outcome entry that counts
    looks: dict = field(default_factory=dict)  # name -> the last look entry
    boot_ids: dict = field(default_factory=dict)  # name -> the last one known
    failures: dict = field(default_factory=dict)  # name -> reason, once per host, until forgiven by a retry
    verdicts: list = field(default_factory=list)  # of this round
    forgiven: dict = field(default_factory=dict)  # name -> the outcome entry of a host that is to be tried again
    earlier: dict = field(default_factory=dict)  # name -> (host entry, outcome entry) of a former round, not rolled back
    stop: dict = None  # the first verdict to stop, until forgiven by a retry
    tiers_done: set = field(default_factory=set)
    soaks: dict = field(default_factory=dict)  # tier number -> seconds since 1970
    ended: str = ""

    @property
    def over(self):
        """Is there nothing to go on with? Then the same command begins a new round."""
        return not self.stop and self.ended in ("complete", "rolled_back")

    def tier_hosts(self, number):
        """Return the names of the tier's hosts that still belong to the plan, in order."""
        return [name for name, entry in self.hosts.items() if entry["tier"] == number and name not in self.excluded]

    def remaining(self, number):
        """Return the names of the tier's hosts that have no outcome yet, in order."""
        return [name for name in self.tier_hosts(number) if name not in self.outcomes]

    def touched(self):
        """Return the names of the hosts that this rollout changed or may have changed, and that are not rolled back."""
        untouched = ("already", "not_applicable", "rolled_back")
        names = (
            {name for name, entry in self.outcomes.items() if entry["outcome"] not in untouched}
            | set(self.begun)
            | set(self.forgiven)
        )
        return [name for name in self.hosts if name in names]

    def to_roll_back(self):
        """Return the names of the hosts that this round and former ones touched, the latest first."""
        touched = dict.fromkeys(reversed(self.touched()))
        return list({**touched, **dict.fromkeys(reversed(self.earlier))})

    def before(self, name):
        """Return (host entry, outcome entry or {}) that tell what a host had before the rollout first touched it."""
        return self.earlier.get(name) or (self.hosts[name], self.outcomes.get(name) or self.forgiven.get(name, {}))

    def patched(self):
        """Return the names of the hosts that run the release because of this rollout and have not failed."""
        return [name for name in self.hosts if self.outcomes.get(name, {}).get("outcome") == "patched"]


def state(entries):
    """Return the State after these entries (iterable of dicts)."""
    return advance(State(), entries)


def replay(before, entries):
    """Return the State that these further entries lead to; `before` stays as it is."""
    return advance(copy.deepcopy(before), entries)


def advance(current, entries):
    """Return `current` after these further entries; it is changed in place."""
    for entry in entries:
        handler = HANDLERS.get(entry["kind"])
        if handler:
            _take(handler, current, entry)
    return current


def _take(handler, current, entry):
    try:
        handler(current, entry)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RolloutError(
            f"The journal's entry {str(entry)[:200]} cannot be understood ({error!r}): expected what this collection writes. "
            "Put the journal back from a copy, or use another livepatch_rollout."
        ) from None


def _rollout(current, entry):
    # A new round forgets the former one, but not how often the rollout was run, nor what is to be undone.
    earlier = {**current.earlier, **{name: current.before(name) for name in current.touched()}}
    fresh = State(
        rollout=entry["rollout"],
        release=entry["release"],
        seed=entry["seed"],
        parameters=entry["parameters"],
        rounds=current.rounds + 1,
        runs=current.runs,
        last_run=current.last_run,
        earlier=earlier,
    )
    current.__dict__.update(fresh.__dict__)


def _run(current, entry):
    current.runs = entry["run"]
    current.last_run = entry
    current.ended = ""


def _host(current, entry):
    current.hosts[entry["host"]] = entry
    current.excluded.pop(entry["host"], None)
    current.boot_ids[entry["host"]] = entry["boot_id"]


def _excluded(current, entry):
    current.excluded[entry["host"]] = entry


def _planned(current, entry):
    current.tiers = entry["tiers"]


def _slice(current, entry):
    current.last_slice = entry
    for name in entry["hosts"]:
        current.begun.setdefault(name, entry)


def _outcome(current, entry):
    name, outcome = entry["host"], entry["outcome"]
    current.begun.pop(name, None)
    if name in current.earlier and outcome in ROLLED_BACK:
        planned = current.earlier.pop(name)[0]
        if outcome == "rollback_failed":
            current.earlier[name] = (planned, entry)
    if name not in current.hosts:
        return  # of a former round
    current.forgiven.pop(name, None)
    current.outcomes[name] = entry
    if entry.get("boot_id"):
        current.boot_ids[name] = entry["boot_id"]
    if outcome in FAILURES:
        current.failures.setdefault(name, entry["reason"])


def _look(current, entry):
    current.looks[entry["host"]] = entry


def _verdict(current, entry):
    current.verdicts.append(entry)
    if entry["verdict"] == "stop" and not current.stop:
        current.stop = entry


def _tier_done(current, entry):
    current.tiers_done.add(entry["tier"])


def _soak(current, entry):
    current.soaks[entry["tier"]] = journal.seconds(entry["until"])


def _retry(current, entry):
    """Forgive: failed hosts and those rolled back are to be done again, and their tiers with them."""
    current.stop = None
    current.failures = {}
    for name in [
        name
        for name, last in current.outcomes.items()
        if last["outcome"] in FAILURES + ROLLED_BACK + ("not_applicable",)
    ]:
        last = current.outcomes.pop(name)
        if last["outcome"] not in ("rolled_back", "not_applicable"):
            current.forgiven[name] = last
        tier = current.hosts[name]["tier"]
        current.tiers_done.discard(tier)
        current.soaks.pop(tier, None)


def _end(current, entry):
    current.ended = entry["result"]


HANDLERS = {
    "rollout": _rollout,
    "run": _run,
    "host": _host,
    "excluded": _excluded,
    "planned": _planned,
    "slice": _slice,
    "outcome": _outcome,
    "look": _look,
    "verdict": _verdict,
    "tier_done": _tier_done,
    "soak": _soak,
    "retry": _retry,
    "end": _end,
}
