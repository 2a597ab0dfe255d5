# Other livepatch engines: found by their files, asked by their programs, refused when they are at work.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import time

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import engines as _engines

KERNEL = "5.14.0-427.40.1.el9_4.x86_64"
SYSCARE = """\
Uuid                                     Name                                                         Status
c5d6e7f8-0000-4000-8000-000000000001     redis-6.2.5-1/HP001-1-1/redis-server                         ACTIVED
%s
"""


@pytest.fixture
def root(tmp_path):
    return str(tmp_path)


def host(*modules):
    return sysfs.Host(True, KERNEL, {}, {name: sysfs.Module(0, "OE", True) for name in modules})


def program(root, path, output="", status=0):
    """A program at a path that prints what it is told to, and notes how it was called."""
    place = os.path.join(root, path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place + ".says", "w") as stream:
        stream.write(output)
    with open(place, "w") as stream:
        stream.write('#!/bin/sh\necho "$@" > "$0.called"\ncat "$0.says"\nexit %d\n' % status)
    os.chmod(place, 0o755)
    return place


def find(root, *modules):
    return [tuple(engine) for engine in _engines.find(root, host(*modules))]


def canonical(state, running=True, version="104.1"):
    livepatch = {"CheckState": "checked", "State": state, "Version": version, "Fixes": []}
    return json.dumps({"Status": [{"Kernel": "5.15.0-100.110-generic", "Running": running, "Livepatch": livepatch}]})


def test_a_host_without_another_engine_has_none_and_starts_no_process(root, monkeypatch):
    monkeypatch.setattr(_engines.processes, "run", None)
    assert find(root) == []


def test_ksplice_is_active_when_its_modules_are_loaded(root):
    program(root, "usr/sbin/uptrack-uname", "5.14.0-503.15.1.el9_5.x86_64\n")
    assert find(root, "ksplice_ab12cd_vmlinux_new") == [("ksplice", True, "5.14.0-503.15.1.el9_5.x86_64")]


@pytest.mark.parametrize("noise", ["Updating Subscription Management repositories.\n", "Loading\n", "\n"])
def test_what_is_printed_before_the_release_is_no_release(root, noise):
    program(root, "usr/sbin/uptrack-uname", noise + KERNEL + "\n")
    assert find(root) == [("ksplice", False, KERNEL)]
    program(root, "usr/sbin/uptrack-uname", noise)
    assert find(root) == [("ksplice", None, None)]


@pytest.mark.parametrize("release, active", [(KERNEL, False), ("5.14.0-503.15.1.el9_5.x86_64", True)])
def test_ksplice_is_active_when_its_release_is_not_the_kernels(root, release, active):
    place = program(root, "usr/sbin/uptrack-uname", release + "\n")
    assert find(root) == [("ksplice", active, release)]
    with open(place + ".called") as stream:
        assert stream.read() == "-r\n"


@pytest.mark.parametrize("output, status", [("", 0), ("x", 1), ("Please run uptrack-upgrade first\n", 0)])
def test_an_engine_that_gives_no_release_is_neither_active_nor_idle(root, output, status):
    program(root, "usr/sbin/uptrack-uname", output, status)
    assert find(root) == [("ksplice", None, None)]


def test_kernelcare_without_its_module_is_idle_and_is_not_asked(root):
    place = program(root, "usr/bin/kcarectl", "5.14.0-503\n")
    assert find(root) == [("kernelcare", False, None)]
    assert not os.path.exists(place + ".called")


@pytest.mark.parametrize("release, active", [(KERNEL, False), ("5.14.0-503.15.1.el9_5.x86_64", True)])
def test_kernelcare_is_active_when_its_release_is_not_the_kernels(root, release, active):
    program(root, "usr/bin/kcarectl", release + "\n")
    assert find(root, "kcare") == [("kernelcare", active, release)]


@pytest.mark.parametrize("state", ["applied", "applied-with-bug"])
def test_canonical_livepatch_is_active_when_it_has_applied_something_to_the_running_kernel(root, state):
    program(root, "snap/bin/canonical-livepatch", canonical(state))
    assert find(root) == [("canonical", True, KERNEL + "-104.1")]


@pytest.mark.parametrize("state, running", [("nothing-to-apply", True), ("unapplied", True), ("applied", False)])
def test_canonical_livepatch_that_has_applied_nothing_here_is_idle(root, state, running):
    program(root, "snap/bin/canonical-livepatch", canonical(state, running))
    assert find(root) == [("canonical", False, None)]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"Status": 3}', '{"Status": [3]}', '{"Status": [{"Running": true}]}']
)
def test_an_answer_of_canonical_livepatch_that_is_not_understood_is_no_answer(root, text):
    program(root, "snap/bin/canonical-livepatch", text)
    assert find(root) == [("canonical", None, None)]


@pytest.mark.parametrize("status", ["ACTIVED", "ACCEPTED"])
def test_syscare_is_active_when_a_patch_of_the_kernel_is(root, status):
    row = "c5d6e7f8-0000-4000-8000-000000000002     kernel-5.10.0-60.91.0.115.oe2203/HP001-1-1        " + status
    program(root, "usr/bin/syscare", SYSCARE % row)
    assert find(root) == [("syscare", True, KERNEL + "-HP001-1-1")]


@pytest.mark.parametrize("row", ["", "c5d6     kernel-5.10.0-60.91.0.115.oe2203/HP001-1-1        DEACTIVED"])
def test_syscare_that_only_mends_programs_is_idle(root, row):
    program(root, "usr/bin/syscare", SYSCARE % row)
    assert find(root) == [("syscare", False, None)]


@pytest.mark.parametrize("enabled, expected", [("1", (True, KERNEL + "-old_fix")), ("0", (False, None))])
def test_the_old_core_module_of_kpatch_is_an_engine_of_its_own(root, enabled, expected):
    directory = os.path.join(root, "sys/kernel/kpatch/old_fix")
    os.makedirs(directory)
    with open(os.path.join(directory, "enabled"), "w") as stream:
        stream.write(enabled + "\n")
    assert find(root) == [("kpatch_core",) + expected]


def test_a_livepatch_that_the_kpatch_script_loaded_is_no_other_engines(root):
    program(root, "usr/sbin/kpatch", "Loaded patch modules:\nkpatch_5_14_0 [enabled]\n")
    assert find(root, "kpatch_5_14_0_427_40_1_1_5") == []


def test_an_engine_that_does_not_answer_in_time_is_ended_with_its_children(root):
    place = program(root, "usr/sbin/uptrack-uname")
    with open(place, "w") as stream:
        stream.write("#!/bin/sh\nsleep 60 &\nsleep 60\n")
    began = time.monotonic()
    assert _engines.find(root, host(), seconds=0.2) == [("ksplice", None, None)]
    assert time.monotonic() - began < 30


def test_an_engine_that_never_stops_talking_is_ended(root):
    place = program(root, "usr/sbin/uptrack-uname")
    with open(place, "w") as stream:
        stream.write("#!/bin/sh\nexec yes word\n")
    assert [tuple(engine) for engine in _engines.find(root, host())] == [("ksplice", None, None)]


def test_an_active_engine_is_refused_with_its_name_and_what_it_runs():
    engines = [_engines.Engine("canonical", False, None), _engines.Engine("ksplice", True, "5.14.0-503")]
    with pytest.raises(LivepatchError, match=r"livepatch hotfix1: .*found ksplice active \(5.14.0-503\)") as caught:
        _engines.require_idle(engines, "livepatch hotfix1")
    assert caught.value.code == "other_engine"
    assert caught.value.details["engines"][1] == {"name": "ksplice", "active": True, "effective_release": "5.14.0-503"}


def test_an_idle_engine_is_let_be_and_a_silent_one_is_warned_about():
    engines = [_engines.Engine("canonical", False, None), _engines.Engine("ksplice", None, None)]
    warnings = _engines.require_idle(engines, "livepatch hotfix1")
    assert len(warnings) == 1 and warnings[0].startswith("ksplice is installed on this host and did not say")
