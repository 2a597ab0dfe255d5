# The kernel's debug messages about tasks, and its list of what can be switched on.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import dynamic_debug
from tests.fuzz import inputs

_CONTROL = b"""# filename:lineno [module]function flags format
kernel/livepatch/transition.c:375 [livepatch]klp_try_switch_task =_ "%s: %s:%d is running\\012"
kernel/livepatch/transition.c:381 [livepatch]klp_check_stack =p "%s: %s:%d is sleeping on function %s\\012"
"""
SEEDS = [
    inputs.join(_CONTROL, b"livepatch: klp_try_switch_task: cat:376 is sleeping on function helper_kill_wait"),
    inputs.join(b"", b"livepatch: klp_check_stack: a:b is running:7 has an unreliable stack\n"),
    inputs.join(inputs.times(b"a:1 [b]c =p ", 4096), b"livepatch: x: " + inputs.times(b":1 is running", 4096)),
    inputs.join(b"", inputs.times(b"livepatch: x: ", 4096)),
    inputs.join(inputs.times(b":1", 16000), b"livepatch: x: " + inputs.times(b":1", 16000)),
]
WORDS = [
    inputs.SEPARATOR,
    b"kernel/livepatch/transition.c:",
    b"klp_check_task",
    b" =_ ",
    b" is running",
    b"livepatch: x: ",
]


def one_input(data):
    control, message = (inputs.text(inputs.repeated(part)) for part in inputs.split(data, 2))
    for line in dynamic_debug.parse(control):
        assert line.line >= 0 and line.flags
    found = dynamic_debug.reason(message)
    assert found is None or (found[0] >= 0 and (found[1] == dynamic_debug.SLEEPING) == bool(found[2]))
    json.dumps(found)
