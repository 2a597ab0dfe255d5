# Whatever a file holds or a tree shows, reading it ends in an answer or in one LivepatchError.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import shutil
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import stalls, sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import kernel_facts
from tests.unit.fakes import elf

MODULE = elf.module(replace=True, depends="a,b")
PATHS = st.sampled_from(
    [
        b"sys/kernel/livepatch/p/enabled",
        b"sys/kernel/livepatch/p/transition",
        b"sys/kernel/livepatch/p/replace",
        b"sys/kernel/livepatch/p/stack_order",
        b"sys/kernel/livepatch/p/vmlinux/patched",
        b"sys/kernel/livepatch/p/vmlinux/f,1/x",
        b"sys/kernel/livepatch/\xff\xfe/enabled",
        b"sys/kernel/livepatch/p/\xff/\xfe,1/x",
        b"sys/module/p/notes/.note.gnu.build-id",
        b"proc/modules",
        b"proc/sys/kernel/osrelease",
        b"proc/sys/kernel/tainted",
        b"etc/os-release",
        b"proc/1/task/1/patch_state",
        b"proc/1/task/1/stack",
        b"proc/1/task/1/stat",
        b"proc/1/task/1/cgroup",
    ]
)
CONTENT = st.one_of(st.binary(max_size=200), st.sampled_from([b"0\n", b"1\n", b"p 1 0 - Live 0x0 (OEK)\n"]))


def write(root, files):
    for path, content in files.items():
        place = os.path.join(os.fsencode(root), path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as stream:
            stream.write(content)


def parse(data):
    try:
        module = module_file.parse("x.ko", data)
    except LivepatchError as error:
        assert error.code == "bad_module_file"
    else:
        assert isinstance(module.name, str) and module.replace in (True, False, None)


@given(st.binary(max_size=4096))
def test_any_bytes_are_a_module_or_refused(data):
    parse(data)
    parse(b"\x7fELF\x02\x01" + data)


@settings(max_examples=500)
@given(st.lists(st.tuples(st.integers(0, len(MODULE) - 1), st.integers(0, 255)), max_size=8))
def test_a_module_with_any_bytes_changed_is_a_module_or_refused(changes):
    data = bytearray(MODULE)
    for place, value in changes:
        data[place] = value
    parse(bytes(data))


@given(st.binary(max_size=300))
def test_any_notes_have_a_build_id_or_none(notes):
    found = sysfs.parse_build_id(notes)
    assert found is None or int(found, 16) >= 0


@settings(deadline=None)
@given(st.dictionaries(PATHS, CONTENT, max_size=12))
def test_any_tree_can_be_read(files):
    root = tempfile.mkdtemp()
    try:
        write(root, files)
        facts = kernel_facts.gather(root)
        assert facts["supported"] == os.path.isdir(os.path.join(root, "sys/kernel/livepatch"))
        assert set(facts["patches"]) <= {"p"}
    finally:
        shutil.rmtree(root)


class Clock(object):
    """Nobody waits."""

    sleep = staticmethod(lambda seconds: None)


@settings(deadline=None)
@given(st.dictionaries(PATHS, CONTENT, max_size=12))
def test_any_tree_has_blockers_or_none(files):
    root = tempfile.mkdtemp()
    try:
        write(root, files)
        found = stalls.find(root, "p", Clock)
        assert found.count == len(found.tasks) == stalls.count(root, "p") <= 1
    finally:
        shutil.rmtree(root)
