# The fleet as its facts show it: who is to be patched, who runs the release already, who cannot be. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import answers, releases


def survey(raw, release, pattern=None, other_engines=None):
    """Return a dict a host, by name: name, cohort, domain, kernel_release, architecture, boot_id, uptime_seconds, enabled,
    livepatch, effective_release, facts, problem.

    raw: name -> {facts: ansible_facts.livepatch or None, result: what livepatch_facts registered, cohort, domain,
    other_engines, odd: why its variables cannot be read, if so}; livepatch: what the release is called there, None where that
    is not known before it runs, or release is None, as builds tell it (builds.fitted); other_engines: "ignore" where another
    livepatch engine may be at work, for hosts that do not say;
    problem: (outcome, reason) for a host that is not to be touched, else None.
    Raises RolloutError when two names are one machine.
    """
    fleet = {name: _host(name, entry, release, pattern, other_engines) for name, entry in raw.items()}
    _check_machines(fleet)
    return fleet


def _host(name, entry, release, pattern, other_engines):
    facts, odd = answers.facts(entry.get("facts") or {})
    problem = _facts_problem(entry, facts, odd)
    facts = {} if problem else facts
    kernel = facts.get("kernel_release") or ""
    wanted = None if problem or release is None or not facts.get("supported") else _wanted(facts, release, pattern)
    return {
        "name": name,
        "cohort": _label(entry.get("cohort")) or kernel,
        "domain": _label(entry.get("domain")),
        "kernel_release": kernel,
        "architecture": facts.get("architecture"),
        "boot_id": facts.get("boot_id"),
        "uptime_seconds": facts.get("uptime_seconds"),
        "enabled": facts.get("enabled"),
        "livepatch": wanted,
        "effective_release": facts.get("effective_release"),
        "facts": facts or None,
        "problem": problem or _state_problem(facts, wanted, entry.get("other_engines") or other_engines),
    }


def _label(value):
    """A cohort or domain as text; only what was not given is none: rack 0 is a rack."""
    return "" if value is None else values.words(str(value), 200)


def _wanted(facts, release, pattern):
    return releases.livepatch_name(
        release, facts["kernel_release"], facts.get("architecture") or "", facts.get("os_family_ids") or (), pattern
    )


def _facts_problem(entry, facts, odd):
    result = answers.result(entry.get("result") or {})
    if entry.get("odd"):
        return "failed", entry["odd"]
    if result.get("unreachable"):
        return "unreachable", "did not answer when facts were gathered"
    if result.get("failed"):
        return "failed", f"livepatch_facts failed: {result.get('msg') or 'no message'}"
    if odd or not entry.get("facts"):
        return "failed", odd or "no livepatch facts: kernel.livepatch.livepatch_facts did not run on this host"
    if not facts.get("kernel_release"):
        return "failed", "facts that livepatch_facts cannot have given, without a kernel release"
    return None


def _state_problem(facts, wanted, other_engines):
    if not facts.get("supported"):
        return "unsupported", "the kernel has no livepatch support"
    if wanted and facts.get("enabled") == wanted and not facts.get("transition"):
        return "already", f"runs {wanted}"
    active = active_engines(facts)
    if active and other_engines != "ignore":
        return "unsupported", f"{' and '.join(active)} has changed its kernel: two engines must not change one"
    return None


def active_engines(facts):
    """Return the names of the other livepatch engines that have changed a host's kernel (list of str)."""
    return [engine["name"] for engine in facts.get("engines") or () if engine.get("active") and engine.get("name")]


def check_names(names, inventory):
    """Raise RolloutError where one of the names is no host of the inventory (a container of names)."""
    unknown = next((name for name in names if name not in inventory), None)
    if unknown is not None:
        raise RolloutError(
            f"{unknown!r} of hosts is not a host of the inventory: expected names like those in groups.all."
        )


def _check_machines(fleet):
    owner = {}
    for name, host in fleet.items():
        boot_id = host["boot_id"]
        if boot_id and boot_id in owner:
            raise RolloutError(
                f"{owner[boot_id]} and {name} are one machine (boot id {boot_id}): "
                "it would be patched twice and counted twice. Take one of the two names out of the inventory."
            )
        owner[boot_id] = name
