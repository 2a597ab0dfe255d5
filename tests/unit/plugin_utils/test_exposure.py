# Tests of host-hours and incidents in bins and strata, and of the evidence they give.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import itertools
import math

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import bets, exposure
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate.exposure import BIN, HOUR, Event, Stratum, Tally
from hypothesis import given
from hypothesis import strategies as st

NOON = 1000 * BIN


def Span(cohort, start, end, hosts):
    return exposure.Span(Stratum(cohort, None), start, end, hosts)


def crash(after=0.0, patched_at=NOON, cohort="a"):
    return Event(NOON + after, Stratum(cohort, None), "", patched_at, True)


def cells(found, arm="patched"):
    """Return {cohort: [cell]} in the order of time."""
    result = {}
    for (stratum, place), numbers in sorted(found.cells(arm).items()):
        result.setdefault(stratum.cohort, []).append(numbers)
    return result


def e_value(steps):
    """Return what a stake comes to that is bet once and for good."""
    return bets.mean((math.exp(sum(found)), share) for found, share in zip(zip(*steps), bets.GRID.values()))


def concurrent(found):
    return e_value([bets.cell(*cell) for cell in found])


def tally(patched=(), control=(), events=(), cutoff=NOON + 100 * HOUR):
    return Tally(patched, control, events, cutoff, {}, {span.stratum.cohort: 1 for span in (*patched, *control)})


@pytest.mark.parametrize(
    "inputs, expected, e",
    [
        (
            (
                [(1, 20, 4000, 36000), (0, 3, 1000, 4000)],
                [[(1, 20, 4000, 36000)], [(0, 3, 1000, 4000)]],
                [(0, 23, 600, 40000)],
                [(1, 5000, 6e-4)],
            ),
            (0.039283, 0.129232, 0.245968, 0.024901),
            0.109846,
        ),
        (
            ([(1, 0, 12, 988)], [[(1, 0, 11, 889)], [(0, 0, 1, 99)]], [(1, 0, 12, 988)], [(1, 12, 5e-5)]),
            (17.184440, 9.027813, 17.184440, 30.248271),
            18.411241,
        ),
        (
            ([(3, 2, 250, 9750)], [[(3, 2, 200, 7800)], [(0, 0, 50, 1950)]], [(3, 2, 60, 9750)], [(3, 250, 5e-5)]),
            (800.997700, 400.998850, 24619.828099, 74136.040748),
            24989.466349,
        ),
        (
            ([(40, 360, 1000, 9000)], [[(40, 360, 1000, 9000)]], [(4, 360, 100, 9000)], [(40, 1000, 5e-2)]),
            (0.000008, 0.000008, 0.074903, 0.000000),
            0.018730,
        ),
        (
            (
                [(4, 0, 5, 95), (6, 54, 995, 8905)],
                [[(4, 0, 5, 95)], [(6, 54, 995, 8905)]],
                [(2, 54, 100, 9000)],
                [(10, 1000, 1e-2)],
            ),
            (0.674759, 11395.942944, 1.106617, 0.011622),
            2849.433986,
        ),
    ],
    ids=["good", "one early crash", "three at the transition", "a storm on both arms", "one bad cohort"],
)
def test_the_bets_together_give_the_reference_values(inputs, expected, e, monkeypatch):
    monkeypatch.setattr(bets, "GRID", dict.fromkeys(bets.GRID, 1))
    fleet, cohorts, fresh, rate = inputs
    found = [
        concurrent(fleet),
        bets.mean((concurrent(cohort), 1) for cohort in cohorts),
        concurrent(fresh),
        e_value([bets.above_rate([1.0] * events, hours, known) for events, hours, known in rate]),
    ]
    assert found == pytest.approx(list(expected), abs=1e-6)
    assert bets.mean((value, 1) for value in found) == pytest.approx(e, abs=1e-6)


def test_the_evidence_is_the_mean_of_its_bets_and_without_history_there_is_none_against_a_rate():
    spans = ([Span("a", NOON, NOON + BIN, 12)], [Span("a", NOON, NOON + BIN, 988)])
    found = exposure.weigh(tally(*spans, [crash(9)]))
    aside = 1 / (1 + bets.RESERVE)
    alone = aside + (1 - aside) * concurrent([(1, 0, 12, 988)])
    assert found == pytest.approx(
        {"fleet": alone, "cohort": alone, "fresh": alone, "rate": None, "e": alone, "suspicion": alone}
    )
    assert exposure.weigh(tally(*spans, [crash(9)]), (12, 1e6))["rate"] > 20


def test_host_hours_fall_into_the_bins_in_which_they_were_spent():
    found = tally(patched=[Span("a", NOON + BIN / 2, NOON + 2.25 * BIN, 4)])
    assert found.hours["patched"][Stratum("a", None)] == pytest.approx({1000: 0.5, 1001: 1.0, 1002: 0.25})


@given(
    st.lists(st.tuples(st.floats(0, 50 * HOUR), st.floats(0, 50 * HOUR), st.integers(1, 500)), max_size=20),
    st.floats(0, 100 * HOUR),
)
def test_no_host_hour_is_lost_or_made_up(spans, cutoff):
    rows = [Span("a", NOON + start, NOON + start + length, hosts) for start, length, hosts in spans]
    found = tally(rows, cutoff=NOON + cutoff)
    expected = sum(row.hosts * max(0.0, min(row.end, NOON + cutoff) - row.start) / HOUR for row in rows)
    assert found.total("patched") == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_only_the_first_hour_after_patching_is_fresh():
    found = tally(
        patched=[Span("a", NOON, NOON + 3 * HOUR, 10)],
        control=[Span("a", NOON, NOON + 3 * HOUR, 90)],
        events=[crash(10), crash(2 * HOUR)],
    )
    assert found.total("fresh") == pytest.approx(10)
    assert sum(cell[0] for cell in cells(found, "fresh")["a"]) == 1
    assert sum(cell[0] for cell in cells(found)["a"]) == 2


def test_a_cell_holds_what_happened_in_one_bin_of_one_cohort():
    found = tally(
        patched=[Span("a", NOON, NOON + HOUR, 10), Span("b", NOON, NOON + HOUR, 4)],
        control=[Span("a", NOON, NOON + HOUR, 30)],
        events=[crash(10), crash(20, patched_at=None), crash(HOUR - 1, cohort="b")],
    )
    assert cells(found) == {"a": [(1, 1, 2.5, 7.5)], "b": [(1, 0, 1.0, 0.0)]}


def test_events_and_host_hours_after_the_cutoff_do_not_count_on_either_arm():
    found = tally(
        patched=[Span("a", NOON, NOON + HOUR, 1)],
        control=[Span("a", NOON, NOON + HOUR, 1)],
        events=[crash(HOUR - 1), crash(HOUR - 1, patched_at=None)],
        cutoff=NOON + HOUR / 2,
    )
    assert (found.total("patched"), found.total("control")) == (0.5, 0.5)
    assert found.incidents == {"patched": 0, "control": 0}


def test_a_cohort_that_suffers_alone_is_seen_among_others_that_do_not():
    patched = [Span(cohort, NOON, NOON + HOUR, 10 if cohort == "a" else 1000) for cohort in "abcd"]
    control = [Span(cohort, NOON, NOON + HOUR, 90 if cohort == "a" else 9000) for cohort in "abcd"]
    others = [crash(number, None if number % 10 else NOON, "b") for number in range(40)]
    found = exposure.weigh(tally(patched, control, [crash(9) for number in range(3)] + others))
    bad, calm = (concurrent([cell]) for cell in ((3, 0, 2.5, 22.5), (4, 36, 250, 2250)))
    assert bad > 20 * 4
    aside = 1 / (1 + bets.RESERVE)
    assert found["cohort"] == pytest.approx((2 + 2 * aside + (1 - aside) * (bad + calm)) / 4)


SIZES = {"small": 100, "large": 9900}


def in_two_cohorts(small, large):
    """small, large: for each crash of the cohort whether its host was patched; a tenth of the hosts are."""
    patched, control = (
        [Span(cohort, NOON, NOON + HOUR, share * size) for cohort, size in SIZES.items()] for share in (1, 9)
    )
    events = [
        crash(number * BIN, NOON if hit else None, cohort)
        for cohort, hits in (("small", small), ("large", large))
        for number, hit in enumerate(hits)
    ]
    return exposure.weigh(Tally(patched, control, events, NOON + 100 * HOUR, {}, SIZES), None)


def test_however_the_stake_is_shared_a_harmless_livepatch_leaves_it_at_one_on_average():
    average = 0.0
    for hits in itertools.product((True, False), repeat=4):
        average += math.prod(0.1 if hit else 0.9 for hit in hits) * in_two_cohorts(hits[:2], hits[2:])["e"]
    assert 0.9 < average <= 1 + 1e-9


def test_a_small_cohort_has_a_larger_part_of_the_stake_than_it_has_of_the_hosts_and_no_more_than_one_of_a_hundredth():
    assert in_two_cohorts((True, True), ())["cohort"] > 5 * in_two_cohorts((), (True, True))["cohort"]
    tiny = Tally([], [], [], NOON, {}, {"one": 1, "hundred": 100, "others": 9899}).cohorts()
    assert tiny["one"] == tiny["hundred"] > tiny["others"]


def test_in_a_storm_the_control_hosts_raise_the_rate_that_is_expected():
    calm = tally([Span("a", NOON, NOON + HOUR, 100)], [Span("a", NOON, NOON + HOUR, 1000)])
    storm = tally(
        [Span("a", NOON, NOON + HOUR, 100)],
        [Span("a", NOON, NOON + HOUR, 1000)],
        [crash(number, patched_at=None) for number in range(50)],
    )
    history = (400, 100000.0)
    assert max(calm.rate_cells(history).items())[1][2] == exposure.bets.upper_rate(*history)
    assert all(rate > 0.04 for unused, unused2, rate in storm.rate_cells(history).values())


def test_few_control_hosts_say_little_against_history():
    history = (4, 100000.0)
    known = exposure.bets.upper_rate(*history)
    patched, control = [Span("a", NOON, NOON + BIN, 100)], [Span("a", NOON, NOON + BIN, 10)]
    quiet, struck = tally(patched, control), tally(patched, control, [crash(9, patched_at=None)])
    assert [rate for unused, unused2, rate in quiet.rate_cells(history).values()] == [known]
    assert [rate for unused, unused2, rate in struck.rate_cells(history).values()] == [
        pytest.approx(5 * known, rel=0.01)
    ]


def test_a_storm_that_is_only_seen_later_on_the_control_hosts_counts_for_the_bins_before_it():
    hours = 4
    spans = ([Span("a", NOON, NOON + hours * HOUR, 100)], [Span("a", NOON, NOON + hours * HOUR, 1000)])
    late = [crash(HOUR + number, patched_at=None) for number in range(60)]
    history = (4, 100000.0)
    rates = [cell[2] for unused, cell in sorted(tally(*spans, late).rate_cells(history).items())]
    assert rates[0] > 100 * exposure.bets.upper_rate(*history), "an hour before it was seen"
    assert rates == [max(rate, exposure.bets.upper_rate(*history)) for rate in rates]


def test_how_many_crashes_would_have_stopped_is_the_least_that_reaches_the_evidence():
    spans = ([Span("a", NOON, NOON + BIN, 100)], [Span("a", NOON, NOON + BIN, 9900)])
    number = exposure.crashes_to(tally(*spans), 20)
    assert number == 2
    assert exposure.crashes_to(tally(), 20) is None
    assert (
        exposure.crashes_to(tally([Span("a", NOON, NOON + BIN, 100)]), 20) is None
    ), "there is nothing to compare with"


def test_no_more_crashes_would_have_stopped_than_there_are_hosts():
    spans = ([Span("a", NOON, NOON + HOUR, 6)], [Span("a", NOON, NOON + HOUR, 6)])
    assert exposure.crashes_to(tally(*spans), 20) == 6
    assert exposure.crashes_to(tally(*spans), 20, most=5) is None
    assert exposure.crashes_to(tally(*spans), 20, most=6) == 6


def test_the_same_events_in_another_order_give_the_same_evidence():
    spans = ([Span("a", NOON, NOON + HOUR, 10)], [Span("a", NOON, NOON + HOUR, 90)])
    events = [crash(number * 100 % 3, patched_at=NOON if number % 2 else None) for number in range(20)]
    assert exposure.weigh(tally(*spans, events)) == exposure.weigh(tally(*spans, events[::-1]))
