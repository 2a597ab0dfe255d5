# Every playbook with one ansible-core, as far as that goes without a kernel that takes livepatches.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Whatever this machine is, nothing is done to it: where a playbook would act on a host, the host cannot be reached.
# PLAYBOOKS_PROGRAMS and PLAYBOOKS_COLLECTIONS name another Ansible and another copy of the collection than those of this
# environment.

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tools")]
from collection import link  # noqa: E402
from forked import SECONDS  # noqa: E402
from tests.unit.plugin_utils.rollouts import Rollout  # noqa: E402

PROGRAMS = Path(os.environ.get("PLAYBOOKS_PROGRAMS") or Path(sys.executable).parent)
COLLECTIONS = os.environ.get("PLAYBOOKS_COLLECTIONS") or str(link())
HERE = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}


@pytest.fixture
def far():
    """Variables of a host that refuses every connection."""
    with socket.socket() as nobody:  # bound and not listening
        nobody.bind(("127.0.0.1", 0))
        arguments = "-F none -o BatchMode=yes -o ConnectTimeout=5"
        yield {"ansible_host": "127.0.0.1", "ansible_port": nobody.getsockname()[1], "ansible_ssh_args": arguments}


def run(directory, playbook, hosts, environment=(), arguments=(), **variables):
    """Run a playbook of the collection (None: play.json) on hosts; return its status and what it wrote, in one line."""
    (directory / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    (directory / "ansible.cfg").write_text("[defaults]\nnocolor = true\ninject_facts_as_vars = false\n")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    settings = {
        "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS,
        "ANSIBLE_CALLBACKS_ENABLED": "kernel.livepatch.rollout",
        "ANSIBLE_DEPRECATION_WARNINGS": "true",
        "ANSIBLE_HOME": str(directory / "home"),
        "COLUMNS": "1000",
        "LC_ALL": "C.UTF-8",
    }
    given = {"livepatch_journal_dir": str(directory / "journals"), "livepatch_become": False, **variables}
    name = "kernel.livepatch." + playbook if playbook else "play.json"
    done = subprocess.run(
        [str(PROGRAMS / "ansible-playbook"), name, "-i", "hosts.json", "-e", json.dumps(given), *arguments],
        cwd=str(directory),
        env={**inherited, **settings, **dict(environment)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    print(done.stdout)
    assert "DEPRECATION" not in done.stdout and "Traceback" not in done.stdout
    return done.returncode, " ".join(done.stdout.split())


@pytest.fixture
def begun(tmp_path):
    """The journal of a rollout of hotfix3 whose controller died while it patched the host `far`."""
    rollout = Rollout(["far"], tiers=[{"name": "all", "share": "100%"}])
    rollout.begin(1)
    (tmp_path / "journals").mkdir()
    path = tmp_path / "journals" / "hotfix3.jsonl"
    journal.append(str(path), rollout.entries)
    return path


def entries(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_rollout_on_hosts_that_cannot_be_reached_says_so_and_plans_nothing(tmp_path, far):
    status, said = run(tmp_path, "rollout", {"far": far}, livepatch_release="hotfix3")
    assert status == 2 and "None of the 1 hosts can be patched: 1 unreachable." in said


def test_a_rollout_goes_on_after_its_controller_has_died_and_counts_a_host_that_is_gone(tmp_path, far, begun):
    options = {"livepatch_tiers": [{"name": "all", "share": "100%"}], "livepatch_control_hosts": 0}
    status, said = run(tmp_path, "rollout", {"far": far}, livepatch_release="hotfix3", **options)
    assert status == 2 and "was stopped" in said and "kernel.livepatch.rollback" in said
    assert [entry["outcome"] for entry in entries(begun) if entry["kind"] == "outcome"] == ["unreachable"]


def test_a_rollout_that_is_refused_as_one_that_ends_leaves_its_summary_to_the_job(tmp_path, far, begun):
    options = {"livepatch_tiers": [{"name": "all", "share": "100%"}], "livepatch_control_hosts": 0, "livepatch_release": "hotfix3"}
    for _which in ("stops", "is refused"):
        status, said = run(tmp_path, "rollout", {"far": far}, {"ANSIBLE_SHOW_CUSTOM_STATS": "true"}, **options)
        left = said.partition("CUSTOM STATS")[2]
        assert status == 2 and "livepatch_summary" in left and '"verdict": "stop"' in left


def test_a_rollout_of_nothing_asks_which_release_and_asks_no_host(tmp_path, far):
    status, said = run(tmp_path, "rollout", {"far": far})
    assert status == 2 and "Which release? Give exactly one" in said and "TASK [kernel.livepatch.rollout : Read" not in said


@pytest.mark.parametrize("playbook", ["rollout", "rollback"])
@pytest.mark.parametrize(
    "arguments, words", [(["--limit", "far"], "leaves out localhost"), (["--tags", "x"], "found x"), (["--skip-tags", "y"], "found all, y")]
)
def test_a_limit_or_tags_that_leave_out_the_judge_are_refused_and_nothing_is_written(tmp_path, far, begun, playbook, arguments, words):
    before = begun.read_text()
    status, said = run(tmp_path, playbook, {"far": far}, arguments=arguments, livepatch_release="hotfix3")
    assert status == 2 and words in said and begun.read_text() == before


def test_a_preflight_names_the_hosts_that_it_could_not_look_at(tmp_path, far):
    status, said = run(tmp_path, "preflight", {"far": far, "here": HERE}, livepatch_release="hotfix3")
    assert status == 2 and "far: could not be looked at" in said and "2 hosts: " in said and "1 could not be looked at" in said


def test_the_status_of_a_fleet_tells_of_every_host_and_writes_its_page(tmp_path, far):
    page = tmp_path / "fleet.html"
    status, said = run(tmp_path, "status", {"far": far, "here": HERE}, livepatch_fleet_page=str(page))
    assert status == 0 and "2 hosts" in said
    assert "here" in page.read_text() and "far" in page.read_text()


def test_the_status_of_a_rollout_comes_from_its_journal_and_its_report_is_written(tmp_path, far, begun):
    page = tmp_path / "report.html"
    options = {"livepatch_release": "hotfix3", "livepatch_report_page": str(page)}
    status, said = run(tmp_path, "status", {"far": far}, **options)
    assert status == 0 and "hotfix3" in said and "far" in page.read_text()


def test_a_rollout_is_halted_from_elsewhere(tmp_path, far, begun):
    status, said = run(tmp_path, "halt", {"far": far}, livepatch_release="hotfix3", livepatch_reason="errors in the shop")
    assert status == 0 and "abort by " in said
    assert "errors in the shop" in Path(str(begun) + ".overrides").read_text()


def test_a_rollback_of_hosts_that_cannot_be_reached_names_them_and_fails(tmp_path, far, begun):
    status, said = run(tmp_path, "rollback", {"far": far}, livepatch_release="hotfix3", livepatch_persist=False)
    assert status == 2 and "1 hosts are not rolled back: far" in said
    assert [entry["hosts"] for entry in entries(begun) if entry["kind"] == "rollback"] == [["far"]]


def test_awx_is_set_up_only_with_the_collection_for_it_which_is_named(tmp_path, far):
    status, said = run(tmp_path, "awx", {"far": far}, livepatch_awx_inventories=["production"])
    assert status == 2 and "The collection awx.awx is not installed" in said


def test_defaults_for_the_group_of_modules_reach_them(tmp_path):
    tasks = [{"name": "read", "kernel.livepatch.livepatch_facts": {}}]
    defaults = {"group/kernel.livepatch.livepatch": {"gather": ["nonsense"]}}
    play = {"hosts": "here", "gather_facts": False, "module_defaults": defaults, "tasks": tasks}
    (tmp_path / "play.json").write_text(json.dumps([play]))
    status, said = run(tmp_path, None, {"here": HERE})
    assert status == 2 and "nonsense" in said and "packages, cves, advisories" in said


@pytest.fixture
def without(tmp_path):
    """A function of the name of a Python library to the environment variables with which nobody finds it."""

    def hide(library):
        place = tmp_path / "hidden"
        place.mkdir()
        (place / (library + ".py")).write_text("raise ImportError('hidden by a test')\n")
        return {"PYTHONPATH": str(place)}

    return hide


def test_without_jmespath_a_source_that_needs_it_is_refused_before_any_host_is_touched(tmp_path, far, begun, without):
    before = begun.read_text()
    source = {"name": "errors", "type": "http", "url": "http://127.0.0.1:9/", "expression": "errors", "rule": {"max": 1}}
    options = {"livepatch_release": "hotfix3", "livepatch_sources": [source]}
    status, said = run(tmp_path, "rollout", {"far": far}, environment=without("jmespath"), **options)
    assert status == 2 and "need the Python library jmespath on the controller, which was not found" in said
    assert begun.read_text() == before


def test_without_netaddr_targets_of_netconsole_are_refused_before_any_host_is_asked(tmp_path, far, without):
    role = {"name": "kernel.livepatch.visibility", "tasks_from": "publish"}
    tasks = [{"name": "publish", "ansible.builtin.import_role": role}]
    (tmp_path / "play.json").write_text(json.dumps([{"hosts": "far", "gather_facts": False, "tasks": tasks}]))
    targets = [{"name": "dc1", "remote_ip": "192.0.2.10"}]
    status, said = run(tmp_path, None, {"far": far}, environment=without("netaddr"), livepatch_netconsole_targets=targets)
    assert status == 2 and "need the Python library netaddr on the controller" in said and "unreachable=0" in said
