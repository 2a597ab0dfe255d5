# Records of /dev/kmsg, as bytes of one read each, among the errors that reading gives.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log
from tests.fuzz import inputs
from tests.unit.fakes.kmsg import Kmsg, record

SEEDS = [
    inputs.join(
        record(0, "Linux version 6.1.0"), record(1, "BUG: x\\x0aOops: 1", priority=12), b"\x20", record(5, "late")
    ),
    inputs.join(b"4,215,1673639,-;acpi PNP0A03:00: fail\n SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A03:00\n", b"\x0b"),
    inputs.join(b"30,9999999999999999,9999999999999999,c,x=y;" + inputs.times(b"\\x0a", 2048), b"\x04", b"\x05"),
]
WORDS = [inputs.SEPARATOR, b";", b",-;", b"\\x0a", b"4,1,2,-;", b",ncfrag=0/9;"]


def one_input(data):
    parts = data.split(inputs.SEPARATOR)
    wanted = len(parts[0])
    # One byte alone is the errno of a read; nothing at all is the end of the file.
    device = Kmsg([part[0] if len(part) == 1 and part[0] else inputs.repeated(part) for part in parts])
    before, kernel_log.os = kernel_log.os, device
    try:
        reading = kernel_log.read(wanted, clock=lambda: 0.0)
    finally:
        kernel_log.os = before
    assert device.descriptors == 0
    assert reading.status in (kernel_log.READ, kernel_log.LOST, kernel_log.UNREADABLE)
    assert (reading.reason is None) == (reading.status == kernel_log.READ)
    assert all(one.sequence >= wanted and 0 <= one.level <= 7 for one in reading.records)
    assert all(one.sequence < wanted for one in reading.earlier)
    json.dumps(reading)
