# Does something come far more often than before? Counts in two stretches of time are compared. Pure arithmetic.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import math

# So many times as often as before is far more often.
RATIO = 10
# What came no more than RATIO times as often is taken for more in at most so many of all comparisons.
CHANCE = 1e-4


def is_above(count, seconds, before, before_seconds):
    """Tell whether something came more than RATIO times as often in these seconds as it came before, chance or not."""
    return count * max(before_seconds, 1) > RATIO * before * max(seconds, 1)


def is_surely_above(count, seconds, before, before_seconds):
    """Tell the same where chance alone does not explain it.

    If it came exactly RATIO times as often, each of the `count + before` occurrences would be one of the later ones with the
    chance p = RATIO * seconds / (RATIO * seconds + before_seconds), and their number were binomial: an exact test of the ratio
    of two Poisson rates (Przyborowski and Wilenski 1940). Of its tail the first term and the geometric bound of the others
    are summed, which is never less than the tail.
    """
    if count <= 0 or not is_above(count, seconds, before, before_seconds):
        return False
    later, earlier = RATIO * max(seconds, 1), max(before_seconds, 1)
    chance, together = later / (later + earlier), count + before
    first = _choose(together, count) + count * math.log(chance) + before * math.log1p(-chance)
    falls = before / (count + 1) * later / earlier
    return first - math.log1p(-falls) <= math.log(CHANCE)


def _choose(number, some):
    return math.lgamma(number + 1) - math.lgamma(some + 1) - math.lgamma(number - some + 1)
