# What the kernel has counted or marked, beside what its log tells of.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._health import untold
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log

NOTHING = untold.Marks({"oops_count": 0, "warn_count": 0}, 0)


def signatures(found):
    return [one.signature for one in found]


@pytest.mark.parametrize(
    "bit,kind", [(7, "oops"), (7, "bug"), (9, "warning"), (9, "bug"), (14, "lockup"), (5, "bug"), (5, "warning")]
)
def test_an_alarm_tells_of_what_it_taints(bit, kind):
    assert untold.find(NOTHING, NOTHING._replace(taint=1 << bit), [kind], kernel_log.READ) == []
    assert len(untold.find(NOTHING, NOTHING._replace(taint=1 << bit), ["hung_task"], kernel_log.READ)) == 1


def test_what_a_counter_tells_of_taint_does_not_tell_again():
    now = untold.Marks({"oops_count": 1, "warn_count": 2}, 1 << 7 | 1 << 9)
    found = untold.find(NOTHING, now, ["warning"], kernel_log.LOST)
    assert signatures(found) == ["untold:oops_count", "untold:warn_count"]
    assert [one.count for one in found] == [1, 1]


@pytest.mark.parametrize(
    "since", [{}, {"counters": None, "taint": None}, {"counters": {"oops_count": "1"}, "taint": True}]
)
def test_without_the_marks_of_before_nothing_is_told(since):
    now = untold.Marks({"oops_count": 9, "warn_count": 9}, 2**15 - 1)
    assert untold.find(untold.at_begin(since, False), now, [], kernel_log.READ) == []
    assert len(untold.find(untold.at_begin(since, True), now, [], kernel_log.READ)) == 5, "after a reboot all is new"
