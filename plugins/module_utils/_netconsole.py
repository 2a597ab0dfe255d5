# netconsole's messages with the livepatch that runs in each of them: its targets in configfs, and what they carry.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# Documentation/networking/netconsole.rst. Since 6.9 a target has userdata, which ends every message of an extended
# target; since 6.6 messages may begin with the kernel release. Before that the log itself is told, with each change.

import errno
import os

from ansible_collections.kernel.livepatch.plugins.module_utils import _sysfs

TARGETS = "sys/kernel/config/netconsole"
LOG = "dev/kmsg"
KEY = "livepatch"
NONE = "none"
# Targets of this collection begin so; nobody else's are removed or set up.
PREFIX = "livepatch-"
# A longer value is refused with EMSGSIZE (drivers/net/netconsole.c, MAX_EXTRADATA_VALUE_LEN).
MOST_BYTES = 190
# In this order: the device must be known before addresses are checked against it. What is not given stays the kernel's.
ATTRIBUTES = ("dev_name", "local_ip", "local_port", "remote_ip", "remote_port", "remote_mac")


def value(host):
    """Return what messages carry (str) for a _sysfs.Host: livepatches, oldest first, with commas; none without any."""
    words = []
    for name, patch in host.patches.items():
        state = "" if not patch.transition else " (patching)" if patch.enabled else " (unpatching)"
        words.append(name + state)
    return (",".join(words) or NONE).encode("utf-8")[:MOST_BYTES].decode("utf-8", "ignore")


def publish(root, targets, host, changed):
    """Set up targets (list of dict, see ATTRIBUTES, each with name) and have all targets tell what a _sysfs.Host runs.

    changed: whether that has changed since it was told last; where messages cannot carry it, the log is told then.
    Raises EnvironmentError.
    """
    for target in targets:
        set_up(root, target)
    found = names(root)
    tagged = [name for name in found if _tag(root, name, value(host))]
    if changed and len(tagged) < len([name for name in found if _is_on(root, name)]):
        # A line without its end is shown to nobody until the next one comes.
        words = "livepatch-marker: active=%s release=%s\n" % (value(host), host.kernel_release)
        _write(os.path.join(root, LOG), "<5>" + words)


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
        remote = _sysfs.read_text(_place(root, name, "remote_ip"))
        found.append({"name": name, "enabled": on, "remote_ip": remote, "how": how if on else None})
    return found


def set_up(root, target):
    """Make a target as wanted, and switch it on; one that is so already is left alone."""
    name = PREFIX + target["name"]
    if _is_on(root, name) and not _differs(root, name, target):
        return
    _mkdir(_place(root, name))
    if _is_on(root, name):
        _write(_place(root, name, "enabled"), "0")
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
    """Have a target's messages carry these words; return whether they can."""
    if not _carries(root, name):
        return False
    place = _place(root, name, "userdata", KEY)
    _mkdir(place)
    if _sysfs.read_text(os.path.join(place, "value")) != words:
        _write(os.path.join(place, "value"), words)
    return True


def _carries(root, name):
    extended = _sysfs.read_number(_place(root, name, "extended"))
    return bool(extended) and os.path.isdir(_place(root, name, "userdata"))


def _is_on(root, name):
    return _sysfs.read_number(_place(root, name, "enabled")) == 1


def _differs(root, name, target):
    given = [attribute for attribute in ATTRIBUTES if target.get(attribute) is not None]
    return any(_sysfs.read_text(_place(root, name, attribute)) != str(target[attribute]) for attribute in given)


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
