# Draws the evidence E over the time of two simulated rollouts, one that is held and one that is stopped (SVG).
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: .venv/bin/python -m tests.simulation.picture    writes docs/gate-held.svg and docs/gate-stopped.svg

import zlib
from collections import namedtuple

import numpy
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate.exposure import BIN
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import chart

from tests.simulation import ROOT, models, verdict
from tests.simulation import fleet as fleets
from tests.simulation.rollout import Rollout
from tests.simulation.world import HOUR, Luck, World

HOSTS = 10000
# What a rollout has that is given no livepatch_history: the default number of control hosts, and no bet on the days before.
CONTROL_HOSTS = verdict.RULES["control_hosts"]
# file: title, model, run
PICTURES = {
    "gate-held.svg": ("Held: one crash, then silence", "q.1%", 1),
    "gate-stopped.svg": ("Stopped: hosts crash 20 times as often", "x20", 0),
}

Look = namedtuple("Look", "hours evidence verdict tier patched")
Watched = namedtuple("Watched", "looks outcome incidents")
Watched.__doc__ = (
    """A rollout's looks, its outcome, and the hours of the incidents of each arm that it knew of at its end."""
)

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 560, 46, 548, 64, 274, 330
_MARKS = _BOTTOM - 10
_STYLE = """
svg { --ink: #1b1f24; --soft: #5b6570; --line: #d5dae0; --paper: #ffffff; --e: #2563b0; --hold: #b07a00; --stop: #c62f2f; }
@media (prefers-color-scheme: dark) { svg { --ink: #e4e8ec; --soft: #9aa5b0; --line: #38414b; --paper: #14181c; --e: #6aa5f0;
  --hold: #e0a92e; --stop: #f06a6a; } }
text { font: 14px sans-serif; fill: var(--ink); } .title { font-weight: bold; } .soft { fill: var(--soft); }
.grid { stroke: var(--line); }
"""


def watch(model, run):
    """Return what is Watched of one run of a model, the same as that of `python -m tests.simulation --no-history`."""
    luck = Luck(
        fleets.make(HOSTS, f"1/{run}"),
        models.parse(model),
        numpy.random.default_rng([1, run, zlib.crc32(model.encode())]),
    )
    world = World(luck, CONTROL_HOSTS)
    rollout = Rollout(world, history=False, always=True)
    looks, judge = [], rollout.gate.look

    def look(now):
        said = judge(now)
        tier = rollout.progress.tier
        looks.append(Look(now, rollout.gate.evidence["suspicion"], said[0], tier.name if tier else None, world.patched))
        return said

    rollout.gate.look = look
    outcome = rollout.run()[0]
    begin = world.seconds(0)
    seen = world.tally(rollout.now, rollout.now).singles
    hours = {
        arm: sorted({(single.place * BIN - begin) / HOUR for single in seen if single.arm == arm})
        for arm in ("patched", "control")
    }
    return Watched(looks, outcome, hours)


def draw(title, seen):
    """Return the SVG (str) of what is Watched."""
    span = chart.Span(0, seen.looks[-1].hours * HOUR, _LEFT, _RIGHT)
    decades = chart.Decades(0.1, 100, _BOTTOM, _TOP)

    def x(hours):
        return span.x(hours * HOUR)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}">',
        # REUSE-IgnoreStart
        "<!-- Copyright: (c) 2026, kernel.livepatch contributors. SPDX-License-Identifier: GPL-3.0-or-later -->",
        # REUSE-IgnoreEnd
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="var(--paper)"/>',
        f'<text x="{_LEFT}" y="20" class="title">{title}</text>',
    ]
    for hold in _holds(seen.looks):
        parts.append(
            f'<rect x="{x(hold[0])}" y="{_TOP}" width="{round(x(hold[1]) - x(hold[0]), 1)}" height="{_BOTTOM - _TOP}" '
            'fill="var(--hold)" fill-opacity="0.18"/>'
        )
    for y, text in decades.ticks():
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="soft" x="{_LEFT - 8}" y="{y + 5}" text-anchor="end">{text}</text>')
    for place, text in span.ticks(6):
        parts.append(f'<text class="soft" x="{place}" y="{_BOTTOM + 20}" text-anchor="middle">{text}</text>')
    for hours, tier in _tiers(seen.looks):
        parts.append(f'<line class="grid" x1="{x(hours)}" x2="{x(hours)}" y1="{_TOP - 22}" y2="{_BOTTOM}"/>')
        parts.append(f'<text class="soft" x="{x(hours) + 4}" y="{_TOP - 9}">{tier}</text>')
    for name in ("stop", "hold"):
        limit = verdict.RULES[name + "_evidence"]
        y = decades.y(limit)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y}" y2="{y}" stroke="var(--{name})" stroke-dasharray="6 4"/>'
        )
        parts.append(f'<text x="{_LEFT + 4}" y="{y - 5}" style="fill:var(--{name})">{name} at {limit:g}</text>')
    curve = chart.steps((x(look.hours), decades.y(look.evidence)) for look in seen.looks)
    parts.append(f'<polyline points="{curve}" fill="none" stroke="var(--e)" stroke-width="2.5"/>')
    for arm, fill in (("control", "none"), ("patched", "var(--stop)")):
        parts += [
            f'<circle cx="{x(hours)}" cy="{_MARKS}" r="4.5" fill="{fill}" stroke="var(--{"soft" if fill == "none" else "stop"})"/>'
            for hours in seen.incidents[arm]
        ]
    parts.append(
        f'<text class="soft" x="{_LEFT}" y="{_HEIGHT - 10}">line: E; dots: crashes, filled on patched hosts; shaded: on hold</text>'
    )
    return "\n".join(parts + ["</svg>", ""])


def _holds(looks):
    """Yield (from, to) in hours of each time on hold."""
    since = None
    for look in looks:
        if look.verdict == "hold" and since is None:
            since = look.hours
        if since is not None and (look.verdict != "hold" or look is looks[-1]):
            yield since, look.hours
            since = None


def _tiers(looks):
    """Yield (hours, name) of each tier when it begins; a look sees the tier that began just before it."""
    for former, look in zip(looks, looks[1:]):
        if look.tier != former.tier:
            yield former.hours, look.tier


def pictures():
    """Return {file: SVG}."""
    return {file: draw(title, watch(model, run)) for file, (title, model, run) in PICTURES.items()}


if __name__ == "__main__":
    for file, text in pictures().items():
        (ROOT / "docs" / file).write_text(text, encoding="utf-8")
        print(f"Written: docs/{file}")
