# The tiers of a rollout in time, a line each: where it stands, since when, how long that took, and what it waits for. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import chart
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import schedule


def tiers(state, now):
    """Return a dict for each tier: tier (its name), mark, line (for people). now: seconds since 1970."""
    named = [(tier["name"], mark(state, tier["number"], now), tier) for tier in state.tiers or []]
    width = max((len(name) for name, unused, unused_too in named), default=0)
    return [
        {"tier": name, "mark": found, "line": _line(state, name.ljust(width), found, tier, now)}
        for name, found, tier in named
    ]


def mark(state, number, now):
    """Return where tier `number` stands (wait, patch, soak, hold, stop or pass)."""
    if number in state.tiers_done:
        return "pass"
    if number not in state.begun_at:
        return "wait"
    if state.stop:
        return "stop"
    if state.held_since is not None:
        return "hold"
    return "patch" if state.remaining(number) else "soak"


def _line(state, name, found, tier, now):
    hosts = len(state.tier_hosts(tier["number"]))
    begun = state.begun_at.get(tier["number"])
    words = f"tier {name}  {found:5}  {hosts} {'host' if hosts == 1 else 'hosts'}"
    if begun is None:
        return words
    words += f", began {chart.clock(begun)[11:]} UTC, {chart.duration(max(0, now - begun))}"
    waits = _waits_for(state, found, tier["number"], now)
    return f"{words}; {waits}" if waits else words


def _waits_for(state, found, number, now):
    if found == "patch":
        due = schedule.slice_due(state, number, now)
        left = len(state.remaining(number))
        return f"{left} to be patched" + (f", the next in {chart.duration(due - now)}" if due > now else "")
    if found == "soak":
        until = state.soaks.get(number) or schedule.soak_until(state, number, now)
        return f"soaks for {chart.duration(max(0, until - now))}" if until > now else ""
    if found in ("hold", "stop"):
        verdict = state.stop if found == "stop" else state.verdict
        return verdict["reasons"][0]
    return ""
