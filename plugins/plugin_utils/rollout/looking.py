# When to look again, and whether a tier is done: what the playbooks' loops of waiting and looking go by. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import math

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import view
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout.plan import MOST_LOOKS


def tier_is_done(state, number, verdict, now):
    """Tell whether this verdict (dict), given after a look, lets the rollout go on from tier `number` to the next one."""
    return (
        verdict["verdict"] == "pass"
        and not state.remaining(number)
        and judge.soak_is_over(state, number, now)
        and number not in state.tiers_done
    )


def turn(state, number, verdict, now):
    """Return what comes next (dict): again (wait and look once more), wait (seconds until then), look_at, held.

    look_at: whom to look at then, as view.to_look_at gives them. held: the rollout was on hold for so long that a person
    must decide; the run ends.
    """
    if verdict["verdict"] == "stop" or number in state.tiers_done:
        return {"again": False, "wait": 0, "look_at": [], "held": False}
    held = verdict["verdict"] == "hold"
    if held and now - (state.held_since or now) >= state.rules["max_hold"]:
        return {"again": False, "wait": 0, "look_at": [], "held": True}
    goal, look_due = _goal(state, number, held, now), view.look_due(state)
    again = held or goal > now or _is_unseen(state, number, now, look_due)
    moment = min(goal, max(now, look_due)) if goal > now else now
    if held:
        moment = min(now + _hold_interval(state), (state.held_since or now) + state.rules["max_hold"])
    return {
        "again": again,
        "wait": max(0, math.ceil(moment - now)) if again else 0,
        "look_at": view.to_look_at(state) if held else _whom(state, number, moment, look_due) if again else [],
        "held": False,
    }


def _hold_interval(state):
    """Seconds between two looks on hold: every look is an inclusion deeper for Ansible, which bears some two hundred."""
    return max(state.rules["look_interval"], state.rules["max_hold"] / MOST_LOOKS)


def _goal(state, number, held, now):
    """When (seconds since 1970) the rollout goes on if nothing new is seen: the next slice, or the end of the soak."""
    if held:
        return now
    return view.slice_due(state, number) if state.remaining(number) else state.soaks.get(number, now)


def _is_unseen(state, number, now, look_due):
    """Has it to be looked at now? Between slices when the interval is over; after a soak whoever was not seen since."""
    if state.remaining(number):
        return bool(state.patched_at) and now >= look_due
    return bool(view.to_look_at(state, state.soaks.get(number, now)))


def _whom(state, number, moment, look_due):
    until = state.soaks.get(number)
    if not state.remaining(number) and until is not None and moment >= until:
        return view.to_look_at(state, until)
    return view.to_look_at(state) if moment >= look_due else []


def words(seconds):
    """Return a duration for people (str): "3 h 20 min", "45 s"."""
    if seconds < 120:
        return f"{seconds} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
