# Where the tests find this collection and awx.awx.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import sys
from pathlib import Path

import pytest

TOOLS = str(Path(__file__).resolve().parents[1] / "tools")


@pytest.fixture(scope="session")
def collections():
    """Return two collections paths: that of this collection alone, and that of awx.awx."""
    sys.path.insert(0, TOOLS)
    try:
        import awx_collection
        from collection import link
    finally:
        sys.path.remove(TOOLS)
    return [link(), awx_collection.collection()]
