# The kernel's functions: which it has, and who else holds them: probes, tracers and BPF programs.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Nothing is mounted for a look: where a file system is not there the answer is None. Looking below
# /sys/kernel/debug/tracing would make the kernel mount tracefs there, so that the table of mounts is asked first.

import os
import re
from collections import namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading

Held = namedtuple("Held", "object function count modifies direct by")
Held.__doc__ = """A function that callbacks of ftrace are on. count: how many (int). modifies: one of them may send callers to
other code (flag I). direct: a trampoline is called directly (flag D), as for BPF programs. by: the kernel's words on it."""

Probe = namedtuple("Probe", "object function offset kind ftrace enabled")
Probe.__doc__ = (
    """A kprobe. offset: bytes into the function (int). kind: k, or r for a kretprobe. ftrace: it uses ftrace."""
)

# kernel/trace/ftrace.c, t_show(): name, [module], (count), flags, then the callbacks, also on further lines.
_HELD = re.compile(r"\A(?P<function>\S+)(?: \[(?P<object>[^\]]+)\])? \((?P<count>\d+)\)(?P<flags>[ A-Z]*)(?P<by>.*)\Z")
# kernel/kprobes.c, report_probe(): address, kind, name+offset, module, [FLAGS]
_PROBE = re.compile(
    r"\A\S+\s+(?P<kind>[a-z])\s+(?P<function>[^\s+]+)\+0x(?P<offset>[0-9a-f]+)\s*(?P<object>[^\s\[]*)\s*(?P<flags>[\[A-Z\]]*)\Z"
)
_OCTAL = re.compile(r"\\([0-7]{3})")

VMLINUX = "vmlinux"


def mounted(root, kind):
    """Return where a file system of this kind (tracefs, debugfs) is mounted, or None."""
    for line in (reading.read_text(os.path.join(root, "proc/self/mounts")) or "").splitlines():
        words = line.split()
        if len(words) > 2 and words[2] == kind:
            return os.path.join(root, _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), words[1]).lstrip("/"))
    return None


def held(root, functions):
    """Return those of the functions (set of (object, name)) that callbacks are on (list of Held), None where unreadable."""
    directory = mounted(root, "tracefs")
    if directory is None:
        return None
    names = {name for _owner, name in functions}
    lines, wanted = [], False
    try:
        with open(os.path.join(directory, "enabled_functions"), "rb") as stream:
            # A tracer of everything makes this long: only lines about the functions, and what continues them, are kept.
            for line in stream:
                text = line.decode("utf-8", "replace")
                wanted = text.split(" ", 1)[0] in names if not text[:1].isspace() else wanted
                if wanted:
                    lines.append(text.rstrip("\n"))
    except EnvironmentError:
        return None
    return [found for found in parse_held("\n".join(lines)) if (found.object, found.function) in functions]


def probes(root):
    """Return the kprobes (list of Probe), None where they cannot be read."""
    text = _read(mounted(root, "debugfs"), "kprobes/list")
    return None if text is None else parse_probes(text)


def traceable(root, functions):
    """Return those of the functions (set of (object, name)) that can be patched or traced, None where it cannot be read.

    Code that the compiler gave no place for ftrace in, as that marked notrace or noinstr, cannot.
    """
    directory = mounted(root, "tracefs")
    if directory is None:
        return None
    wanted = {
        (name if owner == "vmlinux" else "%s [%s]" % (name, owner)).encode(): (owner, name) for owner, name in functions
    }
    try:
        with open(os.path.join(directory, "available_filter_functions"), "rb") as stream:
            found = {wanted[line] for line in (line.strip() for line in stream) if line in wanted}
    except EnvironmentError:
        return None
    return found


def parse_held(text):
    """Return the list of Held in the text of enabled_functions."""
    found = []
    for line in text.splitlines():
        match = _HELD.match(line.rstrip())
        if match:
            flags = match.group("flags").split()
            found.append(
                Held(
                    match.group("object") or "vmlinux",
                    match.group("function"),
                    int(match.group("count")),
                    "I" in flags,
                    "D" in flags,
                    " ".join(match.group("by").split()),
                )
            )
        elif found and line[:1].isspace():
            found[-1] = found[-1]._replace(by=" ".join((found[-1].by + " " + line).split()))
    return found


def parse_probes(text):
    """Return the list of Probe in the text of kprobes/list."""
    found = []
    for match in (_PROBE.match(line.strip()) for line in text.splitlines()):
        if match and "GONE" not in match.group("flags"):
            found.append(
                Probe(
                    match.group("object") or "vmlinux",
                    match.group("function"),
                    int(match.group("offset"), 16),
                    match.group("kind"),
                    "[FTRACE]" in match.group("flags"),
                    "[DISABLED]" not in match.group("flags"),
                )
            )
    return found


def _read(directory, name):
    return None if directory is None else reading.read_text(os.path.join(directory, name))


Symbols = namedtuple("Symbols", "counts known aliases")
Symbols.__doc__ = """counts: (object, name) -> how often the kernel has it (int). known: those of the names that anything has
(set). aliases: (object, name) -> all names of its addresses, the name itself included (set): a system call without arguments
has several, of which tracefs, debugfs and stacks show any. None where the kernel keeps its addresses to itself."""


def symbols(root, functions, names=()):
    """Return the Symbols of the kernel, None where it does not list them.

    functions: pairs of object (vmlinux or a module) and name. names: of symbols, wherever they are. The names are listed
    to anybody; only addresses are kept from some.
    """
    wanted = {(owner.encode(), name.encode()) for owner, name in functions}
    plain = {name for _owner, name in wanted}
    imports = {name.encode(): name for name in names}
    # Of an exported symbol that is not listed itself at least the entry in the table of exports is.
    imports.update({b"__ksymtab_" + name.encode(): name for name in names})
    counts, found, lines, places = {}, set(), 0, {}
    try:
        with open(os.path.join(root, "proc/kallsyms"), "rb") as stream:
            for lines, line in enumerate(stream, 1):
                # ffffffff81e00000 t name, and for a module's a tab and its name in brackets
                words = line.split()
                if len(words) < 3:
                    continue
                name = words[2]
                if name in imports:
                    found.add(imports[name])
                if name in plain:
                    owner = words[3].strip(b"[]") if len(words) > 3 else VMLINUX.encode()
                    counts[owner, name] = counts.get((owner, name), 0) + 1
                    if (owner, name) in wanted:
                        places.setdefault(words[0], set()).add((owner, name))
    except EnvironmentError:
        return None
    if not lines:
        return None
    return Symbols(
        {(owner.decode(), name.decode()): counts.get((owner, name), 0) for owner, name in wanted},
        found,
        _aliases(root, functions, places),
    )


def _aliases(root, functions, places):
    """Return (object, name) -> all names of its addresses. places: address -> the (object, name) that it has, in bytes."""
    if any(not address.strip(b"0") for address in places):
        return None
    found = {key: {key[1]} for key in functions}
    if not places:
        return found
    try:
        with open(os.path.join(root, "proc/kallsyms"), "rb") as stream:
            for line in stream:
                for owner, name in places.get(line.split(None, 1)[0], ()):
                    found[owner.decode(), name.decode()].add(line.split()[2].decode("utf-8", "replace"))
    except (EnvironmentError, IndexError):
        return None
    return found
