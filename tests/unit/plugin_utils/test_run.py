# Tests of a whole run: it waits, looks, judges and opens slices on hosts and a clock that are played.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge, rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import answers, journal, lock, run, schedule, session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.plugin_utils.rollouts import Rollout, good, hosts

TIERS = [
    {"name": "canary", "hosts": 2, "soak": "30m"},
    {"name": "rest", "share": "50%", "soak": "1h"},
    {"name": "all", "share": "100%", "soak": "1h"},
]
TOO_MANY = 2000


class Played:
    """A session and a world in one: hosts that are as they were, but for what `troubles` says of them.

    troubles: name -> function of (host, now) that returns what its look says otherwise, None for one that is well; it is
    asked for the results of a slice too.
    """

    def __init__(self, rollout, troubles=None):
        self.rollout, self.troubles = rollout, troubles or {}
        self.looks, self.kept, self.waits, self.said, self.told = [], [], [], [], 0
        self.when_looking = lambda: None

    @property
    def state(self):
        return self.rollout.state

    def add(self, entries):
        if entries:
            self.rollout.write(entries)

    def take_overrides(self):
        said, self.said = self.said, []
        for override in said:
            self.rollout.say(override)
        return said

    def now(self):
        return self.rollout.now

    def wait(self, until):
        assert until > self.rollout.now, "nobody waits for what has been"
        self.waits.append(until - self.rollout.now)
        assert len(self.waits) + len(self.looks) < TOO_MANY, "it spins"
        self.rollout.now = until

    def look(self, since):
        self.looks.append(list(since))
        assert len(self.waits) + len(self.looks) < TOO_MANY, "it spins"
        self.rollout.now += 1
        self.when_looking()
        return {name: self._look(name) for name in since}

    def _trouble(self, name):
        return self.troubles.get(name, lambda host, now: None)(self.state.hosts[name], self.rollout.now)

    def _look(self, name):
        return self.rollout.answer(name, look=self._trouble(name) or {})

    def results(self, name):
        trouble = self._trouble(name)
        return good(name, look=trouble) if trouble else good(name)

    def keep(self, wanted):
        self.kept.append(wanted)
        return {name: answers.result({"changed": True}) for name in wanted}

    def sources(self, state):
        return []

    def tell(self, state, number, verdict, found):
        self.told += 1

    def go(self, last=None):
        """One run, as the playbook does it; return whether all its tiers have passed."""
        self.opened = []
        last = last or len(self.state.tiers)
        names, sizes = schedule.to_patch(self.state, last)
        going = run.Run(self, self)
        for size in sizes:
            batch, names = names[:size], names[size:]
            if not batch:
                break
            if not going.open(batch):
                return False
            self.opened.append(batch)
            self.rollout.now += 60
            if going.close(self.results)["verdict"] == "stop":
                return False
        return going.finish(last)


def rollout(count=12, **options):
    options.setdefault("rules", rules.parse({}))
    return Rollout(hosts(count), **{"tiers": TIERS, "slice": "50%", **options})


def crash(at):
    """A host that was booted anew at that moment."""

    def trouble(host, now):
        if now < at:
            return None
        return {"boot_id": "new", "rebooted": host.arm == "patched", "uptime_seconds": int(now - at), "sequence": 3}

    return trouble


def test_a_run_patches_all_tiers_one_after_the_other_and_watches_each_for_as_long_as_planned():
    found = rollout()
    world, begin = Played(found), found.now
    assert world.go()
    assert judge.counts(found.state) == {"patched": 12} and found.state.tiers_done == {1, 2, 3}
    assert [len(batch) for batch in world.opened] == [1, 1, 2, 2, 3, 3]
    assert 2.5 * 3600 <= found.now - begin < 3 * 3600
    assert [sorted(wanted) for wanted in world.kept] == [sorted(found.tier(number)) for number in (1, 2, 3)]
    looked = [host for host in found.state.hosts.values() if host.patched[1] >= found.state.soaks[3]]
    assert len(looked) == 12, "all are looked at once more when the last soak is over"


def test_a_run_that_ends_after_a_tier_is_gone_on_with_by_the_next_one():
    found = rollout()
    assert Played(found).go(1) and found.state.tiers_done == {1}
    found.open()
    again = Played(found)
    assert again.go() and found.state.tiers_done == {1, 2, 3}
    assert again.kept[0].keys() == set(found.tier(2)), "who was asked once to keep it is not asked again"


def test_nobody_is_patched_after_a_canary_has_crashed_in_its_soak():
    found = rollout()
    world = Played(found, {found.tier(1)[0]: crash(found.now + 900)})
    assert not world.go()
    assert found.state.stop and len(found.state.patched()) == 1 and len(world.opened) == 2
    assert world.kept == [], "what was stopped is not to be there after a reboot"


def test_where_nobody_is_left_to_look_at_a_run_waits_for_its_slice_and_does_not_spin():
    tiers = [{"name": "canary", "hosts": 1}, {"name": "rest", "share": "100%", "spread": "1h", "soak": "2h"}]
    found = rollout(6, tiers=tiers, slice=1, rules=rules.parse({"control_hosts": 0}))
    first, second = found.tier(1)[0], found.tier(2)[0]
    world = Played(found, {first: crash(found.now + 100), second: crash(found.now + 100)})
    world.go()
    assert len(world.waits) + len(world.looks) < 50


@pytest.mark.parametrize("override, held", [("pause", True), ("abort", False)])
def test_what_somebody_says_is_heard_while_hosts_are_looked_at_and_nobody_is_patched_any_more(override, held, monkeypatch):
    monkeypatch.setattr(run, "LOOKS_AT_ONCE", 4)
    found = rollout(rules=rules.parse({"max_hold": "2h"}))
    world = Played(found)
    world.when_looking = lambda: world.said.append(override) if len(world.looks) == 1 else None
    assert not world.go()
    assert (found.state.held_since is not None) == held and bool(found.state.stop) != held
    assert len(world.opened) <= 2
    if override == "abort":
        assert len(world.looks) == 1, "nobody else is looked at"


def test_a_hold_lasts_as_long_as_it_may_and_is_over_when_nothing_holds_the_rollout_any_more():
    found = rollout(rules=rules.parse({"max_hold": "2h"}))
    silent = found.tier(2)[0]
    begin = found.now
    world = Played(found, {silent: lambda host, now: {"unreachable": True, "boot_id": None} if now < begin + 5400 else None})
    assert world.go() is True
    assert "hold" in {verdict["verdict"] for verdict in found.verdicts()} or found.outcome(silent) == "unreachable"


def test_hosts_of_a_later_tier_are_not_opened_before_the_earlier_one_is_patched():
    found = rollout()
    going = run.Run(Played(found), Played(found))
    assert not going.open(found.tier(2)[:2])
    assert not found.state.last_slice
    with pytest.raises(RolloutError, match="is no host of the plan"):
        going.open(["nobody"])
    with pytest.raises(RolloutError, match="No slice is open"):
        going.close(good)


TROUBLES = {
    "well": lambda begin: lambda host, now: None,
    "crash": crash,
    "silent": lambda begin: lambda host, now: {"unreachable": True, "boot_id": None} if now >= begin else None,
    "comes back": lambda begin: lambda host, now: {"unreachable": True} if begin <= now < begin + 1200 else None,
    "blind": lambda begin: lambda host, now: {"failed": True, "msg": "sudo: a password is required"} if now >= begin else None,
    "another": lambda begin: lambda host, now: {"boot_id": "x", "uptime_seconds": 10**6} if now >= begin else None,
    "patches itself": lambda begin: lambda host, now: {"enabled": "hotfix3"} if now >= begin else None,
    "alarm": lambda begin: lambda host, now: (
        {"events": [{"kind": "warning", "age_seconds": 5, "signature": "w", "text": "WARNING: at x"}]} if now >= begin else None
    ),
}


@given(
    troubles=st.lists(st.tuples(st.integers(1, 12), st.sampled_from(sorted(TROUBLES)), st.integers(0, 12000)), max_size=8),
    control=st.sampled_from([0, 1, 5000]),
    lives=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_hosts_do_a_run_ends_and_nobody_is_patched_while_it_is_not_to_go_on(troubles, control, lives):
    found = rollout(rules=rules.parse({"control_hosts": control, "max_hold": "1h"}))
    begin = found.now
    acts = {f"host-{number}": TROUBLES[kind](begin + after) for number, kind, after in troubles}
    for unused in range(lives):
        world = Played(found, acts)
        passed = world.go()
        if passed:
            break
        assert found.state.stop or found.state.held_since is not None, "who does not go on says why"
        found.open()
    shut = False
    for entry in found.entries:
        if entry["kind"] == "slice":
            assert not shut
        elif entry["kind"] == "verdict":
            shut = entry["verdict"] != "pass"
    if passed:
        assert all(host.done for host in found.state.hosts.values() if host.name not in found.state.excluded)


def test_canaries_that_were_booted_anew_just_before_their_slice_are_watched_through_the_soak_all_the_same():
    found = rollout(slice="100%")
    names = found.tier(1)

    def anew(host, now):
        return {"boot_id": f"new-{host.name}", "rebooted": False}

    def results(name):
        since = {"boot_id": f"new-{name}", "sequence": 5}
        return good(name, apply={"since": since}, look={"boot_id": since["boot_id"]})

    world = Played(found, dict.fromkeys(names, anew))
    going = run.Run(world, world)
    assert going.open(names) and going.close(results)["verdict"] == "pass"
    assert found.watched() == names, "they have the livepatch, whatever befell them before"
    patched = found.now
    assert going.open(found.tier(2)[:1]) and found.now >= patched + 1800 and world.looks

    found = rollout(slice="100%")
    later = {names[0]: lambda host, now: (crash(now) if world.looks else anew)(host, now)}
    world = Played(found, {**dict.fromkeys(names, anew), **later})
    going = run.Run(world, world)
    assert going.open(names) and going.close(results)["verdict"] == "pass"
    assert not going.open(found.tier(2)[:1]) and found.state.stop, "a canary crashed with the livepatch"


def test_nobody_is_asked_to_keep_a_livepatch_over_reboots_while_the_rollout_is_paused():
    found = rollout(slice="100%")
    world = Played(found)
    world.keep = lambda wanted: {}  # it was not asked for
    assert world.go(1)
    found.say("pause")
    found.open()
    again = Played(found)
    assert not run.Run(again, again).open(found.tier(2)) and not again.kept
    found.say("resume")
    found.open()
    again = Played(found)
    assert run.Run(again, again).open(found.tier(2)) and list(again.kept[0]) == found.tier(1)


def test_a_soak_whose_end_was_asked_for_before_its_tier_was_patched_ends_with_a_look():
    found = rollout(slice="100%")
    world = Played(found)
    assert world.go(1)
    found.say("promote", tier=2)
    found.open()
    going = run.Run(world, world)
    assert going.open(found.tier(2))
    found.now += 60
    going.close(world.results)
    patched = found.now
    assert going.open(found.tier(3)) and found.now < patched + 60, "it does not soak"
    assert all(found.state.hosts[name].seen >= patched for name in found.watched()), "the canaries too"


def test_a_clock_that_was_ahead_for_one_look_does_not_spare_a_tier_its_later_looks():
    found = rollout(slice="100%")
    world = Played(found)
    going = run.Run(world, world)
    assert going.open(found.tier(1))
    going.close(world.results)
    until = found.now + 1800
    found.write([{"kind": "soak", "tier": 1, "until": journal.now(lambda: until)}])
    found.now += 86400
    found.write([{"kind": "looks", "well": dict.fromkeys(found.tier(1))}])
    found.judge(1, looked=True)
    found.now = until - 600
    looks = len(world.looks)
    assert going.open(found.tier(2)) and found.now >= until
    assert len(world.looks) >= looks + 2, "at once, and when the soak is over"


def test_what_was_seen_while_the_clock_was_ahead_makes_no_looks_without_end_and_no_soak_longer_than_planned():
    found = rollout(slice="100%")
    world = Played(found)
    assert run.Run(world, world).open(found.tier(1))
    world.rollout.now += 60
    run.Run(world, world).close(world.results)
    found.now += 86400
    waits = found.state.remaining(3)[0]
    found.write([{"kind": "soak", "tier": 1, "until": journal.now(lambda: found.now + 1800)}])
    found.write([{"kind": "looks", "well": dict.fromkeys(found.tier(1))}, {"kind": "look", "host": waits, "silent": "x"}])
    found.now -= 86400
    began = found.now
    assert run.Run(world, world).open(found.tier(2)) and 1800 <= found.now - began < 2000
    assert len(world.looks) < 10


def test_a_slice_that_was_opened_while_the_clock_was_ahead_does_not_keep_the_next_one_waiting_for_it():
    found = rollout(slice=1, tiers=[{"name": "all", "share": "100%", "soak": "2h", "spread": "1h"}])
    world = Played(found)
    found.now += 86400
    assert run.Run(world, world).open(found.state.remaining(1)[:1])
    run.Run(world, world).close(world.results)
    found.now -= 86400
    began = found.now
    assert run.Run(world, world).open(found.state.remaining(1)[:1]) and found.now - began < 600


def test_a_tier_that_is_tried_again_soaks_as_long_as_planned_though_its_slices_were_to_be_spread():
    tiers = [{"name": "canary", "hosts": 2, "soak": "4h", "spread": "4h"}, {"name": "all", "share": "100%"}]
    found = rollout(slice="100%", tiers=tiers)
    world = Played(found)
    going, names = run.Run(world, world), found.tier(1)
    assert going.open(names)
    bad = {"failed": True, "msg": "no", "proven": False}
    assert going.close(lambda name: good(name, apply=bad) if name == names[0] else good(name))["verdict"] == "stop"
    found.now += 86400
    found.open(retry="mended")
    world = Played(found)
    going = run.Run(world, world)
    assert going.open(found.state.remaining(1))
    going.close(world.results)
    patched = found.now
    assert going.open(found.tier(2)) and found.now >= patched + 4 * 3600


def _closed(found, name, said):
    """Patch the first tier, where one host answers otherwise, as what the controller makes of its one result."""
    world = Played(found)
    going = run.Run(world, world)
    assert going.open(found.tier(1))
    checked = answers.result(said)
    one = {"package": {"outcome": checked.get("outcome")}, "apply": checked, "look": checked.get("health") or {}}
    return going.close(lambda other: one if other == name else good(other))


BROUGHT = {"enabled": "hotfix3", "events": [], "unseen": [], "sources": {"kmsg": "read"}}


@pytest.mark.parametrize(
    "before, health", [("hotfix3", None), (None, BROUGHT)], ids=["a controller that was killed", "a module that was killed"]
)
def test_a_host_without_a_build_that_runs_what_somebody_who_was_killed_had_brought_is_watched_and_rolled_back(before, health):
    found = rollout(slice="100%")
    names = found.tier(1)
    world = Played(found)
    assert run.Run(world, world).open(names)
    found.open(**{name.replace("-", "_"): {"enabled": "hotfix3"} for name in names})
    said = {"outcome": "not_applicable", "before": {"enabled": before}, "health": health and {**health, "boot_id": f"boot-{names[0]}"}}
    assert _closed(found, names[0], said)["verdict"] == "stop"
    assert found.failures()[names[0]].endswith("but it runs hotfix3")
    assert names[0] in found.watched() and names[0] in found.state.to_roll_back()


@pytest.mark.parametrize("name", [None, "", 5])
def test_an_answer_that_names_no_livepatch_is_none_of_a_patched_host(name):
    found = rollout(slice="100%")
    first = found.tier(1)[0]
    said = {"changed": True, "proven": True, "name": name, "before": {"enabled": None}, "health": None}
    assert _closed(found, first, said)["verdict"] == "stop" and found.outcome(first) == "failed"


def test_an_image_that_does_not_have_the_package_and_runs_the_release_is_watched():
    found = rollout(slice="100%")
    first = found.tier(1)[0]
    image = {"failed": True, "error": "image_based", "image_based": "ostree", "before": {"enabled": None}}
    assert _closed(found, first, image)["verdict"] == "pass" and found.outcome(first) == "not_applicable"
    other = rollout(slice="100%")
    assert _closed(other, first, dict(image, before={"enabled": "hotfix3"}))["verdict"] == "stop" and first in other.watched()


def test_a_missing_build_that_is_to_be_a_failure_is_one():
    found = rollout(slice="100%")
    name = found.tier(1)[0]
    said = {"failed": True, "outcome": "not_applicable", "before": {"enabled": None}, "health": None}
    assert _closed(found, name, said)["verdict"] == "stop" and found.outcome(name) == "failed"


def test_an_answer_with_a_text_where_the_former_livepatch_is_told_ends_no_run():
    found = rollout(slice="100%")
    name = found.tier(1)[0]
    said = {"changed": True, "name": "hotfix3", "proven": True, "before": "hotfix2", "health": None}
    assert _closed(found, name, said)["verdict"] == "pass" and found.outcome(name) == "patched"


@pytest.mark.parametrize("lacking", ["enabled", "events", "sources"])
def test_a_look_that_does_not_tell_what_every_look_tells_is_not_one_of_a_host_that_is_well(lacking):
    found = rollout(slice="100%")
    world = Played(found)
    going = run.Run(world, world)
    assert going.open(found.tier(1))
    going.close(world.results)
    whole = world.look
    world.look = lambda since: {name: {key: look[key] for key in look if key != lacking} for name, look in whole(since).items()}
    assert not going.open(found.tier(2))
    assert f"its answer has no {lacking}" in found.state.verdict["reasons"][0] and found.state.verdict["verdict"] == "hold"


def test_a_disk_that_is_full_while_a_look_is_written_leaves_the_journal_as_it_was_and_the_next_run_goes_on(tmp_path, monkeypatch):
    found = rollout(slice="100%")
    world = Played(found)
    assert run.Run(world, world).open(found.tier(1))
    run.Run(world, world).close(world.results)
    path, owner = str(tmp_path / "web.jsonl"), lock.owner(os.getpid(), "ann")
    journal.append(path, found.entries)
    before = (tmp_path / "web.jsonl").read_bytes()
    whole = os.write

    def full(fd, data):
        if b'"looks"' in data:
            whole(fd, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        return whole(fd, data)

    with monkeypatch.context() as patched:
        patched.setattr(journal.os, "write", full)
        with pytest.raises(RolloutError, match="web.jsonl cannot be written: No space left on device. Nothing goes on without it"):
            with session.Session(path, owner, clock=world.now) as current:
                run.Run(current, world).finish(1)
    assert (tmp_path / "web.jsonl").read_bytes().startswith(before) and lock.holder(path, lock.owner(os.getppid(), "bob")) is None
    entries = list(journal.read(path))
    assert not any(entry["kind"] == "looks" for entry in entries[len(found.entries) :]) and entries[-1]["kind"] != "tier_done"
    with session.Session(path, owner, clock=world.now) as current:
        assert run.Run(current, world).finish(1)
        assert current.state.tiers_done == {1}
