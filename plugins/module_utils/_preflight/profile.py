# How often functions are called: counted by a probe on each, for a bounded time, and taken away again.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Documentation/trace/kprobetrace.rst. A probe at a function's entry uses ftrace beside the livepatch, as any other kprobe
# does there (5.10 to 7.2). It is enabled in an instance of its own that records nothing: only its counter moves.

import errno
import os
import re
from collections import namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils._change import host_lock
from ansible_collections.kernel.livepatch.plugins.module_utils._files import processes, reading
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError, module_name
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_functions, sysfs, transitions
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file, patched_functions

GROUP = "livepatch_profile"
# kprobe_profile tells names without their groups: these are nobody else's.
EVENT = GROUP + "_%d"
INSTANCE = "instances/" + GROUP
# Each call costs the machine some tenths of a microsecond more: so many are enough to tell.
MOST_CALLS = 2000000
# Seconds between two looks at the counters: short at first, as functions may be very hot.
FIRST_STEP, STEP = 0.01, 0.2
LOCK = "profile.lock"
# What the kernel takes for the name of a function.
_NAME = re.compile(r"\A[A-Za-z0-9_.]{1,128}\Z")

Function = namedtuple("Function", "object name calls reason")
Function.__doc__ = """A function and how often it was called (int). calls is None where the kernel took no probe on it;
reason says why then (str)."""


class Profile(object):
    """Probes on functions, as a context: when it is left they are gone, and so is the instance.

    functions: list of (object, name). Entering raises LivepatchError: tracefs_missing, tracer_active, not_permitted,
    trace_failed.
    """

    def __init__(self, root, functions):
        self.root = root
        self.functions = functions
        self.directory = None
        self.refused = {}

    def __enter__(self):
        self.directory = kernel_functions.mounted(self.root, "tracefs")
        if self.directory is None:
            raise LivepatchError(
                "tracefs_missing",
                "Expected tracefs to be mounted, found no such file system. 'mount -t tracefs nodev /sys/kernel/tracing'.",
            )
        tracer = reading.read_text(self._place("current_tracer"))
        if tracer != "nop":
            raise LivepatchError(
                "tracer_active",
                "Expected no tracer at work, found %s. Nothing was changed; wait until whoever traces this host has ended."
                % (tracer or "tracefs that cannot be read; use become"),
            )
        try:
            self._clear()  # what a run that was killed has left
            _mkdir(self._place(INSTANCE))
            self._write(INSTANCE + "/tracing_on", "0")
            symbols = kernel_functions.symbols(self.root, self.functions)
            counts = symbols.counts if symbols else {}
            for number, (owner, name) in enumerate(self.functions):
                self._probe(number, owner, name, counts.get((owner, name), 1))
            if len(self.refused) < len(self.functions):
                self._write("%s/events/%s/enable" % (INSTANCE, GROUP), "1")
        except EnvironmentError as error:
            raise self._failed("expected to count calls by it", error, self._cleared())
        except BaseException:
            self._cleared()
            raise
        return self

    def __exit__(self, *unused):
        try:
            self._clear()
        except EnvironmentError as error:
            raise self._failed("expected to take the probes away by it", error, False)

    @staticmethod
    def _failed(expected, error, cleared):
        left = (
            "Nothing is left behind"
            if cleared
            else "Probes of the group %s may be left, the next run removes them" % GROUP
        )
        return LivepatchError(
            "trace_failed",
            "%s: %s, found %s. %s; see the kernel log." % (error.filename or "tracefs", expected, error.strerror, left),
        )

    def counted(self):
        """Return the functions and how often each was called since the context was entered (list of Function)."""
        hits = {}
        for line in (reading.read_text(self._place("kprobe_profile")) or "").splitlines():
            words = line.split()
            if len(words) == 3:
                hits[words[0]] = reading.to_number(words[1])
        return [
            Function(
                owner, name, None if number in self.refused else hits.get(EVENT % number, 0), self.refused.get(number)
            )
            for number, (owner, name) in enumerate(self.functions)
        ]

    def _probe(self, number, owner, name, times):
        if not _NAME.match(name):
            self.refused[number] = "its name cannot be given to the kernel"
            return
        if times > 1:
            self.refused[number] = "%d functions have this name: the kernel would count the first one" % times
            return
        where = name if owner == kernel_functions.VMLINUX else "%s:%s" % (owner, name)
        try:
            self._append("kprobe_events", "p:%s/%s %s" % (GROUP, EVENT % number, where))
        except EnvironmentError as error:
            if error.errno in (errno.EPERM, errno.EACCES, errno.ENOMEM):
                raise
            self.refused[number] = "the kernel takes no probe on it: %s" % error.strerror

    def _clear(self):
        instance = self._place(INSTANCE)
        if os.path.isdir(instance):
            if os.path.isdir("%s/events/%s" % (instance, GROUP)):
                self._write("%s/events/%s/enable" % (INSTANCE, GROUP), "0")
            _rmdir(instance)
        events = reading.read_text(self._place("kprobe_events")) or ""
        for name in re.findall(r"^p\d*:%s/(\w+) " % GROUP, events, re.M):
            self._append("kprobe_events", "-:%s/%s" % (GROUP, name))

    def _cleared(self):
        """Take everything away, and return whether that worked: the first failure is the one to tell."""
        try:
            self._clear()
        except EnvironmentError:
            return False
        return True

    def _place(self, path):
        return os.path.join(self.directory, path)

    def _append(self, path, words):
        _put(self._place(path), words, os.O_APPEND)

    def _write(self, path, words):
        _put(self._place(path), words, 0)


def run(params, check_mode, root="/", clock=None):
    """Do what the module's options ask for; return its result (dict), or raise LivepatchError."""
    if os.geteuid() != 0:
        raise LivepatchError("not_permitted", "Expected to be root, found user id %d. Use become." % os.geteuid())
    clock = clock or transitions.Clock()
    functions = _of_file(params["path"]) if params["path"] else _of_host(root, params["name"])
    if check_mode or not functions:
        return _result([Function(owner, name, None, None) for owner, name in functions], 0.0, False)
    # A lock of its own: whoever changes livepatches need not wait for somebody who only counts.
    with host_lock.HostLock(root, "counting calls", 0, clock, name=LOCK):
        found, took = profile(root, functions, params["seconds"], clock)
    return _result(found, took, took < params["seconds"])


def _result(found, took, early):
    functions = [dict(one._asdict(), calls_per_second=_rate(one.calls, took)) for one in found]
    return {"functions": functions, "seconds": round(took, 2), "ended_early": early}


def _rate(calls, took):
    return round(calls / took, 1) if calls is not None and took else None


def _of_file(path):
    file = module_file.read(path)
    if not file.livepatch:
        raise LivepatchError(
            "not_a_livepatch", "%s: expected a livepatch, found an ordinary module. Give another file." % path
        )
    found = patched_functions.read(file).functions
    if found is None:
        raise LivepatchError(
            "bad_module_file",
            "%s: expected a livepatch whose functions can be read from its file (kpatch-build, klp-build, or structs), found "
            "another kind. Load it, and count by its name." % path,
        )
    return sorted({(function.object, function.name) for function in found})


def _of_host(root, name):
    host = sysfs.read_host(root)
    wanted = name and module_name(name)
    if wanted and wanted not in host.patches:
        raise LivepatchError(
            "not_found",
            "livepatch %s: expected one that is enabled, found %s. Give its name, or the path of its file."
            % (wanted, ", ".join(host.patches) or "none"),
        )
    patches = [patch for other, patch in host.patches.items() if not wanted or other == wanted]
    return sorted({function for patch in patches for function in patch.functions})


def profile(root, functions, seconds, clock):
    """Count the calls of functions (list of (object, name)); return (list of Function, the most called first; seconds it took).

    seconds: for so long at most; it ends early when MOST_CALLS were counted. clock: transitions.Clock.
    """
    with processes.Signals() as signals, Profile(root, functions) as probes:
        try:
            begun, step = clock.now(), FIRST_STEP
            end = begun + seconds
            found = probes.counted()
            while clock.now() < end and sum(one.calls or 0 for one in found) < MOST_CALLS:
                clock.sleep(min(step, max(0.0, end - clock.now())))
                step = min(2 * step, STEP)
                found = probes.counted()
            took = clock.now() - begun
        finally:
            signals.wait()
    return sorted(found, key=lambda one: (-(one.calls or 0), one.object, one.name)), took


def _mkdir(place):
    os.mkdir(place)


def _rmdir(place):
    os.rmdir(place)


def _put(place, words, flags):
    descriptor = os.open(place, os.O_WRONLY | os.O_CLOEXEC | flags)
    try:
        os.write(descriptor, (words + "\n").encode("utf-8"))
    except OSError as error:
        raise OSError(error.errno, error.strerror, place)
    finally:
        os.close(descriptor)
