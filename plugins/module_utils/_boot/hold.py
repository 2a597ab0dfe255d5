# What a package's scripts give kpatch.service does not come back at the next boot: it is on probation, as every livepatch is.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# `kpatch install`, which such scripts call, copies a module to /var/lib/kpatch and enables kpatch.service, before anybody knows
# whether the module does harm; a host that dies of it in the script would die of it at each boot.

import os

from ansible_collections.kernel.livepatch.plugins.module_utils._boot import boot_record
from ansible_collections.kernel.livepatch.plugins.module_utils._files import etc
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file


class Hold(object):
    """Around the run of a package manager: begin() before it, end() after it.

    run_command: AnsibleModule.run_command. warnings: of the run (list of str, added to). root: of the file system.
    """

    def __init__(self, run_command, warnings, root="/"):
        self._run_command = run_command
        self._warnings = warnings
        self._root = root
        self._kernel = sysfs.kernel_release(root)
        self._only = None
        self._kept = None
        self._was_held = False

    def begin(self):
        """Let kpatch.service load nothing but what lies in its directory now. Raises LivepatchError where that fails."""
        if not etc.has_systemd(self._root):
            return
        held = boot_record.read_held(self._root, self._kernel)
        # Of a run that was killed while its package was being installed, only that it began with is what was there.
        self._only = held.only if held.only is not None else tuple(self._there())
        self._kept = self._kept_by_kpatch()
        self._was_held = is_held(self._root)
        self._write(held._replace(only=self._only))

    def end(self):
        """Hold what has come to kpatch's directory since; what kpatch.service kept and has lost is kept by a record."""
        if self._only is None:
            return
        try:
            there = self._there()
            held = boot_record.read_held(self._root, self._kernel)
            names = [name for name in there if name in held.names or name not in self._only]
            if self._kept is not None and self._kept.name not in there:
                self._record(self._kept)
            self._write(boot_record.Held(tuple(names), None))
            if self._was_held and not is_held(self._root):
                etc.systemctl(self._run_command, ["daemon-reload"])
        except LivepatchError as error:
            self._warnings.append("What kpatch.service loads at the next boot could not be put right: %s" % error.message)

    def _there(self):
        return [boot_record.stem(path) for path in boot_record.kpatch_files(self._root, self._kernel)]

    def _kept_by_kpatch(self):
        """Return the ModuleFile of the topmost livepatch that runs and that kpatch.service keeps, None where a record does."""
        paths = boot_record.kept_by_kpatch(self._root, self._kernel)
        if not paths or boot_record.read_record(self._root, self._kernel):
            return None
        return module_file.read(paths[-1])

    def _record(self, file):
        from ansible_collections.kernel.livepatch.plugins.module_utils._boot import persistence

        params = {"state": "present", "name": file.name, "path": None, "package": None, "instead_of": None}
        params.update(guard_minutes=boot_record.GUARD_MINUTES, clear_guard=False)
        persistence.Run(params, self._run_command, False, self._root, file=file).execute()

    def _write(self, held):
        records = boot_record.read_records(self._root)
        write(self._root, boot_record.kpatch_contents(self._root, {self._kernel: held}, records))


def is_held(root):
    """Return whether kpatch.service asks what it may load (bool)."""
    return os.path.lexists(os.path.join(root, boot_record.DROP_IN))


def write(root, contents):
    """Write files (path -> text, None for one that is not wanted) that are not as wanted. Raises LivepatchError."""
    for path, text in contents.items():
        try:
            if etc.differs(root, path, text):
                etc.write(root, path, text)
            if text is None:
                _tidy(os.path.join(root, os.path.dirname(path)))
        except EnvironmentError as error:
            raise etc.refusal(error, "/" + path, "/etc")


def forget_removed(run_command, root="/"):
    """After a package was removed: what is held and lies in kpatch's directory no longer need not be held."""
    held = {}
    for kernel in boot_record.listing(os.path.join(root, boot_record.HELD)):
        one = boot_record.read_held(root, kernel)
        there = [boot_record.stem(path) for path in boot_record.kpatch_files(root, kernel)]
        held[kernel] = one._replace(names=tuple(name for name in one.names if name in there))
    if held:
        write(root, boot_record.kpatch_contents(root, held, boot_record.read_records(root)))
        if not is_held(root):
            etc.systemctl(run_command, ["daemon-reload"])


def _tidy(directory):
    try:
        os.rmdir(directory)
    except EnvironmentError:
        pass  # it is not there, or others have something in it
