# The livepatch tree, the list of modules and the other values that facts are made of.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import kernel_facts
from tests.fuzz import inputs, memory

_TREE = "/sys/kernel/livepatch/"
_PATHS = [
    "/proc/modules",
    _TREE + "p/enabled",
    _TREE + "p/transition",
    _TREE + "p/replace",
    _TREE + "p/stack_order",
    _TREE + "p/vmlinux/patched",
    _TREE + "q/enabled",
    _TREE + "q/transition",
    _TREE + "q/stack_order",
    "/sys/module/p/notes/.note.gnu.build-id",
    "/sys/module/p/srcversion",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/random/boot_id",
    "/proc/sys/kernel/tainted",
    "/etc/os-release",
    "function",
    "object",
]
_MODULES = b"p 16384 1 - Live 0x0000000000000000 (OEK)\nq 16384 0 - Live 0x0 (OEK)\next4 1 2 jbd2,crc16, Live 0x0\n"
_RELEASE = b'ID=rhel\nID_LIKE="fedora centos"\n'
SEEDS = [
    inputs.join(
        _MODULES, b"1\n", b"0\n", b"1\n", b"1\n", b"1\n", b"0\n", b"1\n", b"2\n", b"\x04\0\0\0\x04\0\0\0\x03\0\0\0GNU\0abcd", b"ABC\n",
        b"6.1.0-56-amd64\n", b"6fd1e2ac-0000\n", b"45056\n", _RELEASE, b"schedule,1", b"ext4",
    ),
    inputs.join(_MODULES, b"1\n", b"1\n"),
    inputs.join(inputs.times(b"m 1 0 - Live 0x0 (OEK)\n", 2048), inputs.times(b"1", 16000), b"0"),
]  # fmt: skip
WORDS = [inputs.SEPARATOR, b"Live", b"Unloading", b"Loading", b"(OEK)", b" - ", b"\0", b"\xc2\xb2", b"ID=", b"ID_LIKE="]


def one_input(data):
    values = dict(zip(_PATHS, map(inputs.repeated, inputs.split(data, len(_PATHS)))))
    # What is above the list of the kernel's errors is a file that vanishes when it is opened.
    function, part = (inputs.text(values.pop(key)).replace("/", "").strip(".") for key in ("function", "object"))
    files = {path: _content(value) for path, value in values.items()}
    if function and part:
        files["%sp/%s/%s/x" % (_TREE, part, function)] = b""
    with memory.instead_of_os(memory.MemoryOs(files), reading, sysfs):
        facts = kernel_facts.gather("/")
    json.dumps(facts)
    assert facts["supported"] is True and set(facts["patches"]) <= {"p", "q"}
    assert facts["enabled"] in (None, "p", "q")
    assert [patch["stack_order"] for patch in facts["patches"].values()] == list(range(1, len(facts["patches"]) + 1))


def _content(value):
    return value[1] if value[:1] == b"\xf5" and len(value) == 2 and value[1] else value
