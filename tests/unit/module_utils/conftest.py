# A kernel to run against, and module files for it. Old targets' Pythons have neither hypothesis nor drgn.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import sys

import pytest

from tests.unit.fakes import elf
from tests.unit.fakes.kernel import FakeKernel

if sys.version_info < (3, 10):
    collect_ignore_glob = ["*_properties.py", "*test_vmcore.py"]


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("os.uname", lambda: type("Uname", (), {"machine": "x86_64", "release": elf.KERNEL}))
    return FakeKernel(tmp_path)


@pytest.fixture
def put(kernel):
    """Put a module file for the kernel; returns its path."""

    def put_module(name="hotfix1", directory="lib/modules/%s/livepatch" % elf.KERNEL, **fields):
        return kernel.data("%s/%s.ko" % (directory, name), elf.module(name, **fields))

    return put_module
