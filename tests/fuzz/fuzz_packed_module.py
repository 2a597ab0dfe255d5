# Packed module files: damaged ones, and those that would unpack to more than a host can bear.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import gzip
import lzma
import os
import tempfile

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file
from tests.unit.fakes import elf

_SMALL_LIMIT = 256 * 1024
_MODULE = elf.module(replace=True)
_BOMB = bytes(8 * _SMALL_LIMIT)

SEEDS = [gzip.compress(_MODULE), lzma.compress(_MODULE), b"\x28\xb5\x2f\xfd" + _MODULE, _MODULE]
SEEDS += [gzip.compress(_BOMB), lzma.compress(_BOMB), gzip.compress(_MODULE) + gzip.compress(_BOMB)]
SEEDS += [lzma.compress(_MODULE)[:-12]]
WORDS = [b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"YZ"]
MAX_BYTES = 16 * 1024

_path = os.path.join(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None), "x.ko")


def _run_zstd(unused_command, most, unused_seconds):
    """Stands for zstd: after the magic number comes what it would print, or 0xff for its failure."""
    with open(_path, "rb") as stream:
        content = stream.read()[4:]
    return (1, b"") if content[:1] == b"\xff" else (0, content[:most])


def one_input(data):
    with open(_path, "wb") as stream:
        stream.write(data)
    limit, module_file.LIMIT = module_file.LIMIT, _SMALL_LIMIT
    run, module_file.processes.run = module_file.processes.run, _run_zstd
    try:
        module = module_file.read(_path)
    except LivepatchError as error:
        assert error.code == "bad_module_file", error.code
        return
    finally:
        module_file.LIMIT, module_file.processes.run = limit, run
    assert len(module.image) <= _SMALL_LIMIT
    assert module.packed == (module.image != data)
