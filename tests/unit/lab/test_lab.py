"""The parts of the lab that need no guest: cache, inventory, processes, messages."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import lzma
import os
import struct
import subprocess
import sys
import threading
from xml.etree import ElementTree

import pytest
import yaml

from tests.lab import accelerator, cache, inventory, keeper, kernels, packages, parts, prerequisites, processes, suites
from tests.lab.errors import LabError
from tests.lab.fleet import Fleet


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))


def test_the_key_changes_with_a_text_a_file_and_a_file_of_a_directory(tmp_path):
    source = tmp_path / "sources" / "a.c"
    source.parent.mkdir()
    source.write_text("one")
    keys = [cache.key(["x", source, source.parent])]
    keys.append(cache.key(["y", source, source.parent]))
    source.write_text("two")
    keys.append(cache.key(["x", source, source.parent]))
    source.rename(source.with_name("b.c"))
    keys.append(cache.key(["x", source.parent / "b.c", source.parent]))
    assert len(set(keys)) == len(keys)


def test_the_key_does_not_change_when_its_inputs_do_not():
    assert cache.key(["a", b"b"]) == cache.key(["a", b"b"])
    assert cache.key(["ab", "c"]) != cache.key(["a", "bc"])


def test_a_failed_build_leaves_nothing_and_the_next_one_tries_again():
    def fail(work):
        (work / "half").write_text("")
        raise LabError("no")

    with pytest.raises(LabError):
        cache.entry("things", ["x"], fail)
    assert list((cache.root() / "things").iterdir()) == []
    path = cache.entry("things", ["x"], lambda work: (work / "whole").write_text("yes"))
    assert (path / "whole").read_text() == "yes"


def test_two_builders_of_the_same_thing_build_it_once():
    built = []
    barrier = threading.Barrier(2)

    def want():
        barrier.wait()
        cache.entry("things", ["x"], built.append)

    threads = [threading.Thread(target=want) for unused in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


def test_what_was_not_asked_for_in_weeks_is_forgotten():
    old, new = (cache.entry("things", [name], lambda work: None) for name in "ab")
    os.utime(old, (0, 0))
    cache.forget_unused()
    assert not old.exists() and new.exists()


def test_the_inventory_has_a_group_per_kernel_and_deals_guests_to_racks(tmp_path):
    guests = [("lab-1", "5.10", 1001), ("lab-2", "6.1", 1002), ("lab-3", "5.10", 1003), ("lab-4", "6.1", 1004)]
    path = tmp_path / "inventories" / "hosts.yml"
    inventory.write(path, inventory.build(tmp_path, guests))
    groups = yaml.safe_load(path.read_text())["all"]["children"]
    assert list(groups["lab"]["hosts"]) == ["lab-1", "lab-2", "lab-3", "lab-4"]
    assert list(groups["kernel_5_10"]["hosts"]) == ["lab-1", "lab-3"]
    assert list(groups["rack_a"]["hosts"]) == ["lab-1", "lab-4"]
    assert groups["lab"]["hosts"]["lab-2"] == {"ansible_port": 1002, "livepatch_domain": "rack_b"}
    assert groups["lab"]["vars"]["ansible_user"] == "admin"


def test_a_process_is_recognised_by_its_start_time_and_only_it_is_ended():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        started = processes.start_time(child.pid)
        assert processes.is_alive(child.pid, started)
        processes.end(child.pid, started + 1)
        assert processes.is_alive(child.pid, started)
        processes.end(child.pid, started)
        assert not processes.is_alive(child.pid, started)


def test_a_failed_program_is_quoted_with_the_end_of_what_it_said():
    with pytest.raises(LabError, match="ended with 3.*\n.*out of paper"):
        processes.run([sys.executable, "-c", "import sys; print('out of paper'); sys.exit(3)"])


def test_a_missing_program_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError) as error:
        prerequisites.check()
    assert "createrepo_c" in str(error.value)
    assert "apt-get install -y --no-install-recommends" in str(error.value) and "createrepo-c" in str(error.value)


def test_a_machine_without_a_debian_mirror_is_told_which_variable_to_set(monkeypatch):
    monkeypatch.delenv("LAB_DEBIAN_MIRROR", raising=False)
    monkeypatch.setattr(processes, "run", lambda argv: "Ubuntu|Ubuntu|http://example.org/ubuntu/\n")
    with pytest.raises(LabError, match="LAB_DEBIAN_MIRROR"):
        suites.mirror()
    monkeypatch.setenv("LAB_DEBIAN_MIRROR", "http://example.org/debian")
    assert suites.mirror() == "http://example.org/debian"


def test_without_the_mirror_the_last_answer_about_a_suite_counts(monkeypatch):
    monkeypatch.setattr(suites, "_resolve", lambda *_: ("linux-image-6.1.0-1-amd64", "6.1.1-1"))
    first = suites.package_version("bookworm", "linux-image-amd64", "linux-image-")
    memory = cache.root() / "resolved" / "bookworm-linux-image-amd64.json"
    os.utime(memory, (0, 0))

    def unreachable(*_):
        raise LabError("no network")

    monkeypatch.setattr(suites, "_resolve", unreachable)
    assert suites.package_version("bookworm", "linux-image-amd64", "linux-image-") == first
    with pytest.raises(LabError, match="no network"):
        suites.package_version("trixie", "linux-image-amd64", "linux-image-")


def test_modules_are_loaded_after_what_they_need(tmp_path):
    for name, needs in (("ext4", "jbd2,crc16"), ("jbd2", ""), ("crc16", "")):
        (tmp_path / f"{name}.ko").write_bytes(b"\0license=GPL\0depends=" + needs.encode() + b"\0intree=Y\0")
    files = {path.stem: path for path in tmp_path.glob("*.ko")}
    assert kernels._in_order(["ext4", "built_in"], files) == ["jbd2", "crc16", "ext4"]


def _kernel_image(payload):
    """A bzImage with one setup sector and its payload 16 bytes behind it."""
    header = bytearray(1024)
    header[0x1F1] = 1
    struct.pack_into("<II", header, 0x248, 16, len(payload) + 4)
    return bytes(header) + bytes(16) + payload + struct.pack("<I", 5)


def test_the_kernel_is_found_inside_its_compressed_image(tmp_path):
    image = tmp_path / "vmlinuz"
    image.write_bytes(_kernel_image(lzma.compress(b"\x7fELF!")))
    assert kernels._uncompressed(image) == b"\x7fELF!"


def test_a_kernel_compressed_in_another_way_is_refused(tmp_path):
    image = tmp_path / "vmlinuz"
    image.write_bytes(_kernel_image(b"\x1f\x8b\x08 gzip"))
    with pytest.raises(LabError, match="expected to be compressed with xz or zstd. Found: 1f8b08"):
        kernels._uncompressed(image)


def test_no_more_emulated_guests_work_at_once_than_there_are_processors(monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert accelerator.at_once(accelerator.EMULATED) == 6
    assert accelerator.at_once("kvm") == 20
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "4")
    assert accelerator.at_once(accelerator.EMULATED) == 1


def test_an_unknown_kernel_is_refused_with_the_list_of_known_ones():
    with pytest.raises(LabError, match="5.10, 6.1, 6.12, 7.2. Found: '4.4'"):
        parts.get(["4.4"])


def test_a_fleet_of_nothing_is_refused(tmp_path):
    with pytest.raises(LabError, match="at least one host"):
        Fleet(tmp_path, hosts=0)


def test_the_state_of_a_dead_fleet_is_no_fleet(tmp_path):
    (tmp_path / "fleet.json").write_text('{"owner": {"pid": 1, "started": -1}, "inventory": "x", "repository": "y", "guests": {}}')
    assert "No fleet is running" in keeper.table(tmp_path)


def test_the_advisories_name_every_package_and_what_it_mends_but_for_what_came_too_late(tmp_path):
    for name in ("klp-6.1.0-1-hotfix1-1.x86_64.rpm", "klp-6.1.0-1-hotfix3-1.x86_64.rpm", "klp-6.1.0-1-warns-1.x86_64.rpm"):
        (tmp_path / name).touch()
    updates = {update.findtext("id"): update for update in ElementTree.fromstring(packages._advisories(tmp_path)).iter("update")}
    files = {name: [file.text for file in update.iter("filename")] for name, update in updates.items()}
    assert files == {"LAB-2026-hotfix1": ["klp-6.1.0-1-hotfix1-1.x86_64.rpm"], "LAB-2026-hotfix2": [],
                     "LAB-2026-hotfix3": ["klp-6.1.0-1-hotfix3-1.x86_64.rpm"]}
    cves = [reference.get("id") for reference in updates["LAB-2026-hotfix3"].iter("reference")]
    assert cves == ["CVE-2026-40001", "CVE-2026-40002"] and set(packages.CVES["hotfix3"]) - set(cves) == {"CVE-2026-40003"}
