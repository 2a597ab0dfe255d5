# One run: find the file, check, plan, have the steps gone, prove, report.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import os

from ansible_collections.kernel.livepatch.plugins.module_utils import (
    _actions,
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
        self.since = None
        self.file = None
        self.name = None
        self.before = None
        self.pending = None
        self.actions = self._new_actions()

    @property
    def warnings(self):
        """Sentences for the user (list of str)."""
        return self.actions.warnings

    def _new_actions(self):
        sequence = self.since["sequence"] if self.since else None
        return _actions.Actions(
            self.params, self.name, self.file, sequence, self.run_command, self.root, self.kernel, self.log, self.clock
        )

    def execute(self):
        """Bring the host to what is asked for; return the result, or raise LivepatchError with the result so far."""
        self.since = self.log.position()
        try:
            self._identify()
            self.actions = self._new_actions()
            return self._bring()
        except LivepatchError as error:
            error.details = dict(self._result_of_failure(), **error.details)
            raise

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
        return plan._replace(steps=[step for step in plan.steps if step not in self.actions.kept])

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
            raise _actions.replace_mismatch(self.name, shown, "Nothing was changed.")

    def _bring(self):
        host = _sysfs.read_host(self.root)
        plan = self._plan_checked(host)
        # Until a pending transition has ended, what a plan takes for granted is not what is there.
        self.before, self.pending = _steps.view(host), _direction(host)
        if self.check_mode and plan.steps:
            return self._result(plan.before, plan.after, plan.replaced, plan.unloaded, False)
        for _number in range(_MAX_STEPS):
            if not plan.steps:
                break
            self.actions.go(plan.steps[0])
            host = _sysfs.read_host(self.root)
            again = self._plan(host)
            if plan.steps[0].action == _steps.SETTLE:
                self.before = again.before
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
            self.actions.warnings.append(
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
        return self._result(self.before, _steps.view(host), self._replaced(host), self.actions.unloaded, True)

    def _replaced(self, host):
        if self.params["state"] != "enabled":
            return []
        return [name for name in reversed(self.before["enabled"]) if name not in host.patches]

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
            "transition": {
                "seconds": round(self.actions.seconds, 2),
                "blockers": self.actions.blockers,
                "blocking": self.actions.blocking,
            },
            "forced": self.actions.forced,
            "build_id": self.file.build_id if self.file else None,
            "since": self.since,
            "proven": proven,
        }

    @staticmethod
    def _top(view, release):
        topmost = view["enabled"][-1] if view["enabled"] else None
        return {"enabled": topmost, "effective_release": _sysfs.effective_release(release, topmost)}

    def _result_of_failure(self):
        host = _sysfs.read_host(self.root)
        now = _steps.view(host)
        before = self.before or now
        result = self._result(before, now, [], self.actions.unloaded, False)
        # A transition that is left pending is a change too, though the lists do not show it yet.
        left_pending = _direction(host) not in (None, self.pending) and self.before is not None
        return dict(result, changed=not self.check_mode and (before != now or left_pending))


def _direction(host):
    """Return the pending transition (name, whether it enables), None without one."""
    return (host.pending, host.patches[host.pending].enabled) if host.pending else None
