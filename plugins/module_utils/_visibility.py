# Keeping on a host what makes its livepatches visible, or taking that back: what differs, and the steps from there.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import errno
import json
import os
from collections import OrderedDict

from ansible_collections.kernel.livepatch.plugins.module_utils import (
    _atomic,
    _program,
    _publish,
    _run_files,
    _sysfs,
    _systemd,
    _visibility_files,
)
from ansible_collections.kernel.livepatch.plugins.module_utils._errors import LivepatchError

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
        self.systemd = _systemd.runs(root)

    def execute(self):
        """Do what the options ask for; return the module's result (dict), or raise LivepatchError."""
        self._check()
        if self.present and not self.systemd:
            self.warnings.append(
                "This host runs without systemd: what is written about its livepatches is true until the next boot, "
                "and until another program changes them. Run '/%s publish' from time to time." % _visibility_files.PROGRAM
            )
        changes = OrderedDict(
            (path, file) for path, file in self._files() if _atomic.differs(self.root, path, *file)
        )
        enable = [unit for unit, link in sorted(_visibility_files.WANTS.items()) if self._keeps() and not self._is(link)]
        before = {"/" + path: self._found(path, file) for path, file in changes.items()}
        after = {"/" + path: "absent" if file[0] is None else "as wanted" for path, file in changes.items()}
        if not self.check_mode:
            self._apply(changes, enable)
        return self._result(bool(changes) or bool(enable), before, after)

    def _check(self):
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
        settings = _publish.settings(self.root)
        directory = self.params["textfile_directory"] if self.present else None
        former = settings.get("textfile_directory")
        if former and former != directory:
            yield former.lstrip("/") + "/" + _publish.METRICS, (None, _FILE)
        program = _program.build(self.interpreter) if self.present else None
        wanted = json.dumps({"textfile_directory": directory}, sort_keys=True) + "\n" if self.present else None
        if not self.present:
            for link in sorted(_visibility_files.WANTS.values()):
                yield link, (None, _FILE)
            for name in (_publish.ACTIVE, _publish.RELEASE):
                yield "%s/%s" % (_run_files.DIRECTORY, name), (None, _FILE)
        yield _visibility_files.PROGRAM, (program, _EXECUTABLE)
        yield _visibility_files.SETTINGS, (wanted, _FILE)
        fact = os.path.join(self.params["fact_directory"], _visibility_files.FACT).lstrip("/")
        yield fact, (program if self.params["fact"] else None, _EXECUTABLE)
        for path, text in sorted(_visibility_files.units(self.interpreter).items()):
            yield path, (text if self._keeps() else None, _FILE)

    def _apply(self, changes, enable):
        if any(link in changes for link in _visibility_files.WANTS.values()):
            self._systemctl("disable", "--now", *sorted(_visibility_files.WANTS))
        try:
            for path, file in changes.items():
                _atomic.write(self.root, path, *file)
            if self.present:
                _publish.publish(self.root)
        except EnvironmentError as error:
            raise LivepatchError(
                "not_permitted" if error.errno in (errno.EPERM, errno.EACCES) else "write_failed",
                "%s: expected to write it, found %s. Run as root, and see that /etc and /run can be written."
                % (error.filename or "a file", error.strerror),
            )
        if enable:
            self._systemctl("enable", *enable, needed=True)
            self._systemctl("start", _visibility_files.TIMER, needed=True)
        elif any(path.startswith(_visibility_files.UNITS) for path in changes):
            self._systemctl("daemon-reload")

    def _systemctl(self, *words, **options):
        _systemd.systemctl(self.run_command, words, **options)

    def _is(self, path):
        return os.path.lexists(self._place(path))

    def _place(self, path):
        return os.path.join(self.root, path.lstrip("/"))

    def _found(self, path, file):
        if not self._is(path):
            return "absent"
        return "present" if file[0] is None else "other content"

    def _result(self, changed, before, after):
        host = _sysfs.read_host(self.root)
        return {
            "changed": changed,
            "diff": {"before": {"files": before}, "after": {"files": after}},
            "effective_release": host.effective_release,
            "active": _publish.active(self.root, host).splitlines(),
            "kept_by": _visibility_files.TIMER if self._keeps() else None,
        }
