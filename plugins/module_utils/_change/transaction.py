# A run that begins with a package: what a package's scriptlets do to the kernel belongs to the change like a load.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Imported by a run only where a package may have to be installed.

import os

from ansible_collections.kernel.livepatch.plugins.module_utils._change import copies, source, steps
from ansible_collections.kernel.livepatch.plugins.module_utils._files import run_files
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import asked, install, rpm

# What these leave in the kernel has been dealt with, or is somebody else's.
_DEALT_WITH = ("stalled", "already_forced", "busy")


def _leads_to(former, host):
    """Whether a killed run that began with some livepatches (names) can have left a sysfs.Host as it is.

    Where one of them is gone and nothing has come in its place, somebody else has changed the host since.
    """
    return set(former) <= set(host.patches) or not set(host.patches) <= set(former)


class Transaction(object):
    """From a package that may be there, in a livepatch.Run, to its livepatch enabled, and a look at what happened since.

    installed: whether this run has changed the host's packages (bool). goes_on: whether it goes on with one that was killed.
    """

    def __init__(self, run):
        self._run = run
        self._asked = asked.Asked(run.params, run.root)
        self._wanted = self._asked.wanted(run.params, run.params["package_timeout"], run.check_mode)
        self._package = {}
        self._had = None
        self.installed = self.goes_on = False
        run.take_name(self._asked.module_name)

    def execute(self):
        """Return the run's result (dict); raise LivepatchError."""
        run = self._run
        found = install.ask(run.run_command, self._wanted)
        had = self._staying(found) or found.exact or found.other
        self._had = had.nevra if had else None
        self._go_on()
        ended = False
        try:
            result = self._execute(found)
            ended = True
        finally:
            # Whoever has not had the lock may have read what another run, which lives, began with.
            if run.begun and (ended or run.may_change) and not run.check_mode and os.geteuid() == 0:
                run_files.remove(run.root, run_files.BEGUN)
        return result

    def _go_on(self):
        """Where a run for the same package was killed in this boot, what it began with is what was there before."""
        run = self._run
        begun = run_files.read(run.root, run_files.BEGUN) or {}
        if begun.get("spec") == self._wanted.spec and _leads_to(begun["before"]["enabled"], sysfs.read_host(run.root)):
            run.since, run.before, run.begun = begun["since"], begun["before"], True
            self._had = begun["package"]
            self.goes_on = True

    def note(self):
        """Write down what this run begins with, before it changes anything."""
        run = self._run
        record = {"spec": self._wanted.spec, "since": run.since, "before": run.before, "package": self._had}
        try:
            run_files.write(run.root, run_files.BEGUN, record)
        except EnvironmentError:
            pass  # only a run that is killed is missing it

    def _execute(self, found):
        run = self._run
        if self._staying(found):
            self._present(found)
            result = self._as_it_is(run.bring)
        elif found.exact:
            self._present(found)
            self._take_file()
            result = run.bring()
        elif run.check_mode:
            result = self._predicted(found)
        else:
            run.require_root()
            with run.lock(run.params["lock_timeout"]):
                result = self._install_and_bring()
        # A host without a build is as before, unless a run that was killed has brought something.
        looks = not run.check_mode and (self.goes_on or self._package["outcome"] != "not_applicable")
        changed = result["changed"] or self.installed
        return dict(result, changed=changed, diff=self._diff(result["diff"]), **self.told(look=looks))

    def told(self, look):
        """Return what the result has of it besides (dict). look: whether to see what has happened since (bool)."""
        package = self._package
        told = {"msg": package["msg"]} if "msg" in package else {}
        return dict(
            told,
            outcome=package.get("outcome"),
            package=package.get("package"),
            package_before=self._had,
            drift=package.get("drift"),
            health=self._look() if look else None,
        )

    def _diff(self, diff):
        now = "before" if self._package["outcome"] == "not_applicable" else "package"
        after = self._package[now]
        return {"before": dict(diff["before"], package=self._had), "after": dict(diff["after"], package=after)}

    def _present(self, found):
        run = self._run
        try:
            self._package = install.present(run.run_command, run.find, self._wanted, found)
        except LivepatchError as error:
            if error.details.pop("changed", False):
                self.installed = True
                package = error.details.pop("package", None)
                self._package = {"outcome": "installed" if package else None, "package": package}
                error.details.pop("before", None)
            raise
        finally:
            run.warnings.extend(self._wanted.warnings)
        self.installed = self._package["outcome"] == "installed" and not run.check_mode

    def _take_file(self):
        files = self._package["module_files"]
        # The name that the vendor's rule gives was for predictions: the file says it itself.
        self._run.take_name(None)
        self._run.take_file(source.only_one(self._package["package"], files))

    def _staying(self, found):
        """The newer package (rpm.Installed) among what is Found that is not to be gone back from, or None."""
        return None if self._wanted.allow_downgrade else found.newer

    def _as_it_is(self, bring):
        """The result where a newer package is installed: its livepatch is proven if it runs, and is not brought in otherwise."""
        run = self._run
        host = sysfs.read_host(run.root)
        running = [path for path in self._package["module_files"] if rpm.module_of(path) in host.enabled]
        if running and host.pending is None:
            run.take_name(None)
            run.take_file(source.only_one(self._package["package"], running))
            return bring()
        run.take_name(None)
        if not run.begun:
            run.take_as_before(host)
        return run.result(run.before, run.before, [], [], False)

    def _predicted(self, found):
        run = self._run
        host = sysfs.read_host(run.root)
        if not run.begun:
            run.take_as_before(host)
        self._present(found)
        view = run.before
        if self._package["outcome"] == "not_applicable":
            return run.result(view, steps.view(host), [], [], False)
        # Its file is not there yet: it is expected to be cumulative, and called as its vendor's rule says.
        name = run.name or self._wanted.spec
        if name in host.enabled:
            result = run.result(view, view, [], [], False)
        else:
            enabled, replaced = [name], list(reversed(view["enabled"]))
            gone = sorted(set(view["inert"]) | set(replaced)) if run.params["unload_inert"] else []
            left = [] if run.params["unload_inert"] else sorted(set(view["inert"]) | set(replaced))
            result = run.result(view, {"enabled": enabled, "inert": left}, replaced, gone, False)
        return dict(result, changed=True)

    def _install_and_bring(self):
        run = self._run
        run.may_change = True
        host = sysfs.read_host(run.root)
        if host.pending and run.name not in host.enabled:
            # A scriptlet could load nothing, and what is there before must be known before.
            run.actions.go(steps.Step(steps.SETTLE, host.pending))
            host = sysfs.read_host(run.root)
        if not run.begun:
            run.take_as_before(host)
        copies.require_room(run.root)
        run.actions.note_former()
        self._keep_former()
        hold = run.hold(run.warnings, run.root) if run.hold else None
        if hold is not None:
            hold.begin()
        run.begin()
        try:
            try:
                self._present(None)
            finally:
                if hold is not None:
                    hold.end()
            if self._package["outcome"] == "already":
                return self._as_it_is(run.bring_on)
            if self._package["outcome"] == "not_applicable":
                return run.result(run.before, steps.view(sysfs.read_host(run.root)), [], [], False)
            self._take_file()
            return run.bring_on()
        except LivepatchError as error:
            self._take_out(error)
            raise

    def _keep_former(self):
        """Copy what runs before its file goes with an upgrade: what others have brought has no copy yet."""
        from ansible_collections.kernel.livepatch.plugins.module_utils._change import restore

        run = self._run
        for name, build_id in run.actions.former.items():
            try:
                file = restore.file_of(run.actions, name, build_id)
            except LivepatchError as error:
                run.actions.warn(
                    "The code of livepatch %s, which runs, is in no file of this host: it could not be brought back. %s"
                    % (name, error.message)
                )
                continue
            if not copies.is_kept(run.root, run.host_release(), file):
                copies.Staged(run.root, run.host_release(), file).keep()

    def _take_out(self, error):
        """Take out again what the package has brought into the kernel and must not stay."""
        run = self._run
        former = run.actions.former
        came = [name for name in sysfs.read_host(run.root).patches if name not in former]
        if not came or error.code in _DEALT_WITH:
            return
        from ansible_collections.kernel.livepatch.plugins.module_utils._change import restore

        for name in reversed(came):
            error.message += " %s came with the package. %s" % (name, restore.take_out(run.actions, name, former))

    def _look(self):
        """Read what has happened since; last, so that it tells of everything that this run has done. None if that fails."""
        from ansible_collections.kernel.livepatch.plugins.module_utils._health import boot_log, health

        run = self._run
        try:
            return health.look(
                run.since,
                run.root,
                read_log=run.log.read,
                kdump_directories=run.params["kdump_directories"],
                coredump_directories=run.params["coredump_directories"],
                journal=lambda boot: boot_log.read_journal(run.run_command, run.find, boot),
            )
        except LivepatchError as error:
            run.actions.warn("What has happened since could not be read: %s" % error.message)
            return None
