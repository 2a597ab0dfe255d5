# The clock and the uptime of a host, and the moment that a caller hands on.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import math

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._health import health
from tests.fuzz import inputs, memory

SEEDS = [
    inputs.join(b"12345.67 99999.99\n", b"6fd1e2ac\n", b"2023-11-14T22:13:20Z", b"6fd1e2ac"),
    inputs.join(b"nan", b"", b"2023-11-14T22:13:20.123+0000", b"other"),
    inputs.join(b"1e400 1", b"x", b"9999-12-31T23:59:59Z", b""),
]
WORDS = [inputs.SEPARATOR, b"inf", b"-1", b"1e9", b"T22:13:20Z", b"2023-02-30", b"0001-01-01T00:00:00Z"]
MAX_BYTES = 256


def one_input(data):
    uptime, boot_id, time, expected = inputs.split(data, 4)
    files = {"/proc/uptime": inputs.repeated(uptime), "/proc/sys/kernel/random/boot_id": boot_id}
    since = {"boot_id": inputs.text(expected) or None, "time": inputs.text(time), "sequence": 0}
    with memory.instead_of_os(memory.MemoryOs(files), reading):
        try:
            window = health.Window(since, "/", 1.7e9)
        except LivepatchError as error:
            assert error.code == "bad_option"
            return
    numbers = [window.seconds, window.dumps_from(), window.core_dumps_from(), int(window.uptime)]
    numbers += [
        window.up_seconds(None),
        window.up_seconds(1.6e9),
        window.age(1.8e9, "x"),
        window.age(window.booted, "y"),
    ]
    assert not any(number is not None and math.isnan(number) for number in numbers)
    assert window.seconds is None or 0 <= window.up_seconds(1.6e9) <= window.seconds
    json.dumps(numbers + window.reasons, allow_nan=False)
