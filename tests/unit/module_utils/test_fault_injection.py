# Each system call of a run fails in turn: the run succeeds, or says what it expected and what it found.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import json
import os
import shutil

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._change import (  # pylint: disable=unused-import
    copies,
    transaction,  # noqa: F401
)
from ansible_collections.kernel.livepatch.plugins.module_utils._files import run_files
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
from tests.unit.fakes.rpm_host import PackageHost
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


def release(kernel):
    """The release hotfix2, whose package is to be installed."""
    return run(kernel, **kernel.packages.options("hotfix2", timeout=5))


def facts(kernel):
    return kernel_facts.gather(kernel.root)


def prepared(directory):
    """A kernel with hotfix1 enabled, and the file of hotfix2."""
    shutil.rmtree(str(directory), ignore_errors=True)
    kernel = FakeKernel(directory)
    kernel.insert("hotfix1", transition=0)
    kernel.file = kernel.data("hotfix2.ko", elf.module("hotfix2", "22" * 20, replace=True))
    kernel.packages = PackageHost(kernel, {"hotfix1": "11" * 20, "hotfix2": "22" * 20})
    kernel.packages.place("hotfix1")
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
@pytest.mark.parametrize("situation, step", [(replacement, 3), (removal, 4), (stall, 13), (facts, 1), (release, 7)])
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


class Killed(BaseException):
    """The end of a process by SIGKILL: nothing of it runs any more, whatever it has begun."""


class Steps(object):
    """Kills a run after the step with the number `at`: what it asks of the kernel, of programs, and of the copies."""

    def __init__(self, kernel, monkeypatch, at):
        self.at = at
        self.count = 0
        self.log = []
        for name in ("load", "unload", "write"):
            monkeypatch.setattr(kernel, name, self.wrap(name, getattr(kernel, name)))
        monkeypatch.setattr(kernel.packages, "run", self.wrap("run", kernel.packages.run))
        for place, name in ((copies.Staged, "__init__"), (copies.Staged, "keep"), (copies, "prune")):
            monkeypatch.setattr(place, name, self.wrap(name, getattr(place, name)))
        for place, name in ((copies.Staged, "discard"), (run_files, "remove")):
            monkeypatch.setattr(place, name, self.unless_over(getattr(place, name)))

    @property
    def over(self):
        return self.count > self.at

    def unless_over(self, function):
        return lambda *arguments: None if self.over else function(*arguments)

    def wrap(self, name, function):
        def called(*arguments, **options):
            assert not self.over, "a killed run did something more: %s" % name
            found = function(*arguments, **options)
            self.count += 1
            self.log.append(name)
            if self.over:
                raise Killed()
            return found

        return called


@pytest.mark.parametrize("loads", [False, True])
@pytest.mark.parametrize("former", [True, False])
def test_the_same_task_after_a_kill_at_any_step_brings_the_host_where_it_should_be(
    tmp_path, monkeypatch, loads, former
):
    for at in range(MOST):
        kernel = prepared(tmp_path / "root")
        if not former:
            run(kernel, name="hotfix1", state="absent")
        if loads:
            kernel.packages.scriptlet = lambda name: kernel.insert(name, "22" * 20, transition=0)
        with monkeypatch.context() as patched:
            killed = Steps(kernel, patched, at)
            try:
                release(kernel)
            except Killed:
                pass
        noted = os.path.exists(kernel.root + "/run/livepatch/begun.json")
        assert (
            noted or not killed.over or (kernel.packages.installed, "hotfix2" in kernel.patches) == ("hotfix1", False)
        )
        kernel.sleep(2)
        kernel.log.append("later")
        result = release(kernel)
        if killed.over:
            # Also where the killed run had changed it already.
            assert result["before"]["enabled"] == ("hotfix1" if former else None), (at, killed.log)
            assert result["since"]["sequence"] == (0 if noted else 1), (at, killed.log)
        assert not release(kernel)["changed"] and not os.path.exists(kernel.root + "/run/livepatch/begun.json")
        assert result["proven"] and result["diff"]["after"]["enabled"] == ["hotfix2"], (at, killed.log)
        assert result["diff"]["after"]["inert"] == [] and result["health"]["enabled"] == "hotfix2"
        left = os.listdir(os.path.join(kernel.root, "var/lib/livepatch", elf.KERNEL))
        assert "hotfix2.ko" in left and not [name for name in left if name.endswith(".new")], (at, killed.log, left)
        if not killed.over:
            break
    assert 5 < at < MOST


@pytest.mark.parametrize("loads", [False, True])
def test_a_disk_that_fills_up_at_any_moment_leaves_the_host_with_what_it_ran_or_with_the_release(tmp_path, loads):
    codes = set()
    for at in range(0, MOST, 1 if ALL else 5):
        kernel = prepared(tmp_path / "root")
        run(kernel, name="hotfix1")  # its copy
        if loads:
            kernel.packages.scriptlet = lambda name: kernel.insert(name, "22" * 20, transition=0)
        faults = Faults(
            at, errno.ENOSPC, lasting=True, only=("write", "mkdir", "rename", "pwrite", "ftruncate", "creating")
        )
        try:
            with injected(faults, kernel):
                release(kernel)
        except LivepatchError as error:
            codes.add(error.code)
            assert list(kernel.patches) == ["hotfix1"], (at, faults.failed, error.message)
        else:
            assert list(kernel.patches) == ["hotfix2"], (at, faults.failed)
        if not faults.failed:
            break
    assert "disk_full" in codes and at < MOST
