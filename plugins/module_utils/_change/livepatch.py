# One run: find the file, check, plan, lock the host, have the steps gone, prove, keep a copy, report.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import os

from ansible_collections.kernel.livepatch.plugins.module_utils._change import (
    actions,
    checks,
    copies,
    interface,
    source,
    steps,
)
from ansible_collections.kernel.livepatch.plugins.module_utils._files import run_files
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError, module_name
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log, syscalls, sysfs, transitions
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import engines, rpm

# A step is planned anew after each change; a host with more livepatches than this is not expected.
_MAX_STEPS = 256
# The kernel marks an object as patched some moments after its module is listed.
_PROOF_SECONDS = 2
# How long somebody else may take to load or unload a module, or to let go of one.
_PASSING_SECONDS = 5
_PASSING_PAUSE = 0.2


class Run(object):
    """One execution of the module livepatch.

    params: the module's options. run_command: AnsibleModule.run_command. tell: a function of the root and the warnings
    (list, added to), called after a change. find: AnsibleModule.get_bin_path. hold: a function of the warnings and the root to
    what keeps a package's scripts from changing the next boot (begin(), end()), None for nothing. The rest is for tests: the
    root of the file system, who changes the kernel, reads its log and keeps the time.
    """

    def __init__(
        self,
        params,
        run_command,
        check_mode,
        tell,
        find=None,
        root="/",
        kernel=syscalls,
        log=kernel_log,
        clock=None,
        hold=None,
    ):
        self.params = params
        self.run_command = run_command
        self.check_mode = check_mode
        self.tell = tell
        self.find = find
        self.hold = hold
        self.root = root
        self.log = log
        self.clock = clock or transitions.Clock()
        self.since = None
        self.file = None
        self.name = None
        self.before = None
        self.pending = None
        self.may_change = False
        # Whether this run has gone a step of its own: what it finds from then on is no longer what was there before.
        self.begun = False
        self.staged = None
        self.transaction = None
        self.actions = actions.Actions(params, run_command, root, kernel, log, self.clock)

    @property
    def warnings(self):
        """Sentences for the user (list of str)."""
        return self.actions.warnings

    def execute(self):
        """Bring the host to what is asked for; return the result, or raise LivepatchError with the result so far."""
        self.since = dict(
            self.log.position(), counters=sysfs.counters(self.root), taint=sysfs.taint(self.root)["value"]
        )
        self.actions.sequence = self.since["sequence"]
        try:
            return self._execute()
        except LivepatchError as error:
            error.details = dict(self._result_of_failure(), **error.details)
            raise
        finally:
            if self.staged is not None:
                self.staged.discard()
            if self.may_change:
                self.tell(self.root, self.warnings)

    def _execute(self):
        interface.check(self.params)
        if self.params["state"] == "enabled":
            self._check_supported()
        if interface.installs(self.params):
            # Most of what it needs nothing else does.
            from ansible_collections.kernel.livepatch.plugins.module_utils._change import transaction

            self.transaction = transaction.Transaction(self)
            return self.transaction.execute()
        self._identify()
        return self.bring()

    def _identify(self):
        if self.params["name"] is not None:
            self.take_name(module_name(self.params["name"]))
        try:
            path = self._path()
        except LivepatchError as error:
            interface.explain_gone(error, self.params, self.root)
            raise
        if path is not None:
            self.take_file(path)

    def take_name(self, name):
        """Note what the livepatch is called (str, None where that is not known)."""
        self.name = self.actions.name = name

    def _check_supported(self):
        if not os.path.isdir(os.path.join(self.root, sysfs.LIVEPATCHES)):
            raise LivepatchError(
                "unsupported",
                "kernel %s: expected livepatch support (/%s), found none. Boot a kernel built with CONFIG_LIVEPATCH."
                % (sysfs.kernel_release(self.root), sysfs.LIVEPATCHES),
            )

    def _path(self):
        if self.params["path"] is not None:
            return self.params["path"]
        if self.params["package"] is not None:
            return source.by_package(rpm, self.run_command, self.params["package"])
        if self.name is not None and self.params["state"] == "enabled":
            return source.by_name(self.root, sysfs.kernel_release(self.root), self.name)
        return None

    def take_file(self, path):
        """Read the livepatch's file; its name counts."""
        self.file = self.actions.file = module_file.read(path)
        if self.name is not None and self.file.name != self.name:
            raise LivepatchError(
                "bad_name",
                "livepatch %s: expected a module of that name in %s, found %s. Give that name."
                % (self.name, path, self.file.name),
            )
        self.take_name(module_name(self.file.name))

    def _plan(self, host):
        """Return (Host, Plan); what somebody else is just doing with a module passes within seconds."""
        deadline = self.clock.now() + _PASSING_SECONDS
        while True:
            try:
                return host, self._plan_of(host)
            except LivepatchError as error:
                if error.code not in ("busy", "unload_refused"):
                    raise
                if self.clock.now() >= deadline:
                    raise checks.for_good(error, self.root, self.log)
            self.clock.sleep(_PASSING_PAUSE)
            host = sysfs.read_host(self.root)

    def _plan_of(self, host):
        plan = steps.plan(
            host,
            steps.Wanted(
                state=self.params["state"],
                name=self.name,
                every=self.params["all"],
                file_code=checks.file_code(self.file) if self.file else None,
                loaded_code=checks.loaded_code(self.root, self.file) if self.file else None,
                replace=self._will_replace(),
                unload_inert=self.params["unload_inert"],
            ),
        )
        return plan._replace(steps=[step for step in plan.steps if step not in self.actions.kept])

    def _check_engines(self, host):
        if self.params.get("other_engines") == "refuse":
            found = engines.find(self.root, host)
            self.actions.warnings.extend(engines.require_idle(found, "livepatch %s" % self.name))

    def _will_replace(self):
        for known in (self.file.replace if self.file else None, self.params["replace"]):
            if known is not None:
                return known
        return True

    def _check(self, host, plan):
        if self.params["state"] == "enabled":
            checks.check_file(self.file, host, os.uname().machine)
            self._check_replaced(host.patches.get(self.name), plan.replaced)
        if any(step.action == steps.LOAD for step in plan.steps):
            checks.check_host(self.file, self.root)
            self._check_engines(host)
        if plan.steps:
            self.require_root()

    def require_root(self):
        """Raise not_permitted for everybody else."""
        if os.geteuid() != 0:
            raise LivepatchError(
                "not_permitted",
                "livepatch %s: expected to be root, found user id %d. Use become."
                % (self.name or "(all)", os.geteuid()),
            )

    def _check_replaced(self, patch, replaced):
        if self.params["state"] != "enabled":
            return
        shown = patch.replace if patch is not None and patch.replace is not None else self.file.replace
        so_far = "Nothing was changed." if not self.begun else "It was not loaded."
        refused = checks.refusal_to_replace(self.params, self.name, shown, replaced, lambda: so_far)
        if refused is not None:
            raise refused

    def bring(self):
        """Bring the livepatch, which is known by now, to its state; return the result."""
        host, plan = self._plan_checked(sysfs.read_host(self.root))
        if not self.begun:
            self.take_as_before(host)
        if self.check_mode and plan.steps:
            if not self.begun:
                return self.result(plan.before, plan.after, plan.replaced, plan.unloaded, False)
            replaced = self._replaced(host, plan.after["enabled"])
            return self.result(self.before, plan.after, replaced, plan.unloaded, False)
        if not plan.steps:
            return self._finished(host, plan)
        with self.lock(self.params["lock_timeout"]):
            return self._go(host, plan)

    def bring_on(self):
        """The same within a run that has changed the host already, and has the lock."""
        host, plan = self._plan_checked(sysfs.read_host(self.root))
        came = host.patches.get(self.name) if self.name not in self.actions.former else None
        # One that a script is giving up after a stall is turned round by the plan.
        if came is not None and came.enabled:
            self._came_in(host)
            host, plan = self._plan_checked(sysfs.read_host(self.root))
        return self._go(host, plan)

    def _came_in(self, host):
        """See that a livepatch that others have brought in for this run may stay."""
        self._stage()
        if host.pending == self.name:
            self.actions.go(steps.Step(steps.SETTLE, self.name))
            host = sysfs.read_host(self.root)
        self._proven_or_taken_out(host)
        self.actions.contradicted_by_effect(self.name)

    def take_as_before(self, host):
        """Note what the host runs (sysfs.Host) as what it ran before."""
        # Until a pending transition has ended, what a plan takes for granted is not what is there.
        self.before, self.pending = steps.view(host), _direction(host)

    def begin(self):
        """Note that what follows are this run's own steps: what was there before is known by now."""
        if not self.begun and self.transaction is not None:
            self.transaction.note()
        elif not self.begun:
            # What a killed run began with is not what is there before the next one any more.
            run_files.remove(self.root, run_files.BEGUN)
        self.begun = True

    def lock(self, timeout):
        """Return the context in which nobody else changes the host. timeout: seconds to wait for another holder."""
        # Only a run that changes something needs it.
        from ansible_collections.kernel.livepatch.plugins.module_utils._change import host_lock

        does = "%s: %s" % (self.name or "all livepatches", self.params["state"])
        return host_lock.HostLock(self.root, does, timeout, self.clock)

    def _go(self, host, plan):
        self.may_change = True
        # Whoever had the lock before may have changed what was read.
        now = sysfs.read_host(self.root)
        if now != host:
            host, plan = self._plan_checked(now)
            if not self.begun:
                self.take_as_before(host)
        self._warn_of_forced(plan)
        for _number in range(_MAX_STEPS):
            if not plan.steps:
                break
            step = plan.steps[0]
            if step.action == steps.LOAD:
                self._stage()
            if step.action != steps.SETTLE:
                self.begin()
            self.actions.go(step)
            host = sysfs.read_host(self.root)
            if step.action == steps.LOAD:
                host = self._proven_or_taken_out(host)
            host, plan = self._plan(host)
            if step.action == steps.SETTLE:
                self.before = self.before if self.begun else plan.before
                self._check_replaced(host.patches.get(self.name), plan.replaced)
        return self._finished(host, plan)

    def _stage(self):
        """Write the copy while the kernel is not changed yet: a full disk must be met before that."""
        if self.staged is None and not copies.is_kept(self.root, self.host_release(), self.file):
            self.staged = copies.Staged(self.root, self.host_release(), self.file)

    def host_release(self):
        """What uname -r prints."""
        return sysfs.kernel_release(self.root)

    def _keep_copy(self, host):
        """Of what is proven; the copies that nothing names any more go."""
        if self.params["state"] == "enabled" and not self.check_mode and os.geteuid() == 0:
            try:
                self._stage()
            except LivepatchError as error:
                self.actions.warn(error.message)
        if self.staged is not None:
            self.staged.keep()
            self.staged = None
        if self.may_change:
            before = self.before["enabled"] if self.params["state"] == "enabled" else []
            copies.prune(self.root, self.host_release(), set(host.patches) | set(before))

    def _warn_of_forced(self, plan):
        forced = run_files.forced(self.root)
        if forced and any(step.action == steps.LOAD for step in plan.steps):
            self.actions.warn(
                "A transition of this host was forced since its boot (%s): plan a reboot before further livepatches."
                % ", ".join(forced)
            )

    def _proven_or_taken_out(self, host):
        """Return the Host; what is brought in and cannot be proven goes before anything that it replaced does."""
        host, problems = self._judged(host)
        if problems:
            raise self._not_proven(problems, " " + self.actions.take_out())
        return host

    def _judged(self, host):
        """Return (Host, what speaks against it being as wanted); what is just coming or going gets a moment."""
        problems = self._problems(host)
        if problems:
            transitions.wait(lambda: not self._problems(sysfs.read_host(self.root)), _PROOF_SECONDS, self.clock)
            host = sysfs.read_host(self.root)
            problems = self._problems(host)
        return host, problems

    def _plan_checked(self, host):
        """Return (Host, Plan) after everything that can be checked has been."""
        # The file is judged before the host: a wrong file is never blamed on what is loaded.
        if self.params["state"] == "enabled":
            self._check(host, steps.Plan([], None, None, [], [], []))
        host, plan = self._plan(host)
        self._check(host, plan)
        return host, plan

    def _finished(self, host, plan):
        for name in plan.pinned:
            users = ", ".join(host.modules[name].users) if name in host.modules else ""
            self.actions.warn(
                "Module %s is inert but used by %s: it stays until that has ended, or until the next boot."
                % (name, users or "the kernel, as after a forced transition")
            )
        host, problems = self._judged(host)
        if problems:
            raise self._not_proven(problems, "")
        self._keep_copy(host)
        replaced = self._replaced(host, host.patches)
        return self.result(self.before, steps.view(host), replaced, self.actions.unloaded, True)

    def _not_proven(self, problems, undone):
        return LivepatchError(
            "not_proven",
            "livepatch %s: expected %s, found: %s.%s Run again, and look at the kernel log of this host."
            % (self.name or "(all)", self.params["state"], "; ".join(problems), undone),
        )

    def _problems(self, host):
        if self.params["state"] == "enabled":
            return checks.against_enabled(self.root, host, self.file)
        names = list(host.patches) if self.params["all"] else [self.name]
        unloaded = self.params["state"] == "absent" and not self.params["all"]
        return checks.against_gone(host, names, unloaded)

    def _replaced(self, host, left):
        """Return what ran before and is not among what is left (names), the newest first."""
        if self.params["state"] != "enabled":
            return []
        shown = host.patches[self.name].replace if self.name in host.patches else None
        if (self._will_replace() if shown is None else shown) is False:
            return []  # beside one that stacks on the others, somebody else has taken out what is gone
        return [name for name in reversed(self.before["enabled"]) if name not in left]

    def result(self, before, after, replaced, unloaded, proven):
        """Return the result (dict), see interface.result()."""
        return interface.result(self, before, after, replaced, unloaded, proven)

    def _result_of_failure(self):
        host = sysfs.read_host(self.root)
        now = steps.view(host)
        before = self.before or now
        result = self.result(before, now, [], self.actions.unloaded, False)
        # A transition that is left pending is a change too, though the lists do not show it yet.
        left_pending = _direction(host) not in (None, self.pending) and self.before is not None
        changed = self.may_change and (before != now or left_pending)
        if self.transaction is not None:
            result.update(self.transaction.told(look=self.may_change))
            changed = changed or self.transaction.installed
        return dict(result, changed=changed)


def _direction(host):
    """Return the pending transition (name, whether it enables), None without one."""
    return (host.pending, host.patches[host.pending].enabled) if host.pending else None
