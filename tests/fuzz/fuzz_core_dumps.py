# Names of core dumps, and the kernel's pattern for them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

from ansible_collections.kernel.livepatch.plugins.module_utils._files import bounded, reading
from ansible_collections.kernel.livepatch.plugins.module_utils._health import dumps
from tests.fuzz import inputs, memory

_SYSTEMD = b"core.sh\\x2ed.1000.0123456789abcdef0123456789abcdef.4711.1716000000000000.zst"
SEEDS = [
    inputs.join(b"|/lib/systemd/systemd-coredump %P %u %g %s %t 9223372036854775808 %h", _SYSTEMD),
    inputs.join(b"/var/cores/core.%e.%p.%h.%t", b"core.my prog.12.host.1716000000"),
    inputs.join(b"/var/cores/%E%%%e", b"!usr!bin!x%x"),
    inputs.join(b"/var/cores/core.%%e", b"core.%e"),
    inputs.join(b"/var/cores/" + b"%h" * 30 + b"%e!", b"1" * 200),
    inputs.join(b"/var/cores/" + b"%p" * 30 + b"x%e", b"1" * 200),
]
WORDS = [inputs.SEPARATOR, b"%e", b"%%", b"%h", b"%p", b"%E", b"core.", b"\\x2e"]
MAX_BYTES = 500


class _Source(object):
    def __init__(self, names):
        self.names = names

    def entries(self, directory):
        return [bounded.Entry(name, directory + "/" + name, 1.7e9, False) for name in self.names]


def one_input(data):
    # core_pattern(5): the kernel takes 127 bytes. A file's name has at most 255.
    pattern, name = inputs.split(data, 2)
    name = inputs.text(name)[:255]
    with memory.instead_of_os(memory.MemoryOs({"/" + dumps.CORE_PATTERN: pattern[:127]}), reading):
        found = dumps.find_core_dumps(_Source([name]), ["/var/cores"], 0)
    assert len(found) <= 1
    for dump in found:
        assert len(dump.comm) <= dumps.NAME_CHARACTERS and dump.time >= 0
        assert dump.comm.isprintable()
    json.dumps(found)
