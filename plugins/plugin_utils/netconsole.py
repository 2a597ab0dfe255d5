# Targets of netconsole as people write them, checked and made uniform. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import re

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,29}")
KEYS = ("name", "dev_name", "local_ip", "local_port", "remote_ip", "remote_port", "remote_mac")
ADDRESSES = ("local_ip", "remote_ip")
PORTS = ("local_port", "remote_port")


def check(targets):
    """Return the targets (list of dict) checked; RolloutError names what is wrong with which."""
    if not isinstance(targets, (list, tuple)):
        raise RolloutError(f"netconsole targets: expected a list of dicts, found {targets!r}.")
    found = [_target(target) for target in targets]
    names = [target["name"] for target in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise RolloutError(f"netconsole target {twice[0]!r}: expected one of that name, found {len(twice)}.")
    return found


def _target(target):
    if not isinstance(target, dict) or not isinstance(target.get("name"), str) or not NAME.fullmatch(target["name"]):
        raise RolloutError(
            f"netconsole target {target!r}: expected a dict with a name of at most 30 letters a-z, digits, '_' and '-'."
        )
    unknown = [key for key in target if key not in KEYS]
    if unknown:
        raise _wrong(target, unknown[0], f"expected one of {', '.join(KEYS)}")
    if target.get("remote_ip") is None:
        raise _wrong(target, "remote_ip", "expected the address of the host that receives the messages, found none")
    checked = {key: _address(target, key) for key in ADDRESSES if target.get(key) is not None}
    if "local_ip" in checked and ":" in checked["local_ip"] + checked["remote_ip"] and not (
        ":" in checked["local_ip"] and ":" in checked["remote_ip"]
    ):  # fmt: skip
        raise _wrong(target, "local_ip", f"expected the family of remote_ip, {checked['remote_ip']}, found {checked['local_ip']}")
    checked.update({key: _port(target, key) for key in PORTS if target.get(key) is not None})
    if target.get("remote_mac") is not None:
        checked["remote_mac"] = _mac(target)
    return {**target, **checked}


def _address(target, key):
    netaddr = _library()
    try:
        address = netaddr.IPAddress(str(target[key]), flags=netaddr.INET_PTON)
    except (netaddr.AddrFormatError, ValueError):
        raise _wrong(target, key, f"expected an IPv4 or IPv6 address, found {target[key]!r}") from None
    if address.is_multicast() or int(address) == 0:
        raise _wrong(target, key, f"expected the address of one host, found {address}")
    return str(address)


def _port(target, key):
    text = str(target[key])
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise _wrong(target, key, f"expected 1 to 65535, found {target[key]!r}")
    return int(text)


def _mac(target):
    netaddr = _library()
    try:
        return str(netaddr.EUI(str(target["remote_mac"]), version=48, dialect=netaddr.mac_unix_expanded))
    except (netaddr.AddrFormatError, ValueError):
        raise _wrong(target, "remote_mac", f"expected a MAC address, found {target['remote_mac']!r}") from None


def _wrong(target, key, words):
    return RolloutError(f"netconsole target {target['name']!r}, {key}: {words}.")


def _library():
    try:
        import netaddr
    except ImportError:
        raise RolloutError(
            "netconsole targets need the Python library netaddr on the controller: python3 -m pip install netaddr"
        ) from None
    return netaddr
