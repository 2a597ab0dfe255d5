# What /proc says of tasks that hold a transition up: stack, stat, comm, cgroup, patch_state.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import stalls, sysfs
from tests.fuzz import inputs, memory

_TREE = "/sys/kernel/livepatch/p/"
_FILES = ("patch_state", "comm", "stat", "stack", "cgroup")
_STACK = (
    b"[<0>] lab_sleep_killable+0x59/0xa0 [lab_target]\n[<0>] seq_read_iter+0x11b/0x460\n[<0>] do_syscall_64+0x55/0xb0\n"
)
_STAT = b"376 (ca)t (x) D 1 1 0 0 -1 4194560 97 0 0 0\n"
_CGROUP = b"0::/system.slice/ssh.service\n1:name=systemd:/user.slice/user-0.slice/session-1.scope\n"
SEEDS = [
    inputs.join(b"376", b"376", b"0\n", b"cat\n", _STAT, _STACK, _CGROUP, b"1"),
    inputs.join(
        b"9",
        b"9",
        b"1\n",
        b"kthreadd\n",
        b"9 (k) S 2 0 0 0 -1 2129984 0\n",
        b"[<0>] schedule.isra.0+0x1/0x2\n",
        b"0::/\n",
        b"0",
    ),
    inputs.join(
        b"1",
        b"2",
        b"0",
        b"",
        b"1 (x) R 1 2 3 4 5 6",
        inputs.times(b"a", 60000),
        inputs.times(b"/a.service", 4096),
        b"1",
    ),
    inputs.join(
        b"1", b"2", b"0", b"", inputs.times(b")", 60000), inputs.times(b"[<0>] ", 9000), inputs.times(b":", 60000), b"1"
    ),
]
WORDS = [
    inputs.SEPARATOR,
    b"[<0>] ",
    b"+0x1/0x2",
    b" [",
    b"]",
    b".service",
    b".scope",
    b") R ",
    b"\xc2\xb2",
    b"schedule",
    b"lab_target",
]


class Clock:
    """Nobody waits."""

    sleep = staticmethod(lambda seconds: None)


def one_input(data):
    parts = [inputs.repeated(part) for part in inputs.split(data, len(_FILES) + 3)]
    process, task = (inputs.text(name).replace("/", "")[:20] or "1" for name in parts[:2])
    where = "/proc/%s/task/%s/" % (process, task)
    files = {where + name: content for name, content in zip(_FILES, parts[2:])}
    files.update(
        {
            "/proc/modules": b"p 1 1 - Live 0x0 (OEK)\nlab_target 1 1 p, Live 0x0\n",
            _TREE + "enabled": parts[-1],
            _TREE + "transition": b"1\n",
            _TREE + "vmlinux/schedule,1/x": b"",
        }
    )
    with memory.instead_of_os(memory.MemoryOs(files), reading, sysfs, stalls):
        found = stalls.find("/", "p", Clock)
    json.dumps(found)
    assert found.count <= 1
    for described in found.tasks:
        assert described["pid"] >= 0 and described["reason"] and len(described["stack"]) <= 32
