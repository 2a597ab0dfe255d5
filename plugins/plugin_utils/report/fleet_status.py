# What a fleet runs: releases by kernel and cohort, how far a release has come, and which hosts need a person. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import summary
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import fleet, releases

SCHEMA = 1
# What a host is called by is the first of these that holds. The last two need nobody.
STATES = (
    "unreachable",
    "failed",
    "unsupported",
    "stalled",
    "switching",
    "other_code",
    "behind",
    "unpatched",
    "reboot_pending",
    "elsewhere",
    "current",
)
FINE = ("current", "elsewhere")
NO_LIVEPATCH = "none"
# A transition that lasts longer is stalled: the timeout that the module livepatch has by default, in seconds.
PATIENCE = 60


def status(raw, now, wanted=None, pattern=None, reasons=None):
    """Return what the fleet runs (dict, plain values).

    raw: name -> {result, facts, cohort} as for fleet.survey, the facts with packages and blockers. now: seconds since
    1970. wanted: the release that hosts should run; without one each host with a livepatch is current. pattern: overrides
    the vendors' naming of modules. reasons: name -> (outcome, reason) of a rollout, which tell why a host is behind.
    """
    hosts = [_host(name, entry, wanted, pattern, (reasons or {}).get(name)) for name, entry in raw.items()]
    counts = {state: sum(host["state"] == state for host in hosts) for state in STATES}
    return {
        "schema": SCHEMA,
        "at": now,
        "wanted": wanted,
        "counts": {state: number for state, number in counts.items() if number},
        "rows": _rows(hosts),
        "cohorts": _cohorts(hosts),
        "hosts": hosts,
    }


def _host(name, entry, wanted, pattern, told):
    facts = entry.get("facts") or {}
    state, reasons = _state(entry, facts, wanted, pattern, told)
    transition = facts.get("transition") or {}
    return {
        "host": name,
        "cohort": str(entry.get("cohort") or facts.get("kernel_release") or "-"),
        "kernel_release": facts.get("kernel_release"),
        "livepatch": facts.get("enabled"),
        "effective_release": facts.get("effective_release"),
        "state": state,
        "reasons": reasons,
        "blockers": transition.get("blockers") or [],
    }


def _state(entry, facts, wanted, pattern, told):
    """Return (the state, why): what holds first gives the name, all that holds is said."""
    result = entry.get("result") or {}
    if result.get("unreachable"):
        return "unreachable", [str(result.get("msg") or "it does not answer")]
    if result.get("failed") or not facts:
        return "failed", [str(result.get("msg") or "livepatch_facts did not run")]
    if not facts.get("supported") and not fleet.active_engines(facts):
        return "unsupported", ["its kernel has no livepatch support"]
    found = [*_switching(facts), *_other_code(facts), *_behind(facts, wanted, pattern, told), *_reboot(facts)]
    if not found:
        return "current", []
    names = [state for state, unused in found]
    return min(names, key=STATES.index), [reason for unused, reason in found if reason]


def _switching(facts):
    transition = facts.get("transition")
    if transition:
        seconds = transition.get("seconds")
        words = f"{transition['direction']} {transition['livepatch']}, tasks are still switching"
        words += "" if seconds is None else f" after {round(seconds)} s"
        words += f": {transition['summary']}" if transition.get("summary") else ""
        yield ("stalled" if (seconds or 0) > PATIENCE else "switching"), words


def _other_code(facts):
    for name, patch in sorted((facts.get("patches") or {}).items()):
        if patch.get("packaged") is False:
            yield "other_code", f"the code of {name} is in no installed package"


def _behind(facts, wanted, pattern, told):
    engines = fleet.active_engines(facts)
    runs = facts.get("enabled")
    if engines:
        yield "elsewhere", f"livepatched by {' and '.join(engines)}"
        return
    if wanted is None:
        if runs is None:
            yield "unpatched", "runs no livepatch"
        return
    name = releases.livepatch_name(
        wanted, facts["kernel_release"], facts.get("architecture") or "", facts.get("os_family_ids") or (), pattern
    )
    # Where a vendor's name is not known before it runs, what runs is taken for it if it has the release in its name.
    matches = runs == name if name else wanted.replace("-", "_") in (runs or "")
    if not matches:
        outcome, reason = told or (None, None)
        because = f": {outcome.replace('_', ' ')}" + (f", {reason}" if reason else "") if outcome else ""
        yield "behind" if runs else "unpatched", f"runs {runs or 'no livepatch'}, not {name or wanted}{because}"


def _reboot(facts):
    pending = facts.get("pending_kernel")
    if pending:
        ready = pending.get("livepatches") or []
        words = f"boots {pending['kernel_release']} next, for which {', '.join(ready) or 'no livepatch'} lies ready"
        yield "reboot_pending", words


def _rows(hosts):
    """How many hosts of a cohort run which livepatch on which kernel, the largest first within a cohort."""
    found = {}
    for host in hosts:
        if host["kernel_release"]:
            key = (host["cohort"], host["kernel_release"], host["livepatch"] or NO_LIVEPATCH)
            row = found.setdefault(key, {"hosts": 0, "need": 0})
            row["hosts"] += 1
            row["need"] += host["state"] not in FINE
    named = [dict(zip(("cohort", "kernel_release", "livepatch"), key), **row) for key, row in found.items()]
    return sorted(named, key=lambda row: (row["cohort"], -row["hosts"], row["kernel_release"], row["livepatch"]))


def _cohorts(hosts):
    """{cohort: {state: number of hosts}}, by the names of the cohorts; states in their order."""
    found = {}
    for host in sorted(hosts, key=lambda host: (host["cohort"], STATES.index(host["state"]))):
        counts = found.setdefault(host["cohort"], {})
        counts[host["state"]] = counts.get(host["state"], 0) + 1
    return found


def need(found):
    """Return the hosts (list of dict) of a status that need a person, the worst first."""
    return sorted(
        (host for host in found["hosts"] if host["state"] not in FINE),
        key=lambda host: (STATES.index(host["state"]), host["host"]),
    )


HEAD = ("cohort", "kernel release", "livepatch", "hosts", "need a person")
MOST_LINES = 40


def lines(found):
    """Return the status as lines for a terminal (list of str): counts, the table, and the hosts that need a person."""
    total = len(found["hosts"])
    words = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in found["counts"].items())
    wanted = f", wanted is {found['wanted']}" if found["wanted"] else ""
    cells = [HEAD] + [
        (row["cohort"], row["kernel_release"], row["livepatch"], str(row["hosts"]), str(row["need"] or "-"))
        for row in found["rows"]
    ]
    eye = need(found)
    told = [f"{host['host']}: {host['state'].replace('_', ' ')}: {'; '.join(host['reasons'])}" for host in eye[:MOST_LINES]]
    more = [f"and {len(eye) - MOST_LINES} more, in the page and the data"] if len(eye) > MOST_LINES else []
    return [f"{total} hosts{wanted}: {words or 'none'}", *summary.aligned(cells), *told, *more]
