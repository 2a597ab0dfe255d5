# The steps of a plan, gone on the kernel: load, disable, unload, and wait; what cannot be finished is undone.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import errno
import os

from ansible_collections.kernel.livepatch.plugins.module_utils import _refusals, _steps, _sysfs, _transition
from ansible_collections.kernel.livepatch.plugins.module_utils._errors import LivepatchError, module_name

# The kernel gives a module's last reference back some milliseconds after its transition has ended.
_RELEASE_SECONDS = 5
# What was turned round or forced is given this long at least to end, however short the option timeout is.
_PATIENCE_SECONDS = 60


class Actions(object):
    """Goes the steps, and keeps what a result tells about them.

    params: the module's options. name, file: the livepatch's name and ModuleFile, None where there is none.
    sequence: the kernel log's position before anything was done. The rest as for _livepatch.Run.
    """

    def __init__(self, params, name, file, sequence, run_command, root, kernel, log, clock):
        self.params = params
        self.name = name
        self.file = file
        self.sequence = sequence
        self.run_command = run_command
        self.root = root
        self.kernel = kernel
        self.log = log
        self.clock = clock
        self.warnings = []
        self.unloaded = []
        self.kept = set()
        self.depends = []
        self.seconds = 0.0
        self.blockers = []
        self.blocking = 0
        self.forced = False

    def go(self, step):
        """Go one step of a plan; raise LivepatchError when it cannot be finished."""
        {
            _steps.SETTLE: self._settle,
            _steps.REVERSE: self._reverse,
            _steps.LOAD: self._load,
            _steps.DISABLE: self._disable,
            _steps.UNLOAD: self._unload,
        }[step.action](step.name)

    def _settle(self, name):
        former = _sysfs.read_host(self.root).patches
        over = _transition.wait(lambda: _transition.is_over(self.root, name), self.params["timeout"], self.clock)
        if over or name not in former:
            return self._wait_released(former)
        if name == self.name:
            return self._stalled(name, former[name].enabled, loaded=former[name].enabled)
        self._note_blockers(name)
        raise LivepatchError(
            "busy",
            "livepatch %s: expected the transition of livepatch %s to end within %s s, found %s. The kernel allows one "
            "transition at a time: end that one first."
            % (self.name or "(all)", name, self.params["timeout"], self._who_blocks()),
        )

    def _load(self, name):
        former = list(_sysfs.read_host(self.root).patches)
        self._load_depends()
        started = self.clock.now()
        try:
            self.kernel.load(self.file.path, self.file.image, self.file.packed)
        except OSError as error:
            self._unload_depends()
            raise _refusals.explain_load(error, self.file, self.root, self.log, self.sequence)
        self._contradicted_early(name)
        self._end_transition(name, True, started, loaded=True)
        self._wait_released(former)
        self._contradicted_by_effect(name, former)

    def _reverse(self, name):
        started = self.clock.now()
        self._write(name, "enabled", "1")
        self._end_transition(name, True, started, loaded=False)

    def _disable(self, name):
        started = self.clock.now()
        self._write(name, "enabled", "0")
        self._end_transition(name, False, started, loaded=False)
        self._wait_released([name])

    def _unload(self, name):
        error = self._try_unload(name)
        makes_way = self.params["state"] == "enabled" and name == self.name
        if error is None:
            # The module that makes way for its own code is back at the end: it does not count as unloaded.
            self.unloaded += [] if makes_way else [name]
        elif makes_way or self.params["state"] != "enabled":
            raise LivepatchError(
                "unload_refused",
                "module %s: expected the kernel to unload it, found %s. It is not enabled; see who uses it (lsmod), "
                "and run again." % (name, error.strerror),
            )
        else:
            self.kept.add(_steps.Step(_steps.UNLOAD, name))
            self.warnings.append("Module %s is inert but could not be unloaded: %s." % (name, error.strerror))

    def _try_unload(self, name):
        """Unload a module, patiently; return None, or the kernel's last OSError."""
        refused = []

        def gone():
            try:
                self.kernel.unload(name)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return True
                refused.append(error)
                return error.errno not in (errno.EAGAIN, errno.EBUSY)
            del refused[:]
            return True

        _transition.wait(gone, _RELEASE_SECONDS, self.clock)
        return refused[-1] if refused else None

    def _load_depends(self):
        loaded = _sysfs.read_modules(self.root)
        for name in self.file.depends:
            if name.replace("-", "_") in loaded:
                continue
            code, output, errors = self._modprobe(["--", module_name(name)])
            if code != 0:
                self._unload_depends()
                raise LivepatchError(
                    "object_missing",
                    "livepatch %s: expected to load module %s, which it depends on, found: %s. Install that module for "
                    "this kernel." % (self.name, name, (errors or output).strip()[-300:]),
                )
            self.depends.append(name)

    def _unload_depends(self):
        for name in reversed(self.depends):
            self._modprobe(["-r", "--", name])
        self.depends = []

    def _modprobe(self, arguments):
        try:
            return self.run_command(["modprobe"] + arguments, handle_exceptions=False)
        except EnvironmentError as error:
            return 127, "", "modprobe: %s" % error.strerror

    def _write(self, name, attribute, value):
        path = os.path.join(self.root, _sysfs.LIVEPATCHES, name, attribute)
        try:
            self.kernel.write(path, value)
        except OSError as error:
            self._write_refused(name, attribute, value, error)

    def _write_refused(self, name, attribute, value, error):
        patch = _sysfs.read_patch(self.root, name)
        # Somebody else did it, or the transition ended meanwhile: what the kernel shows now decides, not the errno.
        if patch is None or error.errno == errno.EINVAL:
            return
        pending = _sysfs.read_host(self.root).pending
        if error.errno == errno.EBUSY and pending not in (None, name):
            raise LivepatchError(
                "busy",
                "livepatch %s: expected no other transition, found livepatch %s in one. Run again when it has ended."
                % (name, pending),
            )
        raise LivepatchError(
            "not_permitted" if error.errno in (errno.EPERM, errno.EACCES) else "load_failed",
            "livepatch %s: expected to write %s to its %s, found %s. See the kernel log."
            % (name, value, attribute, error.strerror),
        )

    # --- transitions ----------------------------------------------------------------------------------------------

    def _end_transition(self, name, enabling, started, loaded):
        """Wait for a transition that this run began; loaded: whether it began with loading the module."""
        over = _transition.wait(lambda: _transition.is_over(self.root, name), self.params["timeout"], self.clock)
        self.seconds += self.clock.now() - started
        if not over:
            self._stalled(name, enabling, loaded)

    def _stalled(self, name, enabling, loaded):
        self._note_blockers(name)
        # Reading all tasks takes its time: what has ended meanwhile must not be turned round.
        if _transition.is_over(self.root, name):
            return None
        if self.params["force"]:
            return self._force(name)
        undone = "It is still in transition, as on_stall asks."
        if self.params["on_stall"] == "wait":
            started = self.clock.now()
            over = _transition.wait(lambda: _transition.is_over(self.root, name), self.params["timeout"], self.clock)
            self.seconds += self.clock.now() - started
            if over:
                return None
        elif self.params["on_stall"] == "revert":
            undone = self._revert(name, enabling, loaded)
        raise LivepatchError(
            "stalled",
            "livepatch %s: expected its transition to end within %s s, found %s. %s Deal with these tasks and run again."
            % (name, self.params["timeout"], self._who_blocks(), undone),
        )

    def _revert(self, name, enabling, loaded):
        """Turn the transition round; return a sentence about how that went."""
        self._write(name, "enabled", "0" if enabling else "1")
        patience = max(self.params["timeout"], _PATIENCE_SECONDS)
        if not _transition.wait(lambda: _transition.is_over(self.root, name), patience, self.clock):
            return "It was turned round, and the way back has not ended either within %s s." % patience
        self._unload_depends()
        if not enabling:
            return "It was turned round: %s is enabled as before." % name
        self._wait_released([name])
        error = self._try_unload(name) if loaded else None
        runs = _sysfs.read_host(self.root)
        kept = "" if error is None else " Its module could not be unloaded (%s)." % error.strerror
        return "It was turned round: this host runs %s as before.%s" % (runs.effective_release, kept)

    def _force(self, name):
        self._write(name, "force", "1")
        self.forced = True
        # The tasks are switched at once; the kernel notices with its next try, a second later.
        patience = max(self.params["timeout"], _PATIENCE_SECONDS)
        if not _transition.wait(lambda: _transition.is_over(self.root, name), patience, self.clock):
            raise LivepatchError(
                "stalled",
                "livepatch %s: expected the forced transition to end, found it pending. See the kernel log." % name,
            )

    def _note_blockers(self, name):
        self.blockers, self.blocking = _transition.blockers(self.root, name)

    def _who_blocks(self):
        if not self.blocking:
            return "it pending without any task that blocks it (an idle CPU, or it is just ending)"
        first = ", ".join("%s (%d): %s" % (task["comm"], task["pid"], task["reason"]) for task in self.blockers[:3])
        return "%d task(s) not switched yet: %s" % (self.blocking, first)

    def _wait_released(self, names):
        def released():
            host = _sysfs.read_host(self.root)
            return all(
                name in host.patches or name not in host.modules or not host.modules[name].refcount for name in names
            )

        _transition.wait(released, _RELEASE_SECONDS, self.clock)

    def _contradicted_early(self, name):
        patch = _sysfs.read_patch(self.root, name)
        if patch is None or None in (patch.replace, self.params["replace"]) or patch.replace == self.params["replace"]:
            return
        if patch.transition:
            raise replace_mismatch(name, patch.replace, self._revert(name, True, True))

    def _contradicted_by_effect(self, name, former):
        host = _sysfs.read_host(self.root)
        still = [other for other in former if other in host.patches]
        shown = host.patches[name].replace if name in host.patches else None
        if shown is None and former:
            shown = not still
        if None in (shown, self.params["replace"]) or shown == self.params["replace"]:
            return
        if former and not still:
            former = ", ".join(former)
            raise replace_mismatch(name, True, "It is in the place of %s; only loading those undoes that." % former)
        self._disable(name)
        self._try_unload(name)
        raise replace_mismatch(
            name, shown, "It was taken out again: this host runs %s." % _sysfs.read_host(self.root).effective_release
        )


def replace_mismatch(name, found, undone):
    """Return the LivepatchError for a livepatch that replaces (found: True) or stacks against what was expected."""
    words = {True: "one that replaces all others", False: "one that stacks on the others"}
    return LivepatchError(
        "replace_mismatch",
        "livepatch %s: expected %s, found %s. %s Correct the option replace, or the build."
        % (name, words[not found], words[found], undone),
    )
