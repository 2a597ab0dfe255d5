# One fleet of real kernels for the whole session, and Ansible runs against it whose results are data.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "tools"))
from collection import link  # noqa: E402
from tests.lab.fleet import Fleet  # noqa: E402

KERNELS = os.environ.get("LAB_KERNELS", "5.10 6.1 6.12 7.2").split()


@pytest.fixture(scope="session")
def fleet(tmp_path_factory):
    """One guest of each kernel in LAB_KERNELS."""
    with Fleet(tmp_path_factory.mktemp("fleet"), hosts=len(KERNELS), kernels=KERNELS) as running:
        yield running


@pytest.fixture
def play(fleet, tmp_path):
    """Run tasks (a list of dicts, each with a name) on hosts; returns results[task name][host].

    A failed task does not end the play. Results are what the module returned, with `failed` always set.
    """

    def run(tasks, hosts="lab", become=True):
        tasks = [dict(task, ignore_errors=True) for task in tasks]
        names = [task["name"] for task in tasks]
        assert len(set(names)) == len(names), "two tasks of one name"
        book = tmp_path / "play.json"
        book.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "become": become, "tasks": tasks}]))
        record = tmp_path / "record.jsonl"
        record.write_text("")
        ended = _ansible_playbook(fleet, book, record)
        results = {}
        for line in record.read_text().splitlines():
            entry = json.loads(line)
            results.setdefault(entry["task"], {})[entry["host"]] = entry["result"]
        assert list(results) == names, "not all tasks were run:\n%s" % (ended.stdout + ended.stderr)[-4000:]
        return results

    return run


def _ansible_playbook(fleet, book, record):
    link()
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".work" / "collections"),
        "ANSIBLE_CALLBACK_PLUGINS": str(pathlib.Path(__file__).parent / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "record",
        "RECORD_FILE": str(record),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_FORKS": "20",
        "ANSIBLE_TIMEOUT": "120",
        "ANSIBLE_NOCOLOR": "true",
    }
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "-i", str(fleet.inventory), str(book)]
    return subprocess.run(command, env=dict(os.environ, **settings), capture_output=True, text=True, timeout=1800, check=False)
