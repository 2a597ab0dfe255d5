# Rollouts of builds, as the playbooks run them on hosts that are stubs: what they are asked, what each of them is given, and when.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tools")]
from collection import link  # noqa: E402
from forked import SECONDS  # noqa: E402
from tests.bench import scale  # noqa: E402

# It waits for all of its children, so it is a process of its own.
RUN = """
import json, pathlib, sys
from tests.bench import scale

print(json.dumps(scale.rollout(5, pathlib.Path(sys.argv[1]), forks=5, variables=json.loads(sys.argv[2]))))
"""
TIERS = [{"name": "all", "share": "100%", "soak": "1s"}]
GIVEN = {"livepatch_release": "", "livepatch_cves": "CVE-2026-7,CVE-2026-1", "livepatch_tiers": TIERS, "livepatch_slice": 5}
JOURNAL = "journals/CVE-2026-1+CVE-2026-7.jsonl"


def run(directory, build, **more):
    """Run the playbook; return (its exit status, what it has said). build: the newest one that repositories have."""
    command = [sys.executable, "-c", RUN, str(directory), json.dumps({**GIVEN, **more})]
    environment = {**os.environ, "STUB_BUILD": build}
    done = subprocess.run(command, cwd=str(ROOT), env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=SECONDS)
    return json.loads(done.stdout.splitlines()[-1]), (directory / "output").read_text()


@pytest.fixture(scope="module")
def weeks(tmp_path_factory):
    """The same command three times: at first, the next day, and when there are newer builds."""
    link()
    directory = tmp_path_factory.mktemp("site")
    (directory / "group_vars").mkdir()
    (directory / "group_vars" / "stubs.json").write_text(json.dumps({"stub_told": True}))
    (directory / "host_vars").mkdir()
    (directory / "host_vars" / "host-2.json").write_text(json.dumps({"livepatch_package_pattern": "lp-{release}", "livepatch_become": False}))
    return directory, [run(directory, build) for build in ("1-1", "1-1", "1-2")]


def play(directory, playbook, given, *arguments):
    """Run another playbook there, when repositories have the build 1-3; return (exit status, output)."""
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, f"kernel.livepatch.{playbook}", "-i", "inventory.json", "-e", json.dumps(given), *arguments]
    environment = {**scale._environment(directory, 5), "STUB_BUILD": "1-3"}
    done = subprocess.run(
        command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False
    )
    return done.returncode, done.stdout


def told(directory, host, module):
    return json.loads((directory / "hosts" / "told" / f"{host}.{module}").read_text())


def entries(directory, kind):
    found = [json.loads(line) for line in (directory / JOURNAL).read_text().splitlines()]
    return [entry for entry in found if entry["kind"] == kind]


def test_each_host_is_given_exactly_the_package_that_the_journal_has_for_its_kernel(weeks):
    directory, ((figures, output), unused, unused_too) = weeks
    assert (figures["status"], figures["patched"]) == (0, 5), output[-3000:]
    packages = {entry["kernel_release"]: entry["package"] for entry in entries(directory, "build")}
    for entry in entries(directory, "host")[-5:]:
        given = told(directory, entry["host"], "livepatch")
        assert (given["package"], given["install"], given["allow_downgrade"]) == (packages[entry["kernel_release"]], True, False)
        assert "release" not in given and "pattern" not in given
    assert {entry["package"] for entry in entries(directory, "outcome")} >= set(packages.values())


def test_the_plan_shows_the_builds_and_whom_they_leave_uncovered(weeks):
    directory, ((unused, output), unused_too, unused_three) = weeks
    lines = [line for line in output.splitlines() if line.startswith("livepatch | ")]
    assert any(line.startswith("livepatch | kernel release") for line in lines)
    assert any("klp-6.12.107_deb13-amd64-1-1.x86_64" in line and "2026-11-01" in line for line in lines)
    assert any(line.startswith("livepatch | uncovered: the build of kernel") and "CVE-2026-7" in line for line in lines)


def test_two_hosts_of_a_kernel_are_asked_with_their_own_variables_and_none_when_a_rollout_goes_on(weeks):
    directory, ((figures, unused), unused_too, unused_three) = weeks
    assert 4 <= figures["executions"]["livepatch_builds"] <= 5
    asked = {name for entry in entries(directory, "build") for name in entry["asked"]}
    assert all(told(directory, name, "livepatch_builds")["cves"] == ["CVE-2026-1", "CVE-2026-7"] for name in asked)
    if "host-2" in asked:
        own = told(directory, "host-2", "livepatch_builds")
        assert (own["pattern"], own["become"]) == ("lp-{release}", False)


def test_the_same_command_has_nothing_to_do_until_there_are_newer_builds_and_then_begins_a_new_round(weeks):
    directory, (unused, (again, output), (newer, unused_too)) = weeks
    assert again["status"] == 0 and "the rollout is complete and nothing is left to do: 5 already" in output
    assert newer["status"] == 0
    rounds = [entry["package"] for entry in entries(directory, "build")]
    assert [name.endswith("-1-1.x86_64") for name in rounds] == [True] * (len(rounds) // 2) + [False] * (len(rounds) // 2)
    assert [entry["outcome"] for entry in entries(directory, "outcome")] == ["patched"] * 10
    assert [entry["result"] for entry in entries(directory, "end")] == ["complete", "complete"]


def test_the_fleet_at_a_glance_asks_which_build_of_each_kernel_is_the_newest_and_says_what_lies_between(weeks):
    directory, unused = weeks
    until = {"livepatch_supported_until": {"6.12.107+deb13-amd64": "2027-05-31"}, "livepatch_release": ""}
    given = {**until, "livepatch_wanted": "newest", "livepatch_journal_dir": str(directory / "journals")}
    status, output = play(directory, "status", given)
    assert status == 0 and "5 hosts, wanted is newest: 5 behind" in output, output
    line = next(line for line in output.splitlines() if "6.12.107+deb13-amd64  " in line and "klp-" in line)
    assert "fix_1_2 (" in line and "klp-6.12.107_deb13-amd64-1-3.x86_64" in line and "2027-05-31" in line


def test_check_mode_shows_the_builds_predicts_with_them_and_writes_nothing(weeks):
    directory, unused = weeks
    before = (directory / JOURNAL).read_bytes()
    status, output = play(directory, "rollout", {**GIVEN, "livepatch_journal_dir": str(directory / "journals")}, "--check")
    assert status == 0 and "klp-6.12.107_deb13-amd64-1-3.x86_64" in output and "fatal" not in output, output
    assert told(directory, "host-1", "livepatch")["package"].endswith("-1-3.x86_64")
    assert (directory / JOURNAL).read_bytes() == before


def test_what_is_given_twice_or_not_at_all_is_refused_before_anything_is_asked(tmp_path):
    link()
    figures, output = run(tmp_path, "1-1", livepatch_advisory="RHSA-2026:1")
    assert figures["status"] and "Which one of these? CVE-2026-7,CVE-2026-1 and RHSA-2026:1 Give exactly one" in " ".join(output.split())
    assert not figures["executions"]
