# Whatever bytes the log holds: no exception, bounded events, stable signatures.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kernel.livepatch.plugins.module_utils._files import times
from ansible_collections.kernel.livepatch.plugins.module_utils._health import kernel_alarms
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import rpm
from tests.unit.fakes.kmsg import record

PIECES = st.sampled_from(
    [
        "WARNING: ",
        "CPU: ",
        "0 PID: ",
        " at ",
        "a.c:1 ",
        "func+0x1/0x2",
        "BUG: ",
        "kernel BUG at ",
        "Oops: ",
        "0000 [#1]",
        "[#1]",
        "RIP: 0010:",
        "---[ end trace ",
        "Kernel panic - not syncing: ",
        "INFO: task ",
        " blocked for more than 2 seconds.",
        "rcu: INFO: rcu_sched detected stall",
        "watchdog: BUG: soft lockup - CPU#",
        "\\x0a",
        "\\x",
        "\n",
        ";",
        ",",
        "\x00",
        "ä",
        " ",
    ]
)
LINE = st.lists(PIECES | st.text(max_size=6), max_size=12).map("".join)
HEADER = st.tuples(st.integers(0, 200), st.integers(0, 10**16), st.integers(0, 10**16))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_record_or_none(data):
    parsed = kernel_log.parse(data)
    assert parsed is None or 0 <= parsed.level <= 7


@given(st.lists(st.tuples(HEADER, LINE), max_size=30))
def test_any_log_gives_events_that_json_can_carry(entries):
    records = [
        kernel_log.parse(record(sequence, text, priority, useconds)) for (priority, sequence, useconds), text in entries
    ]
    records = [entry for entry in records if entry]
    found = kernel_alarms.alarms(records)
    assert len(found) <= sum(len(entry.text.split("\n")) for entry in records if entry.kernel)
    for alarm in found:
        assert len(alarm.text) <= kernel_alarms.TEXT_CHARACTERS
        assert alarm.signature.startswith(alarm.kind + ":")
        json.dumps(alarm._asdict())
        assert times.to_text(1.6e9 + alarm.seconds).endswith("Z")


@given(st.lists(LINE, max_size=30))
def test_the_same_log_twice_has_the_same_signatures(lines):
    def signatures(start, seconds):
        records = [kernel_log.Record(start + number, seconds, 4, True, line) for number, line in enumerate(lines)]
        return [alarm.signature for alarm in kernel_alarms.alarms(records)]

    assert signatures(0, 1.0) == signatures(5000, 77.5)


@given(st.text(max_size=400))
def test_any_answer_of_rpm_is_read_without_an_exception(text):
    for entry in rpm.verify(lambda command, **dummy: (0, text, ""), "package"):
        assert entry["file"].startswith("/") and entry["differs"]
