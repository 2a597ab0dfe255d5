# The fuzz targets without their engine: well-formed inputs, inputs that once failed, and damaged ones.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import random
import time

import pytest

from tests import fuzz

# Damaged inputs of each target; more would be the engine's work.
DAMAGED = 100
# Processor time. The engine is stricter, but has the machine to itself.
SECONDS = 3


def damaged(target, generator):
    """Return an input (bytes) like one of the seeds: bytes changed, left out, repeated, or a word put in."""
    data = bytearray(generator.choice(target.SEEDS))
    for _unused in range(generator.randint(1, 6)):
        place, length = generator.randint(0, len(data)), generator.randint(1, 8)
        what = [
            [generator.randint(0, 255)] * length,
            [],
            data[place : place + length] * 2,
            bytearray(generator.choice(getattr(target, "WORDS", [b"\xff"]))),
        ]
        data[place : place + length] = bytearray(what[generator.randint(0, 3)])
    return bytes(data)


def assert_digested(target, data):
    started = time.process_time()
    target.one_input(data)
    seconds = time.process_time() - started
    assert seconds < SECONDS, "%r took %.1f s" % (data[:200], seconds)


@pytest.mark.parametrize("name", fuzz.names())
def test_well_formed_inputs_and_those_that_once_failed_are_digested(name):
    target = fuzz.load(name)
    for seed in target.SEEDS:
        assert_digested(target, seed)


@pytest.mark.parametrize("name", fuzz.names())
def test_damaged_inputs_are_digested(name):
    target, generator = fuzz.load(name), random.Random(name)
    for _unused in range(DAMAGED):
        data = damaged(target, generator)
        assert_digested(target, data)
