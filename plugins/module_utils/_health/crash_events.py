# Crashes: however many sources tell of one, it is one event, told by the source that knows most.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import collections
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._health import dmesg, kernel_alarms, livepatch_log

# Two sources tell of the same crash when they are not further apart than this: kdump needs its time for a large memory,
# and systemd-pstore comes when the host is up again.
SAME_SECONDS = 3600

BOOT, JOURNAL = "boot", "journal"
# The better one first, where two sources know as much.
_SOURCES = ("kdump", "pstore", "systemd-pstore", BOOT, JOURNAL)

Evidence = collections.namedtuple("Evidence", "source time alarms effective_release fatal text")
Evidence.__doc__ = """What one source tells of a crash. source: its name (str). time: seconds since 1970 (number).
alarms: in the log that it has kept (list of kernel_alarms.Alarm). effective_release: at the end of that log, None when
that does not say it (str). fatal: False for an oops after which the host may have gone on (bool). text: what to say
without an alarm (str)."""

Crash = collections.namedtuple("Crash", "kind source time signature text effective_release")
Crash.__doc__ = """kind: crash, or oops, bug or lockup for what the host survived (str). time: seconds since 1970
(number). The others as in the module's result."""

# What a panic says that only follows on an alarm before it.
_FOLLOWS = re.compile(
    r"Kernel panic - not syncing: (.*\bpanic_on_\w+ set|Fatal exception|softlockup: hung tasks|Hard LOCKUP"
    r"|hung_task: blocked tasks|RCU Stall|.*\bHard LOCKUP)",
    re.I,
)
_FOLLOWS_SECONDS = 30.0
_MORTAL = ("crash", "oops", "bug", "lockup")


def from_text(source, time, text, fatal=True):
    """Return the Evidence of a dump. text: the log in it, None or empty where there is none (str)."""
    records = dmesg.records(text or "")
    history = livepatch_log.History(records, dmesg.is_whole(records), dmesg.kernel_release(records))
    saying = "%s has recorded a crash, without the kernel's reason" % source
    return Evidence(source, time, kernel_alarms.alarms(records), history.at_end(), fatal, saying)


def tell(evidence, ends=()):
    """Return the crashes (list of Crash, oldest first).

    evidence: list of Evidence. ends: the Evidence of a boot that was not expected, and what else tells of the end of
    the boot before it. They belong to the newest crash, or are one themselves.
    """
    fatal = [one for one in evidence if one.fatal]
    survived = sorted((one for one in evidence if not one.fatal), key=_age)
    if ends and not fatal and survived:
        # The last word of a host that did not come back by itself.
        fatal = [survived.pop()]
    groups = _groups(fatal)
    if ends:
        groups = groups[:-1] + [(groups[-1] if groups else []) + list(ends)]
    crashes = [_crash(group) for group in groups]
    return sorted(crashes + _survived(survived, crashes), key=_age)


def cause(alarms):
    """Return the alarm that ended a host, None where none of these (list of Alarm) did.

    A panic that only follows on an oops or lockup is told by that.
    """
    mortal = [alarm for alarm in alarms if alarm.kind in _MORTAL]
    if not mortal:
        return None
    last = mortal[-1]
    if last.kind != "crash" or not _FOLLOWS.match(last.text):
        return last
    before = [alarm for alarm in alarms if alarm.kind != "crash" and 0 <= last.seconds - alarm.seconds]
    near = [alarm for alarm in before if last.seconds - alarm.seconds <= _FOLLOWS_SECONDS]
    return near[-1] if near else last


def _age(evidence):
    return evidence.time


def _groups(evidence):
    """Return the lists of Evidence that are one crash each. Two records of one source are two crashes."""
    found = []
    for one in sorted(evidence, key=_age):
        last = found[-1] if found else None
        if last and one.time - last[-1].time <= SAME_SECONDS and one.source not in [other.source for other in last]:
            last.append(one)
        else:
            found.append([one])
    return found


def _crash(group):
    best = min(group, key=_ignorance)
    alarm = cause(best.alarms)
    releases = [one.effective_release for one in sorted(group, key=_rank)]
    return Crash(
        "crash",
        best.source,
        best.time,
        _signature(alarm) if alarm else "crash:" + ("reboot" if best.source == BOOT else best.source),
        alarm.text if alarm else best.text,
        next((release for release in releases if release is not None), None),
    )


def _ignorance(evidence):
    """The lower, the more a source knows: of a panic, of an alarm, of nothing."""
    kinds = [alarm.kind for alarm in evidence.alarms if alarm.kind in _MORTAL]
    return (0 if "crash" in kinds else 1 if kinds else 2, _rank(evidence))


def _rank(evidence):
    return _SOURCES.index(evidence.source)


def _signature(alarm):
    return "crash:" + alarm.signature.split(":", 1)[1]


def _survived(evidence, crashes):
    """The oopses that are not told by a crash already."""
    told = set(crash.signature for crash in crashes)
    found = []
    for one in evidence:
        alarm = cause(one.alarms)
        if alarm is not None and _signature(alarm) not in told:
            found.append(Crash(alarm.kind, one.source, one.time, alarm.signature, alarm.text, one.effective_release))
    return found
