# Which functions a livepatch changes, read from its file: three kinds of livepatch, four architectures, and what is none.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from collections import OrderedDict

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import (
    elf as _elf,
    module_file,
    patched_functions,
)
from tests.unit.fakes import elf, patched

ARCHITECTURES = [(62, "<"), (183, "<"), (22, ">"), (21, "<")]
CHANGES = OrderedDict(
    [
        (None, [("version_proc_show", 0), ("name_show", 3), ("proc_dma_show", 1)]),
        ("ext4", [("ext4_sync_file", 0)]),
        ("nf_tables", [("nft_set_elem_init", 0), ("nf_tables_newset", 0)]),
    ]
)
LISTED = [
    ("vmlinux", "version_proc_show", 0),
    ("vmlinux", "name_show", 3),
    ("vmlinux", "proc_dma_show", 1),
    ("ext4", "ext4_sync_file", 0),
    ("nf_tables", "nft_set_elem_init", 0),
    ("nf_tables", "nf_tables_newset", 0),
]


def read(image):
    return patched_functions.read(module_file.parse("x.ko", image.bytes() if hasattr(image, "bytes") else image))


@pytest.mark.parametrize("machine, order", ARCHITECTURES)
@pytest.mark.parametrize("make", [patched.structs, patched.kpatch, patched.klp_build])
def test_the_functions_of_every_kind_of_livepatch_are_read_on_every_architecture(make, machine, order):
    contents = read(make(CHANGES, machine=machine, order=order))
    assert [tuple(function) for function in contents.functions] == LISTED
    assert contents.objects == ["vmlinux", "ext4", "nf_tables"]


def test_klp_build_of_later_kernels_names_its_sections_otherwise():
    contents = read(patched.klp_build(CHANGES, sections=(".init.klp_objects", ".init.klp_funcs")))
    assert [tuple(function) for function in contents.functions] == LISTED


@pytest.mark.parametrize("func, klp_object", [(120, 128), (144, 152), (168, 184), (256, 264)])
@pytest.mark.parametrize("symbols", [True, False])
def test_the_sizes_of_the_structs_are_those_of_the_file_also_without_its_symbols(func, klp_object, symbols):
    contents = read(patched.structs(CHANGES, func=func, klp_object=klp_object, symbols=symbols))
    assert [tuple(function) for function in contents.functions] == LISTED


@pytest.mark.parametrize("replace", [True, False])
def test_the_replace_flag_lies_in_the_same_struct(replace):
    module = module_file.parse("x.ko", patched.structs(CHANGES, replace=replace).bytes())
    assert module.replace is replace


@pytest.mark.parametrize("away, known", [(-4, False), (-5, False), (0, False), (-20, True), (8, True)])
def test_a_replace_flag_that_code_of_the_file_refers_to_is_not_known(away, known):
    image = patched.structs(CHANGES, replace=False)
    image.refer((".text", 64), (".data", 24), away=away)
    assert module_file.parse("x.ko", image.bytes()).replace is (False if known else None)


def test_the_flags_of_another_section_and_pointers_of_data_leave_it_known():
    image = patched.structs(CHANGES, replace=True)
    image.section(".data.other", bytes(64))
    image.refer((".text", 64), (".data.other", 24))
    image.point((".data.other", 8), (".data", 24))
    assert module_file.parse("x.ko", image.bytes()).replace is True


@pytest.mark.parametrize("section", [".bss", ".data.empty"])
def test_a_list_of_no_functions_may_have_no_bytes_in_the_file(section):
    image = patched.structs(OrderedDict([("ext4", [("a_function", 0)]), (None, [("version_proc_show", 0)])]))
    image.section(section, bytes(144))
    image.pointers[".data"] = [
        (offset, (section, 0) if offset == 64 + 8 else target) for offset, target in image.pointers[".data"]
    ]
    contents = read(image)
    assert contents.objects == ["ext4", "vmlinux"]
    assert [tuple(function) for function in contents.functions] == [("vmlinux", "version_proc_show", 0)]


@pytest.mark.parametrize("symbols", [True, False])
def test_an_object_may_have_callbacks_only(symbols):
    changes = OrderedDict([("ext4", []), (None, [("version_proc_show", 0)])])
    contents = read(patched.structs(changes, symbols=symbols))
    assert contents.objects == ["ext4", "vmlinux"]
    assert [tuple(function) for function in contents.functions] == [("vmlinux", "version_proc_show", 0)]


def test_a_livepatch_of_another_make_is_not_understood_and_nothing_is_claimed():
    contents = read(elf.module())
    assert (contents.functions, contents.objects) == (None, None)


def test_two_livepatches_in_one_file_are_not_understood():
    image = patched.structs(CHANGES)
    image.section(".data.second", bytes(image.sections[".data"]))
    for offset, target in list(image.pointers[".data"]):
        image.point((".data.second", offset), target)
    assert read(image).functions is None


def test_entries_at_uneven_distances_are_not_understood():
    image = patched.structs({None: [("a_function", 0), ("b_function", 0), ("c_function", 0)]}, symbols=False)
    image.section(".data", bytes(image.sections[".data"]) + bytes(1000))
    end = len(image.sections[".data"]) - 500
    image.point((".data", end), image.string("stray"))
    image.point((".data", end + 8), (".text", 0))
    assert read(image).functions is None


@pytest.mark.parametrize("make", [patched.kpatch, patched.klp_build])
def test_a_list_that_does_not_point_to_code_is_not_understood(make):
    image = make(CHANGES)
    image.flags[".text"] = patched.ALLOC
    assert read(image).functions is None


@pytest.mark.parametrize(
    "make, section, size", [(patched.kpatch, ".kpatch.funcs", 56), (patched.klp_build, "__klp_objects", 64)]
)
def test_a_list_of_another_size_is_not_understood(make, section, size):
    image = make(CHANGES)
    image.sections[section] += bytes(8)
    assert read(image).functions is None
    image.sections[section] = bytearray()
    image.pointers.pop(section)
    assert read(image).functions is None


def test_a_list_that_claims_millions_of_functions_is_not_understood():
    image = patched.klp_build(CHANGES)
    image.number(("__klp_objects", 56), 0xFFFFFFFF, 4)
    assert read(image).functions is None


def test_a_name_that_no_function_can_have_is_not_understood():
    assert read(patched.structs({None: [("no name\x01", 0)]})).functions is None


def test_what_the_kernel_must_have_is_named_but_for_what_may_be_missing():
    image = patched.structs(CHANGES, imports=["seq_printf", "klp_enable_patch"])
    image.symbol("not_needed", weak=True)
    assert read(image).imports == ["__this_module", "klp_enable_patch", "seq_printf"]


def test_more_relocations_than_any_livepatch_has_are_a_damaged_file(monkeypatch):
    image = patched.structs(CHANGES).bytes()
    module = module_file.parse("x.ko", image)
    monkeypatch.setattr(_elf, "MOST_RELOCATIONS", 3)
    with pytest.raises(LivepatchError) as refused:
        patched_functions.read(module)
    assert refused.value.code == "bad_module_file" and "more relocations" in refused.value.message
