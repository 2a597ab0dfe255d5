# Each system call of a run fails in turn: the run succeeds, or says what it expected and what it found.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import json
import os
import shutil

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._health import (  # pylint: disable=unused-import
    health,  # noqa: F401 (what is imported late would open files: it shall not count)
)
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import (  # pylint: disable=unused-import
    stalls,  # noqa: F401
)
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import kernel_facts
from tests.unit.fakes.faults import Faults, injected
from tests.unit.fakes.kernel import FakeKernel
from tests.unit.fakes.runs import run
from tests.unit.fakes import elf

NUMBERS = ("EIO", "EACCES", "ENOENT", "ENOSPC", "EINTR", "ENODEV", "EMFILE", "ENOMEM")
# A run with more system calls would not end.
MOST = 2000
# A run has hundreds of system calls, and each fault is a run. FAULTS=all lets every one fail with two errors in turn.
ALL = os.environ.get("FAULTS") == "all"


def replacement(kernel):
    return run(kernel, path=kernel.file, timeout=5)


def removal(kernel):
    return run(kernel, name="hotfix1", state="absent", timeout=5)


def stall(kernel):
    kernel.takes = None
    kernel.task(7, "sleeper", 0, "[<0>] some_function+0x1/0x2")
    return run(kernel, path=kernel.file, timeout=5)


def facts(kernel):
    return kernel_facts.gather(kernel.root)


def prepared(directory):
    """A kernel with hotfix1 enabled, and the file of hotfix2."""
    shutil.rmtree(str(directory), ignore_errors=True)
    kernel = FakeKernel(directory)
    kernel.insert("hotfix1", transition=0)
    kernel.file = kernel.data("hotfix2.ko", elf.module("hotfix2", "22" * 20, replace=True))
    return kernel


def attempt(situation, directory, faults):
    """Go through a situation with a fault; return what came of it, "done" or the error's code."""
    kernel = prepared(directory)
    try:
        with injected(faults, kernel):
            result = situation(kernel)
    except LivepatchError as error:
        assert "expected" in error.message and "found" in error.message, error.message
        json.dumps(error.details)
        return error.code, kernel
    json.dumps(result)
    return "done", kernel


@pytest.fixture(autouse=True)
def host(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("os.uname", lambda: type("Uname", (), {"machine": "x86_64", "release": elf.KERNEL}))


@pytest.mark.parametrize("offset", range(2 if ALL else 1))
@pytest.mark.parametrize("situation, step", [(replacement, 3), (removal, 4), (stall, 13), (facts, 1)])
def test_whichever_system_call_fails_a_run_ends_in_success_or_in_words(tmp_path, situation, step, offset):
    for at in range(0, MOST, 1 if ALL else step):
        # Each failing call has its turn with another error.
        faults = Faults(at, getattr(errno, NUMBERS[(at + 3 * offset) % len(NUMBERS)]))
        try:
            attempt(situation, tmp_path / "root", faults)
        except Exception as error:
            raise AssertionError("call %d, %s, failed with errno %d: %r" % (at, faults.failed, faults.number, error))
        if not faults.failed:
            break
    assert 0 < at < MOST - step


@pytest.mark.parametrize("name", NUMBERS if ALL else ("EIO", "ENOSPC"))
def test_a_system_that_fails_for_good_at_some_point_is_reported_in_words(tmp_path, name):
    for at in range(0, MOST, 7 if ALL else 23):
        faults = Faults(at, getattr(errno, name), lasting=True)
        attempt(replacement, tmp_path / "root", faults)
        if not faults.failed:
            break
    assert 0 < at < MOST


@pytest.mark.parametrize("name", NUMBERS if ALL else ("EIO", "ENOENT"))
def test_a_run_after_a_fault_brings_the_host_where_the_first_one_should_have(tmp_path, name):
    for at in range(0, MOST, 3 if ALL else 19):
        faults = Faults(at, getattr(errno, name))
        _unused, kernel = attempt(replacement, tmp_path / "root", faults)
        result = replacement(kernel)
        assert result["proven"] and result["diff"]["after"] == {"enabled": ["hotfix2"], "inert": []}, (
            at,
            faults.failed,
        )
        if not faults.failed:
            break
    assert 0 < at < MOST
