# The lock of a host: one run at a time, and it ends with its holder.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._change import host_lock
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from tests.unit.fakes.runs import refusal, run

NOON = 1777896900  # 2026-05-04T12:15:00Z


def lock(kernel, does="hotfix9: enabled", timeout=0):
    return host_lock.HostLock(kernel.root, does, timeout, kernel, now=lambda: NOON)


def test_the_second_run_is_refused_and_learns_who_has_the_lock_and_what_to_do(kernel, put):
    with lock(kernel):
        error = refusal(kernel, path=put("hotfix1"))
    assert error.code == "locked" and not error.details["changed"]
    assert error.details["holder"] == {"pid": os.getpid(), "since": "2026-05-04T12:15:00Z", "does": "hotfix9: enabled"}
    assert "process %d" % os.getpid() in error.message and "hotfix9: enabled" in error.message
    assert "lock_timeout" in error.message and "Run again" in error.message
    assert kernel.events == []


def test_a_lock_is_free_again_after_its_run_however_that_ended(kernel, put):
    with pytest.raises(KeyError), lock(kernel):
        raise KeyError("an accident")
    assert run(kernel, path=put("hotfix1"))["proven"]
    refusal(kernel, path=put("hotfix2", livepatch=False))
    with lock(kernel):
        pass


def test_the_lock_of_a_dead_process_is_no_lock(kernel, put):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        lock(kernel).__enter__()
        os.write(writing, b"taken")
        os._exit(0)
    assert os.read(reading, 5) == b"taken"
    os.waitpid(child, 0)
    assert run(kernel, path=put("hotfix1"))["proven"]


def test_a_holder_that_has_not_said_who_it_is_yet_is_unknown(kernel, put):
    with lock(kernel) as held:
        os.ftruncate(held._descriptor, 0)
        error = refusal(kernel, path=put("hotfix1"))
        assert error.details["holder"] == {"pid": None, "since": None, "does": None}
        assert "process (unknown)" in error.message
        os.pwrite(held._descriptor, b"[\xff", 0)
        assert refusal(kernel, path=put("hotfix1")).details["holder"]["pid"] is None


def test_a_run_waits_for_the_lock_as_long_as_it_may(kernel, put):
    with lock(kernel):
        assert refusal(kernel, path=put("hotfix1"), lock_timeout=30).code == "locked"
        assert 29 < kernel.time < 31


def test_a_lock_that_is_given_back_meanwhile_is_taken(kernel, put, monkeypatch):
    held, sleep = lock(kernel), kernel.sleep
    held.__enter__()

    def give_back(seconds):
        monkeypatch.setattr(kernel, "sleep", sleep)
        held.__exit__()

    monkeypatch.setattr(kernel, "sleep", give_back)
    assert run(kernel, path=put("hotfix1"), lock_timeout=1)["proven"]


def test_what_the_holder_has_changed_meanwhile_is_read_anew(kernel, put, monkeypatch):
    path = put("hotfix1")
    enter = host_lock.HostLock.__enter__

    def entered_late(self):
        kernel.insert("hotfix1", transition=0)
        return enter(self)

    monkeypatch.setattr(host_lock.HostLock, "__enter__", entered_late)
    result = run(kernel, path=path)
    assert result["proven"] and not result["changed"] and kernel.events == []


def test_check_mode_and_a_run_that_has_nothing_to_do_take_no_lock(kernel, put):
    path = put("hotfix1")
    with lock(kernel):
        assert run(kernel, True, path=path)["changed"]
    kernel.insert("hotfix1", transition=0)
    with lock(kernel):
        assert run(kernel, path=path)["proven"]


def test_the_lock_is_roots_own(kernel, put):
    run(kernel, path=put("hotfix1"))
    where = os.path.join(kernel.root, "run/livepatch")
    assert os.stat(where).st_mode & 0o777 == 0o755
    assert os.stat(os.path.join(where, "lock")).st_mode & 0o777 == 0o600
    assert os.path.getsize(os.path.join(where, "lock")) == 0


def test_the_directory_is_open_to_readers_whatever_the_umask(kernel, put):
    former = os.umask(0o077)
    try:
        run(kernel, path=put("hotfix1"))
    finally:
        os.umask(former)
    assert os.stat(os.path.join(kernel.root, "run/livepatch")).st_mode & 0o777 == 0o755


def others_may_write(directory):
    os.mkdir(directory)
    os.chmod(directory, 0o777)


def a_link(directory):
    os.symlink("/tmp", directory)


def a_linked_lock(directory):
    os.mkdir(directory)
    os.symlink("/tmp/elsewhere", os.path.join(directory, "lock"))


def no_run(directory):
    os.rmdir(os.path.dirname(directory))


@pytest.mark.parametrize("prepare", [others_may_write, a_link, a_linked_lock, no_run])
def test_a_place_that_is_not_roots_own_is_refused(kernel, put, prepare):
    prepare(os.path.join(kernel.root, "run/livepatch"))
    error = refusal(kernel, path=put("hotfix1"))
    assert error.code == "not_permitted" and "run/livepatch" in error.message
    assert kernel.events == []


def test_a_wait_of_less_than_nothing_is_refused(kernel):
    assert refusal(kernel, name="hotfix1", lock_timeout=-1).code == "bad_option"


def test_an_error_that_is_no_lock_is_not_taken_for_one(kernel, monkeypatch):
    def broken(descriptor, operation):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(host_lock.fcntl, "flock", broken)
    with pytest.raises(OSError), lock(kernel):
        raise LivepatchError("unreached", "unreached")
