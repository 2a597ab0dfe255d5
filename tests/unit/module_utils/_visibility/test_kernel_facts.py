# The facts: one schema on every kernel.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import shutil
import threading
import time

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._health import health
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import kernel_facts
from tests.unit.fakes.elf import KERNEL
from tests.unit.fakes.kernel import FakeKernel

NEW = ("patched", "replace", "stack_order")


@pytest.fixture
def kernel(tmp_path):
    return FakeKernel(tmp_path)


def gather(kernel):
    return kernel_facts.gather(kernel.root)


def test_a_patched_host_names_its_livepatch_and_its_effective_release(kernel):
    kernel.insert("hotfix1", transition=0)
    kernel.text("proc/sys/kernel/tainted", "45056")
    facts = gather(kernel)
    assert facts["supported"] and facts["enabled"] == "hotfix1"
    assert facts["kernel_release"] == KERNEL and facts["effective_release"] == KERNEL + "-hotfix1"
    assert facts["boot_id"] == "b0"
    assert facts["taint"] == {"value": 45056, "flags": ["O", "E", "K"]}
    assert facts["patches"]["hotfix1"] == {
        "enabled": True,
        "transition": False,
        "replace": None,
        "stack_order": 1,
        "forced": None,
        "build_id": "11" * 20,
        "objects": {"vmlinux": {"patched": True, "functions": ["some_function"]}},
        "srcversion": None,
        "file": None,
        "package": None,
        "packaged": None,
        "cves": None,
        "taint": "OEK",
        "persistent": False,
    }


def test_on_a_kernel_without_transitions_a_livepatch_is_enabled_as_soon_as_it_is_there(kernel):
    kernel.consistent = False
    kernel.insert("hotfix1")
    facts = gather(kernel)
    assert (facts["enabled"], facts["inert"], facts["transition"]) == ("hotfix1", [], None)
    assert facts["patches"]["hotfix1"]["transition"] is False


@pytest.mark.parametrize("attributes", [(), ("patched",), NEW])
def test_every_kernel_has_the_same_keys_and_what_it_lacks_is_null(kernel, attributes):
    kernel.attributes = attributes
    kernel.insert("zz_oldest", transition=0)
    kernel.insert("aa_newest", replace=False, transition=0)
    facts = gather(kernel)
    assert facts["enabled"] == "aa_newest"
    assert {name: patch["stack_order"] for name, patch in facts["patches"].items()} == {"zz_oldest": 1, "aa_newest": 2}
    assert facts["patches"]["zz_oldest"]["replace"] is (True if "replace" in attributes else None)
    assert facts["patches"]["zz_oldest"]["objects"]["vmlinux"]["patched"] is (True if "patched" in attributes else None)


def test_a_livepatch_counts_only_when_its_transition_has_ended(kernel):
    kernel.insert("hotfix1", transition=0)
    kernel.insert("hotfix2")
    facts = gather(kernel)
    assert facts["enabled"] == "hotfix1"
    nobody_asked = {"blockers": None, "summary": None, "seconds": None}
    assert facts["transition"] == dict(nobody_asked, livepatch="hotfix2", direction="patching")
    kernel.write("hotfix2/enabled", "0")
    assert gather(kernel)["transition"] == dict(nobody_asked, livepatch="hotfix2", direction="unpatching")


def test_a_loaded_module_without_a_livepatch_is_inert_only_with_the_taint_of_one(kernel):
    kernel.leave_inert("hotfix1")
    kernel.ordinary_module("ext4")
    facts = gather(kernel)
    assert facts["inert"] == ["hotfix1"] and facts["enabled"] is None and facts["effective_release"] == KERNEL


def test_a_directory_that_is_just_vanishing_is_no_livepatch(kernel):
    kernel.text("sys/kernel/livepatch/half/enabled", "0")
    kernel.text("sys/kernel/livepatch/half/transition", "0")
    kernel.directory("sys/kernel/livepatch/empty")
    assert gather(kernel)["patches"] == {}


def test_livepatches_that_come_and_go_while_they_are_read_are_no_error(kernel):
    """The readers of all modules meet a tree that somebody else builds and takes away all the time."""
    over = threading.Event()

    def interfere():
        while not over.is_set():
            kernel.insert("hotfix1", transition=0, objects=("vmlinux", "ext4"))
            shutil.rmtree(os.path.join(kernel.root, "sys/kernel/livepatch/hotfix1"), ignore_errors=True)

    other = threading.Thread(target=interfere)
    other.start()
    seen = set()
    try:
        end = time.time() + 20
        while seen != {None, "hotfix1"} and time.time() < end:
            for _number in range(50):
                seen.add(gather(kernel)["enabled"])
                health.look({"boot_id": "b0", "sequence": 0}, kernel.root, no_log)
    finally:
        over.set()
        other.join()
    assert seen == {None, "hotfix1"}


def no_log(sequence):
    return kernel_log.Reading([], 0, kernel_log.READ, None, [])


@pytest.mark.parametrize("text, seconds", [("86400.75 9.1\n", 86400), ("0.00 0.00", 0), ("", None), ("soon", None), ("-5 1", None)])
def test_the_uptime_is_in_whole_seconds_and_null_where_it_cannot_be_read(kernel, text, seconds):
    kernel.text("proc/uptime", text)
    assert gather(kernel)["uptime_seconds"] == seconds


def test_a_host_without_support_is_no_error(tmp_path):
    facts = kernel_facts.gather(str(tmp_path))
    assert facts["supported"] is False and facts["patches"] == {} and facts["effective_release"] == ""


def test_the_operating_systems_ids_are_lower_case_words_without_quotes(kernel):
    kernel.text("etc/os-release", 'NAME="Rocky Linux"\nID="Rocky"\nID_LIKE="rhel centos fedora rocky"')
    assert gather(kernel)["os_family_ids"] == ["rocky", "rhel", "centos", "fedora"]
    os.remove(os.path.join(kernel.root, "etc/os-release"))
    kernel.text("usr/lib/os-release", "ID=debian")
    assert gather(kernel)["os_family_ids"] == ["debian"]
