# Moments as text and back.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import times


@pytest.mark.parametrize("seconds,text", [(0, "1970-01-01T00:00:00Z"), (1800000000.9, "2027-01-15T08:00:00Z")])
def test_a_moment_is_written_in_utc_to_the_second(seconds, text):
    assert times.to_text(seconds) == text
    assert times.to_seconds(text) == int(seconds)


@pytest.mark.parametrize("seconds,text", [(-5.0, "1970-01-01T00:00:00Z"), (1e18, "9999-12-31T23:59:59Z")])
def test_a_time_that_no_clock_shows_is_written_as_the_nearest_that_one_can(seconds, text):
    assert times.to_text(seconds) == text


@pytest.mark.parametrize("end", ["Z", ".5Z", ".123456789Z", "+00:00", "-0000"])
def test_every_way_to_write_utc_is_read(end):
    assert times.to_seconds("2027-01-15T08:00:00" + end) == 1800000000


@pytest.mark.parametrize(
    "text",
    ["", "now", "2027-01-15", "2027-01-15T08:00:00", "2027-01-15T08:00:00+01:00", "2027-13-15T08:00:00Z", "1800000000"],
)
def test_what_is_no_moment_in_utc_is_refused(text):
    with pytest.raises(ValueError):
        times.to_seconds(text)
