# A small simulation for every change: does the gate still let good livepatches through, and stop bad ones early?
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The runs are reproducible, so the limits may be close to what is measured; docs/health-gate.md has the large tables.

import functools

import numpy
import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import exposure

from tests.simulation import ROOT, fleet, models, picture, played, report, rollout, world

HOSTS = 10000
PLANS = 4


@functools.lru_cache(maxsize=None)
def results(name, runs, hosts=HOSTS, compare=False, **options):
    return [rollout.simulate(hosts, name, 1, run, plans=PLANS, compare=compare, **dict(options)) for run in range(runs)]


def numbers(name, runs, **options):
    return report.summary(results(name, runs, **options))


def test_a_good_livepatch_reaches_the_whole_fleet():
    found = numbers("good", 30)
    assert found["stopped"] <= 1 / 30
    assert found["held"] <= 3 / 30
    assert found["patched"] > 0.95


@pytest.mark.parametrize("name", ["racks", "surge"])
def test_a_good_livepatch_is_not_blamed_for_what_hits_both_arms(name):
    assert numbers(name, 20)["stopped"] <= 2 / 20


def test_few_failures_without_harm_do_not_stop():
    found = numbers("f0.2%", 20)
    assert found["rules"][2] == 0
    assert found["stopped"] <= 2 / 20


def test_many_failures_without_harm_do():
    found = numbers("f10%", 12)
    assert found["stopped"] == 1
    assert found["patched"] <= 0.01


def test_strong_evidence_that_does_not_suffice_holds_the_rollout_until_a_person_decides():
    held = [result for result in results("q.1%", 20) if result.outcome == "held"]
    assert held
    assert all(result.hold_hours >= rollout.MAX_HOLD and result.patched < 0.96 for result in held)


def test_hosts_that_crash_twenty_times_as_often_stop_the_rollout_early():
    found = numbers("x20", 30)
    assert found["stopped"] >= 0.85
    assert found["stopped"] + found["ended_held"] == 1
    assert found["crashed"] <= 5
    assert found["patched"] <= 0.16


def test_the_control_arm_alone_shows_it_without_history():
    found = numbers("x20", 20, history=False)
    assert found["stopped"] >= 0.85
    assert found["patched"] <= 0.25


def test_history_helps_a_small_fleet():
    with_history, without = (numbers("x20", 30, hosts=1000, history=history) for history in (True, False))
    assert with_history["noticed"] >= 0.75
    assert with_history["patched"] <= without["patched"] - 0.1


def test_crashes_in_one_of_ten_transitions_stop_the_rollout_at_once():
    found = numbers("q10%", 20)
    assert found["stopped"] == 1
    assert found["crashed"] <= 4
    assert found["patched"] <= 0.01


def test_crashes_soon_after_patching_are_seen_although_they_are_few():
    found = numbers("q.1%", 40, history=False)
    assert found["stopped"] + found["ended_held"] >= 0.8


def test_a_bad_cohort_is_met_by_the_first_tier():
    found = numbers("c-q100%", 20)
    assert found["stopped"] == 1
    assert found["crashed"] <= 2
    assert found["patched"] <= 0.002


def surging(run):
    """A harmless livepatch; from the 20th hour on, when half are patched, all hosts crash thirty times as often."""
    plan = fleet.make(HOSTS, f"1/{run % PLANS}")
    luck = world.Luck(plan, models.parse("good"), numpy.random.default_rng([1, run]))
    times = numpy.array([0.0, 20.0, world.HORIZON])
    luck.clocks = [(times, numpy.array([0.0, 20.0, 20.0 + 30 * (world.HORIZON - 20)]))] * len(fleet.COHORTS)
    return rollout.Rollout(world.World(luck), history=False).run()


def test_trouble_that_comes_when_most_hosts_are_patched_is_compared_with_that_of_the_same_time():
    assert [surging(run)[0] for run in range(6)].count("complete") >= 5


def test_without_a_gate_or_with_one_that_is_blind_to_crashes_everybody_suffers():
    found = report.others(results("x20", 4, compare=True))
    assert found["the product's"][0] == 1
    for gate in ("no gate", "max_fail_percentage 1"):
        stopped, crashed, patched = found[gate]
        assert (stopped, patched) == (0, 1)
        assert crashed > 40


def test_looks_at_which_nobody_new_has_crashed_need_no_weighing():
    for name in ("good", "x5", "storm"):
        for run in range(2):
            lazy, always = (
                rollout.simulate(HOSTS, name, 1, run, plans=PLANS, compare=False, always=always)
                for always in (False, True)
            )
            assert lazy._replace(highest=0) == always._replace(highest=0)
            assert lazy.highest == pytest.approx(always.highest)


@pytest.mark.parametrize("name, control_hosts", [("x20", 1000), ("x200+racks+flaps", 1000), ("x200+racks+flaps", 60)])
def test_what_the_gate_is_shown_is_what_the_product_makes_of_the_answers_of_hosts(name, control_hosts):
    model = models.parse(name)
    luck = world.Luck(fleet.make(400, "1/0", names=model.habits), model, numpy.random.default_rng(7))
    luck.phase, luck.rack_dies = 0.0, 1 + luck.rack_dies / 100  # nobody is watched before the first slice
    there = played.Played(world.World(luck, control_hosts), control_hosts)
    compared, first = 0, set(range(luck.fleet.tiers[0].slices[0]))
    for number, tier in enumerate(luck.fleet.tiers, 1):
        for part, size in enumerate(tier.slices, 1):
            for later in (1.0, 0.0, 0.0):  # who takes the place of the dead is looked at, too
                there.look(there.now + later)
            there.patch(number, part, size)
            found, shown = there.tally(), there.world.tally(there.now, there.now)
            assert found.incidents == shown.incidents
            assert sorted(found.singles) == sorted(shown.singles)
            weighed = exposure.weigh(found, luck.history), exposure.weigh(shown, luck.history)
            assert weighed[0] == pytest.approx(weighed[1], rel=0.01)
            if there.now > 1:  # at the first slice nobody has been looked at yet
                assert there.watched() == set(numpy.flatnonzero(there.world.watched < world.NEVER)) - first
            compared += sum(found.incidents.values())
        there.write([{"kind": "tier_done", "tier": number}])
    assert compared > 0


def test_the_same_seed_gives_the_same_run():
    again = [rollout.simulate(1000, "worst", 5, 3, compare=True) for unused in range(2)]
    assert again[0] == again[1]
    assert again[0] != rollout.simulate(1000, "worst", 6, 3, compare=True)


def test_the_fleet_is_the_products_plan():
    found = fleet.make(HOSTS, "1/0")
    assert [tier.name for tier in found.tiers] == ["canary", "1%", "5%", "10%", "20%", "50%", "95%", "rest"]
    assert sum(sum(tier.slices) for tier in found.tiers) == HOSTS
    assert set(found.cohort[:6]) == set(range(6)), "the first tier begins with a host of each cohort"
    share = numpy.bincount(found.cohort) / HOSTS
    assert share @ fleet.RATES == pytest.approx(3.2e-5, rel=0.01)


def test_a_model_is_known_by_its_name():
    found = models.parse("c-q10%+storm")
    assert (found.crash, found.only_smallest, found.storm, found.times) == (0.1, True, True, 1)
    with pytest.raises(ValueError):
        models.parse("x")


def test_a_host_that_crashed_before_its_slice_is_patched_and_on_no_arm_and_each_host_counts_once():
    model = models.parse("x200+flaps")
    luck = world.Luck(fleet.make(1000, "1/0", names=model.habits), model, numpy.random.default_rng(1))
    seen = world.World(luck, 0)
    for size in (400, 600):
        seen.patch(size, 5.0)
    before = seen.first < 5
    assert before.sum() >= 5 and not seen.counts[before].any() and (seen.crash[before] < world.HORIZON).any()
    assert seen.counts.sum() == 1000 - before.sum()
    watched = world.World(luck)
    watched.patch(1000, 5.0)
    assert watched.tally(world.HORIZON, world.HORIZON).incidents["control"] <= before.sum()
    assert len(watched.tally(world.HORIZON, world.HORIZON).singles) <= 1000


def test_hosts_that_reboot_again_and_again_are_not_the_livepatchs_fault_unless_nobody_asks_for_their_boot_ids():
    right, wrong = (results("flaps", 4, control_hosts=5000, boot_ids=asked) for asked in (True, False))
    assert not any(result.rule == 2 for result in right)
    assert sum(result.rule == 2 for result in wrong) >= 2


def test_a_lost_control_network_does_not_disarm_the_gate():
    calm, lost = (numbers(name, 20, control_hosts=5000) for name in ("late-x20", "late-x20+lost"))
    assert lost["stopped"] == 1
    assert lost["crashed"] <= 2 * calm["crashed"]


def test_hosts_that_hang_hold_the_rollout_before_many_do():
    found = numbers("h0.5%", 20)
    assert found["stopped"] + found["ended_held"] == 1
    assert found["crashed"] <= 3


def test_the_pictures_of_the_guide_are_those_of_rollouts_that_end_as_their_names_say():
    for file, (unused, model, run) in picture.PICTURES.items():
        assert picture.watch(model, run).outcome == {"gate-held.svg": "held", "gate-stopped.svg": "stop"}[file]
    for file, text in picture.pictures().items():
        again = "docs/%s is not what the simulation makes: run .venv/bin/python -m tests.simulation.picture" % file
        assert (ROOT / "docs" / file).read_text(encoding="utf-8") == text, again
