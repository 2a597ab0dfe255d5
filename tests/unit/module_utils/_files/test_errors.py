# The checks of names that reach a path or a command.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError, module_name


@pytest.mark.parametrize("name", ["hotfix1", "kpatch_4_18_0", "livepatch-1.2+x", "a" * 55])
def test_a_module_name_is_returned_as_the_kernel_shows_it(name):
    assert module_name(name) == name.replace("-", "_")


@pytest.mark.parametrize("name", ["", "-x", ".", "..", "../x", "a/b", "a b", "a\nb", "a\n", "a" * 56, "\u00e9"])
def test_a_name_that_could_leave_a_directory_or_is_too_long_is_refused_with_the_next_step(name):
    with pytest.raises(LivepatchError) as refused:
        module_name(name)
    assert refused.value.code == "bad_name"
    assert "modinfo" in str(refused.value)
