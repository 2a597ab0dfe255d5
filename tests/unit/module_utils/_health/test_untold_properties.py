# What the kernel has counted or marked, whatever that is.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kernel.livepatch.plugins.module_utils._health import boot_log, kernel_alarms, untold
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log, sysfs

COUNT = st.none() | st.integers(0, 50)
MARKS = st.builds(
    lambda counts, taint: untold.Marks(dict(zip(sysfs.COUNTERS, counts)), taint),
    st.tuples(COUNT, COUNT),
    st.none() | st.integers(0, 2**20),
)
KINDS = st.lists(st.sampled_from(["oops", "bug", "warning", "lockup", "rcu_stall", "hung_task", "crash"]), max_size=60)
STATUSES = st.sampled_from([kernel_log.READ, kernel_log.LOST, kernel_log.TRUNCATED, kernel_log.UNREADABLE])
NOTHING = untold.Marks({"oops_count": 0, "warn_count": 0}, 0)


def signatures(found):
    return [one.signature for one in found]


@given(MARKS, MARKS, KINDS, STATUSES)
def test_what_no_alarm_tells_of_is_told_once_and_what_alarms_tell_of_is_not(before, now, kinds, status):
    found = untold.find(before, now, kinds, status)
    assert len(set(signatures(found))) == len(found)
    assert all(one.count > 0 and len(one.text) <= kernel_alarms.TEXT_CHARACTERS for one in found)
    for name, telling in (("oops_count", ("oops", "bug")), ("warn_count", ("warning", "bug"))):
        rise = (now.counters[name] or 0) - (before.counters[name] or 0)
        known = None not in (before.counters[name], now.counters[name])
        expected = known and rise > sum(kind in telling for kind in kinds)
        assert ("untold:" + name in signatures(found)) == expected


@given(MARKS, KINDS, STATUSES)
def test_where_nothing_has_come_up_nothing_is_told(marks, kinds, status):
    assert untold.find(marks, marks, kinds, status) == []


@given(st.integers(0, 2**20), st.integers(0, 2**20))
def test_only_what_harm_taints_counts_and_only_when_it_comes_up(before, now):
    found = untold.find(NOTHING._replace(taint=before), NOTHING._replace(taint=now), [], kernel_log.READ)
    risen = sysfs.decode_taint(now & ~before)["flags"]
    assert sorted(signatures(found)) == sorted("untold:taint_" + letter for letter in risen if letter in "DWLBM")


@given(st.lists(st.floats(0, 1000), max_size=50))
def test_of_the_alarms_of_one_signature_each_burst_counts_once(moments):
    alarms = [kernel_alarms.Alarm("warning", None, moment, "warning:f", "x") for moment in sorted(moments)]
    count = boot_log.occurrences(alarms).get("warning:f", 0)
    assert (count > 0) == bool(alarms) and count <= len(alarms)
    assert count <= 1 + (max(moments, default=0) - min(moments, default=0)) / boot_log.BURST_SECONDS
