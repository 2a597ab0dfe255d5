# The snapshot beside a journal: it saves reading, and is never believed where it does not fit.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal, snapshot
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states
from tests.unit.plugin_utils.rollouts import REBOOTED, Rollout, hosts


@pytest.fixture
def found():
    """A rollout with all that a state can hold."""
    rollout = Rollout(hosts(8), tiers=[{"name": "canary", "hosts": 2}, {"name": "half", "share": "50%"}, {"name": "rest", "share": "100%"}])
    rollout.patch(1)
    rollout.patch(1)
    rollout.look(1)
    rollout.write([{"kind": "override", "id": "a" * 32, "override": "promote", "user": "ann", "reason": "night", "tier": 2}])
    rollout.write([{"kind": "persisted", "hosts": ["host-1"], "failed": {"host-2": "no systemd"}}])
    rollout.patch(2, **{rollout.state.remaining(2)[0].replace("-", "_"): REBOOTED})
    return rollout


@pytest.fixture
def path(tmp_path, found):
    name = str(tmp_path / "web.jsonl")
    journal.append(name, found.entries)
    return name


def plain(state):
    """A State as plain values, however its numbers and names are kept."""
    values = {name: getattr(state, name) for name in snapshot.STATE_FIELDS}
    rows = [[getattr(host, name) for name in snapshot.HOST_FIELDS] for host in state.hosts.values()]
    tiers = {number: [host.name for host in tier] for number, tier in state.by_tier.items()}
    return values, rows, tiers


def test_a_state_comes_back_from_its_snapshot_as_it_was_and_goes_on_with_what_is_new(path, found):
    assert snapshot.write(path, states.state(journal.read(path)), journal.size(path)) > 0
    kept, offset, unused = snapshot.read(path)
    assert offset == journal.size(path) and plain(kept) == plain(found.state)
    before = len(found.entries)
    found.look(2)
    journal.append(path, found.entries[before:])
    assert plain(states.advance(kept, journal.read(path, offset))) == plain(states.state(journal.read(path)))


def test_only_its_owner_may_read_a_snapshot(path, found):
    snapshot.write(path, found.state, journal.size(path))
    assert os.stat(snapshot.path(path)).st_mode & 0o777 == 0o600


def torn(path, text):
    return text[: len(text) // 2]


def of_another_version(path, text):
    return text.replace('"form": [2', '"form": [1')


def of_another_journal(path, text):
    lines = open(path, encoding="utf-8").read().replace("host-1", "host-9")
    open(path, "w", encoding="utf-8").write(lines)
    return text


def of_a_journal_that_was_put_back_from_a_copy(path, text):
    lines = open(path, encoding="utf-8").readlines()
    open(path, "w", encoding="utf-8").writelines(lines[:-3])
    return text


def no_snapshot_at_all(path, text):
    return "[]"


def with_an_offset_in_the_middle_of_a_line(path, text):
    found = json.loads(text)
    return json.dumps(dict(found, offset=found["offset"] - 7))


@pytest.mark.parametrize(
    "spoil",
    [
        torn,
        of_another_version,
        of_another_journal,
        of_a_journal_that_was_put_back_from_a_copy,
        no_snapshot_at_all,
        with_an_offset_in_the_middle_of_a_line,
    ],
)
def test_a_snapshot_that_does_not_fit_is_passed_over(path, found, spoil):
    snapshot.write(path, found.state, journal.size(path))
    with open(snapshot.path(path), encoding="utf-8") as stream:
        text = stream.read()
    with open(snapshot.path(path), "w", encoding="utf-8") as stream:
        stream.write(spoil(path, text))
    kept, offset, size = snapshot.read(path)
    assert (kept.rounds, offset, size) == (0, 0, 0)


def test_where_no_snapshot_can_be_written_the_journal_is_read(path, found, monkeypatch):
    def full(*unused, **also_unused):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot.tempfile, "mkstemp", full)
    assert snapshot.write(path, found.state, journal.size(path)) == 0
    assert snapshot.read(path)[1] == 0


@pytest.mark.parametrize("torn_bytes, new", [(3000, 1), (60, 400)])
def test_of_a_journal_with_a_torn_last_line_there_is_no_snapshot(path, found, torn_bytes, new):
    with open(path, "a", encoding="utf-8") as stream:
        stream.write("x" * torn_bytes)
    assert snapshot.write(path, states.state(journal.read(path)), journal.size(path)) == 0
    assert snapshot.read(path)[1] == 0
    said = {"kind": "override", "id": "b" * 32, "override": "abort", "user": "ann", "reason": "r" * new}
    journal.append(path, journal.stamped([said], 1))
    kept, offset, unused = snapshot.read(path)
    assert states.advance(kept, journal.read(path, offset)).aborted
