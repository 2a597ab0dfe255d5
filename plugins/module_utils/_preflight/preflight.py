# Would this livepatch load, transition and take effect on this host? Everything is read, nothing is changed.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import os
import time

from ansible_collections.kernel.livepatch.plugins.module_utils._change import checks, source, steps
from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError, module_name
from ansible_collections.kernel.livepatch.plugins.module_utils._health import livepatch_log
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log, sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file, patched_functions
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import automation, engines, install, rpm, vendors
from ansible_collections.kernel.livepatch.plugins.module_utils._preflight import findings, host_checks

# A transition of another livepatch that is younger is one that the module livepatch waits for, by its default timeout.
_FRESH_SECONDS = 60
# What a rollout is asked for where a vendor numbers its livepatches per kernel.
NEWEST = "newest"
_INSTALLS = {"livepatches": "livepatches", "security": "security updates", "all": "all updates"}
# What checks.check_file says in one code is two findings here.
_ARCHITECTURE = "another architecture"


class Preflight(object):
    """One execution of the module livepatch_preflight.

    params: the module's options. run_command: AnsibleModule.run_command, for rpm. The rest is for tests: the
    root of the file system, what os.uname() says, the user's id, seconds of a clock that only goes forward, and who reads
    the kernel's log.
    """

    def __init__(self, params, run_command, root="/", uname=None, uid=None, now=time.monotonic, log=kernel_log):
        self.params = params
        self.run_command = run_command
        self.root = root
        self.uname = uname or os.uname()
        self.uid = os.geteuid() if uid is None else uid
        self.now = now
        self.findings = findings.Findings()
        self.log = log
        self.host = sysfs.read_host(root)
        self.file = None
        self.contents = patched_functions.Contents(None, None, [])
        self.plan = None

    def execute(self):
        """Look at everything; return the result (dict). Raises LivepatchError: bad_name, bad_option."""
        self._check_names()
        self._find_file()
        host_checks.check(self.findings, self.root, self.file, self.uid, self.log)
        self._check_engines()
        self._check_automation()
        if self.file is not None:
            self._check_plan()
            self._check_contents()
        return self._result()

    def _check_names(self):
        # What the caller got wrong is no finding about the host.
        if self.params["name"] is not None:
            module_name(self.params["name"])
        if self.params["package"] is not None:
            rpm.package_spec(self.params["package"])
        for name in self.params["replaces"] or []:
            module_name(name)

    # --- the file ---------------------------------------------------------------------------------------------------

    def _find_file(self):
        spec = self._spec()
        try:
            path = self._path(spec)
            if path is None:
                return
            file = module_file.read(path)
            if self.params["name"] is not None and file.name != module_name(self.params["name"]):
                raise LivepatchError(
                    "bad_name", "%s: expected %s in it, found %s." % (path, self.params["name"], file.name)
                )
            module_name(file.name)
        except LivepatchError as error:
            self.findings.add(error.code, error.message)
            return
        self._check_file(file)

    def _spec(self):
        if self.params["release"] is None:
            return None
        release = vendors.release_name(self.params["release"])
        values = vendors.placeholders(self.uname.release, self.uname.machine, release)
        vendor = vendors.vendor(reading.os_family_ids(self.root), release)
        return vendors.spec(self.params["pattern"] or (vendor.package if vendor else vendors.GENERIC), values)

    def _path(self, spec):
        if self.params["path"] is not None:
            return self.params["path"]
        if self.params["package"] is not None:
            return source.by_package(rpm, self.run_command, self.params["package"])
        if self.params["name"] is not None:
            return source.by_name(self.root, self.host.kernel_release, self.params["name"])
        if self.params["release"] == NEWEST:
            self.findings.add(
                "package_not_installed", "the newest build: which package that is a plan asks, so only the host was looked at"
            )
            return None
        installed = install.find_installed(self.run_command, spec)[0]
        if installed is None:
            self.findings.add(
                "package_not_installed", "package %s: not installed, so only the host was looked at" % spec
            )
            return None
        return source.by_package(rpm, self.run_command, installed.nevra)

    def _check_file(self, file):
        try:
            checks.check_file(file, self.host, self.uname.machine)
        except LivepatchError as error:
            found = "architecture" if _ARCHITECTURE in error.message else error.code
            self.findings.add(found, "%s It says: %s" % (error.message, file.vermagic.strip()))
            if error.code != "vermagic":
                return
        self.file = file

    # --- the other livepatches --------------------------------------------------------------------------------------

    def _check_engines(self):
        for engine in engines.find(self.root, self.host):
            if engine.active:
                self.findings.add("other_engine", "%s has changed the kernel" % engine.name)
            elif engine.active is None:
                self.findings.add("engine_unclear", "%s did not say whether it has changed the kernel" % engine.name)

    def _check_automation(self):
        for one in automation.find(self.root):
            if one.timer and not one.held_until:
                words = "%s by %s (%s) installs %s" % (one.by, one.timer, one.configured_in, _INSTALLS[one.applies])
                self.findings.add("patches_itself", words)

    def _check_plan(self):
        host, name = self.host, self.file.name
        if host.pending:
            self._check_pending()
        try:
            self.plan = steps.plan(steps.settled(host), self._wanted())
        except LivepatchError as error:
            error = checks.for_good(error, self.root, self.log)
            self.findings.add(error.code, error.message)
            return
        self._check_replaced(host.patches.get(name))
        loads = any(step.action == steps.LOAD for step in self.plan.steps)
        if not loads and not host.pending:
            self.findings.add("already_enabled", "livepatch %s is enabled, with the code of the file" % name)
        if self.plan.replaced:
            self.findings.add("replaced", "it takes the place of %s" % ", ".join(self.plan.replaced))
        inert = [step.name for step in self.plan.steps if step.action == steps.UNLOAD and step.name in host.inert]
        if inert:
            self.findings.add("unloaded", "loaded but no longer enabled: %s" % ", ".join(inert))

    def _check_pending(self):
        pending = self.host.pending
        words = "livepatch %s is being %s" % (pending, "enabled" if self.host.patches[pending].enabled else "disabled")
        lasts = livepatch_log.lasts(self.log.read().records, pending, self.root)
        if lasts is not None:
            words += " since %d s" % lasts
        if pending == self.file.name:
            self.findings.add("in_transition", words)
        else:
            fresh = lasts is not None and lasts < _FRESH_SECONDS
            self.findings.add("transition_fresh" if fresh else "transition_pending", words)

    def _wanted(self):
        return steps.Wanted(
            state="enabled",
            name=self.file.name,
            every=False,
            file_code=checks.file_code(self.file),
            loaded_code=checks.loaded_code(self.root, self.file),
            replace=self._replaces() is not False,
            unload_inert=True,
        )

    def _replaces(self):
        return self.file.replace if self.file.replace is not None else self.params["replace"]

    def _check_replaced(self, patch):
        shown = patch.replace if patch is not None and patch.replace is not None else self.file.replace
        refused = checks.refusal_to_replace(
            self.params, self.file.name, shown, self.plan.replaced, lambda: "Nothing was changed."
        )
        if refused is not None:
            self.findings.add(refused.code, refused.message)

    # --- what it changes --------------------------------------------------------------------------------------------

    def _check_contents(self):
        try:
            self.contents = patched_functions.read(self.file)
        except LivepatchError as error:
            self.findings.add(error.code, error.message)
            return
        enabled = self.file.name in self.host.patches
        host_checks.check_functions(
            self.findings,
            self.root,
            self.host,
            self.file,
            self.contents,
            self._would_go(),
            enabled,
            self.uid,
            self.now,
        )

    def _would_go(self):
        if self.plan is not None:
            return self.plan.replaced
        return list(self.host.patches) if self._replaces() is not False else []

    def _result(self):
        functions = self.contents.functions
        ready = not self.findings.has(findings.ERROR)
        words = "ready" if not self.findings.has(findings.WARNING) else "ready_with_warnings"
        return {
            "changed": False,
            "ready": ready,
            "verdict": words if ready else "not_ready",
            "findings": self.findings.sorted(),
            "name": self.file.name if self.file else None,
            "path": self.file.path if self.file else None,
            "build_id": self.file.build_id if self.file else None,
            "replace": self.file.replace if self.file else None,
            "replaced": self.plan.replaced if self.plan else None,
            "functions": None if functions is None else [dict(function._asdict()) for function in functions],
            "kernel_release": self.host.kernel_release,
            "effective_release": self.host.effective_release,
        }
