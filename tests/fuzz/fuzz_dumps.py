# What pstore, systemd-pstore and kdump have left: names, times and texts of files, and the crashes they tell of.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

from ansible_collections.kernel.livepatch.plugins.module_utils._files import bounded
from ansible_collections.kernel.livepatch.plugins.module_utils._health import crash_events, dumps
from tests.fuzz import inputs

_TEXT = (
    b"Panic#1 Part1\n<4>[   12.3] BUG: unable to handle x\n<0>[   12.4] Kernel panic - not syncing: Fatal exception\n"
)
_OOPS = b"Oops#2 Part1\n<4>[   12.3] kernel BUG at a.c:1!\n"
SEEDS = [
    inputs.join(
        b"\x00", b"dmesg-ramoops-0", b"\x08", _TEXT, b"\x00", b"dmesg-efi_pstore-170000000000000001", b"\x08", _OOPS
    ),
    inputs.join(
        b"\x01", b"dmesg-erst-7301234567890123456", b"\x10", _TEXT, b"\x01", b"dmesg-efi-170000000001001", b"\x00", b""
    ),
    inputs.join(
        b"\x02",
        b"vmcore-dmesg.txt",
        b"\x20",
        _TEXT[14:],
        b"\x02",
        b"vmcore",
        b"\x30",
        b"",
        b"\x03",
        b"dmesg.202605041234",
        b"\0",
        _OOPS,
    ),
]
WORDS = [
    inputs.SEPARATOR,
    b"dmesg-efi-",
    b"dmesg-erst-",
    b"vmcore",
    b"#1 Part1\n",
    b"Part2\n",
    b"Oops#1 ",
    b"Shutdown#1 Part1\n",
]
_NOW = 1.7e9


class _Source(bounded.Source):
    """Files in memory: directory -> [(name, time, content)]."""

    def __init__(self, files):
        super(_Source, self).__init__("fuzzed", clock=lambda: 0.0)
        self.files = files

    def entries(self, directory):
        # As in bounded: a name's bytes may be in any encoding, what is handed on is text.
        listing = self.files.get(directory.rstrip("/"), [])
        found = [bounded.Entry(name, directory + "/" + name, time, False) for name, time, unused in listing]
        below = [path for path in self.files if path.rpartition("/")[0] == directory.rstrip("/")]
        return sorted(found + [bounded.Entry(path.rpartition("/")[2], path, _NOW, True) for path in below])

    def tail(self, path):
        for name, unused, content in self.files.get(path.rpartition("/")[0], []):
            if path.endswith("/" + name):
                return None if content == "gone" else content
        return None


def one_input(data):
    parts = data.split(inputs.SEPARATOR)[:64]
    places = ("/sys/fs/pstore", "/var/lib/systemd/pstore/1", "/var/crash/a", "/var/crash/b")
    files = {place: [] for place in places}
    for place, name, time, content in zip(*[iter(parts)] * 4):
        name = inputs.text(name).replace("/", "").replace("\0", "")
        age = (bytearray(time[:1] or b"\0")[0] - 8) * 100.0
        files[places[len(place) % 4 if len(place) != 1 else bytearray(place)[0] % 4]].append(
            (name, _NOW - age, inputs.text(inputs.repeated(content)))
        )
    source = _Source(files)
    evidence = dumps.find_kdump(source, ["/var/crash"], _NOW - 1e4) + dumps.find_pstore(source, _NOW - 1e4, _NOW - 50)
    end = crash_events.Evidence(crash_events.BOOT, _NOW, [], None, True, "booted")
    for ends in ((), [end]):
        crashes = crash_events.tell(evidence, ends)
        json.dumps(crashes)
        assert len(crashes) <= len(evidence) + len(ends)
        assert crashes == sorted(crashes, key=lambda crash: crash.time)
        assert not ends or any(crash.kind == "crash" for crash in crashes)
