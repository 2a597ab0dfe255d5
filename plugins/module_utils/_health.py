# What has happened to this host since a moment: reboots, kernel alarms, counters.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# A further source of evidence adds its events to `events` and says in `sources` whether it could be read.

import datetime
import os
import time

from ansible_collections.kernel.livepatch.plugins.module_utils import _kernel_alarms, _kernel_log, _sysfs

MAX_EVENTS = 50
COUNTERS = ("oops_count", "warn_count")


def look(since, root="/", read_log=_kernel_log.read, now=time.time):
    """Return the module's result (dict) for what happened after `since`.

    since: {"boot_id": str or None, "sequence": int or None}, as this function and the module livepatch return it.
    read_log: function from a sequence to a _kernel_log.Reading. now: function to seconds since the epoch.
    """
    host = _sysfs.read_host(root)
    boot_id = _sysfs.boot_id(root)
    uptime = _uptime(root)
    booted = now() - uptime
    rebooted = since.get("boot_id") is not None and boot_id is not None and since["boot_id"] != boot_id
    reading = read_log(0 if rebooted else since.get("sequence") or 0)
    events = [_crash(since["boot_id"], boot_id, booted, uptime)] if rebooted else []
    events += [_event(alarm, booted, host.effective_release) for alarm in _kernel_alarms.alarms(reading.records)]
    return {
        "boot_id": boot_id,
        "uptime_seconds": int(uptime),
        "rebooted": rebooted,
        "effective_release": host.effective_release,
        "enabled": host.topmost,
        "sequence": reading.next_sequence,
        "events": events[:MAX_EVENTS],
        "events_left_out": max(0, len(events) - MAX_EVENTS),
        "counters": {name: _sysfs.read_number(os.path.join(root, "sys/kernel", name)) for name in COUNTERS},
        "sources": {"kmsg": reading.status},
        "reasons": [reading.reason] if reading.reason else [],
    }


def _event(alarm, booted, effective_release):
    return {
        "kind": alarm.kind,
        "time": _timestamp(booted + alarm.seconds),
        "sequence": alarm.sequence,
        "signature": alarm.signature,
        "text": alarm.text,
        "effective_release": effective_release,
    }


def _crash(before, boot_id, booted, uptime):
    """A reboot. Whether it was asked for, and what ran before it, only the controller knows."""
    return {
        "kind": "crash",
        "time": _timestamp(booted),
        "sequence": None,
        "signature": "crash:reboot",
        "text": "booted %d seconds ago: boot id %s, expected %s" % (uptime, boot_id, before),
        "effective_release": None,
    }


def _uptime(root):
    """Seconds since boot (float), 0.0 where /proc/uptime cannot be read."""
    try:
        return float((_sysfs.read_text(os.path.join(root, "proc/uptime")) or "0").split()[0])
    except (ValueError, IndexError):
        return 0.0


def _timestamp(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
