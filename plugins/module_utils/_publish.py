# What every program on a host can read about its livepatches: two small files, and metrics where they are wanted.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import json
import os

from ansible_collections.kernel.livepatch.plugins.module_utils import _run_files, _sysfs, _visibility_files

# Below /run/livepatch: a line for each livepatch, and the effective release.
ACTIVE, RELEASE = "active", "effective-release"
METRICS = "livepatch.prom"


def active(root, host):
    """Return the content of the file active (str) for a _sysfs.Host.

    One line for each livepatch that is enabled or in transition, oldest first: name, state (enabled, patching or
    unpatching) and build id of the code in the kernel (- when it has none), with tabs between them.
    """
    lines = []
    for name, patch in host.patches.items():
        lines.append("%s\t%s\t%s\n" % (name, _sysfs.patch_state(patch), _sysfs.build_id(root, name) or "-"))
    return "".join(lines)


def settings(root):
    """Return what the module livepatch_visibility was told (dict), empty where it was not."""
    try:
        found = json.loads((_sysfs.read_bytes(os.path.join(root, _visibility_files.SETTINGS)) or b"{}").decode("utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def publish(root="/", log=None):
    """Write all files as the host is now, and tell netconsole. Raises LivepatchError and EnvironmentError.

    log: a function that returns the records of the kernel's log (list of _kernel_log.Record), asked only during a
    transition; None for the log of this machine.
    """
    wanted, host = settings(root), _sysfs.read_host(root)
    _write_state(root, host)
    if wanted.get("textfile_directory"):
        _write_metrics(root, host, wanted["textfile_directory"].lstrip("/"), log)
    if wanted.get("netconsole_targets") is not None:
        # Imported by a run only when there is somebody to tell.
        from ansible_collections.kernel.livepatch.plugins.module_utils import _netconsole

        _netconsole.publish(root, wanted["netconsole_targets"], host)


def update(root, warnings):
    """The same after a change, in a run whose result does not depend on it: what fails is added to warnings (list).

    Only where livepatch_visibility was asked for: elsewhere nobody would keep the files true.
    """
    try:
        if settings(root):
            publish(root)
    except Exception as error:  # pylint: disable=broad-except
        warnings.append("What runs could not be told to other programs: %s." % error)


def _write_state(root, host):
    _run_files.directory(root)
    for name, text in ((RELEASE, host.effective_release + "\n"), (ACTIVE, active(root, host))):
        # The time of the file is that of the last change.
        if _sysfs.read_bytes(_run_files.path(root, name)) != text.encode("utf-8"):
            _run_files.write_text(root, name, text)


def _write_metrics(root, host, directory, log):
    from ansible_collections.kernel.livepatch.plugins.module_utils import _facts, _metrics

    facts = _facts.of_kernel(root, host)
    seconds, blockers = None, {}
    if facts["transition"]:
        seconds, blockers = _of_transition(root, facts["transition"]["livepatch"], log)
    changed = os.stat(_run_files.path(root, ACTIVE)).st_mtime
    place = os.path.join(root, directory)
    _run_files.replace(place, METRICS, _metrics.render(facts, seconds, blockers, changed))


def _of_transition(root, name, log):
    from ansible_collections.kernel.livepatch.plugins.module_utils import _blockers, _kernel_log, _livepatch_log

    records = log() if log else _kernel_log.read().records
    return _livepatch_log.lasts(records, name, root), _blockers.reasons(root, name)
