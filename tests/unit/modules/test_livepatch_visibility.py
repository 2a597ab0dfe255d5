# livepatch_visibility as Ansible runs it: options in, one JSON result out.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import sys

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.modules import livepatch_visibility


class Recorded(object):
    """Stands for the work."""

    seen = []

    def __init__(self, params, run_command, check_mode, interpreter):
        self.warnings = ["no systemd"]
        Recorded.seen.append((params, check_mode, interpreter))

    def execute(self):
        return {"changed": True, "active": []}


class Failing(Recorded):
    def execute(self):
        raise LivepatchError("not_found", "no such directory")


@pytest.mark.parametrize("check_mode", [True, False])
def test_the_run_gets_the_options_and_the_mode_and_its_result_and_warnings_are_returned(
    run_module, monkeypatch, check_mode
):
    monkeypatch.setattr(livepatch_visibility, "Run", Recorded)
    monkeypatch.setattr(
        livepatch_visibility.fact_program, "interpreter", {sys.executable: "/usr/bin/python3"}.__getitem__
    )
    result = run_module(livepatch_visibility, {"fact": False}, check_mode=check_mode)
    params, mode, interpreter = Recorded.seen[-1]
    assert mode is check_mode and interpreter == "/usr/bin/python3"
    assert params["fact_directory"] == "/etc/ansible/facts.d" and params["textfile_directory"] is None
    assert result["changed"] and "no systemd" in str(result["warnings"])


def test_a_failure_carries_its_code_and_message(run_module, monkeypatch):
    monkeypatch.setattr(livepatch_visibility, "Run", Failing)
    result = run_module(livepatch_visibility, {})
    assert (result["error"], result["msg"]) == ("not_found", "no such directory")


@pytest.mark.parametrize("option", ["fact_directory", "textfile_directory"])
def test_a_directory_without_a_root_is_refused(run_module, option):
    result = run_module(livepatch_visibility, {option: "facts.d"})
    assert result["failed"] and result["error"] == "bad_option" and "absolute path" in result["msg"]


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"name": "a/b"}, "name: expected at most 30 letters"),
        ({"remote_ip": "10.0.0"}, "remote_ip: expected an IPv4 or IPv6 address, found 10.0.0"),
        ({"dev_name": "a b"}, "dev_name: expected the name of a network interface, found a b"),
        ({"remote_port": 0}, "remote_port: expected 1 to 65535, found 0"),
        ({"remote_mac": "00-11"}, "remote_mac: expected a MAC address with colons, found 00-11"),
        ({"local_ip": "here"}, "local_ip: expected an IPv4 or IPv6 address, found here"),
    ],
)
def test_a_target_that_cannot_be_is_refused(run_module, changed, words):
    target = dict({"name": "dc1", "remote_ip": "10.0.2.2"}, **changed)
    result = run_module(livepatch_visibility, {"netconsole_targets": [target]})
    assert result["failed"] and result["error"] == "bad_option" and words in result["msg"]
