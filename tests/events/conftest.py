# What the tests of events run: ansible-rulebook, a real Alertmanager, and the fleet of the tests of rollouts.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.docs import pages
from tests.lab import processes
from tests.lab.fleet import Fleet
from tests.rollout.conftest import CHECKOUT, ENVIRONMENT, rollouts  # noqa: F401 - a fixture  # pylint: disable=unused-import


@pytest.fixture(scope="session")
def fleet(tmp_path_factory):
    with Fleet(tmp_path_factory.mktemp("fleet"), hosts=1, kernels=["6.1"], processors=1) as running:
        yield running


def wait_for(condition, seconds=600):
    """Wait until the condition holds, and return what it gave; it is an error if it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("waited %d s in vain" % seconds)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(port, path):
    """Return the JSON that a server answers with."""
    with urllib.request.urlopen("http://127.0.0.1:%d/%s" % (port, path), timeout=30) as answer:
        return json.load(answer)


def post(port, path, content, token=None):
    """Post JSON; return the status of the answer."""
    headers = {"Content-Type": "application/json", **({"Authorization": "Bearer " + token} if token else {})}
    request = urllib.request.Request("http://127.0.0.1:%d/%s" % (port, path), json.dumps(content).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture(scope="session")
def programs():
    """Where ansible-rulebook and its ansible-playbook are."""
    tool = CHECKOUT / "tests" / "tools" / "venvs.py"
    made = subprocess.run([sys.executable, str(tool), "events"], check=True, stdout=subprocess.PIPE, text=True)
    return Path(made.stdout.strip()) / "bin"


@pytest.fixture
def servers(programs, tmp_path):
    """Starts programs that end with the test."""
    with contextlib.ExitStack() as stack:
        yield Servers(programs, tmp_path, stack)


class Servers:
    """The programs between an alert and a rollout."""

    def __init__(self, programs, directory, stack):
        self.programs, self.directory, self.stack = programs, directory, stack

    def rulebook(self, name, inventory, *arguments, **variables):
        """Run a rulebook of the collection."""
        return Rulebook(self, name, inventory, arguments, variables)

    def alertmanager(self, url, token):
        """Run an Alertmanager as docs/events.md has it, with another place of the rulebook; return its port."""
        (self.directory / "token").write_text(token)
        text, = (block.text for block in pages.blocks("docs/events.md") if block.comment == "file: alertmanager.yml")
        config = yaml.safe_load(text)
        hook, = config["receivers"][1]["webhook_configs"]
        hook["url"] = url
        hook["http_config"]["authorization"]["credentials_file"] = str(self.directory / "token")
        (self.directory / "alertmanager.yml").write_text(yaml.safe_dump(config))
        port = free_port()
        self.start("alertmanager", ["prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alertmanager",
                                    "--cluster.listen-address=", "--web.listen-address=127.0.0.1:%d" % port])  # fmt: skip
        wait_for(lambda: listens(port), 60)
        return port

    def start(self, name, command, environment=None):
        log = self.directory / (name + ".log")
        with open(log, "wb") as output:
            process = subprocess.Popen(command, cwd=self.directory, env={**os.environ, **(environment or {})},
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                       preexec_fn=processes.die_with_parent)  # fmt: skip
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        self.stack.callback(lambda: print(log.read_text(errors="replace")))
        return log


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Rulebook:
    """A rulebook at work, with tokens of its own."""

    def __init__(self, servers, name, inventory, arguments, variables):
        self.alerts_port, self.approvals_port = free_port(), free_port()
        self.alerts_token, self.approvals_token = secrets.token_hex(), secrets.token_hex()
        content = {"livepatch_alerts_port": self.alerts_port, "livepatch_alerts_token": self.alerts_token,
                   "livepatch_approvals_port": self.approvals_port, "livepatch_approvals_token": self.approvals_token}  # fmt: skip
        path = servers.directory / "vars.yml"
        path.write_text(yaml.safe_dump(dict(content, **variables)))
        path.chmod(0o600)
        command = [str(servers.programs / "ansible-rulebook"), "--rulebook", "kernel.livepatch." + name, "--vars", str(path),
                   "--inventory", str(inventory), "--print-events", *arguments]  # fmt: skip
        search = "%s:%s" % (servers.programs, os.environ["PATH"])
        self.log = servers.start(name, command, {**ENVIRONMENT, "PATH": search})
        wait_for(lambda: listens(self.alerts_port), 300)

    @property
    def url(self):
        return "http://127.0.0.1:%d/alerts" % self.alerts_port

    def alert(self, *labels):
        """Send alerts with these labels the way Alertmanager does; return the status of the answer."""
        alerts = [{"status": "firing", "labels": one, "annotations": {}} for one in labels]
        return post(self.alerts_port, "alerts", {"version": "4", "alerts": alerts}, self.alerts_token)

    def seen(self, words):
        """Wait until an event with these words has arrived."""
        wait_for(lambda: words in self.log.read_text(errors="replace"), 60)
