# The steps of a plan, gone on the kernel: load, disable, unload, and wait.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import errno
import os
from collections import OrderedDict

from ansible_collections.kernel.livepatch.plugins.module_utils._change import checks, steps
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError, module_name
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs, transitions

# The kernel gives a module's last reference back some milliseconds after its transition has ended.
_RELEASE_SECONDS = 5
# The kernel signals blockers after some 15 seconds: what that achieves is looked at from then on.
_BEFORE_SIGNAL_SECONDS = 14


class Actions(object):
    """Goes the steps, and keeps what a result tells about them.

    params: the module's options. The rest as for livepatch.Run, which sets: name, file, the livepatch's name and
    ModuleFile, None where there is none; sequence, the kernel log's position before anything was done.
    """

    def __init__(self, params, run_command, root, kernel, log, clock):
        self.params = params
        self.name = None
        self.file = None
        self.sequence = None
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
        # What was enabled before the livepatch came in, name -> build id, oldest first; None before that.
        self.former = None
        self.found = None
        self.remedies = []
        self.forced = False

    def go(self, step):
        """Go one step of a plan; raise LivepatchError when it cannot be finished."""
        {
            steps.SETTLE: self._settle,
            steps.REVERSE: self._reverse,
            steps.LOAD: self._load,
            steps.DISABLE: self.disable,
            steps.UNLOAD: self._unload,
        }[step.action](step.name)

    def _settle(self, name):
        former = sysfs.read_host(self.root).patches
        over = transitions.wait(lambda: transitions.is_over(self.root, name), self.params["timeout"], self.clock)
        if over or name not in former:
            return self.wait_released(former)
        stall = self._stall(name, former[name].enabled, None, loaded=former[name].enabled)
        if name == self.name:
            return stall.deal_with(self.clock.now())
        stall.look()
        raise LivepatchError(
            "busy",
            "livepatch %s: expected the transition of livepatch %s to end within %s s, found %s. The kernel allows one "
            "transition at a time: end that one first."
            % (self.name or "(all)", name, self.params["timeout"], self.who_blocks()),
        )

    def _load(self, name):
        former = self.note_former()
        self._load_depends()
        started = self.clock.now()
        try:
            self.kernel.load(self.file.path, self.file.image, self.file.packed)
        except OSError as error:
            if error.errno != errno.EEXIST or not self._has_come(name):
                self._load_refused(error, former)
        self._end_transition(name, True, started, loaded=True)
        self.wait_released(former)
        self.contradicted_by_effect(name)

    def _has_come(self, name):
        """Whether somebody else has just loaded the very same: a package's scriptlet may go on after the package manager."""

        def is_settled():
            module = sysfs.read_modules(self.root).get(name)
            return module is None or module.live

        transitions.wait(is_settled, _RELEASE_SECONDS, self.clock)
        code = checks.file_code(self.file)
        same = code is not None and code == checks.loaded_code(self.root, self.file)
        return same and sysfs.read_patch(self.root, name) is not None

    def _load_refused(self, error, former):
        self.unload_depends()
        refused = checks.explain_load(error, self.file, self.root, self.log, self.sequence)
        refused.message += checks.still_runs(sysfs.read_host(self.root), list(former))
        raise refused

    def note_former(self):
        """Keep what is enabled now, as what was there before the livepatch came in; return that (name -> Patch)."""
        former = sysfs.read_host(self.root).patches
        self.former = OrderedDict((other, sysfs.build_id(self.root, other)) for other in former)
        return former

    def _reverse(self, name):
        started = self.clock.now()
        self.write(name, "enabled", "1")
        self._end_transition(name, True, started, loaded=False)

    def disable(self, name):
        started = self.clock.now()
        self.write(name, "enabled", "0")
        self._end_transition(name, False, started, loaded=False)
        self.wait_released([name])

    def _unload(self, name):
        error = self.try_unload(name)
        makes_way = self.params["state"] == "enabled" and name == self.name
        if error is None:
            # The module that makes way for its own code is back at the end: it does not count as unloaded.
            self.unloaded += [] if makes_way else [name]
        elif makes_way or self.params["state"] != "enabled":
            raise LivepatchError(
                "unload_refused",
                "module %s: expected the kernel to unload it, found %s. It is not enabled, and used by %s: unload that, "
                "and run again." % (name, error.strerror, self._users(name)),
            )
        else:
            self.kept.add(steps.Step(steps.UNLOAD, name))
            self.warnings.append("Module %s is inert but could not be unloaded: %s." % (name, error.strerror))

    def _users(self, name):
        module = sysfs.read_modules(self.root).get(name)
        return ", ".join(module.users if module else ()) or "the kernel"

    def try_unload(self, name):
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

        transitions.wait(gone, _RELEASE_SECONDS, self.clock)
        return refused[-1] if refused else None

    def _load_depends(self):
        loaded = sysfs.read_modules(self.root)
        for name in self.file.depends:
            if name.replace("-", "_") in loaded:
                continue
            code, output, errors = self._modprobe(["--", module_name(name)])
            if code != 0:
                self.unload_depends()
                raise LivepatchError(
                    "object_missing",
                    "livepatch %s: expected to load module %s, which it depends on, found: %s. Install that module for "
                    "this kernel." % (self.name, name, (errors or output).strip()[-300:]),
                )
            self.depends.append(name)

    def unload_depends(self):
        for name in reversed(self.depends):
            self._modprobe(["-r", "--", name])
        self.depends = []

    def _modprobe(self, arguments):
        try:
            return self.run_command(["modprobe"] + arguments, handle_exceptions=False)
        except EnvironmentError as error:
            return 127, "", "modprobe: %s" % error.strerror

    def write(self, name, attribute, value):
        path = os.path.join(self.root, sysfs.LIVEPATCHES, name, attribute)
        try:
            self.kernel.write(path, value)
        except OSError as error:
            self._write_refused(name, attribute, value, error)

    def _write_refused(self, name, attribute, value, error):
        patch = sysfs.read_patch(self.root, name)
        # Somebody else did it, or the transition ended meanwhile: what the kernel shows now decides, not the errno.
        if patch is None or error.errno == errno.EINVAL:
            return
        pending = sysfs.read_host(self.root).pending
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
        deadline = self.clock.now() + self.params["timeout"]
        first = min(self.params["timeout"], _BEFORE_SIGNAL_SECONDS)
        try:
            if not transitions.wait(lambda: transitions.is_over(self.root, name), first, self.clock):
                self._stall(name, enabling, started, loaded).deal_with(deadline)
        finally:
            self.seconds += self.clock.now() - started

    def _stall(self, name, enabling, started, loaded):
        # Most runs never need it, and each file that is imported costs its time on every host.
        from ansible_collections.kernel.livepatch.plugins.module_utils._change import remedies

        return remedies.Stall(self, remedies.Transition(name, enabling, started, loaded))

    def warn(self, sentence):
        """Tell the user a sentence, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def who_blocks(self):
        """Who holds the transition up, as a message says it."""
        if not self.found.count:
            return "it pending without any task that blocks it (an idle CPU, or it is just ending)"
        first = ", ".join("%s (%d): %s" % (task["comm"], task["pid"], task["reason"]) for task in self.found.tasks[:3])
        return "%s (%s)" % (self.found.summary, first)

    def wait_released(self, names):
        """Wait until the kernel has given its references on these modules back, a few seconds at most."""

        def released():
            host = sysfs.read_host(self.root)
            return all(
                name in host.patches or name not in host.modules or not host.modules[name].refcount for name in names
            )

        transitions.wait(released, _RELEASE_SECONDS, self.clock)

    # --- what it turns out to replace ---------------------------------------------------------------------------

    def contradicted_by_effect(self, name):
        """Take the livepatch out again and raise, where it turns out to replace what it must not."""
        host = sysfs.read_host(self.root)
        gone = [other for other in self.former if other not in host.patches]
        shown = host.patches[name].replace if name in host.patches else None
        if shown is None and self.former:
            shown = bool(gone)
        refused = checks.refusal_to_replace(self.params, name, shown, gone, self.take_out)
        if refused is not None:
            raise refused

    def take_out(self):
        """Take the livepatch that was brought in out again; return a sentence about how that went."""
        from ansible_collections.kernel.livepatch.plugins.module_utils._change import restore

        return restore.take_out(self, self.name, self.former)
