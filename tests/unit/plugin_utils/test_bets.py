# Tests of the bets: reference vectors (made with scipy), and what must hold for every bet.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import itertools
import math
import time

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import bets
from hypothesis import given
from hypothesis import strategies as st

ONE_CELL = [
    ((0, 0, 10, 9990), 1.000000),
    ((1, 0, 10, 9990), 29.399244),
    ((1, 3, 100, 9900), 5.636484),
    ((2, 3, 100, 9900), 128.101214),
    ((3, 3, 500, 9500), 53.968888),
    ((5, 12, 5000, 5000), 0.008126),
    ((9, 2, 16660, 17877), 6.401746),
    ((8, 8, 5000, 5000), 0.099705),
    ((12, 3, 5000, 5000), 7.091729),
    ((3, 40, 1000, 99000), 8.218830),
    ((0, 25, 5000, 5000), 0.000010),
    ((4, 0, 9500, 500), 1.181002),
    ((7, 0, 100, 0), 1.000000),
]


def e_value(steps):
    """What a stake of 1 comes to when all of it is bet once, and for good: the mean over the ratios."""
    return sum(math.exp(sum(step[number] for step in steps)) for number in range(len(bets.GRID))) / len(bets.GRID)


def concurrent(cells):
    return e_value([bets.cell(*cell) for cell in cells])


@pytest.mark.parametrize("cell, expected", ONE_CELL)
def test_one_cell_gives_the_reference_values(cell, expected):
    assert concurrent([cell]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "cells, expected",
    [
        ([(0, 1, 100, 900), (18, 2, 900, 100)], 0.197954),
        ([(18, 3, 1000, 1000)], 128.258480),
        ([(0, 0, 12, 988), (1, 0, 50, 950), (2, 1, 50, 950)], 354.505407),
        ([(6, 0, 500, 500)], 33.775202),
        ([(6, 0, 500, 500), (0, 6, 500, 500)], 0.130677),
    ],
)
def test_several_cells_give_the_reference_values(cells, expected):
    assert concurrent(cells) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "cells, expected",
    [
        ([(0, 100, 3e-5)], 0.918179),
        ([(1, 100, 3e-5)], 25.032663),
        ([(2, 1000, 3e-5)], 191.324518),
        ([(3, 20000, 5e-5)], 1.308134),
        ([(1, 20000, 5e-5)], 0.206834),
        ([(1, 50, 1e-5), (1, 400, 1e-5), (0, 4000, 1e-5)], 79.646629),
    ],
)
def test_the_bet_against_a_rate_gives_the_reference_values(cells, expected):
    steps = [bets.above_rate([1.0] * events, hours, rate) for events, hours, rate in cells]
    assert e_value(steps) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "events, hours, rate",
    [(0, 336000, 4.789994e-06), (5, 336000, 2.352974e-05), (11, 336000, 4.397815e-05), (100, 3.36e6, 3.254358e-05)],
)
def test_the_upper_bound_of_a_rate_is_the_reference_value(events, hours, rate):
    assert bets.upper_rate(events, hours) == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize(
    "patched, expected",
    [
        ((1, 0.01), (1.0, 0.912254, 1.172886)),
        ((8, 0.2), (1.0, 0.188912, 22.737167)),
        ((30, 0.5), (1.0, 0.007441, 1994.490800)),
    ],
)
def test_a_harmless_livepatch_leaves_the_stake_at_one_on_average(patched, expected):
    n, p = patched
    for ratio, value in zip((1, 0.5, 2), expected):
        share = p * ratio / (1 - p + p * ratio)
        average = sum(
            math.comb(n, x) * share**x * (1 - share) ** (n - x) * concurrent([(x, n - x, p, 1 - p)])
            for x in range(n + 1)
        )
        assert average == pytest.approx(value, abs=1e-6)


COUNTS = st.integers(0, 10**4)
HOURS = st.floats(1e-3, 1e7)


@given(st.lists(st.tuples(COUNTS, COUNTS, HOURS, HOURS), max_size=6))
def test_whatever_happens_a_stake_is_a_number_and_no_error(cells):
    assert 0 <= bets.stake([bets.cell(*cell) for cell in cells]) <= math.exp(bets.LARGEST_EXPONENT)


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0.001, 0.999))
def test_one_more_event_on_a_patched_host_never_lowers_the_stake(patched, unpatched, share):
    one, more = (bets.cell(number, unpatched, share, 1 - share) for number in (patched, patched + 1))
    assert bets.stake([more]) >= bets.stake([one]) * 0.999999


@given(st.integers(0, 200), st.floats(1, 1e7))
def test_the_upper_bound_is_above_the_observed_rate(events, hours):
    assert bets.upper_rate(events, hours) > events / hours


@pytest.mark.parametrize(
    "events, expected", [(99, 108.304391619), (100, 109.346439904), (1000, 1027.525842117), (10**6, 1000842.524283)]
)
def test_the_upper_bound_of_many_events_is_right_and_costs_nothing(events, expected):
    begun = time.process_time()
    assert bets.upper_rate(events, 1.0) == pytest.approx(expected, rel=1e-6)
    assert time.process_time() - begun < 0.1


def test_bets_without_any_step_say_nothing():
    assert bets.stake([]) == bets.mean([]) == 1.0
    assert bets.stake([bets.cell(7, 0, 0.0, 100.0)]) == 1.0, "nobody is patched"


@pytest.mark.parametrize("whole", [4, 40])
def test_an_incident_that_hits_everybody_of_a_domain_weighs_nothing_whoever_is_patched(whole):
    assert all(bets.incident(x / whole, x / whole) == pytest.approx(bets.NOTHING, abs=1e-12) for x in range(whole + 1))


@pytest.mark.parametrize("hosts, patched, hit", [(40, 1, 7), (40, 10, 3), (12, 6, 11), (3, 1, 2)])
def test_an_incident_that_strikes_blindly_leaves_the_stake_at_one_on_average(hosts, patched, hit):
    average = 0.0
    for x in range(max(0, hit - hosts + patched), min(hit, patched) + 1):
        chance = math.comb(patched, x) * math.comb(hosts - patched, hit - x) / math.comb(hosts, hit)
        average += chance * e_value([bets.incident(x / hit, patched / hosts)])
    assert average == pytest.approx(1.0, abs=1e-9)


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=6))
def test_a_stake_that_is_lost_and_begun_anew_is_a_fair_bet_all_the_same(shares):
    average = 0.0
    for hits in itertools.product((True, False), repeat=len(shares)):
        chance = math.prod(share if hit else 1 - share for share, hit in zip(shares, hits))
        average += chance * bets.stake([bets.cell(hit, not hit, share, 1 - share) for share, hit in zip(shares, hits)])
    assert average <= 1 + 1e-9
    assert average > 0.5, "what is given up with a lost bet is little"


def test_what_happens_after_a_great_loss_is_seen_again():
    night = bets.cell(0, 1200, 0.05, 0.95)
    crashes = [bets.cell(1, 0, 0.2, 0.8)] * 8
    assert e_value([night, *crashes]) < 1e-6
    assert bets.stake([night, *crashes]) > 20
    assert bets.stake([night]) > 0.1


@pytest.mark.parametrize(
    "at_least, expected, chance", [(0, 3.0, 1.0), (1, 1.0, 0.632120558829), (3, 0.5, 0.014387677967)]
)
def test_the_chance_of_that_many_events(at_least, expected, chance):
    assert bets.poisson_at_least(at_least, expected) == pytest.approx(chance, rel=1e-9)
    assert bets.poisson_at_least(2, 0.0) == 0.0
