# Tests of the checks of options.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from fractions import Fraction

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from hypothesis import example, given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "given, found",
    [
        ("5", 5),
        (5, 5),
        ("0", 0),
        (" 12 ", 12),
        ("2%", Fraction(1, 50)),
        ("0.1%", Fraction(1, 1000)),
        ("100%", Fraction(1)),
    ],
)
def test_a_count_or_share_is_read_exactly(given, found):
    assert values.count_or_share(given, "slice") == found
    assert isinstance(values.count_or_share(given, "slice"), type(found))


@pytest.mark.parametrize(
    "given", ["abc", "-1", -1, "120%", "100.1%", True, False, None, "", "5 hosts", 1.5, "1e3", "٣", [], "%"]
)
def test_what_is_no_count_or_share_is_refused_with_its_value(given):
    with pytest.raises(RolloutError, match="slice is .*expected a count like 5"):
        values.count_or_share(given, "slice")


def test_a_share_of_a_whole_is_rounded_down_without_float_error():
    assert values.of(values.count_or_share("0.1%", "share"), 1000) == 1
    assert values.of(values.count_or_share("29%", "share"), 100) == 29
    assert values.of(values.count_or_share("1%", "share"), 99) == 0
    assert values.of(7, 3) == 7


@pytest.mark.parametrize(
    "given, seconds",
    [
        (0, 0),
        (90, 90),
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("4h", 14400),
        ("1d", 86400),
        ("4 h", 14400),
    ],
)
def test_a_duration_is_read_in_seconds(given, seconds):
    assert values.duration(given, "soak") == seconds


@pytest.mark.parametrize("given", ["4 hours", "-1", "1w", "", None, True, 1.5, "h"])
def test_what_is_no_duration_is_refused(given):
    with pytest.raises(RolloutError, match="soak is .*expected seconds"):
        values.duration(given, "soak")


@pytest.mark.parametrize("given", ["hotfix3", "web-hotfix3", "1-2", "a.b_c+d", "_x"])
def test_a_name_is_taken_as_it_is(given):
    assert values.name(given, "release") == given


@pytest.mark.parametrize("given", ["", "a/b", "../x", "a b", "-rf", ".hidden", "a\n", "x" * 101, None, 3, True, "a;b"])
def test_a_name_that_could_harm_a_path_or_command_is_refused(given):
    with pytest.raises(RolloutError, match="release .* is not a name"):
        values.name(given, "release")


@pytest.mark.parametrize("given", ["", "  ", "two\nlines", "x" * 501, None, 3])
def test_a_reason_is_one_line_of_text(given):
    with pytest.raises(RolloutError, match="is not a reason"):
        values.reason(given, "retry")
    assert values.reason(" disk was full ", "retry") == "disk was full"


def test_values_of_subclasses_become_plain():
    class Text(str):
        pass

    class Number(int):
        pass

    class Map(dict):
        pass

    found = values.plain(Map({Text("a"): (Number(3), Text("b"), None, True, 1.5)}))
    assert found == {"a": [3, "b", None, True, 1.5]}
    assert [type(item) for item in found["a"]] == [int, str, type(None), bool, float]
    assert {type(found), type(next(iter(found)))} == {dict, str}


@given(st.text(max_size=600) | st.none() | st.integers() | st.lists(st.text(max_size=9)), st.integers(3, 500))
@example("\x1b[2J\x1b]0;title\x07a\rb\nc\x85d\u2028e\u202ef\u2066g\u200fh\ud800", 500)
def test_what_others_say_is_one_printable_line_of_bounded_length(foreign, most):
    line = values.words(foreign, most)
    assert line.isprintable() and len(line) <= most and len(line.splitlines()) <= 1
    line.encode("utf-8")
    if str(foreign).isprintable() and len(str(foreign)) <= most:
        assert line == str(foreign)


def test_what_is_cut_of_a_line_shows():
    assert values.words("\x1b[31mred", 500) == " [31mred"
    assert values.words("x" * 501) == "x" * 497 + "..."
