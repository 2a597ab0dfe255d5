# The commands and playbooks that the pages show work.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import pathlib
import subprocess
import sys
import tempfile

import pytest
import yaml

from tests.docs import pages
from tests.docs.terminal import Terminal

BLOCKS = pages.every()


def test_what_needs_no_fleet_can_be_typed_as_it_is_shown():
    shown = [block for block in BLOCKS if block.language == "shell" and block.comment is None]
    assert {"README.md", "docs/first-rollout.md", "docs/visibility.md", "docs/facts.md"} <= {block.page for block in shown}
    with tempfile.TemporaryDirectory(prefix="docs") as directory:
        terminal = Terminal(pathlib.Path(directory))
        for block in shown:
            terminal.block(block)


def playbook(content):
    """Return what can be checked as a playbook (list) of the YAML of a block, None where it shows something else."""
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        return None
    if any("hosts" in entry or "ansible.builtin.import_playbook" in entry for entry in content):
        return content
    return [{"hosts": "localhost", "gather_facts": False, "tasks": content}]


def test_playbooks_and_tasks_that_are_shown_pass_the_syntax_check(tmp_path):
    for block in (block for block in BLOCKS if block.language == "yaml"):
        content = playbook(yaml.safe_load(block.text))
        if content:
            (tmp_path / ("%s-%d.yml" % (block.page.replace("/", "-"), block.line))).write_text(yaml.safe_dump(content))
    files = sorted(map(str, tmp_path.iterdir()))
    assert len(files) >= 10
    program = pathlib.Path(sys.executable).with_name("ansible-playbook")
    settings = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(pages.ROOT / ".work/collections"))
    command = [program, "--syntax-check", "-i", "localhost,", "-e", "livepatch_release=hotfix1", *files]
    done = subprocess.run(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()


@pytest.mark.parametrize(
    "text, found",
    [
        ("a\n```shell\nls\n```\n", [(2, "shell", None, "ls\n")]),
        ("<!-- not run: no -->\n```shell\nls\n\nls\n```\n", [(2, "shell", "not run: no", "ls\n\nls\n")]),
        ("- a\n\n  ```yaml\n  a: 1\n  ```\n", [(3, "yaml", None, "a: 1\n")]),
        ("````text\n```\n````\n```\nx\n```\n", [(1, "text", None, "```\n"), (4, "", None, "x\n")]),
        ("a\n\n    ls\n", [(3, None, None, "    ls")]),
    ],
)
def test_blocks_are_found_with_the_comment_before_them(text, found):
    assert [tuple(block)[1:] for block in pages.blocks("page.md", text)] == found


def test_a_block_without_an_end_is_an_error_that_names_its_place():
    with pytest.raises(pages.Unclosed, match="page.md:2: expected the block to end with ```"):
        list(pages.blocks("page.md", "a\n```shell\nls\n"))
