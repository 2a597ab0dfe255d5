# Moments as text, ISO 8601 in UTC, and back.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import datetime
import re

# Of this form are the times of this collection. Fractions of a second are read and dropped.
_FORM = re.compile(r"\A(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]00:?00)\Z")
# The last second of the year 9999: later ones, as a damaged file system may show, have no such text.
_LAST = 253402300799


def to_text(seconds):
    """Return seconds since 1970 (number) as text, for example 2026-05-04T08:15:00Z."""
    bounded = min(max(seconds, 0), _LAST)
    return datetime.datetime.fromtimestamp(bounded, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_seconds(text):
    """Return the text of a moment as whole seconds since 1970 (int); ValueError for anything else."""
    found = _FORM.match(text)
    if not found:
        raise ValueError("no moment in UTC: %r" % (text,))
    moment = datetime.datetime.strptime(found.group(1), "%Y-%m-%dT%H:%M:%S")
    return int(moment.replace(tzinfo=datetime.timezone.utc).timestamp())
