# What a person is told when a rollout does not go on: where, why, and which commands come next. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import shlex

from ansible_collections.kernel.livepatch.plugins.plugin_utils import awx, values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import findings, judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import summary
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal as journals
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import automation, builds, schedule


def stop_message(state, journal):
    """Return what a person is told when the rollout is stopped (str): where, why, and what they may do next.

    journal: its path, which the commands name.
    """
    verdict = state.stop
    where = next((tier["name"] for tier in state.tiers if tier["number"] == verdict["tier"]), None)
    after = (
        f" after tier {where}" + (f", slice {verdict['slice']}" if verdict["slice"] else "")
        if where
        else " at its resume"
    )
    untouched = judge.counts(state).get("untouched", 0)
    return "\n".join(
        [
            f"{_name(state)} was stopped{after}; {_hosts(untouched)} left untouched.",
            *verdict["reasons"],
            *_held(state),
            _way_back(state, journal),
            "To go on, with the failed hosts tried again, once the reason is known: "
            + command(state, journal, None, livepatch_retry="REASON"),
            *_newer(state),
            _hint(state, journal),
        ]
    )


def rolled_back_message(state, journal):
    """Return what a person is told who runs a rollout again whose rollback has begun (str)."""
    return "\n".join(
        [
            f"{_name(state)} was rolled back: {state.rollback['reason']}. Nobody is patched until a person says why it goes on.",
            _way_back(state, journal),
            "To begin again, with the same plan, once the reason is known: "
            + command(state, journal, None, livepatch_retry="REASON"),
            *_newer(state),
            _hint(state, journal),
        ]
    )


def hold_message(state, journal):
    """Return what a person is told when a rollout ends on hold (str)."""
    verdict = state.verdict
    where = next((tier["name"] for tier in state.tiers if tier["number"] == verdict["tier"]), None)
    power = findings.power_line(verdict)
    return "\n".join(
        [
            f"{_name(state)} is on hold in tier {where}: nobody else was patched.",
            *verdict["reasons"],
            *([f"To judge that by: {power}."] if power else []),
            f"To look again, and go on as soon as nothing holds it back: {command(state, journal, None)}",
            _way_back(state, journal),
            _hint(state, journal),
        ]
    )


def _newer(state):
    return ["A retry goes on with the builds of this journal. For newer ones give the rollout another livepatch_rollout."] if state.resolved else []


def _way_back(state, journal):
    left = len(state.to_roll_back())
    if not left:
        return "No host that it touched is left to be rolled back."
    return f"To roll back what it touched ({_hosts(left)}): {command(state, journal, 'rollback')}"


def _held(state):
    """After a stop nothing is given back by itself: what was stopped is what hosts would install."""
    held = [until for until in state.held.values() if until]
    if not held:
        return []
    return [
        f"What patches {_hosts(len(held))} without being asked is held back until {journals.now(lambda: max(held))}, or until a "
        "rollback. To give it back at once: ansible all -b -m kernel.livepatch.livepatch_automation -a hold=0"
    ]


def _name(state):
    of = "" if state.rollout == builds.rollout_name(state.release) else f" of release {state.release}"
    return f"The rollout {state.rollout}{of}"


def _hosts(number):
    return "1 host" if number == 1 else f"{number} hosts"


def _hint(state, journal):
    if "awx" in state.last_run:
        return f"The journal: {journal}"
    return (
        f"Further variables of the first command, if it had any, belong to these commands too. The journal: {journal}"
    )


def status_lines(state, journal):
    """Return where the rollout stands, as lines for people (list of str)."""
    tiers = [
        f"tier {tier['name']}: {len(state.tier_hosts(tier['number']))} hosts, {_of_tier(state, tier)}"
        for tier in state.tiers or []
    ]
    said = state.verdict
    verdict = [*said["reasons"], findings.power_line(said)] if said else []
    result = summary.result(state)
    return [
        f"rollout {state.rollout} of release {state.release}: {result}; {values.count_line(judge.counts(state))}",
        *tiers,
        *[line for line in verdict if line],
        *build_lines(state),
        *not_persistent_lines(state.persistence),
        *automation.status_lines(state),
        f"journal: {journal}",
    ]


BUILD_HEAD = ("kernel release", "hosts", "build", "built", "CVEs", "supported until")


def build_rows(state):
    """Return a dict for each kernel of a rollout with builds: its build entry, hosts (how many), uncovered (their names), why.

    why: a text, empty where there is a build. Most hosts first.
    """
    counts, lacking = {}, builds.uncovered(state)
    for host in state.hosts.values() if state.builds else ():
        if host.name not in state.excluded:
            counts[builds.key(vars(host))] = counts.get(builds.key(vars(host)), 0) + 1
    for entry in state.excluded.values() if state.builds else ():
        if entry["kernel_release"]:
            counts[builds.key(entry)] = counts.get(builds.key(entry), 0) + 1
    names = builds.labels(state.builds)
    rows = [_build_row(names[key], build, counts.get(key, 0), lacking.get(key, [])) for key, build in state.builds.items()]
    return sorted(rows, key=lambda row: (-row["hosts"], row["kernel_release"]))


def _build_row(kernel, build, hosts, lacking):
    kept = ("kernel_release", "architecture", "package", "version", "livepatch", "built", "cves", "missing", "supported_until", "asked")
    why = "" if build["package"] else builds.why_none(build, build["time"][:10])
    return {**{name: build[name] for name in kept}, "kernel": kernel, "hosts": hosts, "uncovered": lacking, "why": why}


def build_lines(state):
    """Return which build each kernel gets, and whom that leaves uncovered, as lines for people (list of str)."""
    rows = build_rows(state)
    cells = [
        (
            row["kernel"],
            str(row["hosts"]),
            row["package"] or f"none: {row['why']}",
            (row["built"] or "-")[:10],
            str(len(row["cves"])) if row["package"] else "-",
            row["supported_until"] or "-",
        )
        for row in rows
    ]
    table = summary.aligned([BUILD_HEAD, *cells]) if rows else []
    lacking = [row for row in rows if row["uncovered"]]
    return table + [
        f"uncovered: the build of kernel {row['kernel']} is not known to mend {values.listed(row['missing'], builds.NAMED)}: "
        f"{values.listed(row['uncovered'], judge.NAMED_HOSTS)}"
        for row in lacking
    ]


def not_persistent_lines(reasons):
    """Return a line (str) for each reason why hosts lose the livepatch at a boot; reasons: name of a host -> reason, or empty."""
    hosts = {}
    for name, reason in reasons.items():
        if reason:
            hosts.setdefault(reason, []).append(name)
    lines = [
        f"{judge.named(names)} without the livepatch after the next boot: {reason}" for reason, names in hosts.items()
    ]
    more = len(lines) - judge.NAMED_HOSTS
    return lines[: judge.NAMED_HOSTS] + ([f"and {more} more reasons, in the journal"] if more > 0 else [])


def _of_tier(state, tier):
    if tier["number"] in state.tiers_done:
        return "done"
    left = len(state.remaining(tier["number"]))
    if left:
        return f"{left} of them untouched"
    return (
        f"soaks until {journals.now(lambda: state.soaks[tier['number']])}"
        if tier["number"] in state.soaks
        else "patched"
    )


def given(state):
    """Return {variable: value} with which a person says what this rollout brings."""
    if state.wanted.get("cves"):
        return {"livepatch_cves": ",".join(state.wanted["cves"])}
    if state.wanted.get("advisory"):
        return {"livepatch_advisory": state.wanted["advisory"]}
    return {"livepatch_release": state.release}


def command(state, journal, playbook, **more):
    """Return the command line (str) that runs a playbook of this collection, or, for None, the rollout's own, once more.

    What a job of AWX says names what is to be started there instead.
    """
    run = state.last_run
    if "awx" in run:
        return awx.start(playbook, given(state), run["awx"], **more)
    words = [
        "ansible-playbook",
        f"kernel.livepatch.{playbook}" if playbook else run.get("playbook") or "kernel.livepatch.rollout",
    ]
    for source in run.get("inventory", []):
        words += ["-i", source]
    settings = given(state)
    if state.rollout != builds.rollout_name(state.release):
        settings["livepatch_rollout"] = state.rollout
    settings["livepatch_journal_dir"] = journal.rpartition("/")[0] or "/"
    for name, value in {**settings, **more}.items():
        # Ansible splits name=value at spaces unless the value has quotes of its own.
        words += ["-e", f'{name}="{value}"' if name in more or " " in value else f"{name}={value}"]
    return " ".join(shlex.quote(word) for word in words)


def report(state, path):
    """Return what every action hands back: the journal, counts, and rows and lines of the summary."""
    rows = summary.rows(state)
    found = summary.summary(state, path)
    return {
        "journal": path,
        "counts": found["counts"],
        "hosts_patched": state.patched(),
        "rollback": schedule.to_roll_back(state),
        "summary": rows,
        "lines": status_lines(state, path),
        "table": summary.table(rows),
        "stats": {"livepatch_summary": found},
        **({"stop_message": stop_message(state, path)} if state.stop else {}),
        **({"hold_message": hold_message(state, path)} if state.held_since and not state.stop else {}),
    }


def left(stats):
    """Return what leaves these stats (dict) to a job, as ansible.builtin.set_stats does, where a result has it as ansible_stats."""
    return {"data": stats, "per_host": False, "aggregate": False}
