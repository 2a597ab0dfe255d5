# Tests of the three actions and the callback inside real runs of ansible-playbook, with results injected.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import base64
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from ansible_collections.kernel.livepatch.plugins.plugin_utils import awx
from tests.tools.forked import Playbooks
from tests.unit.plugin_utils.rollouts import OUT

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
HOSTS = ["h1", "h2", "h3", "h4"]
COLLECTIONS = [os.path.join(ROOT, ".work", "collections")]
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
TOLD = {"ansible_connection": "told", "ansible_python_interpreter": sys.executable}
TIERS = [{"name": "canary", "hosts": 2}, {"name": "rest", "share": "100%"}]


def results(name, **changed):
    facts = {
        "supported": True,
        "kernel_release": "6.1.0-1",
        "architecture": "x86_64",
        "effective_release": "6.1.0-1",
        "boot_id": f"boot-{name}",
        "enabled": None,
        "transition": None,
        "os_family_ids": [],
    }
    apply = {
        "changed": True,
        "name": "hotfix3",
        "proven": True,
        "outcome": "installed",
        "package": "hotfix-3-1",
        "package_before": None,
        "before": {"enabled": None},
        "since": {"boot_id": f"boot-{name}", "sequence": 1},
        "transition": {"seconds": 1},
    }
    look = {
        "boot_id": f"boot-{name}",
        "rebooted": False,
        "enabled": "hotfix3",
        "effective_release": "6.1.0-1-hotfix3",
        "uptime_seconds": 9999,
        "events": [],
        "sequence": 2,
        "unseen": [],
        "sources": {"kmsg": "read"},
    }
    apply.update(changed.get("apply", {}))
    look.update(changed.get("look", {}))
    # What the host answers when it is looked at later.
    answers = {} if look.get("unreachable") else {"livepatch_health": look, "livepatch_persistence": {"changed": True}}
    found = {
        "livepatch_result_facts": {"ansible_facts": {"livepatch": facts}},
        "livepatch_result_apply": dict(apply, health=look),
    }
    return {**TOLD, "livepatch_become": False, "told_answers": answers, **found}


def settings(home, collections):
    """Return the environment variables that Ansible reads its settings from."""
    return {
        "ANSIBLE_CONFIG": os.path.join(ROOT, "tests", "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(collections),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_CALLBACKS_ENABLED": "kernel.livepatch.rollout",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_CONNECTION_PLUGINS": os.path.join(os.path.dirname(os.path.abspath(__file__)), "connections"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_CALLBACK_PLUGINS": os.path.join(os.path.dirname(os.path.abspath(__file__)), "callbacks"),
    }


class Site:
    """An inventory and a journal of its own, and the means to run playbooks on them."""

    def __init__(self, path, playbooks):
        self.path, self.playbooks = path, playbooks
        self.hosts = {name: results(name) for name in HOSTS}
        self.groups = {}
        self.journals = path / "journals"
        self.journal = self.journals / "web.jsonl"
        self.collections = COLLECTIONS

    def plan(self, **changed):
        options = {
            "release": "hotfix3",
            "rollout": "web",
            "journal_dir": str(self.journals),
            "hosts": list(self.hosts),
            "tiers": TIERS,
            "slice": "100%",
            "seed": 7,
            "rules": {"control_hosts": 0},
        }
        return {"kernel.livepatch.rollout_plan": dict(options, **changed), "register": "plan"}

    def _write(self, tasks):
        children = {name: {"hosts": {host: {} for host in hosts}} for name, hosts in self.groups.items()}
        inventory = {"all": {"hosts": dict(self.hosts, localhost=LOCAL), "children": children}}
        (self.path / "inventory.json").write_text(json.dumps(inventory))
        named = [dict({"name": task.get("register", "other")}, **task) for task in tasks]
        (self.path / "play.json").write_text(
            json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": named}])
        )
        return {"RECORDER_PATH": str(self.path / "results")}, ["-i", "inventory.json", "play.json"]

    def start(self, tasks, *arguments):
        """Start ansible-playbook, and return the process."""
        variables, command = self._write(tasks)
        program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
        environment = {**os.environ, **settings(self.path / "home", self.collections), **variables}
        return subprocess.Popen(
            [program, *command, *arguments],
            cwd=self.path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, tasks, *arguments):
        """Run ansible-playbook, and return its exit status and output."""
        if self.collections == COLLECTIONS:
            variables, command = self._write(tasks)
            return self.playbooks.run(self.path, variables, [*command, *arguments])
        child = self.start(tasks, *arguments)
        output = child.communicate(timeout=120)[0]
        return child.returncode, output

    def entries(self, kind=None):
        found = [json.loads(line) for line in self.journal.read_bytes().split(b"\n")[:-1]]
        return [entry for entry in found if kind in (None, entry["kind"])]

    def of_tier(self, number):
        """The hosts of a tier, in planned order."""
        return [entry["host"] for entry in self.entries("host") if entry["tier"] == number]

    def result(self, name):
        """The last result that was registered under this name."""
        found = [json.loads(line) for line in (self.path / "results").read_text().splitlines()]
        return [result for register, result in found if register == name][-1]

    def gate(self, step, **options):
        return {
            "kernel.livepatch.rollout_gate": {"journal": "{{ plan.journal }}", "step": step, **options},
            "register": "gate",
        }

    def entry(self, kind, **options):
        return {
            "kernel.livepatch.rollout_journal": dict({"journal": "{{ plan.journal }}", "entry": kind}, **options),
            "register": "written",
        }

    def open(self, place=0, **options):
        """Open a slice of those that are left, counted from 0."""
        hosts = "{{ plan.hosts[plan.serial[:%d] | sum : plan.serial[:%d] | sum] }}" % (place, place + 1)
        return self.gate("open", hosts=hosts, **options)

    def tier(self, number, place=None, **options):
        """Patch and judge a whole tier in one slice; place: which one of those that are left that is, counted from 0."""
        opened = self.open(number - 1 if place is None else place, **options)
        return [opened, self.gate("close"), self.gate("finish", last_tier=number, **options)]


@pytest.fixture(scope="session")
def playbooks(tmp_path_factory):
    made = Playbooks({**os.environ, **settings(tmp_path_factory.mktemp("home"), COLLECTIONS)})
    yield made
    made.end()


@pytest.fixture
def site(tmp_path, playbooks):
    return Site(tmp_path, playbooks)


def test_a_good_rollout_runs_to_its_end_and_its_output_tells_how_it_went(site):
    tasks = [site.plan(), *site.tier(1), *site.tier(2), site.entry("end", result="complete")]
    code, output = site.run(tasks)
    assert code == 0, output
    tier = ["slice", "verdict", "soak", "verdict", "tier_done", "persisted"]
    kinds = [entry["kind"] for entry in site.entries() if entry["kind"] not in ("host", "look", "looks", "outcome")]
    assert kinds == ["rollout", "run", "planned", *tier, *tier, "end"]
    assert {entry["outcome"] for entry in site.entries("outcome")} == {"patched"}
    assert site.result("written")["stats"]["livepatch_summary"]["counts"] == {"patched": 4}
    lines = [line for line in output.splitlines() if line.startswith("livepatch | ")]
    assert lines[0] == "livepatch | plan: 4 hosts in 2 tiers (canary 2, rest 2), seed 7"
    assert "livepatch | tier canary, slice 1: 2 patched; pass: 0 of 2 hosts of tier canary failed, 0 tolerated" in lines
    assert lines[-1] == f"livepatch | journal: {site.journal}"
    marks = [line.split()[4] for line in lines if line.startswith(("livepatch | tier canary  ", "livepatch | tier rest    "))]
    assert marks == ["soak", "pass", "soak", "pass"], "each tier tells where it stands, once"
    assert sum("6.1.0-1-hotfix3" in line and "patched" in line for line in lines) == 4
    assert "Traceback" not in output and "WARNING" not in output


def test_a_run_that_ends_after_a_tier_waits_and_the_next_one_goes_on_with_what_it_left(site):
    first = [site.plan(last_tier="canary"), *site.tier(1), site.entry("end", result="waiting", tier=1)]
    code, output = site.run(first)
    assert code == 0, output
    plan, left = site.result("plan"), site.result("written")["stats"]["livepatch_summary"]
    assert (plan["last_tier"], plan["hosts"], plan["serial"]) == (1, site.of_tier(1), [2])
    assert [(tier["hosts"], tier["left"], tier["done"]) for tier in plan["tiers"]] == [(2, 2, False), (2, 2, False)]
    assert (left["result"], left["verdict"], left["counts"]) == ("waiting", "pass", {"patched": 2, "untouched": 2})
    assert [(tier["name"], tier["done"], tier["untouched"]) for tier in left["tiers"]] == [("canary", True, 0), ("rest", False, 2)]
    assert "livepatch | waiting, tier rest is next: 2 patched, 2 untouched" in output

    for name in site.of_tier(1):
        run(site, name)
    second = [site.plan(last_tier="next", former=left), *site.tier(2, 0), site.entry("end", result="waiting", tier=2)]
    code, output = site.run(second)
    assert code == 0, output
    assert site.result("plan")["hosts"] == site.of_tier(2) and site.entries("end")[-1]["result"] == "complete"


def run(site, name):
    """The host runs the release, as facts tell it."""
    site.hosts[name]["livepatch_result_facts"]["ansible_facts"]["livepatch"]["enabled"] = "hotfix3"


@pytest.fixture
def waiting(site):
    """A site whose rollout has passed its first tier and waits; what the run has left is site.left."""
    code, output = site.run([site.plan(last_tier=1), *site.tier(1), site.entry("end", result="waiting", tier=1)])
    assert code == 0, output
    site.left = site.result("written")["stats"]["livepatch_summary"]
    for name in site.of_tier(1):
        run(site, name)
    return site


def say(site, override, reason):
    task = site.entry("override", override=override, reason=reason)
    task["kernel.livepatch.rollout_journal"]["journal"] = str(site.journal)
    return site.run([task])


def test_a_rollout_that_waits_for_an_approval_is_stopped_by_its_denial(waiting):
    code, output = say(waiting, "abort", "not approved in time")
    assert code == 0 and "the rollout takes it when it is run again" in output
    code, output = waiting.run([waiting.plan(last_tier="next")])
    assert code == 2 and "not approved in time" in output and "livepatch_retry" in output


def test_a_workflow_that_is_started_twice_finds_its_tiers_done_and_touches_nobody(waiting):
    before = waiting.entries("outcome")
    again = [waiting.plan(last_tier="canary"), waiting.entry("end", result="waiting", tier=1)]
    code, output = waiting.run(again)
    assert code == 0, output
    plan = waiting.result("plan")
    assert plan["hosts"] == [] and plan["serial"] == [1] and waiting.entries("outcome") == before
    assert "livepatch | waiting, tier rest is next: 2 patched, 2 untouched" in output


def test_a_denied_rollout_goes_on_with_a_reason(waiting):
    assert say(waiting, "abort", "not approved in time")[0] == 0
    tasks = [waiting.plan(last_tier="next", retry="approved after all"), *waiting.tier(2, 0), waiting.entry("end", result="complete")]
    code, output = waiting.run(tasks)
    assert code == 0, output


def test_the_reason_that_a_workflow_began_with_forgives_nothing_that_happens_in_it(waiting):
    assert say(waiting, "abort", "errors in the shop")[0] == 0
    code, output = waiting.run([waiting.plan(last_tier="next", retry="from the survey", former=waiting.left)])
    assert code == 2 and "errors in the shop" in output
    assert waiting.entries("retry") == []


def test_a_job_does_not_begin_anew_what_was_rolled_back_while_it_waited(waiting):
    back = waiting.entry("rollback", reason="asked for")
    failed = [dict(waiting.entry("rolled_back", hosts="{{ groups.all | difference(['localhost']) }}"))]
    for name in waiting.hosts:
        waiting.hosts[name]["livepatch_result_rollback"] = {"changed": True, "effective_release": "6.1.0-1", "proven": True}
    tasks = [back, *failed, waiting.entry("end", result="rolled_back")]
    for task in tasks:
        task["kernel.livepatch.rollout_journal"]["journal"] = str(waiting.journal)
    code, output = waiting.run(tasks)
    assert code == 0 and waiting.entries("end")[-1]["result"] == "rolled_back", output
    code, output = waiting.run([waiting.plan(former=waiting.left)])
    assert code == 2 and "which was rolled back since then" in output and "Nothing was touched" in output


def test_a_stop_that_is_found_at_a_resume_leaves_hosts_to_roll_back_and_none_to_patch_and_ends_as_no_success(waiting):
    assert say(waiting, "rollback", "it leaks")[0] == 0
    plan = dict(waiting.plan(last_tier=1), ignore_errors=True)
    code, output = waiting.run([plan, waiting.entry("end", result="waiting", tier=1)])
    assert code == 2 and "The rollout is not waiting: it was stopped." in output
    found = waiting.result("plan")
    assert found["rolls_back"] and found["rollback_asked"] and found["hosts"] == []


def test_a_tier_name_that_only_the_changed_variable_has_is_refused(waiting):
    tiers = [{"name": "canary", "hosts": 2}, {"name": "half", "share": "50%"}, {"name": "rest", "share": "100%"}]
    code, output = waiting.run([waiting.plan(tiers=tiers, last_tier="half")])
    assert code == 2 and "livepatch_last_tier is 'half': expected a tier of the plan (canary, rest)" in output


def test_next_is_the_same_tier_again_where_the_run_was_lost_right_after_it(site):
    code, output = site.run([site.plan(last_tier="next"), *site.tier(1)])
    assert code == 0, output
    for name in site.of_tier(1):
        run(site, name)
    code, output = site.run([site.plan(last_tier="next"), site.entry("end", result="waiting", tier=1)])
    assert code == 0 and site.result("plan")["last_tier"] == 1, output


@pytest.mark.parametrize("wanted", ["nobody", 3, 0, "-1"])
def test_a_last_tier_that_the_plan_does_not_have_is_refused_before_anything_is_written(site, wanted):
    code, output = site.run([site.plan(last_tier=wanted)])
    assert code == 2
    assert f"livepatch_last_tier is '{wanted}': expected a tier of the plan (canary, rest), its number, or next." in output
    assert not site.journal.exists() or not site.entries()
    code, output = site.run([site.plan()])
    assert code == 0, "a refusal gives the lock back"


def test_a_last_tier_that_a_small_fleet_skips_is_the_one_before_it(site):
    tiers = [{"name": "canary", "hosts": 2}, {"name": "1%", "share": "1%"}, {"name": "rest", "share": "100%"}]
    code, output = site.run([site.plan(tiers=tiers, last_tier="1%")], "--check")
    assert code == 0, output
    plan = site.result("plan")
    assert (plan["last_tier"], [tier["name"] for tier in plan["tiers"]]) == (1, ["canary", "rest"])


def test_an_end_after_a_tier_that_the_gate_has_not_passed_is_refused(site):
    code, output = site.run([site.plan(last_tier=1), site.entry("end", result="waiting", tier=1)])
    assert code == 2
    assert "The rollout is not waiting: the gate has not passed tier canary. Run the same command again." in output


@pytest.mark.parametrize(
    "former, complaint",
    [
        ({"rollout": "web", "release": "hotfix3", "seed": "7", "journal": "/j/web.jsonl"}, "found no journal"),
        ("hotfix3", "expected what an earlier job left with set_stats, a dictionary"),
    ],
)
def test_a_job_that_does_not_see_the_journal_of_the_job_before_refuses_to_plan_anew(site, former, complaint):
    code, output = site.run([site.plan(former=former)])
    assert code == 2 and complaint in output
    assert not site.journal.exists() or not site.entries()


def test_a_job_before_that_was_about_another_rollout_says_nothing(site):
    code, output = site.run([site.plan(former={"rollout": "db", "release": "hotfix3", "seed": "1"})])
    assert code == 0, output


def test_a_journal_that_is_not_the_one_of_the_job_before_is_refused(site):
    assert site.run([site.plan()])[0] == 0
    code, output = site.run([site.plan(former={"rollout": "web", "release": "hotfix3", "seed": "8"})])
    assert code == 2 and "found one of release hotfix3, seed 7" in output and "livepatch_journal_dir" in output


def test_the_journal_names_the_copy_of_the_collection_that_runs_and_one_that_does_not_is_warned_of(site):
    old = site.path / "old" / "ansible_collections" / "kernel" / "livepatch"
    old.mkdir(parents=True)
    (old / "MANIFEST.json").write_text('{"collection_info": {"version": "0.0.9"}}')
    site.collections = [*COLLECTIONS, str(site.path / "old")]
    code, output = site.run([site.plan()])
    assert code == 0, output
    running = site.entries("run")[0]["collection"]
    assert running["path"] == os.path.join(site.collections[0], "ansible_collections", "kernel", "livepatch")
    assert f"version: {running['version']}\n" in open(os.path.join(ROOT, "galaxy.yml"), encoding="utf-8").read()
    said = "".join(output.split())  # Ansible breaks the lines of a warning
    assert "".join(f"{running['version']} in {running['path']} runs, 0.0.9 in {old} does not".split()) in said


def test_an_ansible_core_newer_than_the_collection_was_tested_with_is_warned_of_and_nothing_is_refused(site):
    older = site.path / "older" / "ansible_collections" / "kernel" / "livepatch"
    shutil.copytree(os.path.join(ROOT, "plugins"), older / "plugins")
    code = older / "plugins" / "plugin_utils" / "ansible_core.py"
    code.write_text(re.sub('NEWEST = ".*"', 'NEWEST = "2.9"', code.read_text()))
    site.collections = [str(site.path / "older")]
    code, output = site.run([site.plan()])
    assert code == 0, output
    assert "isnewerthan2.9,thenewestthatthisversionofkernel.livepatchwastestedwith" in "".join(output.split())


def test_a_stop_is_refused_again_until_a_person_gives_a_reason(site):
    site.hosts["h1"] = results("h1", apply={"failed": True, "error": "stalled", "msg": "pid 7 (mount.nfs) blocks"})
    both = {"tiers": [{"name": "all", "share": "100%"}]}
    code, output = site.run(
        [site.plan(**both), site.open(), site.gate("close")]
    )
    assert code == 0, output
    gate = site.result("gate")
    assert (gate["verdict"], gate["open"], gate["counts"]) == ("stop", False, {"patched": 3, "stalled": 1})
    assert site.entries("verdict")[-1]["failures"] == {"h1": ["pid 7 (mount.nfs) blocks"]}

    code, output = site.run([site.plan(**both)])
    assert code == 2 and "was stopped after tier all, slice 1" in output
    assert (
        "h1 pid 7 (mount.nfs) blocks" in output
        and "kernel.livepatch.rollback" in output
        and "livepatch_retry" in output
    )

    site.hosts["h1"] = results("h1")
    for name in HOSTS[1:]:
        site.hosts[name]["livepatch_result_facts"]["ansible_facts"]["livepatch"]["enabled"] = "hotfix3"
    code, output = site.run(
        [site.plan(retry="nfs is back", **both), *site.tier(1), site.entry("end", result="complete")]
    )
    assert code == 0, output
    assert site.result("plan")["hosts"] == ["h1"]
    assert [entry["reason"] for entry in site.entries("retry")] == ["nfs is back"]


def test_a_slice_is_refused_once_the_rollout_is_stopped(site):
    site.hosts["h1"] = results("h1", look={"unreachable": True})
    site.hosts["h2"] = results("h2", look={"unreachable": True})
    site.hosts["h3"] = results("h3", look={"unreachable": True})
    code, output = site.run([site.plan(), *site.tier(1)[:2], site.open(1)])
    assert code == 0, output
    gate = site.result("gate")
    assert not gate["open"] and "was stopped after tier canary" in gate["stop_message"]
    assert [entry["tier"] for entry in site.entries("slice")] == [1]


def test_the_verdict_on_a_stopped_tier_is_stop_again_and_blames_no_further_host(site):
    site.hosts["h1"] = results("h1", look={"unreachable": True})
    tasks = [
        site.plan(tiers=[{"name": "all", "share": "100%"}]),
        *site.tier(1),
    ]
    code, output = site.run(tasks)
    assert code == 0, output
    gate = site.result("gate")
    assert (gate["verdict"], gate["passed"]) == ("stop", False)
    assert [set(entry["failures"]) for entry in site.entries("verdict")] == [{"h1"}]
    assert "was stopped after tier all, slice 1" in gate["stop_message"]
    assert not site.entries("tier_done")


def test_a_stop_found_at_a_resume_offers_the_rollback_and_patches_and_soaks_nobody(site):
    code, output = site.run([site.plan(), *site.tier(1)[:2]])
    assert code == 0, output
    first = site.of_tier(1)[0]
    site.hosts[first]["livepatch_result_facts"]["ansible_facts"]["livepatch"]["boot_id"] = "another"
    for name in site.of_tier(1)[1:]:
        run(site, name)
    code, output = site.run([dict(site.plan(), ignore_errors=True), site.gate("finish", last_tier=2)])
    assert code == 0, output
    plan = site.result("plan")
    assert plan["verdict"] == "stop" and plan["rolls_back"] and plan["hosts"] == []
    assert site.result("gate")["verdict"] == "stop" and not site.entries("soak")


def test_hosts_that_are_not_to_be_patched_now_are_refused(site):
    strangers = "{{ plan.hosts[:1] + plan.hosts[2:3] }}"
    code, output = site.run([site.plan(), site.gate("open", hosts=strangers)])
    assert code == 2 and "is not to be patched in tier 1" in output
    assert not site.entries("slice")
    code, output = site.run([site.plan(), site.open(1)])
    assert code == 0 and not site.result("gate")["open"], "the first tier comes first"
    assert not site.entries("slice")


def test_a_tier_gets_no_verdict_and_a_rollout_no_end_while_hosts_are_left(site):
    first = dict(site.gate("finish", last_tier=1), ignore_errors=True)
    code, output = site.run([site.plan(), first, site.entry("end", result="complete")])
    assert code == 2
    assert "2 hosts of tier canary have no outcome yet" in output
    assert "The rollout is not complete: the gate has not passed tier canary, rest" in output


def test_a_rollback_is_written_before_and_after(site):
    for name, livepatch in (("h1", OUT), ("h2", {"failed": True, "msg": "no answer"})):
        site.hosts[name].update(
            livepatch_result_rollback_package={"changed": True}, livepatch_result_rollback=livepatch
        )
    tiers = [{"name": "all", "share": "100%"}]
    tasks = [
        site.plan(tiers=tiers, hosts=["h1", "h2"], slice=1),
        site.open(0),
        site.gate("close"),
        *site.tier(1, 1),
        site.entry("rollback", reason="wrong build"),
        dict(site.entry("rolled_back", hosts=["h1", "h2"]), register="rolled_back"),
        dict(site.entry("end", result="rolled_back"), register="end"),
    ]
    code, output = site.run(tasks)
    assert code == 0, output
    assert site.entries("rollback")[0]["reason"] == "wrong build"
    assert site.result("written")["serial"] == [1, 1], "the slices of the plan"
    assert site.result("end")["counts"] == {"rolled_back": 1, "rollback_failed": 1}
    assert [entry["host"] for entry in site.result("end")["rollback"]] == ["h2"]
    assert not site.entries("end"), "a rollback that has not reached everybody has no end"
    assert "livepatch | h2 is not rolled back: the rollback failed: no answer" in output


def test_a_host_that_would_enable_the_livepatch_at_its_next_boot_is_not_rolled_back(site):
    for name in ("h1", "h2"):
        site.hosts[name].update(livepatch_result_rollback=OUT, livepatch_result_persistence={"skipped": True})
    site.hosts["h2"]["livepatch_result_persistence_former"] = {"failed": True, "error": "write_failed", "msg": "disk full"}
    tasks = [
        site.plan(tiers=[{"name": "all", "share": "100%"}], hosts=["h1", "h2"]),
        *site.tier(1),
        site.entry("rollback"),
        site.entry("rolled_back", hosts=["h1", "h2"]),
    ]
    code, output = site.run(tasks)
    assert code == 0, output
    assert [entry["outcome"] for entry in site.entries("outcome")[-2:]] == ["rolled_back", "rollback_failed"]
    assert "livepatch | h2 is not rolled back: the rollback failed (write_failed): disk full" in output


def test_nobody_is_asked_to_keep_anything_where_that_is_not_wanted(site):
    code, output = site.run([site.plan(), *site.tier(1, persist=False)])
    assert code == 0 and site.entries("tier_done") and not site.entries("persisted"), output


def test_the_report_is_written_from_the_journal_and_again_only_when_it_tells_something_new(site):
    page, data = site.path / "web.html", site.path / "web.json"
    options = {"journal": str(site.journal), "page": str(page), "data": str(data)}
    write = {"kernel.livepatch.rollout_report": options, "register": "report"}
    site.run([site.plan(), *site.tier(1), *site.tier(2), site.entry("end", result="complete")])
    site.run([write], "--check")
    assert site.result("report")["changed"] and not page.exists() and not data.exists()
    code, output = site.run([write])
    assert code == 0, output
    assert site.result("report")["written"] == [str(page), str(data)] and site.result("report")["result"] == "complete"
    assert "web" in page.read_text() and json.loads(data.read_text())["counts"] == {"patched": 4}
    site.run([write])
    assert not site.result("report")["changed"]
    site.run([write], "--check")
    assert not site.result("report")["changed"]


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"journal": "/nowhere/web.jsonl"}, "no such file"),
        ({"page": "/nowhere/web.html"}, "/nowhere/web.html: expected to write it"),
        ({"page": None}, "one of the following is required: page, data"),
    ],
)
def test_a_report_that_cannot_be_read_or_written_says_why(site, changed, words):
    options = dict({"journal": str(site.journal), "page": str(site.path / "web.html")}, **changed)
    write = {"kernel.livepatch.rollout_report": {name: value for name, value in options.items() if value}, "register": "report"}
    site.run([site.plan()])
    code, output = site.run([write])
    assert code == 2 and words in " ".join(output.split()) and "Traceback" not in output


def test_who_keeps_the_livepatch_over_reboots_is_written_and_the_status_names_who_does_not(site):
    kept = {
        "h1": {"changed": True},
        "h2": {"failed": True, "error": "insecure_path", "msg": "anybody may write there"},
        "h3": {"failed": False, "error": "no_systemd", "msg": "expected systemd, found none"},
        "h4": None,
    }
    for name, result in kept.items():
        site.hosts[name]["told_answers"] = dict(site.hosts[name]["told_answers"], livepatch_persistence=result)
    tasks = [
        site.plan(tiers=[{"name": "all", "share": "100%"}]),
        *site.tier(1),
        dict(site.entry("read"), register="status"),
    ]
    code, output = site.run(tasks)
    assert code == 0, output
    assert site.entries("persisted")[0]["hosts"] == ["h1"]
    reasons = {
        "h2": "livepatch_persistence failed (insecure_path): anybody may write there",
        "h3": "expected systemd, found none",
        "h4": "unreachable at livepatch_persistence",
    }
    assert site.entries("persisted")[0]["failed"] == reasons
    assert "livepatch | 1 of 4 hosts keep the livepatch over reboots" in output
    for name, reason in reasons.items():
        line = f"{name} is without the livepatch after the next boot: {reason}"
        assert f"livepatch | {line}" in output and line in site.result("status")["lines"]


def test_what_patches_hosts_by_itself_is_held_back_on_all_that_are_planned_and_given_back_at_the_end(site):
    nightly = {"by": "dnf-automatic", "timer": "dnf-automatic-install.timer", "applies": "security", "configured_in": "/x", "next_run": None}
    answer = {"h1": {"changed": True, "held": [nightly["timer"]], "not_held": []}, "h3": {"failed": True, "msg": "systemd is too old"}}
    for name, result in answer.items():
        site.hosts[name]["livepatch_result_facts"]["ansible_facts"]["livepatch"]["automation"] = [nightly]
        site.hosts[name]["told_answers"] = dict(site.hosts[name]["told_answers"], livepatch_automation=result)
    tasks = [site.plan(hold_automation=True), *site.tier(1), *site.tier(2)]
    for task in tasks:
        options = task.get("kernel.livepatch.rollout_gate", {})
        if options.get("step") in ("open", "finish"):
            options["hold_automation"] = True
    back = {"kernel.livepatch.rollout_gate": {"journal": str(site.journal), "step": "give_back"}, "register": "back"}
    code, output = site.run([*tasks, back, dict(back, register="again"), site.entry("end", result="complete")])
    assert code == 0, output
    kinds = [entry["kind"] for entry in site.entries()]
    assert kinds.count("held") == kinds.count("given_back") == 1 and kinds.index("held") < kinds.index("slice")
    assert site.entries("held")[0]["hosts"] == ["h1"] and site.entries("held")[0]["failed"] == {"h3": "systemd is too old"}
    assert site.entries("given_back")[0]["hosts"] == ["h1"]
    assert "livepatch | 2 hosts patch themselves (dnf-automatic by dnf-automatic-install.timer, security updates): h1, h3" in output
    assert "livepatch | what patches 1 host is held back until " in output
    assert "livepatch | h3 is not held back: systemd is too old" in output
    assert site.result("back")["changed"] and not site.result("again")["changed"]


def test_the_journal_can_be_read_by_anybody_who_may_while_another_works(site):
    tasks = [site.plan(), {"ansible.builtin.wait_for": {"path": str(site.path / "go"), "timeout": 60}}]
    child = site.start(tasks)
    try:
        wait_for(lambda: site.journal.exists() and site.entries("planned"))
        holder = json.loads((site.journals / "web.jsonl.lock").read_text())
        assert holder["pid"] == child.pid, "the lock belongs to ansible-playbook, not to a worker"
        code, output = site.run([site.plan()])
        assert (
            code == 2
            and f"process {child.pid}, since" in output
            and "Another controller works on this rollout" in output
        )
        code, output = site.run([site.plan(rollout="other", hosts=HOSTS[2:])])
        assert code == 2 and "2 hosts of this rollout (h3, h4) are also in the rollout web" in output
        assert f"process {child.pid}, works since" in output and not (site.journals / "other.jsonl").exists()
        read = {
            "kernel.livepatch.rollout_journal": {"journal": str(site.journal), "entry": "read"},
            "register": "written",
        }
        code, output = site.run([read])
        assert code == 0 and site.result("written")["counts"] == {"untouched": 4}
    finally:
        (site.path / "go").touch()
        child.communicate(timeout=120)
    assert len(site.entries("run")) == 1


def lose_controller(site, minutes):
    """Leave the lock as one of a pod that is gone: the same command on another machine, so long ago."""
    path = site.journals / "web.jsonl.lock"
    gone = {"controller": "pod-1", "boot_id": "x", "processes": "pid:[1]", "pid": 7, "start": "1", "user": "bob", "job": "12"}
    with open(path, "r+", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a controller that runs reads it at any time
        lock.truncate()
        lock.write(json.dumps(dict(gone, since="2026-10-02T08:15:00Z")))
        lock.flush()
        os.utime(path, (time.time() - 60 * minutes,) * 2)


def test_a_rollout_of_a_lost_pod_is_taken_over_for_a_reason_which_is_written_down(site):
    code, output = site.run([site.plan(), *site.tier(1)])
    assert code == 0, output
    lose_controller(site, 50)
    words = site.run([site.plan()])[1]
    assert "bob on pod-1, process 7, job 12, since 2026-10-02T08:15:00Z" in words and "livepatch_takeover" in words
    words = site.run([site.plan(takeover="REASON")])[1]
    assert "livepatch_takeover is REASON: expected your own words" in words
    assert not site.entries("takeover")
    for name in site.entries("outcome"):
        site.hosts[name["host"]]["livepatch_result_facts"]["ansible_facts"]["livepatch"]["enabled"] = "hotfix3"
    tasks = [site.plan(takeover="its node is gone"), *site.tier(2, 0), site.entry("end", result="complete")]
    code, output = site.run(tasks)
    assert code == 0, output
    assert re.search("taken over from bob on pod-1, process 7, job 12, silent for [0-9]+ min: its node is gone", output)
    entry, = site.entries("takeover")
    assert entry["reason"] == "its node is gone" and entry["of"]["job"] == "12" and entry["of"]["silence"] >= 1200
    code, output = site.run([site.plan(takeover="its node is gone")])
    assert code == 0 and "livepatch_takeover is ignored: nobody else has this rollout" in output, output


def test_what_a_lost_pod_had_patched_is_rolled_back_for_a_reason(site):
    assert site.run([site.plan(), *site.tier(1)])[0] == 0
    lose_controller(site, 50)
    back = {"kernel.livepatch.rollout_journal": {"journal": str(site.journal), "entry": "rollback"}, "register": "back"}
    code, output = site.run([back])
    assert code == 2 and "Another controller works on this rollout: bob on pod-1" in output
    back["kernel.livepatch.rollout_journal"]["takeover"] = "its node is gone"
    code, output = site.run([back])
    assert code == 0 and len(site.result("back")["rollback"]) == 2, output
    assert [entry["kind"] for entry in site.entries()[-2:]] == ["takeover", "rollback"]


SOAKS = [{"name": "canary", "hosts": 2, "soak": "2m"}, {"name": "rest", "share": "100%"}]


def test_a_controller_that_was_taken_over_and_lives_nevertheless_waits_no_longer_and_touches_nobody(site):
    child = site.start([site.plan(tiers=SOAKS), *site.tier(1)[:2], site.open(1)])
    wait_for(lambda: site.journal.exists() and site.entries("soak"))
    lose_controller(site, 0)
    output = child.communicate(timeout=90)[0]
    assert child.returncode == 2 and "Another controller works on this rollout: bob on pod-1" in output, output
    assert len(site.entries("slice")) == 1


def test_a_controller_that_is_told_to_end_while_it_waits_gives_the_lock_back(site):
    child = site.start([site.plan(tiers=SOAKS), *site.tier(1)[:2], site.open(1)])
    wait_for(lambda: site.journal.exists() and site.entries("soak"))
    child.terminate()
    child.communicate(timeout=90)
    wait_for(lambda: (site.journals / "web.jsonl.lock").read_text() == "")
    assert len(site.entries("slice")) == 1


def test_a_step_that_fails_gives_the_lock_back_at_once_and_a_run_that_ends_anyway(site):
    path = site.journals / "web.jsonl.lock"
    content = {"ansible.builtin.slurp": {"src": str(path)}, "register": "lock"}
    code, output = site.run([site.plan(), *site.tier(1), content])
    assert code == 0 and json.loads(base64.b64decode(site.result("lock")["content"]))["user"], output
    assert path.read_text() == ""
    for name in site.of_tier(1):
        run(site, name)
    for bad in (site.plan(release="hotfix4"), site.gate("close"), site.entry("end", result="complete")):
        code, output = site.run([site.plan(), dict(bad, ignore_errors=True), content])
        assert code == 0 and site.result("lock")["content"] == "", output


def test_a_rollout_can_be_told_from_elsewhere_to_stop_and_to_roll_back(site):
    say = {"journal": str(site.journal), "entry": "override", "override": "rollback", "reason": "errors in the shop"}
    tasks = [site.plan(), *site.tier(1), {"kernel.livepatch.rollout_journal": say, "register": "said"}, site.open(1)]
    code, output = site.run(tasks)
    assert code == 0, output
    gate = site.result("gate")
    assert gate["verdict"] == "stop" and gate["rolls_back"]
    assert gate["reasons"][0].startswith("stop: aborted by ") and gate["reasons"][0].endswith(": errors in the shop")
    assert [entry["reason"] for entry in site.entries("override")] == ["errors in the shop"]


def test_an_alert_that_repeats_itself_is_written_once_and_again_after_a_retry(site):
    say = {"journal": str(site.journal), "entry": "override", "override": "abort", "reason": "alert CrashRate"}
    alert = {"kernel.livepatch.rollout_journal": say, "register": "said"}
    code, output = site.run([site.plan(), *site.tier(1), alert, alert, site.open(1), alert])
    assert code == 0 and output.count("abort: said before, with the same reason") == 2, output
    assert len(site.entries("override")) == 1 and site.result("said")["changed"] is False
    for entry in site.entries("outcome"):
        site.hosts[entry["host"]]["livepatch_result_facts"]["ansible_facts"]["livepatch"]["enabled"] = "hotfix3"
    code, output = site.run([site.plan(retry="a false alert"), alert, site.open(0)])
    assert code == 0 and site.result("gate")["verdict"] == "stop", output
    assert len(site.entries("override")) == 2


def test_what_is_no_name_of_a_rollout_is_refused_before_its_journal_is_looked_for(site):
    for name in ("../web", "/etc/passwd", "web\n", "a b", ""):
        say = {"journal": str(site.journal), "rollout": name, "entry": "override", "override": "abort"}
        code, output = site.run([{"kernel.livepatch.rollout_journal": say, "register": "said"}])
        assert code == 2 and "is not a name: expected letters" in site.result("said")["msg"], output


def test_what_was_said_after_the_stop_stands_until_a_person_who_was_told_of_it_gives_a_reason(site):
    site.hosts["h1"] = results("h1", apply={"failed": True, "error": "stalled", "msg": "pid 7 blocks"})
    both = {"tiers": [{"name": "all", "share": "100%"}]}
    say = {"journal": "{{ plan.journal }}", "entry": "override", "override": "rollback", "reason": "a late alert"}
    late = {"kernel.livepatch.rollout_journal": say, "register": "said"}
    tasks = [site.plan(**both), site.open(), site.gate("close"), late]
    code, output = site.run(tasks)
    assert code == 0 and site.result("gate")["verdict"] == "stop", output
    site.hosts["h1"] = results("h1")
    for name in HOSTS[1:]:
        run(site, name)
    code, output = site.run([site.plan(retry="nfs is back", **both)])
    assert code == 2 and ": a late alert" in output
    code, output = site.run([site.plan(retry="the alert was of another release", **both)])
    assert code == 0 and site.result("plan")["verdict"] == "pass", output
    assert [entry["reason"] for entry in site.entries("override")] == ["a late alert"]


def test_waiting_ends_early_when_somebody_says_something_who_is_told_that_it_was_taken(site):
    child = site.start([site.plan(tiers=SOAKS), *site.tier(1)[:2], site.open(1)])
    wait_for(lambda: site.journal.exists() and site.entries("soak"))
    begin = time.monotonic()
    say = {"journal": str(site.journal), "entry": "override", "override": "abort", "reason": "lunch"}
    other = Site(site.path / "other", site.playbooks)
    other.path.mkdir()
    code, said = other.run([{"kernel.livepatch.rollout_journal": say, "register": "said"}])
    assert code == 0 and other.result("said")["taken"] and "web: its controller has taken it" in said
    output = child.communicate(timeout=90)[0]
    assert child.returncode == 0 and "aborted by" in output, output
    assert time.monotonic() - begin < 90 and len(site.entries("slice")) == 1


def test_what_is_said_about_a_release_is_said_to_all_of_its_rollouts_that_are_not_over(site):
    east, west = site.plan(rollout="east", hosts=HOSTS[:2]), site.plan(rollout="west", hosts=HOSTS[2:])
    assert site.run([east, site.gate("finish", last_tier=0), west])[0] == 0
    path = str(site.journals / "hotfix3.jsonl")
    say = {"journal": path, "rollout": "hotfix3", "entry": "override", "override": "abort", "reason": "alert CrashRate"}
    code, output = site.run([{"kernel.livepatch.rollout_journal": say, "register": "said"}])
    assert code == 0, output
    assert [os.path.basename(name) for name in site.result("said")["journals"]] == ["east.jsonl", "west.jsonl"]
    assert "east: abort by" in output and "west: abort by" in output


def test_a_journal_that_cannot_be_read_keeps_no_other_rollout_from_being_halted_and_is_named(site):
    east, west = site.plan(rollout="east", hosts=HOSTS[:2]), site.plan(rollout="west", hosts=HOSTS[2:])
    assert site.run([east, site.gate("finish", last_tier=0), west])[0] == 0
    lines = (site.journals / "east.jsonl").read_text().splitlines(keepends=True)
    (site.journals / "east.jsonl").write_text("".join([*lines, "garbage\n"]))
    say = {"journal": str(site.journals / "hotfix3.jsonl"), "rollout": "hotfix3", "entry": "override", "override": "abort"}
    code, output = site.run([{"kernel.livepatch.rollout_journal": say, "register": "said"}])
    assert code == 2 and "only west." in site.result("said")["msg"] and "east.jsonl is not a journal" in output, output
    assert "abort" in (site.journals / "west.jsonl.overrides").read_text()


def test_the_end_of_a_soak_is_asked_for_by_tier_and_means_no_other_one_when_it_is_taken_late(site):
    promote = {"journal": str(site.journal), "entry": "override", "override": "promote", "reason": "seen enough"}
    said = {"kernel.livepatch.rollout_journal": promote, "register": "said"}
    assert site.run([site.plan(), *site.tier(1)[:2], said])[0] == 0
    (line,) = (json.loads(line) for line in (site.journals / "web.jsonl.overrides").read_text().splitlines())
    assert line["tier"] == 1, "the one that is open when it is said"
    wrong = {"kernel.livepatch.rollout_journal": dict(promote, tier=7), "register": "said"}
    code, output = site.run([wrong])
    assert code == 2 and "web: promote would do nothing, as the plan has no tier 7" in site.result("said")["msg"], output
    # The file is seen late, when the tier has passed.
    hidden = site.journals / "web.jsonl.overrides"
    hidden.rename(site.path / "late")
    for entry in site.entries("outcome"):
        site.hosts[entry["host"]]["livepatch_result_facts"]["ansible_facts"]["livepatch"]["enabled"] = "hotfix3"
    assert site.run([site.plan(), site.gate("finish", last_tier=1)])[0] == 0
    assert site.entries("tier_done")
    (site.path / "late").rename(hidden)
    code, output = site.run([site.plan(), site.open(0)])
    assert code == 0 and re.search("promote by .* does nothing: tier canary has passed already", output), output
    assert site.entries("override") and site.entries("slice")[-1]["tier"] == 2


def test_nothing_can_be_said_to_a_rollout_that_is_complete(site):
    say = {"journal": "{{ plan.journal }}", "entry": "override", "override": "abort", "reason": "too late"}
    tasks = [site.plan(), *site.tier(1), *site.tier(2), site.entry("end", result="complete")]
    code, output = site.run([*tasks, {"kernel.livepatch.rollout_journal": say, "register": "said"}])
    assert code == 2 and "The rollout web is complete: there is nothing left to abort." in output


def test_sources_are_read_after_a_look_and_a_dead_one_holds(site):
    events = site.path / "events.jsonl"
    told = [{"name": "ours", "type": "events", "path": str(events)}, {"name": "dead", "type": "events", "path": "/none"}]
    events.write_text("")
    rules = {"control_hosts": 0, "max_hold": "1s", "look_interval": "1s"}
    code, output = site.run([site.plan(sources=told, rules=rules), *site.tier(1, sources=told)])
    assert code == 0, output
    gate = site.result("gate")
    assert gate["verdict"] == "hold" and not gate["passed"] and "is on hold in tier canary" in gate["hold_message"]
    assert len(gate["reasons"]) == 1 and gate["reasons"][0].startswith("hold: dead: the file of ")
    first = site.entries("reading")[:2]
    assert [(entry["source"], entry["verdict"]) for entry in first] == [("ours", "pass"), ("dead", "hold")]


def test_what_a_source_says_of_itself_is_shown_but_not_its_credentials_however_verbose_the_run_is(site):
    told = [{"name": "shop", "type": "prometheus", "url": "http://127.0.0.1:9", "query": "up", "rule": {"max": 1}}]
    told[0]["bearer_token"] = "hunter2-token"
    rules = {"control_hosts": 0, "max_hold": "1s", "look_interval": "1s"}
    code, output = site.run([site.plan(sources=told, rules=rules), *site.tier(1, sources=told)], "-vvvv")
    assert code == 0, output
    assert site.result("gate")["reasons"][0].startswith("hold: shop: "), site.result("gate")
    assert "hunter2" not in output and "hunter2" not in site.journal.read_text()


def test_a_controller_killed_in_a_slice_loses_nothing_and_the_next_one_goes_on(site):
    waiting = {"ansible.builtin.wait_for": {"path": str(site.path / "go"), "timeout": 60}}
    child = site.start(
        [site.plan(), *site.tier(1), site.open(1), waiting]
    )
    wait_for(lambda: site.journal.exists() and len(site.entries("slice")) == 2)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (site.path / "go").touch()  # A worker outlives its controller.
    child.communicate(timeout=60)
    with open(site.journal, "ab") as stream:
        stream.write(b'{"kind": "outco')
    done = {entry["host"] for entry in site.entries("outcome")}
    for name in done:
        site.hosts[name]["livepatch_result_facts"]["ansible_facts"]["livepatch"]["enabled"] = "hotfix3"
    code, output = site.run([site.plan(), *site.tier(2, 0), site.entry("end", result="complete")])
    assert code == 0, output
    plan = site.result("plan")
    assert plan["resumed"] and [tier["done"] for tier in plan["tiers"]] == [True, False]
    assert set(plan["hosts"]) == set(HOSTS) - done
    assert [entry["host"] for entry in site.entries("outcome")].count(next(iter(done))) == 1
    assert len(site.entries("planned")) == 1


def test_check_mode_shows_the_plan_and_writes_nothing(site):
    tasks = [site.plan(), *site.tier(1), site.entry("end", result="complete")]
    code, output = site.run(tasks, "--check")
    assert code == 0, output
    assert len(site.result("plan")["tiers"]) == 2
    assert site.result("written")["rollback"] == {} and site.result("gate")["open"]
    assert not site.journals.exists()


def test_bad_input_is_refused_with_its_reason_before_anything_is_written(site):
    site.groups = {"empty": [], "one": ["h1", "h2"], "two": ["h2", "h3"]}
    site.hosts["twin"] = results("h1")
    names = HOSTS
    cases = [
        ({"release": "a/b"}, "release 'a/b' is not a name"),
        ({"release": "a b"}, "release 'a b' is not a name"),
        ({"rollout": "-rf"}, "rollout '-rf' is not a name"),
        ({"rollout": ".hidden"}, "rollout '.hidden' is not a name"),
        ({"hosts": []}, "livepatch_hosts matches no host"),
        ({"hosts": ["nobody"]}, "'nobody' of hosts is not a host of the inventory"),
        ({"hosts": [*names, "twin"]}, "h1 and twin are one machine"),
        ({"slice": "many"}, "livepatch_slice is 'many'"),
        ({"slice": True}, "livepatch_slice is True"),
        ({"max_failures": "101%"}, "max_failures is '101%'"),
        ({"retry": "two\nlines"}, "is not a reason"),
        ({"retry": "REASON"}, "expected your own words"),
        ({"seed": [1]}, "seed is [1]"),
        ({"tiers": []}, "expected a list of at least one tier"),
        ({"tiers": [{"name": "t", "share": "90%"}]}, "the last must be 100%"),
        ({"tiers": [{"name": "t", "hosts": 1}]}, "The tiers cover 1 of 4 hosts"),
        ({"tiers": [{"name": "t", "group": "nope"}]}, "which the inventory does not have"),
        ({"tiers": [{"name": "t", "group": "empty"}]}, "has none of the hosts of this rollout"),
        ({"tiers": [{"name": "t", "group": "one"}, {"name": "u", "group": "two"}]}, "Host h2 is in two tiers"),
        ({"module_pattern": "{what}"}, "module_pattern '{what}' cannot be filled in"),
        ({"rules": {"look_intervall": 5}}, "gate has 'look_intervall'"),
        ({"rules": {"look_interval": "soon"}}, "livepatch_look_interval is 'soon'"),
        ({"rules": {"stop_evidence": 1}}, "livepatch_stop_evidence is 1: expected a number above 1"),
        ({"sources": [{"name": "x", "type": "crystal ball"}]}, "crystal ball"),
        ({"surprise": 1}, "surprise"),
    ]
    tasks = []
    for number, (options, unused) in enumerate(cases):
        task = dict(site.plan(**dict({"hosts": names}, **options)), register=f"case{number}", ignore_errors=True)
        tasks.append(task)
    code, output = site.run(tasks)
    assert code == 0, output
    for number, (options, message) in enumerate(cases):
        result = site.result(f"case{number}")
        assert message in result.get("msg", "") and "Traceback" not in json.dumps(result), (options, result)
    assert not site.journal.exists()


def test_a_journal_that_is_not_one_or_cannot_be_written_is_refused(site):
    site.journals.mkdir()
    site.journal.write_text('{"kind": "note", "schema": 2}\ngarbage\n{"kind": "end"}\n')
    (site.path / "file").write_text("")
    tasks = [
        dict(site.plan(), ignore_errors=True),
        dict(site.plan(journal_dir=str(site.path / "file" / "below")), register="below", ignore_errors=True),
        dict(site.plan(journal_dir="/proc/none"), register="proc", ignore_errors=True),
    ]
    code, output = site.run(tasks)
    assert code == 0, output
    assert "is not a journal: line 2 is b'garbage" in site.result("plan")["msg"]
    assert "cannot be made: Not a directory" in site.result("below")["msg"]
    assert "The journal's directory /proc/none cannot be made" in site.result("proc")["msg"]


def test_a_journal_of_another_release_or_fleet_is_refused(site):
    site.hosts["h5"] = results("h5")
    tasks = [
        site.plan(hosts=HOSTS),
        dict(site.plan(release="hotfix4"), ignore_errors=True),
        dict(site.plan(hosts=["h5"]), register="fleet", ignore_errors=True),
        dict(site.plan(hosts=HOSTS), register="again"),
        dict(site.entry("rollback", release="hotfix4", journal=str(site.journal)), register="rollback", ignore_errors=True),
    ]
    code, output = site.run(tasks)
    assert code == 0, output
    assert "is of release hotfix3, not hotfix4" in site.result("plan")["msg"]
    assert "is of another fleet: none of its 4 hosts is among the hosts of this run" in site.result("fleet")["msg"]
    assert "is of release hotfix3, not hotfix4: expected the release that is to be rolled back" in site.result("rollback")["msg"]
    assert not site.entries("rollback")


@pytest.mark.parametrize("name", ["web:x", "!h9", "&h9", "h*", "shop"])
def test_a_host_whose_name_is_a_pattern_of_others_is_left_out_and_named_and_nobody_else_is_patched_for_it(site, name):
    site.hosts[name] = results("h9")
    site.groups = {"shop": HOSTS[:2], "h1": ["h1"]}
    code, output = site.run([site.plan(), *site.tier(1), *site.tier(2), site.entry("end", result="complete")])
    assert code == 0, output
    plan = site.result("plan")
    assert "its name means something else in a pattern of hosts" in plan["hosts_excluded"][name]
    assert set(plan["hosts"]) == set(HOSTS) and {entry["host"] for entry in site.entries("outcome")} == set(HOSTS)


@pytest.mark.parametrize("named, patched", [("all", False), ("web:localhost", True)])
def test_the_controller_itself_is_patched_only_where_somebody_has_named_it(site, named, patched):
    facts = results("localhost")["livepatch_result_facts"]
    told = {"ansible.builtin.set_fact": {"livepatch_result_facts": facts}}
    code, output = site.run([told, site.plan(hosts=[*HOSTS, "localhost"], named=named)])
    assert code == 0, output
    assert ("localhost" in site.result("plan")["hosts"]) is patched
    assert ("localhost is this controller and left out" in output) is not patched


def test_a_template_in_cohort_and_domain_is_filled_in(site):
    for name in HOSTS:
        site.hosts[name].update(
            rack="r" + name[1], livepatch_domain="{{ rack }}", livepatch_cohort="{{ rack | upper }}"
        )
    code, output = site.run([site.plan()])
    assert code == 0, output
    assert {(entry["domain"], entry["cohort"]) for entry in site.entries("host")} == {
        (f"r{n}", f"R{n}") for n in range(1, 5)
    }


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the playbook did not get there"
        time.sleep(0.1)


def test_a_job_of_awx_without_the_volume_of_the_journals_refuses_to_begin_and_touches_nothing(site):
    job = {"awx_job_id": 7, "awx_job_template_name": "Livepatch rollout"}
    tasks = [dict(site.plan(journal_dir=str(site.path / "none")), vars=job)]
    code, output = site.run(tasks)
    assert code == 2 and "none is not there. Expected the volume of the journals" in output
    assert not (site.path / "none").exists()


def test_what_a_stopped_job_of_awx_says_names_templates_and_questions(site):
    site.hosts["h1"] = results("h1", apply={"failed": True, "error": "stalled", "msg": "pid 7 blocks"})
    job = {"awx_job_id": 7, "awx_job_template_name": "Livepatch rollout", "awx_user_name": "ann"}
    plan = dict(site.plan(tiers=[{"name": "all", "share": "100%"}], volume=False), vars=job)
    code, output = site.run([plan, site.open(), site.gate("close")])
    assert code == 0, output
    said = site.result("gate")["stop_message"]
    assert "start the template Livepatch rollback (Release: hotfix3)" in said
    assert "start the template Livepatch rollout (Release: hotfix3, Go on after a stop: REASON)" in said
    assert "ansible-playbook" not in said


def test_a_denial_in_awx_names_its_workflow_job_where_the_server_cannot_be_asked(site):
    assert site.run([site.plan()])[0] == 0
    say = {"journal": str(site.journal), "entry": "override", "override": "abort", "reason": awx.DENIED}
    job = {"awx_job_id": 9, "awx_workflow_job_id": 8, "awx_user_name": "who-started-it"}
    code, output = site.run([{"kernel.livepatch.rollout_journal": say, "register": "said", "vars": job}])
    assert code == 0 and f"web: abort by workflow job 8: {awx.DENIED}" in output, output


def test_what_former_rounds_brought_is_rolled_back_though_the_plan_of_a_new_one_was_not_finished(site):
    all_at_once = {"tiers": [{"name": "all", "share": "100%"}]}
    code, output = site.run([site.plan(**all_at_once), *site.tier(1), site.entry("end", result="complete")])
    assert code == 0, output
    with open(site.journal, "a", encoding="utf-8") as stream:  # a controller died while it planned anew
        stream.write(json.dumps(site.entries("rollout")[0]) + "\n")
    for name in HOSTS:
        site.hosts[name]["livepatch_result_rollback"] = OUT
    back = [site.entry("rollback"), site.entry("rolled_back", hosts=HOSTS), site.entry("end", result="rolled_back")]
    for task in back:
        task["kernel.livepatch.rollout_journal"]["journal"] = str(site.journal)
    code, output = site.run(back)
    assert code == 0 and site.entries("rollback")[0]["hosts"] == site.of_tier(1)[::-1], output
    assert site.entries("end")[-1]["result"] == "rolled_back"
