# Other livepatch engines on a host: which there are, and whether one of them has changed the kernel.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# A host without another engine pays a look for each engine's file. Only where the file is there its program is asked,
# with limits, and never through a shell. Livepatches that the kpatch script loads are the kernel's own: no engine.

import collections
import json
import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files import processes, reading
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs

SECONDS = 10.0
BYTES = 256 * 1024

# What `uname -r` prints has numbers first; a word of a plugin or a message has not.
_RELEASE = re.compile(r"\d+\.\d+[A-Za-z0-9_.+~-]*\Z")

Engine = collections.namedtuple("Engine", "name active effective_release")
Engine.__doc__ = """active: whether it has changed the kernel (bool, None: it did not say). effective_release: the kernel
release that the engine says the host effectively runs (str), None where it does not say."""


def find(root="/", host=None, seconds=SECONDS):
    """Return the engines of this host: list of Engine, empty on most hosts.

    host: sysfs.Host, read when it is None and needed. seconds: what one question to an engine may take (float).
    """
    found = []
    for name, places, ask in _ENGINES:
        path = next((path for path in (os.path.join(root, place) for place in places) if os.path.exists(path)), None)
        if path is not None:
            host = host or sysfs.read_host(root)
            active, effective_release = ask(path, host, seconds)
            found.append(Engine(name, active, effective_release))
    return found


def require_idle(engines, subject):
    """Raise other_engine where one of the engines has changed the kernel.

    Returns warnings (list of str) about those that did not say. subject: what was about to be done, for the message.
    """
    for engine in engines:
        if engine.active:
            raise LivepatchError(
                "other_engine",
                "%s: expected no other livepatch engine at work on this host, found %s active%s. Two engines must not "
                "change one kernel: take its patches out first, or give other_engines: ignore if they are known to agree."
                % (subject, engine.name, " (%s)" % engine.effective_release if engine.effective_release else ""),
                engines=[dict(each._asdict()) for each in engines],
            )
    return [
        "%s is installed on this host and did not say whether it has changed the kernel. Make sure that it has not."
        % engine.name
        for engine in engines
        if engine.active is None
    ]


def _ksplice(path, host, seconds):
    # Ksplice changes the kernel with modules of this name; uptrack-uname prints the kernel whose fixes the host has.
    release = _release(_answer([path, "-r"], seconds)) if os.path.basename(path) == "uptrack-uname" else None
    if any(name.startswith("ksplice_") for name in host.modules):
        return True, release
    return (None if release is None else release != host.kernel_release), release


def _kernelcare(path, host, seconds):
    if "kcare" not in host.modules:
        return False, None
    release = _release(_answer([path, "--uname"], seconds))
    return (None if release is None else release != host.kernel_release), release


def _canonical(path, host, seconds):
    text = _answer([path, "status", "--verbose", "--format", "json"], seconds)
    try:
        kernels = json.loads(text or "")["Status"]
        running = [kernel["Livepatch"] for kernel in kernels if kernel.get("Running")]
        applied = [livepatch for livepatch in running if livepatch["State"] in ("applied", "applied-with-bug")]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, None
    version = applied[0].get("Version") if applied else None
    return bool(applied), _with(host, version)


def _syscare(path, host, seconds):
    # Columns: id, name as <package>/<patch>, status. It mends programs too: only the kernel's packages count here.
    text = _answer([path, "list"], seconds)
    if text is None:
        return None, None
    rows = [line.split() for line in text.splitlines()]
    names = [
        row[-2]
        for row in rows
        if len(row) >= 2 and row[-1] in ("ACTIVED", "ACCEPTED") and row[-2].startswith("kernel-")
    ]
    return bool(names), _with(host, names[-1].partition("/")[2] if names else None)


def _kpatch_core(path, host, dummy):
    # The module kpatch.ko, which was an engine of its own before kernels had livepatches.
    enabled = []
    for directory in (path, os.path.join(path, "patches")):
        for name in _names(directory):
            if reading.read_number(os.path.join(directory, name, "enabled")) == 1:
                enabled.append(name)
    return bool(enabled), _with(host, enabled[-1] if enabled else None)


_ENGINES = (
    ("ksplice", ("usr/sbin/uptrack-uname", "usr/bin/ksplice", "usr/sbin/ksplice"), _ksplice),
    ("kernelcare", ("usr/bin/kcarectl",), _kernelcare),
    ("canonical", ("snap/bin/canonical-livepatch",), _canonical),
    ("syscare", ("usr/bin/syscare",), _syscare),
    ("kpatch_core", ("sys/kernel/kpatch",), _kpatch_core),
)


def _with(host, word):
    return "%s-%s" % (host.kernel_release, word) if word not in (None, "") else None


def _names(directory):
    try:
        return sorted(os.listdir(directory))
    except EnvironmentError:
        return []


def _release(text):
    """Return the first line of an answer that can be a kernel release (str), else None."""
    return next((line.strip() for line in (text or "").splitlines() if _RELEASE.match(line.strip())), None)


def _answer(command, seconds):
    """Return what a command prints (str, at most BYTES of it), None where it fails, or does not end within seconds."""
    try:
        status, output = processes.run(command, BYTES, seconds)
    except EnvironmentError:
        return None
    return output.decode("utf-8", "replace") if status == 0 else None
