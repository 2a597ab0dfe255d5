# What a fleet runs: releases by kernel and cohort, how far a release has come, and which hosts need a person. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import summary
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import builds, fleet, releases

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


def status(raw, now, wanted=None, pattern=None, reasons=None, wanted_builds=None, today=""):
    """Return what the fleet runs (dict, plain values).

    raw: name -> {result, facts, cohort} as for fleet.survey, the facts with packages and blockers. now: seconds since
    1970. wanted: the release that hosts should run; without one each host with a livepatch is current. pattern: overrides
    the vendors' naming of modules. reasons: name -> (outcome, reason) of a rollout, which tell why a host is behind.
    wanted_builds: builds.key of a kernel -> its build entry, where each kernel is to run another package; today: YYYY-MM-DD.
    """
    found = None if wanted_builds is None else {key: _Build(entry, today) for key, entry in wanted_builds.items()}
    hosts = [_host(name, entry, wanted, pattern, (reasons or {}).get(name), found) for name, entry in raw.items()]
    counts = {state: sum(host["state"] == state for host in hosts) for state in STATES}
    return {
        "schema": SCHEMA,
        "at": now,
        "wanted": wanted,
        "counts": {state: number for state, number in counts.items() if number},
        "rows": _rows(hosts),
        "kernels": [] if found is None else _kernels(hosts, found),
        "cohorts": _cohorts(hosts),
        "hosts": hosts,
    }


class _Build:
    """What the hosts of a kernel are to run. entry: of the journal, or as livepatch_builds has told it."""

    def __init__(self, entry, today):
        self.entry, self.package, self.livepatch = entry, entry["package"], entry["livepatch"]
        self.why = "" if self.package else builds.why_none(entry, today)

    def runs(self, facts):
        """Does this host (facts) run it: by its name, or by the package of the code that runs?"""
        name = facts.get("enabled")
        patch = (facts.get("patches") or {}).get(name) or {}
        return bool(name and self.package) and (name == self.livepatch or patch.get("package") == self.package)

    def lacks(self, facts):
        """Return the CVEs (set) that it mends and that what the host runs is not known to mend."""
        patch = (facts.get("patches") or {}).get(facts.get("enabled")) or {}
        return set() if self.runs(facts) else set(self.entry["cves"]) - set(patch.get("cves") or ())


def _host(name, entry, wanted, pattern, told, found):
    facts = entry.get("facts") or {}
    build = (found or {}).get(builds.key(facts)) if facts.get("kernel_release") else None
    state, reasons = _state(entry, facts, wanted, pattern, told, found)
    transition = facts.get("transition") or {}
    return {
        **({} if found is None else {"architecture": facts.get("architecture"), "lacks": sorted(build.lacks(facts)) if build else []}),
        "host": name,
        "cohort": str(entry.get("cohort") or facts.get("kernel_release") or "-"),
        "kernel_release": facts.get("kernel_release"),
        "livepatch": facts.get("enabled"),
        "effective_release": facts.get("effective_release"),
        "state": state,
        "reasons": reasons,
        "blockers": transition.get("blockers") or [],
    }


def _state(entry, facts, wanted, pattern, told, found):
    """Return (the state, why): what holds first gives the name, all that holds is said."""
    result = entry.get("result") or {}
    if result.get("unreachable"):
        return "unreachable", [str(result.get("msg") or "it does not answer")]
    if result.get("failed") or not facts:
        return "failed", [str(result.get("msg") or "livepatch_facts did not run")]
    if not facts.get("supported") and not fleet.active_engines(facts):
        return "unsupported", ["its kernel has no livepatch support"]
    behind = _behind(facts, wanted, pattern, told) if found is None else _behind_build(facts, told, found)
    holds = [*_switching(facts), *_other_code(facts), *behind, *_reboot(facts)]
    if not holds:
        return "current", []
    names = [state for state, unused in holds]
    return min(names, key=STATES.index), [reason for unused, reason in holds if reason]


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
        yield "behind" if runs else "unpatched", f"runs {runs or 'no livepatch'}, not {name or wanted}{_because(told)}"


def _behind_build(facts, told, found):
    engines, runs = fleet.active_engines(facts), facts.get("enabled")
    build = found.get(builds.key(facts))
    if engines:
        yield "elsewhere", f"livepatched by {' and '.join(engines)}"
    elif build is None:
        yield "behind" if runs else "unpatched", f"runs {runs or 'no livepatch'}, and no host of its kernel could be asked for the newest"
    elif not build.package:
        yield "behind" if runs else "unpatched", f"runs {runs or 'no livepatch'}: {build.why}"
    elif not build.runs(facts):
        yield "behind" if runs else "unpatched", f"runs {runs or 'no livepatch'}, not that of {build.package}{_because(told)}"


def _because(told):
    outcome, reason = told or (None, None)
    return f": {outcome.replace('_', ' ')}" + (f", {reason}" if reason else "") if outcome else ""


def _kernels(hosts, found):
    """A dict for each kernel that hosts run: what they run, the newest build, what lies between the two, and until when that is so."""
    kernels = {}
    for host in hosts:
        if host["kernel_release"]:
            kernels.setdefault(builds.key(host), []).append(host)
    rows = [_kernel_row(some, found.get(key)) for key, some in kernels.items()]
    return sorted(rows, key=lambda row: (-row["hosts"], row["kernel_release"]))


def _kernel_row(hosts, build):
    runs = {}
    for host in hosts:
        runs[host["livepatch"] or NO_LIVEPATCH] = runs.get(host["livepatch"] or NO_LIVEPATCH, 0) + 1
    entry = build.entry if build else {}
    return {
        "kernel_release": hosts[0]["kernel_release"],
        "architecture": hosts[0]["architecture"],
        "hosts": len(hosts),
        "runs": dict(sorted(runs.items(), key=lambda item: (-item[1], item[0]))),
        "build": entry.get("package"),
        "built": entry.get("built"),
        "why": build.why if build else "no host of it could be asked",
        "cves": sorted(set().union(*(host["lacks"] for host in hosts))),
        "supported_until": entry.get("supported_until"),
    }


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


KERNELS = ("kernel release", "hosts", "run", "newest build", "CVEs between", "supported until")
HEAD = ("cohort", "kernel release", "livepatch", "hosts", "need a person")
MOST_LINES, MOST_NAMES = 40, 3


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
    kernels = [KERNELS, *map(_cells, found["kernels"])] if found["kernels"] else []
    return [f"{total} hosts{wanted}: {words or 'none'}", *summary.aligned(cells), *(summary.aligned(kernels) if kernels else []), *told, *more]


def _cells(row):
    runs = [f"{livepatch} ({number})" for livepatch, number in row["runs"].items()]
    newest = row["build"] or f"none: {row['why']}"
    return row["kernel_release"], str(row["hosts"]), values.listed(runs, MOST_NAMES), newest, str(len(row["cves"])), row["supported_until"] or "-"
