# What the running kernel says about the functions that a livepatch changes: there, free, and not slept in?
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import re

from ansible_collections.kernel.livepatch.plugins.module_utils._change import source
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kallsyms, sleeping, tracing

VMLINUX = kallsyms.VMLINUX
# More names than a person reads.
_SHOWN = 10
# Before, a kretprobe on a stack makes the unwinder of x86 give up, so that its task does not switch.
_TELLS_KRETPROBES = (5, 16)


def check(findings, root, host, file, contents, replaced, enabled, uid, now):
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
        if _loaded(host, name):
            continue
        try:
            source.by_name(root, host.kernel_release, name)
        except LivepatchError as error:
            findings.add("depends_missing", "it depends on module %s: %s" % (name, error.message))


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
        self.present = [one for one in self.all if one.object == VMLINUX or one.object in host.modules]
        self.wanted = {(one.object, one.name) for one in self.present}
        self.counts = {}
        self.kretprobes = set()
        self.patched = self._patched_by()

    def _patched_by(self):
        """(object, function) -> the enabled livepatches that change it, oldest first."""
        found = {}
        for name, patch in self.host.patches.items():
            for owner, parts in patch.objects.items():
                for function in parts["functions"]:
                    found.setdefault((owner, function), []).append(name)
        return found

    def objects(self):
        objects = self.contents.objects or []
        missing = [name for name in objects if name != VMLINUX and name not in self.host.modules]
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
        answer = kallsyms.count(self.root, self.wanted, imports)
        if answer is None:
            self.findings.add("not_checked", "the functions: /proc/kallsyms cannot be read")
            return
        self.counts, known = answer
        self._missing([name for name in imports if name not in known])
        for one in self.present:
            self._judge(one, self.counts[one.object, one.name])
        self._untraceable()

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

    def _untraceable(self):
        there = {key for key in self.wanted if self.counts.get(key)}
        traceable = tracing.traceable(self.root, there) if there else there
        if traceable is None:
            self.findings.add(
                "not_checked", "whether the functions can be patched: tracefs is not mounted or not readable"
            )
            return
        for owner, name in sorted(there - traceable):
            self.findings.add("function_untraceable", "%s of %s is not open to ftrace" % (name, owner))

    def other_livepatches(self):
        for key in sorted(self.wanted):
            others = [name for name in self.patched.get(key, []) if name not in self.replaced]
            if others:
                self.findings.add(
                    "function_patched_already",
                    "%s of %s is changed by livepatch %s" % (key[1], key[0], ", ".join(others)),
                )

    def probes(self):
        probes = tracing.probes(self.root)
        if probes is None:
            self.findings.add("not_checked", "kprobes: debugfs is not mounted or not readable")
            return
        for probe in probes:
            key = (probe.object, probe.function)
            if key in self.wanted and not probe.ftrace and probe.enabled:
                self.findings.add(
                    "probe_bypassed", "a kprobe is at %s+0x%x of %s" % (probe.function, probe.offset, probe.object)
                )
            if probe.kind == "r" and probe.enabled and _version(self.host.kernel_release) < _TELLS_KRETPROBES:
                self.kretprobes.add(key)

    def tracers(self):
        if not self.wanted:
            return
        held = tracing.held(self.root, self.wanted)
        if held is None:
            self.findings.add("not_checked", "tracers: tracefs is not mounted or not readable")
            return
        for one in held:
            self._judge_held(one)

    def _judge_held(self, one):
        key = (one.object, one.function)
        words = "%s of %s: %s" % (one.function, one.object, one.by or "%d callback(s)" % one.count)
        if key in self.patched:
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
            owners.update(self.patched.get(key, []))
        if not self.wanted and not owners and not self.kretprobes:
            return
        sleepers, complete = sleeping.find(self.root, self.wanted | self.kretprobes, owners, now)
        if sleepers is None:
            self.findings.add("not_checked", "tasks in the functions: no stack in /proc can be read")
            return
        probed = [one for one in sleepers if (one.object, one.function) in self.kretprobes - self.wanted]
        self._sleeping("task_in_function", [one for one in sleepers if one not in probed])
        self._sleeping("kretprobe_on_stack", probed)
        if not complete:
            self.findings.add("not_checked", "tasks in the functions: there are too many tasks to look at all of them")

    def _sleeping(self, name, sleepers):
        if sleepers:
            words = ", ".join(_sleeper(one) for one in sleepers[:_SHOWN])
            self.findings.add(name, "%d task(s): %s" % (len(sleepers), words))


def _version(kernel_release):
    return tuple(int(number) for number in re.findall(r"\d+", kernel_release)[:2])


def _sleeper(one):
    kind = "kernel thread %s" % one.comm if one.kthread else one.comm
    return "%s (%d, state %s) in %s" % (kind, one.pid, one.state, one.function)


def _some(names):
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (" and %d more" % more if more > 0 else "")
