# What a crash dump tells without debug information: small dumps made by hand, opened by the real drgn.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._vmcore import vmcore
from tests.unit.fakes import dead_kernel

RELEASE = "6.1.0-50-amd64"
ENABLING = ["enabling patch '%s'", "'%s': starting patching transition"]
ENABLED = ENABLING + ["'%s': patching complete"]
DISABLING = ["'%s': starting unpatching transition"]
PANIC = [
    "BUG: kernel NULL pointer dereference, address: 0000000000000000",
    "Modules linked in: hotfix1(OEK) nfs hotfix2(OE+K) evil(OE) [last unloaded: hotfix0(K)]",
    "RIP: 0010:klp_demo_read+0x5/0x10 [hotfix1]",
    "Kernel panic - not syncing: Fatal exception",
]


def log(*parts, **keywords):
    """A log with these lines. parts: texts, or (list of forms, name of a livepatch). whole: whether it begins with the boot."""
    made = dead_kernel.Log(5, 12, **{key: value for key, value in keywords.items() if key == "little"})
    lines = ["Linux version %s (x)" % RELEASE]
    for part in parts:
        lines += [part] if isinstance(part, str) else ["livepatch: " + form % part[1] for form in part[0]]
    if not keywords.get("whole", True):
        lines = ["older"] * 40 + lines[1:]
    for number, line in enumerate(lines):
        made.write(line, float(number))
    return made


@pytest.fixture
def inspect(tmp_path):
    def look(made, without=(), info=None, machine=62, host=None, kernel_release=RELEASE, **lines):
        said = dead_kernel.vmcoreinfo(without, kernel_release, **lines) if info is None else info
        path = dead_kernel.dump(tmp_path / "vmcore", made.segments(), said, machine, made.little)
        os.utime(str(path), (1700000000, 1700000000))
        return vmcore.inspect(str(path), host=host)

    return look


def test_a_crash_is_told_with_what_ran_and_as_an_event_for_the_gate(inspect):
    found = inspect(log((ENABLED, "hotfix1"), *PANIC), host="web1", CRASHTIME="1700000100")
    assert found["crash"] == {
        "host": "web1",
        "kind": "crash",
        "time": "2023-11-14T22:15:00Z",
        "signature": "crash:klp_demo_read",
        "text": "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "effective_release": RELEASE + "-hotfix1",
    }
    assert (found["told_by"], found["kernel_release"], found["architecture"]) == ("log", RELEASE, "x86_64")
    assert (found["effective_release"], found["enabled"]) == (RELEASE + "-hotfix1", "hotfix1")
    assert (found["time"], found["time_of"]) == ("2023-11-14T22:15:00Z", "crash")
    assert [event["kind"] for event in found["events"]] == ["oops", "crash"]
    assert found["loaded"] == ["hotfix1", "hotfix2"] and found["supported"] is True


def test_that_debug_information_is_missing_is_told_with_the_package_that_brings_it(inspect):
    found = inspect(log())
    assert found["debug_package"] == "linux-image-%s-dbg" % RELEASE
    assert found["debug_package"] in found["reasons"][0] and "00112233" in found["reasons"][0]
    assert "debug_info" in inspect(log(), kernel_release="9.9.9-own")["reasons"][0]


@pytest.mark.parametrize("parts,enabled,transition", [
    ([], None, None),
    ([(ENABLED, "a")], "a", None),
    ([(ENABLED, "a"), (ENABLED, "b")], "b", None),
    ([(ENABLED, "a"), (ENABLING, "b")], "a", {"livepatch": "b", "direction": "patching"}),
    ([(ENABLED, "a"), (DISABLING, "a")], None, {"livepatch": "a", "direction": "unpatching"}),
])  # fmt: skip
def test_the_log_tells_what_was_enabled_and_what_was_in_transition(inspect, parts, enabled, transition):
    found = inspect(log(*parts))
    assert (found["enabled"], found["transition"]) == (enabled, transition)
    assert found["effective_release"] == (RELEASE + "-" + enabled if enabled else RELEASE)
    assert set(found["patches"]) == {enabled, (transition or {}).get("livepatch")} - {None}
    assert all(patch["objects"] is None for patch in found["patches"].values())
    for name, patch in found["patches"].items():
        assert patch["transition"] is (name == (transition or {}).get("livepatch"))
        assert patch["replace"] is patch["stack_order"] is patch["forced"] is None


def test_a_crash_within_a_transition_is_that_livepatchs(inspect):
    found = inspect(log((ENABLED, "a"), (ENABLING, "b"), *PANIC))
    assert found["crash"]["effective_release"] == RELEASE + "-b"
    assert found["effective_release"] == RELEASE + "-a"


def test_a_log_that_does_not_reach_back_leaves_what_it_does_not_say_unknown(inspect):
    found = inspect(log("nothing of interest", whole=False))
    assert found["effective_release"] is found["enabled"] is found["supported"] is found["patches"] is None
    assert any("before its first line" in reason for reason in found["reasons"])
    going = inspect(log((ENABLING, "b"), whole=False))
    assert going["effective_release"] is None and going["transition"]["livepatch"] == "b"


def test_a_machine_that_was_dumped_alive_has_no_crash(inspect):
    found = inspect(log((ENABLED, "a"), "WARNING: CPU: 0 PID: 1 at x.c:19 f+0x1/0x2"))
    assert found["crash"] is None and [event["kind"] for event in found["events"]] == ["warning"]
    assert (found["time"], found["time_of"]) == ("2023-11-14T22:13:20Z", "file")


def test_a_dump_of_kdump_whose_log_gives_no_reason_is_a_crash_all_the_same(inspect):
    assert inspect(log(), host="h", CRASHTIME="1700000100")["crash"]["signature"] == "crash:kdump"


def test_programs_cannot_write_alarms_or_livepatches_into_the_log(inspect):
    made = log()
    for line in PANIC + ["livepatch: 'evil': patching complete"]:
        made.write(line, facility=1)
    found = inspect(made)
    assert found["crash"] is None and found["events"] == [] and found["loaded"] is None and found["patches"] == {}


def test_of_many_alarms_the_last_are_told_and_the_others_counted(inspect):
    made = dead_kernel.Log(8, 15)
    for number in range(60):
        made.write("WARNING: CPU: 0 PID: 1 at x.c:19 f%d+0x1/0x2" % number, number * 60.0)
    found = inspect(made)
    assert (len(found["events"]), found["events_left_out"]) == (50, 10)
    assert found["events"][-1]["signature"] == "warning:f59"


@pytest.mark.parametrize("machine,little,architecture", [
    (183, True, "aarch64"), (21, True, "ppc64le"), (21, False, "ppc64"), (22, False, "s390x"),
])  # fmt: skip
def test_a_dump_of_another_architecture_is_read_too(inspect, machine, little, architecture):
    found = inspect(log((ENABLED, "hotfix1"), little=little), machine=machine)
    assert (found["architecture"], found["enabled"]) == (architecture, "hotfix1")


def error(call, *args, **keywords):
    with pytest.raises(LivepatchError) as raised:
        call(*args, **keywords)
    return raised.value


def test_a_missing_file_is_refused(tmp_path):
    found = error(vmcore.inspect, str(tmp_path / "none"))
    assert found.code == "not_found" and "none" in found.message


def test_debug_information_that_is_missing_or_none_is_refused(tmp_path):
    path = str(dead_kernel.dump(tmp_path / "vmcore", log().segments(), dead_kernel.vmcoreinfo()))
    assert error(vmcore.inspect, path, [str(tmp_path / "none")]).code == "not_found"
    assert "not in debug_info either" in vmcore.inspect(path, ["/bin/true"])["reasons"][0]
    (tmp_path / "text").write_text("no ELF")
    assert error(vmcore.inspect, path, [str(tmp_path / "text")]).code == "bad_debug_info"


@pytest.mark.parametrize("size", [4, 20, 64, 70, 400, 5000])
def test_debug_information_that_is_damaged_is_refused_or_passed_over(tmp_path, size):
    path = str(dead_kernel.dump(tmp_path / "vmcore", log().segments(), dead_kernel.vmcoreinfo()))
    with open("/bin/true", "rb") as stream:
        (tmp_path / "vmlinux").write_bytes(stream.read(size))
    try:
        assert "not in debug_info either" in vmcore.inspect(path, [str(tmp_path / "vmlinux")])["reasons"][0]
    except LivepatchError as refused:
        assert refused.code == "bad_debug_info" and "vmlinux" in refused.message


@pytest.mark.parametrize("content", [b"", b"hello", b"\x7fELF", b"KDUMP   " + b"\0" * 5000])
def test_what_is_no_dump_is_refused(tmp_path, content):
    (tmp_path / "vmcore").write_bytes(content)
    found = error(vmcore.inspect, str(tmp_path / "vmcore"))
    assert found.code == "bad_vmcore" and "written to its end" in found.message


def test_a_dump_without_vmcoreinfo_is_refused_with_what_brings_it(tmp_path):
    path = dead_kernel.dump(tmp_path / "vmcore", log().segments(), None)
    found = error(vmcore.inspect, str(path))
    assert found.code == "no_vmcoreinfo" and "qemu_fw_cfg" in found.message


@pytest.mark.parametrize("share", [0.001, 0.01, 0.3, 0.6, 0.99])
def test_a_dump_that_was_cut_off_is_told(tmp_path, share):
    path = dead_kernel.dump(tmp_path / "vmcore", log((ENABLED, "a")).segments(), dead_kernel.vmcoreinfo())
    os.truncate(str(path), int(os.path.getsize(str(path)) * share))
    assert error(vmcore.inspect, str(path)).code in ("bad_vmcore", "no_vmcoreinfo", "unreadable")


def test_a_kernel_whose_log_is_kept_in_another_way_is_told(inspect):
    found = error(inspect, log(), without=["prb"])
    assert found.code == "unreadable" and "5.10" in found.message


def test_a_dump_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    path = str(dead_kernel.dump(tmp_path / "vmcore", log().segments(), dead_kernel.vmcoreinfo()))

    def refuse(*unused, **keywords):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    found = error(vmcore.inspect, path)
    assert found.code == "not_permitted" and "become" in found.message


def test_who_gives_the_time_of_a_dump_that_does_not_say_it_is_believed(tmp_path):
    path = str(dead_kernel.dump(tmp_path / "vmcore", log(*PANIC).segments(), dead_kernel.vmcoreinfo()))
    found = vmcore.inspect(path, time=1600000000)
    assert (found["time"], found["time_of"], found["crash"]["time"]) == (
        "2020-09-13T12:26:40Z",
        "option",
        found["time"],
    )
    path = str(dead_kernel.dump(tmp_path / "own", log().segments(), dead_kernel.vmcoreinfo(CRASHTIME="1700000100")))
    assert vmcore.inspect(path, time=1600000000)["time_of"] == "crash"


LONG = "Modules linked in:" + "".join(" module_%02d" % number for number in range(99))


@pytest.mark.parametrize("lines,loaded", [
    (["Modules linked in: a(OEK) b [last unloaded: c(K)]"], ["a"]),
    (["Modules linked in:"], []),
    ([LONG + " x(K)", " y(OE) hotfix1(K) z", "CPU: 0 other(K)"], ["hotfix1", "x"]),
    ([LONG + " x(K)", " y [last unloaded: hotfix1(K)]"], ["x"]),
    ([LONG + " x(K)"], None),  # the rest is not there
    (["Modules linked in: a(K)", " not(K) one"], ["a"]),
    (["Modules linked in: old(K)", "text", "Modules linked in: new(K)"], ["new"]),
    (["nothing"], None),
])  # fmt: skip
def test_the_modules_that_were_loaded_are_those_of_the_last_whole_list(inspect, lines, loaded):
    made = dead_kernel.Log(5, 14)
    for line in lines:
        made.write(line)
    assert inspect(made)["loaded"] == loaded
