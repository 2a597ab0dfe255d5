# Runs scenarios, and makes one that fails smaller: fewer troubles, fewer hosts.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import collections
import traceback

from tests.model.checks import Violation
from tests.model.fleet import Scenario
from tests.model.life import Life


def one(scenario):
    """Live through a scenario; return ((kind, text) of what was broken or None, how its commands ended, the trace)."""
    life = Life(scenario)
    try:
        life.live()
    except Violation as violation:
        cause = violation.__cause__ or violation
        where = "".join(traceback.format_tb(cause.__traceback__)[-4:])
        return (violation.kind, f"{violation}\n{where}"), ends(life), life.trace
    except Exception as error:  # pylint: disable=broad-except
        where = "".join(traceback.format_tb(error.__traceback__)[-4:])
        return (type(error).__name__, f"{error!r}\n{where}"), ends(life), life.trace
    return None, ends(life), life.trace


def ends(life):
    words = [line.partition("ended: ")[2] for line in life.trace if "ended: " in line and " > " not in line]
    return collections.Counter(text.partition(":")[0] for text in words)


class Task:
    """What a process of a pool does with a seed; traces: whether to tell what happened, which is much."""

    def __init__(self, without=(), traces=False):
        self.without, self.traces = without, traces

    def __call__(self, seed):
        failure, ended, trace = one(Scenario(seed, self.without))
        return seed, failure, ended, trace if self.traces else []


def smaller(seed, without=()):
    """Return (without, most): as many troubles left out, and as few hosts, as break the same promise."""
    kind = one(Scenario(seed, without))[0][0]

    def fails(left_out, most):
        found = one(Scenario(seed, left_out, most))[0]
        return found is not None and found[0] == kind

    most = next((count for count in (1, 2, 3, 5, 8, 12) if fails(without, count)), None)
    changed = True
    while changed:
        changed = False
        for trouble in list(Scenario(seed, without).troubles):
            if fails((*without, trouble), most):
                without, changed = (*without, trouble), True
    return without, most


def explained(seed, without=()):
    """Return what a person needs of a failure (str): the seed, the smallest scenario found, and what happened in it."""
    left_out, most = smaller(seed, without)
    scenario = Scenario(seed, left_out, most)
    failure, unused, trace = one(scenario)
    return "\n".join(
        [
            "",
            f"seed {seed}, troubles {', '.join(scenario.troubles) or 'none'}, at most {most or 'all'} hosts: {failure[1]}",
            *trace[-80:],
        ]
    )
