# The state of a rollout: a pure function of the journal's entries, with one record a host, and the one door to patching.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from dataclasses import dataclass, field

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import rates, rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import builds, journal

FAILURES = ("failed", "unreachable", "stalled", "rebooted", "alarmed")
ROLLED_BACK = ("rolled_back", "rollback_failed")
DONE_WELL = ("patched", "already")
# Failures that are judged by evidence where a later look finds them: hosts without the livepatch have them too.
EVENTS = ("rebooted", "unreachable", "alarmed")
# The outcomes of hosts that surely do not have the livepatch.
WITHOUT = ("not_applicable", "rolled_back", "gone")
# A machine that was up for so many seconds longer than it can have been is another one.
ANOTHER_MACHINE = 60


@dataclass(eq=False)
class Host:
    """What is known of one host of the plan. Times are seconds since 1970 by the controller's clock.

    arm: "control" from the plan to its slice, if looks find it so; "patched" from the entry that opens its slice until it is
    proven that the livepatch is not in; "" for a host that tells nothing: it runs the release by another way, or does not
    have it though its slice is over.
    control, patched: (since, last seen in good health) of the watch on each arm, None where it was not watched there.
    crash, alarm: (time, reason) of its first event of each kind; it ends the watch on either arm.
    """

    name: str
    tier: int
    slice: int
    cohort: str
    domain: str
    kernel_release: str
    boot_id: str
    enabled: str  # the livepatch that ran when it was planned, None without
    livepatch: str  # what the release is called there, None where that is not known before it runs
    effective_release: str
    planned: float
    architecture: str = None
    package: str = None  # the very one that it gets, None where each host finds that of the release itself
    arm: str = "control"
    others: bool = False  # somebody else has changed its livepatch since it was planned
    control: tuple = None
    patched: tuple = None
    crash: tuple = None
    alarm: tuple = None
    lost: float = None  # since when it does not answer
    blind: tuple = None  # (since when, why) a look tells nothing, though the host answers
    begun: dict = None  # the slice entry that first began it, while the host is without an outcome
    outcome: dict = None  # the last outcome entry that counts
    failure: str = None  # why it counts among the failures of its tier
    own: bool = False  # the failure befell it while it was patched, or it does not run the release: no bad luck of any host
    told: dict = field(default_factory=dict)  # of its last look: sequence, host_time, counters, taint, at
    # {at, before: {signature: [count, seconds]}, since: {signature: [count, unseen]}}: how often alarms came to it before `at`,
    # and how often since, but for so many seconds of which its log did not tell; None before the first look on its arm
    habits: dict = None

    @property
    def seen(self):
        """When it was last seen in good health on its arm (seconds), 0.0 for never."""
        watch = self.patched if self.arm == "patched" else self.control
        return watch[1] if watch else 0.0

    @property
    def done(self):
        """Has it an outcome of this round?"""
        return self.outcome is not None

    @property
    def counts(self):
        """Is it on an arm, so that what befalls it counts? On the control arm those are who are looked at."""
        return self.arm == "patched" or (self.arm == "control" and self.control is not None)

    @property
    def watched(self):
        """Is it on the patched arm, and are looks for it? So it is where it crashed before it was patched."""
        before = bool(self.crash and self.patched) and self.crash[0] < self.patched[0]
        return self.arm == "patched" and (self.crash is None or before)

    def is_(self, *outcomes):
        """Tell whether its outcome is one of these."""
        return self.outcome is not None and self.outcome["outcome"] in outcomes


@dataclass
class State:
    """What the journal says. Tiers and entries are plain values as they stand in the entries."""

    rollout: str = ""
    release: str = ""
    seed: str = ""
    wanted: dict = field(default_factory=dict)  # {cves, advisory} where release is a word for builds, else empty
    builds: dict = field(default_factory=dict)  # builds.key of a kernel -> its build entry, of this round
    parameters: dict = field(default_factory=dict)
    rounds: int = 0
    runs: int = 0
    last_run: dict = field(default_factory=dict)
    tiers: list = None  # None until `planned`: a plan that was not finished was never made
    hosts: dict = field(default_factory=dict)  # name -> Host, in planned order
    by_tier: dict = field(default_factory=dict)  # tier number -> the same Hosts, in planned order
    excluded: dict = field(default_factory=dict)  # name -> excluded entry
    # name -> {run, enabled, package, package_now, livepatch, build, outcome, reason}: the run that first touched a host, in
    # whatever round, what the host had before, what was brought, and what came of it; of those that nobody has rolled back. What
    # a complete round of builds has brought well is the next one's before.
    before: dict = field(default_factory=dict)
    # name -> why it loses the livepatch at a reboot, empty where it keeps it; of those that were asked to, in whatever round
    persistence: dict = field(default_factory=dict)
    automation: list = field(default_factory=list)  # the entries of this run: which hosts patch themselves
    # name -> until when what patches it by itself is held back (seconds), 0.0 where this run has not asked for that yet
    held: dict = field(default_factory=dict)
    not_held: dict = field(default_factory=dict)  # name -> why it is not, in this run
    last_slice: dict = None
    tiers_done: set = field(default_factory=set)
    just_done: int = None  # the tier that has passed, while neither the run has ended nor another slice has begun
    begun_at: dict = field(default_factory=dict)  # tier number -> when its first slice began
    finished_at: dict = field(default_factory=dict)  # tier number -> when its last host was done
    soaks: dict = field(default_factory=dict)  # tier number -> when its soak is over
    promoted: dict = field(default_factory=dict)  # tier number -> when a person has ended its soak
    verdict: dict = None  # the last one of this round
    stop: dict = None  # the first verdict to stop, until a retry
    held_since: float = None
    rollback: dict = None  # the entry that began one: nobody is patched any more, until a retry
    paused: dict = None  # the override entry
    aborted: dict = None  # the override entry
    overrides: set = field(default_factory=set)  # the ids of those that were taken
    retries: list = field(default_factory=list)  # the reasons given
    evidence_from: float = 0.0  # later than 0 when a person has taken evidence back
    readings: dict = field(default_factory=dict)  # source of evidence -> its last reading entry
    looked_at: float = 0.0  # when all were looked at last; negative: in a former run
    ended: str = ""

    @property
    def rules(self):
        """What the gate judges by (dict, see gate/rules.py); a journal without has the usual rules."""
        return self.parameters.get("rules") or rules.parse({})

    @property
    def resolved(self):
        """Has each kernel a build of its own?"""
        return bool(self.wanted)

    @property
    def over(self):
        """Is there nothing to go on with? Then the same command begins a new round."""
        return not self.stop and not self.rollback and self.ended == "complete"

    def tier(self, number):
        """Return the planned tier (dict) of this number."""
        return self.tiers[number - 1]

    @property
    def open_tier(self):
        """The number of the first tier that is not done, None when all are."""
        return next((tier["number"] for tier in self.tiers or [] if tier["number"] not in self.tiers_done), None)

    def without_effect(self, override):
        """Return why (str) this override entry does nothing, None where it does something: one tier's soak is ended once."""
        number, tiers = override.get("tier"), self.tiers or []
        if override["override"] != "promote":
            return None
        if number is None or not 1 <= number <= len(tiers):
            return "no tier is open" if number is None else f"the plan has no tier {number}"
        return f"tier {tiers[number - 1]['name']} has passed already" if number in self.tiers_done else None

    def tolerates_nothing(self, number):
        """Is this the first tier, and not done yet? Then whatever befalls its hosts stops the rollout."""
        return number == 1 and 1 not in self.tiers_done

    def tier_hosts(self, number):
        """Return the tier's Hosts that still belong to the plan, in order."""
        return [host for host in self.by_tier.get(number, []) if host.name not in self.excluded]

    def remaining(self, number):
        """Return the names of the tier's hosts that are still to be patched, in order."""
        return [host.name for host in self.tier_hosts(number) if not host.done]

    def is_done_again(self, host, outcome, forgets):
        """Is a Host with this outcome (str) done again after a retry? What only evidence speaks of is not, if that stays."""
        if outcome not in (*FAILURES, *WITHOUT, "rollback_failed"):
            return False
        return forgets or outcome not in EVENTS or host.own or bool(host.begun) or self.tolerates_nothing(host.tier)

    def watched(self):
        """Return the Hosts that may have the livepatch and that looks are for, in order."""
        return [host for host in self.hosts.values() if host.watched]

    def waiting(self):
        """Return the Hosts that are planned and not touched yet, in order."""
        return [
            host
            for host in self.hosts.values()
            if host.arm != "patched" and not host.done and not host.begun and host.name not in self.excluded
        ]

    def patched(self):
        """Return the names of the hosts that run the release because of this rollout and have not failed."""
        return [host.name for host in self.hosts.values() if host.is_("patched")]

    def to_roll_back(self, present=()):
        """Return the names of the hosts that this round and former ones touched, the latest first.

        Those that a rollback has found to be gone only where they are back: among `present` (a container of names).
        """
        return [name for name in reversed(self.before) if not self.before[name].get("gone") or name in present]

    def _was_patched(self):
        return any(host.patched for host in self.hosts.values())

    def shut(self, number, names):
        """Return why (str) the slice of these hosts of tier `number` must not begin, None where it may: the one door.

        Everything that holds a host back is asked here, by the entry that opens its slice, before anything is written.
        """
        earlier = [tier["name"] for tier in (self.tiers or [])[: number - 1] if tier["number"] not in self.tiers_done]
        known = [self.hosts.get(name) for name in names]
        wrong = next(
            (
                name
                for name, host in zip(names, known)
                if host is None or host.tier != number or host.done or name in self.excluded
            ),
            None,
        )
        reasons = (
            (self.tiers is None or not 1 <= number <= len(self.tiers), f"the plan has no tier {number}"),
            (self.stop, "the rollout is stopped"),
            (self.rollback, "its rollback has begun"),
            (self.aborted, "it is halted"),
            (self.paused, "it is paused"),
            (self.held_since is not None, "it is on hold"),
            (self.ended, f"it has ended ({self.ended})"),
            (earlier, f"tier {', '.join(earlier)} has not passed"),
            (number in self.tiers_done, f"tier {number} has passed already"),
            (number > 1 and not (self.rules["report_only"] or self._was_patched()), "nobody was patched before"),
            (not names or len(set(names)) < len(names), "its hosts are none, or named twice"),
            (wrong is not None, f"{wrong} is not to be patched in tier {number}"),
        )
        return next((why for holds, why in reasons if holds), None)


def state(entries):
    """Return the State after these entries (iterable of dicts)."""
    return advance(State(), entries)


def advance(current, entries):
    """Return `current` after these further entries; it is changed in place. Raises RolloutError for one that cannot be."""
    for entry in entries:
        handler = HANDLERS.get(entry["kind"])
        if handler:
            _take(handler, current, entry)
    return current


def _take(handler, current, entry):
    try:
        handler(current, entry)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise RolloutError(
            f"The journal's entry {str(entry)[:200]} cannot be understood ({error!r}): expected what this collection writes. "
            "Put the journal back from a copy, or use another livepatch_rollout."
        ) from None


def _rollout(current, entry):
    # A new round forgets the former one, but not how often the rollout was run, nor what is to be undone.
    fresh = State(
        rollout=entry["rollout"],
        release=entry["release"],
        seed=entry["seed"],
        wanted=entry.get("wanted") or {},
        parameters=entry["parameters"],
        rounds=current.rounds + 1,
        runs=current.runs,
        last_run=current.last_run,
        before=_unsettled(current) if entry.get("wanted") and current.over else current.before,
        persistence=current.persistence,
        held=current.held,
        overrides=current.overrides,
        retries=current.retries,
    )
    current.__dict__.update(fresh.__dict__)


def _unsettled(current):
    """Return of `before` what a complete round of builds has left open.

    What it brought well is what hosts had before the next builds: these are rolled back to it, and not to nothing.
    """
    return {name: had for name, had in current.before.items() if had["outcome"] not in DONE_WELL}


def _run(current, entry):
    current.runs = entry["run"]
    current.last_run = entry
    current.ended = ""
    current.held_since = None
    current.readings = {}  # This run may have other sources.
    current.automation, current.not_held = [], {}
    current.held = dict.fromkeys(current.held, 0.0)  # Hosts that were booted meanwhile hold nothing back.
    begun = any(host.patched for host in current.hosts.values())
    current.looked_at = -1.0 if begun else journal.seconds(entry["time"])


def _build(current, entry):
    current.builds[builds.key(entry)] = entry


def _package(current, entry):
    """Return the package that a host gets: the build of its kernel. A plan of builds has nobody without one."""
    return current.builds[builds.key(entry)]["package"] or _nothing(entry) if current.resolved else None


def _nothing(entry):
    raise ValueError(f"there is no build for {entry['host']}")


def _host(current, entry):
    name, moment, package = entry["host"], journal.seconds(entry["time"]), _package(current, entry)
    known = current.hosts.get(name)
    current.excluded.pop(name, None)
    if known is None or (known.control is None and known.patched is None):
        current.persistence.pop(name, None)
        fresh = Host(
            name=name,
            planned=moment,
            **{key: entry[key] for key in ("tier", "slice", "cohort", "domain", "kernel_release", "boot_id", "enabled")},
            livepatch=entry.get("livepatch"),
            effective_release=entry.get("effective_release"),
            architecture=entry.get("architecture"),
            package=package,
        )
        fresh.others = bool(known and known.others) or _runs_anothers(known, entry)
        if fresh.others:
            fresh.arm = ""
        if known is None:
            current.hosts[name] = fresh
            current.by_tier.setdefault(fresh.tier, []).append(fresh)
        else:
            known.__dict__.update(fresh.__dict__)
        return
    if known.boot_id and known.boot_id != entry["boot_id"]:
        _crash(known, moment, "rebooted")
    if known.arm == "control" and _runs_anothers(known, entry):
        known.arm, known.others = "", True
    known.package = package
    for key in ("kernel_release", "architecture", "boot_id", "enabled", "livepatch", "effective_release"):
        setattr(known, key, entry.get(key))


def _runs_anothers(known, entry):
    """Does a host run the release, though not by this rollout, or what somebody has brought there since it was planned?"""
    enabled = entry["enabled"]
    return bool(enabled) and (enabled == entry.get("livepatch") or known is not None and (enabled != known.enabled or not known.arm))


def _excluded(current, entry):
    current.excluded[entry["host"]] = entry
    host = current.hosts.get(entry["host"])
    if host and entry["outcome"] == "already":
        host.arm = ""  # It runs the release, though not by this rollout: it is no control any more.


def _planned(current, entry):
    current.tiers = entry["tiers"]


def _slice(current, entry):
    why = current.shut(entry["tier"], entry["hosts"])
    if why:
        raise RolloutError(
            f"No host may be patched now: {why}. Expected hosts of the first tier that is not done, without an outcome, "
            "as rollout_plan gives them. Run the rollout's own command again: it tells what is to be done."
        )
    moment = journal.seconds(entry["time"])
    current.last_slice, current.just_done = entry, None
    current.begun_at.setdefault(entry["tier"], moment)
    for name in entry["hosts"]:
        host = current.hosts[name]
        # One that a dead controller had begun stays begun by that: what it changed was this rollout's doing.
        host.arm, host.begun, host.lost, host.blind, host.habits = "patched", host.begun or entry, None, None, None
        host.patched = host.patched or (moment, moment)
        had = {"run": entry["run"], "enabled": host.enabled, "package": None, "package_now": None, "livepatch": host.livepatch}
        had.update(build=host.package, outcome=None, reason=None)
        current.before.setdefault(name, had)["gone"] = False


def _outcome(current, entry):
    name, outcome, moment = entry["host"], entry["outcome"], journal.seconds(entry["time"])
    _had_before(current, name, entry)
    if outcome not in DONE_WELL:
        current.persistence.pop(name, None)
    host = current.hosts.get(name)
    if host is None:
        return  # of a former round
    begin, host.begun, host.outcome = host.begun, None, entry
    if outcome in WITHOUT:
        host.arm = ""
        if not host.crash and not host.alarm and outcome == "not_applicable":
            host.patched = None
    if begin:
        current.finished_at[entry["tier"]] = moment
        before = entry.get("boot_id_before")
        if before and host.boot_id and before != host.boot_id:
            _crash(host, host.patched[0] - 1 if host.patched else moment, "rebooted before its slice began")
    if outcome in FAILURES:
        host.failure = host.failure or entry["reason"]
        host.own = host.own or bool(begin) or outcome not in EVENTS
    _follow(host, entry, moment)
    host.boot_id = entry.get("boot_id") or host.boot_id
    host.livepatch = entry.get("livepatch") or host.livepatch
    if entry.get("sequence") is not None or entry.get("since"):
        host.told = {key: entry[key] for key in ("sequence", "since", "host_time") if key in entry}
        host.told["at"] = moment


def _had_before(current, name, entry):
    """Keep what a host had before the rollout first touched it; forget it when that is what it has again.

    Only the run that first touched it has seen what it had. What a later one finds may be this rollout's own doing.
    """
    outcome, known = entry["outcome"], current.before.get(name)
    first = known and (known["run"] == entry["run"])
    untouched = known and (first or known["outcome"] is None) and outcome in ("already", "not_applicable")
    if outcome == "rolled_back" or untouched:
        current.before.pop(name, None)
    elif known and outcome == "gone":
        known["gone"] = True  # It may come back, with what this rollout brought.
    elif known:
        known.update(outcome=outcome, reason=entry["reason"])
        known["livepatch"] = entry.get("livepatch") or known["livepatch"]
        known["package_now"] = entry.get("package") or known["package_now"]
        if outcome not in ROLLED_BACK:
            known["enabled"] = entry.get("enabled_before") if first else known["enabled"]
            known["package"] = known["package"] or entry.get("package_before")


def _follow(host, entry, moment):
    """Take from an outcome what happened to the host, and when."""
    outcome, since = entry["outcome"], host.patched
    if since is None or outcome in WITHOUT:
        return
    # What happens to a host that is being patched happens after its slice began, whatever rounded seconds say.
    happened = max(moment - (entry.get("age_seconds") or 0), since[0] + 1)
    if outcome == "rebooted":
        _crash(host, happened, entry["reason"])
    elif outcome == "unreachable":
        host.lost = moment if host.lost is None else host.lost
    elif outcome == "alarmed":
        host.alarm = host.alarm or (happened, entry["reason"])
    if outcome in ("patched", "already", "alarmed") and not entry.get("blind"):
        host.patched = (since[0], moment)
    if entry.get("blind"):
        host.blind = host.blind or (moment, entry["blind"])


def _crash(host, moment, reason):
    """The first crash of a host; nothing that happens to it later counts, on either arm."""
    host.lost = None
    host.crash = host.crash or (moment, reason)


def _looks(current, entry):
    """A round of looks: those that are well, with where to read their log on from; the others have entries of their own."""
    moment = journal.seconds(entry["time"])
    for name, sequence in entry["well"].items():
        host = current.hosts[name]
        _is_well(host, moment)
        if sequence is not None:
            host.told["sequence"] = sequence
        host.told["at"] = moment


def _is_well(host, moment):
    host.lost = host.blind = None
    if host.arm == "patched" and host.patched:
        host.patched = (host.patched[0], moment)
    elif host.arm == "control":
        host.control = (host.planned, moment)


def _look(current, entry):
    host, moment = current.hosts[entry["host"]], journal.seconds(entry["time"])
    changed = entry.get("enabled", host.enabled) != host.enabled or _ran_another(host, entry, moment)
    if host.arm == "control" and changed:
        host.arm, host.others = "", True  # It is no control any more, nor is what befell it since.
    if host.arm == "control":
        host.control = host.control or (host.planned, host.planned)  # The plan was the first look at it.
    if "silent" in entry:
        host.lost = moment if host.lost is None else host.lost
        return
    trouble = another_machine(host, entry, moment) or entry.get("error")
    blind = host.blind or (moment, trouble) if trouble else None
    if trouble and ("boot_id" not in entry or trouble != entry.get("error")):
        host.blind = blind
        return
    known, boot_id = host.boot_id, entry.get("boot_id")
    begin = host.patched[0] if host.arm == "patched" and host.patched else host.planned
    if known and boot_id and boot_id != known:
        # The host's uptime says when it happened.
        if host.arm:
            _crash(host, max(moment - (entry.get("uptime_seconds") or 0), begin + 1), "rebooted")
    elif not trouble:
        _is_well(host, moment)
    host.lost, host.blind = None, blind
    host.boot_id = boot_id or known
    for happened, kind, text in _happened(host, entry, moment, begin) if host.arm else ():
        if kind == "crash":
            _crash(host, happened, text)
        else:
            host.alarm = host.alarm or (happened, text)
    host.habits = _habits(host, entry, moment)
    if host.arm == "patched" and not host.crash and _is_proven_without(host, entry):
        host.arm = ""
    host.told = {key: entry[key] for key in ("sequence", "host_time", "counters", "taint") if key in entry}
    host.told.update(at=moment, boot_id=boot_id)


def _ran_another(host, entry, moment):
    """Did anything befall it while it ran another livepatch than when it was planned? A boot may have taken that out again."""
    for event in entry.get("events") or []:
        told = event.get("effective_release") or ""
        since = moment - (event.get("age_seconds") or 0) >= host.planned
        if since and told.startswith(f"{host.kernel_release}-") and told != host.effective_release:
            return True
    return False


def another_machine(host, entry, moment):
    """Say that a machine answers which was up when another one had that name: an address has moved; None if not so."""
    boot_id, uptime = entry.get("boot_id"), entry.get("uptime_seconds")
    if not boot_id or not host.boot_id or boot_id == host.boot_id or uptime is None:
        return None
    if moment - uptime >= host.told.get("at", host.planned) - ANOTHER_MACHINE:
        return None
    return f"another machine answers (boot id {boot_id}, up for {int(uptime)} s)"


def _is_proven_without(host, entry):
    """Does this look prove that the livepatch is not in a host which could not be patched?"""
    enabled = entry.get("enabled", host.livepatch)
    return bool(host.livepatch) and host.is_(*FAILURES) and enabled != host.livepatch


def _happened(host, entry, moment, begin):
    """Yield (when, crash or alarm, text) of what a look tells that happened since the host is on its arm."""
    events = [(moment - (event.get("age_seconds") or 0), event) for event in alarms(host, entry, moment)]
    # The first look at a control host reads all of its log: what it had before is nothing new.
    old = {event.get("signature") for happened, event in events if happened < begin}
    for happened, event in events:
        if happened >= begin and event.get("signature") not in old:
            text = f"{event.get('kind', 'event')}: {event.get('text') or event.get('signature') or ''}".strip()
            yield happened, "crash" if event.get("kind") == "crash" else "alarm", text


def alarms(host, look, moment):
    """Return the events (list of dicts) of a look at a Host that are alarms or crashes, with those that come of their number.

    That are new ones, and one for each signature that was there before and comes far more often now (gate/rates.py). What the
    kernel has counted and its log does not tell is one unless it was counted as often before: what it was nobody knows.
    """
    found = [event for event in look.get("events") or [] if event.get("new") is not False and event.get("kind") != "coredump"]
    habits = _habits(host, look, moment)
    if habits is None:
        return found
    usual = {event["signature"] for event in found if _is_usual(host, habits, event, look, moment)}
    found = [event for event in found if event.get("signature") not in usual]
    told = {event.get("signature") for event in found}
    for signature, (count, unseen) in habits["since"].items():
        before, seconds = habits["before"][signature], moment - habits["at"] - unseen
        if signature not in told and rates.is_surely_above(count, seconds, *before):
            kind, unused, name = signature.partition(":")
            text = f"{name} comes far more often: {count} times in {_span(seconds)}, before {before[0]} in {_span(before[1])}"
            found.append({"kind": kind, "signature": signature, "text": text, "age_seconds": 0})
    return found


def _is_usual(host, habits, event, look, moment):
    """Was it there before? A log that turns over forgets that; what is untold has to have come as often."""
    signature = event.get("signature")
    if event.get("kind") != "untold":
        return event.get("kind") != "crash" and host.habits is not None and signature in host.habits["before"]
    if signature not in habits["before"]:
        return False
    count = (look.get("signatures") or {}).get(signature, {}).get("count") or 0
    return not rates.is_above(max(count, 1), moment - _looked(host, habits), *habits["before"][signature])


def _looked(host, habits):
    """When the time began that a look after these habits tells of (seconds): at the last look, or when they were learned."""
    return habits["at"] if host.habits is None else max(host.told.get("at", 0.0), habits["at"])


def _habits(host, look, moment):
    """Return the habits of a Host after this look; the first one on its arm tells what was before."""
    counted = look.get("signatures") or {}
    if host.habits is None:
        begin = host.patched[0] if host.arm == "patched" and host.patched else moment
        before = {signature: [found["count"], found["seconds"]] for signature, found in (look.get("known_signatures") or {}).items()}
        for signature, found in counted.items() if begin == moment else ():
            count, seconds = before.get(signature, (0, 0))
            before[signature] = [count + found["count"], seconds + found["seconds"]]
        found = {"at": begin, "before": before, "since": {}}
        if begin == moment:
            return found
    else:
        found = {**host.habits, "since": dict(host.habits["since"])}
    window = moment - _looked(host, found)
    for signature in found["before"]:
        if signature in counted:
            count, unseen = found["since"].get(signature, (0, 0))
            unseen += max(0, window - counted[signature]["seconds"])
            found["since"][signature] = [count + counted[signature]["count"], unseen]
    return found


def _span(seconds):
    """A time as people say it: 40 s, 15 min, 36 h."""
    for unit, name in ((7200, "h"), (120, "min")):
        if seconds >= unit:
            return f"{round(seconds / (3600 if name == 'h' else 60))} {name}"
    return f"{round(seconds)} s"


def _event(current, entry):
    """Something that a source on the controller tells of a host that is watched."""
    host = current.hosts[entry["host"]]
    since = host.patched[0] if host.patched else host.planned
    if entry["at"] < since or not host.counts:
        return  # Of a host that nobody looks at: the other hosts of its arm would not have told.
    if entry["event"] == "crash":
        _crash(host, entry["at"], entry["text"])
    elif entry["event"] != "coredump":
        host.alarm = host.alarm or (entry["at"], entry["text"])


def _reading(current, entry):
    current.readings[entry["source"]] = entry


def _verdict(current, entry):
    current.verdict = entry
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
    """A new round of the same plan: failed hosts and those rolled back are done again, the others are watched on.

    An abort that was said after a stop stands: whoever gave the retry's reason may not have heard of it. So does a pause.
    """
    forgets = bool(entry.get("forgets"))
    current.rounds += 1
    current.retries.append(entry["reason"])
    ended = max((journal.seconds(one["time"]) for one in (current.stop, current.rollback) if one), default=float("inf"))
    if current.aborted and journal.seconds(current.aborted["time"]) <= ended:
        current.aborted = None
    current.stop = current.rollback = current.held_since = current.verdict = None
    if forgets:
        current.evidence_from = journal.seconds(entry["time"])
    again = [host for host in current.hosts.values() if host.done and current.is_done_again(host, host.outcome["outcome"], forgets)]
    for host in current.hosts.values() if forgets else ():
        host.lost = host.blind = None
    for host in again:
        # What befell it is forgiven with it. It is watched on where it may have the livepatch.
        without = host.is_(*WITHOUT) or host.arm == ""
        host.outcome = host.failure = host.crash = host.alarm = host.lost = host.blind = host.control = None
        host.own, host.told, host.habits = False, {}, None
        moment = journal.seconds(entry["time"])
        host.arm, host.patched = ("", None) if without else ("patched", (moment, moment))
        host.boot_id = None
        current.tiers_done.discard(host.tier)
        for moments in (current.promoted, current.soaks, current.begun_at, current.finished_at):
            moments.pop(host.tier, None)


def _override(current, entry):
    """What a person, or an alert, has said from outside."""
    current.overrides.add(entry["id"])
    if entry["override"] == "pause":
        current.paused = entry
    elif entry["override"] == "resume":
        current.paused = current.held_since = None
    elif entry["override"] == "promote":
        if not current.without_effect(entry):
            current.promoted.setdefault(entry["tier"], journal.seconds(entry["time"]))
    elif not (current.aborted and current.aborted["override"] == "rollback"):
        current.aborted = entry  # Who asks for no more than a stop takes no rollback back.


def _override_unread(current, entry):
    current.overrides.add(entry["id"])


def _rollback(current, entry):
    current.rollback = entry
    for name in entry["hosts"]:
        if name in current.before:
            current.before[name]["gone"] = False


def _persisted(current, entry):
    current.persistence.update({**dict.fromkeys(entry["hosts"], ""), **entry["failed"]})


def _automation(current, entry):
    current.automation.append(entry)


def _held(current, entry):
    current.held.update(dict.fromkeys(entry["hosts"], journal.seconds(entry["until"])))
    current.not_held.update(entry["failed"])


def _given_back(current, entry):
    for name in entry["hosts"]:
        current.held.pop(name, None)  # One that did not is asked again by the next run, or its time is over.


def _end(current, entry):
    current.ended, current.just_done = entry["result"], None


HANDLERS = {
    "rollout": _rollout,
    "run": _run,
    "build": _build,
    "host": _host,
    "excluded": _excluded,
    "planned": _planned,
    "slice": _slice,
    "outcome": _outcome,
    "looks": _looks,
    "look": _look,
    "event": _event,
    "reading": _reading,
    "override": _override,
    "override_unread": _override_unread,
    "verdict": _verdict,
    "tier_done": _tier_done,
    "soak": _soak,
    "retry": _retry,
    "rollback": _rollback,
    "persisted": _persisted,
    "automation": _automation,
    "held": _held,
    "given_back": _given_back,
    "end": _end,
}
