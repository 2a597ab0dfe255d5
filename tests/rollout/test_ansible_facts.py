# The livepatch among the facts that Ansible gathers by itself, and groups made of it: each way that the documentation names.
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
sys.path.insert(0, str(ROOT / "tests" / "tools"))
from collection import link  # noqa: E402
from forked import SECONDS  # noqa: E402

MODULES = ["ansible.builtin.setup", "kernel.livepatch.livepatch_facts"]
SHOW = """
- hosts: all
  tasks:
    - {name: livepatch, debug: {msg: "{{ ansible_facts.livepatch.effective_release }}"}}
    - {name: setup, debug: {msg: "{{ ansible_facts.kernel }}"}}
"""


def run(directory, program, *arguments, configuration="", **variables):
    """Run a program of Ansible in a directory with nothing of the user's settings; return what it printed."""
    (directory / "ansible.cfg").write_text("[defaults]\nnocolor = true\n" + configuration)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    settings = {
        "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(link()),
        "ANSIBLE_HOME": str(directory / "home"),
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        [str(Path(sys.executable).parent / program), *arguments],
        cwd=str(directory),
        env={**inherited, **settings, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0 and "DEPRECATION" not in done.stdout, done.stdout
    return done.stdout


def hosts(directory, **variables):
    """Write an inventory with this machine in it."""
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **variables}
    (directory / "inventory").mkdir()
    (directory / "inventory" / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"here": here}}}))


@pytest.mark.parametrize("form", ["configuration", "environment", "inventory"])
def test_gathering_facts_brings_the_livepatch_beside_the_usual_ones(tmp_path, form):
    hosts(tmp_path, **({"ansible_facts_modules": MODULES} if form == "inventory" else {}))
    (tmp_path / "show.yml").write_text(SHOW)
    configuration = "facts_modules = %s\n" % ", ".join(MODULES) if form == "configuration" else ""
    variables = {"ANSIBLE_FACTS_MODULES": ",".join(MODULES)} if form == "environment" else {}
    output = run(
        tmp_path, "ansible-playbook", "-i", "inventory", "show.yml", configuration=configuration, **variables
    )
    assert output.count('"msg": "%s"' % os.uname().release) == 2, output


CACHE = "fact_caching = ansible.builtin.jsonfile\nfact_caching_connection = cache\n"


def groups(directory):
    listed = json.loads(run(directory, "ansible-inventory", "-i", "inventory", "--list", configuration=CACHE))
    return {name for name, group in listed.items() if "here" in group.get("hosts", [])}


@pytest.mark.parametrize("source", ["facts_modules", "local facts"])
def test_the_example_inventory_groups_hosts_by_what_they_run(tmp_path, source):
    hosts(tmp_path)
    example = ROOT / "inventories" / "example" / "livepatch_groups.yml"
    (tmp_path / "inventory" / example.name).write_bytes(example.read_bytes())
    assert groups(tmp_path) <= {"all", "ungrouped"}, "nothing is known before facts were gathered"
    facts = {
        "supported": True,
        "effective_release": "6.12.1-hotfix3",
        "enabled": "hotfix3",
        "transition": None,
    }
    (tmp_path / "facts.d").mkdir()
    if source == "local facts":
        (tmp_path / "facts.d" / "livepatch.fact").write_text(json.dumps(facts))
        options = ["ansible.builtin.setup", "-a", "fact_path=%s/facts.d gather_subset=!all" % tmp_path]
    else:
        options = ["kernel.livepatch.livepatch_facts"]
    run(tmp_path, "ansible", "-i", "inventory", "here", "-m", *options, configuration=CACHE)
    found = groups(tmp_path)
    if source == "local facts":
        assert {"livepatch_release_6_12_1_hotfix3", "livepatch_hotfix3"} <= found and "livepatch_none" not in found
    else:
        supported = os.path.isdir("/sys/kernel/livepatch")
        assert "livepatch_release_" + os.uname().release.replace(".", "_").replace("-", "_") in found
        assert ("livepatch_none" if supported else "livepatch_unsupported") in found


def test_the_status_of_a_fleet_asks_every_host_and_names_those_that_need_a_person(tmp_path):
    hosts(tmp_path)
    lost = {"ansible_host": "127.0.0.1", "ansible_port": 1, "livepatch_cohort": "web"}
    (tmp_path / "inventory" / "lost.yml").write_text(json.dumps({"all": {"hosts": {"lost": lost}}}))
    page = tmp_path / "fleet.html"
    variables = {"livepatch_become": False, "livepatch_fleet_page": str(page), "livepatch_wanted": "hotfix3"}
    words = ["kernel.livepatch.status", "-i", "inventory", "-e", json.dumps(variables)]
    output = run(tmp_path, "ansible-playbook", *words)
    assert "2 hosts, wanted is hotfix3: 1 unreachable, 1 un" in output and "lost: unreachable: " in output
    assert "lost" in page.read_text() and os.uname().release in page.read_text()
    data = json.loads((tmp_path / "fleet.json").read_text())
    assert {host["host"]: host["state"] for host in data["hosts"]}["lost"] == "unreachable"
    assert list(data["cohorts"]) == sorted([os.uname().release, "web"])


TARGETS = """
- hosts: all
  gather_facts: false
  tasks:
    - {name: good, debug: {msg: "{{ [{'name': 'dc1', 'remote_ip': '::0001'}] | kernel.livepatch.netconsole_targets }}"}}
    - {name: bad, debug: {msg: "{{ [{'name': 'dc1', 'remote_ip': 'x'}] | kernel.livepatch.netconsole_targets }}"}, ignore_errors: true}
"""


def test_targets_of_netconsole_are_checked_on_the_controller(tmp_path):
    hosts(tmp_path)
    (tmp_path / "targets.yml").write_text(TARGETS)
    output = run(tmp_path, "ansible-playbook", "-i", "inventory", "targets.yml")
    assert '"remote_ip": "::1"' in output
    assert "netconsole target 'dc1', remote_ip: expected an IPv4 or IPv6 address, found 'x'." in " ".join(output.split())
