# livepatch_vmcore as Ansible runs it: options in, one JSON result out.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._vmcore import vmcore
from ansible_collections.kernel.livepatch.plugins.modules import livepatch_vmcore

CRASH = {"host": "web1", "kind": "crash"}


@pytest.fixture
def told(monkeypatch):
    """What inspect() is to return; it notes what it was asked."""
    answer = {"crash": CRASH, "time_of": "crash"}

    def inspect(*asked):
        answer["asked"] = list(asked)
        return answer

    monkeypatch.setattr(livepatch_vmcore, "DRGN_ERROR", None)
    monkeypatch.setattr(vmcore, "inspect", inspect)
    return answer


def test_the_work_gets_the_options_and_nothing_is_changed(run_module, told):
    result = run_module(livepatch_vmcore, {"path": "/v", "debug_info": ["/d"], "host": "web1"})
    assert result["asked"] == ["/v", ["/d"], "web1", None] and result["changed"] is False
    assert run_module(livepatch_vmcore, {"path": "/v", "time": "2023-11-14T22:13:20Z"})["asked"][3] == 1700000000


def test_a_time_in_another_form_is_refused(run_module, told):
    result = run_module(livepatch_vmcore, {"path": "/v", "time": "yesterday"})
    assert result["error"] == "bad_option" and "ISO 8601" in result["msg"] and "asked" not in told


def test_the_time_of_the_file_is_none_for_the_gate(run_module, told, tmp_path):
    told["time_of"] = "file"
    path = tmp_path / "events.jsonl"
    result = run_module(livepatch_vmcore, {"path": "/v", "host": "web1", "events_file": str(path)})
    assert result["error"] == "time_unknown" and "Give time" in result["msg"] and not path.exists()
    assert not run_module(livepatch_vmcore, {"path": "/v"})["changed"]


def test_the_crash_is_added_to_the_file_of_events_once(run_module, told, tmp_path):
    path = tmp_path / "events.jsonl"
    options = {"path": "/v", "host": "web1", "events_file": str(path)}
    assert run_module(livepatch_vmcore, options, check_mode=True)["changed"] and not path.exists()
    assert run_module(livepatch_vmcore, options)["changed"] and "web1" in path.read_text()
    assert not run_module(livepatch_vmcore, options)["changed"]
    assert not run_module(livepatch_vmcore, options, check_mode=True)["changed"]


def test_a_dump_without_a_crash_adds_nothing(run_module, told, tmp_path):
    told["crash"] = None
    path = tmp_path / "events.jsonl"
    assert not run_module(livepatch_vmcore, {"path": "/v", "host": "h", "events_file": str(path)})["changed"]
    assert not path.exists()


def test_an_event_needs_the_host_whose_it_is(run_module, told):
    result = run_module(livepatch_vmcore, {"path": "/v", "events_file": "/e"})
    assert result["failed"] and "host" in result["msg"]


def test_a_failure_carries_its_code_and_message(run_module, told, monkeypatch):
    def inspect(*asked):
        raise LivepatchError("bad_vmcore", "half a dump")

    monkeypatch.setattr(vmcore, "inspect", inspect)
    result = run_module(livepatch_vmcore, {"path": "/v"})
    assert (result["error"], result["msg"]) == ("bad_vmcore", "half a dump")


def test_without_drgn_it_says_what_is_missing_before_anything_is_read(run_module, monkeypatch):
    monkeypatch.setattr(livepatch_vmcore, "DRGN_ERROR", "ImportError")
    result = run_module(livepatch_vmcore, {"path": "/nowhere"})
    assert result["error"] == "drgn_missing" and "drgn" in result["msg"]
