# Reading kernel modules: what they say about themselves, packed files, damaged files.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import gzip
import lzma
import shutil
import subprocess

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file
from tests.unit.fakes import elf


def write(tmp_path, data, name="x.ko"):
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


read = module_file.read


def refusal(path):
    with pytest.raises(LivepatchError) as refused:
        read(path)
    return refused.value


def zstd(data):
    assert shutil.which("zstd"), "these tests need the program zstd"
    return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_module_says_what_it_is_in_either_byte_order(tmp_path, order):
    image = elf.module("hot-fix1", depends="a,b", signed=True, order=order)
    module = read(write(tmp_path, image))
    assert (module.name, module.livepatch, module.signed, module.packed) == ("hot_fix1", True, True, False)
    assert module.vermagic.startswith(elf.KERNEL + " SMP")
    assert module.depends == ["a", "b"]
    assert module.build_id == "11" * 20
    assert module.image == image


def test_the_kernels_name_of_a_module_counts_and_one_that_says_another_is_refused(tmp_path):
    image = elf.module("hotfix1", own_name="hotfix1")
    assert read(write(tmp_path, image)).name == "hotfix1"
    assert read(write(tmp_path, image.replace(b"\0name=hotfix1", b"\0mane=hotfix2"))).name == "hotfix1", "it says none"
    with pytest.raises(LivepatchError) as caught:
        read(write(tmp_path, elf.module("hotfix1", own_name="other")))
    assert caught.value.code == "bad_module_file" and "calls itself hotfix1" in caught.value.message


def test_an_ordinary_module_is_no_livepatch_and_without_a_signature_unsigned(tmp_path):
    module = read(write(tmp_path, elf.module(livepatch=False)))
    assert not module.livepatch and not module.signed and module.depends == []


@pytest.mark.parametrize("replace", [True, False, None])
def test_the_replace_flag_is_read_where_the_file_has_the_struct_and_unknown_elsewhere(tmp_path, replace):
    assert read(write(tmp_path, elf.module(replace=replace))).replace is replace


PACKS = [gzip.compress, lzma.compress, zstd]


@pytest.mark.parametrize("pack", PACKS)
def test_a_packed_module_is_unpacked(tmp_path, pack):
    image = elf.module()
    module = read(write(tmp_path, pack(image), "x.ko.packed"))
    assert module.image == image and module.packed


@pytest.mark.parametrize("pack", PACKS)
def test_a_damaged_packed_module_is_refused(tmp_path, pack):
    packed = pack(elf.module())
    assert refusal(write(tmp_path, packed[: len(packed) // 2])).code == "bad_module_file"
    assert refusal(write(tmp_path, packed[:6] + b"rubbish")).code == "bad_module_file"


def test_a_packed_file_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module_file, "LIMIT", 4096)
    for pack in PACKS:
        error = refusal(write(tmp_path, pack(bytes(1000000))))
        assert error.code == "bad_module_file" and "more than" in error.message


@pytest.mark.parametrize(
    "data", [b"", b"\x7fELF", b"#!/bin/sh\n", b"\x7fELF\x01" + bytes(100), b"\x7fELF\x02\x01" + bytes(100)]
)
def test_what_is_no_module_is_refused_with_what_it_begins_with(tmp_path, data):
    error = refusal(write(tmp_path, data))
    assert error.code == "bad_module_file"
    assert "expected an ELF64 kernel module" in error.message


def test_every_truncation_is_refused_and_never_crashes(tmp_path):
    image = elf.module(replace=True)
    for size in range(len(image)):
        with pytest.raises(LivepatchError):
            module_file.parse("x.ko", image[:size])


def test_a_host_without_zstd_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install zstd" in refusal(write(tmp_path, b"\x28\xb5\x2f\xfdx")).message


def test_a_directory_and_a_missing_file_are_refused(tmp_path):
    assert refusal(str(tmp_path)).code == "bad_module_file"
    assert refusal(str(tmp_path / "x.ko")).code == "not_found"
