# Counting calls by probes: what is written into tracefs, what is refused, and that nothing is left behind.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import os
import shutil
import signal

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._preflight import profile
from tests.unit.fakes import elf
from tests.unit.fakes.kernel import FakeKernel

TRACING = "sys/kernel/tracing"


class Tracefs(FakeKernel):
    """A kernel with tracefs; each of its probes is hit `hits` times a second."""

    def __init__(self, root, monkeypatch):
        super(Tracefs, self).__init__(root)
        self.probes, self.hits, self.enabled, self.refuses = {}, 10, False, {}
        self.text("proc/self/mounts", "nodev /sys/kernel/tracing tracefs rw 0 0")
        self.text(TRACING + "/current_tracer", "nop")
        self.text(TRACING + "/kprobe_events", "")
        self.directory(TRACING + "/instances")
        monkeypatch.setattr(profile, "_put", self.put)
        monkeypatch.setattr(profile, "_mkdir", self.make)
        monkeypatch.setattr(profile, "_rmdir", shutil.rmtree)

    def make(self, place):
        self.directory(os.path.relpath(place, self.root))

    def put(self, place, words, flags):
        name = os.path.basename(place)
        if name == "kprobe_events":
            self.change_probe(place, words)
        elif name == "enable":
            self.enabled = words == "1"
        self.show()

    def change_probe(self, place, words):
        first, unused, where = words.partition(" ")
        kind, unused, event = first.partition(":")
        if where in self.refuses:
            raise OSError(self.refuses[where], os.strerror(self.refuses[where]), place)
        if kind == "-":
            assert not self.enabled, "an enabled probe cannot be removed"
            del self.probes[event]
        else:
            self.probes[event] = [where, 0]
            instance = TRACING + "/instances/livepatch_profile"
            self.directory(instance + "/events/livepatch_profile")

    def show(self):
        lines = ["p:%s %s" % (event, where) for event, (where, unused) in self.probes.items()]
        self.text(TRACING + "/kprobe_events", "\n".join(lines))
        counts = ["  %s  %d  0" % (event.split("/")[1], hits) for event, (unused, hits) in self.probes.items()]
        self.text(TRACING + "/kprobe_profile", "\n".join(counts))

    def sleep(self, seconds):
        self.time += seconds
        for probe in self.probes.values():
            probe[1] += int(round(self.hits * seconds)) if self.enabled else 0
        self.show()

    def count(self, check_mode=False, **options):
        params = dict({"name": None, "path": None, "seconds": 5}, **options)
        return profile.run(params, check_mode, self.root, self)

    def refused(self, **options):
        with pytest.raises(LivepatchError) as caught:
            self.count(**options)
        return caught.value.code

    def left(self):
        return self.probes, os.listdir(os.path.join(self.root, TRACING, "instances"))


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    found = Tracefs(tmp_path, monkeypatch)
    found.insert("hotfix1", transition=0)
    return found


def test_calls_are_counted_for_the_time_that_was_asked_for_and_nothing_is_left_behind(kernel):
    result = kernel.count()
    assert (result["seconds"], result["ended_early"]) == (5.0, False)
    assert result["functions"] and all(one["calls"] == 50 for one in result["functions"])
    assert {one["calls_per_second"] for one in result["functions"]} == {10.0}
    assert kernel.left() == ({}, [])


def test_check_mode_names_the_functions_and_counts_nothing(kernel):
    result = kernel.count(check_mode=True)
    assert [one["calls"] for one in result["functions"]] == [None] and kernel.time == 0
    assert kernel.left() == ({}, [])


def test_a_function_so_hot_that_counting_costs_ends_it_early(kernel):
    kernel.hits = 10 * profile.MOST_CALLS
    result = kernel.count()
    assert result["ended_early"] and result["seconds"] < 1 and kernel.left() == ({}, [])


def test_functions_of_a_file_can_be_counted_before_it_is_loaded(kernel, tmp_path, monkeypatch):
    path = tmp_path / "hotfix2.ko"
    path.write_bytes(elf.module(name="hotfix2"))
    from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import patched_functions

    functions = [patched_functions.Function("vmlinux", "f", 0), patched_functions.Function("ext4", "g", 0)]
    monkeypatch.setattr(patched_functions, "read", lambda file: patched_functions.Contents(functions, [], []))
    result = kernel.count(path=str(path))
    assert [(one["object"], one["name"]) for one in result["functions"]] == [("ext4", "g"), ("vmlinux", "f")]


def test_a_function_of_a_module_is_named_with_it_and_one_that_the_kernel_refuses_has_its_reason(kernel):
    kernel.insert("hotfix2", transition=0, replace=False, objects=("vmlinux", "ext4"))
    names = profile._of_host(kernel.root, "hotfix2")
    in_module = next("%s:%s" % pair for pair in names if pair[0] == "ext4")
    kernel.refuses = {in_module: errno.ENOENT}
    found = {one["object"]: one for one in kernel.count(name="hotfix2")["functions"]}
    assert found["ext4"]["calls"] is None and "takes no probe on it: No such file" in found["ext4"]["reason"]
    assert found["vmlinux"]["calls"] == 50 and kernel.left() == ({}, [])


def test_the_most_called_come_first():
    one, two, unknown = [profile.Function("vmlinux", name, calls, None) for name, calls in (("a", 1), ("b", 2), ("c", None))]
    assert sorted([one, unknown, two], key=lambda found: -(found.calls or 0))[0] is two


def test_where_another_tracer_is_at_work_nothing_is_done(kernel):
    kernel.text(TRACING + "/current_tracer", "function_graph")
    assert kernel.refused() == "tracer_active" and kernel.left() == ({}, [])


def test_without_tracefs_it_says_how_to_mount_it(kernel):
    kernel.text("proc/self/mounts", "")
    assert kernel.refused() == "tracefs_missing"


def test_a_livepatch_that_does_not_run_is_not_found(kernel):
    assert kernel.refused(name="hotfix9") == "not_found"
    assert kernel.refused(name="a/b") == "bad_name"


def test_a_module_that_is_no_livepatch_is_refused(kernel, tmp_path):
    path = tmp_path / "ext4.ko"
    path.write_bytes(elf.module(name="ext4", livepatch=None))
    assert kernel.refused(path=str(path)) == "not_a_livepatch"


def test_a_host_without_a_livepatch_has_nothing_to_count(tmp_path, monkeypatch):
    assert Tracefs(tmp_path, monkeypatch).count()["functions"] == []


def test_what_a_killed_run_has_left_is_removed_first(kernel):
    kernel.put(os.path.join(kernel.root, TRACING, "kprobe_events"), "p:livepatch_profile/livepatch_profile_7 old", 0)
    kernel.enabled = True
    assert [one["calls"] for one in kernel.count()["functions"]] == [50]
    assert kernel.left() == ({}, [])


def test_of_a_name_that_several_functions_have_nothing_is_counted(kernel):
    name = profile._of_host(kernel.root, None)[0][1]
    kernel.text("proc/kallsyms", "0 t %s\n0 t %s\n" % (name, name))
    (found,) = kernel.count()["functions"]
    assert found["calls"] is None and found["reason"].startswith("2 functions have this name")


def test_a_signal_takes_the_probes_away_before_it_ends_the_process(kernel, monkeypatch):
    def told(seconds):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(kernel, "sleep", told)
    with pytest.raises(SystemExit):
        kernel.count()
    assert kernel.left() == ({}, [])


def test_probes_that_cannot_be_taken_away_are_told(kernel, monkeypatch):
    def busy(place):
        raise OSError(errno.EBUSY, "Device or resource busy", place)

    monkeypatch.setattr(profile, "_rmdir", busy)
    with pytest.raises(LivepatchError) as caught:
        kernel.count()
    assert caught.value.code == "trace_failed" and "may be left, the next run removes them" in caught.value.message


def test_a_failure_in_the_middle_leaves_nothing_behind(kernel):
    name = profile._of_host(kernel.root, None)[0][1]
    kernel.refuses = {name: errno.ENOMEM}
    assert kernel.refused() == "trace_failed" and kernel.left() == ({}, [])


def test_an_interrupted_run_leaves_nothing_behind(kernel, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(kernel, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        kernel.count()
    assert kernel.left() == ({}, [])


def test_another_run_at_work_on_the_host_is_named(kernel):
    from ansible_collections.kernel.livepatch.plugins.module_utils._change import host_lock

    with host_lock.HostLock(kernel.root, "hotfix2: enabled", 0, kernel):
        assert kernel.count()["functions"], "a livepatch that is brought in is none of its business"
    with host_lock.HostLock(kernel.root, "counting calls", 0, kernel, name="profile.lock"):
        assert kernel.refused() == "locked"


def test_only_root_may_count(kernel, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert kernel.refused() == "not_permitted"


def test_a_name_that_is_no_name_never_reaches_the_kernel(kernel):
    found = profile.Profile(kernel.root, [("vmlinux", "f 0x10")])
    with found as probes:
        assert probes.counted()[0].reason == "its name cannot be given to the kernel"
    assert kernel.left() == ({}, []) and reading.read_text(os.path.join(kernel.root, TRACING, "kprobe_events")) == ""
