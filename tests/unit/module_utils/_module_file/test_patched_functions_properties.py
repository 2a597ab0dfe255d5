# Whatever is done to a livepatch's file, reading what it changes ends soon, in an answer or in one LivepatchError.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from collections import OrderedDict

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_functions
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file, patched_functions
from tests.unit.fakes import patched

CHANGES = OrderedDict([(None, [("version_proc_show", 0), ("proc_dma_show", 2)]), ("ext4", [("ext4_sync_file", 0)])])
IMAGES = [make(CHANGES).bytes() for make in (patched.structs, patched.kpatch, patched.klp_build)]
IMAGES.append(patched.structs(CHANGES, machine=22, order=">", symbols=False).bytes())
LONGEST = max(map(len, IMAGES))
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_.0123456789", min_size=1, max_size=40)
FUNCTIONS = st.lists(st.tuples(NAMES, st.integers(0, 2**64 - 1)), min_size=1, max_size=8)
OBJECTS = st.dictionaries(
    st.one_of(st.none(), NAMES.filter(lambda name: name != "vmlinux")), FUNCTIONS, min_size=1, max_size=5
)


def read(image):
    try:
        contents = patched_functions.read(module_file.parse("x.ko", image))
    except LivepatchError as error:
        assert error.code == "bad_module_file"
    else:
        assert contents.functions is None or contents.objects
        assert all(isinstance(name, str) for name in contents.imports)


@settings(max_examples=600)
@given(st.sampled_from(IMAGES), st.lists(st.tuples(st.integers(0, LONGEST - 1), st.integers(0, 255)), max_size=12))
def test_a_livepatch_with_any_bytes_changed_is_read_or_refused(image, changes):
    data = bytearray(image)
    for offset, value in changes:
        data[offset % len(data)] = value
    read(bytes(data))


@settings(max_examples=300)
@given(st.sampled_from(IMAGES), st.integers(0, LONGEST), st.binary(max_size=64))
def test_a_livepatch_cut_anywhere_is_read_or_refused(image, length, tail):
    read(image[:length] + tail)
    read(image[: -length or None] + tail + image[-length:])


@given(
    OBJECTS, st.sampled_from([(62, "<"), (183, "<"), (22, ">"), (21, "<")]), st.integers(14, 40), st.integers(15, 40)
)
def test_whatever_a_livepatch_changes_is_what_is_read(changes, architecture, func, klp_object):
    machine, order = architecture
    changes = OrderedDict(changes)
    wanted = [(owner or "vmlinux", name, sympos) for owner in changes for name, sympos in changes[owner]]
    for image in (
        patched.structs(changes, machine=machine, order=order, func=func * 8, klp_object=klp_object * 8),
        patched.kpatch(changes, machine=machine, order=order),
        patched.klp_build(changes, machine=machine, order=order),
    ):
        contents = patched_functions.read(module_file.parse("x.ko", image.bytes()))
        assert sorted(map(tuple, contents.functions)) == sorted(wanted)


@given(st.text(max_size=300))
def test_any_text_of_the_tracing_files_is_parsed(text):
    assert isinstance(kernel_functions.parse_held(text), list)
    assert isinstance(kernel_functions.parse_probes(text), list)
