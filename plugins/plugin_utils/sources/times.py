# Times as logs and answers give them, turned into seconds since 1970. Pure, but for the controller's time zone.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import datetime
import math
import re

ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)? ?(Z|[+-]\d\d:?(?:\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
SYSLOG = re.compile(r"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?", re.ASCII)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAY = 86400


def epoch(value):
    """Return seconds since 1970 (float) of a number or an ISO 8601 text; None for what is neither."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str):
        match = ISO.fullmatch(value.strip())
        return of_iso(match) if match else None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def of_iso(match):
    """Return seconds since 1970 (float) of a match of ISO, None for a time that does not exist.

    A time without a zone is one by the controller's clock.
    """
    year, month, day, hour, minute = (int(text) for text in match.group(1, 2, 3, 4, 5))
    second, fraction = int(match.group(6) or 0), float(f"0.{match.group(7) or 0}")
    return _seconds((year, month, day, hour, minute, second), fraction, match.group(8))


def of_syslog(match, now):
    """Return seconds since 1970 (float) of a match of SYSLOG, None for a time that does not exist.

    It has no year: the latest one is taken in which it is not in the future by more than a day.
    """
    if match.group(1) not in MONTHS:
        return None
    month = MONTHS.index(match.group(1)) + 1
    day, hour, minute, second = (int(text) for text in match.group(2, 3, 4, 5))
    fraction = float(f"0.{match.group(6) or 0}")
    year = datetime.datetime.fromtimestamp(now + DAY).year
    # 29 February may lie more than one year back.
    for candidate in range(year, year - 9, -1):
        found = _seconds((candidate, month, day, hour, minute, second), fraction, None)
        if found is not None and found <= now + DAY:
            return found
    return None


def _seconds(fields, fraction, zone):
    try:
        moment = datetime.datetime(*fields)
        if zone:
            moment = moment.replace(tzinfo=_zone(zone))
        return moment.timestamp() + fraction
    except (ValueError, OverflowError, OSError):
        return None


def _zone(text):
    if text in "Zz":
        return datetime.timezone.utc
    digits = text[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return datetime.timezone(datetime.timedelta(minutes=-minutes if text[0] == "-" else minutes))
