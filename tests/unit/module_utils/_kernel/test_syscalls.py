# How a module is given to the kernel: as a file where nobody can change it meanwhile, else as the bytes that were judged.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import ownership
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import syscalls


@pytest.fixture
def calls(monkeypatch):
    made = []
    monkeypatch.setattr(syscalls, "_call", lambda which, *arguments: made.append((which, arguments[0])))
    monkeypatch.setattr(ownership, "owner", lambda root: os.getuid())
    return made


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A file of root's; the directories above that of the test are not looked at."""
    monkeypatch.setattr(syscalls.ownership.os.path, "realpath", lambda path: str(tmp_path) if path == "/" else path)
    place = tmp_path / "x.ko"
    place.write_bytes(b"judged")
    return str(place)


def test_a_plain_file_that_only_root_can_change_is_given_as_a_file(calls, path):
    syscalls.load(path, b"judged", False)
    assert [which for which, _first in calls] == [syscalls._FINIT]


@pytest.mark.parametrize("packed, mode", [(True, 0o644), (False, 0o666)])
def test_what_is_packed_or_could_be_changed_meanwhile_is_given_as_the_bytes_that_were_judged(calls, path, packed, mode):
    os.chmod(path, mode)
    with open(path, "wb") as stream:
        stream.write(b"swapped")
    syscalls.load(path, b"judged", packed)
    assert calls == [(syscalls._INIT, b"judged")]


@pytest.mark.parametrize("left", [b"swapped", b"judged and more", b"", None])
def test_a_file_that_has_become_another_or_gone_is_given_as_the_bytes_that_were_judged(calls, path, left):
    os.unlink(path)
    if left is not None:
        with open(path, "wb") as stream:
            stream.write(left)
    syscalls.load(path, b"judged", False)
    assert calls == [(syscalls._INIT, b"judged")]
