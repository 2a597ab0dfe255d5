# What a host keeps so that everybody can see its livepatches: where the files lie, and the systemd units.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

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


def units(interpreter, netconsole=False):
    """Return {path: text} of the systemd units.

    interpreter: path of the Python that runs the program (str). netconsole: whether its targets are to be set up (bool).
    """
    before = _LOAD_NETCONSOLE if netconsole else ""
    service = _SERVICE_TEXT % {"interpreter": interpreter, "program": PROGRAM, "before": before}
    return {UNITS + "/" + SERVICE: service, UNITS + "/" + TIMER: _TIMER_TEXT}
