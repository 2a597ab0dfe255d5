# What can go wrong in a simulated fleet: with the livepatch, and without it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import re
from dataclasses import dataclass, replace

from tests.simulation import fleet

# Of the livepatch. c- : only the hosts of the smallest cohort suffer; late- : nobody does in the first hours.
HARM = re.compile(
    r"(?P<late>late-)?(?P<cohort>c-)?"
    r"(?:x(?P<times>[0-9.]+)|q(?P<crash>[0-9.]+)%|h(?P<hang>[0-9.]+)%|f(?P<fail>[0-9.]+)%)"
)
# Of the world, harmless livepatch or not.
WORLDS = {
    "lemons": {"lemons": True},
    "flaps": {"flaps": True},
    "racks": {"racks": True},
    "storm": {"storm": True},
    "surge": {"surge": True},
    "lost": {"lost": True},
    "selfs": {"selfs": True},
    "worst": {"lemons": True, "racks": True, "storm": True, "surge": True},
}


@dataclass(frozen=True)
class Model:
    """What a fleet suffers.

    name: as on the command line; times: how many times more often a patched host crashes; crash, hang, fail: share of the
    hosts that crash, hang so that their task times out, or fail without harm, while they are patched; only_smallest: none of
    these elsewhere than in the smallest cohort; late: none of these in the first hours. lemons: a few hosts crash again and
    again; flaps: more of them, and oftener; racks: whole racks lose power; storm: one cohort crashes often for some hours, on
    both arms; surge: the whole fleet does; lost: a quarter of the hosts to compare with are lost at once; selfs: hosts that
    wait patch themselves.
    """

    name: str
    times: float = 1.0
    crash: float = 0.0
    hang: float = 0.0
    fail: float = 0.0
    only_smallest: bool = False
    late: bool = False
    lemons: bool = False
    flaps: bool = False
    racks: bool = False
    storm: bool = False
    surge: bool = False
    lost: bool = False
    selfs: bool = False

    @property
    def habits(self):
        """What makes its hosts crash by themselves (tuple of names of fleet.HABITS)."""
        return tuple(name for name in fleet.HABITS if getattr(self, name))


def parse(name):
    """Return the Model of a name: good, xN, qP%, hP%, fP%, c-..., late-... or a world, several of them joined by '+'."""
    model = Model(name)
    for part in name.split("+"):
        found = HARM.fullmatch(part)
        if part in WORLDS:
            model = replace(model, **WORLDS[part])
        elif found:
            model = replace(
                model,
                times=float(found["times"] or model.times),
                **{key: float(found[key]) / 100 for key in ("crash", "hang", "fail") if found[key]},
                only_smallest=bool(found["cohort"]) or model.only_smallest,
                late=bool(found["late"]) or model.late,
            )
        elif part != "good":
            raise ValueError(
                f"unknown model {part!r}: expected good, x20, q1%, h0.5%, f0.2%, c-x200, late-x20, {', '.join(WORLDS)}"
            )
    return model
