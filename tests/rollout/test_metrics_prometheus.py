# The livepatch of a real kernel among the facts and in a real Prometheus, and alerts on it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.lab import processes
from tests.rollout.conftest import CHECKOUT, ENVIRONMENT
from tests.rollout.test_sources_prometheus import free_port, wait_for

RULES = CHECKOUT / "extensions" / "prometheus"
METRICS = "/var/tmp/metrics"
# Local facts are read without privileges.
BOOK = """
- hosts: %(host)s
  gather_facts: false
  vars: {livepatch_persist: false, livepatch_textfile_directory: %(metrics)s, later: {uptime_seconds: null}}
  tasks:
    - {file: {path: %(metrics)s, state: directory, mode: "0755"}, become: true}
    - {kernel.livepatch.livepatch: {path: /root/hotfix1.ko, timeout: 240}, become: true}
    - {include_role: {name: kernel.livepatch.visibility}}
    - {setup: {gather_subset: ["!all", local]}}
    - {kernel.livepatch.livepatch_facts: }
    - assert:
        that:
          - (ansible_facts.ansible_local.livepatch | combine(later)) == (ansible_facts.livepatch | combine(later))
          - ansible_facts.livepatch.enabled == 'hotfix1'
"""


@pytest.fixture
def guest(rollouts):
    name, guest = sorted(rollouts.fleet.guests.items())[-1]
    for release in ("hotfix1", "hotfix2", "stalls"):
        guest.copy(rollouts.fleet.module(release, guest.machine.kernel.name), f"/root/{release}.ko")
    yield guest
    guest.ssh(["pkill", "exporter"])


def ansible(rollouts, program, *arguments):
    done = subprocess.run(
        [str(Path(sys.executable).with_name(program)), "-i", str(rollouts.fleet.inventory), *arguments],
        cwd=rollouts.directory, env={**os.environ, **ENVIRONMENT}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=900, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


class Server:
    """A Prometheus on this machine that scrapes one address every second."""

    def __init__(self, directory, stack, target):
        settings = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                    "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": [target]}]}]}  # fmt: skip
        (directory / "prometheus.yml").write_text(yaml.safe_dump(settings))
        self.address = "127.0.0.1:%d" % free_port("127.0.0.1")
        start(stack, ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                      "--web.listen-address=" + self.address], directory)  # fmt: skip

    def series(self, expression):
        """The labels of the series that an expression selects now (list of dict)."""
        url = f"http://{self.address}/api/v1/query?query={urllib.parse.quote(expression)}"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            return [found["metric"] for found in json.load(answer)["data"]["result"]]
        return []


def start(stack, command, directory):
    process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=processes.die_with_parent)  # fmt: skip
    stack.callback(process.wait)
    stack.callback(process.kill)


def promtool(*arguments, **options):
    done = subprocess.run(["promtool", *arguments], cwd=RULES, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_host_brings_its_facts_along_and_a_real_prometheus_sees_each_change_at_once(rollouts, guest, tmp_path):
    book = tmp_path / "visible.yml"
    book.write_text(BOOK % {"host": guest.name, "metrics": METRICS})
    ansible(rollouts, "ansible-playbook", str(book))
    text = guest.ssh(["cat", METRICS + "/livepatch.prom"]).stdout
    assert promtool("check", "metrics", input=text) == ""

    guest.copy(Path(shutil.which("prometheus-node-exporter")), "/var/tmp/exporter")
    exporter = "/var/tmp/exporter --collector.disable-defaults --collector.textfile --web.listen-address=127.0.0.1:9100"
    guest.ssh(["sh", "-c", f"{exporter} --collector.textfile.directory={METRICS} > /dev/null 2>&1 < /dev/null &"])
    with contextlib.ExitStack() as stack:
        target = "127.0.0.1:%d" % free_port("127.0.0.1")
        start(stack, guest.tunnel(target, "127.0.0.1:9100"), tmp_path)
        server = Server(tmp_path, stack, target)
        first, = wait_for(lambda: server.series("livepatch_info"), 120)
        assert first["effective_release"] == guest.kernel_release + "-hotfix1" and first["livepatch"] == "hotfix1"
        assert server.series('livepatch_kernel_taint{flag="K"} == 1') and server.series("livepatch_transition == 0")

        option = "path=/root/hotfix2.ko timeout=240"
        ansible(rollouts, "ansible", guest.name, "-b", "-m", "kernel.livepatch.livepatch", "-a", option)
        wait_for(lambda: [one["livepatch"] for one in server.series("livepatch_info")] == ["hotfix2"], 120)
        assert server.series("livepatch_inert_modules == 0")

        guest.ssh(["sh", "-c", "insmod /root/stalls.ko && /etc/livepatch/livepatch.fact publish"])
        pending, = wait_for(lambda: server.series("livepatch_transition == 1"), 120)
        assert (pending["livepatch"], pending["direction"]) == ("stalls", "patching")
        assert [one["reason"] for one in server.series("livepatch_blockers > 0")] == ["sleeping"]
        assert server.series("livepatch_transition_seconds > 0") and server.series('livepatch_enabled{livepatch="stalls"} == 0')


def test_the_alerts_are_valid_and_tell_what_they_should_and_nothing_else():
    assert "SUCCESS" in promtool("check", "rules", "livepatch-alerts.yml", "livepatch-rollout-alerts.yml")
    assert "SUCCESS" in promtool("test", "rules", "livepatch-alerts-test.yml", "livepatch-rollout-alerts-test.yml")
