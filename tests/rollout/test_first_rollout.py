# What the pages tell people to type works on a fleet of real kernels, word by word.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import pathlib
import tempfile

import pytest

from tests.docs import pages
from tests.docs.terminal import Terminal

# `make walk` types everything. What is long is left out by CI: test_rollout.py runs the same playbooks, on more hosts.
LONG = os.environ.get("WALK") == "long"


@pytest.fixture
def terminal(rollouts):
    """A terminal beside a fleet of one host."""
    one, *others = sorted(rollouts.fleet.guests)
    inventory = rollouts.inventory(**{name: None for name in others})
    with tempfile.TemporaryDirectory(prefix="docs") as directory:
        found = Terminal(pathlib.Path(directory))
        found.write("inventories/lab/hosts.yml", inventory.read_text(encoding="utf-8"))
        yield found
    assert rollouts.running()[one] == []
    assert rollouts.fleet.guests[one].ssh(["rpm", "-qa", "klp-*"]).stdout == ""


def walk(terminal, page):
    """Type what a page shows, but for what it says to be left out."""
    for block in pages.blocks(page):
        said = (block.comment or "").split(", ")
        if said[0].startswith("file: "):
            terminal.write(said[0][len("file: ") :], block.text)
        elif block.language == "shell" and not said[0].startswith("not run") and (LONG or "long" not in said):
            terminal.block(block, fails="fails" in said)


def of_journal(terminal, release, kind):
    """Return the entries of a kind (list of dict) in the journal of a release, [] where there is no journal."""
    journal = terminal.directory / ".local/state/livepatch" / (release + ".jsonl")
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def test_the_commands_of_the_pages_work_and_leave_nothing_behind(terminal):
    shown = [page for page in pages.pages() if any((block.comment or "").startswith("in the lab") for block in pages.blocks(page))]
    assert shown[:2] == ["docs/first-rollout.md", "README.md"]
    for page in shown:
        walk(terminal, page)
    # Without what is long, the last word is that of the check run.
    assert [entry["result"] for entry in of_journal(terminal, "hotfix1", "end")] == (["complete", "rolled_back"] if LONG else [])
    if LONG:
        assert of_journal(terminal, "warns", "verdict")[-1]["verdict"] == "stop"
        assert "kernel alarm" in (terminal.clone / "warns.html").read_text(encoding="utf-8")
