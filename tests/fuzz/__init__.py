# Coverage-guided fuzzing of everything on the target that parses foreign bytes.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# One file fuzz_*.py per subject. Each has SEEDS (inputs that are well formed: bytes), may have WORDS (what such inputs are
# made of: bytes) and MAX_BYTES, and has one_input(data), which feeds the parser and asserts what must hold for any input. They
# use the standard library only, with the syntax of Python 3.6, because the unit tests replay them on every Python.

import importlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Where `make setup` links the collection, for runs without pytest.
COLLECTIONS = str(HERE.parent.parent / ".work" / "collections")
if COLLECTIONS not in sys.path:
    sys.path.append(COLLECTIONS)
MAX_BYTES = 4096


def names():
    """Return the names of the targets, sorted: module_file for fuzz_module_file.py."""
    return sorted(path.stem[len("fuzz_") :] for path in HERE.glob("fuzz_*.py"))


def load(name):
    """Return the module of a target."""
    return importlib.import_module("tests.fuzz.fuzz_" + name)
