# What settings and state of a host say about loading a livepatch, and its kernel about the functions in it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import os
import re
from collections import namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils._change import checks, source
from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_functions, stalls, sysfs

_SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
# To load a module the kernel holds its file and its sections at once; the rest is for whatever else the host does.
_FREE_MEMORY, _TIMES_FILE = 64 * 1024 * 1024, 4
_FREE_RUN = 256 * 1024
_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB", re.MULTILINE)

VMLINUX = kernel_functions.VMLINUX
# More names than a person reads.
_SHOWN = 10
# Before, a kretprobe on a stack makes the unwinder of x86 give up, so that its task does not switch.
_TELLS_KRETPROBES = (5, 16)
# The livepatches' own callback of ftrace, which all of them share.
_LIVEPATCH_HANDLER = "klp_ftrace_handler"

# A host with more tasks is looked at in part, and a finding says so.
_MOST_TASKS, _TASKS_SECONDS = 20000, 10.0

Sleeper = namedtuple("Sleeper", "pid comm state kthread object function")
Sleeper.__doc__ = """A task. state: the letter that ps shows. object, function: the innermost of those looked for."""


def check(findings, root, file, uid, log):
    """Note what is found. file: ModuleFile, None where there is none. uid: the user's id. log: the module kernel_log."""
    if not os.path.isdir(os.path.join(root, sysfs.LIVEPATCHES)):
        findings.add("unsupported", "/%s is not there" % sysfs.LIVEPATCHES)
    if uid != 0:
        findings.add("not_root", "the user id is %d" % uid)
    if reading.read_number(os.path.join(root, "proc/sys/kernel/modules_disabled")):
        findings.add("modules_disabled", "kernel.modules_disabled is 1")
    if reading.read_number(os.path.join(root, "proc/sys/kernel/ftrace_enabled")) == 0:
        findings.add("ftrace_disabled", "kernel.ftrace_enabled is 0")
    if file is not None:
        _check_signature(findings, root, file)
    _check_room(findings, root, file)
    forced = checks.forced_before(root, log)
    if forced:
        findings.add("forced_before", "forced since the last boot: %s" % forced)


def _check_signature(findings, root, file):
    enforced = reading.read_text(os.path.join(root, "sys/module/module/parameters/sig_enforce")) == "Y"
    lockdown = checks.lockdown(root)
    secure_boot = _secure_boot(findings, root)
    locked = lockdown not in (None, "none")
    if file.signed:
        if enforced or locked:
            words = "kernel enforces signatures" if enforced else "kernel is locked down (%s)" % lockdown
            findings.add("signature_unproven", "%s is signed, and the %s" % (file.path, words))
        return
    if enforced:
        findings.add("signature_enforced", "%s has no signature, and sig_enforce is Y" % file.path)
    elif locked:
        findings.add("locked_down", "%s has no signature, and the kernel is locked down (%s)" % (file.path, lockdown))
    elif secure_boot:
        findings.add("secure_boot", "Secure Boot is on, and the kernel takes unsigned modules all the same")
    if lockdown is None and not enforced and kernel_functions.mounted(root, "securityfs") is None:
        findings.add("not_checked", "lockdown: securityfs is not mounted, /%s is not there" % checks.LOCKDOWN)


def _secure_boot(findings, root):
    """Whether Secure Boot is on, None where the host has none or does not show it."""
    if not os.path.isdir(os.path.join(root, "sys/firmware/efi")):
        return None
    variable = reading.read_bytes(os.path.join(root, _SECURE_BOOT))
    if not variable:
        findings.add("not_checked", "Secure Boot: /%s cannot be read" % _SECURE_BOOT)
        return None
    return variable[-1:] == b"\1"  # four bytes of attributes, then the value


def _check_room(findings, root, file):
    available = _AVAILABLE.search(reading.read_text(os.path.join(root, "proc/meminfo")) or "")
    needed = _FREE_MEMORY + _TIMES_FILE * (len(file.image) if file is not None else 0)
    if available and int(available.group(1)) * 1024 < needed:
        findings.add(
            "low_memory", "%s kB of memory are available, %d kB are wanted" % (available.group(1), needed // 1024)
        )
    try:
        status = os.statvfs(os.path.join(root, "run"))
    except EnvironmentError:
        return
    if status.f_bavail * status.f_frsize < _FREE_RUN or (status.f_files and not status.f_favail):
        findings.add(
            "run_full",
            "/run has %d kB and %d inodes left" % (status.f_bavail * status.f_frsize // 1024, status.f_favail),
        )


def check_functions(findings, root, host, file, contents, replaced, enabled, uid, now):
    """Note what is found.

    host: sysfs.Host. file: ModuleFile. contents: patched_functions.Contents. replaced: names of the livepatches that it
    replaces. enabled: whether it is in the kernel already. uid: the user's id. now: a clock that only goes forward.
    """
    _check_depends(findings, root, host, file)
    if contents.functions is None:
        findings.add("functions_unknown", "%s does not show which functions it changes" % file.path)
    look = _Look(findings, root, host, contents, replaced)
    look.objects()
    if enabled:
        return  # what is enabled was taken by the kernel, and what is on its functions is beside it
    if file.livepatch:
        look.symbols(check_imports=all(_loaded(host, name) for name in file.depends))
    look.other_livepatches()
    look.probes()
    look.tracers()
    if uid == 0:
        look.tasks(now)


def _check_depends(findings, root, host, file):
    for name in file.depends:
        if not _loaded(host, name) and not source.known_to_modprobe(root, host.kernel_release, name):
            findings.add(
                "depends_missing",
                "it depends on module %s, which is neither loaded nor in modules.dep of %s"
                % (name, host.kernel_release),
            )


def _loaded(host, name):
    return name.replace("-", "_") in host.modules


class _Look(object):
    def __init__(self, findings, root, host, contents, replaced):
        self.findings = findings
        self.root = root
        self.host = host
        self.contents = contents
        self.replaced = replaced
        self.all = contents.functions or []
        self.present = [one for one in self.all if _is_live(host.modules, one.object)]
        self.wanted = {(one.object, one.name) for one in self.present}
        self.counts = {}
        # Whatever name the kernel shows for a wanted function -> the name that the file has for it.
        self.names = {key: key for key in self.wanted}
        self.has_aliases = True
        self.kretprobes = set()
        self.patched = self._patched_by()

    def _patched_by(self):
        """(object, function) -> the enabled livepatches that change it, oldest first."""
        found = {}
        for name, patch in self.host.patches.items():
            for function in patch.functions:
                found.setdefault(function, []).append(name)
        return found

    def objects(self):
        objects = self.contents.objects or []
        missing = [name for name in objects if not _is_live(self.host.modules, name)]
        if objects and len(missing) == len(objects):
            self.findings.add(
                "no_object_loaded", "it changes only modules that are not loaded: %s" % ", ".join(missing)
            )
        elif missing:
            self.findings.add(
                "object_not_loaded", "it also changes modules that are not loaded: %s" % ", ".join(missing)
            )

    def symbols(self, check_imports):
        imports = self.contents.imports if check_imports else []
        if not self.wanted and not imports:
            return
        answer = kernel_functions.symbols(self.root, self.wanted, imports)
        if answer is None:
            self.findings.add("not_checked", "the functions: /proc/kallsyms cannot be read")
            return
        self.counts = answer.counts
        self.has_aliases = answer.aliases is not None
        for (owner, name), aliases in (answer.aliases or {}).items():
            self.names.update({(owner, alias): (owner, name) for alias in aliases})
        self.names.update({key: key for key in self.wanted})
        traceable = kernel_functions.traceable(self.root, set(self.names)) if self.wanted else self.wanted
        gone = self._gone()
        self._missing([name for name in imports if name not in answer.known])
        for one in self.present:
            if one.object not in gone:
                self._judge(one, self.counts[one.object, one.name])
        self._untraceable(traceable, {key for key in self.wanted if self.counts.get(key) and key[0] not in gone})

    def _gone(self):
        """Return the objects (set of str) that have gone, or begun to, since the host was read: of them nothing is claimed."""
        objects = {owner for owner, _name in self.wanted if owner != VMLINUX}
        modules = sysfs.read_modules(self.root) if objects else {}
        gone = {name for name in objects if not _is_live(modules, name)}
        if gone:
            self.findings.add("object_not_loaded", "modules that come and go: %s" % ", ".join(sorted(gone)))
        return gone

    def _missing(self, names):
        if names:
            self.findings.add("symbol_missing", "this kernel has no %s" % _some(names))

    def _judge(self, one, count):
        if count == 0:
            self.findings.add("function_missing", "%s has no function %s" % (one.object, one.name))
        elif one.sympos > count:
            self.findings.add(
                "function_missing",
                "%s has %d function(s) %s, number %d is wanted" % (one.object, count, one.name, one.sympos),
            )
        elif one.sympos == 0 and count > 1:
            self.findings.add("function_ambiguous", "%s has %d functions %s" % (one.object, count, one.name))

    def _untraceable(self, traceable, there):
        """traceable: those of all names that are open to ftrace, None where that cannot be read. there: wanted ones."""
        if traceable is None:
            self.findings.add(
                "not_checked", "whether the functions can be patched: tracefs is not mounted or not readable"
            )
            return
        for owner, name in sorted(there - {self.names[key] for key in traceable}):
            if self.has_aliases:
                self.findings.add("function_untraceable", "%s of %s is not open to ftrace" % (name, owner))
            else:
                self.findings.add(
                    "not_checked",
                    "whether %s of %s can be patched: ftrace may know it by another name of its address, and the kernel "
                    "shows no addresses" % (name, owner),
                )

    def other_livepatches(self):
        for key in sorted(self.wanted):
            others = [name for name in self._patching(key) if name not in self.replaced]
            if others:
                self.findings.add(
                    "function_patched_already",
                    "%s of %s is changed by livepatch %s" % (key[1], key[0], ", ".join(others)),
                )

    def _patching(self, wanted):
        """The enabled livepatches that change a wanted function, by whatever name (list of str)."""
        found = [name for key in sorted(self.patched) if self.names.get(key) == wanted for name in self.patched[key]]
        return sorted(set(found), key=list(self.host.patches).index)

    def probes(self):
        probes = kernel_functions.probes(self.root)
        if probes is None:
            self.findings.add("not_checked", "kprobes: debugfs is not mounted or not readable")
            return
        for probe in probes:
            key = (probe.object, probe.function)
            if key in self.names and not probe.ftrace and probe.enabled:
                self.findings.add(
                    "probe_bypassed", "a kprobe is at %s+0x%x of %s" % (probe.function, probe.offset, probe.object)
                )
            if probe.kind == "r" and probe.enabled and _version(self.host.kernel_release) < _TELLS_KRETPROBES:
                self.kretprobes.add(key)

    def tracers(self):
        if not self.wanted:
            return
        held = kernel_functions.held(self.root, set(self.names))
        if held is None:
            self.findings.add("not_checked", "tracers: tracefs is not mounted or not readable")
            return
        for one in held:
            self._judge_held(one)

    def _judge_held(self, one):
        key = self.names[one.object, one.function]
        words = "%s of %s: %s" % (one.function, one.object, one.by or "%d callback(s)" % one.count)
        # It is there before the livepatch is shown, and is never in the way of another one.
        if self._patching(key) or _LIVEPATCH_HANDLER in one.by:
            return
        if one.modifies and self.counts.get(key, 1) > 1:
            self.findings.add("not_checked", "which of several functions is held cannot be told: %s" % words)
        elif one.modifies:
            self.findings.add("function_held", words)
        else:
            self.findings.add("function_traced", words)

    def tasks(self, now):
        owners = set(self.replaced)
        for key in self.wanted:
            owners.update(self._patching(key))
        if not self.wanted and not owners and not self.kretprobes:
            return
        sleepers, complete = _sleepers(self.root, set(self.names) | self.kretprobes, owners, now)
        if sleepers is None:
            self.findings.add("not_checked", "tasks in the functions: no stack in /proc can be read")
            return
        probed = [one for one in sleepers if (one.object, one.function) in self.kretprobes - set(self.names)]
        self._sleeping("task_in_function", [one for one in sleepers if one not in probed])
        self._sleeping("kretprobe_on_stack", probed)
        if not complete:
            self.findings.add("not_checked", "tasks in the functions: there are too many tasks to look at all of them")

    def _sleeping(self, name, sleepers):
        if sleepers:
            words = ", ".join(_words(one) for one in sleepers[:_SHOWN])
            self.findings.add(name, "%d task(s): %s" % (len(sleepers), words))


def _is_live(modules, name):
    """Whether an object is there, and neither just coming nor just going."""
    return name == VMLINUX or (name in modules and modules[name].live)


def _sleepers(root, functions, modules, now):
    """Return (list of Sleeper, whether all tasks were looked at); (None, False) where no stack can be read.

    functions, modules: as stalls.innermost() takes them. now: seconds, of a clock that only goes forward. Needs root.
    """
    found, readable = [], False
    deadline = now() + _TASKS_SECONDS
    for number, task in enumerate(stalls.every_task(root), 1):
        if number > _MOST_TASKS or now() > deadline:
            return (found, False) if readable else (None, False)
        text = reading.read_text(os.path.join(task, "stack"))
        readable = readable or text is not None
        key = stalls.innermost((text or "").splitlines(), functions, modules)
        if key is not None:
            state, kthread = stalls.task_state(task)
            comm = reading.read_text(os.path.join(task, "comm")) or "?"
            found.append(Sleeper(int(os.path.basename(task)), comm, state or "?", kthread, *key))
    return (found, True) if readable else (None, False)


def _version(kernel_release):
    return tuple(int(number) for number in re.findall(r"\d+", kernel_release)[:2])


def _words(one):
    kind = "kernel thread %s" % one.comm if one.kthread else one.comm
    return "%s (%d, state %s) in %s" % (kind, one.pid, one.state, one.function)


def _some(names):
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (" and %d more" % more if more > 0 else "")
