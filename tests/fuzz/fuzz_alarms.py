# The text of a kernel's log, as dumps keep it: its records, its alarms, its kernel, its livepatches.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

from ansible_collections.kernel.livepatch.plugins.module_utils._health import crash_events, dmesg, kernel_alarms
from tests.fuzz import inputs

_WARNING = b"""<4>[   12.345678] ------------[ cut here ]------------
<4>[   12.345679] WARNING: CPU: 0 PID: 123 at FILE:19 alarm_show+0x117/0x1a8 [lab]
<4>[   12.345680] CPU: 0 PID: 123 Comm: cat Tainted: G           OE K   6.1.0-56-amd64 #1 Debian
<4>[   12.345681] RIP: 0010:alarm_show.isra.0+0x117/0x1a8 [lab]
<4>[   12.345682] ---[ end trace 0000000000000000 ]---
"""
_PANIC = b"""[    0.000000][    T0] Linux version 7.2.12+deb14-amd64 (x)
[    1.000000][    T1] livepatch: enabling patch 'hotfix1'
[    2.000000][   C01] livepatch: 'hotfix1': patching complete
[    3.000000] BUG: kernel NULL pointer dereference, address: 0000000000000000
[    3.000001] Oops: Oops: 0002 [#1]
[    3.000002] RIP: 0010:alarm_show+0x1/0x2
[    3.000003] Kernel panic - not syncing: Fatal exception
"""
_OTHERS = b"""[1.0] watchdog: BUG: soft lockup - CPU#0 stuck for 5s! [cat:166]
[2.0] rcu: INFO: rcu_preempt self-detected stall on CPU
[3.0] INFO: task cat:111 blocked for more than 2 seconds.
[4.0] kernel BUG at FILE:20!
[5.0] invalid opcode: 0000 [#1] PREEMPT
[6.0] WARNING: klp_alarm.c:19 at alarm_show+0x118/0x1dd [klp_alarm], CPU#0: cat/148
[7.0] NIP [c000000000000000] f+0x1/0x2
"""
SEEDS = [
    _WARNING,
    _PANIC,
    _OTHERS,
    b"[1.0] WARNING: " + inputs.times(b" at ", 8192),
    b"[1.0] WARNING:  at " + inputs.times(b"a", 60000),
    b"[1.0] BUG: " + inputs.times(b"a.b", 16000),
    b"[1.0] CPU: 0 PID: 1 Comm: " + inputs.times(b"x 1.1", 8000),
    b"[1.0] INFO: task " + inputs.times(b" blocked on", 4096),
    inputs.times(b"[1.0] livepatch: enabling patch 'a'\n", 1024),
    b"[1.0] invalid opcode: " + inputs.times(b": 0 ", 8192),
]
WORDS = [line.split(b"] ", 1)[-1][:30] for line in (_WARNING + _PANIC + _OTHERS).splitlines()]
WORDS += [inputs.times(b"a", 8192), b"+0x1/0x2", b"[1.0] ", b" at "]


def one_input(data):
    text = inputs.text(inputs.repeated(data))
    records = dmesg.records(text)
    found = kernel_alarms.alarms(records)
    assert len(found) <= len(records) and len(records) <= text.count("\n") + len(text.splitlines())
    for alarm in found:
        assert len(alarm.text) <= kernel_alarms.TEXT_CHARACTERS and alarm.signature.startswith(alarm.kind + ":")
        assert len(alarm.signature) <= 600, "a signature of %d characters" % len(alarm.signature)
    evidence = crash_events.from_text("kdump", 1.7e9, text)
    assert evidence.alarms == found
    json.dumps(crash_events.tell([evidence]))
