# livepatch_automation as Ansible runs it: options in, one JSON result out.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.modules import livepatch_automation


class Recorded(object):
    """Stands for the work."""

    seen = []

    def __init__(self, hold, run_command, check_mode):
        self.warnings = ["it runs right now"]
        Recorded.seen.append((hold, check_mode))

    def execute(self):
        return {"changed": True, "held": ["nightly.timer"]}


class Failing(Recorded):
    def execute(self):
        raise LivepatchError("not_held", "systemd is too old")


@pytest.mark.parametrize("check_mode", [True, False])
def test_the_run_gets_the_option_and_the_mode_and_its_result_and_warnings_are_returned(run_module, monkeypatch, check_mode):
    monkeypatch.setattr(livepatch_automation, "Run", Recorded)
    result = run_module(livepatch_automation, {"hold": 60}, check_mode=check_mode)
    assert Recorded.seen[-1] == (60, check_mode)
    assert result["changed"] and result["held"] == ["nightly.timer"] and "it runs right now" in str(result["warnings"])


def test_a_failure_carries_its_code_and_message(run_module, monkeypatch):
    monkeypatch.setattr(livepatch_automation, "Run", Failing)
    result = run_module(livepatch_automation, {"hold": 0})
    assert (result["error"], result["msg"]) == ("not_held", "systemd is too old")


@pytest.mark.parametrize("seconds", [-1, 2592001])
def test_a_time_without_sense_is_refused(run_module, seconds):
    result = run_module(livepatch_automation, {"hold": seconds})
    assert result["failed"] and result["error"] == "bad_option" and "0 to 2592000" in result["msg"]
