# What playbooks read of a rollout: tiers and hosts still to be done, hosts to roll back. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from itertools import groupby

from ansible_collections.kernel.livepatch.plugins.plugin_utils import gate, summary


def tiers(state, now):
    """Return a dict a tier: number, name, hosts (still to be patched, in order), serial, all_hosts, soak_seconds, done.

    serial: how many of exactly these hosts make up each slice, never empty; now: seconds since 1970.
    """
    return [_tier(state, tier, now) for tier in state.tiers]


def _tier(state, tier, now):
    number = tier["number"]
    left = state.remaining(number)
    done = number in state.tiers_done
    sizes = [len(list(group)) for unused, group in groupby(left, key=lambda name: state.hosts[name]["slice"])]
    return {
        "number": number,
        "name": tier["name"],
        "hosts": [] if done else left,
        "serial": [1] if done else sizes or [1],
        "all_hosts": state.tier_hosts(number),
        "soak_seconds": 0 if done else soak_left(state, number, now),
        "done": done,
    }


def soak_left(state, number, now):
    """Return the seconds (int) that tier `number` has still to soak."""
    if number in state.soaks:
        return max(0, round(state.soaks[number] - now))
    return next(tier["soak"] for tier in state.tiers if tier["number"] == number)


def to_look_at(state):
    """Return a dict for each patched host: host, since (what to hand to livepatch_health: read on from the last look).

    None after a stop: nobody is looked at then.
    """
    return [] if state.stop else [{"host": name, "since": _since(state, name)} for name in state.patched()]


def _since(state, name):
    outcome, look = state.outcomes[name], state.looks.get(name, {})
    if look.get("boot_id") == outcome.get("boot_id") and look.get("sequence") is not None:
        return {"boot_id": look["boot_id"], "sequence": look["sequence"]}
    return outcome.get("since") or {"boot_id": outcome.get("boot_id")}


def to_roll_back(state):
    """Return a dict for each host that the rollout touched, latest first: what it had before, and has now.

    What a former round of the rollout had done, and nobody has undone, belongs to it.
    """
    return [_before(name, *state.before(name)) for name in state.to_roll_back()]


def _before(name, planned, outcome):
    package, package_before = outcome.get("package"), outcome.get("package_before")
    return {
        "host": name,
        "package": package,
        # A controller that died had installed it already: what was there before is not known.
        "package_before": None if package_before == package else package_before,
        "livepatch": outcome.get("livepatch"),
        "enabled_before": outcome.get("enabled_before", planned["enabled"]),
        "outcome": outcome.get("outcome"),
        "reason": outcome.get("reason"),
    }


def report(state, path):
    """Return what every action hands back: the journal, counts, and rows and lines of the summary."""
    rows = summary.rows(state)
    found = summary.summary(state, path)
    return {
        "journal": path,
        "counts": found["counts"],
        "hosts_patched": state.patched(),
        "rollback": to_roll_back(state),
        "summary": rows,
        "table": summary.table(rows),
        "stats": {"livepatch_rollout": found},
        **({"stop_message": gate.stop_message(state, path)} if state.stop else {}),
    }
