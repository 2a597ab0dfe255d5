# Some hundred random rollouts for every change: what must hold in each, whatever befalls hosts, controller and people.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# `python3 -m tests.model --runs 20000` has many more; a seed that fails there fails here again. They run in a process of
# their own: with the actions this one would be a controller, in which modules warn elsewhere than their tests look.

import subprocess
import sys

import pytest

from tests.model import ROOT

RUNS = 240


def model(*words):
    """Return (exit status, output) of random rollouts."""
    command = [sys.executable, "-m", "tests.model", *words]
    done = subprocess.run(command, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def rollouts():
    return model("--runs", str(RUNS))


def test_what_a_rollout_promises_holds_in_random_rollouts(rollouts):
    status, output = rollouts
    assert status == 0 and f"{RUNS} rollouts" in output, output


def test_the_random_rollouts_end_in_every_way_there_is(rollouts):
    ended = rollouts[1].partition("commands ended: ")[2]
    for way in ("complete", "stopped", "held", "rolled_back", "killed", "failed", "refused by the state"):
        assert f"'{way}'" in ended


def test_a_seed_gives_the_same_rollout_again():
    one, other = (model("--runs", "1", "--seed", "7", "--trace")[1].rpartition("\n1 rollouts")[0] for unused in range(2))
    assert one == other and one.count("\n") > 10
