# The action of livepatch: which options the variables of a host stand for, and which hosts are left alone after role install.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.patch_options import nothing_to_do, options, seconds

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "tools"))
from collection import link  # noqa: E402

RELEASE = {"release": "hotfix3", "package_pattern": "", "timeout": 60}


@pytest.mark.parametrize("also, found", [
    ({}, {"release": "hotfix3"}),
    ({"package_pattern": "lp-{release}"}, {"release": "hotfix3", "pattern": "lp-{release}"}),
    ({"path": "/a.ko", "package": "lp"}, {"path": "/a.ko"}),
    ({"package": "lp", "install": "yes"}, {"package": "lp", "install": "yes"}),
    ({"package": "lp"}, {"package": "lp", "install": False}),
    ({"result_package": {"package": "lp-1"}}, {"package": "lp-1"}),
    ({"package": "lp", "result_package": {"package": "lp-1"}}, {"package": "lp", "install": False}),
])  # fmt: skip
def test_a_file_goes_before_a_package_before_what_role_install_found_before_a_release(also, found):
    assert options({**RELEASE, **also}) == {"timeout": 60, **found}


def test_a_task_that_names_its_livepatch_itself_takes_the_rest_alone_from_variables():
    assert options(RELEASE, ["name"]) == {"timeout": 60}


@pytest.mark.parametrize("installed, check_mode, alone", [
    (None, False, False),
    ({"package": "lp-1", "changed": True}, False, False),
    ({"package": "lp-1", "changed": True}, True, True),
    ({"package": "lp-1", "changed": False}, True, False),
    ({"package": None, "outcome": "not_applicable"}, False, True),
    ({"package": "lp-1", "failed": True}, False, True),
    ({"unreachable": True}, False, True),
])  # fmt: skip
def test_a_host_is_left_alone_where_role_install_has_not_installed_a_package(installed, check_mode, alone):
    assert bool(nothing_to_do({**RELEASE, "result_package": installed}, check_mode)) == alone


def test_a_file_is_loaded_where_role_install_has_no_package_for_the_host():
    assert nothing_to_do({"path": "/a.ko", "result_package": {"package": None}}, False) is None


@pytest.mark.parametrize("given, found", [
    ({}, 1020),
    ({"timeout": 100, "package_timeout": "60", "lock_timeout": 5, "stall_restart_units": ["a.service", "b.service"]}, 865),
    ({"timeout": "soon", "package_timeout": None, "lock_timeout": -1, "stall_restart_units": "a.service"}, 1020),
])  # fmt: skip
def test_a_host_may_take_as_long_as_its_options_allow(given, found):
    assert seconds(given) == found


def play(directory, answer, variables, task, environment=(), **more):
    """Run one task on a host that answers this; return its result. more: variables of the host."""
    host = {"ansible_connection": "told", "ansible_python_interpreter": sys.executable, "told_answers": {"livepatch": answer}, **more}
    (directory / "hosts.json").write_text(json.dumps({"all": {"hosts": {"h1": host}}}))
    tasks = [
        {"kernel.livepatch.livepatch": task, "register": "found", "ignore_errors": True},
        {"copy": {"content": "{{ found | to_json }}", "dest": str(directory / "found")}, "delegate_to": "localhost"},
    ]
    (directory / "play.json").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": tasks}]))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(link()),
        "ANSIBLE_CONNECTION_PLUGINS": str(Path(__file__).parent / "connections"),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_HOME": str(directory / "home"),
        **dict(environment),
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "play.json", "-i", "hosts.json"]
    done = subprocess.run(command, cwd=str(directory), env=environment, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout)
    return json.loads((directory / "found").read_text())


@pytest.mark.parametrize("wanted, failed", [("report", False), ("fail", True)])
def test_a_release_that_is_not_for_this_kernel_fails_where_the_variables_say_so(tmp_path, wanted, failed):
    variables = {"livepatch_release": "hotfix3", "livepatch_not_applicable": wanted}
    answer = {"changed": False, "outcome": "not_applicable"}
    found = play(tmp_path, answer, variables, {"from_variables": True})
    assert found["failed"] == failed
    assert not failed or "livepatch_not_applicable" in found["msg"]


def test_without_being_asked_to_a_task_takes_nothing_from_variables(tmp_path):
    found = play(tmp_path, {"changed": False, "outcome": "not_applicable"}, {"livepatch_not_applicable": "fail"}, {"name": "hotfix3"})
    assert not found["failed"]


def test_a_host_that_does_not_answer_in_time_has_timed_out(tmp_path):
    hurry = {"ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"), "ANSIBLE_CALLBACKS_ENABLED": "hurry"}
    variables = {"livepatch_release": "hotfix3"}
    found = play(tmp_path, {"changed": False}, variables, {"from_variables": True}, hurry, told_silence=20)
    assert found["failed"] and found["timedout"]["period"] == 1 and "Timed out after 1 seconds" in found["msg"]
