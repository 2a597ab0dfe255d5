# What patches hosts by itself beside a rollout: who has such a thing, how it is said, and for how long it is held back. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal

# A slice may take so long, and a hold that ends sooner than that is made longer before the next one begins.
SLACK = 3600
# As the module livepatch_automation has it.
LONGEST = 30 * 24 * 3600
INSTALLS = {"livepatches": "livepatches", "security": "security updates", "all": "all updates"}


def entries(fleet):
    """Return the entries (list) that tell which hosts patch themselves: one for each program, timer and kind of updates.

    fleet: from fleet.survey. What only joins in when somebody runs dnf does not patch by itself.
    """
    found = {}
    for host in fleet.values():
        for one in (host["facts"] or {}).get("automation") or ():
            if one.get("timer") and one.get("by"):
                found.setdefault((one["by"], one["timer"], one.get("applies")), []).append(host["name"])
    return [
        {"kind": "automation", "by": by, "timer": timer, "applies": applies, "hosts": sorted(set(names))}
        for (by, timer, applies), names in sorted(found.items(), key=str)
    ]


def lines(found):
    """Return these entries as lines for people (list of str)."""
    return [
        f"{_hosts(entry['hosts'])} {'patches itself' if len(entry['hosts']) == 1 else 'patch themselves'} ({entry['by']} by "
        f"{entry['timer']}, {INSTALLS.get(entry['applies'], 'updates')}): {_named(entry['hosts'])}"
        for entry in found
    ]


def status_lines(state):
    """Return what people are told of a rollout (list of str): who patch themselves, and what is held back."""
    return lines(state.automation) + held_lines(state)


def held_lines(state):
    """Return what of that is held back, and where it is not (list of str)."""
    found = []
    held = {name: until for name, until in state.held.items() if until}
    if held:
        until = journal.now(lambda: min(held.values()))
        found.append(f"what patches {_hosts(held)} is held back until {until} at most")
    reasons = {}
    for name, reason in state.not_held.items():
        reasons.setdefault(reason, []).append(name)
    return found + [f"{judge.named(names)} not held back: {reason}" for reason, names in reasons.items()][: judge.NAMED_HOSTS]


def kept_lines(entry):
    """Return a line (str) for each reason why hosts have not given back what they hold; entry: of of_giving_back."""
    reasons = {}
    for name, reason in entry["failed"].items():
        reasons.setdefault(reason, []).append(name)
    found = [
        f"{judge.named(names)} still holding back what patches the host, until its time is over or it boots: {reason}"
        for reason, names in reasons.items()
    ]
    return found[: judge.NAMED_HOSTS]


def counts(state):
    """Return what a summary says (dict): how many hosts patch themselves, and on how many of them that is held back."""
    hosts = {name for entry in state.automation for name in entry["hosts"]}
    return {"hosts": len(hosts), "held": sum(1 for until in state.held.values() if until)}


def to_hold(state, now):
    """Return {host: seconds} of the hosts of the plan whose timers are to be held back from now on, or for longer.

    For as long as the plan takes, and a hold of it may: a controller that dies leaves nothing held for ever.
    """
    if state.stop or state.rollback or state.aborted or state.open_tier is None:
        return {}
    timers = {name for entry in state.automation if entry["timer"].endswith(".timer") for name in entry["hosts"]}
    names = [
        name
        for name in state.hosts
        if name in timers
        and name not in state.excluded
        and name not in state.not_held
        and state.held.get(name, 0) < now + SLACK
    ]
    left = [tier for tier in state.tiers if tier["number"] not in state.tiers_done]
    seconds = sum(tier["soak"] + len(tier["slices"]) * SLACK // 4 for tier in left) + state.rules["max_hold"] + SLACK
    return dict.fromkeys(names, int(min(seconds, LONGEST)))


def to_give_back(state):
    """Return {host: 0} of the hosts whose timers are to be given back: when all tiers have passed, or hosts were rolled back.

    After a stop they stay held, until somebody decides or the time is over: what was stopped is what they would install.
    """
    over = state.tiers is not None and state.open_tier is None and not state.stop
    return dict.fromkeys(state.held, 0) if over or state.rollback else {}


def of_hold(wanted, results, now):
    """Return the entry (dict) that tells what became of holding back; wanted: {host: seconds}; results: host -> result."""
    reasons = {name: _problem(results.get(name) or {}) for name in wanted}
    return {
        "kind": "held",
        "hosts": [name for name, reason in reasons.items() if not reason],
        "until": journal.now(lambda: now + max(wanted.values())),
        "failed": {name: reason for name, reason in reasons.items() if reason},
    }


def of_giving_back(wanted, results):
    """Return the entry (dict) that tells on which hosts nothing is held back any more."""
    reasons = {name: _problem(results.get(name) or {}) for name in wanted}
    return {
        "kind": "given_back",
        "hosts": [name for name, reason in reasons.items() if not reason],
        "failed": {name: reason for name, reason in reasons.items() if reason},
    }


def _problem(result):
    """Return why (str) a host did not do it, None if it did."""
    if result.get("unreachable"):
        return "it did not answer"
    if result.get("failed") or not result:
        return result.get("msg") or "livepatch_automation did not run"
    left = result.get("not_held") or []
    return f"{' and '.join(left)} cannot be" if left and not result.get("held") else None


def _named(names):
    more = len(names) - judge.NAMED_HOSTS
    return ", ".join(names[: judge.NAMED_HOSTS]) + (f" and {more} more" if more > 0 else "")


def _hosts(names):
    return "1 host" if len(names) == 1 else f"{len(names)} hosts"
