# livepatch_vmcore on dumps of real kernels that QEMU has made: alive within a transition, and after a panic.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import struct
import time

import pytest

from tests.integration import debug_info
from tests.integration.tasks import modules  # pylint: disable=unused-import # noqa: F401 (a fixture)

VMCORE = "kernel.livepatch.livepatch_vmcore"
FACTS = {"name": "facts", "kernel.livepatch.livepatch_facts": {}}

# hotfix1 runs, and the livepatch that never gets in is on its way.
PREPARE = """
modprobe qemu_fw_cfg
insmod /root/lab/hotfix1.ko
while [ "$(cat /sys/kernel/livepatch/hotfix1/transition)" = 1 ]; do sleep 0.2; done
insmod /root/lab/stalls.ko
[ "$(cat /sys/kernel/livepatch/stalls/transition)" = 1 ]
"""


@pytest.fixture
def patient(some, turns, modules, in_guest):
    """A guest that runs hotfix1 and is in transition; it boots afterwards."""
    guest = _any(some, turns)
    assert guest.ssh(["sh", "-eu", "-c", PREPARE]).returncode == 0
    yield guest
    guest.kill()
    guest.start()
    guest.wait_for_ssh()


def _any(some, turns):
    return next(iter(some(next(turns)[0]).values()))


def dump(guest, path, form="elf"):
    """Let QEMU write the guest's memory to a file."""
    guest.ask("dump-guest-memory", paging=False, protocol="file:%s" % path, format=form)
    return str(path)


def as_kdump_writes_it(flat, path, guest):
    """Put QEMU's flattened dump in kdump's format together; write the names into its header that only QEMU leaves out."""
    with open(flat, "rb") as stream, open(str(path), "wb") as whole:
        stream.seek(4096)
        while True:
            place, size = struct.unpack(">qq", stream.read(16))
            if place < 0:
                break
            whole.seek(place)
            whole.write(stream.read(size))
        for number, word in enumerate(("Linux", guest.name, guest.kernel_release, "#1 SMP", "x86_64")):
            whole.seek(12 + 65 * number)
            whole.write(word.encode())
    return str(path)


def panic(guest):
    """Let the guest panic, and stay so."""
    assert guest.ssh(["sysctl", "-w", "kernel.panic=0"]).returncode == 0
    seen = len(guest.console())
    guest.ssh(["sh", "-c", "(sleep 1; echo c > /proc/sysrq-trigger) >/dev/null 2>&1 &"])
    end = time.monotonic() + 60
    while "end Kernel panic" not in guest.console()[seen:]:
        assert time.monotonic() < end, guest.console()[seen:]
        time.sleep(0.2)


def test_a_dump_tells_what_ran_with_and_without_debug_information_and_the_crash_is_evidence(
    patient, play, tasks_in, tmp_path
):
    kernel_release = patient.kernel_release
    live = tasks_in(patient, [FACTS])[0]["ansible_facts"]["livepatch"]
    addresses = debug_info.addresses(patient)
    alive = dump(patient, tmp_path / "alive")
    panic(patient)
    flat = dump(patient, tmp_path / "flat", "kdump-zlib")
    dead = as_kdump_writes_it(flat, tmp_path / "dead", patient)

    events = tmp_path / "events.jsonl"
    evidence = {"path": dead, "host": "web1", "events_file": str(events), "time": "2026-01-02T03:04:05Z"}
    found = play([
        {"name": "flat", VMCORE: {"path": flat}},
        {"name": "alive", VMCORE: {"path": alive}},
        {"name": "no time", VMCORE: dict(evidence, time=None)},
        {"name": "dead, check", VMCORE: evidence, "check_mode": True},
        {"name": "dead", VMCORE: evidence},
        {"name": "again", VMCORE: evidence},
        {"name": "again, check", VMCORE: evidence, "check_mode": True},
    ], hosts="localhost", become=False)  # fmt: skip
    found = {name: results["localhost"] for name, results in found.items()}
    flattened, timeless = found.pop("flat"), found.pop("no time")
    assert (timeless["failed"], timeless["error"]) == (True, "time_unknown")
    assert (flattened["failed"], flattened["error"]) == (True, "bad_vmcore") and "makedumpfile -R" in flattened["msg"]
    assert [found[name]["changed"] for name in found] == [False, True, True, False, False]
    for name in ("alive", "dead"):
        told = found[name]
        assert (told["told_by"], told["kernel_release"], told["architecture"]) == ("log", kernel_release, "x86_64")
        assert (told["effective_release"], told["enabled"]) == (kernel_release + "-hotfix1", "hotfix1")
        assert told["transition"] == {"livepatch": "stalls", "direction": "patching"}
        assert told["debug_package"] == "linux-image-%s-dbg" % kernel_release
    assert found["alive"]["crash"] is None and found["alive"]["time_of"] == "file"
    crash = found["dead"]["crash"]
    assert crash["kind"] == "crash" and "sysrq triggered crash" in crash["text"]
    assert crash["effective_release"] == kernel_release + "-stalls", "its code may have run already"
    assert '"host": "web1"' in events.read_text() and len(events.read_text().splitlines()) == 1

    vmlinux = debug_info.make(patient.machine.kernel, addresses, found["alive"]["build_id"], tmp_path / "debug")
    others = {name: address for name, address in addresses.items() if not name.startswith("klp_")}
    other = debug_info.make(patient.machine.kernel, others, found["alive"]["build_id"], tmp_path / "other")
    found = play([
        {"name": name, VMCORE: {"path": path, "debug_info": [str(symbols)]}}
        for name, path, symbols in (("alive", alive, vmlinux), ("dead", dead, vmlinux), ("no livepatches", dead, other))
    ], hosts="localhost", become=False)  # fmt: skip
    unable = found.pop("no livepatches")["localhost"]
    assert (unable["supported"], unable["patches"], unable["enabled"]) == (
        False,
        {},
        None,
    ), "a kernel built without them"
    for name in ("alive", "dead"):
        told = found[name]["localhost"]
        assert told["told_by"] == "debug_info" and told["debug_package"] is None and told["reasons"] == [], told
        for key in ("supported", "effective_release", "enabled", "inert"):
            assert told[key] == live[key], key
        assert told["transition"] == {key: live["transition"][key] for key in ("livepatch", "direction")}
        assert told["loaded"] == ["hotfix1", "stalls"]
        assert set(told["patches"]) == set(live["patches"])
        for livepatch, patch in told["patches"].items():
            # What a kernel's sysfs does not show is None in the facts; a dump shows it.
            shown = {
                key: value for key, value in live["patches"][livepatch].items() if value is not None and key in patch
            }
            shown["objects"] = {
                key: {"patched": patch["objects"][key]["patched"], "functions": value["functions"]}
                for key, value in shown["objects"].items()
            }
            assert {key: patch[key] for key in shown} == shown
            assert patch["replace"] is True and patch["forced"] is None
    assert found["alive"]["localhost"]["taint"] == live["taint"]
