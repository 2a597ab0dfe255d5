# What people, and alerts, say to a running rollout from outside: a file beside the journal that its controller reads.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The journal belongs to the controller that holds its lock. Whoever else has something to say appends a line here, and the
# controller copies it into the journal at its next slice or look. Each line has an id, by which it is taken once, whatever
# becomes of the lines before it.

import hashlib
import json
import os
import re
import uuid

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal

OVERRIDES = ("pause", "resume", "promote", "abort", "rollback")
MAX_LINE = 65536
MAX_TIER = 10000
ID = re.compile(r"[0-9a-zA-Z_-]{8,64}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)


def path(journal_path):
    """Return the path (str) of the file beside this journal."""
    return journal_path + ".overrides"


def say(journal_path, override, user, reason, tier=None):
    """Append an override, durably, and return its id (str). tier: its number, for promote.

    Raises RolloutError for one that makes no sense.
    """
    if override not in OVERRIDES:
        raise RolloutError(f"override is {override!r}: expected one of {', '.join(OVERRIDES)}.")
    if override == "promote" and tier is None:
        raise RolloutError("The override promote ends the soak of one tier: give the tier's number.")
    entry = {
        "kind": "override",
        "id": uuid.uuid4().hex,
        "override": override,
        "user": user,
        "reason": values.reason(reason, "reason"),
    }
    if tier is not None:
        entry["tier"] = tier
    journal.append(path(journal_path), journal.stamped([entry], 0))
    return entry["id"]


def holds(journal_path, state, override, reason, tier=None):
    """Return the id (str) under which just this was said last, or holds already, None where it is still to be said.

    Alerts repeat themselves. state: of the journal.
    """
    waiting = [entry for entry in new(journal_path, state.overrides) if entry["kind"] == "override"]
    last = waiting[-1:] or [entry for entry in (state.aborted, state.paused) if entry]
    said = (override, values.reason(reason, "reason"), tier)
    same = [entry["id"] for entry in last if (entry["override"], entry["reason"], entry.get("tier")) == said]
    # A rollback is a stop, too.
    same += [entry["id"] for entry in last if override == "abort" and entry["override"] == "rollback"]
    return same[0] if same else None


def new(journal_path, taken):
    """Return the entries (list of dicts), for the journal, of what was said and is not in it yet.

    taken: the ids (set of str) of those that are, by the journal's entries of the kinds `override` and `override_unread`.
    The second is what a line becomes that nobody understands, so that it is said once and ends nothing.
    """
    entries = {}
    for line in _lines(path(journal_path)):
        entry = _entry(line)
        if entry["id"] not in taken:
            entries.setdefault(entry["id"], entry)
    return list(entries.values())


def unread(entry):
    """Return what a person is told of an entry `override_unread` (str)."""
    return f"a line of .overrides is left out, as it is no override: {entry['line']}"


def is_taken(entries, identity):
    """Tell from a journal's entries (iterable of dicts) whether the override with this id was taken."""
    return any(entry["kind"] == "override" and entry.get("id") == identity for entry in entries)


def _lines(name):
    """Yield the lines (bytes, too long ones cut) of the file, without those that are empty or still being written."""
    try:
        stream = open(name, "rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise RolloutError(
            f"What was said to the rollout cannot be read: {name}: {error.strerror}. Let it be a file that its controller may read."
        ) from None
    with stream:
        while line := stream.readline(MAX_LINE):
            end = line
            while not end.endswith(b"\n"):
                end = stream.readline(MAX_LINE)
                if not end:
                    return
            if line.strip():
                yield line.strip()


def _entry(line):
    """Return the journal's entry (dict) for a line (bytes): anybody who may write to the file can have written it."""
    try:
        said = json.loads(line)
        entry = {
            "kind": "override",
            "id": said["id"] if isinstance(said.get("id"), str) and ID.fullmatch(said["id"]) else _hash(line),
            "override": said["override"],
            "user": values.words(said["user"], 100),
            "reason": values.words(said["reason"]),
        }
        known = said["kind"] == "override" and said["override"] in OVERRIDES
        texts = all(isinstance(said[key], str) and said[key].strip() for key in ("user", "reason"))
        if said["override"] == "promote":
            entry["tier"] = said["tier"]
            known = known and isinstance(said["tier"], int) and not isinstance(said["tier"], bool) and 1 <= said["tier"] <= MAX_TIER
        if TIME.fullmatch(str(said.get("time"))):
            entry["said"] = said["time"]
        if known and texts:
            return entry
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return {"kind": "override_unread", "id": _hash(line), "line": values.words(line.decode("utf-8", "replace"), 200)}


def _hash(line):
    return hashlib.sha256(line).hexdigest()[:32]


def unfinished(directory, name):
    """Return the paths (list of str) of the journals in a directory that are of the release or rollout `name`, and not over.

    One release may be in the hands of several rollouts, and what hears of trouble with it, an alert, knows only the release, or, of a
    build, only what the livepatch is called that hosts run.
    """
    try:
        files = sorted(entry for entry in os.listdir(directory) if entry.endswith(".jsonl"))
    except OSError:
        return []
    found = [os.path.join(directory, entry) for entry in files]
    return [one for one in found if (name in _names(one) or name in _livepatches(one)) and not _is_over(one)]


def _names(journal_path):
    """Return the names (tuple) of a journal's rollout and of its release."""
    first = next(
        (entry for unused, entry in zip(range(10), _entries(journal_path, 0)) if entry["kind"] == "rollout"), {}
    )
    return (first.get("rollout"), first.get("release"))


def _livepatches(journal_path):
    """Return the names (set) of the livepatches that a rollout with builds brings, in its last round as far as the names are known."""
    found = set()
    for entry in _entries(journal_path, 0, (b'"kind": "rollout"', b'"kind": "build"')):
        if entry["kind"] == "rollout":
            found.clear()
        found.add(entry.get("livepatch"))
    return found - {None}


# What begins or ends something; the last of them says whether a rollout is over.
TURNS = ("rollout", "run", "slice", "rollback", "retry", "end")
TAIL = 1024 * 1024


def _is_over(journal_path):
    """Is there nothing to go on with, by the end of the journal? Where that does not tell, it is not."""
    turns = [entry for entry in _entries(journal_path, TAIL) if entry["kind"] in TURNS]
    return bool(turns) and turns[-1].get("result") in ("complete", "rolled_back")


def _entries(journal_path, tail, words=(b"",)):
    """Yield the entries of a file that may be a journal, or of the last `tail` bytes of it; what is none is passed over.

    words: what a line must have one of (bytes), so that others need not be understood.
    """
    try:
        with open(journal_path, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - tail) if tail else 0)
            for line in stream:
                if not any(word in line for word in words):
                    continue
                try:
                    entry = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(entry, dict) and isinstance(entry.get("kind"), str):
                    yield entry
    except OSError:
        return
