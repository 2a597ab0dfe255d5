# From the replacer's report to numbers: times, stalls, trends of memory, and what speaks against a clean run.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import math
from collections import namedtuple

# KiB that a replacement may cost at most, by the lower end of the 95 % interval of the trend. A module that stayed loaded
# would cost 16 KiB and more each time, one forgotten page 4.
TOLERANCE = 2.0
# A falling MemAvailable is a loss, a rising one of the others.
GROWING = ("SUnreclaim", "Slab", "Percpu", "VmallocUsed", "KernelStack")
FALLING = ("MemAvailable",)
# Readings at the beginning that are no trend yet: the first rounds fill caches that stay.
WARM_UP = 0.2
# Of Student's t for a two-sided 95 % interval, by degrees of freedom.
_STUDENT = {
    1: 12.71,
    2: 4.30,
    3: 3.18,
    4: 2.78,
    5: 2.57,
    6: 2.45,
    7: 2.36,
    8: 2.31,
    9: 2.26,
    10: 2.23,
    15: 2.13,
    20: 2.09,
    30: 2.04,
}

Trend = namedtuple("Trend", "name slope low high readings")
Trend.__doc__ = """KiB per replacement (float), and the 95 % interval of it."""


def rounds(report):
    return [line for line in report if line["kind"] == "round"]


def readings(report):
    return [line for line in report if line["kind"] == "reading"]


def trend(points):
    """Return (slope, half width of its 95 % interval) of points [(x, y)] by least squares; needs three points."""
    count = len(points)
    mean_x, mean_y = (sum(point[side] for point in points) / count for side in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _unused in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    error = math.sqrt(rest / (count - 2) / spread)
    return slope, error * _STUDENT[max(degrees for degrees in _STUDENT if degrees <= count - 2)]


def trends(report):
    """Return the list of Trend of the kernel's memory."""
    settled = readings(report)
    settled = settled[int(len(settled) * WARM_UP) :]
    if len(settled) < 4:
        return []
    found = []
    for name in GROWING + FALLING:
        points = [(line["round"], line[name]) for line in settled if name in line]
        if len(points) >= 4:
            slope, half = trend(points)
            found.append(Trend(name, slope, slope - half, slope + half, len(points)))
    return found


def quantile(values, share):
    """The value below which this share (0 to 1) of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def transition_times(report):
    """Seconds of the transitions that ended (list of float)."""
    return [line["seconds"] for line in rounds(report) if line["error"] is None]


def stalls(report):
    """Rounds whose transition outlived its timeout."""
    return [line for line in rounds(report) if line["error"] == "stalled"]


def problems(report):
    """What speaks against a clean run, as a list of sentences; empty when all is well."""
    found = []
    for line in rounds(report):
        if line["error"] not in (None, "stalled"):
            found.append("round %d failed: %s" % (line["round"], line["message"]))
        elif line["error"] is None and not line["proven"]:
            found.append("round %d is not proven" % line["round"])
    taken = readings(report)
    for name in ("modules", "loaded", "livepatches", "warn_count", "oops_count"):
        values = [line[name] for line in taken]
        if values and values[-1] != values[0]:
            found.append("%s was %d before and %d after" % (name, values[0], values[-1]))
    for line in taken:
        found += ["round %d: the kernel logged an alarm: %s" % (line["round"], text) for text in line["events"]]
        if line["log"] not in ("read", "lost"):
            found.append("round %d: the kernel's log was %s" % (line["round"], line["log"]))
    found += _growth(report)
    clean = report[-1].get("result", {}) if report and report[-1]["kind"] == "end" else {"failed": True}
    if clean.get("failed") or clean["diff"]["after"] != {"enabled": [], "inert": []}:
        found.append("the host was not clean at the end: %s" % clean)
    return found


def _growth(report):
    found = []
    for one in trends(report):
        loss = one.low if one.name in GROWING else -one.high
        if loss > TOLERANCE:
            found.append(
                "%s changes by %.1f KiB (%.1f to %.1f) a replacement" % (one.name, one.slope, one.low, one.high)
            )
    return found
