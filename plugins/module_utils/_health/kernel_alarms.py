# Which lines of the kernel's log are alarms: one event for each, with a signature that is the same the next time.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# The forms of 5.10 to 7.2 were seen on these kernels; their sources are lib/bug.c, kernel/panic.c,
# kernel/watchdog.c, kernel/rcu/tree_stall.h, kernel/hung_task.c, kernel/locking/lockdep.c, arch/*/kernel/traps.c,
# arch/*/mm/fault.c, arch/powerpc/kernel/watchdog.c, kernel/livepatch/core.c. docs/reading-the-gate.md says which were seen where.

import collections
import re

TEXT_CHARACTERS = 200
# No record of the kernel's is longer (CONSOLE_EXT_LOG_MAX, kernel/printk/internal.h). Others can write what looks like the
# dump of a log, with lines as long as they like, which must not cost time.
_LINE_CHARACTERS = 8192

# An alarm is told on many lines. After so many records, or seconds, a line no longer belongs to it.
ALARM_RECORDS = 150
ALARM_SECONDS = 5.0

Alarm = collections.namedtuple("Alarm", "kind sequence seconds signature text")
Alarm.__doc__ = """kind: crash, oops, bug, warning, lockup, rcu_stall, hung_task or module_refused (str).
sequence: number of its first record (int). seconds: since boot (float). signature: kind and function, or kind and the message without what changes
from one time to the next (str). text: its first line, at most TEXT_CHARACTERS (str)."""

# KSYM_NAME_LEN is 512. That a name begins where a word begins keeps the search linear.
_FUNCTION = r"(?<![\w.$])\.?(?P<function>[A-Za-z_][\w.$]{0,511})\+0x[0-9a-f]+/0x[0-9a-f]+"

# The line with which every architecture counts a death of the kernel's code (die(), arch/*/kernel/traps.c or dumpstack.c):
# Oops: 0002 [#1] SMP on x86, Internal error: Oops: 96000004 [#1] on arm64, illegal operation: 0001 ilc:1 [#1]SMP on s390,
# Oops: Kernel access of bad area, sig: 11 [#1] on powerpc, Kernel BUG [#1] on riscv, Oops[#1]: on loongarch.
_DIES = r"[A-Za-z][^\[]{1,200}\[#\d+\]"

# The first line of an alarm; the first match wins. A group that is no function names what is alarmed about.
_HEADERS = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        # 5.10 to 6.12: WARNING: CPU: 0 PID: 1 at FILE:19 FUNCTION; 7.2: WARNING: FILE:19 at FUNCTION, CPU#0: cat/1.
        # What unwinders say (WARNING: can't access registers at FUNCTION) is about a trace, not about what is traced.
        ("warning", r"WARNING: (CPU: \d+ PID: \d+ |\S+:\d+ )?at .*?" + _FUNCTION),
        (
            "warning",
            r"WARNING: (possible |suspicious RCU usage|inconsistent lock state|bad unlock balance|bad contention"
            r"|lock held|held lock freed|Nested lock)",
        ),
        ("crash", r"Kernel panic - not syncing: "),
        ("lockup", r"(watchdog: )?BUG: soft lockup - CPU#"),
        # powerpc: CPU 1 self-detected hard LOCKUP @ FUNCTION, CPU 1 detected hard LOCKUP on other CPUs, CPU 1 Hard LOCKUP
        ("lockup", r"(?!Kernel panic).*\b[Hh]ard LOCKUP\b"),
        ("lockup", r"BUG: workqueue lockup"),
        ("rcu_stall", r"(rcu: )?INFO: rcu\w* (self-)?detected (expedited )?stall"),
        ("hung_task", r"INFO: task .* blocked (in I/O wait )?(for more than \d+ seconds|on an? )"),
        ("oops", r"BUG: ([Kk]ernel NULL pointer dereference|[Uu]nable to handle )"),
        ("oops", r"(CPU \d+ )?Unable to handle kernel "),
        ("bug", r"kernel BUG at "),
        ("bug", r"(BUG|UBSAN|KFENCE): "),
        ("oops", _DIES),
        # kernel/livepatch/core.c: the module is not loaded, whoever needs it.
        (
            "module_refused",
            r"livepatch: patch '(?P<livepatch>[\w-]{1,64})' failed for module '(?P<module>[\w-]{1,64})', refusing to load",
        ),
    )
)
KINDS = tuple(sorted(set(kind for kind, unused in _HEADERS) - set(["crash"])))  # that a host may survive
# What only goes on with an alarm that a line before it has begun.
_GOES_ON = re.compile(_DIES)
_END = re.compile(r"---\[ end (trace|Kernel panic)")
# Where the code was, as x86, arm64, riscv, powerpc, s390 and loongarch print it. RIP: 0033 is user space.
_PLACE = re.compile(r"(RIP: 0010:|pc : |epc : |NIP \[[0-9a-f]+\] |Krnl PSW : .*\(|\s*ERA: [0-9a-f]+ )" + _FUNCTION)
# Who had called: all that is known after a jump to where no function is. x86 and s390 print no such line.
_CALLER = re.compile(r"(lr : | ra : |LR \[[0-9a-f]+\] |\s*ra: [0-9a-f]+ )" + _FUNCTION)
_ANYWHERE = re.compile(_FUNCTION)

# What differs from one time to the next: addresses, numbers, what a compiler or a task's name adds.
_VARIES = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+")
_SUFFIX = re.compile(r"\.(isra|constprop|part|cold|llvm)\b.*")


class _Open:
    """An alarm whose lines are still coming in."""

    def __init__(self, kind, names, record, line):
        self.kind = kind
        self.record = record
        self.text = line
        self.records = 0
        self.names = names
        found = _ANYWHERE.search(line)
        self.function = found.group("function") if found else None
        self.caller = None

    def covers(self, record):
        return self.records < ALARM_RECORDS and record.seconds - self.record.seconds <= ALARM_SECONDS

    def add(self, line):
        if self.function:
            return
        place, caller = _PLACE.match(line), _CALLER.match(line)
        if place:
            self.function = place.group("function")
        elif caller and self.caller is None:
            self.caller = caller.group("function")

    def close(self):
        function = self.function or self.caller
        name = _SUFFIX.sub("", function) if function else _VARIES.sub("N", self.text)[:80].strip()
        name = ":".join(self.names) or name
        signature = "%s:%s" % (self.kind, name)
        return Alarm(self.kind, self.record.sequence, self.record.seconds, signature, self.text[:TEXT_CHARACTERS])


def alarms(records):
    """Return the alarms (list of Alarm, oldest first) in records of the kernel's log.

    records: iterable of kernel_log.Record. What programs wrote into the log is passed over.
    """
    found, current = [], None
    for record in records:
        if not record.kernel:
            continue
        if current is not None and not current.covers(record):
            found.append(current.close())
            current = None
        if current is not None:
            current.records += 1
        for line in record.text.split("\n"):
            current = _take(line[:_LINE_CHARACTERS], record, current, found)
    if current is not None:
        found.append(current.close())
    return found


def _take(line, record, current, found):
    """Give one line to the open alarm or begin a new one; closed ones go to found. Returns the open alarm or None."""
    if current is not None and _END.match(line):
        found.append(current.close())
        return None
    if current is not None and current.kind in ("bug", "oops") and _GOES_ON.match(line):
        return current
    kind, names = _kind(line)
    if kind is not None:
        if current is not None:
            found.append(current.close())
        return _Open(kind, names, record, line)
    if current is not None:
        current.add(line)
    return current


def _kind(line):
    """Return (kind, what the line names, list of str), (None, []) for a line that begins no alarm."""
    for kind, pattern in _HEADERS:
        found = pattern.match(line)
        if found:
            return kind, [name for group, name in sorted(found.groupdict().items()) if group != "function"]
    return None, []
