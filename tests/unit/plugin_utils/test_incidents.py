# Tests of what hosts of one failure domain suffer together, and of who is watched on which arm.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import random
from types import SimpleNamespace

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import arms, exposure, rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate.exposure import BIN, HOUR

NOON = 1000 * BIN
LATER = NOON + 4 * HOUR


def host(name, domain="", patched=None, crash=None, lost=None, alarm=None, cohort="a", control=NOON, seen=LATER):
    """A host that is watched from noon on; patched: when."""
    before = None if control is None else (control, seen if patched is None else patched)
    return SimpleNamespace(
        name=name,
        cohort=cohort,
        domain=domain,
        tier=2,
        arm="control" if patched is None else "patched",
        control=before,
        patched=None if patched is None else (patched, seen),
        crash=None if crash is None else (crash, "rebooted"),
        alarm=None if alarm is None else (alarm, "warning"),
        lost=lost,
    )


def fleet(*hosts, **options):
    return SimpleNamespace(
        hosts={host.name: host for host in hosts},
        rules=rules.parse(options),
        evidence_from=0.0,
        begun_at={1: NOON, 2: NOON},
    )


def rack(name, patched, crashes, size=40, at=NOON + 2 * HOUR, **more):
    """So many hosts of a rack, some of them patched at one o'clock; crashes: the numbers of those that go down."""
    return [
        host(
            f"{name}-{number}",
            name,
            NOON + HOUR if number < patched else None,
            at if number in crashes else None,
            **more,
        )
        for number in range(size)
    ]


def weigh(*hosts, now=LATER, kind="crash"):
    return exposure.weigh(arms.tally(fleet(*hosts), now, kind))


QUIET = [
    host(f"quiet-{number}", f"other {number % 50}", NOON + HOUR if number < 25 else None) for number in range(1000)
]


@pytest.mark.parametrize("patched", [1, 2, 20, 39])
def test_a_rack_that_goes_down_as_a_whole_is_no_evidence_whoever_is_patched(patched):
    found = weigh(*QUIET, *rack("dark", patched, range(40)))
    assert found == pytest.approx(weigh(*QUIET, *rack("calm", patched, ())))
    assert (found["e"], found["suspicion"]) == pytest.approx((1, 1))


def test_many_racks_that_go_down_one_after_the_other_are_none_either():
    racks = [rack(f"dark {number}", 1, range(40), at=NOON + 2 * HOUR + 200 * number) for number in range(30)]
    assert weigh(*QUIET, *(host for hosts in racks for host in hosts))["e"] == pytest.approx(1)


def test_hosts_of_a_domain_that_crash_with_the_livepatch_and_not_without_it_are_evidence_of_one_event():
    both = weigh(*QUIET, *rack("bad", 4, (0, 1, 2)))
    one = weigh(*QUIET, *rack("bad", 4, (0,)))
    assert 1 < both["fleet"] < one["fleet"]


def test_a_single_crash_in_a_domain_is_compared_with_the_hosts_of_its_cohort():
    found = arms.tally(fleet(*QUIET, *rack("bad", 4, (0,))), LATER, "crash")
    place = int((NOON + 2 * HOUR) // BIN)
    assert found.cells() == {(exposure.Stratum("a", True), place): (1, 0, 29 / 4 - 0.25, (1040 - 29) / 4)}


@pytest.mark.parametrize("between, together", [(2, True), (899, True), (901, False)])
def test_hosts_of_a_domain_are_one_incident_by_the_time_between_them_and_not_by_the_border_of_a_bin(between, together):
    border = NOON + 2 * HOUR
    hosts = [host(f"twin-{number}", "rack", NOON + HOUR, border - 1 + number * between) for number in range(2)]
    found = arms.tally(fleet(*QUIET, *hosts), LATER, "crash")
    assert found.incidents == {"patched": 1 if together else 2, "control": 0}


def test_hosts_without_a_domain_have_a_fate_of_their_own_and_a_domain_called_0_is_one():
    for domain, number in (("", 3), ("0", 1)):
        hosts = [host(f"h{number}", domain, NOON + HOUR, NOON + 2 * HOUR) for number in range(3)]
        assert arms.tally(fleet(*QUIET, *hosts), LATER, "crash").incidents["patched"] == number


def test_where_a_domain_holds_two_cohorts_each_host_is_compared_with_its_own():
    mine = rack("dark", 3, range(10), size=10)
    others = [host(f"b{number}", "dark", NOON + HOUR if number < 9 else None, cohort="b") for number in range(30)]
    assert weigh(*QUIET, *mine, *others)["e"] == pytest.approx(1)


def test_a_rack_of_which_half_goes_down_is_fair_whoever_is_patched():
    chance, stakes = random.Random(1), []
    for unused in range(3000):
        down = chance.sample(range(20), 10)
        found = arms.tally(fleet(*rack("dark", 5, down, size=20)), LATER, "crash")
        stakes.append(exposure.bets.stake([exposure.bets.incident(*exposure._share(found.shared[0].groups.values()))]))
    assert sum(stakes) / len(stakes) == pytest.approx(1, abs=0.03)


def test_an_incident_stops_nothing_before_its_window_is_over_and_tells_what_it_will_be():
    hosts, moment = rack("bad", 4, (0,), at=NOON + 2 * HOUR), NOON + 2 * HOUR
    early, late = (weigh(*QUIET, *hosts, now=moment + after) for after in (800, 900))
    assert early["e"] == 1 and early["suspicion"] > 5
    assert late["e"] == late["suspicion"] == pytest.approx(early["suspicion"], rel=0.1)
    alone = [host(f"alone-{number}", "", NOON + HOUR if number < 25 else None) for number in range(1000)]
    alone[0].crash = (moment, "rebooted")
    assert weigh(*alone, now=moment + 1)["e"] > 5, "nobody can join it"


def test_a_host_that_does_not_answer_has_crashed_after_the_grace_or_with_those_of_its_domain_that_have():
    moment = NOON + 2 * HOUR
    hosts = [host(f"h{number}", "rack", NOON + HOUR, lost=moment + number) for number in range(3)]
    state = fleet(*QUIET, *hosts)
    for after, silent, incidents in ((899, 3, 0), (900, 2, 1), (902, 0, 1)):
        found = arms.tally(state, moment + after, "crash")
        assert (len(arms.silent(state, moment + after)), found.incidents["patched"]) == (silent, incidents)
    groups = arms.tally(state, moment + 900, "crash").shared[0].groups
    assert groups["a"].hosts == 3, "the other two are silent as well, though not for so long"


def test_silence_counts_on_both_arms_alike():
    moment = NOON + 2 * HOUR
    hosts = [host("patched", "", NOON + HOUR, lost=moment), host("control", "", lost=moment)]
    assert arms.tally(fleet(*hosts), moment + 900, "crash").incidents == {"patched": 1, "control": 1}
    assert arms.silent(fleet(*hosts), moment + 60) == ["patched"]


def test_the_first_event_ends_a_host_on_either_arm():
    early = host("early", "", patched=NOON + 2 * HOUR, crash=NOON + HOUR)
    found = arms.tally(fleet(early), LATER, "crash")
    assert found.incidents == {"patched": 0, "control": 1}
    assert (found.total("control"), found.total("patched")) == (1, 0)
    late = host("late", "", patched=NOON + HOUR, crash=NOON + 3 * HOUR)
    found = arms.tally(fleet(late), LATER, "crash")
    assert (found.total("control"), found.total("patched")) == (1, 2)


def test_what_nobody_watched_counts_on_neither_arm():
    hosts = [host("unseen", "", crash=NOON - 60), host("off", "", control=None, crash=NOON + 60)]
    assert arms.tally(fleet(*hosts), LATER, "crash").incidents == {"patched": 0, "control": 0}


def test_a_host_that_had_its_event_before_anybody_watched_it_is_no_company_for_another():
    hosts = [host("alone", "rack", NOON + HOUR, control=None), host("off", "rack", NOON, crash=NOON - 1, control=None)]
    hours = arms.tally(fleet(*hosts), LATER, "crash").hours
    assert set(hours["patched"]) == {exposure.Stratum("a", False)}


def test_evidence_that_was_forgotten_counts_neither_as_events_nor_as_hours():
    hosts = [host("before", "", NOON, NOON + HOUR), host("after", "", NOON, NOON + 3 * HOUR), host("well", "")]
    state = fleet(*hosts)
    state.evidence_from = NOON + 2 * HOUR
    found = arms.tally(state, LATER, "crash")
    assert found.incidents == {"patched": 1, "control": 0}
    assert (found.total("patched"), found.total("control")) == (1, 2)


def test_a_new_kernel_alarm_is_counted_like_a_crash_but_not_after_one():
    hosts = [
        host("alarmed", "", NOON + HOUR, alarm=NOON + 2 * HOUR),
        host("dead", "", NOON + HOUR, NOON + HOUR + 9, alarm=LATER),
    ]
    found = arms.tally(fleet(*hosts), LATER, "alarm")
    assert found.incidents == {"patched": 1, "control": 0}
    assert found.total("patched") == pytest.approx(1 + 9 / HOUR)


def test_hosts_that_are_alone_in_their_domain_are_not_compared_with_those_that_are_not():
    alone = [host(f"alone-{number}", f"rack {number}", NOON + HOUR, control=None) for number in range(5)]
    pair = [host(f"pair-{number}", "pair", control=NOON + number * HOUR) for number in range(2)]
    hours = arms.tally(fleet(*alone, *pair), LATER, "crash").hours
    alone, company = exposure.Stratum("a", False), exposure.Stratum("a", True)
    assert {stratum: sum(bins.values()) for stratum, bins in hours["patched"].items()} == {alone: 15}
    assert {stratum: sum(bins.values()) for stratum, bins in hours["control"].items()} == {alone: 1, company: 6}


def test_sparse_control_hosts_do_not_make_racks_look_like_the_livepatchs_fault():
    """Twenty thousand racks, one patched host in each, a control host in every tenth: half of the racks lose power."""
    chance, hosts = random.Random(2), []
    for number in range(2000):
        down = NOON + 2 * HOUR + chance.uniform(0, HOUR) if chance.random() < 0.1 else None
        hosts.append(host(f"p{number}", f"rack {number}", NOON + HOUR, down, control=None))
        if number % 10 == 0:
            hosts.append(host(f"c{number}", f"rack {number}", None, down))
    found = exposure.weigh(arms.tally(fleet(*hosts), LATER, "crash"))
    assert found["e"] <= 1


def test_the_sample_to_compare_with_are_the_hosts_that_are_patched_last_and_one_of_each_cohort():
    hosts = [host(f"h{number:03}", cohort="rare" if number == 7 else f"kind {number % 3}") for number in range(200)]
    hosts[199].crash = (NOON, "rebooted")
    hosts[198].arm = ""
    sample = arms.control_sample(fleet(*hosts, control_hosts=20))
    assert len(sample) == 20 and "h007" in sample and not {"h198", "h199"} & set(sample)
    assert set(sample) - {"h007"} <= {f"h{number:03}" for number in range(178, 198)}


def test_a_small_cohort_has_as_many_hosts_to_compare_with_as_a_large_one_as_far_as_it_has_them():
    hosts = [host(f"h{number:03}", cohort="rare" if number % 20 == 0 else "many") for number in range(400)]
    sample = arms.control_sample(fleet(*hosts, control_hosts=100))
    kinds = [number for number in range(400) if f"h{number:03}" in sample and number % 20 == 0]
    assert len(sample) == 100 and kinds == list(range(0, 400, 20))
    assert {f"h{number:03}" for number in range(320, 400)} <= set(sample), "the others are the last ones"
    assert len(arms.control_sample(fleet(*hosts, control_hosts=1))) == 1


def test_others_take_the_place_of_control_hosts_that_do_not_answer_and_these_are_looked_at_on():
    hosts = [host(f"h{number:03}", lost=LATER if number >= 190 else None) for number in range(200)]
    assert arms.control_sample(fleet(*hosts, control_hosts=20)) == [f"h{number:03}" for number in range(170, 200)]
    assert arms.control_sample(fleet(*hosts, control_hosts=0)) == []


def test_more_than_twenty_cohorts_are_taken_together_smallest_first():
    hosts = [host(f"h{number}", cohort=f"c{min(number, number % 30):02}") for number in range(100)]
    cohorts = arms.tally(fleet(*hosts), LATER, "crash").cohorts()
    assert len(cohorts) == arms.MOST_COHORTS
    assert "c00" in cohorts and "c29" not in cohorts
