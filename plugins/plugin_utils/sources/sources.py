# Evidence from elsewhere: the list of sources that a person gives, checked, and read one by one.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import math
import re
from dataclasses import replace

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import common, events, http, log, prometheus

TYPES = {
    "prometheus": prometheus,
    "http": http,
    "log": log,
    "events": events,
}
MAX_SOURCES = 50
PORT = re.compile(r"(.+):[0-9]{1,5}")


def check(specs):
    """Return the Sources (list) of what a person wrote as livepatch_sources, or raise RolloutError.

    Nothing is read or asked: an answer that does not come is a reading, not an error.
    """
    if not isinstance(specs, (list, tuple)):
        raise RolloutError(
            f"livepatch_sources is {common.kind(specs)}: expected a list of dictionaries with name and type, or []."
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
            f"Source {number} of livepatch_sources is {common.kind(spec)}: expected a dictionary with name and type."
        )
    name = values.name(spec.get("name"), f"The name of source {number} of livepatch_sources,")
    what = f"Source {name!r}"
    common.one_of(spec, "type", TYPES, what)
    reader = TYPES[spec["type"]]
    common.keys(spec, reader.REQUIRED, reader.OPTIONAL, what)
    return reader.check(common.source(spec, what, reader.RULES), spec, what)


def read(source, arms, since, now, fetch):
    """Return the reading (dict, made for the journal) of a Source; it never raises for what the source answers.

    arms: {patched: [hosts], control: [hosts], addresses: {host: ansible_host} of all hosts of the rollout} and, when by the
    plan no control is left, last_tier: True; crashed: {patched: [hosts], control: [hosts]}, which have left their arm, as what
    happens to them is counted no more but has happened; patched_at: {host: seconds since 1970}, before which what happens to a
    patched host is not the livepatch's. since: when the rollout began; now: both seconds since 1970 by the controller.
    fetch(url, *, data, headers, timeout) returns the body (bytes) of a POST of `data`, or of a GET when it is None.
    It does not follow redirects, as the headers may hold secrets, and raises for every answer but 2xx.
    http.body() reads a response within bounds.

    A reading: name, type, status (ok, violated, missing), verdict (pass, hold, stop, report), patched, control, ratio
    (numbers or None), rule, limit, reason (one sentence), events ([{host, kind, time, signature, text}]), lost (how
    many lines or events did not count).
    """
    sides = Arms(arms)
    try:
        found = TYPES[source.type].read(source, sides, since, now, fetch)
    except common.Missing as gap:
        return common.missing(source, gap, sides)
    return common.judged(
        source, replace(found, gaps=(*found.gaps, *sides.gaps()), notes=(*found.notes, *sides.notes())), sides
    )


class Arms:
    """The hosts that are compared, and which of them a label, a file name or an event means.

    patched, control: hosts (keys), in order; all_patched, all_control: with those that have crashed; last_tier: by the plan no
    control is left; addresses: host -> address, of all hosts of the rollout. A host is known by its name and its address. By a
    name that is one of these with more, or fewer, domains behind it ("web1.example.com" for "web1") it is known where
    no other host begins with the same label, and only by one such name at a time.
    """

    def __init__(self, arms):
        self.patched = dict.fromkeys(arms.get("patched") or (), True)
        self.control = {name: True for name in arms.get("control") or () if name not in self.patched}
        self.last_tier = bool(arms.get("last_tier"))
        crashed = arms.get("crashed") or {}
        self.all_patched = {**self.patched, **dict.fromkeys(crashed.get("patched") or ())}
        self.all_control = {**self.control, **dict.fromkeys(crashed.get("control") or ())}
        self.patched_at = arms.get("patched_at") or {}
        self.addresses = {name: str(address) for name, address in (arms.get("addresses") or {}).items() if address}
        self._known, self._labels = {}, {}
        self._called, self._doubts = {}, {}
        for name, address in self.addresses.items():
            self._learn(address, name)
        for name in {**self.addresses, **self.all_control, **self.all_patched}:
            self._known.pop(name.lower(), None)  # A name outweighs an address.
            self._learn(name, name)

    def _learn(self, text, name):
        """What two hosts share means neither."""
        key = text.lower()
        self._known[key] = name if self._known.get(key, name) == name else None
        if not re.fullmatch(r"[0-9]*", key.partition(".")[0]):
            self._labels.setdefault(key.partition(".")[0], {}).setdefault(name, []).append(key)

    def counts(self, host, moment=math.inf):
        """Does what happened to this host, at this moment (seconds since 1970), count on an arm?"""
        if host in self.all_patched:
            return moment >= int(self.patched_at.get(host, 0))
        return host in self.all_control

    def host(self, text):
        """Return the host (str) of one of the two arms that this means, else None."""
        found = self.find(text)
        return found if found in self.patched or found in self.control else None

    def named(self, text):
        """Return the host (str) of the rollout whose name or address this is, else None."""
        return self._known.get(text.strip().lower())

    def find(self, text):
        """Return the host (str) of the rollout that this means, with or without a port, else None."""
        key = text.strip().lower().rstrip(".")
        match = PORT.fullmatch(key)
        forms = [key, match.group(1)] if match else [key]
        for form in (*forms, forms[-1].strip("[]")):
            if form in self._known:
                return self._known[form]
        return self._by_label(forms[-1])

    def _by_label(self, text):
        hosts = self._labels.get(text.partition(".")[0], {})
        found = next(iter(hosts)) if len(hosts) == 1 else None
        if not any(text.startswith(key + ".") or key.startswith(text + ".") for key in hosts.get(found, ())):
            return None
        if self._called.setdefault(found, text) != text:
            self._doubts.setdefault(found, text)
            return None
        return found

    def gaps(self):
        """Return what may hide harm (list of str): names that may mean one host and are two of them."""
        named = [f"{self._called[host]} and {text} may both be {host}" for host, text in self._doubts.items()]
        return [values.words(f"{text}: let them be named as in the inventory", 300) for text in named[:1]]

    def notes(self):
        """Return what a person should know (list of str): by which other names hosts are known."""
        called = [f"{text} is {host}" for host, text in self._called.items()]
        return [f"by their names {common.some(called, 2)}"] if called else []
