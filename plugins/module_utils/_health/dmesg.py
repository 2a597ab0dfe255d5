# The kernel's log as text: what a crash dump, pstore or dmesg(1) keeps of it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import re

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.kernel_log import Record

# "<4>[   12.345678] text"; pstore has the priority, a vmcore's text has not; CONFIG_PRINTK_CALLER adds "[  T12]".
_LINE = re.compile(r"(?:<(\d{1,6})>)?\[ *(\d{1,12}\.\d{1,9})\](?:\[ *[TC]\d{1,10}\])? ?(.*)")
_FIRST = re.compile(r"Linux version (\S+) ")
# Near the beginning of every oops and warning; 6.12 and later name the user's id too:
# "CPU: 0 PID: 9 Comm: cat Tainted: G   OE K   6.1.0-56-amd64 #1 Debian".
_SECOND = re.compile(r"CPU: \d+ (?:UID: \d+ )?PID: \d+ Comm: .{1,160}? (\d{1,4}\.\d\S{0,64}) #\d")


def records(text):
    """Return the records (list of Record) in lines of text; their sequence is the number of the line.

    Lines without a time go on with what was before them. Without a priority nobody can tell a program's line from the
    kernel's: it counts as the kernel's.
    """
    found = []
    for number, line in enumerate(text.splitlines()):
        parts = _LINE.match(line)
        if parts:
            priority = int(parts.group(1)) if parts.group(1) else 4
            found.append(Record(number, float(parts.group(2)), priority & 7, priority >> 3 == 0, parts.group(3)))
        elif found:
            found.append(found[-1]._replace(sequence=number, text=line))
    return found


def is_whole(lines):
    """Whether these records (list of Record) begin with the beginning of their boot."""
    return any(_FIRST.match(record.text) for record in lines[:5])


def kernel_release(lines):
    """Return what uname -r said in the boot that these records (list of Record) are of, or None."""
    for record in lines:
        found = _FIRST.match(record.text) or _SECOND.match(record.text)
        if record.kernel and found:
            return found.group(1)
    return None
