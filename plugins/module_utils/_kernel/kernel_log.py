# Bounded reading of the kernel's log (/dev/kmsg): records, positions, lost records.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import collections
import errno
import os
import re
import time

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading, times

DEVICE = "/dev/kmsg"

# A record is never longer than this (CONSOLE_EXT_LOG_MAX, kernel/printk/internal.h); a smaller buffer gives EINVAL.
RECORD_BYTES = 8192

# Bounds of one reading: so many of the newest records are kept, and so long it is read. The log buffer of most kernels
# holds a few thousand records, a large one some ten thousand.
MAX_RECORDS = 100000
MAX_BYTES = 16 * 1024 * 1024
MAX_SECONDS = 10.0

# What a reading can be called: everything wanted was there; the kernel had overwritten some of it; a bound was met, and
# the oldest were passed over; the device could not be opened or read.
READ, LOST, TRUNCATED, UNREADABLE = "read", "lost", "truncated", "unreadable"

_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")

Record = collections.namedtuple("Record", "sequence seconds level kernel text")
Record.__doc__ = """One record of the kernel's log (Documentation/ABI/testing/dev-kmsg).

sequence: its number since boot (int). seconds: since boot (float). level: 0 to 7 (int).
kernel: False when a program wrote it into /dev/kmsg (facility other than 0) (bool). text: without its dictionary (str).
"""

Reading = collections.namedtuple("Reading", "records next_sequence status reason earlier")
Reading.__doc__ = """records: list of Record. next_sequence: where to read on (int), None when nothing is known; before the wanted
one where that is of a later state of this machine. status: READ, LOST, TRUNCATED or UNREADABLE. reason: what happened, None for
READ (str). earlier: the records before the wanted ones, as far as the kernel still has them (list of Record).
"""


def parse(data):
    """Return the Record in the bytes of one read from /dev/kmsg, or None when they are not one."""
    line = data.split(b"\n", 1)[0].decode("ascii", "replace")
    head, found, text = line.partition(";")
    fields = head.split(",")
    if not found or len(fields) < 4 or not all(_is_number(field) for field in fields[:3]):
        return None
    priority, sequence, microseconds = (int(field) for field in fields[:3])
    return Record(sequence, microseconds / 1e6, priority & 7, priority >> 3 == 0, unescaped(text))


def read(sequence=0, device=DEVICE, clock=time.monotonic):
    """Return a Reading of the records from `sequence` on, without ever waiting for new ones.

    The device cannot be positioned by number: earlier records are read and passed over, and count for the bounds.
    """
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        return Reading([], None, UNREADABLE, "cannot open %s: %s" % (device, error.strerror), [])
    try:
        return _read_all(descriptor, sequence, device, clock)
    finally:
        os.close(descriptor)


def position(device=DEVICE, now=time.time):
    """Return where the log stands now.

    That is {"boot_id": str or None, "sequence": number of the next record or None, "time": by this host's clock (str)}.
    """
    moment = now()
    return {"boot_id": reading.boot_id(), "sequence": _next_sequence(device), "time": times.to_text(moment)}


def _next_sequence(device):
    """Return the number of the next record (int), None where the log cannot be read.

    The kernel tells it in records only: behind the last one, where a seek to the end leads (devkmsg_llseek(),
    kernel/printk/printk.c), there is none until something is logged. Of all but the last one nothing is looked at: that is most of what reading costs.
    """
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        newest, _dropped, error = _raw(descriptor, 1, time.monotonic() + MAX_SECONDS)
    finally:
        os.close(descriptor)
    last = parse(newest[-1]) if newest else None
    if error is not None and error.errno != errno.EAGAIN:
        return None
    return last.sequence + 1 if last else 0


def _raw(descriptor, most, deadline, clock=time.monotonic):
    """Return (the newest records (deque of bytes), the last one that was dropped for them or None, why it ended).

    Why: the OSError of the last read (EAGAIN at the end of the log), or None when it took too long.
    """
    kept, size, dropped = collections.deque(), 0, None
    while clock() <= deadline:
        try:
            data = os.read(descriptor, RECORD_BYTES)
        except OSError as error:
            # EPIPE: the record that was next has been overwritten. The gap shows in the numbers.
            if error.errno in (errno.EPIPE, errno.EINTR):
                continue
            return kept, dropped, error
        if not data:
            return kept, dropped, OSError(errno.EAGAIN, "end")
        kept.append(data)
        size += len(data)
        while len(kept) > most or size > MAX_BYTES:
            dropped = kept.popleft()
            size -= len(dropped)
    return kept, dropped, None


def lines_since(sequence, limit):
    """Return the last `limit` lines (list of str) that the kernel itself logged from record `sequence` on.

    An unreadable log, and a position that is not known (None), give an empty list.
    """
    if sequence is None:
        return []
    lines = [record.text for record in read(sequence).records if record.kernel]
    return lines[-limit:] if limit > 0 else []


def _read_all(descriptor, sequence, device, clock):
    kept, dropped, error = _raw(descriptor, MAX_RECORDS, clock() + MAX_SECONDS, clock)
    records, earlier, status, reason = [], [], READ, None
    passed_over = parse(dropped) if dropped else None
    following = passed_over.sequence + 1 if passed_over else 0
    if following > sequence:
        status = TRUNCATED
        reason = "records from %d to %d were passed over: there are more than are kept" % (sequence, following - 1)
    for record in filter(None, map(parse, kept)):
        wanted_from = max(following, sequence)
        following = record.sequence + 1
        if record.sequence < sequence:
            earlier.append(record)
            continue
        if record.sequence > wanted_from and status == READ:
            status = LOST
            reason = "the kernel had already overwritten records %d to %d" % (wanted_from, record.sequence - 1)
        records.append(record)
    if error is None:
        status, reason = TRUNCATED, "stopped after %d seconds: read on from %d" % (MAX_SECONDS, following)
    elif error.errno != errno.EAGAIN:
        status, reason = UNREADABLE, "cannot read %s: %s" % (device, error.strerror)
    following = following or sequence if status == READ else following
    return Reading(records, following, status, reason, earlier)


def _is_number(field):
    return field.isdigit() and len(field) <= 16


def unescaped(text):
    r"""Return a text in which characters are written as \x2e as it was meant (str)."""
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 16)), text)
