# The log of this boot, with what it has lost taken from the journal.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

from ansible_collections.kernel.livepatch.plugins.module_utils._files import bounded
from ansible_collections.kernel.livepatch.plugins.module_utils._health import boot_log
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log
from tests.fuzz import inputs

_LINES = (
    "WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2",
    "---[ end trace 0000000000000000 ]---",
    "kernel BUG at a.c:1!",
    "Oops: 0000 [#1]",
    "RIP: 0010:g.isra.0+0x1/0x2",
    "Linux version 6.1.0 ",
    "livepatch: enabling patch 'a'",
    "livepatch: 'a': patching complete",
)
SEEDS = [
    inputs.join(b"\x03\x01", b"\x00\x01\x02\x03\x04", b"\x05\x06\x07\x08"),
    inputs.join(b"\x00\x00", b"\x00\x08\x10\x18\x20\x28", b""),
    inputs.join(b"\x05\x02", b"", b"\x05\x06\x07\x08"),
]
MAX_BYTES = 512
WORDS = [inputs.SEPARATOR]


def _records(data, first):
    """Each byte is a record: which line, and how far its time and number are from the one before."""
    records, sequence, seconds = [], first, float(first)
    for number, byte in enumerate(bytearray(data)):
        text = _LINES[byte % 8] + ("\n" + _LINES[byte // 8 % 8] if byte & 64 else "")
        records.append(kernel_log.Record(sequence, seconds, 4, byte != 255, text))
        sequence += 1 + (byte >> 6) * (number % 3)
        seconds += (byte >> 5) * 0.5
    return records


def one_input(data):
    setting, kept, lost = inputs.split(data, 3)
    begin, flags = (bytearray(setting) + bytearray(2))[:2]
    records = _records(kept, flags >> 4)
    earlier, wanted = ([one for one in records if (one.sequence < begin) == side] for side in (True, False))
    status = (kernel_log.LOST, kernel_log.READ, kernel_log.TRUNCATED)[flags % 3]
    reading = kernel_log.Reading(wanted, begin, status, "why" if status != kernel_log.READ else None, earlier)
    journal = boot_log.Journal(_records(lost, 0), 1e9, 2e9, bounded.READ, None if flags & 4 else "some reason")
    since_boot = None if flags & 8 else begin / 2.0
    log = boot_log.BootLog(reading, begin, since_boot, lambda boot: journal)
    new = log.new_alarms()
    assert len(new) <= len(log.alarms)
    assert all(alarm.sequence is None or alarm.sequence >= begin for alarm in new)
    json.dumps([new, log.known(), log.signatures(300.0), log.told(), log.reasons])
    log.history("6.1", ["a"]).at(5.0)
