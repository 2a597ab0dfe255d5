# Some hundred random rollouts for every change: what must hold in each, whatever befalls hosts, controller and people.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# `python3 -m tests.model --runs 20000` has many more; a seed that fails there fails here again.

import pytest

from tests.model import search
from tests.model.fleet import Scenario

RUNS, PARTS = 240, 8


@pytest.mark.parametrize("part", range(PARTS))
def test_what_a_rollout_promises_holds_in_random_rollouts(part):
    for seed in range(1 + part, 1 + RUNS, PARTS):
        failure, unused, unused = search.one(Scenario(seed))
        assert failure is None, search.explained(seed)


def test_the_random_rollouts_end_in_every_way_there_is():
    ended = set()
    for seed in range(1, 100):
        ended.update(search.one(Scenario(seed))[1])
    assert ended >= {"complete", "stopped", "held", "rolled_back", "killed", "failed", "refused by the state"}


def test_a_seed_gives_the_same_rollout_again():
    one, other = (search.one(Scenario(7))[2] for unused in range(2))
    assert one == other and len(one) > 10
