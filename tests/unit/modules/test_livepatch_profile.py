# livepatch_profile as Ansible runs it: options in, one JSON result out.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.modules import livepatch_profile


@pytest.mark.parametrize("check_mode", [True, False])
def test_the_work_gets_the_options_and_the_mode_and_nothing_is_changed(run_module, monkeypatch, check_mode):
    seen = []

    def run(params, mode):
        seen.append((params, mode))
        return {"functions": []}

    monkeypatch.setattr(livepatch_profile, "run", run)
    result = run_module(livepatch_profile, {"name": "hotfix1"}, check_mode=check_mode)
    assert seen[0][1] is check_mode and seen[0][0]["seconds"] == 5 and result["changed"] is False


def test_a_failure_carries_its_code_and_message(run_module, monkeypatch):
    def run(params, mode):
        raise LivepatchError("tracer_active", "somebody traces")

    monkeypatch.setattr(livepatch_profile, "run", run)
    result = run_module(livepatch_profile, {})
    assert (result["error"], result["msg"]) == ("tracer_active", "somebody traces")


@pytest.mark.parametrize("seconds", [0, 61])
def test_times_without_sense_are_refused(run_module, seconds):
    result = run_module(livepatch_profile, {"seconds": seconds})
    assert result["failed"] and result["error"] == "bad_option" and "1 to 60" in result["msg"]


def test_two_sources_are_refused(run_module):
    assert run_module(livepatch_profile, {"name": "a", "path": "/b.ko"})["failed"]
