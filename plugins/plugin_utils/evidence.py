# What a slice, a look or a rollback adds to the journal. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils import journal, outcomes

REGISTERED = {"package": "livepatch_result_package", "apply": "livepatch_result_apply", "look": "livepatch_result_look"}


def of_slice(state, hosts, results, now):
    """Return the outcome and look entries of a slice that was just patched.

    hosts: names; results: function of a name to {package, apply, look} as registered; now: seconds since 1970.
    A host of this slice that is not among `hosts` was lost on the way and counts as unreachable.
    """
    begun = state.last_slice["hosts"] if state.last_slice else []
    entries = []
    for name in dict.fromkeys([*hosts, *begun]):
        if name not in state.begun:
            continue
        found = results(name) if name in hosts else {"package": {"unreachable": True}}
        begin, former = state.begun[name], state.forgiven.get(name)
        again = begin["run"] != state.runs or former is not None
        entry = outcomes.of_slice(
            state.hosts[name], found, now - journal.seconds(begin["time"]), again, state.boot_ids.get(name)
        )
        entries.append(outcomes.tried_again(entry, former) if former else entry)
        if found.get("look") and not found["look"].get("skipped"):
            entries.append(outcomes.look_entry(name, found["look"]))
    return entries


def of_tier(state, hosts, results, now):
    """Return the look entries of all patched hosts, and an outcome entry for each that has gone bad since.

    A patched host that was not looked at counts as one whose look failed.
    """
    entries = []
    for name in state.patched():
        look = results(name).get("look", {}) if name in hosts else {}
        last = state.outcomes[name]
        if look:
            entries.append(outcomes.look_entry(name, look))
        worse = outcomes.of_look(last, look, now - journal.seconds(last["time"]))
        if worse:
            entries.append(worse)
    return entries


def of_rollback(state, hosts, results):
    """Return the outcome entries of these hosts; results: name -> livepatch_result_rollback."""
    found = []
    for name in hosts:
        if name in state.hosts or name in state.earlier:
            planned, last = state.before(name)
            found.append(outcomes.of_rollback(last, planned, results(name)))
    return found
