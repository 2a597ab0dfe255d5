# The state of a rollout kept beside its journal, so that an action reads only what is new. The journal stays the truth.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A snapshot is believed only where the journal's bytes up to its end are surely those that it was made from: same beginning,
# same bytes before the offset. Everything else, a torn file, an old one, that of another journal or of another version of the
# code, is passed over, and the whole journal is read.

import dataclasses
import hashlib
import json
import os
import tempfile

from ansible_collections.kernel.livepatch.plugins.plugin_utils import collection_copies
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states

# So much (bytes) a journal has grown at least when it is worth a new snapshot, and so large a part of the former one.
LEAST_GROWTH, GROWTH = 256 * 1024, 4
EDGE = 4096
HOST_FIELDS = [one.name for one in dataclasses.fields(states.Host)]
STATE_FIELDS = [one.name for one in dataclasses.fields(states.State) if one.name not in ("hosts", "by_tier")]
TUPLES = ("control", "patched", "crash", "alarm", "blind")
SETS = ("tiers_done", "overrides")
BY_NUMBER = ("begun_at", "finished_at", "soaks", "promoted")
# The number goes up when what stands in these fields means something else.
FORM = [journal.SCHEMA, 2, collection_copies.copy()["version"], HOST_FIELDS, STATE_FIELDS]


def path(journal_path):
    """Return the path (str) of the file beside this journal."""
    return journal_path + ".state"


def read(journal_path):
    """Return (State, offset, size): that of the journal up to this byte, from the snapshot, which is so large; or an empty one."""
    try:
        with open(path(journal_path), encoding="utf-8") as stream:
            text = stream.read()
        found = json.loads(text)
        offset = found["offset"]
        if found["form"] == FORM and found["edges"] == _edges(journal_path, offset):
            return _state(found["state"]), offset, len(text)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return states.State(), 0, 0


def write(journal_path, state, offset):
    """Keep the state of the journal up to this byte; return the size of the snapshot (bytes), 0 where it cannot be written.

    Nothing is lost then: the next action reads more.
    """
    try:
        text = json.dumps({"form": FORM, "offset": offset, "edges": _edges(journal_path, offset), "state": _plain(state)})
        handle, new = tempfile.mkstemp(dir=os.path.dirname(journal_path) or ".", prefix=".livepatch-")  # for its owner alone
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.rename(new, path(journal_path))
        except BaseException:
            os.unlink(new)
            raise
    except (OSError, ValueError):
        return 0
    return len(text)


def _edges(journal_path, offset):
    """Return what tells this journal, up to this byte, from any other (str); ValueError where that is not the end of a line."""
    with open(journal_path, "rb") as stream:
        first = stream.read(min(EDGE, offset))
        stream.seek(max(0, offset - EDGE))
        last = stream.read(min(EDGE, offset))
        if stream.tell() != offset or not last.endswith(b"\n"):
            raise ValueError(f"byte {offset} is not the end of a line")
    return hashlib.sha256(first + last).hexdigest()


def _plain(state):
    found = {name: getattr(state, name) for name in STATE_FIELDS}
    found.update({name: sorted(found[name]) for name in SETS})
    found["hosts"] = [[getattr(host, name) for name in HOST_FIELDS] for host in state.hosts.values()]
    return found


def _state(found):
    values = {name: found[name] for name in STATE_FIELDS}
    values.update({name: set(values[name]) for name in SETS})
    values.update({name: {int(number): moment for number, moment in values[name].items()} for name in BY_NUMBER})
    current = states.State(**values)
    places = [HOST_FIELDS.index(name) for name in TUPLES]
    for row in found["hosts"]:
        for place in places:
            row[place] = None if row[place] is None else tuple(row[place])
        host = states.Host(*row)
        current.hosts[host.name] = host
        current.by_tier.setdefault(host.tier, []).append(host)
    return current
