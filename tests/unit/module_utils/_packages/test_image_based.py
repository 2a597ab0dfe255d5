# Systems that are images: recognised, and refused before anything is touched.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import collections
import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import package_facts

Status = collections.namedtuple("Status", "f_flag")


def writable(path):
    return Status(0)


def read_only(path):
    return Status(os.ST_RDONLY)


def gone(path):
    raise OSError(2, "No such file or directory")


def put(root, path):
    place = os.path.join(str(root), path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    open(place, "w").close()


@pytest.mark.parametrize("statvfs", [writable, gone])
def test_an_ordinary_host_is_no_image(tmp_path, statvfs):
    put(tmp_path, "usr/sbin/transactional-update")
    assert package_facts.image_based(str(tmp_path), statvfs) is None
    package_facts.require_no_image("package klp", str(tmp_path), statvfs)


@pytest.mark.parametrize(
    "files, statvfs, kind, words",
    [
        (["run/ostree-booted"], writable, "ostree", "an image that ostree has booted"),
        (["run/ostree-booted"], read_only, "ostree", "rpm-ostree, bootc"),
        (["usr/sbin/transactional-update"], read_only, "transactional", "transactional-update changes in snapshots"),
        ([], read_only, "read_only_usr", "found a read-only /usr"),
    ],
)
def test_a_system_that_is_an_image_is_refused_by_what_it_is(tmp_path, files, statvfs, kind, words):
    for path in files:
        put(tmp_path, path)
    assert package_facts.image_based(str(tmp_path), statvfs) == kind
    with pytest.raises(LivepatchError, match="package klp: .*Nothing was touched") as caught:
        package_facts.require_no_image("package klp", str(tmp_path), statvfs)
    assert (caught.value.code, caught.value.details["image_based"]) == ("image_based", kind)
    assert words in caught.value.message
