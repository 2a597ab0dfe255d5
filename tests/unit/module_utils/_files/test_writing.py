# A file of a host is there whole, or not at all.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import writing


@pytest.fixture
def umask():
    former = os.umask(0o077)
    yield
    os.umask(former)


def test_a_file_is_replaced_with_its_mode_whatever_the_umask(tmp_path, umask):
    place = tmp_path / "file"
    place.write_bytes(b"old")
    writing.replace(str(place), b"new", 0o755)
    assert place.read_bytes() == b"new" and place.stat().st_mode & 0o777 == 0o755
    assert os.listdir(str(tmp_path)) == ["file"]


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    place = tmp_path / "file"
    place.write_bytes(b"old")
    monkeypatch.setattr(writing.os, "fsync", full)
    with pytest.raises(OSError):
        writing.replace(str(place), b"new")
    assert place.read_bytes() == b"old" and os.listdir(str(tmp_path)) == ["file"]


def test_a_link_that_waits_for_the_new_file_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"kept")
    (tmp_path / ".file.new").symlink_to(tmp_path / "elsewhere")
    writing.replace(str(tmp_path / "file"), b"new")
    assert (tmp_path / "elsewhere").read_bytes() == b"kept" and (tmp_path / "file").read_bytes() == b"new"


def test_directories_that_are_missing_are_made_for_all_to_read(tmp_path, umask):
    (tmp_path / "a").mkdir(0o700)
    writing.make_directories(str(tmp_path), "a/b/c")
    assert [(tmp_path / path).stat().st_mode & 0o777 for path in ("a", "a/b", "a/b/c")] == [0o700, 0o755, 0o755]
