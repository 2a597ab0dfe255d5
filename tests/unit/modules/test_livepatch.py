# The modules as Ansible runs them: options in, one JSON result out.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.modules import livepatch, livepatch_facts


@pytest.mark.parametrize("options", [{}, {"all": False}, {"name": "a", "all": True}, {"name": ""}])
def test_exactly_one_source_is_required(run_module, options):
    result = run_module(livepatch, options)
    assert result["failed"] and result["error"] == "bad_option"
    assert "exactly one of release, name, path, package and all" in result["msg"]


def test_two_sources_are_refused(run_module):
    assert run_module(livepatch, {"name": "a", "path": "/b.ko"})["failed"]


def test_a_failure_carries_its_code_its_message_and_what_was_found(run_module, monkeypatch):
    class Failing(object):
        def __init__(self, params, run_command, check_mode, tell, find, hold):
            self.warnings = ["look out"]

        def execute(self):
            raise LivepatchError("stalled", "it stalled", changed=False, transition={"blockers": []})

    monkeypatch.setattr(livepatch, "Run", Failing)
    result = run_module(livepatch, {"name": "a"})
    assert (result["error"], result["msg"], result["changed"]) == ("stalled", "it stalled", False)
    assert result["transition"] == {"blockers": []}
    assert "look out" in str(result["warnings"])


@pytest.mark.parametrize("check_mode", [True, False])
def test_the_run_gets_the_options_and_the_mode_and_its_result_is_returned(run_module, monkeypatch, check_mode):
    class Succeeding(object):
        warnings = []

        def __init__(self, params, run_command, check_mode, tell, find, hold):
            self.seen = {"name": params["name"], "timeout": params["timeout"], "check": check_mode}

        def execute(self):
            return dict(self.seen, changed=True)

    monkeypatch.setattr(livepatch, "Run", Succeeding)
    result = run_module(livepatch, {"name": "a"}, check_mode=check_mode)
    assert (result["name"], result["timeout"], result["check"], result["changed"]) == ("a", 60, check_mode, True)


@pytest.mark.parametrize("state, warned", [("enabled", False), ("disabled", True), ("absent", True)])
def test_what_the_next_boot_brings_back_is_said_where_it_was_taken_out(run_module, monkeypatch, state, warned):
    class Telling(object):
        def __init__(self, params, run_command, check_mode, tell, find, hold):
            self.warnings, self.tell = [], tell

        def execute(self):
            self.tell("/the/root", self.warnings)
            return {"changed": True}

    monkeypatch.setattr(livepatch, "Run", Telling)
    monkeypatch.setattr(livepatch, "update", lambda root, warnings: warnings.append("told at %s" % root))
    monkeypatch.setattr(livepatch.boot_record, "returning", lambda root: [("hotfix1", "livepatch-boot.service")])
    warnings = str(run_module(livepatch, {"name": "a", "state": state})["warnings"])
    assert "told at /the/root" in warnings
    assert ("enables livepatch hotfix1 again, by livepatch-boot.service" in warnings) is warned


@pytest.mark.parametrize("family, state, warned", [("rhel", "absent", 1), ("rhel", "enabled", 0), ("suse", "absent", 0)])
def test_on_rhel_a_livepatch_of_red_hats_that_was_taken_out_is_said_to_be_unsupported(
    run_module, monkeypatch, family, state, warned
):
    class Unloading(object):
        warnings = []

        def __init__(self, params, run_command, check_mode, tell, find, hold):
            pass

        def execute(self):
            before = {"enabled": ["kpatch_5_14_0_1_1", "hotfix1"], "inert": []}
            return {"changed": True, "diff": {"before": before, "after": {"enabled": [], "inert": []}}}

    monkeypatch.setattr(livepatch, "Run", Unloading)
    monkeypatch.setattr(livepatch.reading, "os_family_ids", lambda root: [family])
    told = []
    monkeypatch.setattr(livepatch.AnsibleModule, "warn", lambda module, warning: told.append(warning))
    run_module(livepatch, {"name": "a", "state": state})
    assert str(told).count("Red Hat does not support") == warned and "hotfix1" not in str(told)


def test_facts_are_returned_under_one_key_and_change_nothing(run_module):
    result = run_module(livepatch_facts, {})
    assert result["changed"] is False
    assert list(result["ansible_facts"]) == ["livepatch"]
    assert result["ansible_facts"]["livepatch"]["kernel_release"]


@pytest.mark.parametrize("gather", [["everything"], ["packages", "drift"]])
def test_what_cannot_be_gathered_is_refused(run_module, gather):
    assert run_module(livepatch_facts, {"gather": gather})["failed"]
