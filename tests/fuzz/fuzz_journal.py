# What journalctl prints: its JSON, its complaints, its exit status.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

from ansible_collections.kernel.livepatch.plugins.module_utils._files import bounded
from ansible_collections.kernel.livepatch.plugins.module_utils._health import boot_log
from tests.fuzz import inputs


def _line(message, **fields):
    entry = {
        "__REALTIME_TIMESTAMP": "1716000000000000",
        "_SOURCE_MONOTONIC_TIMESTAMP": "1000000",
        "MESSAGE": message,
        "PRIORITY": "4",
        "SYSLOG_FACILITY": "0",
    }
    return json.dumps(dict(entry, **fields), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


SEEDS = [
    inputs.join(
        b"\0", _line("Linux version 6.1.0 ") + _line([66, 85, 71], PRIORITY="9") + _line(None), b"", b"a message"
    ),
    inputs.join(b"\1", b"", b"Data from the specified boot is not available: No such boot ID in journal", b""),
    inputs.join(b"\x7c", _line("x"), b"", b"\x07\x00"),
    inputs.join(b"\0", inputs.times(b"[", 60000), b"insufficient permissions", "\u2028".encode("utf-8")),
    inputs.join(b"\0", b'{"MESSAGE": ' + inputs.times(b"1", 60000) + b"}", b"", b""),
]
WORDS = [
    inputs.SEPARATOR,
    b'"MESSAGE": ',
    b"null",
    b'"__MONOTONIC_TIMESTAMP": "1"',
    b"[1, 2]",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b"\x0b",
]


def one_input(data):
    code, output, errors, message = inputs.split(data, 4)
    output = inputs.repeated(output)
    answer = bytearray(code[:1] or b"\0")[0], output, errors

    def run_command(command, **unused_options):
        return answer

    journal = boot_log.read_journal(run_command, lambda name: "/usr/bin/" + name, boot_log.THIS_BOOT)
    assert journal.status in (bounded.READ, bounded.ABSENT, bounded.TRUNCATED, bounded.UNREADABLE)
    assert (journal.booted is None) == (journal.end is None) == (not journal.records)
    assert all(0 <= record.level <= 7 and isinstance(record.text, str) for record in journal.records)
    json.dumps(journal)
    # Whatever a message holds, it is one record.
    message = inputs.text(message)
    answer = 0, _line(message), b""
    records = boot_log.read_journal(run_command, lambda name: "/usr/bin/" + name, boot_log.THIS_BOOT).records
    assert [record.text for record in records] == [message]
