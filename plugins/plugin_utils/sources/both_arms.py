# The two arms of the comparison, and which of their hosts a label, a file name or an event means. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import re

PORT = re.compile(r"(.+):[0-9]{1,5}")
PLAIN = re.compile(r"[A-Za-z0-9_:/@%-]")
QUOTABLE = re.compile(r"[.+*?|(){}$ ,;=~!#&<>]")


class Arms:
    """patched, control: host -> True, in order; last_tier: by the plan no control is left."""

    def __init__(self, arms):
        self.patched = dict.fromkeys(arms.get("patched") or (), True)
        self.control = {name: True for name in arms.get("control") or () if name not in self.patched}
        self.last_tier = bool(arms.get("last_tier"))
        self.addresses = {
            name: str(address)
            for name, address in (arms.get("addresses") or {}).items()
            if address and (name in self.patched or name in self.control)
        }
        self._known = self._index()

    def _index(self):
        """Map what a host may be called elsewhere to its name; an address that two hosts share means neither."""
        known = {}
        for name, address in self.addresses.items():
            key = address.lower()
            known[key] = name if known.get(key, name) == name else None
        known.update({name.lower(): name for name in (*self.control, *self.patched)})
        return known

    def host(self, text):
        """Return the host (str) whose inventory name or address this is, with or without a port; else None."""
        key = text.strip().lower()
        match = PORT.fullmatch(key)
        found = self._known.get(key) or (self._known.get(match.group(1)) if match else None)
        if found or "[" not in key:
            return found
        bare = key if not match or key.endswith("]") else match.group(1)
        return self._known.get(bare.strip("[]"))

    def known(self):
        """Return all that hosts may be called (set of str, lower case)."""
        return {key for key, name in self._known.items() if name}


def expression(hosts, addresses):
    """Return a regular expression (RE2) that matches these hosts' names and addresses, with or without a port.

    It has no backslash and no quote, so it means the same in every kind of PromQL string.
    """
    words = dict.fromkeys(word for host in hosts for word in (host, addresses.get(host)) if word)
    return f"({'|'.join(_literal(word) for word in words)})(:[0-9]+)?"


def _literal(word):
    text = "".join(_quoted(character) for character in word)
    return f"[^0-9a-zA-Z:]?{text}[^0-9a-zA-Z:]?" if ":" in word else text


def _quoted(character):
    if PLAIN.fullmatch(character):
        return character
    return f"[{character}]" if QUOTABLE.fullmatch(character) else "."
