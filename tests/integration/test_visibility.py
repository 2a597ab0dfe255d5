# What others see of a livepatch: programs on the host, and whoever receives its kernel's messages.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import re
import socket
import time

import pytest

from tests.integration.tasks import (  # pylint: disable=unused-import # noqa: F401 (modules is a fixture)
    CLEAN,
    livepatch,
    modules,
    path,
    raw,
)

SHOW = "kernel.livepatch.livepatch_visibility"
CONFIGFS = (
    "modprobe netconsole; mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config; dmesg -n 8"
)
HIDE = {"name": "hide", SHOW: {"state": "absent"}}


@pytest.fixture
def receiver():
    """A socket on which the messages of a guest's netconsole arrive."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        found.settimeout(1)
        yield found


def messages(receiver, wanted, seconds=60):
    """The messages (list of str) that arrive until one of them has these words, as a regular expression."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found.append(receiver.recv(9000).decode("utf-8", "replace"))
        except socket.timeout:
            continue
        if re.search(wanted, found[-1], re.S):
            return found
    raise AssertionError("%r was not among %r" % (wanted, found))


@pytest.fixture
def rebooted_afterwards(some):
    """For guests whose kernel a test leaves broken."""
    yield
    for guest in some("5.10", "7.2").values():
        guest.ssh(["sync"])
        guest.kill()
        guest.start()
        guest.wait_for_ssh()


def show(receiver, check_mode=False):
    targets = [{"name": "lab", "remote_ip": "10.0.2.2", "remote_port": receiver.getsockname()[1]}]
    return {"name": "show", SHOW: {"netconsole_targets": targets}, "check_mode": check_mode}


def test_the_messages_of_an_oops_tell_which_livepatch_ran(
    fleet, some, tasks_in, in_guest, modules, receiver, rebooted_afterwards
):  # noqa: F811
    (new,) = some("7.2").values()
    kernel = new.machine.kernel.name
    assert kernel in ("6.12", "7.2"), "older ones cannot"
    device = new.ssh(["sh", "-c", "ls /sys/class/net | grep -v lo"]).stdout.split()
    assert device == ["eth0"]
    predicted, shown, again, replaced = tasks_in(
        new,
        [
            raw("console", CONFIGFS),
            livepatch("enabled", path=path("hotfix1")),
            show(receiver, check_mode=True),
            show(receiver),
            show(receiver),
            livepatch("replaced", path=path("hotfix2")),
        ],
    )[2:]
    assert not shown["failed"] and predicted["changed"] and shown["changed"] and not again["changed"], shown
    assert [(target["name"], target["how"]) for target in shown["netconsole"]] == [("livepatch-lab", "userdata")]
    assert replaced["proven"]
    new.ssh(["sh", "-c", "echo '<4>a line after that' > /dev/kmsg"])
    last = messages(receiver, "a line after that")[-1]
    assert last.startswith(new.kernel_release + ",") and "\n livepatch=hotfix2\n" in last

    publish = "/etc/livepatch/livepatch.fact publish"
    new.copy(fleet.module("oopses", kernel), "/root/oopses.ko")
    wait = "while [ $(cat /sys/kernel/livepatch/oopses/transition) = 1 ]; do sleep 0.1; done; "
    done = new.ssh(["sh", "-c", "insmod /root/oopses.ko delay_ms=12000; " + wait + publish])
    assert done.returncode == 0, done.stderr
    oops = messages(receiver, "RIP: .*follow_bad_pointer")[-1]
    assert "\n livepatch=oopses\n" in oops


def test_where_messages_cannot_carry_it_the_log_tells_each_change(
    some, tasks_in, in_guest, modules, receiver, rebooted_afterwards
):  # noqa: F811
    (old,) = some("5.10").values()
    assert old.machine.kernel.name in ("5.10", "6.1"), "newer ones can"
    shown = tasks_in(
        old,
        [
            raw("console", CONFIGFS),
            livepatch("enabled", path=path("hotfix1")),
            show(receiver),
            livepatch("replaced", path=path("hotfix2")),
            HIDE,
            CLEAN,
        ],
    )[2]
    assert [(target["name"], target["how"]) for target in shown["netconsole"]] == [("livepatch-lab", "marker")]
    marker = "livepatch-marker: active=%s release=" + re.escape(old.kernel_release)
    messages(receiver, marker % "hotfix2")
    assert old.ssh(["ls", "/sys/kernel/config/netconsole"]).stdout == ""


PROGRAM = "/etc/livepatch/livepatch.fact"
# A Python in a user's directory, which is what modules are run with.
DEPLOYED = "mkdir -p /srv/deploy/bin; cp $(readlink -f /usr/bin/python3) /srv/deploy/bin/python3; chown -R 1000:1000 /srv/deploy"
WITH_IT = "echo '%s' | /srv/deploy/bin/python3 /var/tmp/python/in_guest.py /var/tmp/python"
STEALS = r"printf '#!/bin/sh\ntouch /root/stolen\n' > /srv/deploy/bin/python3"


def test_root_never_starts_the_interpreter_of_a_user_that_modules_were_run_with(some, tasks_in, in_guest):
    (guest,) = some("6.12").values()
    shown = WITH_IT % json.dumps([{"name": "show", SHOW: {}}])
    deployed, first, used, alone, none, removed = tasks_in(
        guest,
        [
            raw("deployed", DEPLOYED),
            raw("shown", shown),
            raw("used", "%s; %s publish && head -c 30 %s; ls /root/stolen" % (STEALS, PROGRAM, PROGRAM)),
            raw("nobody else's", DEPLOYED + "; chmod o+w /usr/bin; " + shown + "; chmod o-w /usr/bin"),
            raw("nothing written", "rm -rf /srv/deploy; head -c 30 " + PROGRAM),
            HIDE,
        ],
    )
    assert not deployed["failed"], deployed
    (result,) = json.loads(first["stdout"])
    assert not result["failed"] and result["changed"], result
    assert used["stdout"].startswith("#!/usr/bin/python3 -I\n") and "No such file" in used["stdout"], used
    (refused,) = json.loads(alone["stdout"])
    assert refused["failed"] and refused["error"] == "insecure_path", refused
    assert "/srv/deploy/bin/python3: expected a Python 3.6 or newer that only root can change" in refused["msg"]
    assert none["stdout"].startswith("#!/usr/bin/python3 -I\n") and not removed["failed"], (none, removed)


PROFILE = "kernel.livepatch.livepatch_profile"
TRACEFS = "mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing"
CALLED = "(while [ ! -e /run/enough ]; do read -r line < /proc/version; sleep 0.05; done > /dev/null 2>&1 &); "
# One function is enough, and to trace all of them costs an emulated guest ten seconds.
TRACE = "cd /sys/kernel/tracing; echo do_nanosleep > set_ftrace_filter; echo function > current_tracer"
LEFT = "touch /run/enough; cat /sys/kernel/tracing/kprobe_events; ls /sys/kernel/tracing/instances; sleep 1; rm /run/enough"


def test_calls_of_patched_functions_are_counted_before_and_after_and_never_beside_a_tracer(
    steps, some, modules
):  # noqa: F811
    count = {"seconds": 3}
    results = steps(
        [
            raw("called", TRACEFS + "; " + CALLED),
            {"name": "before", PROFILE: dict(count, path=path("hotfix1"))},
            livepatch("enabled", path=path("hotfix1")),
            {"name": "after", PROFILE: dict(count, name="hotfix1")},
            raw("left", LEFT),
            {"name": "idle", PROFILE: dict(count, seconds=1)},
            raw("somebody traces", TRACE),
            {"name": "beside a tracer", PROFILE: count},
            raw("nobody traces", "cd /sys/kernel/tracing; echo nop > current_tracer; echo > set_ftrace_filter"),
            CLEAN,
        ],
        some("5.10", "7.2"),
    )
    for name in ("before", "after"):
        for host, result in results[name].items():
            assert not result["failed"] and not result["changed"], result
            (found,) = result["functions"]
            assert (found["object"], found["name"]) == ("vmlinux", "version_proc_show") and found["calls"] > 3, (
                host,
                found,
            )
            assert 3 <= result["seconds"] < 10 and not result["ended_early"]
    for host, result in results["left"].items():
        assert result["stdout"].strip() == "", host
        assert results["idle"][host]["functions"][0]["calls"] == 0
        assert results["beside a tracer"][host]["error"] == "tracer_active"
