# What people, and alerts, say to a running rollout from outside: a file beside the journal that its controller reads.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The journal belongs to the controller that holds its lock. Whoever else has something to say appends a line here, and the
# controller copies it into the journal at its next slice or look.

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal

OVERRIDES = ("pause", "resume", "promote", "abort", "rollback", "report_only")


def path(journal_path):
    """Return the path (str) of the file beside this journal."""
    return journal_path + ".overrides"


def say(journal_path, override, user, reason, tier=None):
    """Append an override, durably. tier: its number, for promote. Raises RolloutError for one that makes no sense."""
    if override not in OVERRIDES:
        raise RolloutError(f"override is {override!r}: expected one of {', '.join(OVERRIDES)}.")
    if override == "promote" and tier is None:
        raise RolloutError("The override promote ends the soak of one tier: give the tier's number.")
    entry = {"kind": "override", "override": override, "user": user, "reason": values.reason(reason, "reason")}
    if tier is not None:
        entry["tier"] = tier
    journal.append(path(journal_path), journal.stamped([entry], 0))


def holds(journal_path, state, override, reason, tier=None):
    """Is this what was said last, or what holds already? Then it need not be said once more: alerts repeat themselves.

    state: of the journal.
    """
    waiting = new(journal_path, state.overrides)
    last = waiting[-1:] or [entry for entry in (state.aborted, state.paused) if entry]
    said = (override, values.reason(reason, "reason"), tier)
    return any((entry["override"], entry["reason"], entry.get("tier")) == said for entry in last)


def new(journal_path, known):
    """Return the override entries (list of dicts) beyond the first `known` ones, each with its number, for the journal."""
    entries = list(journal.read(path(journal_path)))
    return [
        {
            "kind": "override",
            "number": number,
            "said": entry["time"],
            **{key: entry[key] for key in ("override", "user", "reason", "tier") if key in entry},
        }
        for number, entry in enumerate(entries, 1)
        if number > known and entry.get("override") in OVERRIDES
    ]
