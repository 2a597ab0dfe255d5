# Runs small playbooks against local hosts, some of which cannot be reached, and tells what ran where.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import functools
import json
import os
import socket
import sys
import tempfile
from pathlib import Path

import ansible.release

from tests.tools.forked import Playbooks

CORE = tuple(int(number) for number in ansible.release.__version__.split(".")[:2])
HERE = Path(__file__).resolve().parent
_SCRATCH = tempfile.TemporaryDirectory()
HOME = Path(_SCRATCH.name)


class Outcome:
    """What one run of ansible-playbook did."""

    def __init__(self, status, output, events):
        self.status = status
        self.output = output
        self.events = events

    def hosts(self, task, status="ok"):
        """Return the hosts on which the task had this status (ok, failed, ignored, unreachable, skipped).

        In the order of their names: which host of a batch answers first is chance.
        """
        return sorted(event["host"] for event in self.events if event["task"] == task and event["status"] == status)

    def messages(self, task):
        """Return the msg of every result of the task, in order."""
        return [event["msg"] for event in self.events if event["task"] == task and event["status"] in ("ok", "failed")]

    def plays(self):
        """Return the names of the plays in order, one for each batch."""
        return [event["task"] for event in self.events if event["status"] == "play"]


def inventory(count, lost, port):
    """Return an inventory of local hosts h1..hN; those in lost are reached by ssh, where nobody listens."""
    lines = ["[fleet]"] + ["h%d" % number for number in range(1, count + 1)]
    lines += ["[fleet:vars]", "ansible_connection=local", "ansible_python_interpreter=" + sys.executable]
    lines += ["[lost]"] + ["h%d ansible_connection=ssh" % number for number in lost]
    lines += ["[lost:vars]", "ansible_host=127.0.0.1", "ansible_port=%d" % port]
    return "\n".join(lines) + "\n"


CONFIGURATION = """
[defaults]
callback_plugins = %(here)s
forks = 10
home = %(home)s
inject_facts_as_vars = false
nocolor = true
[inventory]
enable_plugins = ansible.builtin.ini
[ssh_connection]
ssh_args = -F none -o BatchMode=yes -o ConnectTimeout=5
"""


@functools.lru_cache
def playbooks():
    """Return what runs ansible-playbook: nothing of the user's own configuration takes part."""
    (HOME / "ansible.cfg").write_text(CONFIGURATION % {"here": HERE, "home": HOME})
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return Playbooks(dict(inherited, ANSIBLE_CONFIG=str(HOME / "ansible.cfg"), LC_ALL="C.UTF-8"))


def run(directory, playbook, count=5, lost=(), arguments=(), **files):
    """Run a playbook (text) on h1..hN, of which the numbers in lost cannot be reached, and return its Outcome.

    files: further playbooks beside it, by stem.
    """
    for stem, text in dict(files, site=playbook).items():
        (directory / (stem + ".yml")).write_text(text)
    trace = directory / "trace"
    with socket.socket() as nobody:  # bound and not listening: a connection is refused at once
        nobody.bind(("127.0.0.1", 0))
        (directory / "hosts.ini").write_text(inventory(count, lost, nobody.getsockname()[1]))
        words = ["site.yml", "-i", "hosts.ini", *arguments]
        status, output = playbooks().run(directory, {"SEMANTICS_TRACE": str(trace)}, words)
    events = [json.loads(line) for line in trace.read_text().splitlines()] if trace.exists() else []
    return Outcome(status, output, events)
