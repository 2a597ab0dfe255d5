# What all can read about the livepatches of a host: two small files, metrics where they are wanted; and the units.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import json
import os

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading, run_files, writing
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs

# Below /run/livepatch: a line for each livepatch, and the effective release.
ACTIVE, RELEASE = "active", "effective-release"
METRICS = "livepatch.prom"

SERVICE, TIMER = "livepatch-publish.service", "livepatch-publish.timer"
# The program, and the settings for it.
PROGRAM = "etc/livepatch/livepatch.fact"
SETTINGS = "etc/livepatch/visibility.json"
FACT = "livepatch.fact"
UNITS = "etc/systemd/system"
WANTS = {
    SERVICE: UNITS + "/multi-user.target.wants/" + SERVICE,
    TIMER: UNITS + "/timers.target.wants/" + TIMER,
}

_HEAD = "# Written by kernel.livepatch.livepatch_visibility.\n"

# /run/livepatch has more in it than what this service writes: it is not its RuntimeDirectory, which would be removed.
# A network of its own (PrivateNetwork=) would hide the interfaces that the targets of netconsole are to use.
_SERVICE_TEXT = (
    _HEAD
    + """[Unit]
Description=Tell programs which livepatches run
After=livepatch-boot.service kpatch.service local-fs.target network.target

[Service]
Type=oneshot
%(before)sExecStart=%(interpreter)s -I /%(program)s publish
Nice=10
TimeoutStartSec=60
NoNewPrivileges=yes
ProtectHome=read-only

[Install]
WantedBy=multi-user.target
"""
)
_TIMER_TEXT = (
    _HEAD
    + """[Unit]
Description=Tell programs once a minute which livepatches run

[Timer]
OnBootSec=1min
OnUnitActiveSec=1min
AccuracySec=5s

[Install]
WantedBy=timers.target
"""
)

# The module is needed before its targets can be made; where it is missing the rest is done all the same.
_LOAD_NETCONSOLE = "ExecStartPre=-/sbin/modprobe -q netconsole\n"


def active(root, host):
    """Return the content of the file active (str) for a sysfs.Host.

    One line for each livepatch that is enabled or in transition, oldest first: name, state (enabled, patching or
    unpatching) and build id of the code in the kernel (- when it has none), with tabs between them.
    """
    lines = []
    for name, patch in host.patches.items():
        lines.append("%s\t%s\t%s\n" % (name, sysfs.patch_state(patch), sysfs.build_id(root, name) or "-"))
    return "".join(lines)


def settings(root):
    """Return what the module livepatch_visibility was told (dict), empty where it was not."""
    try:
        found = json.loads((reading.read_bytes(os.path.join(root, SETTINGS)) or b"{}").decode("utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def publish(root="/", log=None):
    """Write all files as the host is now, and tell netconsole. Raises LivepatchError and EnvironmentError.

    log: a function that returns the records of the kernel's log (list of kernel_log.Record), asked only during a
    transition; None for the log of this machine.
    """
    wanted, host = settings(root), sysfs.read_host(root)
    _write_state(root, host)
    if wanted.get("textfile_directory"):
        _write_metrics(root, host, wanted["textfile_directory"].lstrip("/"), log)
    if wanted.get("netconsole_targets") is not None:
        # Imported by a run only when there is somebody to tell.
        from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import netconsole

        netconsole.publish(root, wanted["netconsole_targets"], host)


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
    run_files.directory(root)
    for name, text in ((RELEASE, host.effective_release + "\n"), (ACTIVE, active(root, host))):
        # The time of the file is that of the last change.
        if reading.read_bytes(run_files.path(root, name)) != text.encode("utf-8"):
            run_files.write_text(root, name, text)


def _write_metrics(root, host, directory, log):
    from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import kernel_facts, metrics

    facts = kernel_facts.of_kernel(root, host)
    seconds, blockers = None, {}
    if facts["transition"]:
        seconds, blockers = _of_transition(root, facts["transition"]["livepatch"], log)
    changed = os.stat(run_files.path(root, ACTIVE)).st_mtime
    page = metrics.render(facts, seconds, blockers, changed)
    writing.replace(os.path.join(root, directory, METRICS), page.encode("utf-8"), flush=False)


def _of_transition(root, name, log):
    from ansible_collections.kernel.livepatch.plugins.module_utils._health import livepatch_log
    from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log, stalls

    records = log() if log else kernel_log.read().records
    return livepatch_log.lasts(records, name, root), stalls.reasons(root, name)


def units(interpreter, netconsole=False):
    """Return {path: text} of the systemd units.

    interpreter: path of the Python that runs the program (str). netconsole: whether its targets are to be set up (bool).
    """
    before = _LOAD_NETCONSOLE if netconsole else ""
    service = _SERVICE_TEXT % {"interpreter": interpreter, "program": PROGRAM, "before": before}
    return {UNITS + "/" + SERVICE: service, UNITS + "/" + TIMER: _TIMER_TEXT}
