# Keeping on a host what makes its livepatches visible, or taking that back: what differs, and the steps from there.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import json
import os
from collections import OrderedDict

from ansible_collections.kernel.livepatch.plugins.module_utils._files import etc, run_files
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import fact_program, netconsole, publish

_FILE, _EXECUTABLE = 0o644, 0o755


class Run(object):
    """One execution of the module.

    params: the module's options. run_command: AnsibleModule.run_command. interpreter: path of the host's Python (str).
    root: of the file system. Warnings for the user are collected in `warnings`.
    """

    def __init__(self, params, run_command, check_mode, interpreter, root="/"):
        self.params = params
        self.run_command = run_command
        self.check_mode = check_mode
        self.interpreter = interpreter
        self.root = root
        self.warnings = []
        self.present = params["state"] == "present"
        self.systemd = etc.has_systemd(root)
        self.former = publish.settings(root)
        self.targets = None

    def execute(self):
        """Do what the options ask for; return the module's result (dict), or raise LivepatchError."""
        self._check()
        self.targets = self._wanted_targets()
        if self.present and not self.systemd:
            self.warnings.append(
                "This host runs without systemd: what is written about its livepatches is true until the next boot, "
                "and until another program changes them. Run '/%s publish' from time to time." % publish.PROGRAM
            )
        changes = OrderedDict((path, file) for path, file in self._files() if etc.differs(self.root, path, *file))
        enable = [unit for unit, link in sorted(publish.WANTS.items()) if self._keeps() and not self._is(link)]
        before = {"/" + path: etc.found(self.root, path, file[0]) for path, file in changes.items()}
        after = {"/" + path: "absent" if file[0] is None else "as wanted" for path, file in changes.items()}
        targets = self._own_targets()
        moved = self._uses_netconsole() and netconsole.differs(self.root, self.targets or [])
        if not self.check_mode:
            self._load_netconsole()
            self._apply(changes, enable)
        diff = {
            "before": {"files": before, "netconsole_targets": targets},
            "after": {"files": after, "netconsole_targets": sorted(target["name"] for target in self.targets or [])},
        }
        return self._result(bool(changes) or bool(enable) or moved, diff)

    def _wanted_targets(self):
        """What is not said stays as it is."""
        asked = self.params["netconsole_targets"]
        asked = None if asked is None else [netconsole.normal(target) for target in asked]
        if not self.present:
            return None
        return self.former.get("netconsole_targets") if asked is None else asked

    def _uses_netconsole(self):
        """Whether netconsole is, or was, this module's business on this host."""
        return self.targets is not None or self.former.get("netconsole_targets") is not None

    def _own_targets(self):
        names = netconsole.names(self.root) if self._uses_netconsole() else []
        return [name[len(netconsole.PREFIX) :] for name in names if name.startswith(netconsole.PREFIX)]

    def _load_netconsole(self):
        if self.targets is None or os.path.isdir(self._place(netconsole.TARGETS)):
            return
        self.run_command(["/sbin/modprobe", "netconsole"], handle_exceptions=True)
        if not os.path.isdir(self._place(netconsole.TARGETS)):
            raise LivepatchError(
                "netconsole_missing",
                "netconsole_targets: expected /%s, found none, also after 'modprobe netconsole': not supported here. "
                "It needs a kernel with CONFIG_NETCONSOLE_DYNAMIC, and configfs mounted at /sys/kernel/config."
                % netconsole.TARGETS,
            )

    def _check(self):
        for option in ("fact_directory", "textfile_directory"):
            if self.params[option] and not self.params[option].startswith("/"):
                raise LivepatchError(
                    "bad_option", "%s: expected an absolute path, found %s. Give one." % (option, self.params[option])
                )
        directory = self.params["textfile_directory"]
        if self.present and directory and not os.path.isdir(self._place(directory)):
            raise LivepatchError(
                "not_found",
                "textfile_directory: expected a directory at %s, found none. Give the one that node_exporter reads "
                "(--collector.textfile.directory), and install node_exporter first." % directory,
            )

    def _keeps(self):
        """Whether units are to keep the files true."""
        return self.present and self.systemd

    def _files(self):
        """(path, (content or None, mode)) of every file that may have to change, the program before who starts it."""
        program = fact_program.build(self.interpreter) if self.present else None
        fact_directory = self.params["fact_directory"] if self.present and self.params["fact"] else None
        told = {
            "textfile_directory": self.params["textfile_directory"],
            "netconsole_targets": self.targets,
            "fact_directory": fact_directory,
        }
        if not self.present:
            for link in sorted(publish.WANTS.values()):
                yield link, (None, _FILE)
        yield publish.PROGRAM, (program, _EXECUTABLE)
        yield publish.SETTINGS, (json.dumps(told, sort_keys=True) + "\n" if self.present else None, _FILE)
        for path, text in sorted(publish.units(self.interpreter, self.targets is not None).items()):
            yield path, (text if self._keeps() else None, _FILE)
        if fact_directory:
            yield _fact(fact_directory), (program, _EXECUTABLE)
        # What nobody writes any more, after those who wrote it have been told.
        facts = {self.params["fact_directory"], self.former.get("fact_directory")} - {fact_directory, None}
        for directory in sorted(facts):
            yield _fact(directory), (None, _EXECUTABLE)
        metrics = self.former.get("textfile_directory")
        if metrics and (not self.present or metrics != self.params["textfile_directory"]):
            yield metrics.lstrip("/") + "/" + publish.METRICS, (None, _FILE)
        if not self.present:
            for name in (publish.ACTIVE, publish.RELEASE, netconsole.MARKER):
                yield "%s/%s" % (run_files.DIRECTORY, name), (None, _FILE)

    def _apply(self, changes, enable):
        if any(link in changes for link in publish.WANTS.values()):
            self._systemctl("disable", "--now", *sorted(publish.WANTS))
        failed = None
        try:
            for path, file in changes.items():
                etc.write(self.root, path, *file)
            if self._uses_netconsole():
                netconsole.remove(self.root, [target["name"] for target in self.targets or []])
            if self.targets is None and self._uses_netconsole():
                netconsole.untag(self.root)
            if self.present:
                failed = self._publish()
        except EnvironmentError as error:
            raise etc.refusal(error, error.filename or "a file", "/etc and /run")
        finally:
            units = any(path.startswith(publish.UNITS) for path in changes)
            if units and self.systemd:
                self._systemctl("daemon-reload")
        if enable or (units and self._keeps()):
            # The service is seen to work before anybody relies on it. Of a failed target it would only say the same again.
            self._systemctl("start", publish.SERVICE, needed=failed is None)
            self._systemctl("restart", publish.TIMER, needed=True)
            self._systemctl("enable", *sorted(publish.WANTS), needed=True)

        if failed:
            raise failed

    def _publish(self):
        """Write the files and tell netconsole; return the LivepatchError about targets that it could not have, or None.

        The files are written then, and the timer is to try the targets again: an interface may come up later.
        """
        try:
            publish.publish(self.root)
        except LivepatchError as error:
            if error.code != "netconsole_failed":
                raise
            return error
        return None

    def _systemctl(self, *words, **options):
        etc.systemctl(self.run_command, words, **options)

    def _is(self, path):
        return os.path.lexists(self._place(path))

    def _place(self, path):
        return os.path.join(self.root, path.lstrip("/"))

    def _result(self, changed, diff):
        host = sysfs.read_host(self.root)
        return {
            "changed": changed,
            "diff": diff,
            "effective_release": host.effective_release,
            "active": publish.active(self.root, host).splitlines(),
            "kept_by": publish.TIMER if self._keeps() else None,
            "netconsole": None if self.targets is None else netconsole.described(self.root),
        }


def _fact(directory):
    return os.path.join(directory, publish.FACT).lstrip("/")
