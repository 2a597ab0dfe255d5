# One fleet of real kernels for the whole session, and Ansible runs against it whose results are data.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import concurrent.futures
import itertools
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
from tests.integration import runners  # noqa: E402
from tests.lab.fleet import Fleet  # noqa: E402

KERNELS = os.environ.get("LAB_KERNELS", "5.10 6.1 6.12 7.2").split()

# The last kernel has two processors, the others one: those that one thread emulates wait for each other in a transition.
PROCESSORS = int(os.environ.get("LAB_PROCESSORS", "0")) or {"lab-%d" % len(KERNELS): 2}

# What takes long is shown on some of the kernels, on others in each test; with this variable set on all of them.
EVERYWHERE = bool(os.environ.get("LAB_EVERYWHERE"))


# The files that take longest come first, so that both workers end at about the same time.
FIRST = ("test_livepatch.py", "test_preflight.py", "test_reboot.py", "test_lab.py", "test_stalls.py", "test_package.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.fixture(scope="session")
def fleet(tmp_path_factory):
    """One guest of each kernel in LAB_KERNELS."""
    with Fleet(tmp_path_factory.mktemp("fleet"), hosts=len(KERNELS), kernels=KERNELS, processors=PROCESSORS) as running:
        yield running


@pytest.fixture(scope="session")
def some(fleet):
    """A function of names of kernels to the guests with these, by name; to all guests with LAB_EVERYWHERE, or without any of these."""

    def choose(*kernels):
        found = {name: guest for name, guest in fleet.guests.items() if guest.machine.kernel.name in kernels}
        return dict(fleet.guests) if EVERYWHERE or not found else found

    return choose


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
        assert "DEPRECATION" not in ended.stdout + ended.stderr
        results = {}
        for line in record.read_text().splitlines():
            entry = json.loads(line)
            results.setdefault(entry["task"], {})[entry["host"]] = entry["result"]
        assert list(results) == names, "not all tasks were run:\n%s" % (ended.stdout + ended.stderr)[-4000:]
        return results

    return run


@pytest.fixture(scope="session")
def put_python():
    """A function that puts what a module needs on a target into a guest."""
    return runners.put


@pytest.fixture(scope="session")
def in_guest(fleet, put_python):
    """Puts what a module needs on a target into every guest, once."""
    on_each(fleet, fleet.guests, put_python)


@pytest.fixture(scope="session")
def tasks_in():
    """A function of a guest that has what tasks need, and a list of these, to their results in order."""
    started = runners.Runners()
    yield started.run
    started.end()


def on_each(fleet, guests, act):
    """Do something with guests (by name), two at a time at least as they often wait; returns {name: answer}."""
    with concurrent.futures.ThreadPoolExecutor(max(2, fleet.at_once)) as pool:
        return dict(zip(guests, pool.map(act, guests.values())))


@pytest.fixture
def steps(fleet, in_guest, tasks_in):
    """Like play, with one ssh connection and one start of Python per guest; {kernel} in a task is its kernel release.

    guests: those to run them on, by name; all by default.

    The modules run as Ansible runs them on a target, only without the way there.
    """

    def run(tasks, guests=None):
        answers = on_each(fleet, guests or fleet.guests, lambda guest: tasks_in(guest, tasks))
        return {
            task["name"]: {host: answer[number] for host, answer in answers.items()}
            for number, task in enumerate(tasks)
        }

    return run


@pytest.fixture(scope="session")
def turns():
    """Kernels in pairs, the next pair in each test."""
    return itertools.cycle([("5.10", "6.12"), ("6.1", "7.2")])


@pytest.fixture
def steps_in_turn(steps, some, turns):
    """Like steps, on the pair of kernels whose turn it is."""
    guests = some(*next(turns))
    return lambda tasks: steps(tasks, guests)


def _ansible_playbook(fleet, book, record):
    link()
    settings = {
        "ANSIBLE_CONFIG": str(ROOT / "tests" / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".work" / "collections"),
        "ANSIBLE_CALLBACK_PLUGINS": str(pathlib.Path(__file__).parent / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "record",
        "RECORD_FILE": str(record),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_FORKS": str(fleet.at_once),
        "ANSIBLE_TIMEOUT": "120",
        "ANSIBLE_NOCOLOR": "true",
    }
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "-i", str(fleet.inventory), str(book)]
    return subprocess.run(
        command, env=dict(os.environ, **settings), capture_output=True, text=True, timeout=1800, check=False
    )
