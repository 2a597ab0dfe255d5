# One run of a rollout: waits, looks, judges and opens slices, tier after tier. It acts through what it is given alone.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import automation, journal, outcomes, schedule

# So many hosts are looked at before somebody who wants to halt the rollout is heard again.
LOOKS_AT_ONCE = 500


class Run:
    """A rollout that goes on: `session` holds its state, `world` does what touches anything else.

    world: an object with
    now() -> seconds since 1970;
    wait(until): sleep until then (seconds since 1970), or until somebody has said something;
    look({host: since}) -> {host: checked result of livepatch_health}, with {} for a host whose look did not come back;
    keep({host: livepatch}) -> {host: checked result of livepatch_persistence};
    hold({host: seconds}) -> {host: checked result of livepatch_automation}, {} where nothing is to be held back;
    sources(state) -> readings (list) of the sources on the controller;
    tell(state, number, verdict, found): show people how it gets on; verdict: None where none was given; found: the entries
    that led to it.
    """

    def __init__(self, session, world):
        self.session, self.world = session, world

    @property
    def state(self):
        return self.session.state

    def open(self, names):
        """Go on until the slice of these hosts (list of names) may begin, and open it; return whether it is open.

        The tiers before it are watched through their soak first, and pass, or nobody is patched any more.
        """
        host = self.state.hosts.get(names[0]) if names else None
        if host is None:
            raise RolloutError(f"{names[:1]} is no host of the plan: expected the hosts of one slice, as rollout_plan gives them.")
        if not self.finish(host.tier - 1) or self._go_on(host.tier) != "slice":
            return False
        self.session.add([{"kind": "slice", "tier": host.tier, "slice": host.slice, "hosts": names}])
        return True

    def close(self, results):
        """Write what became of the slice that is open; return the verdict (dict). results: as for outcomes.of_slice."""
        begun = outcomes.open_slice(self.state)
        if not begun:
            raise RolloutError("No slice is open: expected one that was begun by this run. Run the rollout's own command again.")
        found = outcomes.of_slice(self.state, results, self.world.now())
        self.session.add(found)
        self.session.take_overrides()
        return self._judge(begun[0].tier, found, slice=begun[0].slice)

    def finish(self, last):
        """Watch all tiers up to number `last` through their soaks; return whether they have passed, all of them."""
        self._hold()
        for tier in self.state.tiers[:last]:
            number = tier["number"]
            if number not in self.state.tiers_done:
                if self.state.remaining(number) or self._go_on(number) != "pass":
                    return False
                self.session.add([{"kind": "tier_done", "tier": number}])
                self.world.tell(self.state, number, None, [])
            self._keep(number)
        return True

    def _go_on(self, number):
        """Wait, look and judge until a slice of the tier may begin, it is done, or nothing goes on (slice, pass, stop, held)."""
        found, looked = [], False
        while True:
            state = self.state
            said = self.session.take_overrides()
            self.session.add(outcomes.of_silence(state, self.world.now()))
            if not (state.stop or state.remaining(number) or schedule.has_soak(state, number, self.world.now())):
                until = schedule.soak_until(state, number, self.world.now())
                self.session.add([{"kind": "soak", "tier": number, "until": journal.now(lambda: until)}])
            verdict = self._judge(number, found, looked=looked, said=bool(said))
            step = schedule.step(self.state, number, verdict, self.world.now())
            found, looked = [], False
            if step.do == "look":
                found, looked = self._look(step.hosts), True
            elif step.do == "wait":
                self.world.wait(step.at)
            else:
                return step.do

    def _judge(self, number, found, slice=None, looked=False, said=False):
        """Judge, and write the verdict down where it is news: after a slice or a look, or when it differs from the last."""
        last = self.state.verdict or {}
        verdict = judge.judge(self.state, self.world.now(), number, slice, looked)
        holds = verdict["verdict"] == "hold"
        same = verdict["verdict"] == last.get("verdict", "pass") and holds == (self.state.held_since is not None)
        same = same and (verdict["verdict"] == "pass" or verdict["reasons"] == last["reasons"])
        if slice is not None or looked or said or not same:
            self.session.add([verdict])
            self.world.tell(self.state, number, verdict, found)
        return verdict

    def _look(self, names):
        """Look at these hosts, some hundred at once; return the entries that were written."""
        written = []
        for start in range(0, len(names), LOOKS_AT_ONCE):
            some = names[start : start + LOOKS_AT_ONCE]
            answers = self.world.look({name: schedule.since(self.state.hosts[name]) for name in some})
            entries = outcomes.of_looks(self.state, {name: answers.get(name) or {} for name in some}, self.world.now())
            self.session.add(entries)
            written += entries
            if self.session.take_overrides() and self.state.aborted:
                break
        readings = outcomes.of_sources(self.state, self.world.sources(self.state))
        self.session.add(readings)
        return written + readings

    def _hold(self):
        """Have hosts hold back what patches them by itself, before any of them is touched; control hosts are to stay such."""
        wanted = automation.to_hold(self.state, self.world.now())
        results = self.world.hold(wanted) if wanted else {}
        if results:
            found = [automation.of_hold(wanted, results, self.world.now())]
            self.session.add(found)
            self.world.tell(self.state, self.state.open_tier, None, found)

    def give_back(self):
        """Have hosts give back what they hold back, where the rollout is over."""
        wanted = automation.to_give_back(self.state)
        if wanted:
            found = [automation.of_giving_back(wanted, self.world.hold(wanted))]
            self.session.add(found)
            self.world.tell(self.state, None, None, found)

    def _keep(self, number):
        """Have the hosts of a tier that has passed keep the livepatch over reboots, those that were not asked yet."""
        wanted = schedule.to_keep(self.state, number)
        answers = self.world.keep(wanted) if wanted else {}
        if answers:
            found = [outcomes.of_persistence({name: answers.get(name) or {} for name in wanted})]
            self.session.add(found)
            self.world.tell(self.state, number, None, found)
