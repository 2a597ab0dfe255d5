# Scales and words for drawings: where a value lies, where the ticks are, and how a span of time reads. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import datetime
import math

MINUTE, HOUR, DAY = 60, 3600, 86400
# Steps that people count in.
STEPS = (1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR,
         3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 91 * DAY, 365 * DAY)  # fmt: skip


class Span:
    """A stretch of time drawn from left to right."""

    def __init__(self, begin, end, left, right):
        self.begin, self.end = begin, max(end, begin + 1)
        self.left, self.right = left, right

    def x(self, moment):
        """Return where a moment lies, those outside at the edge (float, one decimal)."""
        inside = min(max(moment, self.begin), self.end)
        share = (inside - self.begin) / (self.end - self.begin)
        return round(self.left + share * (self.right - self.left), 1)

    def ticks(self, most=8):
        """Return (x, text) of at most `most` ticks, with the time since the begin."""
        length = self.end - self.begin
        step = next((step for step in STEPS if length / step <= most), STEPS[-1] * math.ceil(length / STEPS[-1] / most))
        return [(self.x(self.begin + step * number), duration(step * number)) for number in range(int(length / step) + 1)]


class Decades:
    """Values drawn upwards on a logarithmic scale of whole decades."""

    def __init__(self, least, most, bottom, top):
        self.low, self.high = math.floor(math.log10(least)), math.ceil(math.log10(most))
        self.bottom, self.top = bottom, top

    def y(self, value):
        """Return where a value lies, those outside at the edge (float, one decimal)."""
        inside = min(max(math.log10(value) if value > 0 else self.low, self.low), self.high)
        share = (inside - self.low) / (self.high - self.low)
        return round(self.bottom + share * (self.top - self.bottom), 1)

    def ticks(self):
        """Return (y, text) of each decade."""
        return [(self.y(10.0**power), _power(power)) for power in range(self.low, self.high + 1)]


def _power(power):
    return f"{10.0**power:g}" if -4 <= power <= 5 else f"1e{power}"


def steps(places):
    """Return the points (str, for a polyline) of a value that stays as it is until it is known anew; places: (x, y) in time."""
    found, former = [], None
    for x, y in places:
        if former is not None:
            found.append(f"{x},{former}")
        found.append(f"{x},{y}")
        former = y
    return " ".join(found)


def duration(seconds):
    """Return a span of time (seconds) as people say it (str): "45s", "12m", "3h 05m", "2d 4h"."""
    whole = int(round(seconds))
    if whole < MINUTE:
        return f"{whole}s"
    if whole < HOUR:
        return f"{whole // MINUTE}m" + (f" {whole % MINUTE:02d}s" if whole < 10 * MINUTE and whole % MINUTE else "")
    if whole < DAY:
        return f"{whole // HOUR}h" + (f" {whole % HOUR // MINUTE:02d}m" if whole % HOUR >= MINUTE else "")
    return f"{whole // DAY}d" + (f" {whole % DAY // HOUR}h" if whole % DAY >= HOUR else "")


def clock(moment):
    """Return a moment (seconds since 1970) in UTC (str): "2026-05-04 08:15:00"."""
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
