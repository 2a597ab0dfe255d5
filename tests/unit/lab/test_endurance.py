# The arithmetic of the endurance runs: what is a leak, what is a problem, what the page shows.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import random
import xml.etree.ElementTree

import pytest

from tests.endurance import analysis, page, picture


def report(leak=0.0, noise=200, rounds=300, **changes):
    """A report of a run whose SUnreclaim grows by `leak` KiB a replacement, with noise."""
    generator = random.Random(1)
    lines = [{"kind": "begin", "load": ["computing"]}]
    for number in range(rounds):
        if number % 10 == 0:
            lines.append(reading(number, leak, generator.uniform(-noise, noise)))
        lines.append({"kind": "round", "round": number, "seconds": 1.0 + number % 7, "total": 3.0, "error": None, "message": "",
                      "proven": True, "unloaded": ["hotfix1"]})  # fmt: skip
    lines.append(reading(rounds, leak, 0))
    lines.append(
        {"kind": "end", "running": [], "result": {"failed": False, "diff": {"after": {"enabled": [], "inert": []}}}}
    )
    for key, value in changes.items():
        next(line for line in reversed(lines) if key in line)[key] = value
    return lines


def reading(number, leak, noise):
    fixed = {
        "kind": "reading",
        "round": number,
        "modules": 80,
        "loaded": 20,
        "livepatches": 1,
        "warn_count": 0,
        "oops_count": 0,
    }
    memory = {name: 50000 for name in analysis.GROWING + analysis.FALLING}
    memory["SUnreclaim"] = 9000 + leak * number + noise
    return dict(fixed, events=[], log="read", running=["computing"], **memory)


def test_a_clean_run_has_no_problems():
    assert analysis.problems(report()) == []


@pytest.mark.parametrize("leak", [4.0, 16.0])
def test_a_page_or_a_module_that_is_lost_each_time_is_a_leak(leak):
    (found,) = analysis.problems(report(leak=leak))
    assert found.startswith("SUnreclaim changes by")
    trend = next(one for one in analysis.trends(report(leak=leak)) if one.name == "SUnreclaim")
    assert trend.low < leak < trend.high


def test_noise_alone_is_no_leak():
    assert all(analysis.problems(report(noise=noise)) == [] for noise in (0, 50, 1000))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"warn_count": 1}, "warn_count was 0 before and 1 after"),
        ({"loaded": 21}, "loaded was 20 before"),
        ({"events": ["BUG: x"]}, "logged an alarm: BUG: x"),
        ({"log": "unreadable"}, "log was unreadable"),
        ({"error": "load_failed"}, "failed"),
        ({"proven": False}, "not proven"),
        ({"result": {"failed": True}}, "not clean at the end"),
    ],
)
def test_whatever_speaks_against_a_run_is_said(change, words):
    assert words in "; ".join(analysis.problems(report(**change)))


def test_a_stall_is_counted_and_is_no_problem():
    stalled = report(error="stalled")
    assert analysis.problems(stalled) == [] and len(analysis.stalls(stalled)) == 1
    assert len(analysis.transition_times(stalled)) == 299


def test_a_slope_and_its_interval_are_those_of_least_squares():
    slope, half = analysis.trend([(0, 1.0), (1, 3.0), (2, 4.0), (3, 8.0)])
    assert round(slope, 6) == 2.2 and round(half, 2) == 1.82  # 4.30 * sqrt(1.8 / 2 / 5)


def test_the_page_and_the_picture_show_every_kernel():
    reports = {"6.1": report(), "7.2": report(leak=16.0)}
    text = page.write(reports, "command", 60, 10, "x.svg")
    assert "nothing speaks against it" in text and "SUnreclaim changes by" in text and "| 6.1 | 2 | 300 |" in text
    times = {kernel: analysis.transition_times(lines) for kernel, lines in reports.items()}
    drawing = xml.etree.ElementTree.fromstring(picture.draw(times))
    assert len(drawing.findall(".//{http://www.w3.org/2000/svg}circle")) == 600
