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


def looks(warnings, moments, slow, delay, ring):
    """What looks (moments at which each begins) at a host that warns find: for each the Untold, and the lines that it lost.

    warnings: seconds. slow: seconds from a look's reading of the counters to that of the log. delay: seconds from a
    warning's first line to its count. ring: how many records the log holds.
    """
    lines = sorted([(moment, True) for moment in warnings] + [(float(second), False) for second in range(0, 1000, 7)])
    marks, sequence, began, found = NOTHING, 0, 0.0, []
    for moment in sorted(moments):
        count = sum(warning + delay <= moment for warning in warnings)
        now = untold.Marks({"oops_count": 0, "warn_count": count}, 512 if count else 0)
        there = [
            kernel_log.Record(number, seconds, 4, True, "WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2" if warns else "x")
            for number, (seconds, warns) in enumerate(lines)
            if seconds <= moment + slow
        ]
        kept = there[-ring:]
        new = [record for record in kept if record.sequence >= sequence]
        lost = [record for record in there[:-ring] if record.sequence >= sequence]
        status = kernel_log.LOST if lost else kernel_log.READ
        earlier = [record for record in kept if record.sequence < sequence]
        reading = kernel_log.Reading(new, len(there), status, None, earlier)
        log = boot_log.BootLog(reading, sequence, began, lambda boot: boot_log.Journal([], None, None, "absent", None))
        found.append((untold.find(marks, now, log.told(), status), sum("WARNING" in record.text for record in lost)))
        marks, sequence, began = now, len(there), moment
    return found


MOMENTS = st.lists(st.floats(1, 990), max_size=12)


@given(MOMENTS, MOMENTS, st.floats(0, 3), st.floats(0, 1))
def test_where_the_log_has_all_of_it_no_look_ever_tells_of_anything_untold(warnings, moments, slow, delay):
    assert all(found == [] for found, unused in looks(warnings, moments, slow, delay, 10**6))


@given(MOMENTS, MOMENTS, st.integers(1, 20))
def test_what_was_overwritten_between_two_looks_is_told_by_the_second_one(warnings, moments, ring):
    for found, lost in looks(warnings, moments, 0.0, 0.0, ring):
        assert sum(one.count for one in found) == lost
