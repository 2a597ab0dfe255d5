# Small files read whole, within a bound of bytes, however many pieces they come in.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading


@pytest.mark.parametrize("piece", [1000, 4096, 16384, 10000000])
def test_a_file_is_read_up_to_the_same_bound_in_whatever_pieces_the_kernel_gives_it(tmp_path, monkeypatch, piece):
    path = tmp_path / "kallsyms"
    path.write_bytes(b"x" * (5 * 1024 * 1024))
    read = reading.os.read
    monkeypatch.setattr(reading.os, "read", lambda descriptor, size: read(descriptor, min(size, piece)))
    assert len(reading.read_bytes(str(path))) == 4 * 1024 * 1024


def test_a_shorter_file_is_read_to_its_end(tmp_path):
    path = tmp_path / "short"
    path.write_bytes(b"one\n\0")
    assert (reading.read_bytes(str(path)), reading.read_text(str(path))) == (b"one\n\0", "one")
