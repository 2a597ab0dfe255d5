# Which copy of the collection runs: its version is told, and copies that are not used are found.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils import collection_copies


def place(directory, name=None, text=""):
    """Make a directory of collections with a copy that holds one file."""
    path = directory / "ansible_collections" / "kernel" / "livepatch"
    path.mkdir(parents=True)
    if name:
        (path / name).write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "version"),
    [
        ("MANIFEST.json", '{"collection_info": {"version": "1.2.3"}}', "1.2.3"),
        ("galaxy.yml", "---\nname: livepatch\nversion: 0.9.0\n", "0.9.0"),
        ("MANIFEST.json", "{broken", None),
        ("MANIFEST.json", "[]", None),
        ("galaxy.yml", "name: livepatch\n", None),
        (None, "", None),
    ],
)
def test_a_copy_tells_its_version_whether_it_was_built_or_not(tmp_path, name, text, version):
    path = place(tmp_path, name, text)
    assert collection_copies.copy(str(path)) == {"version": version, "path": str(path)}


def test_copies_elsewhere_are_found_in_order_and_the_one_that_runs_is_not_among_them(tmp_path):
    running, second, third = (place(tmp_path / name) for name in ("running", "second", "third"))
    (tmp_path / "link").symlink_to(tmp_path / "running")
    (tmp_path / "again").symlink_to(tmp_path / "third")
    directories = [str(tmp_path / name) for name in ("link", "third", "empty", "running", "second", "again")]
    assert [found["path"] for found in collection_copies.others(directories, str(running))] == [str(third), str(second)]


def test_the_warning_says_which_copy_runs_which_does_not_and_what_to_do():
    said = collection_copies.warning({"version": "1.0.0", "path": "/a"}, [{"version": None, "path": "/b"}])
    assert "1.0.0 in /a runs, an unknown version in /b does not" in said and "ANSIBLE_COLLECTIONS_PATH" in said
