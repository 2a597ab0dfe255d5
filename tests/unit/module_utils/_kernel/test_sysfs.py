# What the kernel shows of a livepatch, which may change while it is read.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import itertools
import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs


@pytest.mark.parametrize(
    "shown, expected",
    [
        (["1 0"], (True, False)),
        (["1 0", "0 0"], None),  # a transition began and ended after `enabled` was read
        (["1 1", "0 1"], (False, True)),
        (["0 1"], (False, True)),
        (["1 1", "1 0"], (True, False)),
    ],
)
def test_a_livepatch_is_shown_as_it_was_at_one_moment(tmp_path, monkeypatch, shown, expected):
    (tmp_path / sysfs.LIVEPATCHES / "hotfix1").mkdir(parents=True)
    moments = itertools.chain(shown, itertools.repeat(shown[-1]))

    def read_number(path):
        name = os.path.basename(path)
        if name not in ("enabled", "transition"):
            return None
        return int(next(moments).split()[name == "transition"])

    monkeypatch.setattr(sysfs.reading, "read_number", read_number)
    found = sysfs.read_patch(str(tmp_path), "hotfix1")
    assert (found and (found.enabled, found.transition)) == expected
