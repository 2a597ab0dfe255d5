# Evidence from elsewhere: the list of sources that a person gives, checked, and read one by one.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import (
    both_arms,
    events,
    http,
    log,
    prometheus,
    reading,
    specification,
)

TYPES = {
    "prometheus": prometheus,
    "http": http,
    "log": log,
    "events": events,
}
MAX_SOURCES = 50


def check(specs):
    """Return the Sources (list) of what a person wrote as livepatch_sources, or raise RolloutError.

    Nothing is read or asked: an answer that does not come is a reading, not an error.
    """
    if not isinstance(specs, (list, tuple)):
        raise RolloutError(
            f"livepatch_sources is {specification.kind(specs)}: expected a list of dictionaries with name and type, or []."
        )
    if len(specs) > MAX_SOURCES:
        raise RolloutError(f"livepatch_sources has {len(specs)} sources: expected at most {MAX_SOURCES}.")
    found = [_source(number, values.plain(spec)) for number, spec in enumerate(specs, 1)]
    seen = set()
    for source in found:
        if source.name in seen:
            raise RolloutError(f"Two of livepatch_sources are called {source.name!r}: expected each name once.")
        seen.add(source.name)
    return found


def _source(number, spec):
    if not isinstance(spec, dict):
        raise RolloutError(
            f"Source {number} of livepatch_sources is {specification.kind(spec)}: expected a dictionary with name and type."
        )
    name = values.name(spec.get("name"), f"The name of source {number} of livepatch_sources,")
    what = f"Source {name!r}"
    specification.one_of(spec, "type", TYPES, what)
    reader = TYPES[spec["type"]]
    specification.keys(spec, reader.REQUIRED, reader.OPTIONAL, what)
    return reader.check(specification.common(spec, what, reader.RULES), spec, what)


def read(source, arms, since, now, fetch):
    """Return the reading (dict, made for the journal) of a Source; it never raises for what the source answers.

    arms: {patched: [hosts], control: [hosts], addresses: {host: ansible_host}} and, when by the plan no control is
    left, last_tier: True. since: when the rollout began; now: both seconds since 1970 by the controller.
    fetch(url, *, data, headers, timeout) returns the body (bytes) of a POST of `data`, or of a GET when it is None.
    It does not follow redirects, as the headers may hold secrets, and raises for every answer but 2xx.
    sources_fetch.body() reads a response within bounds.

    A reading: name, type, status (ok, violated, missing), verdict (pass, hold, stop, report), patched, control, ratio
    (numbers or None), rule, limit, reason (one sentence), events ([{host, kind, time, signature, text}]), lost (how
    many lines or events did not count).
    """
    sides = both_arms.Arms(arms)
    try:
        found = TYPES[source.type].read(source, sides, since, now, fetch)
    except reading.Missing as gap:
        return reading.missing(source, gap, sides)
    return reading.judged(source, found, sides)
