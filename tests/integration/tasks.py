# What the tests of the module livepatch share: tasks, what is expected of results, and modules in every guest.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import gzip
import json
import lzma
import struct
import subprocess
import tarfile

import pytest

MODULES = (
    "hotfix1 hotfix1_rebuilt hotfix2 hotfix3 addon_a addon_b modulefix stalls stalls_user "
    "stalls_back replaces_unseen wrong_vermagic not_a_livepatch"
)
PREDICTED = ("changed", "diff", "replaced", "unloaded", "effective_release", "name", "before")
SIGNATURE_MARKER = b"~Module signature appended~\n"


@pytest.fixture(scope="session")
def modules(fleet, tmp_path_factory):
    """Puts the lab's livepatches, and damaged and packed ones made of them, into /root/lab of every guest."""
    directory = tmp_path_factory.mktemp("modules")
    for guest in fleet.guests.values():
        kernel = guest.machine.kernel.name
        own = directory / kernel
        own.mkdir()
        for name in MODULES.split():
            (own / (name + ".ko")).write_bytes(fleet.module(name, kernel).read_bytes())
        _spoil(own)
        with tarfile.open(str(own) + ".tar", "w") as archive:
            archive.add(own, "lab")
        guest.copy(str(own) + ".tar", "/root/lab.tar")
        assert (
            guest.ssh(
                ["sh", "-c", "tar -C /root -xf /root/lab.tar && zstd -q -f /root/lab/hotfix1_rebuilt.ko"]
            ).returncode
            == 0
        )


def _spoil(directory):
    plain = (directory / "hotfix1.ko").read_bytes()
    (directory / "hotfix2.ko.xz").write_bytes(lzma.compress((directory / "hotfix2.ko").read_bytes()))
    (directory / "hotfix3.ko.gz").write_bytes(gzip.compress((directory / "hotfix3.ko").read_bytes()))
    (directory / "garbage.ko").write_bytes(b"#!/bin/sh\n" * 100)
    (directory / "truncated.ko").write_bytes(plain[: len(plain) // 2])
    (directory / "no_symbol.ko").write_bytes(plain.replace(b"version_proc_show", b"version_proc_shoX"))
    later = (directory / "hotfix2.ko").read_bytes()
    (directory / "no_symbol2.ko").write_bytes(later.replace(b"version_proc_show", b"version_proc_shoX"))
    (directory / "unknown_key.ko").write_bytes(plain + _signature(directory))


def _signature(directory):
    """A valid signature by a key that no kernel knows (include/linux/module_signature.h)."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    new_key = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=unknown",
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run(new_key, check=True, capture_output=True)
    sign = [
        "openssl",
        "cms",
        "-sign",
        "-binary",
        "-noattr",
        "-nocerts",
        "-nosmimecap",
        "-md",
        "sha256",
        "-outform",
        "DER",
    ]
    sign += ["-in", directory / "hotfix1.ko", "-signer", certificate, "-inkey", key]
    signature = subprocess.run(sign, check=True, capture_output=True).stdout
    return signature + struct.pack(">BBBBB3xI", 0, 0, 2, 0, 0, len(signature)) + SIGNATURE_MARKER


def livepatch(task, check=False, **options):
    return {"name": task, "check_mode": check, "kernel.livepatch.livepatch": options}


def path(name):
    return "/root/lab/" + (name if ".ko" in name else name + ".ko")


def facts(name):
    return {"name": name, "become": False, "kernel.livepatch.livepatch_facts": {}}


def raw(name, command):
    return {"name": name, "ansible.builtin.raw": command, "changed_when": False}


def in_background(name, **options):
    """Begin a run of the module beside the other tasks; its process group is in /root/lab/background."""
    task = json.dumps([{"name": name, "kernel.livepatch.livepatch": options}])
    begin = "setsid python3 /var/tmp/python/in_guest.py /var/tmp/python < /root/lab/background.json"
    return raw(
        name,
        "echo '%s' > /root/lab/background.json; %s > /root/lab/background.out 2>&1 & echo $! > /root/lab/background"
        % (task, begin),
    )


def quartet(task, **options):
    return [
        livepatch(task + ", check", True, **options),
        livepatch(task, **options),
        livepatch(task + ", again", **options),
        livepatch(task + ", again in check", True, **options),
    ]


CLEAN = livepatch("clean up", all=True, state="absent")


def assert_quartet(results, name):
    for host, real in results[name].items():
        predicted, again, again_in_check = (
            results[name + tail][host] for tail in (", check", ", again", ", again in check")
        )
        assert not real["failed"], real["msg"]
        assert real["changed"] and real["proven"], real
        assert_predicted(predicted, real)
        for later in (again, again_in_check):
            assert not later["failed"] and not later["changed"] and later["proven"], later
            assert later["diff"]["before"] == later["diff"]["after"] == real["diff"]["after"]


def assert_predicted(predicted, real):
    assert {key: predicted[key] for key in PREDICTED} == {key: real[key] for key in PREDICTED}


def assert_clean(results):
    for host, result in results["clean up"].items():
        assert not result["failed"], result["msg"]
        assert result["diff"]["after"] == {"enabled": [], "inert": []}, host


def each(results, name):
    """(host, result) of a task; that it ran on every guest is checked."""
    assert results[name]
    return sorted(results[name].items())


def assert_enabled(results, name, enabled, inert=()):
    for host, result in each(results, name):
        assert not result["failed"], result["msg"]
        assert result["proven"], result
        assert result["diff"]["after"] == {"enabled": list(enabled), "inert": sorted(inert)}, host


def assert_refused(results, name, code, *words):
    for host, result in each(results, name):
        assert result["failed"] and result["error"] == code, (host, result)
        assert not result["changed"], (host, result)
        for word in words:
            assert word in result["msg"], (host, result["msg"])
