# Tests of the lock: one controller at a time, dead ones do not count.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import subprocess
import sys

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import lock

# Tries to take the lock as soon as it is told to, says how it went, and lives on until its input ends.
RACER = """
import os, sys
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import lock
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
me = lock.owner(os.getpid(), "racer", "4711")
print("ready", flush=True)
sys.stdin.readline()
try:
    lock.take(sys.argv[1], me)
    print("taken", flush=True)
except RolloutError as error:
    print("refused:", error, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def journal(tmp_path):
    return str(tmp_path / "web.jsonl")


@pytest.fixture
def racers(journal):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    started = []

    def start():
        child = subprocess.Popen(
            [sys.executable, "-c", RACER, journal],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        started.append(child)
        assert child.stdout.readline() == "ready\n"
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


def go(child):
    child.stdin.write("go\n")
    child.stdin.flush()


def test_of_processes_that_race_for_the_lock_one_gets_it_and_the_others_learn_who(racers):
    children = [racers() for unused in range(4)]
    for child in children:
        go(child)
    answers = [child.stdout.readline() for child in children]
    assert sorted(answer.split()[0] for answer in answers) == ["refused:", "refused:", "refused:", "taken"]
    winner = children[answers.index("taken\n")]
    for answer in answers:
        assert answer == "taken\n" or f"process {winner.pid}, job 4711, since" in answer


def test_the_lock_of_a_killed_process_is_taken_over_even_before_it_is_reaped(racers, journal):
    child = racers()
    go(child)
    assert child.stdout.readline() == "taken\n"
    with pytest.raises(RolloutError, match="Another controller works on this rollout: racer on .*, job 4711, since .* end it"):
        lock.take(journal, lock.owner(os.getpid(), "ann"))
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    lock.take(journal, lock.owner(os.getpid(), "ann"))


def test_taking_it_twice_and_releasing_it_for_another_is_fine(journal):
    me, other = lock.owner(os.getpid(), "ann"), lock.owner(os.getppid(), "bob")
    lock.take(journal, me)
    lock.take(journal, me)
    lock.release(journal, other)
    with pytest.raises(RolloutError, match="ann"):
        lock.take(journal, other)
    lock.release(journal, me)
    lock.take(journal, other)


def test_a_pid_that_another_process_has_by_now_is_not_the_holder(journal):
    me = lock.owner(os.getpid(), "ann")
    lock.take(journal, dict(me, pid=os.getppid(), start="1"))
    lock.take(journal, me)


def test_a_reboot_of_the_machine_ends_its_locks(journal):
    me = dict(lock.owner(os.getpid(), "ann"), processes=lock.MACHINE)
    lock.take(journal, dict(me, boot_id="another", pid=1, start=lock.start_time(1)))
    lock.take(journal, me)


def silent(journal, minutes):
    """Let the lock be as old as if its holder had been silent for so long."""
    moment = os.stat(journal + ".lock").st_mtime - 60 * minutes
    os.utime(journal + ".lock", (moment, moment))


# What the lock says of a controller that nobody here can look at: of another machine, of a container on this one, and of one
# that has the same name on another one.
ELSEWHERE = [{"controller": "elsewhere"}, {"processes": "pid:[1]"}, {"boot_id": "another", "processes": "pid:[1]"}]


@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_lock_of_elsewhere_is_refused_and_says_how_to_take_it_over(journal, place):
    me = lock.owner(os.getpid(), "ann")
    lock.take(journal, dict(me, user="bob", job="12", **place))
    with pytest.raises(RolloutError) as refused:
        lock.take(journal, me)
    words = str(refused.value)
    assert f"bob on {place.get('controller', me['controller'])}, process {me['pid']}, job 12, since {me['since']}" in words
    assert "-e 'livepatch_takeover=\"REASON\"' when it has been silent for 45 minutes" in words
    assert f"remove {journal}.lock" in words


@pytest.mark.parametrize("place", ELSEWHERE)
def test_it_is_taken_over_for_a_reason_once_it_has_been_silent_for_long(journal, place):
    me = lock.owner(os.getpid(), "ann")
    bob = dict(me, user="bob", **place)
    lock.take(journal, bob)
    silent(journal, 44)
    with pytest.raises(RolloutError, match="its last sign of life was 44 min ago"):
        lock.take(journal, me, "the node is gone")
    silent(journal, 2)
    with pytest.raises(RolloutError, match="its last sign of life was 46 min ago"):
        lock.take(journal, me)
    gone = lock.take(journal, me, "the node is gone")
    assert gone["user"] == "bob" and 2760 <= gone["silence"] < 2800
    with pytest.raises(RolloutError, match="Another controller works on this rollout: ann"):
        lock.take(journal, bob)
    assert lock.take(journal, me, "the node is gone") is None, "it is ours already"


def test_a_living_controller_on_this_machine_is_not_taken_over_whatever_the_reason(racers, journal):
    child = racers()
    go(child)
    assert child.stdout.readline() == "taken\n"
    silent(journal, 60)
    with pytest.raises(RolloutError, match="its last sign of life was 60 min ago. Wait for it to end, or end it"):
        lock.take(journal, lock.owner(os.getpid(), "ann"), "it is slow")


def test_a_lock_that_is_taken_again_is_young_again_and_tells_since_when_it_is_held(journal):
    me = lock.owner(os.getpid(), "ann")
    lock.take(journal, dict(me, since="2026-10-02T08:15:00Z"))
    silent(journal, 60)
    lock.take(journal, me)
    with pytest.raises(RolloutError, match="since 2026-10-02T08:15:00Z; its last sign of life was 0 s ago"):
        lock.take(journal, dict(me, controller="elsewhere"), "it is slow")


def test_the_time_of_the_file_system_counts_and_not_the_clock_of_this_machine(journal, monkeypatch):
    me = lock.owner(os.getpid(), "ann")
    lock.take(journal, dict(me, controller="elsewhere"))
    monkeypatch.setattr(lock.time, "time", lambda: 4e9)
    with pytest.raises(RolloutError, match="its last sign of life was 0 s ago"):
        lock.take(journal, me, "the node is gone")


def test_a_file_system_without_locks_is_a_clear_error(journal, monkeypatch):
    def flock(fd, how):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with pytest.raises(RolloutError, match="cannot be taken: Function not implemented. Keep the journals on a file system"):
        lock.take(journal, lock.owner(os.getpid(), "ann"))


def test_the_user_and_the_job_of_awx_are_those_of_the_lock_and_a_user_without_a_name_is_a_number(monkeypatch):
    monkeypatch.setattr(lock, "living_controller", os.getpid)
    assert lock.controller({"awx_user_name": "bob", "awx_job_id": 12})["user"] == "bob"
    assert lock.controller({"awx_user_name": "bob", "awx_job_id": 12})["job"] == "12"

    def getuser():
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.setattr(lock.getpass, "getuser", getuser)
    assert (lock.controller({})["user"], lock.controller({})["job"]) == (f"uid {os.getuid()}", "")


@pytest.mark.parametrize("torn", [b"", b'{"pid": 1', b"[]", b"7", b'{"pid": 1}'])
def test_a_lock_torn_by_a_crash_counts_as_free(journal, torn):
    with open(journal + ".lock", "wb") as stream:
        stream.write(torn)
    lock.take(journal, lock.owner(os.getpid(), "ann"))


def test_where_there_is_no_proc_a_living_process_still_holds_its_lock(journal):
    me, unseen = lock.owner(os.getpid(), "ann"), {"boot_id": "", "processes": "", "start": ""}
    assert not lock.is_stale(dict(me, **unseen), dict(me, **unseen))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert lock.is_stale(dict(me, pid=ended.pid, **unseen), dict(me, **unseen))


def test_the_worker_of_a_killed_controller_does_not_take_the_lock(journal):
    script = (
        "import multiprocessing, os, sys, time\n"
        "from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import lock\n"
        "def work():\n"
        "    first = lock.controller({})['pid']\n"
        "    os.kill(first, 9)\n"
        "    while os.getppid() == first: time.sleep(0.01)\n"
        "    try:\n"
        "        lock.controller({})\n"
        "    except Exception as error:\n"
        "        print(first, error, flush=True)\n"
        "worker = multiprocessing.get_context('fork').Process(target=work)\n"
        "worker.start()\n"
        "worker.join()\n"
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment, text=True)
    output = child.communicate(timeout=60)[0]
    assert output.startswith(f"{child.pid} The controller of this worker has died")


def test_a_directory_that_is_not_there_is_a_clear_error(tmp_path):
    with pytest.raises(RolloutError, match="cannot be opened: No such file"):
        lock.take(str(tmp_path / "no" / "web.jsonl"), lock.owner(os.getpid(), "ann"))
