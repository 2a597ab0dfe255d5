# An ansible-core that is newer than the tests know is named, and no other.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pathlib
import re

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils import ansible_core


@pytest.mark.parametrize("version", ["2.16.0", "2.22.0rc1", "2.22.7.post0"])
def test_nothing_is_said_of_an_ansible_core_that_the_tests_know(version):
    assert ansible_core.warning(version, "2.22") is None


@pytest.mark.parametrize("version", ["2.23.0.dev0", "2.100.1", "3.0.0"])
def test_a_newer_ansible_core_is_named_with_what_to_do(version):
    said = ansible_core.warning(version, "2.22")
    assert f"ansible-core {version} is newer than 2.22" in said and "ansible-core~=2.22.0" in said


def test_the_newest_ansible_core_that_is_named_is_the_newest_of_the_tests():
    tool = pathlib.Path(__file__).parents[2] / "tools" / "venvs.py"
    listed = re.findall(r'(?m)^    "(2\.\d+)": \("2\.', tool.read_text(encoding="utf-8"))
    assert ansible_core.NEWEST == listed[-1]
