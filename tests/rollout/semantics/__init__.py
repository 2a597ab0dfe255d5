# Runs small playbooks against local hosts, some of which cannot be reached, and tells what ran where.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import ansible.release

CORE = tuple(int(number) for number in ansible.release.__version__.split(".")[:2])
HERE = Path(__file__).resolve().parent


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
home = %(directory)s/home
inject_facts_as_vars = false
inventory = hosts.ini
nocolor = true
[inventory]
enable_plugins = ansible.builtin.ini
[ssh_connection]
ssh_args = -F none -o BatchMode=yes -o ConnectTimeout=5
"""


def settings(directory):
    """Return the environment of the run: nothing of the user's own configuration takes part."""
    configuration = directory / "ansible.cfg"
    configuration.write_text(CONFIGURATION % {"here": HERE, "directory": directory})
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return dict(inherited, ANSIBLE_CONFIG=str(configuration), LC_ALL="C.UTF-8", SEMANTICS_TRACE=str(directory / "trace"))


def run(directory, playbook, count=5, lost=(), arguments=(), **files):
    """Run a playbook (text) on h1..hN, of which the numbers in lost cannot be reached, and return its Outcome.

    files: further playbooks beside it, by stem.
    """
    for stem, text in dict(files, site=playbook).items():
        (directory / (stem + ".yml")).write_text(text)
    with socket.socket() as nobody:  # bound and not listening: a connection is refused at once
        nobody.bind(("127.0.0.1", 0))
        (directory / "hosts.ini").write_text(inventory(count, lost, nobody.getsockname()[1]))
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "site.yml"]
        process = subprocess.run(
            command + list(arguments),
            cwd=str(directory),
            env=settings(directory),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,  # a bound for a hanging run, not a measure: CI machines may be busy
            check=False,
        )
    trace = directory / "trace"
    events = [json.loads(line) for line in trace.read_text().splitlines()] if trace.exists() else []
    return Outcome(process.returncode, process.stdout, events)
