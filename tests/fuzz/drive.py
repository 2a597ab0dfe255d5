# Runs one fuzz target under the engine; needs the Python of the environment "fuzz".
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: python -m tests.fuzz.drive NAME [options of libFuzzer] [CORPUS ...]

import sys

import atheris

from tests import fuzz

OURS = "ansible_collections.kernel.livepatch.plugins.module_utils"


def main():
    with atheris.instrument_imports(include=[OURS]):
        target = fuzz.load(sys.argv[1])
    atheris.Setup(sys.argv[:1] + sys.argv[2:], target.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
