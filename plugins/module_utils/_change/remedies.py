# What is done about a stalled transition, in order: wait on, let the kernel signal, restart units, force or turn round.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Imported by a run only when a transition lasts.

from collections import namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils._change import checks, interface
from ansible_collections.kernel.livepatch.plugins.module_utils._files import run_files
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import stalls, sysfs, transitions

# The kernel signals the tasks that have not switched after 15 of its tries, one a second, and again every 15 tries
# (kernel/livepatch/transition.c, SIGNALS_TIMEOUT); by then what this achieved is seen.
_SIGNALLED_SECONDS = 20
# Once nobody holds it up any more, a transition ends with the kernel's next try; a busy host takes its time for that.
_NEXT_TRY_SECONDS = 10
# What was turned round or forced is given this long at least to end, however short the option timeout is.
_PATIENCE_SECONDS = 60
# Longer than systemd waits before it kills what does not end by itself (DefaultTimeoutStopSec, 90 seconds): on 5.10 a
# task that the kernel has signalled for the transition does not hear a SIGTERM while it sleeps uninterrupted.
_RESTART_SECONDS = 100
# A task that has ended is seen by the kernel's next try.
_AFTER_RESTART_SECONDS = 5
_TIMED_OUT = 124  # timeout(1)

Transition = namedtuple("Transition", "name enabling started loaded")
Transition.__doc__ = """The transition that lasts.

name: of its livepatch. enabling: its direction (bool). started: when, by the clock (float), None when somebody else began
it. loaded: whether this run began it by loading the module (bool).
"""


class Stall(object):
    """A transition (Transition) that lasts, in a run's actions (actions.Actions), which keep what is found and done."""

    def __init__(self, actions, transition):
        self.actions = actions
        self.params = actions.params
        self.transition = transition
        self.name = transition.name

    def deal_with(self, deadline):
        """Return when the transition has ended the wanted way; raise LivepatchError when nothing helped.

        deadline: when its time is over, by the clock (float).
        """
        if self._signalled(deadline) or self.over(deadline - self.actions.clock.now()):
            return
        self.look()
        # Looking takes its time: what has ended meanwhile must not be turned round.
        if self.over(0) or self._waited_on() or self._restarted_units():
            return
        forced_before = _forced_before(self.actions) if self.params["force"] else None
        if not self.params["force"] or forced_before:
            self._give_up(forced_before)
        else:
            self._force()

    def over(self, seconds):
        """Whether the transition ends within so many seconds, or a little later where only the kernel's next try lacks."""
        return self._ends_within(seconds) or (
            not stalls.blocked(self.actions.root, self.name) and self._ends_within(_NEXT_TRY_SECONDS)
        )

    def _ends_within(self, seconds):
        return transitions.wait(lambda: transitions.is_over(self.actions.root, self.name), seconds, self.actions.clock)

    def look(self):
        """See who blocks, and why."""
        self.actions.found = stalls.find(self.actions.root, self.name, self.actions.clock)

    def _try(self, remedy, act, achieved="ended", in_part="fewer", **more):
        """Apply a remedy and note what it achieved; act() returns whether the transition is over."""
        actions = self.actions
        before, began = stalls.count(actions.root, self.name), actions.clock.now()
        over = act()
        after = 0 if over else stalls.count(actions.root, self.name)
        what = achieved if over else in_part if after < before else "nothing"
        entry = {"remedy": remedy, "achieved": what, "blockers_before": before, "blockers_after": after}
        actions.remedies.append(dict(entry, seconds=round(actions.clock.now() - began, 2), **more))
        return over

    def _until_signalled(self):
        started = self.transition.started
        return 0 if started is None else max(0, started + _SIGNALLED_SECONDS - self.actions.clock.now())

    def _signalled(self, deadline):
        """Where the time reaches so far, see what the kernel's own signals achieve."""
        left = min(self._until_signalled(), deadline - self.actions.clock.now())
        return left > 0 and self._try("signal", lambda: self.over(left))

    def _waited_on(self):
        if self.params["on_stall"] != "wait":
            return False
        seconds = max(self.params["timeout"], self._until_signalled())
        over = self._try("wait", lambda: self.over(seconds))
        self._look_again(over)
        return over

    def _restarted_units(self):
        listed = interface.units(self.params["stall_restart_units"])
        held = stalls.units(self.actions.root, self.name) if listed else ()
        names = [unit for unit in listed if unit in held]
        if not names:
            return False
        said = {}

        def restart():
            for unit in names:
                said[unit] = self._restart(unit)
            return self.over(_AFTER_RESTART_SECONDS)

        over = self._try("restart", restart, units=said)
        self._look_again(over)
        return over

    def _restart(self, unit):
        limit = ["timeout", "--kill-after=5", "%d" % _RESTART_SECONDS]
        try:
            code, output, errors = self.actions.run_command(
                limit + ["systemctl", "restart", "--", unit], handle_exceptions=False
            )
        except EnvironmentError as error:
            return "not restarted: %s" % error.strerror
        if code == 0:
            return "restarted"
        if code == _TIMED_OUT:
            return "not restarted within %d s" % _RESTART_SECONDS
        return "not restarted: %s" % ((errors or output).strip()[-300:] or "systemctl ended with %d" % code)

    def _look_again(self, over):
        if not over and self.actions.remedies[-1]["achieved"] == "fewer":
            self.look()

    # --- the last ones

    def _force(self):
        def let_go():
            # Tasks are switched at once; the kernel notices with its next try, a second later.
            self._note_forced(list(sysfs.read_host(self.actions.root).patches))
            try:
                self.actions.write(self.name, "force", "1")
            except LivepatchError:
                run_files.remove(self.actions.root, run_files.FORCED)
                self.actions.forced = False
                raise
            return self.over(self._patience())

        if not self._try("force", let_go):
            raise LivepatchError(
                "stalled",
                "livepatch %s: expected the forced transition to end, found it pending. See the kernel log, and plan a "
                "reboot." % self.name,
            )

    def _note_forced(self, patches):
        """Before it is done: what is not known to have been forced could be forced a second time."""
        actions = self.actions
        record = {"livepatches": patches, "time": actions.log.position()["time"]}
        try:
            run_files.write(actions.root, run_files.FORCED, record)
        except EnvironmentError as error:
            undone = self.turn_round() if self.params["on_stall"] == "revert" else self._left_pending()
            raise LivepatchError(
                "stalled",
                "livepatch %s: expected to note in /%s that its transition is forced, so that none is forced twice, found: %s. "
                "It was not forced. %s Make room there and run again."
                % (self.name, run_files.DIRECTORY, error.strerror, undone),
            )
        actions.forced = True
        actions.warn(
            "The transition of livepatch %s was forced: modules that took part (%s) may stay in the kernel until the "
            "next boot, and nothing guarantees that no task runs old and new code at once. Enable no further livepatch "
            "on this host, and plan a reboot." % (self.name, ", ".join(patches))
        )

    def _give_up(self, forced_before):
        """Raise, after the transition was turned round where that is asked for; return where it ended all the same."""
        message = "livepatch %s: expected its transition to end within %s s, found %s." % (
            self.name,
            self.params["timeout"],
            self.actions.who_blocks(),
        )
        if forced_before:
            message += (
                " It was not forced, because this host has had a forced transition since its boot (%s), and one is all "
                "that the kernel can be trusted with: plan a reboot." % forced_before
            )
        undone = self.turn_round() if self.params["on_stall"] == "revert" else self._left_pending()
        if undone is None:
            return
        raise LivepatchError(
            "already_forced" if forced_before else "stalled",
            "%s %s Deal with these tasks and run again." % (message, undone),
        )

    def _left_pending(self):
        return (
            "It is still in transition, as on_stall asks, and until it ends the kernel refuses every other livepatch."
        )

    def turn_round(self):
        """Turn the transition round; return a sentence about how that went, None where it has ended the wanted way."""
        actions, enabling = self.actions, self.transition.enabling
        patience = self._patience()
        late = []
        if actions.former is None:  # another run has begun it
            actions.note_former()
            actions.former.pop(self.name, None)

        def turn():
            # Whoever was counted before may have switched meanwhile: what is over must not be undone.
            if self._ended_as_wanted():
                late.append(True)
                return True
            actions.write(self.name, "enabled", "0" if enabling else "1")
            if self._was_too_late():
                late.append(True)
                if enabling:
                    actions.write(self.name, "enabled", "1")
            return self.over(patience)

        # Those who block one way are others than those who block the other.
        over = self._try("revert", turn, achieved="reverted", in_part="nothing")
        if late:
            actions.remedies[-1]["achieved"] = "ended"
            return self._after_all(patience) if enabling else None
        if not over:
            return self._stalled_again(patience)
        actions.unload_depends()
        if not enabling:
            return "It was turned round: %s is enabled as before." % self.name
        actions.wait_released([self.name])
        error = actions.try_unload(self.name) if self.transition.loaded else None
        host = sysfs.read_host(actions.root)
        kept = "" if error is None else " Its module could not be unloaded (%s)." % error.strerror
        return "It was turned round.%s%s" % (checks.still_runs(host, list(actions.former)), kept)

    def _ended_as_wanted(self):
        patch = sysfs.read_patch(self.actions.root, self.name)
        if patch is None:
            return not self.transition.enabling
        return not patch.transition and patch.enabled == self.transition.enabling

    def _was_too_late(self):
        """Whether the transition had ended when it was turned round: what was to go is gone then."""
        enabled = sysfs.read_host(self.actions.root).patches
        going = self.actions.former if self.transition.enabling else [self.name]
        return not all(name in enabled for name in going)

    def _after_all(self, patience):
        """The livepatch is in, or was when it was turned round: it stays, or what it replaced is brought back."""
        actions = self.actions
        patch = sysfs.read_patch(actions.root, self.name)
        if patch is not None and patch.enabled and not patch.transition:
            return None
        if patch is not None and patch.transition:
            return self._stalled_again(patience)
        return "It ended in the moment in which it was turned round. %s" % actions.take_out()

    def _stalled_again(self, patience):
        self.look()
        return (
            "It was turned round, and the way back has not ended either within %s s: livepatch %s is still being %s, "
            "held up by %s. Until that ends some tasks run its code and others do not, and the kernel refuses every other "
            "livepatch."
            % (
                patience,
                self.name,
                "disabled" if self.transition.enabling else "enabled again",
                self.actions.who_blocks(),
            )
        )

    def _patience(self):
        return max(self.params["timeout"], _PATIENCE_SECONDS)


def _forced_before(actions):
    """Return who was forced on this host since its boot (str), None when nobody seems to have been."""
    known = checks.forced_before(actions.root, actions.log)
    if known:
        return known
    host = sysfs.read_host(actions.root)
    held = [name for name in host.inert if host.modules[name].refcount and not host.modules[name].users]
    return "the kernel holds %s" % ", ".join(held) if held else None
