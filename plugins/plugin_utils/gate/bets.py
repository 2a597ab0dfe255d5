# The bets against a livepatch: e-values from events and host-hours on two arms. Pure arithmetic.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A bet multiplies its stake of 1 with each event on a patched host and loses some with each on an unpatched one. If the
# livepatch is harmless the stake is 1 on average whenever one looks, so it ever reaches 20 in at most one of twenty
# rollouts (Ville's inequality; Ramdas et al. 2023, "Game-theoretic statistics and safe anytime-valid inference").
# That is why one may look as often as one likes.

import functools
import math

# How many times more dangerous a patched host may be. Each of these bets gets an equal share of the stake.
GRID = (2, 5, 20, 100)
LARGEST_EXPONENT = 700.0
# The bound on a rate that hosts without the livepatch are given: 80 %.
CONFIDENCE = 0.8
MANY_EVENTS = 400


def concurrent(cells):
    """Return the e-value (float) of the bet that events fall on patched hosts more often than their host-hours say.

    cells: iterable of (patched events, unpatched events, patched host-hours, unpatched host-hours), one for each time bin
    and cohort: within a cell the two arms differ in nothing but the livepatch. A cell with one arm tells nothing.
    With p the patched share of a cell's host-hours, n its events and x those on patched hosts, the bet on a ratio
    theta is the product over the cells of theta**x / (1 + p * (theta - 1))**n; the result is the mean over GRID.
    """
    used = [(x_p, x_p + x_u, t_p / (t_p + t_u)) for x_p, x_u, t_p, t_u in cells if x_p + x_u and t_p > 0]
    patched = sum(cell[0] for cell in used)
    return _mean_exp(
        patched * math.log(ratio) - sum(n * math.log1p(p * (ratio - 1)) for unused, n, p in used) for ratio in GRID
    )


def against_rate(cells):
    """Return the e-value (float) of the bet that patched hosts have events more often than a known rate.

    cells: iterable of (patched events, patched host-hours, events per host-hour to be expected). The bet on a ratio theta
    is the product over the cells of theta**x * exp(-(theta - 1) * rate * hours).
    """
    used = list(cells)
    events = sum(cell[0] for cell in used)
    expected = sum(hours * rate for unused, hours, rate in used)
    return _mean_exp(events * math.log(ratio) - (ratio - 1) * expected for ratio in GRID)


def mean(bets):
    """Return the e-value (float) of several bets together: their plain average, which is a valid bet again."""
    found = list(bets)
    return sum(found) / len(found) if found else 1.0


def upper_rate(events, hours):
    """Return the upper CONFIDENCE bound (float, per host-hour) of the rate behind a Poisson count of events."""
    return _upper_count(events) / hours


@functools.lru_cache(maxsize=1024)
def _upper_count(events):
    low, high = 0.0, events + 10.0 * math.sqrt(events + 1) + 10.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _poisson_at_most(events, middle) > 1 - CONFIDENCE else (low, middle)
    return high


def p_value(cells):
    """Return the chance (float) that at least as many events fall on patched hosts if the livepatch is harmless.

    cells: as for concurrent. Exact given the events of each cell; above MANY_EVENTS by the normal approximation.
    For people only: it holds for one look, not for looking often.
    """
    chances = [t_p / (t_p + t_u) for x_p, x_u, t_p, t_u in cells if t_p > 0 for unused in range(x_p + x_u)]
    patched = sum(cell[0] for cell in cells if cell[2] > 0)
    if patched == 0:
        return 1.0
    if len(chances) > MANY_EVENTS:
        spread = math.sqrt(sum(p * (1 - p) for p in chances))
        distance = (patched - 0.5 - sum(chances)) / spread if spread else 0.0
        return 0.5 * math.erfc(distance / math.sqrt(2))
    # counts[k]: chance of exactly k events on patched hosts; the last entry is "patched or more".
    counts = [1.0] + [0.0] * patched
    for p in chances:
        counts[patched] += counts[patched - 1] * p
        for k in range(patched - 1, 0, -1):
            counts[k] += (counts[k - 1] - counts[k]) * p
        counts[0] *= 1 - p
    return min(1.0, counts[patched])


def poisson_at_least(events, expected):
    """Return the chance (float) of at least so many events (int) where so many (float) are expected."""
    return 1.0 if events <= 0 else max(0.0, 1.0 - _poisson_at_most(events - 1, expected))


def _poisson_at_most(events, expected):
    if expected <= 0:
        return 1.0
    logarithm = math.log(expected)
    terms = [k * logarithm - expected - math.lgamma(k + 1) for k in range(events + 1)]
    return min(1.0, math.exp(_log_sum(terms)))


def _mean_exp(exponents):
    found = list(exponents)
    return math.exp(min(LARGEST_EXPONENT, _log_sum(found) - math.log(len(found))))


def _log_sum(exponents):
    largest = max(exponents)
    return largest + math.log(sum(math.exp(exponent - largest) for exponent in exponents))
