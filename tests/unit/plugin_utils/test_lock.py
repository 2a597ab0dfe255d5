# Tests of the lock: one controller at a time, dead ones do not count.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import signal
import subprocess
import sys
import threading

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


@pytest.mark.parametrize("machine_id, boot_id", [("a" * 32, "one"), ("", "one"), ("uninitialized", "one")])
def test_a_machine_of_the_same_name_is_another_one_and_its_lock_is_not_taken(journal, monkeypatch, machine_id, boot_id):
    here, there = {"/etc/machine-id": "b" * 32}, {"/etc/machine-id": machine_id, "/proc/sys/kernel/random/boot_id": boot_id}
    text = lock._text
    monkeypatch.setattr(lock, "_text", lambda path: there.get(path, text(path)))
    lock.take(journal, dict(lock.owner(os.getpid(), "bob"), processes=lock.MACHINE))
    monkeypatch.setattr(lock, "_text", lambda path: here.get(path, text(path)))
    me = dict(lock.owner(os.getpid(), "ann"), processes=lock.MACHINE)
    assert "b" * 32 not in json.dumps(me), "a machine-id is not shown to others"
    with pytest.raises(RolloutError, match="Another controller works on this rollout: bob"):
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


@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_job_that_its_server_has_seen_end_is_taken_over_at_once_and_no_other(journal, place):
    me = lock.owner(os.getpid(), "ann", "13")
    bob = dict(me, user="bob", job="12", **place)
    lock.take(journal, bob)
    for has_ended in (None, lambda holder: False):
        with pytest.raises(RolloutError, match="job 12, since"):
            lock.take(journal, me, None, has_ended)
        assert lock.holder(journal, me, has_ended)["job"] == "12"
    asked = []
    assert lock.holder(journal, me, lambda holder: True) is None
    assert lock.take(journal, me, None, lambda holder: asked.append(holder) or True)["user"] == "bob"
    assert [holder["job"] for holder in asked] == ["12"]
    with pytest.raises(RolloutError, match="works on this rollout: ann"):
        lock.take(journal, bob)


def test_a_job_that_writes_while_the_server_is_asked_about_it_lives_whatever_the_answer(journal):
    me = lock.owner(os.getpid(), "ann", "13")
    bob = dict(me, user="bob", job="12", controller="elsewhere")
    lock.take(journal, bob)

    def has_ended(holder):
        lock.take(journal, bob)  # Nothing is locked meanwhile.
        return True

    silent(journal, 1)
    with pytest.raises(RolloutError, match="works on this rollout: bob"):
        lock.take(journal, me, None, has_ended)


@pytest.mark.parametrize("job, place", [("12", {}), ("13", {"controller": "elsewhere"}), ("", {"controller": "elsewhere"})])
def test_nobody_is_asked_about_a_process_that_is_seen_here_or_is_of_this_very_job_or_of_none(racers, journal, job, place):
    child = racers()
    bob = dict(lock.owner(child.pid, "bob", job), **place)
    lock.take(journal, bob)
    with pytest.raises(RolloutError, match="works on this rollout: bob"):
        lock.take(journal, lock.owner(os.getpid(), "ann", "13"), None, lambda holder: True)


@pytest.mark.parametrize(
    "allowed, minutes", [(lock.WAITING, 5), (2 * 3600, 120), ("soon", 45), (True, 45), (-1, 45), (1e99, 45), (10**9, 45)]
)
def test_how_silent_a_controller_may_be_says_its_lock(journal, allowed, minutes):
    me = lock.owner(os.getpid(), "ann")
    lock.take(journal, dict(me, controller="elsewhere", silence=allowed))
    silent(journal, minutes - 1)
    with pytest.raises(RolloutError, match=f"when it has been silent for {minutes} minutes"):
        lock.take(journal, me, "the node is gone")
    silent(journal, 2)
    assert lock.take(journal, me, "the node is gone")["allowed"] == minutes * 60


def test_a_controller_may_be_silent_for_as_long_as_the_tasks_of_a_slice_may_take():
    assert lock.longest([60]) == lock.SILENCE
    assert lock.longest([1020, 420, 300], hosts=12, forks=5) == 3 * 1740 + 60
    assert lock.longest([10**9], hosts=10**6, forks=0) == lock.MOST_SILENCE


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
    with pytest.raises(RolloutError, match="cannot be taken: Function not implemented. Keep the journals on a file system .* on NFS its lock service"):
        lock.take(journal, lock.owner(os.getpid(), "ann"))


# A controller on a machine of its own, with locks as NFS has them: those of fcntl(2), which want a file open for writing.
FAR = """
import fcntl, os, sys
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal, lock
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
fcntl.flock = fcntl.lockf
path, name = sys.argv[1:]
me, done = dict(lock.owner(os.getpid(), name), controller=name, machine=name), 0
while done < 15:
    try:
        lock.take(path, me)
    except RolloutError as error:
        assert "Another controller works on this rollout" in str(error), error
        continue
    for kind in ("begin", "end"):
        journal.append(path, [{"kind": kind, "who": name}])
    lock.holder(path, me)
    lock.release(path, me)
    done += 1
"""


def test_controllers_on_several_machines_with_locks_as_of_nfs_work_one_after_the_other(journal):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    children = [subprocess.Popen([sys.executable, "-c", FAR, journal, name], env=environment) for name in ("one", "two", "three")]
    assert [child.wait(timeout=120) for child in children] == [0, 0, 0]
    with open(journal, encoding="utf-8") as stream:
        entries = [json.loads(line) for line in stream]
    assert len(entries) == 90
    for begin, end in zip(entries[::2], entries[1::2]):
        assert (begin["kind"], end["kind"]) == ("begin", "end") and begin["who"] == end["who"]


MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
31 27 %s / /srv\\040a rw,relatime shared:1 - %s
"""


@pytest.mark.parametrize(
    "system, found",
    [
        ("nfs server:/x rw,vers=3,nolock,local_lock=all", "local_lock=all nolock"),
        ("nfs server:/x rw,vers=3,local_lock=flock,addr=10.0.0.1", "local_lock=flock"),
        ("fuse.sshfs user@host:/x rw,user_id=0", "fuse.sshfs"),
        ("nfs4 server:/x rw,vers=4.2,local_lock=none", None),
        ("ext4 /dev/vda1 rw", None),
        ("", None),
    ],
)
def test_locks_that_only_this_machine_sees_are_told_of(journal, monkeypatch, system, found):
    device = os.stat(os.path.dirname(journal)).st_dev
    mounts = MOUNTS % (f"{os.major(device)}:{os.minor(device)}", system)
    monkeypatch.setattr(lock, "_text", lambda path: mounts if path == "/proc/self/mountinfo" else "")
    words = lock.local_only(journal)
    assert (words is None) if found is None else (f"{found}) are seen on this machine only" in words)
    assert lock.local_only("/none/web.jsonl") is None


def test_two_that_plan_in_one_directory_do_so_one_after_the_other(tmp_path):
    told = []

    def plan():
        with lock.alone(str(tmp_path)):
            told.append("second")

    second = threading.Thread(target=plan)
    with lock.alone(str(tmp_path)):
        second.start()
        second.join(0.2)
        told.append("first")
    second.join(10)
    assert told == ["first", "second"]
    with pytest.raises(RolloutError, match="cannot be opened"), lock.alone(str(tmp_path / "none")):
        pass


WAITER = """
import os, sys, time
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import lock
me = lock.owner(os.getpid(), "bob")
lock.take(sys.argv[1], me)
try:
    with lock.ending():
        print("waiting", flush=True)
        time.sleep(60)
finally:
    time.sleep(0.2)
    lock.release(sys.argv[1], me)
    print("given back", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_told_to_end_while_it_waits_gives_the_lock_back_also_when_told_twice(journal, number):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    child = subprocess.Popen([sys.executable, "-c", WAITER, journal], stdout=subprocess.PIPE, env=environment, text=True)
    assert child.stdout.readline() == "waiting\n"
    child.send_signal(number)
    child.send_signal(number)
    assert child.communicate(timeout=30)[0] == "given back\n"
    assert child.returncode == 128 + number
    assert os.path.getsize(journal + ".lock") == 0


def test_after_waiting_signals_do_what_they_did_before():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with lock.ending():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_the_user_and_the_job_of_awx_are_those_of_the_lock_and_a_user_without_a_name_is_a_number(monkeypatch):
    monkeypatch.setattr(lock, "living_controller", os.getpid)
    assert lock.controller({"awx_user_name": "bob", "awx_job_id": 12})["user"] == "bob"
    assert lock.controller({"awx_user_name": "bob", "awx_job_id": 12})["job"] == "12"
    monkeypatch.setenv("CONTROLLER_HOST", "https://awx/")
    monkeypatch.setenv("CONTROLLER_OAUTH_TOKEN", "secret")
    assert lock.controller({"awx_job_id": 12})["server"] == "https://awx" and lock.controller({})["server"] is None

    def getuser():
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.setattr(lock.getpass, "getuser", getuser)
    assert (lock.controller({})["user"], lock.controller({})["job"]) == (f"uid {os.getuid()}", "")


@pytest.mark.parametrize("torn", [b"", b'{"pid": 1', b"[]", b"7", b'{"pid": 1}', b"[" * 50000])
def test_a_lock_torn_by_a_crash_counts_as_free(journal, torn):
    with open(journal + ".lock", "wb") as stream:
        stream.write(torn)
    lock.take(journal, lock.owner(os.getpid(), "ann"))


def test_where_there_is_no_proc_a_living_process_still_holds_its_lock(journal):
    me, unseen = lock.owner(os.getpid(), "ann"), {"machine": "", "boot_id": "", "processes": "", "start": ""}
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
