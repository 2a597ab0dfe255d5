# Who can change a file: its own mode and owner, those of every directory on the way, and where links lead.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import ownership


@pytest.fixture
def root(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("")
    return tmp_path


def test_a_file_below_directories_of_root_is_roots(root):
    assert ownership.changeable(str(root), str(root / "a/b/file")) is None


@pytest.mark.parametrize("place, mode", [("a/b/file", 0o666), ("a/b/file", 0o664), ("a/b", 0o777), ("a", 0o1777)])
def test_whoever_may_write_to_it_or_to_a_directory_on_the_way_can_change_it(root, place, mode):
    os.chmod(str(root / place), mode)
    found = ownership.changeable(str(root), str(root / "a/b/file"))
    assert (found.path, found.mode) == (str(root / place), mode)


def test_another_owner_can_change_it(root, monkeypatch):
    monkeypatch.setattr(ownership, "owner", lambda root: os.getuid() + 1)
    assert ownership.changeable(str(root), str(root / "a/b/file")).owner == os.getuid()


def test_where_a_link_leads_counts_and_not_the_link(root):
    (root / "open").mkdir()
    os.chmod(str(root / "open"), 0o777)
    os.symlink(str(root / "a/b/file"), str(root / "open/link"))
    assert ownership.changeable(str(root), str(root / "open/link")) is None
    os.symlink(str(root / "open"), str(root / "a/link"))
    (root / "open" / "file").write_text("")
    assert ownership.changeable(str(root), str(root / "a/link/file")).path == str(root / "open")
