# The time between two looks, and clocks that are wrong.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._health import health

NOW = 1800000000.5
BEGIN = "2027-01-15T07:50:00Z"  # ten minutes before


@pytest.fixture
def window(tmp_path):
    def make(uptime="3600.0 1.0\n", **since):
        for name, text in (("uptime", uptime), ("sys/kernel/random/boot_id", "b1\n")):
            path = tmp_path / "proc" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return health.Window(since, str(tmp_path), NOW)

    return make


def test_a_window_without_a_reboot_is_time_up(window):
    found = window(boot_id="b1", sequence=4, time=BEGIN)
    assert (found.seconds, found.up_seconds(None), found.rebooted, found.reasons) == (600, 600, False, [])
    assert found.dumps_from() == found.core_dumps_from() == 1800000000 - 600


@pytest.mark.parametrize("since", [{}, {"time": None}, {"boot_id": "b1"}, {"boot_id": "b0", "time": ""}])
def test_a_window_whose_beginning_is_not_known_has_no_length(window, since):
    found = window(**since)
    assert (found.seconds, found.up_seconds(NOW)) == (None, None)


def test_after_a_reboot_the_time_up_is_that_of_this_boot_and_what_is_known_of_the_one_before(window):
    found = window("100.0 1\n", boot_id="b0", time=BEGIN)
    assert (found.rebooted, found.seconds, found.up_seconds(None)) == (True, 600, 100)
    assert found.up_seconds(NOW - 400) == 100 + 200
    assert found.up_seconds(NOW + 999) == 600
    assert found.up_seconds(NOW - 999) == 100


def test_a_clock_that_was_set_back_gives_an_empty_window_and_is_said(window):
    found = window(boot_id="b1", time="2027-01-15T09:00:00Z")
    assert (found.seconds, found.up_seconds(None)) == (0, 0)
    assert found.reasons == [
        "the clock of this host was set back: since.time is 2027-01-15T09:00:00Z, now it is 2027-01-15T08:00:00Z. "
        "The window counts as 0 seconds."
    ]
    assert (found.dumps_from(), found.core_dumps_from()) == (NOW - 3600, 1800000000)


def test_without_a_beginning_dumps_count_from_an_hour_before_an_unexpected_boot_and_that_is_said(window):
    found = window(boot_id="b0", sequence=4)
    assert found.dumps_from() == NOW - 3600 - 3600
    assert found.reasons == [
        "when the window began is not known: dumps count from an hour before this boot on. Hand on since.time."
    ]


def test_without_a_beginning_core_dumps_are_not_looked_for_and_that_is_said(window):
    found = window(boot_id="b1", sequence=4)
    assert (found.dumps_from(), found.core_dumps_from()) == (NOW - 3600, None)
    assert found.reasons == [
        "when the window began is not known: core dumps were not looked for. Hand on since.time with the rest."
    ]


def test_without_any_position_the_window_is_this_boot(window):
    found = window()
    assert found.dumps_from() == found.core_dumps_from() == NOW - 3600
    assert found.reasons == []


def test_events_of_the_future_have_no_age_and_are_said_once(window):
    found = window()
    assert [found.age(NOW + seconds, "x:%d" % seconds) for seconds in (-100, 0, 0.9, 50, 70)] == [100, 0, 0, 0, 0]
    assert found.reasons == [
        "events in the future by the clock of this host: 2, the first is x:50 by 50 seconds. Their age is taken to be 0."
    ]


def test_the_second_of_a_look_belongs_to_the_next_one(window):
    found = window()
    assert [found.holds(moment) for moment in (NOW - 1, NOW - 0.5, NOW, NOW + 5, NOW + 100)] == [
        True,
        False,
        False,
        False,
        True,
    ]


def test_a_moment_that_is_none_is_refused_with_what_was_expected(window):
    with pytest.raises(LivepatchError) as refused:
        window(time="yesterday")
    assert refused.value.code == "bad_option"
    assert refused.value.message == (
        "since.time: expected a moment in UTC such as 2026-05-04T08:15:00Z, found 'yesterday'. "
        "Hand on what livepatch or livepatch_health returned."
    )


@pytest.mark.parametrize("text", ["", "x", "\n"])
def test_a_host_that_does_not_tell_its_uptime_counts_as_just_booted(window, text):
    assert window(text).uptime == 0.0
