# Which livepatch was in effect when, by the kernel's own lines, in any order and with any of them missing.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.module_utils._health import livepatch_log
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.kernel_log import Record

_FORMS = (
    "livepatch: enabling patch '%s'",
    "livepatch: '%s': starting patching transition",
    "livepatch: '%s': patching complete",
    "livepatch: '%s': starting unpatching transition",
    "livepatch: '%s': unpatching complete",
    "%s something else",
)
SEEDS = [
    b"\x81" + bytes(bytearray([0, 1, 2, 16, 17, 18, 3, 4])),
    b"\x00",
    b"\xff" + bytes(bytearray([0, 32, 64, 96, 128, 34])),
]
MAX_BYTES = 512


def one_input(data):
    """The first byte: whole log or not, former boot or not, what is enabled; each other one: which line, which name."""
    setting = data[0] if data else 0
    names = ["n%d" % number for number in range(32)]
    # Many livepatches come into a log of many lines: the history of any log must be told quickly.
    lines = bytearray(data[1:]) * (64 if setting & 64 else 1)
    records = [
        Record(
            number,
            float(number),
            4,
            line != 255,
            _FORMS[line % 8 % len(_FORMS)] % (names[line // 8] + "x" * (number % 7)),
        )
        for number, line in enumerate(lines)
    ]
    enabled = None if setting & 1 else names[: setting >> 2 & 3]
    history = livepatch_log.History(records, bool(setting & 2), "6.1", enabled)
    for moment in (-1.0, 0.0, len(records) / 2.0, float("inf")):
        found = history.at(moment)
        assert found is None or found == "6.1" or found.startswith("6.1-n")
    assert history.at_end() == history.at(float("inf"))
    stack, pending = history.stack_at_end(), history.pending_at_end()
    if stack is not None and enabled is None:
        assert len(stack) == len(set(stack)) and (pending is None or pending[0] in stack)
        topmost = pending[0] if pending else stack[-1] if stack else None
        assert history.at_end() == ("6.1-" + topmost if topmost else "6.1")
