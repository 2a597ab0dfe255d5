# Faults on real kernels: an execution that is killed at any step, users who change what is read, file systems that are full.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import concurrent.futures
import json
import pathlib

import pytest

from tests.endurance import guests
from tests.integration.tasks import (  # pylint: disable=unused-import # noqa: F401 (modules is a fixture)
    CLEAN,
    assert_clean,
    assert_enabled,
    assert_refused,
    each,
    livepatch,
    modules,
    path,
    raw,
)

# A user's directory, in which a link leads to one build and the other of the same livepatch, by turns.
SWAP = """
import os, time
end = time.time() + 300
while time.time() < end and not os.path.exists("/srv/user/end"):
    for name in ("hotfix1", "hotfix1_rebuilt"):
        os.symlink("/srv/user/%s" % name, "/srv/user/.new")
        os.rename("/srv/user/.new", "/srv/user/hotfix1.ko")
        time.sleep(0.002)
"""
SWAPS = """mkdir /srv/user && cp /root/lab/hotfix1.ko /srv/user/hotfix1 && cp /root/lab/hotfix1_rebuilt.ko /srv/user/hotfix1_rebuilt
chown -R 1000:1000 /srv/user && chmod 777 /srv/user
echo '%s' > /srv/user/swap.py
setpriv --reuid 1000 --regid 1000 --clear-groups python3 /srv/user/swap.py > /dev/null 2>&1 &
while ! test -L /srv/user/hotfix1.ko; do sleep 0.1; done
"""
RUNS = "od -An -tx1 -j16 /sys/module/hotfix1/notes/.note.gnu.build-id | tr -d ' \\n'"
FULL = "mount -t tmpfs -o size=4k,mode=755 none /run/livepatch; touch /run/livepatch/lock; head -c 8192 /dev/zero > /run/livepatch/full; true"

HERE = pathlib.Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def kills(fleet, some):
    """{kernel: what killed.py told}, of as many guests at once as the machine bears."""
    named = {guest.machine.kernel.name: guest for guest in some("5.10").values()}

    def go_on(name):
        guest = named[name]
        guests.put(guest, [HERE / "killed.py"] + [fleet.module(release, name) for release in guests.RELEASES])
        files = ["%s/%s.ko" % (guests.HERE, release) for release in guests.RELEASES]
        ended = guest.ssh(["python3", guests.HERE + "/killed.py", guests.HERE] + files, timeout=1200)
        assert ended.returncode == 0, ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()]

    with concurrent.futures.ThreadPoolExecutor(fleet.at_once) as pool:
        return dict(zip(named, pool.map(go_on, named)))


def test_a_replacement_is_killed_before_and_after_everything_it_does_to_the_kernel(kills):
    for kernel, told in kills.items():
        steps = [one["step"] for one in told]
        assert {"before load", "after load", "before unload", "after unload"} <= set(steps), kernel
        by_step = {one["step"]: one["loaded"] for one in told}
        assert by_step["before load"] == ["hotfix1"], kernel
        assert sorted(by_step["after load"]) == ["hotfix1", "hotfix2"], kernel
        assert by_step["after unload"] == ["hotfix2"], kernel


def test_the_same_task_after_a_kill_ends_as_it_should_have_the_first_time(kills):
    for kernel, told in kills.items():
        for one in told:
            for result in (one["first"], one["again"], one["third"]):
                assert not result["failed"] and result["proven"], (kernel, one["step"], result.get("msg"))
            assert one["again"]["diff"]["after"] == {"enabled": ["hotfix2"], "inert": []}, (kernel, one["step"])
            assert one["first"]["diff"]["after"] == {"enabled": ["hotfix1"], "inert": []}, (kernel, one["step"])
            assert not one["third"]["changed"], (kernel, one["step"])


def test_what_a_user_puts_in_place_of_a_file_meanwhile_is_never_said_to_be_something_else(
    steps, some, modules
):  # noqa: F811
    tries = []
    for number in range(4):
        swapped = livepatch("swapped %d" % number, path="/srv/user/hotfix1.ko")
        tries += [swapped, raw("runs %d" % number, RUNS), dict(CLEAN, name="clean %d" % number)]
    begin, end = raw("swaps", SWAPS % SWAP), raw("ends", "touch /srv/user/end; sleep 1; rm -r /srv/user")
    results = steps([begin] + tries + [end], some("6.12"))
    for number in range(4):
        for host, result in each(results, "swapped %d" % number):
            assert result["failed"] != result["proven"]
            runs = results["runs %d" % number][host]["stdout"]
            assert not result["proven"] or result["build_id"] == runs, (host, result, runs)


def test_places_that_belong_to_a_user_are_refused_before_anything_is_changed(steps, some, modules):  # noqa: F811
    tasks, places = [], ("/var/lib/livepatch", "/var/lib/livepatch/{kernel}", "/run/livepatch")
    for place in places:
        give = "mkdir -p %s; chown 1000 %s" % (place, place)
        tasks += [raw("give " + place, give), livepatch(place, path=path("hotfix1"))]
        tasks.append(raw("take " + place, "chown 0 " + place))
    results = steps(tasks + [livepatch("own", path=path("hotfix1")), CLEAN], some("6.12"))
    for place, code in zip(places, ("write_failed", "write_failed", "not_permitted")):
        assert_refused(results, place, code, "root's own")
    assert_enabled(results, "own", ["hotfix1"])
    assert_clean(results)


def test_without_room_in_run_livepatches_are_replaced_and_none_is_forced(steps, some, modules):  # noqa: F811
    results = steps(
        [
            raw("full", FULL),
            livepatch("first", path=path("hotfix1")),
            livepatch("second", path=path("hotfix2")),
            livepatch("stalls", path=path("stalls"), timeout=3, force=True),
            raw("was forced", "dmesg | grep 'forcing remaining tasks'; umount /run/livepatch"),
            CLEAN,
        ],
        some("6.12"),
    )
    assert_enabled(results, "first", ["hotfix1"])
    assert_enabled(results, "second", ["hotfix2"])
    assert_refused(results, "stalls", "stalled", "It was not forced", "hotfix2 as before")
    for dummy, result in each(results, "was forced"):
        assert "forcing" not in result["stdout"]
    assert_clean(results)
