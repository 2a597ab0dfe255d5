# An execution that is killed at any step on a real kernel: the same task again brings the host where it should be.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import concurrent.futures
import json
import pathlib

import pytest

from tests.endurance import guests

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
