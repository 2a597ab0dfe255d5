# What the pages tell people to type works on a fleet of real kernels, word by word.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import pathlib
import tempfile

from tests.docs import pages
from tests.docs.terminal import Terminal


def verdicts(journals, release):
    lines = (journals / (release + ".jsonl")).read_text(encoding="utf-8").splitlines()
    return [entry["verdict"] for entry in map(json.loads, lines) if entry["kind"] == "verdict"]


def walk(terminal, page):
    """Type what a page shows, but for what it says to be left out."""
    for block in pages.blocks(page):
        said = block.comment or ""
        if block.language == "shell" and not said.startswith("not run"):
            terminal.block(block, fails=said.endswith("fails"))
        elif said.startswith("file: "):
            terminal.write(said[len("file: ") :], block.text)


def test_the_commands_of_the_pages_bring_a_livepatch_out_let_a_bad_one_be_stopped_and_go_back(rollouts):
    one, *others = sorted(rollouts.fleet.guests)
    inventory = rollouts.inventory(**{name: None for name in others})
    with tempfile.TemporaryDirectory(prefix="docs") as directory:
        terminal = Terminal(pathlib.Path(directory))
        terminal.write("inventories/lab/hosts.yml", inventory.read_text(encoding="utf-8"))
        for page in pages.pages():
            if any((block.comment or "").startswith("in the lab") for block in pages.blocks(page)):
                walk(terminal, page)
        journals = terminal.directory / ".local/state/livepatch"
        assert set(verdicts(journals, "hotfix1")) == {"pass"}
        assert verdicts(journals, "warns")[-1] == "stop"
        assert "hotfix1" in (terminal.clone / "warns.html").read_text(encoding="utf-8"), "the host ran it before"
    assert rollouts.running()[one] == []
    assert rollouts.fleet.guests[one].ssh(["rpm", "-qa", "klp-*"]).stdout == ""
