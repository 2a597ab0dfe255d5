# The summary of a rollout: one row a host, for a table and for programs.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import automation, builds

HEAD = ("host", "kernel release", "tier", "effective release", "outcome")
QUIET = ("patched", "already", "untouched")
MOST_ROWS = 60


def rows(state):
    """Return a dict a host: host, kernel_release, tier (name or None), effective_release, outcome, reason.

    With builds also uncovered: the wanted CVEs that its build is not known to mend.
    """
    found = [*_rows(state)]
    lacking = builds.uncovered(state)
    missing = {name: state.builds[kernel]["missing"] for kernel, names in lacking.items() for name in names}
    for row in found if state.builds else ():
        row["uncovered"] = missing.get(row["host"], [])
    return found


def _rows(state):
    names = {tier["number"]: tier["name"] for tier in state.tiers or []}
    found = [_planned_row(host, names) for host in state.hosts.values() if host.name not in state.excluded]
    return found + [_excluded_row(state, entry) for entry in state.excluded.values()]


def _planned_row(host, names):
    outcome = host.outcome or {}
    return {
        "host": host.name,
        "kernel_release": host.kernel_release,
        "tier": names.get(host.tier),
        "effective_release": outcome.get("effective_release") or host.effective_release,
        "outcome": outcome.get("outcome", "untouched"),
        "reason": outcome.get("reason", ""),
    }


def _excluded_row(state, entry):
    known = state.hosts.get(entry["host"])
    return {
        "host": entry["host"],
        "kernel_release": entry.get("kernel_release") or (known.kernel_release if known else None),
        "tier": None,
        "effective_release": entry["effective_release"],
        "outcome": entry["outcome"],
        "reason": entry["reason"],
    }


def table(found):
    """Return the lines of the table; a large fleet shows only the hosts that need a person's eye."""
    shown = found if len(found) <= MOST_ROWS else [row for row in found if row["outcome"] not in QUIET][:MOST_ROWS]
    if not shown:
        return [f"all {len(found)} hosts are in the journal; none needs a person"]
    cells = [HEAD] + [_cells(row) for row in shown]
    lines = aligned(cells)
    if len(shown) < len(found):
        lines.append(f"({len(found) - len(shown)} more hosts are in the journal)")
    return lines


def aligned(cells):
    """Return rows of texts (list of tuple of str, all of one length) as lines with straight columns (list of str)."""
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]


def _cells(row):
    return tuple(str(row[key] or "-") for key in ("host", "kernel_release", "tier", "effective_release", "outcome"))


def summary(state, journal):
    """Return what a run ends with (dict): rollout, release, seed, round, result, verdict, reasons, counts, tiers, journal.

    With builds also the package of each kernel, and how many hosts are uncovered.

    It holds no host, as whoever keeps it (the artifacts of a job, variables of the next one) keeps it whole.
    """
    said = state.stop or state.verdict or {}
    return {
        "rollout": state.rollout,
        "release": state.release,
        "seed": state.seed,
        "round": state.rounds,
        "result": result(state),
        "counts": judge.counts(state),
        "verdict": said.get("verdict"),
        "reasons": said.get("reasons", []),
        "tiers": [_tier(state, tier) for tier in state.tiers or []],
        "automation": automation.counts(state),
        **({"builds": _builds(state), "uncovered": sum(map(len, builds.uncovered(state).values()))} if state.builds else {}),
        "journal": journal,
    }


def _builds(state):
    """The package of each kernel, null where there is none."""
    names = builds.labels(state.builds)
    return {names[key]: build["package"] for key, build in state.builds.items()}


def result(state):
    """Return what has become of a rollout (str): unfinished, complete, waiting, held, stopped, rolled_back."""
    if state.ended == "rolled_back" or (state.rollback and not state.stop):
        return state.ended or "unfinished"
    return "stopped" if state.stop else state.ended or "unfinished"


def _tier(state, tier):
    number = tier["number"]
    hosts = state.tier_hosts(number)
    return {
        "number": number,
        "name": tier["name"],
        "hosts": len(hosts),
        "untouched": len(state.remaining(number)),
        "done": number in state.tiers_done,
    }
