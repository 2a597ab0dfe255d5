# livepatch_persistence as Ansible runs it: options in, one JSON result out.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.modules import livepatch_persistence


class Recorded(object):
    """Stands for the work."""

    seen = []

    def __init__(self, params, run_command, check_mode):
        self.warnings = ["kpatch has it"]
        Recorded.seen.append((params, check_mode))

    def execute(self):
        return {"changed": True, "name": "hotfix1"}


class Failing(Recorded):
    def execute(self):
        raise LivepatchError("no_systemd", "no systemd here")


@pytest.mark.parametrize("check_mode", [True, False])
def test_the_run_gets_the_options_and_the_mode_and_its_result_and_warnings_are_returned(
    run_module, monkeypatch, check_mode
):
    monkeypatch.setattr(livepatch_persistence, "Run", Recorded)
    result = run_module(livepatch_persistence, {"name": "hotfix1"}, check_mode=check_mode)
    params, mode = Recorded.seen[-1]
    assert mode is check_mode and params["name"] == "hotfix1" and params["guard_minutes"] == 10
    assert result["changed"] and result["name"] == "hotfix1" and "kpatch has it" in str(result["warnings"])


def test_a_failure_carries_its_code_and_message(run_module, monkeypatch):
    monkeypatch.setattr(livepatch_persistence, "Run", Failing)
    result = run_module(livepatch_persistence, {})
    assert (result["error"], result["msg"]) == ("no_systemd", "no systemd here")


def test_two_sources_are_refused(run_module):
    assert run_module(livepatch_persistence, {"name": "a", "path": "/b.ko"})["failed"]


@pytest.mark.parametrize("minutes", [0, -1, 1441])
def test_minutes_without_sense_are_refused(run_module, minutes):
    result = run_module(livepatch_persistence, {"guard_minutes": minutes})
    assert result["failed"] and result["error"] == "bad_option" and "1 to 1440" in result["msg"]
