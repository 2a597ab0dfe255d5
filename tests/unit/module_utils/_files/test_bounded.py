# Looking into directories: bounds, rights, links, and what vanishes.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import bounded


@pytest.fixture
def source():
    return bounded.Source("kdump")


def test_a_directory_that_is_not_there_is_absent_and_no_reason(source, tmp_path):
    assert source.entries(str(tmp_path / "missing")) == []
    assert (source.status, source.reasons) == ("absent", [])


def test_files_and_directories_are_told_with_their_times_in_the_order_of_their_names(source, tmp_path):
    (tmp_path / "b").write_text("x")
    (tmp_path / "a").mkdir()
    os.utime(str(tmp_path / "b"), (5, 7))
    found = source.entries(str(tmp_path))
    assert [(entry.name, entry.is_directory) for entry in found] == [("a", True), ("b", False)]
    assert (found[1].time, found[1].path, source.status) == (7.0, str(tmp_path / "b"), "read")


def test_links_and_pipes_are_passed_over(source, tmp_path):
    os.symlink("/etc/passwd", str(tmp_path / "link"))
    os.mkfifo(str(tmp_path / "pipe"))
    assert source.entries(str(tmp_path)) == []
    assert source.tail(str(tmp_path / "link")) is None
    assert source.tail(str(tmp_path / "pipe")) is None
    assert source.tail(str(tmp_path)) is None
    assert source.reasons == []


def test_more_entries_than_the_bound_are_said(source, tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "MAX_ENTRIES", 3)
    for number in range(5):
        (tmp_path / str(number)).write_text("x")
    assert len(source.entries(str(tmp_path))) == 3
    assert source.status == "truncated"
    assert source.reasons == ["kdump: looked at 3 entries of %s only. Remove old ones." % tmp_path]


def test_a_slow_disk_is_given_up_and_that_is_said(tmp_path):
    clock = iter([0.0, 1.0, 6.0, 7.0])
    source = bounded.Source("kdump", lambda: next(clock))
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("x")
    assert len(source.entries(str(tmp_path))) == 1
    assert source.status == "truncated"
    assert "stopped in %s after 5 seconds" % tmp_path in source.reasons[0]


def test_of_a_long_file_the_end_is_read_and_that_is_said(source, tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "MAX_BYTES", 4)
    (tmp_path / "log").write_text("beginning and end")
    assert source.tail(str(tmp_path / "log")) == " end"
    assert source.status == "truncated"
    assert source.reasons == ["kdump: read only the last 4 bytes of %s" % (tmp_path / "log")]


def test_a_file_that_vanished_after_it_was_listed_is_a_normal_answer(source, tmp_path):
    assert source.tail(str(tmp_path / "gone")) is None
    assert (source.status, source.reasons) == ("absent", [])


@pytest.mark.parametrize(
    "code,advice", [(errno.EACCES, "Use become."), (errno.EPERM, "Use become."), (errno.EIO, "Look at it on the host.")]
)
def test_what_may_not_or_cannot_be_read_is_said_with_what_to_do(source, monkeypatch, code, advice):
    def refuse(*unused):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(bounded.os, "open", refuse)
    monkeypatch.setattr(bounded.os, "scandir", refuse)
    assert source.tail("/x/log") is None
    assert source.entries("/x") == []
    assert source.status == "unreadable"
    assert source.reasons == [
        "kdump: expected to read %s, found: %s. %s" % (path, os.strerror(code), advice) for path in ("/x/log", "/x")
    ]


def test_a_source_is_as_good_as_the_worst_that_was_met(source):
    for status in ("read", "unreadable", "truncated", "absent"):
        source.met(status)
    assert source.status == "unreadable"
    assert bounded.worst(["absent", "read"]) == "read"


def test_a_name_in_any_encoding_is_text(source, tmp_path):
    with open(os.path.join(os.fsencode(str(tmp_path)), b"a\xff"), "w"):
        pass
    assert [entry.name for entry in source.entries(str(tmp_path))] == ["a?"]
