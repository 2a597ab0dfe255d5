# Values of others: options of people, checked and turned into numbers; and what hosts say, as a line that can be shown.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import math
import re
from fractions import Fraction

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~^-]{0,99}")
COUNT = re.compile(r"[0-9]{1,9}")
SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")
DURATION = re.compile(r"([0-9]{1,9}) ?([smhd]?)")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def plain(value):
    """Return the value built of plain dict, list, str, int, float, bool and None only.

    Values out of Ansible are subclasses that carry tags and templates; neither belongs into a journal.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    return str(value)


def words(text, most=500):
    """Return what somebody else says as one printable line (str) of at most so many characters.

    Control characters, line breaks and marks that turn the direction of writing become spaces: in a terminal or a log they
    would act, or pass one line off as several.
    """
    line = "".join(character if character.isprintable() else " " for character in str(text)[: most + 1])
    return line if len(line) <= most else line[: most - 3] + "..."


def name(value, what, more=""):
    """Return the name of a release, rollout or tier (str); those of releases and rollouts become part of file names.

    more: characters (str) that are allowed in it as well.
    """
    if not isinstance(value, str) or not NAME.fullmatch(value.translate(dict.fromkeys(map(ord, more), "_"))):
        raise RolloutError(
            f"{what} {value!r} is not a name: expected letters, digits and '_.+~^-{more}', "
            "beginning with a letter, a digit or '_', at most 100 characters."
        )
    return value


def reason(value, what):
    """Return a reason that a person gave (str): one line of 1 to 500 characters."""
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > 500 or not text.isprintable():
        raise RolloutError(f"{what} {value!r} is not a reason: expected one line of text of at most 500 characters.")
    return text


def own_words(value, variable):
    """Return the reason (str) that a person gave in this variable, None for nothing; the example's word is no reason."""
    if value in (None, ""):
        return None
    if str(value).strip() == "REASON":
        raise RolloutError(f"{variable} is REASON: expected your own words.")
    return reason(value, variable)


def number(value):
    """Return a number out of YAML, JSON or a template (float); nan for what is none."""
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def count_or_share(value, what):
    """Return a count as int, a share of a whole as Fraction: 5 and "5" give 5, "2%" gives 1/50."""
    text = str(value).strip() if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if COUNT.fullmatch(text):
        return int(text)
    match = SHARE.fullmatch(text)
    if match and Fraction(match.group(1)) <= 100:
        return Fraction(match.group(1)) / 100
    raise RolloutError(f"{what} is {value!r}: expected a count like 5, or a share between 0% and 100% like '2%'.")


def tolerance(value, what):
    """Return (count, share) of which the larger one counts: 5 gives (5, 0), "2%" (0, 1/50), "2 or 1%" (2, 1/100)."""
    first, found, second = str(value).partition(" or ")
    if found:
        return count_or_share(first, what), share(second, what)
    one = count_or_share(value, what)
    return (0, one) if isinstance(one, Fraction) else (one, Fraction(0))


def count(value, what):
    """Return a count of at least 1 (int)."""
    found = count_or_share(value, what)
    if isinstance(found, Fraction) or found < 1:
        raise RolloutError(f"{what} is {value!r}: expected a count of at least 1.")
    return found


def share(value, what):
    """Return a share above 0% as Fraction."""
    found = count_or_share(value, what)
    if not isinstance(found, Fraction) or found == 0:
        raise RolloutError(f"{what} is {value!r}: expected a share above 0%, up to 100%, like '5%'.")
    return found


def of(part, whole):
    """Return how many of `whole` (int) a count or share is, rounded down (int)."""
    return int(part * whole) if isinstance(part, Fraction) else part


def duration(value, what):
    """Return a duration in seconds (int): 90, "90s", "30m", "4h", "1d"."""
    text = str(value).strip() if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    match = DURATION.fullmatch(text)
    if not match:
        raise RolloutError(f"{what} is {value!r}: expected seconds, or a number with s, m, h or d, like '30m' or '4h'.")
    return int(match.group(1)) * SECONDS[match.group(2)]


def count_line(found):
    """Return counts (dict) as text: "3 patched, 1 already"."""
    return ", ".join(f"{hosts} {outcome.replace('_', ' ')}" for outcome, hosts in sorted(found.items())) or "no hosts"


def listed(names, most):
    """Return names (list of str) as text, of which no more than `most` are named: "a, b and 3 more"."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
