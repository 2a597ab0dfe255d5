# The module livepatch_preflight as Ansible runs it: options in, one JSON result out.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.modules import livepatch_preflight


@pytest.mark.parametrize("options", [{}, {"replace": True}, {"pattern": "klp-{kernel}-{release}"}])
def test_a_livepatch_must_be_named(run_module, options):
    result = run_module(livepatch_preflight, options)
    assert result["failed"] and result["error"] == "bad_option"
    assert "exactly one of name, path, package and release" in result["msg"]


def test_two_livepatches_are_refused(run_module):
    assert run_module(livepatch_preflight, {"name": "a", "release": "b"})["failed"]


def test_a_name_that_cannot_be_fails_with_its_code(run_module):
    result = run_module(livepatch_preflight, {"name": "../a"})
    assert result["failed"] and result["error"] == "bad_name" and "module name" in result["msg"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_it_looks_in_check_mode_as_in_a_real_run_and_changes_nothing(run_module, tmp_path, check_mode):
    result = run_module(livepatch_preflight, {"path": str(tmp_path / "missing.ko")}, check_mode=check_mode)
    assert not result.get("failed") and result["changed"] is False
    assert not result["ready"] and result["verdict"] == "not_ready" and result["functions"] is None
    found = [finding for finding in result["findings"] if finding["id"] == "not_found"]
    assert len(found) == 1 and found[0]["error"] == "not_found" and str(tmp_path) in found[0]["evidence"]


def test_the_details_of_a_failure_are_kept(run_module, monkeypatch):
    def refused(self):
        raise LivepatchError("bad_name", "no such name", found="x")

    monkeypatch.setattr(livepatch_preflight.Preflight, "execute", refused)
    result = run_module(livepatch_preflight, {"name": "a"})
    assert (result["error"], result["msg"], result["found"]) == ("bad_name", "no such name", "x")
