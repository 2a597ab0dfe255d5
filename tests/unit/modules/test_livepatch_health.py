# The module livepatch_health from its options to its result.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import re

import pytest

from ansible_collections.kernel.livepatch.plugins.modules import livepatch_health


@pytest.fixture
def looks():
    """The other arguments of each look (list of dict)."""
    return []


@pytest.fixture
def looked(monkeypatch, looks):
    """The moments that the module has looked since."""
    moments = []

    def look(since, **keywords):
        moments.append(since)
        looks.append(keywords)
        return {"events": [], "boot_id": "b1"}

    monkeypatch.setattr(livepatch_health.health, "look", look)
    return moments


@pytest.mark.parametrize("check_mode", [False, True])
def test_looking_never_changes_anything(looked, run_module, check_mode):
    since = {"boot_id": "b0", "sequence": 7, "time": "2026-05-04T08:15:00Z", "taint": 0, "counters": {"oops_count": 0}}
    result = run_module(livepatch_health, {"since": since}, check_mode=check_mode)
    assert (result["changed"], result["failed"], result["boot_id"]) == (False, False, "b1")
    assert looked == [since]


def test_a_moment_may_be_left_out_or_known_in_part(looked, run_module):
    run_module(livepatch_health)
    run_module(livepatch_health, {"since": {"boot_id": "b0"}})
    assert looked == [{}, dict(dict.fromkeys(("sequence", "time", "taint", "counters")), boot_id="b0")]


def test_a_moment_that_is_none_is_refused(looked, run_module):
    assert "sequence" in run_module(livepatch_health, {"since": {"sequence": "soon"}})["msg"]
    assert looked == []


def test_a_time_that_is_none_is_refused_with_what_was_expected(run_module):
    result = run_module(livepatch_health, {"since": {"time": "yesterday"}})
    assert result["error"] == "bad_option"
    assert "since.time: expected a moment in UTC such as 2026-05-04T08:15:00Z, found 'yesterday'." in result["msg"]


def test_dumps_are_looked_for_where_the_options_say(looked, looks, run_module):
    run_module(livepatch_health)
    run_module(livepatch_health, {"kdump_directories": ["/a", "/b"], "coredump_directories": []})
    assert [(look["kdump_directories"], look["coredump_directories"]) for look in looks] == [
        (["/var/crash"], ["/var/lib/systemd/coredump"]),
        (["/a", "/b"], []),
    ]


def test_the_journal_is_asked_with_the_means_of_the_module(looked, looks, run_module, monkeypatch):
    monkeypatch.setattr(
        livepatch_health.boot_log, "read_journal", lambda run, find, boot: (run.__name__, find.__name__, boot)
    )
    run_module(livepatch_health)
    assert looks[0]["journal"](-1) == ("run_command", "get_bin_path", -1)


def test_the_result_is_what_the_documentation_promises(run_module):
    result = run_module(livepatch_health)
    # Ansible's own keys; it keeps the warnings of every module of a process.
    added = {"changed", "failed", "invocation", "warnings", "deprecations"}
    documented = set(re.findall(r"^([a-z_]+):$", livepatch_health.RETURN, re.MULTILINE))
    assert set(result) - added == documented - {"error"}


def test_an_event_and_the_sources_are_what_the_documentation_promises(run_module, tmp_path):
    (tmp_path / "prog").write_text("")
    os.utime(str(tmp_path / "prog"), (5, 5))
    options = {"since": {"time": "1970-01-01T00:00:01Z"}, "coredump_directories": [str(tmp_path)]}
    result = run_module(livepatch_health, options)
    documented = set(re.findall(r"^    ([a-z_]+):$", livepatch_health.RETURN, re.MULTILINE))
    found = next(event for event in result["events"] if event["signature"] == "coredump:prog")
    assert documented == set(found) | set(result["sources"]) | set(result["counters"])
