# The kernel's own words on why a task does not switch: debug messages, switched on for a moment and put back.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Documentation/admin-guide/dynamic-debug-howto.rst. The messages are those of kernel/livepatch/transition.c; the kernel
# writes one for each task that it could not switch, each time it tries, which is once a second.

import collections
import contextlib
import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files import processes, reading, run_files

# The first is there without debugfs (since 5.7), and is not closed by lockdown.
_CONTROLS = ("proc/dynamic_debug/control", "sys/kernel/debug/dynamic_debug/control")
_FILE = "kernel/livepatch/transition.c"
_FUNCTIONS = ("klp_try_switch_task", "klp_check_stack", "klp_check_task")
_PRINTS = "p"

# file:line [module]function =flags "format"
_LINE = re.compile(r"\A(?P<file>\S+):(?P<line>\d+) \[[^\]]*\](?P<function>\S+) =(?P<flags>\w+)(?: |\Z)")
# 5.10: "livepatch: klp_check_stack: cat:374 is sleeping on function f", later klp_try_switch_task. The task's name
# before the number may hold anything.
_MESSAGE = re.compile(
    r"livepatch: \w+: .*:(?P<pid>\d+) "
    r"(?:is (?P<running>running)|has an (?P<unreliable>unreliable) stack|is sleeping on function (?P<function>\S+))\s*\Z",
    re.DOTALL,
)

RUNNING, UNRELIABLE, SLEEPING = "running", "unreliable_stack", "sleeping"

Line = collections.namedtuple("Line", "file line function flags")
Line.__doc__ = """One debug message of the kernel's source. flags: what is switched on, "_" for nothing (str)."""


class NotPossible(Exception):
    """This kernel, or its lockdown, does not let its debug messages be switched on; says why."""


def parse(text):
    """Return the lines (list of Line) of the control file that tell why a task does not switch."""
    found = []
    for match in map(_LINE.match, text.splitlines()):
        if match and match.group("file").endswith(_FILE) and match.group("function") in _FUNCTIONS:
            found.append(
                Line(match.group("file"), int(match.group("line")), match.group("function"), match.group("flags"))
            )
    return found


def reason(text):
    """Return (pid, RUNNING, UNRELIABLE or SLEEPING, function or None) for a message about a task, else None."""
    match = _MESSAGE.search(text)
    if match is None or len(match.group("pid")) > 9:
        return None
    if match.group("function"):
        return int(match.group("pid")), SLEEPING, match.group("function")
    return int(match.group("pid")), RUNNING if match.group("running") else UNRELIABLE, None


@contextlib.contextmanager
def switched_on(root, kernel):
    """A context in which the kernel writes these messages; afterwards every line has its former flags again.

    kernel: the module syscalls. Raises NotPossible. A signal that ends the process is heard after the lines were put
    back; after a SIGKILL the next run finds what was noted, and calls put_back.
    """
    control, lines = _read(root)
    off = [line for line in lines if _PRINTS not in line.flags]
    if off:
        run_files.write(root, run_files.DYNAMIC_DEBUG, {"lines": [line._asdict() for line in off]})
    with processes.Signals() as signals:
        try:
            for line in off:
                _set(kernel, control, line, "+" + _PRINTS)
            yield
        finally:
            signals.wait()
            if off:
                put_back(root, kernel)


def put_back(root, kernel):
    """Switch off what was noted as switched on, and only that. Raises NotPossible, the note then stays."""
    noted = (run_files.read(root, run_files.DYNAMIC_DEBUG) or {}).get("lines") or []
    if noted:
        control, lines = _read(root)
        ours = {(line["file"], line["line"], line["function"]) for line in noted}
        for line in lines:
            if (line.file, line.line, line.function) in ours and _PRINTS in line.flags:
                _set(kernel, control, line, "-" + _PRINTS)
    run_files.remove(root, run_files.DYNAMIC_DEBUG)


def _read(root):
    for control in _CONTROLS:
        path = os.path.join(root, control)
        text = reading.read_text(path)
        if text:
            lines = parse(text)
            if not lines:
                raise NotPossible("%s does not list the messages of %s" % (path, _FILE))
            return path, lines
    raise NotPossible("no /%s to be read: not configured, or locked down" % _CONTROLS[0])


def _set(kernel, control, line, change):
    try:
        kernel.write(control, "file %s func %s line %d %s" % (line.file, line.function, line.line, change))
    except OSError as error:
        raise NotPossible("%s: %s" % (control, error.strerror))
