# The kernel's log of this boot: which alarms are new, which were there before, and what was lost.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

from ansible_collections.kernel.livepatch.plugins.module_utils._files import bounded
from ansible_collections.kernel.livepatch.plugins.module_utils._health import (
    dmesg,
    journal as _journal,
    kernel_alarms,
    livepatch_log,
)
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log

# Which alarms each counter of the kernel counts.
_COUNTED = (("oops_count", ("oops", "bug"), "oopses and BUGs"), ("warn_count", ("warning",), "warnings"))


class BootLog(object):
    """The log from the beginning of a window on, and what is left of it from before.

    reading: kernel_log.Reading from record `begin` on. since_boot: seconds from this boot to the beginning of the
    window, None when that is not known. journal: function from a boot to a journal.Journal; asked only when the
    kernel has lost records.
    """

    def __init__(self, reading, begin, since_boot, journal):
        self.reading = reading
        self.reasons = [reading.reason] if reading.reason else []
        self.journal_status = bounded.ABSENT
        self._begin = begin
        self._records = list(reading.earlier) + list(reading.records)
        self._whole = bool(self._records) and self._records[0].sequence == 0
        self._gap_begin = None
        if reading.status == kernel_log.LOST:
            self._fill(journal(_journal.THIS_BOOT), since_boot)
        self.alarms = kernel_alarms.alarms(self._records)

    def new_alarms(self):
        """Return the alarms (list of Alarm) in the window. One from the journal has no sequence."""
        return [alarm for alarm in self.alarms if not self._is_earlier(alarm)]

    def known_signatures(self):
        """Return the signatures (set of str) of the alarms before the window."""
        return set(alarm.signature for alarm in self.alarms if self._is_earlier(alarm))

    def history(self, kernel_release, enabled):
        """Return the livepatch_log.History of this boot. enabled: names of the livepatches that are enabled now."""
        return livepatch_log.History(self._records, self._whole, kernel_release, enabled)

    def uncounted(self, counters):
        """Return a sentence for each counter that has counted more than there is in a log that has lost records."""
        if self.reading.status != kernel_log.LOST:
            return []
        sentences = []
        for name, kinds, words in _COUNTED:
            seen = sum(alarm.kind in kinds for alarm in self.alarms)
            if counters.get(name) is not None and counters[name] > seen:
                sentences.append(
                    "%s is %d, but the log has only %d %s of this boot: the others were overwritten, and may be of "
                    "this window" % (name, counters[name], seen, words)
                )
        return sentences

    def _is_earlier(self, alarm):
        if alarm.sequence is not None:
            return alarm.sequence < self._begin
        return alarm.seconds < self._gap_begin

    def _fill(self, journal, since_boot):
        """Put what the kernel has lost into its place, as far as the journal has kept it."""
        self.journal_status = journal.status
        if journal.reason:
            self.reasons.append(journal.reason)
        if not journal.records:
            return
        self._gap_begin = self._beginning(since_boot)
        if self._gap_begin is None:
            self.reasons.append(
                "since.time is not known: the journal has older messages, but not which of them are older than "
                "since.sequence. Hand on since.time with the rest."
            )
            return
        kept = set(record.seconds for record in self._records)
        lost = [record._replace(sequence=None) for record in journal.records if record.seconds not in kept]
        # A message that came after the log was read belongs to the next window.
        end = self._records[-1].seconds if self._records else float("inf")
        merged = [record for record in lost if record.seconds <= end] + self._records
        self._records = sorted(merged, key=lambda record: record.seconds)
        self._whole = self._whole or (journal.status == bounded.READ and dmesg.is_whole(journal.records))

    def _beginning(self, since_boot):
        """Seconds since boot from which on a lost record belongs to the window, None when that is not known."""
        if self._begin == 0:
            return 0.0
        if self.reading.earlier:
            return self.reading.earlier[-1].seconds
        return since_boot
