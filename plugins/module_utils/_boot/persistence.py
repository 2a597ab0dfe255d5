# Making the livepatch that runs persistent, or taking that back: what differs, and the steps from there.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import hashlib
import os
from collections import OrderedDict

from ansible_collections.kernel.livepatch.plugins.module_utils._boot import boot_record
from ansible_collections.kernel.livepatch.plugins.module_utils._change import copies, source
from ansible_collections.kernel.livepatch.plugins.module_utils._files import etc, ownership, writing
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError, module_name
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import rpm

_KEYS = ("name", "kernel", "path", "sha256", "build_id", "depends")
# What RequiresMountsFor=/var/lib/livepatch waits for, and what systemd mounts remote file systems after.
_MOUNTS = ["var.mount", "var-lib.mount", "var-lib-livepatch.mount"]
_LATE = ("network.target", "network-online.target", "remote-fs-pre.target")
_HEAD = "# Written by kernel.livepatch.livepatch_persistence: what this host enables when it boots this kernel.\n"


class Run(object):
    """One execution of the module.

    params: the module's options. run_command: AnsibleModule.run_command. root: of the file system.
    file: the ModuleFile of what ran and was persistent by others, to be kept (None: the options name it).
    Warnings for the user are collected in `warnings`.
    """

    def __init__(self, params, run_command, check_mode, root="/", file=None):
        self.params = params
        self.run_command = run_command
        self.check_mode = check_mode
        self.root = root
        self.warnings = []
        self.file = None
        self.given = file
        self.host = sysfs.read_host(root)
        self.kernel = self.host.kernel_release

    def execute(self):
        """Do what the options ask for; return the module's result (dict), or raise LivepatchError."""
        records = boot_record.read_records(self.root)
        wanted = self._with_this(records) if self.params["state"] == "present" else self._without(records)
        if wanted and self.params["state"] == "present":
            self._require_early_place()
        changes = OrderedDict(
            (path, text) for path, text in self._files(records, wanted) if etc.differs(self.root, path, text)
        )
        enable = bool(wanted) and self.params["state"] == "present" and not self._is_enabled()
        found = {path: etc.found(self.root, path, text) for path, text in changes.items()}
        left = {path: "absent" if text is None else "as wanted" for path, text in changes.items()}
        before = self._described(records, found, self._is_enabled())
        after = self._described(wanted, left, bool(wanted) and (enable or self._is_enabled()))
        if not self.check_mode:
            self._apply(changes, enable, wanted)
        return self._result(wanted, before, after, bool(changes) or enable)

    # --- what is wanted -----------------------------------------------------------------------------------------------

    def _with_this(self, records):
        """The records with the livepatch in that of the running kernel."""
        other = self.params["instead_of"] and module_name(self.params["instead_of"])
        if other and other not in [record["name"] for record in records.values()]:
            return records
        if not etc.has_systemd(self.root):
            raise LivepatchError(
                "no_systemd",
                "Expected systemd, which starts what enables a livepatch at boot; this host runs without it. "
                "Enable the livepatch after each boot by other means.",
            )
        file = self.file = self._file()
        if os.path.lexists(self._place(boot_record.GUARDS)):
            place = self._place(boot_record.GUARDS)
            ownership.require(self.root, place, "/" + boot_record.GUARDS, "Whoever may write there decides what boots.")
        kept = [item for item in records.items() if item[1]["name"] != other and item[0] != self.kernel]
        if not other or records.get(self.kernel, {}).get("name") == other:
            kept.append((self.kernel, record_of(file, self.kernel)))
        elif self.kernel in records:
            kept.append((self.kernel, records[self.kernel]))
        if not other:
            self._warn_of_others(file.name)
        return OrderedDict(sorted(kept))

    def _require_early_place(self):
        """The unit waits for the file system of copies and counts: one that itself waits for what comes after the unit closes
        a cycle, of which systemd drops any part."""
        code, output, errors = etc.asked(self.run_command, ["show", "--property=After"] + _MOUNTS)
        late = [word for word in output.replace("=", " ").split() if word in _LATE]
        if code == 0 and late:
            raise LivepatchError(
                "late_mount",
                "/%s: expected it on a file system that is there before %s is started, found one that is mounted after %s. "
                "Mount it as a local one (without _netdev), or enable the livepatch after each boot by other means."
                % (copies.PLACE, boot_record.SERVICE, late[0]),
            )

    def _warn_of_others(self, name):
        """A boot enables one livepatch by a record; kpatch.service all that lie in its directory."""
        by_kpatch = [boot_record.stem(path) for path in boot_record.kpatch_loads(self.root, self.kernel)]
        left = [one for one in self.host.enabled if one != name and one not in by_kpatch]
        if left:
            self.warnings.append(
                "Of the livepatches that this host runs only %s is kept over reboots, %s not: after a boot what they change is "
                "as it was. Build one livepatch that replaces them all, and keep that." % (name, ", ".join(left))
            )

    def _without(self, records):
        """The records without those that the options name."""
        gone = self.params["name"] and module_name(self.params["name"])
        return OrderedDict(item for item in records.items() if gone and item[1]["name"] != gone)

    def _held(self, records, wanted):
        """What kpatch.service is to leave alone (kernel release -> boot_record.Held), as what it would load is known by now."""
        gone = self.params["name"] and module_name(self.params["name"])
        held = {}
        for kernel in set(records) | {self.kernel} | set(boot_record.listing(self._place(boot_record.HELD))):
            there = [boot_record.stem(path) for path in boot_record.kpatch_files(self.root, kernel)]
            before = boot_record.read_held(self.root, kernel)
            names = [name for name in before.names if name in there and name != wanted.get(kernel, {}).get("name")]
            if self.params["state"] == "absent":
                names += [name for name in there if gone in (None, name) and name not in names]
            if names or before != boot_record.Held((), None) or os.path.lexists(self._place(_held(kernel))):
                held[kernel] = before._replace(names=tuple(sorted(names)))
        return held

    def _file(self):
        """The livepatch to keep, as a ModuleFile: what runs and nothing else, unless it is gone back to."""
        if self.given is not None:
            return self.given
        name = self.params["name"] and module_name(self.params["name"])
        if not (name or self.params["path"] or self.params["package"]):
            name = self.host.topmost
            if name is None:
                raise _not_enabled("a livepatch", "none")
        # What a link leads to is recorded: others may have another say in the link.
        file = module_file.read(os.path.realpath(self._path(name)))
        check_file(file, self.root, self.kernel)
        if not self.params["instead_of"]:
            self._check_it_runs(file)
        return file

    def _path(self, name):
        if self.params["path"]:
            return self.params["path"]
        if self.params["package"]:
            return source.by_package(rpm, self.run_command, self.params["package"])
        copy = copies.find(self.root, self.kernel, name, sysfs.build_id(self.root, name))
        if copy is not None:
            return copy.path
        try:
            return source.by_name(self.root, self.kernel, name)
        except LivepatchError:
            for entry in boot_record.kpatch_files(self.root, self.kernel):
                if boot_record.stem(entry) == name:
                    return entry
            raise

    def _check_it_runs(self, file):
        """Only the very code that has been running may become persistent."""
        if file.name not in self.host.enabled:
            raise _not_enabled("livepatch %s" % file.name, ", ".join(self.host.enabled) or "none")
        running = sysfs.build_id(self.root, file.name)
        if running != file.build_id:
            raise LivepatchError(
                "other_code",
                "livepatch %s: expected %s to hold the code that the kernel runs (build id %s), found build id %s. "
                "Enable the livepatch of that file first." % (file.name, file.path, running, file.build_id),
            )

    # --- files --------------------------------------------------------------------------------------------------------

    def _files(self, records, wanted):
        """(path, text or None) of every file that may have to change, in the order in which it is safe to do so."""
        kpatch = boot_record.kpatch_contents(self.root, self._held(records, wanted), wanted)
        if self.params["state"] == "absent":
            # Before the record goes: one that is held is loaded by nobody.
            for path, text in kpatch.items():
                yield path, text
        if not wanted:
            yield boot_record.WANTS + "/" + boot_record.SERVICE, None
            yield boot_record.STATUS, None
        afresh = False
        if os.path.lexists(self._place(boot_record.UNGUARDED)) and (not wanted or self.params["state"] == "present"):
            # Whoever asks for it again has mended what kept the boots from being counted.
            yield boot_record.UNGUARDED, None
            afresh = True
        for kernel in records:
            if kernel not in wanted:
                yield _record(kernel), None
                yield _guard(kernel), None
        if self.params["clear_guard"]:
            for kernel in boot_record.listing(self._place(boot_record.GUARDS)):
                yield _guard(kernel), None
            guard = boot_record.facts(self.root, self.kernel)[1]
            afresh = afresh or bool(guard and guard["state"] == "tripped")
        for path, text in sorted(boot_record.contents(self.params["guard_minutes"]).items()):
            if path not in kpatch and (not wanted or self.params["state"] == "present"):
                yield path, text if wanted else None
        for kernel, record in wanted.items():
            if record is not records.get(kernel):
                # Before the record: what that names must be there.
                if not copies.is_kept(self.root, kernel, self.file):
                    yield record["path"].lstrip("/"), self.file.image
                yield _record(kernel), rendered(record)
        if self.params["state"] == "present":
            for path, text in kpatch.items():
                yield path, text
        record = wanted.get(self.kernel)
        if record and (afresh or etc.differs(self.root, _record(self.kernel), rendered(record))):
            yield boot_record.STATUS, boot_record.waiting(record)

    def _apply(self, changes, enable, records):
        if boot_record.WANTS + "/" + boot_record.SERVICE in changes:
            self._systemctl("disable", "--now", boot_record.SERVICE)
        try:
            for path, text in changes.items():
                if self.file is not None and text is self.file.image:
                    copies.Staged(self.root, self.kernel, self.file).keep()
                else:
                    etc.write(self.root, path, text)
        except EnvironmentError as error:
            raise etc.refusal(error, "/" + path, "/etc and /var")
        if enable:
            self._systemctl("enable", boot_record.SERVICE, needed=True)
            # systemctl does not: a crash right now would leave a record that nothing reads.
            for path in (boot_record.WANTS, boot_record.UNITS):
                writing.sync(self._place(path))
        elif any(path.startswith(boot_record.UNITS) for path in changes):
            self._systemctl("daemon-reload")
        if changes and (not records or self.params["clear_guard"]):
            self._systemctl("reset-failed", boot_record.SERVICE)

    def _systemctl(self, *words, **options):
        etc.systemctl(self.run_command, words, **options)

    def _is_enabled(self):
        return os.path.lexists(self._place(boot_record.WANTS + "/" + boot_record.SERVICE))

    def _place(self, path):
        return os.path.join(self.root, path)

    # --- results ------------------------------------------------------------------------------------------------------

    def _described(self, records, files, enabled):
        return {
            "livepatches": {kernel: _short(record) for kernel, record in records.items()},
            "service": "enabled" if enabled else "absent",
            "files": {"/" + path: files[path] for path in sorted(files)},
        }

    def _result(self, wanted, before, after, changed):
        record = wanted.get(self.kernel)
        name = record["name"] if record else boot_record.kpatch_keeps(self.root, self.kernel)
        return {
            "changed": changed,
            "diff": {"before": before, "after": after},
            "kernel_release": self.kernel,
            "livepatches": after["livepatches"],
            "name": name,
            "by": boot_record.SERVICE if record else boot_record.KPATCH_SERVICE if name else None,
            "boot_guard": boot_record.facts(self.root, self.kernel)[1],
        }


def record_of(file, kernel_release):
    """Return the record (dict of str) of a ModuleFile, of which a boot loads the host's own copy."""
    return {
        "name": file.name,
        "kernel": kernel_release,
        "path": "/" + copies.relative(kernel_release, file.name),
        "sha256": hashlib.sha256(file.image).hexdigest(),
        "build_id": file.build_id or "",
        "depends": " ".join(module_name(name) for name in file.depends),
    }


def rendered(record):
    """Return the record as the text of its file."""
    return _HEAD + "".join("%s=%s\n" % (key, record[key]) for key in _KEYS)


def check_file(file, root, kernel_release):
    """Refuse what this kernel must not, or could not safely, load at boot."""
    module_name(file.name)
    if not file.livepatch:
        raise LivepatchError(
            "not_a_livepatch", "%s: expected a livepatch, found an ordinary module. Give another file." % file.path
        )
    built_for = file.vermagic.split(" ", 1)[0]
    if built_for != kernel_release:
        raise LivepatchError(
            "vermagic",
            "%s: expected a livepatch for the running kernel %s, found one for %s. Install the build for this kernel."
            % (file.path, kernel_release, built_for),
        )
    ownership.require(root, file.path, file.path, "Install the livepatch as a package, or move it.")


def _not_enabled(expected, found):
    return LivepatchError(
        "not_enabled",
        "Expected %s that the kernel runs, with its transition over, found %s. Enable it first: only what has "
        "run becomes persistent." % (expected, found),
    )


def _record(kernel):
    return "%s/%s" % (boot_record.RECORDS, kernel)


def _held(kernel):
    return "%s/%s" % (boot_record.HELD, kernel)


def _guard(kernel):
    return "%s/%s" % (boot_record.GUARDS, kernel)


def _short(record):
    return {"name": record["name"], "path": record.get("path"), "build_id": record.get("build_id") or None}
