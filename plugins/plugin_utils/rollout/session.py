# One controller at work on one journal: it holds the lock, reads the state, and adds to it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import time

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal, lock, overrides, snapshot, state


class Session:
    """The journal at `path`, locked for `owner` (from lock.owner) unless `dry`: then nothing is written.

    takeover: why whoever has the lock elsewhere is gone (str); has_ended: whether somebody knows that, see lock.take;
    notes: lines for people that tell what was made of it; changed: whether anything was written.
    As a context manager it gives the lock back when something fails: that ends the run.
    """

    changed = False

    def __init__(self, path, owner, dry=False, clock=time.time, takeover=None, has_ended=None):
        self.path, self.owner, self.dry, self.clock = path, owner, dry, clock
        self.notes = []
        gone = None if dry else lock.take(path, owner, takeover, has_ended)
        with self:
            self.state, self._offset, self._size = snapshot.read(path)
            self.state = state.advance(self.state, journal.read(path, self._offset))
            self._end = journal.size(path)
            if gone:
                self._taken_over(gone, takeover or f"the server has seen job {gone['job']} end")

    def __enter__(self):
        return self

    def __exit__(self, kind, unused, also_unused):
        if kind:
            self.release()
        elif not self.dry and self._end - self._offset >= max(snapshot.LEAST_GROWTH, self._size // snapshot.GROWTH):
            self._offset, self._size = self._end, snapshot.write(self.path, self.state, self._end)

    def _taken_over(self, gone, reason):
        known = {key: gone.get(key) for key in ("controller", "pid", "user", "job", "since")}
        known["silence"] = round(gone["silence"])
        self.add([{"kind": "takeover", "user": self.owner["user"], "reason": reason, "of": known}])
        self.notes.append(f"taken over from {lock.who(gone)}, silent for {lock.age(gone['silence'])}: {reason}")

    def add(self, entries, run=None):
        """Advance the state by the entries, then write them; run: the number of this run, by default the last one's.

        What the state cannot take is never written, so the journal can always be read again.
        """
        if not entries:
            return
        self.changed = True
        stamped = journal.stamped(entries, self.state.runs if run is None else run, self.clock)
        self.state = state.advance(self.state, stamped)
        if not self.dry:
            self._end = journal.append(self.path, stamped)

    def take_overrides(self):
        """Copy what was said from outside since the last time into the journal; return these entries (list)."""
        entries = overrides.new(self.path, self.state.overrides)
        said = [entry for entry in entries if entry["kind"] == "override"]
        useless = [(entry, self.state.without_effect(entry)) for entry in said]
        self.add(entries)
        self.notes += [overrides.unread(entry) for entry in entries if entry["kind"] == "override_unread"]
        self.notes += [f"{entry['override']} by {entry['user']} does nothing: {why}" for entry, why in useless if why]
        return said

    def release(self):
        """Let another controller have the rollout."""
        if not self.dry:
            lock.release(self.path, self.owner)


def existing(path, owner, takeover=None, has_ended=None):
    """Return the Session of a journal that rollout_plan has made, or raise RolloutError; takeover, has_ended: see Session.

    Where the plan of a new round was not finished, what former rounds brought can be rolled back all the same.
    """
    if not os.path.isfile(path):
        raise RolloutError(
            f"There is no journal {path}: run kernel.livepatch.rollout_plan first, and give its journal."
        )
    session = Session(path, owner, takeover=takeover, has_ended=has_ended)
    with session:
        if session.state.tiers is None and not (session.state.before or session.state.rollback):
            raise RolloutError(
                f"The journal {path} has no finished plan: run the rollout again, it makes the plan anew."
            )
    return session


def refuse_overlap(path, owner, names, has_ended=None):
    """Raise RolloutError when another rollout of the same directory runs now and has one of these hosts (names).

    has_ended: see lock.take.
    """
    directory, own = os.path.split(path)
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        other = os.path.join(directory, name)
        if not name.endswith(".jsonl") or name == own:
            continue
        who = lock.holder(other, owner, has_ended)
        shared = sorted(set(names) & set(state.state(journal.read(other)).hosts)) if who else []
        if shared:
            raise RolloutError(
                f"{len(shared)} hosts of this rollout ({', '.join(shared[:10])}) are also in the rollout {name[:-6]}, on which "
                f"{lock.who(who)}, works since {who['since']}. Wait for it to end, halt it, or leave these hosts out with "
                "livepatch_hosts. If that controller is gone for good, go on with that rollout, or roll it back: it says how."
            )


def make_directory(path):
    """Make the journal's directory, for its owner alone, or raise RolloutError."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise RolloutError(
            f"The journal's directory {path} cannot be made: {error.strerror}. Set livepatch_journal_dir to a writable one."
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise RolloutError(
            f"The journal's directory {path} is not writable. Set livepatch_journal_dir to a writable one."
        )
