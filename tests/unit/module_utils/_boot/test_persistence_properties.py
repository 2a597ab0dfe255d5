# Whatever the files of the boot guard hold, reading them ends in an answer, and what is written is read back.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kernel.livepatch.plugins.module_utils._boot import boot_record, persistence

KERNEL = "6.1.0-56-amd64"
# What a checked record can consist of: no control characters, nothing that is not UTF-8.
VALUES = st.text(st.characters(blacklist_categories=("Cc", "Cs")), max_size=60)
NAMES = st.from_regex(r"\A[A-Za-z0-9_]{1,20}\Z")


def root_with(files):
    root = tempfile.TemporaryDirectory()
    for path, content in files.items():
        place = os.path.join(root.name, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as stream:
            stream.write(content)
    return root


@settings(max_examples=100, deadline=None)
@given(record=st.binary(max_size=200), status=st.binary(max_size=200))
def test_any_bytes_are_an_answer(record, status):
    with root_with({"etc/livepatch/boot.d/" + KERNEL: record, "run/livepatch/boot": status}) as root:
        names, guard = boot_record.facts(root, KERNEL)
        assert names == []
        assert guard is None or sorted(guard) == ["boots", "reason", "state"]
        assert set(boot_record.read_records(root)) <= {KERNEL}


@settings(max_examples=100, deadline=None)
@given(name=NAMES, path=VALUES, build_id=NAMES)
def test_a_record_is_read_back_as_it_was_written(name, path, build_id):
    record = {
        "name": name,
        "kernel": KERNEL,
        "path": "/%s.ko" % path,
        "sha256": "0" * 64,
        "build_id": build_id,
        "depends": "",
    }
    text = persistence.rendered(record)
    with root_with({"etc/livepatch/boot.d/" + KERNEL: text.encode("utf-8")}) as root:
        assert boot_record.read_record(root, KERNEL) == record


@settings(max_examples=100, deadline=None)
@given(kernel=st.text(max_size=40))
def test_no_kernel_release_leads_out_of_the_directory(kernel):
    with root_with({"etc/livepatch/boot.d/x": b"name=inside\n", "etc/livepatch/out": b"name=outside\n"}) as root:
        record = boot_record.read_record(root, kernel)
        assert record is None or record["name"] == "inside"
