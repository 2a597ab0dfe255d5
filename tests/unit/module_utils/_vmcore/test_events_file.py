# An event in a file that other programs write to, too.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import multiprocessing
import os
import time

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._vmcore import events_file

EVENT = {"host": "web1", "kind": "crash"}


def events(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_an_event_is_added_once_and_other_lines_stay(tmp_path):
    path = tmp_path / "events.jsonl"
    assert events_file.add(str(path), EVENT, check_mode=True) is True and not path.exists()
    path.write_text('{"host": "db1"}')  # not ended with a newline
    assert events_file.add(str(path), EVENT, check_mode=True) is True
    assert events_file.add(str(path), EVENT) is True
    assert events(path) == [{"host": "db1"}, EVENT]
    assert events_file.add(str(path), EVENT) is False
    assert events_file.add(str(path), EVENT, check_mode=True) is False


def test_a_line_of_another_program_that_is_no_text_is_none_of_our_business(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\xff\xfe\n")
    assert events_file.add(str(path), EVENT) is True
    assert path.read_bytes().startswith(b"\xff\xfe\n{")


def test_of_a_huge_file_its_end_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(events_file, "_MOST_BYTES", 100)
    path = tmp_path / "events.jsonl"
    path.write_text("x" * 1000 + "\n")
    assert events_file.add(str(path), EVENT) is True and events_file.add(str(path), EVENT) is False


def test_of_many_runs_at_once_one_adds_the_event(tmp_path, monkeypatch):
    path, write = tmp_path / "events.jsonl", os.write

    def late(descriptor, data):
        if b"web1" in data:
            time.sleep(0.2)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", late)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        added = pool.starmap(events_file.add, [(str(path), EVENT)] * 8, chunksize=1)
    assert added.count(True) == 1 and events(path) == [EVENT]


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("kind", ["directory", "pipe", "nowhere"])
def test_what_is_no_file_to_write_to_is_told_and_never_waited_for(tmp_path, kind, check_mode):
    path = tmp_path / "events.jsonl"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(str(path))
    else:
        path = path / "events.jsonl"
    with pytest.raises(LivepatchError) as raised:
        events_file.add(str(path), EVENT, check_mode)
    assert raised.value.code == "not_writable" and "events_file" in raised.value.message
