# netconsole's messages with the livepatch that runs in each of them: its targets in configfs, and what they carry.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Documentation/networking/netconsole.rst. Since 6.9 a target has userdata, which ends every message of an extended
# target; since 6.6 messages may begin with the kernel release. Before that the log itself is told, with each change.

import errno
import ipaddress
import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading, run_files
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs

TARGETS = "sys/kernel/config/netconsole"
LOG = "dev/kmsg"
# Below /run/livepatch: what the log was told last.
MARKER = "netconsole-marker"
EVERYBODY = "ff:ff:ff:ff:ff:ff"
_IFF_UP = 1  # include/uapi/linux/if.h
KEY = "livepatch"
NONE = "none"
# Targets of this collection begin so; nobody else's are removed or set up.
PREFIX = "livepatch-"
# A longer value is refused with EMSGSIZE (drivers/net/netconsole.c, MAX_EXTRADATA_VALUE_LEN).
MOST_BYTES = 190
# In this order: the device must be known before addresses are checked against it. What is not given stays the kernel's.
ATTRIBUTES = ("dev_name", "local_ip", "local_port", "remote_ip", "remote_port", "remote_mac")

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,29}\Z")
_DEVICE = re.compile(r"[^\s/]{1,15}\Z")
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}\Z")


def normal(target):
    """Return a target (dict, as the module's options have it) with its values as the kernel shows them; raise bad_option."""
    found = dict(target)
    if not _NAME.match(found["name"]):
        raise _wrong(target, "name", "at most 30 letters a-z, digits, '_' and '-'", found["name"])
    if not _DEVICE.match(found["dev_name"]):
        raise _wrong(target, "dev_name", "the name of a network interface", found["dev_name"])
    for key in ("local_ip", "remote_ip"):
        if found[key] is not None:
            try:
                found[key] = str(ipaddress.ip_address(found[key]))
            except ValueError:
                raise _wrong(target, key, "an IPv4 or IPv6 address", found[key])
    for key in ("local_port", "remote_port"):
        if not 1 <= found[key] <= 65535:
            raise _wrong(target, key, "1 to 65535", found[key])
    if found["remote_mac"] is not None:
        found["remote_mac"] = found["remote_mac"].lower()
        if not _MAC.match(found["remote_mac"]):
            raise _wrong(target, "remote_mac", "a MAC address with colons", found["remote_mac"])
    return found


def _wrong(target, key, expected, found):
    words = "netconsole_targets, %s: %s: expected %s, found %s. Nothing was changed."
    return LivepatchError("bad_option", words % (target["name"], key, expected, found))


def value(host):
    """Return what messages carry (str) for a sysfs.Host: livepatches, oldest first, with commas; none without any."""
    words = []
    for name, patch in host.patches.items():
        words.append("%s (%s)" % (name, sysfs.patch_state(patch)) if patch.transition else name)
    return (",".join(words) or NONE).encode("utf-8")[:MOST_BYTES].decode("utf-8", "ignore")


def publish(root, targets, host):
    """Set up targets (list of dict, see ATTRIBUTES, each with name) and have all targets tell what a sysfs.Host runs.

    Where messages cannot carry it, the log is told once of each change. One target that fails does not keep the others
    from it; raises LivepatchError at the end: netconsole_failed.
    """
    failures = []
    for target in targets:
        _tried(failures, set_up, root, target)
    words = value(host)
    for name in names(root):
        _tried(failures, _tag, root, name, words)
    if any(_is_on(root, name) and not _carries(root, name) for name in names(root)):
        _tried(failures, _mark, root, words, host.kernel_release)
    if failures:
        raise LivepatchError(
            "netconsole_failed",
            "netconsole: expected all of its targets to tell which livepatch runs, found: %s. See the kernel log."
            % "; ".join("%s: %s" % (error.filename or "a target", error.strerror) for error in failures),
        )


def _tried(failures, work, *arguments):
    try:
        work(*arguments)
    except EnvironmentError as error:
        failures.append(error)


def _mark(root, words, kernel_release):
    """Tell the log what runs, unless it was told so last in this boot."""
    marker = "livepatch-marker: active=%s release=%s" % (words, kernel_release)
    if reading.read_text(run_files.path(root, MARKER)) != marker:
        # A line without its end is shown to nobody until the next one comes.
        _write(os.path.join(root, LOG), "<5>" + marker + "\n")
        run_files.write_text(root, MARKER, marker)


def names(root):
    """Return the names of the targets that can be changed while the kernel runs (list of str, sorted)."""
    try:
        return sorted(name for name in os.listdir(os.path.join(root, TARGETS)) if os.path.isdir(_place(root, name)))
    except EnvironmentError:
        return []


def described(root):
    """Return how each target tells which livepatch runs: list of {name, enabled, remote_ip, how}.

    how: "userdata" (in each message), "marker" (a line in the log with each change, as this kernel, or a target that is
    not extended, has nothing better), or None for a target that is off.
    """
    found = []
    for name in names(root):
        on = _is_on(root, name)
        how = "userdata" if _carries(root, name) else "marker"
        remote = reading.read_text(_place(root, name, "remote_ip"))
        found.append({"name": name, "enabled": on, "remote_ip": remote, "how": how if on else None})
    return found


def set_up(root, target):
    """Make a target as wanted, and switch it on; one that is so already is left alone.

    A network interface that is down stays down: netconsole itself would bring it up (netpoll_setup() in the kernel).
    """
    name = PREFIX + target["name"]
    if _is_on(root, name) and not _differs(root, name, target):
        return
    flags = os.path.join(root, "sys/class/net", target["dev_name"], "flags")
    if not int(reading.read_text(flags) or "0", 16) & _IFF_UP:
        raise OSError(errno.ENETDOWN, "the network interface %s is not up" % target["dev_name"], name)
    _take_away(root, name)
    _mkdir(_place(root, name))
    for attribute in ATTRIBUTES:
        if target.get(attribute) is not None:
            _write(_place(root, name, attribute), str(target[attribute]))
    _write(_place(root, name, "extended"), "1")
    if os.path.exists(_place(root, name, "release")):
        _write(_place(root, name, "release"), "1")
    _write(_place(root, name, "enabled"), "1")


def differs(root, targets):
    """Return whether the targets of this collection are not these (list of dict), or are not on."""
    wanted = {PREFIX + target["name"]: target for target in targets}
    if {name for name in names(root) if name.startswith(PREFIX)} != set(wanted):
        return True
    return any(not _is_on(root, name) or _differs(root, name, target) for name, target in wanted.items())


def remove(root, kept=()):
    """Remove the targets of this collection but those named (kept: names without the prefix)."""
    for name in names(root):
        if name.startswith(PREFIX) and name[len(PREFIX) :] not in kept:
            _take_away(root, name)


def _take_away(root, name):
    if not os.path.isdir(_place(root, name)):
        return
    if _is_on(root, name):
        _write(_place(root, name, "enabled"), "0")
    _untag(root, name)
    _rmdir(_place(root, name))


def untag(root):
    """Take what this collection has added out of every target."""
    for name in names(root):
        _untag(root, name)


def _untag(root, name):
    if os.path.isdir(_place(root, name, "userdata", KEY)):
        _rmdir(_place(root, name, "userdata", KEY))


def _tag(root, name, words):
    """Have a target's messages carry these words, where they can."""
    if not _carries(root, name):
        return
    place = _place(root, name, "userdata", KEY)
    _mkdir(place)
    if reading.read_text(os.path.join(place, "value")) != words:
        _write(os.path.join(place, "value"), words)


def _carries(root, name):
    extended = reading.read_number(_place(root, name, "extended"))
    return bool(extended) and os.path.isdir(_place(root, name, "userdata"))


def _is_on(root, name):
    return reading.read_number(_place(root, name, "enabled")) == 1


def _differs(root, name, target):
    wanted = dict({"remote_mac": EVERYBODY}, **{key: target[key] for key in ATTRIBUTES if target.get(key) is not None})
    return any(reading.read_text(_place(root, name, key)) != str(wanted[key]) for key in wanted)


def _place(root, name, *more):
    return os.path.join(root, TARGETS, name, *more)


def _mkdir(place):
    try:
        os.mkdir(place)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise


def _rmdir(place):
    os.rmdir(place)


def _write(place, words):
    descriptor = os.open(place, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, words.encode("utf-8"))
    except OSError as error:
        raise OSError(error.errno, "%s when %r was written" % (error.strerror, words), place)
    finally:
        os.close(descriptor)
