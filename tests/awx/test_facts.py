# What a server knows of the hosts after a job, with the ansible-core that the execution environment asks for.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.awx import rules

ROOT = Path(__file__).resolve().parents[2]
OBJECTS = yaml.safe_load((ROOT / "playbooks/vars/awx/objects.yml").read_text())


@pytest.fixture(scope="module")
def programs():
    """Where the programs of the execution environment are."""
    tool = [sys.executable, str(ROOT / "tests/tools/venvs.py"), "ee"]
    return Path(subprocess.run(tool, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()) / "bin"


def run(programs, collections, directory, *words):
    """Run a program as the server has a job run: the facts of hosts are files of a directory, before it and after it."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    settings.update(
        ANSIBLE_COLLECTIONS_PATH=str(collections[0]),
        ANSIBLE_HOME=str(directory / "home"),
        ANSIBLE_CACHE_PLUGIN="jsonfile",
        ANSIBLE_CACHE_PLUGIN_CONNECTION=str(directory / "fact_cache"),
    )
    command = [str(programs / words[0]), *words[1:]]
    done = subprocess.run(
        command, env=settings, cwd=str(directory), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


def test_after_the_job_that_asks_the_fleet_the_server_has_its_facts_and_makes_groups_of_them(
    programs, collections, tmp_path
):
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"here": here}}}))
    run(
        programs,
        collections,
        tmp_path,
        "ansible-playbook",
        "kernel.livepatch.status",
        "-i",
        "hosts.yml",
        "-e",
        "livepatch_become=false",
    )
    facts = rules.facts(tmp_path / "fact_cache", {}, ["here"])
    assert facts["here"].get("livepatch", {}).get("kernel_release") == os.uname().release
    # What makes the groups is the inventory plugin, with the facts that the server gives back.
    (source,) = OBJECTS["controller_inventory_sources"]
    (tmp_path / "livepatch_constructed.yml").write_text(yaml.safe_dump(source["source_vars"]))
    listed = run(
        programs,
        collections,
        tmp_path,
        "ansible-inventory",
        "-i",
        "hosts.yml",
        "-i",
        "livepatch_constructed.yml",
        "--list",
    )
    groups = [
        name for name, group in json.loads(listed[listed.index("{") :]).items() if "here" in group.get("hosts", [])
    ]
    assert [name for name in groups if name.startswith("livepatch_release_")], groups
