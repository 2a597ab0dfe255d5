# What can go wrong in a simulated fleet: with the livepatch, and without it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import re
from dataclasses import dataclass, replace

# Of the livepatch. c- : only the hosts of the smallest cohort suffer.
HARM = re.compile(r"(?P<cohort>c-)?(?:x(?P<times>[0-9.]+)|q(?P<crash>[0-9.]+)%|f(?P<fail>[0-9.]+)%)")
# Of the world, harmless livepatch or not.
WORLDS = {
    "lemons": {"lemons": True},
    "racks": {"racks": True},
    "storm": {"storm": True},
    "surge": {"surge": True},
    "worst": {"lemons": True, "racks": True, "storm": True, "surge": True},
}


@dataclass(frozen=True)
class Model:
    """What a fleet suffers.

    name: as on the command line; times: how many times more often a patched host crashes; crash, fail: share of the
    hosts that crash, or fail without harm, while they are patched; only_smallest: none of these elsewhere than in the
    smallest cohort. lemons: a few hosts crash again and again; racks: whole racks lose power; storm: one cohort crashes
    often for some hours, on both arms; surge: the whole fleet does.
    """

    name: str
    times: float = 1.0
    crash: float = 0.0
    fail: float = 0.0
    only_smallest: bool = False
    lemons: bool = False
    racks: bool = False
    storm: bool = False
    surge: bool = False


def parse(name):
    """Return the Model of a name: good, xN, qP%, fP%, c-... or a world, several of them joined by '+'."""
    model = Model(name)
    for part in name.split("+"):
        found = HARM.fullmatch(part)
        if part in WORLDS:
            model = replace(model, **WORLDS[part])
        elif found:
            model = replace(
                model,
                times=float(found["times"] or model.times),
                crash=float(found["crash"] or 100 * model.crash) / 100,
                fail=float(found["fail"] or 100 * model.fail) / 100,
                only_smallest=bool(found["cohort"]) or model.only_smallest,
            )
        elif part != "good":
            raise ValueError(f"unknown model {part!r}: expected good, x20, q1%, f0.2%, c-x200, {', '.join(WORLDS)}")
    return model
