# Tests of the bets: reference vectors (made with scipy), and what must hold for every bet.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import math

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import bets
from hypothesis import given
from hypothesis import strategies as st

ONE_CELL = [
    ((0, 0, 10, 9990), 1, 1.000000),
    ((1, 0, 10, 9990), 0.001, 29.399244),
    ((1, 3, 100, 9900), 0.039404, 5.636484),
    ((2, 3, 100, 9900), 0.00098015, 128.101214),
    ((3, 3, 500, 9500), 0.00222984, 53.968888),
    ((5, 12, 5000, 5000), 0.975479, 0.008126),
    ((9, 2, 16660, 17877), 0.0250532, 6.401746),
    ((8, 8, 5000, 5000), 0.59819, 0.099705),
    ((12, 3, 5000, 5000), 0.0175781, 7.091729),
    ((3, 40, 1000, 99000), 0.00915984, 8.218830),
    ((0, 25, 5000, 5000), 1, 0.000010),
    ((4, 0, 9500, 500), 0.814506, 1.181002),
    ((7, 0, 100, 0), 1, 1.000000),
]


@pytest.mark.parametrize("cell, chance, e_value", ONE_CELL)
def test_one_cell_gives_the_reference_values(cell, chance, e_value):
    assert bets.concurrent([cell]) == pytest.approx(e_value, abs=1e-6)
    assert bets.p_value([cell]) == pytest.approx(chance, rel=1e-5)


@pytest.mark.parametrize(
    "cells, e_value",
    [
        ([(0, 1, 100, 900), (18, 2, 900, 100)], 0.197954),
        ([(18, 3, 1000, 1000)], 128.258480),
        ([(0, 0, 12, 988), (1, 0, 50, 950), (2, 1, 50, 950)], 354.505407),
        ([(6, 0, 500, 500)], 33.775202),
        ([(6, 0, 500, 500), (0, 6, 500, 500)], 0.130677),
    ],
)
def test_several_cells_give_the_reference_values(cells, e_value):
    assert bets.concurrent(cells) == pytest.approx(e_value, abs=1e-6)


@pytest.mark.parametrize(
    "cells, e_value",
    [
        ([(0, 100, 3e-5)], 0.918179),
        ([(1, 100, 3e-5)], 25.032663),
        ([(2, 1000, 3e-5)], 191.324518),
        ([(3, 20000, 5e-5)], 1.308134),
        ([(1, 20000, 5e-5)], 0.206834),
        ([(1, 50, 1e-5), (1, 400, 1e-5), (0, 4000, 1e-5)], 79.646629),
    ],
)
def test_the_bet_against_a_rate_gives_the_reference_values(cells, e_value):
    assert bets.against_rate(cells) == pytest.approx(e_value, abs=1e-6)


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
            math.comb(n, x) * share**x * (1 - share) ** (n - x) * bets.concurrent([(x, n - x, p, 1 - p)])
            for x in range(n + 1)
        )
        assert average == pytest.approx(value, abs=1e-6)


COUNTS = st.integers(0, 10**4)
HOURS = st.floats(1e-3, 1e7)


@given(st.lists(st.tuples(COUNTS, COUNTS, HOURS, HOURS), max_size=6))
def test_whatever_happens_a_bet_is_a_number_and_no_error(cells):
    value = bets.concurrent(cells)
    assert 0 <= value <= math.exp(bets.LARGEST_EXPONENT)
    assert 0 <= bets.p_value(cells) <= 1


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0.001, 0.999))
def test_one_more_event_on_a_patched_host_never_lowers_the_stake(patched, unpatched, share):
    cell = (patched, unpatched, share, 1 - share)
    more = (patched + 1, unpatched, share, 1 - share)
    assert bets.concurrent([more]) >= bets.concurrent([cell]) * 0.999999


@given(st.integers(0, 200), st.floats(1, 1e7))
def test_the_upper_bound_is_above_the_observed_rate(events, hours):
    assert bets.upper_rate(events, hours) > events / hours


def test_bets_without_any_cell_say_nothing():
    assert bets.concurrent([]) == bets.against_rate([]) == bets.mean([]) == 1.0


@pytest.mark.parametrize(
    "at_least, expected, chance", [(0, 3.0, 1.0), (1, 1.0, 0.632120558829), (3, 0.5, 0.014387677967)]
)
def test_the_chance_of_that_many_events(at_least, expected, chance):
    assert bets.poisson_at_least(at_least, expected) == pytest.approx(chance, rel=1e-9)
    assert bets.poisson_at_least(2, 0.0) == 0.0
