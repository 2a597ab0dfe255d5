# The state of a rollout: a pure function of the journal's entries, and of nothing else.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import copy
from dataclasses import dataclass, field

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal

FAILURES = ("failed", "unreachable", "stalled", "rebooted", "alarmed")
ROLLED_BACK = ("rolled_back", "rollback_failed")
DONE_WELL = ("patched", "already")
# Failures that are judged by evidence where a later look finds them: hosts without the livepatch have them too.
EVENTS = ("rebooted", "unreachable", "alarmed")


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
    earlier: dict = field(
        default_factory=dict
    )  # name -> (host entry, outcome entry) of a former round, not rolled back
    stop: dict = None  # the first verdict to stop, until forgiven by a retry
    tiers_done: set = field(default_factory=set)
    just_done: int = None  # the tier that has passed, while neither the run has ended nor another slice has begun
    soaks: dict = field(default_factory=dict)  # tier number -> seconds since 1970
    # name -> why the host loses the livepatch at a reboot, empty where it keeps it; of hosts that were asked to keep it
    persistence: dict = field(default_factory=dict)
    ended: str = ""
    # What was seen of hosts, in seconds since 1970. A host is on the control arm until its slice begins.
    planned_at: dict = field(default_factory=dict)  # name -> when it was first seen
    patched_at: dict = field(default_factory=dict)  # name -> when its slice began, if the livepatch may have come in
    seen_control: dict = field(default_factory=dict)  # name -> when it was last in good health without the livepatch
    seen_patched: dict = field(default_factory=dict)  # name -> the same, with the livepatch
    lost: dict = field(default_factory=dict)  # name -> since when it does not answer
    crashes: dict = field(default_factory=dict)  # name -> (time, reason), once per host
    alarms: dict = field(default_factory=dict)  # name -> (time, reason), the first new kernel alarm
    own_failures: set = field(default_factory=set)  # names that failed to be patched: no bad luck of any host
    evidence_from: float = 0.0  # a retry begins anew
    readings: dict = field(default_factory=dict)  # source of evidence -> its last reading entry
    begun_at: dict = field(default_factory=dict)  # tier number -> when its first slice began
    finished_at: dict = field(default_factory=dict)  # tier number -> when its last host was done
    overrides: int = 0  # how many were taken into the journal
    paused: dict = None  # the override entry
    promoted: set = field(default_factory=set)  # numbers of the tiers whose soak a person has ended
    aborted: dict = None  # the override entry
    report_only: bool = False
    held_since: float = None
    looked_at: float = 0.0  # when all the hosts were looked at last; negative: in a former run

    @property
    def rules(self):
        """What the gate judges by (dict, see rules.py); a journal without has the usual rules."""
        return self.parameters.get("rules") or rules.parse({})

    @property
    def over(self):
        """Is there nothing to go on with? Then the same command begins a new round."""
        return not self.stop and self.ended in ("complete", "rolled_back")

    def tolerates_nothing(self, number):
        """Is this the first tier, and not done yet? Then whatever befalls its hosts stops the rollout."""
        return number == 1 and 1 not in self.tiers_done

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

    def watched(self):
        """Return the names of the patched hosts that looks are for: those not crashed and not rolled back, in order."""
        gone = {name for name, entry in self.outcomes.items() if entry["outcome"] in ROLLED_BACK} | set(self.crashes)
        return [name for name in self.hosts if name in self.patched_at and name not in gone]

    def waiting(self):
        """Return the names of the hosts that are planned and not touched yet, in order."""
        return [
            name
            for name in self.hosts
            if name not in self.outcomes and name not in self.begun and name not in self.excluded
        ]

    def patched(self):
        """Return the names of the hosts that run the release because of this rollout and have not failed."""
        return [name for name in self.hosts if self.outcomes.get(name, {}).get("outcome") == "patched"]


def state(entries):
    """Return the State after these entries (iterable of dicts)."""
    return advance(State(), entries)


def replay(before, entries):
    """Return the State that further entries, which are not written yet, lead to; `before` stays as it is."""
    stamp = {key: before.last_run[key] for key in ("time", "run") if key in before.last_run}
    return advance(copy.deepcopy(before), [{**stamp, **entry} for entry in entries])


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
        overrides=current.overrides,
        persistence={name: reason for name, reason in current.persistence.items() if reason},
        report_only=bool((entry["parameters"].get("rules") or {}).get("report_only")),
    )
    current.__dict__.update(fresh.__dict__)


def _run(current, entry):
    current.runs = entry["run"]
    current.last_run = entry
    current.ended = ""
    current.held_since = None
    current.readings = {}  # This run may have other sources.
    current.looked_at = -1.0 if current.patched_at else journal.seconds(entry["time"])


def _host(current, entry):
    name, moment = entry["host"], journal.seconds(entry["time"])
    known = current.boot_ids.get(name)
    current.hosts[name] = entry
    current.excluded.pop(name, None)
    current.persistence.pop(name, None)
    current.boot_ids[name] = entry["boot_id"]
    current.planned_at.setdefault(name, moment)
    if known and known != entry["boot_id"] and name in current.seen_control and name not in current.patched_at:
        _crash(current, name, moment, "rebooted")


def _excluded(current, entry):
    current.excluded[entry["host"]] = entry


def _planned(current, entry):
    current.tiers = entry["tiers"]


def _slice(current, entry):
    current.last_slice, current.just_done = entry, None
    current.begun_at.setdefault(entry["tier"], journal.seconds(entry["time"]))
    for name in entry["hosts"]:
        current.begun.setdefault(name, entry)


def _outcome(current, entry):
    name, outcome, moment = entry["host"], entry["outcome"], journal.seconds(entry["time"])
    begin = current.begun.pop(name, None)
    if name in current.earlier and outcome in ROLLED_BACK:
        planned = current.earlier.pop(name)[0]
        if outcome == "rollback_failed":
            current.earlier[name] = (planned, entry)
    if name not in current.hosts:
        return  # of a former round
    current.forgiven.pop(name, None)
    current.outcomes[name] = entry
    if outcome not in DONE_WELL:
        current.persistence.pop(name, None)
    if begin:
        current.finished_at[entry["tier"]] = moment
    if outcome in FAILURES:
        current.failures.setdefault(name, entry["reason"])
        if begin or outcome not in EVENTS:
            current.own_failures.add(name)
    # A host that died while the livepatch was brought in told nobody its name; without a package it was not touched.
    if begin and outcome in ("patched", *EVENTS) and (entry.get("livepatch") or entry.get("package")):
        current.lost.pop(name, None)
        current.patched_at[name] = max(journal.seconds(begin["time"]), current.evidence_from)
    _follow(current, name, entry, moment)
    if entry.get("boot_id"):
        current.boot_ids[name] = entry["boot_id"]


def _follow(current, name, entry, moment):
    """Take from an outcome what happened to the host, and when."""
    if name not in current.patched_at:
        return
    # What happens to a host that is being patched happens after its slice began, whatever rounded seconds say.
    outcome, happened = entry["outcome"], max(moment - (entry.get("age_seconds") or 0), current.patched_at[name] + 1)
    if outcome == "rebooted":
        _crash(current, name, happened, entry["reason"])
    elif outcome == "unreachable":
        current.lost.setdefault(name, moment)
    elif outcome == "alarmed":
        current.alarms.setdefault(name, (happened, entry["reason"]))
    if outcome in ("patched", "alarmed"):
        current.seen_patched[name] = moment


def _crash(current, name, moment, reason):
    """The first crash of a host; nothing that happens to it later counts, on either arm."""
    current.lost.pop(name, None)
    current.crashes.setdefault(name, (moment, reason))


def _look(current, entry):
    name, moment = entry["host"], journal.seconds(entry["time"])
    if "error" in entry:
        current.lost.setdefault(name, moment)
        return
    current.looks[name] = entry
    current.lost.pop(name, None)
    patched_at = current.patched_at.get(name)
    known, boot_id = current.boot_ids.get(name), entry.get("boot_id")
    seen = current.seen_control if patched_at is None else current.seen_patched
    if known and boot_id and boot_id != known:
        # A look and the outcome it leads to come in this order: the host's uptime says when it happened.
        _crash(current, name, max(moment - (entry.get("uptime_seconds") or 0), (patched_at or 0.0) + 1), "rebooted")
    else:
        seen[name] = moment
    current.boot_ids[name] = boot_id or known
    since = current.planned_at.get(name, 0.0) if patched_at is None else patched_at
    events = [(moment - (event.get("age_seconds") or 0), event) for event in entry.get("events") or []]
    # The first look at a control host reads all of its log: what it had before is nothing new.
    old = {event.get("signature") for happened, event in events if happened < since}
    for happened, event in events:
        if happened >= since and event.get("new") is not False and event.get("signature") not in old:
            _event_of_look(current, name, event, happened)


def _event_of_look(current, name, event, moment):
    text = f"{event.get('kind', 'event')}: {event.get('text') or event.get('signature') or ''}".strip()
    if event.get("kind") == "crash":
        _crash(current, name, moment, text)
    elif event.get("kind") != "coredump":
        current.alarms.setdefault(name, (moment, text))


def _event(current, entry):
    """Something that a source on the controller tells of a host."""
    name = entry["host"]
    since = current.patched_at.get(name, current.planned_at.get(name))
    if since is None or entry["at"] < since or not (name in current.patched_at or name in current.seen_control):
        return  # Of a host that nobody looks at: the other hosts of its arm would not have told.
    if entry["event"] == "crash":
        _crash(current, name, entry["at"], entry["text"])
    elif entry["event"] != "coredump":
        current.alarms.setdefault(name, (entry["at"], entry["text"]))


def _reading(current, entry):
    current.readings[entry["source"]] = entry


def _verdict(current, entry):
    current.verdicts.append(entry)
    if entry.get("looked"):
        current.looked_at = journal.seconds(entry["time"])
    if entry["verdict"] != "hold":
        current.held_since = None
    elif current.held_since is None:
        current.held_since = journal.seconds(entry["time"])
    if entry["verdict"] == "stop" and not current.stop:
        current.stop = entry


def _tier_done(current, entry):
    current.tiers_done.add(entry["tier"])
    current.just_done = entry["tier"]


def _soak(current, entry):
    current.soaks[entry["tier"]] = journal.seconds(entry["until"])


def _retry(current, entry):
    """Forgive: failed hosts and those rolled back are to be done again, and their tiers with them."""
    current.stop = current.aborted = current.paused = current.held_since = None
    current.failures, current.own_failures = {}, set()
    current.crashes, current.alarms, current.lost = {}, {}, {}
    current.evidence_from = journal.seconds(entry["time"])
    for name in [
        name
        for name, last in current.outcomes.items()
        if last["outcome"] in FAILURES + ROLLED_BACK + ("not_applicable",)
    ]:
        last = current.outcomes.pop(name)
        if last["outcome"] not in ("rolled_back", "not_applicable"):
            current.forgiven[name] = last
        # It begins anew: what it was before, on either arm, and that it was rebooted to mend it, says nothing.
        for known in (current.patched_at, current.seen_patched, current.seen_control, current.boot_ids):
            known.pop(name, None)
        tier = current.hosts[name]["tier"]
        current.tiers_done.discard(tier)
        current.promoted.discard(tier)
        current.soaks.pop(tier, None)


def _override(current, entry):
    """What a person, or an alert, has said from outside."""
    current.overrides = max(current.overrides, entry["number"])
    if entry["override"] == "pause":
        current.paused = entry
    elif entry["override"] == "resume":
        current.paused = current.held_since = None
    elif entry["override"] == "promote":
        current.promoted.add(entry["tier"])
    elif entry["override"] == "report_only":
        current.report_only = True
    else:
        current.aborted = entry


def _persisted(current, entry):
    current.persistence.update(dict.fromkeys(entry["hosts"], ""))
    current.persistence.update(entry["failed"])


def _end(current, entry):
    current.ended, current.just_done = entry["result"], None


HANDLERS = {
    "rollout": _rollout,
    "run": _run,
    "host": _host,
    "excluded": _excluded,
    "planned": _planned,
    "slice": _slice,
    "outcome": _outcome,
    "look": _look,
    "event": _event,
    "reading": _reading,
    "override": _override,
    "verdict": _verdict,
    "tier_done": _tier_done,
    "soak": _soak,
    "retry": _retry,
    "persisted": _persisted,
    "end": _end,
}
