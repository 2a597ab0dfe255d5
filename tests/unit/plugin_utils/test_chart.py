# Scales and words for drawings.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import chart
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "seconds, words",
    [(0, "0s"), (59.6, "1m"), (61, "1m 01s"), (600, "10m"), (3599, "59m"), (3600, "1h"), (11100, "3h 05m"), (187200, "2d 4h")],
)
def test_spans_of_time_read_as_people_say_them(seconds, words):
    assert chart.duration(seconds) == words


def test_a_moment_is_told_in_utc():
    assert chart.clock(0) == "1970-01-01 00:00:00"


@given(begin=st.floats(0, 4e9), length=st.floats(0, 4e8), share=st.floats(-1, 2))
def test_every_moment_lies_inside_and_ticks_are_few_and_rise(begin, length, share):
    span = chart.Span(begin, begin + length, 10, 110)
    assert 10 <= span.x(begin + share * length) <= 110
    places = [x for x, unused in span.ticks()]
    assert 1 <= len(places) <= 9 and places == sorted(places) and places[0] == 10


@given(value=st.one_of(st.floats(0, 1e300), st.just(float("inf"))))
def test_every_value_lies_inside_a_logarithmic_scale(value):
    scale = chart.Decades(0.1, 100, 200, 20)
    assert 20 <= scale.y(value) <= 200


def test_decades_are_named_and_rise():
    scale = chart.Decades(0.1, 100, 200, 20)
    assert scale.ticks() == [(200.0, "0.1"), (140.0, "1"), (80.0, "10"), (20.0, "100")]
    assert chart.Decades(1, 1e7, 1, 0).ticks()[-1] == (0.0, "1e7")


def test_a_value_stays_as_it_is_until_it_is_known_anew():
    assert chart.steps([(0, 5), (10, 7), (20, 6)]) == "0,5 10,5 10,7 20,7 20,6"
    assert chart.steps([(3, 4)]) == "3,4" and chart.steps([]) == ""
