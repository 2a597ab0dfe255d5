# The module livepatch_health from its options to its result.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import re

import pytest

from ansible_collections.kernel.livepatch.plugins.modules import livepatch_health


@pytest.fixture
def looked(monkeypatch):
    """The moments that the module has looked since."""
    moments = []

    def look(since):
        moments.append(since)
        return {"events": [], "boot_id": "b1"}

    monkeypatch.setattr(livepatch_health._health, "look", look)
    return moments


@pytest.mark.parametrize("check_mode", [False, True])
def test_looking_never_changes_anything(looked, run_module, check_mode):
    result = run_module(livepatch_health, {"since": {"boot_id": "b0", "sequence": 7}}, check_mode=check_mode)
    assert (result["changed"], result["failed"], result["boot_id"]) == (False, False, "b1")
    assert looked == [{"boot_id": "b0", "sequence": 7}]


def test_a_moment_may_be_left_out_or_known_in_part(looked, run_module):
    run_module(livepatch_health)
    run_module(livepatch_health, {"since": {"boot_id": "b0"}})
    assert looked == [{}, {"boot_id": "b0", "sequence": None}]


def test_a_moment_that_is_none_is_refused(looked, run_module):
    assert "sequence" in run_module(livepatch_health, {"since": {"sequence": "soon"}})["msg"]
    assert looked == []


def test_the_result_is_what_the_documentation_promises(run_module):
    result = run_module(livepatch_health)
    # Ansible's own keys; it keeps the warnings of every module of a process.
    added = {"changed", "failed", "invocation", "warnings", "deprecations"}
    assert set(result) - added == set(re.findall(r"^([a-z_]+):$", livepatch_health.RETURN, re.MULTILINE))
