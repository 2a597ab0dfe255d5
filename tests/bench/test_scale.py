# What a rollout costs can be measured: it goes its whole way on hosts that cost nothing, and figures are told.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import schedule
from tests.bench import scale
from tests.unit.plugin_utils.rollouts import Rollout

SOON = [{"name": "canary", "hosts": 2}, {"name": "all", "share": "100%"}]


def run(directory, *arguments):
    """Return (figures, table) of one measurement."""
    data = directory / "figures.json"
    kept = ["--json", str(data), "--keep", str(directory / "kept")]
    command = [sys.executable, "-m", "tests.bench.scale", *kept, *arguments]
    done = subprocess.run(command, cwd=scale.CHECKOUT, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0
    return json.loads(data.read_text()), done.stdout


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    directory = tmp_path_factory.mktemp("measured")
    extra = json.dumps({"livepatch_tiers": SOON})
    return (*run(directory, "--hosts", "20", "--silent", "10", "--extra", extra), directory / "kept")


def entries(directory, kind):
    (path,) = (directory / "journals").glob("*.jsonl")
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [entry for entry in found if entry["kind"] == kind]


def test_a_rollout_on_stubs_patches_every_host_that_answers_and_is_complete(measured):
    figures, table, directory = measured
    assert (figures["hosts"], figures["status"], figures["patched"]) == (20, 0, 18)
    assert [entry["result"] for entry in entries(directory, "end")] == ["complete"]
    assert [entry["outcome"] for entry in entries(directory, "outcome")] == ["patched"] * 18
    assert [entry["outcome"] for entry in entries(directory, "excluded")] == ["unreachable"] * 2


def test_what_the_hosts_executed_is_counted(measured):
    figures, table, directory = measured
    assert figures["executions"]["livepatch_facts"] == figures["executions"]["livepatch"] == 18
    assert figures["looks"] >= 18


def test_the_processor_time_of_all_processes_is_told_in_all_per_host_and_by_task(measured):
    figures, table, directory = measured
    assert "CPU per host" in table and "%.1f ms" % (figures["cpu_seconds"] * 50) in table
    by_task = [seconds for task, seconds in figures["tasks"]]
    assert 0 < by_task[0] < sum(by_task) <= figures["cpu_seconds"]


def test_memory_and_the_size_of_the_journal_are_told(measured):
    figures, table, directory = measured
    size = os.path.getsize(directory / "journals" / "hotfix3.jsonl")
    assert figures["journal_megabytes"] == pytest.approx(size / 1e6)
    assert 20 < figures["worker_megabytes"] < 500 and 20 < figures["main_megabytes"] < 500


def test_hosts_that_crash_when_they_are_patched_stop_the_rollout_that_is_measured(tmp_path):
    extra = json.dumps({"livepatch_tiers": [{"name": "all", "share": "100%"}]})
    figures, unused = run(tmp_path, "--hosts", "4", "--bad", "4", "--extra", extra)
    assert figures["status"] == 2
    assert {entry["outcome"] for entry in entries(tmp_path / "kept", "outcome")} == {"rebooted"}


def test_the_actions_alone_are_measured_on_the_journal_of_a_whole_rollout(tmp_path):
    figures, table = run(tmp_path, "--hosts", "20", "--micro", "--interval", "1h")
    assert "an action: judge" in table
    assert figures["bytes"] == os.path.getsize(tmp_path / "kept" / "rollout.jsonl")
    assert figures["looks"] == 20 * figures["rounds"] and figures["last_round"]["hosts"] == 20


def test_of_a_hundred_thousand_hosts_a_third_may_be_silent_at_the_plan_and_at_looks_and_what_is_said_stays_short():
    names = [f"h{number}" for number in range(100_000)]
    silent = {"look": {"unreachable": True}}
    rollout = Rollout(
        names, dict.fromkeys((name for name in names if int(name[1:]) % 10 < 3)), slice="100%",
        tiers=[{"name": "canary", "hosts": 12}, {"name": "rest", "share": "100%"}], rules=rules.parse({"control_hosts": 5000}),
    )  # fmt: skip
    assert len(rollout.state.hosts) == 70_000 and "not in the plan: 30000 unreachable" in rollout.notes
    rollout.patch(1)
    control = [name for name in schedule.to_look_at(rollout.state) if rollout.state.hosts[name].arm == "control"]
    lost = dict.fromkeys(control[::3], silent)
    assert rollout.look(1, after=600, **lost)["verdict"] == "pass", "the canaries are well"
    patched = rollout.tier(1)[0]
    verdict = rollout.look(1, after=60, **lost, **{patched: silent})
    assert verdict["verdict"] in ("hold", "stop") and patched in verdict["reasons"][0]
    shown = messages.report(rollout.state, "/j/web.jsonl")
    assert max(map(len, verdict["reasons"] + shown["lines"])) < 1000 and len(shown["lines"]) < 20
    assert max(len(json.dumps(entry)) for entry in rollout.entries) < 200_000
