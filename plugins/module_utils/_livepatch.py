# One run: find the file, check, plan, go the steps, prove, report; what cannot be finished is undone.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import errno
import os

from ansible_collections.kernel.livepatch.plugins.module_utils import (
    _kernel,
    _kernel_log,
    _module_file,
    _packages,
    _refusals,
    _source,
    _steps,
    _sysfs,
    _transition,
)
from ansible_collections.kernel.livepatch.plugins.module_utils._errors import LivepatchError, module_name

# The kernel gives a module's last reference back some milliseconds after its transition has ended.
_RELEASE_SECONDS = 5
# A step is planned anew after each change; a host with more livepatches than this is not expected.
_MAX_STEPS = 256


class Run(object):
    """One execution of the module livepatch.

    params: the module's options. run_command: AnsibleModule.run_command. The rest is for tests: the root of the file
    system, who changes the kernel, reads its log and keeps the time.
    """

    def __init__(self, params, run_command, check_mode, root="/", kernel=_kernel, log=_kernel_log, clock=None):
        self.params = params
        self.run_command = run_command
        self.check_mode = check_mode
        self.root = root
        self.kernel = kernel
        self.log = log
        self.clock = clock or _transition.Clock()
        self.warnings = []
        self.since = None
        self.file = None
        self.name = None
        self.before = None
        self.first = None
        self.unloaded = []
        self.kept = set()
        self.depends = []
        self.seconds = 0.0
        self.blockers = []
        self.blocking = 0
        self.forced = False

    def execute(self):
        """Bring the host to what is asked for; return the result, or raise LivepatchError with the result so far."""
        self.since = self.log.position()
        try:
            self._identify()
            return self._bring()
        except LivepatchError as error:
            error.details = dict(self._result_of_failure(), **error.details)
            raise

    # --- what is wanted -------------------------------------------------------------------------------------------

    def _identify(self):
        params = self.params
        if params["all"] and params["state"] == "enabled":
            raise LivepatchError(
                "bad_option", "all: expected state disabled or absent with it, found enabled. Name one livepatch."
            )
        if params["timeout"] <= 0:
            raise LivepatchError("bad_option", "timeout: expected more than 0 seconds, found %s." % params["timeout"])
        if params["state"] == "enabled":
            self._check_supported()
        if params["name"] is not None:
            self.name = module_name(params["name"])
        path = self._path()
        if path is not None:
            self._take_file(path)

    def _check_supported(self):
        if not os.path.isdir(os.path.join(self.root, _sysfs.LIVEPATCHES)):
            raise LivepatchError(
                "unsupported",
                "kernel %s: expected livepatch support (/%s), found none. Boot a kernel built with CONFIG_LIVEPATCH."
                % (_sysfs.kernel_release(self.root), _sysfs.LIVEPATCHES),
            )

    def _path(self):
        if self.params["path"] is not None:
            return self.params["path"]
        if self.params["package"] is not None:
            return _source.by_package(_packages, self.run_command, self.params["package"])
        if self.name is not None and self.params["state"] == "enabled":
            return _source.by_name(self.root, _sysfs.kernel_release(self.root), self.name)
        return None

    def _take_file(self, path):
        self.file = _module_file.read(path, self.run_command)
        if self.name is not None and self.file.name != self.name:
            raise LivepatchError(
                "bad_name",
                "livepatch %s: expected a module of that name in %s, found %s. Give that name."
                % (self.name, path, self.file.name),
            )
        self.name = module_name(self.file.name)

    def _plan(self, host):
        plan = _steps.plan(
            host,
            _steps.Wanted(
                state=self.params["state"],
                name=self.name,
                every=self.params["all"],
                file_code=self._code(self.file.build_id, self.file.srcversion) if self.file else None,
                loaded_code=(
                    self._code(_sysfs.build_id(self.root, self.name), _sysfs.srcversion(self.root, self.name))
                    if self.file
                    else None
                ),
                replace=self._will_replace(),
                unload_inert=self.params["unload_inert"],
            ),
        )
        return plan._replace(steps=[step for step in plan.steps if step not in self.kept])

    def _code(self, build_id, srcversion):
        # Both sides of the comparison must be of one kind: the one that the file has.
        return build_id if self.file.build_id else srcversion

    def _will_replace(self):
        for known in (self.file.replace if self.file else None, self.params["replace"]):
            if known is not None:
                return known
        return True

    def _check(self, host, plan):
        if self.params["state"] == "enabled":
            _refusals.check_file(self.file, host, os.uname().machine)
            self._check_replace(host.patches.get(self.name))
        if any(step.action == _steps.LOAD for step in plan.steps):
            _refusals.check_host(self.file, self.root)
        if plan.steps and os.geteuid() != 0:
            raise LivepatchError(
                "not_permitted",
                "livepatch %s: expected to be root, found user id %d. Use become."
                % (self.name or "(all)", os.geteuid()),
            )

    def _check_replace(self, patch):
        shown = patch.replace if patch is not None and patch.replace is not None else self.file.replace
        if None not in (shown, self.params["replace"]) and shown != self.params["replace"]:
            raise self._replace_mismatch(shown, "Nothing was changed.")

    # --- going there ----------------------------------------------------------------------------------------------

    def _bring(self):
        host = _sysfs.read_host(self.root)
        plan = self.first = self._plan_checked(host)
        self.before = plan.before
        if self.check_mode and plan.steps:
            return self._result(plan.before, plan.after, plan.replaced, plan.unloaded, False)
        for _number in range(_MAX_STEPS):
            if not plan.steps:
                break
            self._go(plan.steps[0])
            host = _sysfs.read_host(self.root)
            again = self._plan(host)
            if plan.steps[0].action == _steps.SETTLE:
                self.first, self.before = again, again.before
            plan = again
        return self._finished(host, plan)

    def _plan_checked(self, host):
        # The file is judged before the host: a wrong file is never blamed on what is loaded.
        if self.params["state"] == "enabled":
            self._check(host, _steps.Plan([], None, None, [], [], []))
        plan = self._plan(host)
        self._check(host, plan)
        return plan

    def _finished(self, host, plan):
        for name in plan.pinned:
            self.warnings.append(
                "Module %s is inert but held by the kernel, as after a forced transition: it stays until the next boot."
                % name
            )
        problems = self._unproven(host)
        if problems:
            raise LivepatchError(
                "not_proven",
                "livepatch %s: expected %s, found: %s. Run again, and look at the kernel log of this host."
                % (self.name or "(all)", self.params["state"], "; ".join(problems)),
            )
        return self._result(self.before, _steps.view(host), self._replaced(host), self.unloaded, True)

    def _replaced(self, host):
        if self.params["state"] != "enabled":
            return []
        return [name for name in reversed(self.before["enabled"]) if name not in host.patches]

    def _go(self, step):
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
            raise _refusals.explain_load(error, self.file, self.root, self.log, self.since["sequence"])
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
        needed = self.params["state"] != "enabled" or name == self.name
        if error is None:
            if name in self.first.unloaded or name != self.name:
                self.unloaded.append(name)
        elif needed:
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
            code, output, errors = self.run_command(["modprobe", "--", module_name(name)])
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
            self.run_command(["modprobe", "-r", "--", name])
        self.depends = []

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
        if not _transition.wait(lambda: _transition.is_over(self.root, name), self.params["timeout"], self.clock):
            return "It was turned round, and the way back has not ended either within %s s." % self.params["timeout"]
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
        if not _transition.wait(lambda: _transition.is_over(self.root, name), self.params["timeout"], self.clock):
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
            raise self._replace_mismatch(patch.replace, self._revert(name, True, True))

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
            raise self._replace_mismatch(True, "It is in the place of %s; only loading those undoes that." % former)
        self._disable(name)
        self._try_unload(name)
        raise self._replace_mismatch(
            shown, "It was taken out again: this host runs %s." % _sysfs.read_host(self.root).effective_release
        )

    def _replace_mismatch(self, found, undone):
        words = {True: "one that replaces all others", False: "one that stacks on the others"}
        return LivepatchError(
            "replace_mismatch",
            "livepatch %s: expected %s, found %s. %s Correct the option replace, or the build."
            % (self.name, words[not found], words[found], undone),
        )

    # --- proof and report -----------------------------------------------------------------------------------------

    def _unproven(self, host):
        """What speaks against the wanted state being there, as a list of words for people."""
        if self.params["state"] != "enabled":
            return self._still_there(host)
        patch = host.patches.get(self.name)
        if patch is None or self.name not in host.enabled:
            return ["%s is not enabled for all tasks" % self.name]
        problems = []
        code = self._code(self.file.build_id, self.file.srcversion)
        loaded = self._code(_sysfs.build_id(self.root, self.name), _sysfs.srcversion(self.root, self.name))
        if code is None or code != loaded:
            problems.append("the code in the kernel is %s, that of the file %s" % (loaded, code))
        for name, parts in patch.objects.items():
            if parts["patched"] is False and (name == "vmlinux" or name in host.modules):
                problems.append("%s is not patched" % name)
        return problems

    def _still_there(self, host):
        names = list(host.patches) if self.params["all"] else [self.name]
        problems = ["%s is enabled" % name for name in names if name in host.patches]
        if self.params["state"] == "absent" and not self.params["all"] and self.name in host.modules:
            problems.append("%s is loaded" % self.name)
        return problems

    def _result(self, before, after, replaced, unloaded, proven):
        release = _sysfs.kernel_release(self.root)
        return {
            "changed": before != after or bool(unloaded),
            "name": self.name,
            "before": self._top(before, release),
            "effective_release": self._top(after, release)["effective_release"],
            "diff": {"before": before, "after": after},
            "replaced": replaced,
            "unloaded": unloaded,
            "transition": {"seconds": round(self.seconds, 2), "blockers": self.blockers, "blocking": self.blocking},
            "forced": self.forced,
            "build_id": self.file.build_id if self.file else None,
            "since": self.since,
            "proven": proven,
        }

    @staticmethod
    def _top(view, release):
        topmost = view["enabled"][-1] if view["enabled"] else None
        return {"enabled": topmost, "effective_release": _sysfs.effective_release(release, topmost)}

    def _result_of_failure(self):
        now = _steps.view(_sysfs.read_host(self.root))
        before = self.before or now
        result = self._result(before, now, [], self.unloaded, False)
        return dict(result, changed=not self.check_mode and before != now)
