# The bets against a livepatch: e-values from events and host-hours on two arms. Pure arithmetic.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A bet multiplies its stake with each event on a patched host and loses some with each on an unpatched one. If the
# livepatch is harmless the stake is 1 on average whenever one looks, so it ever reaches 20 in at most one of twenty
# rollouts (Ville's inequality; Ramdas et al. 2023, "Game-theoretic statistics and safe anytime-valid inference").
# That is why one may look as often as one likes.
#
# A step is what one stretch of time does to a stake: a list of factors, one for each ratio of GRID, as logarithms. Given
# all that was before, a harmless livepatch leaves each factor at 1 on average. Steps of one stretch are added.

import functools
import math

# How many times more dangerous a patched host may be, and each of these bets' share of the stake. Twice as dangerous takes
# so many crashes to be seen that little of it suffices.
GRID = {2: 1, 5: 4, 20: 4, 100: 3}
NOTHING = (0.0,) * len(GRID)
LARGEST_EXPONENT = 700.0
# A stake that has fallen below this is lost: whatever comes would hardly move it.
LOST = math.log(0.1)
# After k bets 1 / (1 + RESERVE * k) of the stake is still set aside for those that are begun when one is lost.
RESERVE = 5
# The bound on a rate that hosts without the livepatch are given: 80 %.
CONFIDENCE = 0.8
NORMAL_QUANTILE = 0.8416212335729143
MANY_EVENTS = 100


def cell(patched, unpatched, patched_hours, unpatched_hours):
    """Return the step of events in one time bin of one cohort, where the arms differ in nothing but the livepatch.

    With p the patched share of the host-hours, n the events and x those on patched hosts, the factor for a ratio t is
    t**x / (1 + p * (t - 1))**n. Without patched hours nothing is bet.
    """
    if patched_hours <= 0:
        return NOTHING
    share, events = patched_hours / (patched_hours + unpatched_hours), patched + unpatched
    return [patched * math.log(ratio) - events * math.log1p(share * (ratio - 1)) for ratio in GRID]


def incident(found, expected):
    """Return the step of hosts that went down together: one event, whose arm is that of one of them drawn by lot.

    found: the patched share of these hosts; expected: of all hosts that might have been hit. The factor for a ratio t is
    (1 + (t - 1) * found) / (1 + (t - 1) * expected).
    """
    return [math.log1p((ratio - 1) * found) - math.log1p((ratio - 1) * expected) for ratio in GRID]


def above_rate(found, hours, rate):
    """Return the step of events on patched hosts where a rate is known.

    found: for each event the patched share of its hosts, 1 for that of a single host; hours: patched host-hours; rate: events
    per host-hour to be expected. The factor for a ratio t is the product of 1 + (t - 1) * found, times
    exp(-(t - 1) * rate * hours).
    """
    return [sum(math.log1p((ratio - 1) * share) for share in found) - (ratio - 1) * rate * hours for ratio in GRID]


def add(one, other):
    """Return the step of what two steps have in one stretch of time."""
    return [first + second for first, second in zip(one, other)]


def stake(steps):
    """Return what has become of a stake of 1 (float) after these steps (iterable, in the order of time).

    Hosts without the livepatch that are lost in one night would leave so little that no harm of the next day brought it
    back. So for each ratio only a part of the stake is bet, and when that is lost a part of the rest begins anew. When it
    begins depends on nothing but what was before, so the whole is a fair bet again.
    """
    steps = list(steps)
    return mean((_renewed([step[number] for step in steps]), share) for number, share in enumerate(GRID.values()))


def _renewed(logarithms):
    bets, now = 1, 0.0
    for logarithm in logarithms:
        if now < LOST:
            bets, now = bets + 1, 0.0
        now += logarithm
    before, aside = 1 / (1 + RESERVE * (bets - 1)), 1 / (1 + RESERVE * bets)
    return aside + (before - aside) * math.exp(min(LARGEST_EXPONENT, now))


def mean(stakes):
    """Return several stakes, each with its share as a weight, together (float): their average, which is a fair bet again.

    Fair it is where the shares do not depend on what happens after the plan.
    """
    found = list(stakes)
    return sum(value * share for value, share in found) / sum(share for unused, share in found) if found else 1.0


def upper_rate(events, hours):
    """Return the upper CONFIDENCE bound (float, per host-hour) of the rate behind a Poisson count of events."""
    return _upper_count(events) / hours


@functools.lru_cache(maxsize=1024)
def _upper_count(events):
    if events >= MANY_EVENTS:
        return _quantile(events + 1)
    low, high = 0.0, events + 10.0 * math.sqrt(events + 1) + 10.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _poisson_at_most(events, middle) > 1 - CONFIDENCE else (low, middle)
    return high


def _quantile(shape):
    """The CONFIDENCE quantile of a gamma distribution (Cornish and Fisher 1938): right to 1e-7 from MANY_EVENTS on."""
    z, root = NORMAL_QUANTILE, math.sqrt(shape)
    found = shape + z * root + (z**2 - 1) / 3 + (z**3 - 7 * z) / (36 * root)
    return found - (3 * z**4 + 7 * z**2 - 16) / (810 * shape)


def poisson_at_least(events, expected):
    """Return the chance (float) of at least so many events (int) where so many (float) are expected."""
    return 1.0 if events <= 0 else max(0.0, 1.0 - _poisson_at_most(events - 1, expected))


def _poisson_at_most(events, expected):
    if expected <= 0:
        return 1.0
    logarithm = math.log(expected)
    terms = [k * logarithm - expected - math.lgamma(k + 1) for k in range(events + 1)]
    largest = max(terms)
    return min(1.0, math.exp(largest) * sum(math.exp(term - largest) for term in terms))
