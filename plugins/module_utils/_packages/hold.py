# Holding back for a while what patches this host by itself: its timers go on, and what they start does nothing.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# All of it lies in /run, so a boot ends it, and it has an end that nobody needs to come back for: a condition of the service
# compares the clock with a file. Neither a timer is stopped nor a unit masked: what is enabled stays so, a run that was
# missed is not made up for on the whole fleet at once, and a run in the middle of a transaction of RPM is left alone.

import glob
import os
import time

from ansible_collections.kernel.livepatch.plugins.module_utils._files import etc, run_files, times, writing
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import automation

LONGEST = 30 * 24 * 3600
# A hold of which more than that part is left stays as it is, so that the same task again changes nothing.
_ENOUGH = 0.9
# test(1) is true, and the service runs, when the file is older than what the kernel makes for the process that asks, or gone.
_DROP_IN = """\
# Written by kernel.livepatch.livepatch_automation. This service runs again when the time of that file is over, or after a boot.
[Service]
ExecCondition=/usr/bin/test /%s -ot /proc/self/cmdline
""" % os.path.join(run_files.DIRECTORY, automation.HELD)


class Run(object):
    """One execution of the module.

    hold: for how long (seconds), 0 to give back what is held, None only to look. run_command: AnsibleModule.run_command.
    Warnings for the user are collected in `warnings`.
    """

    def __init__(self, hold, run_command, check_mode, root="/", now=time.time):
        self.hold = hold
        self.run_command = run_command
        self.check_mode = check_mode
        self.root = root
        self.now = now
        self.warnings = []

    def execute(self):
        """Do what was asked for; return the module's result (dict), or raise LivepatchError."""
        found = automation.find(self.root, now=self.now)
        timers = [one.timer for one in found if automation.is_timer(one.timer)] if etc.has_systemd(self.root) else []
        services = sorted(set(automation.service_of(self.root, timer) for timer in timers))
        before = self._state()
        changed, after = False, before
        if self.hold:
            moment = self.now() + self.hold
            changed = bool(services) and not self._is_held(services)
            after = {"services": services, "until": times.to_text(moment)} if changed else before
        elif self.hold == 0:
            changed = bool(self._drop_ins()) or os.path.lexists(self._clock())
            after = {"services": [], "until": None}
        if changed and not self.check_mode:
            self._keep(services, moment) if self.hold else self._give_back()
            found = automation.find(self.root, now=self.now)
        held = after["services"] if after["until"] else []
        free = [one for one in found if one.timer and self.hold and not self._holds(one.timer, held)]
        return {
            "changed": changed,
            "diff": {"before": before, "after": after},
            "automation": [dict(one._asdict()) for one in found],
            "held": [timer for timer in timers if self._holds(timer, held)],
            "held_until": after["until"],
            "not_held": [one.timer for one in free],
        }

    def _holds(self, timer, services):
        return automation.is_timer(timer) and automation.service_of(self.root, timer) in services

    def _state(self):
        moment = automation.until(self.root, self.now)
        names = [os.path.basename(os.path.dirname(path))[: -len(".d")] for path in self._drop_ins()]
        return {"services": sorted(names) if moment else [], "until": times.to_text(moment) if moment else None}

    def _clock(self):
        return run_files.path(self.root, automation.HELD)

    def _drop_ins(self):
        return glob.glob(os.path.join(glob.escape(self.root), automation.drop_in("*")))

    def _is_held(self, services):
        moment = automation.until(self.root, self.now)
        if moment is None or moment < self.now() + _ENOUGH * self.hold:
            return False
        return not any(etc.differs(self.root, automation.drop_in(service), _DROP_IN) for service in services)

    def _keep(self, services, moment):
        changed = [service for service in services if etc.differs(self.root, automation.drop_in(service), _DROP_IN)]
        try:
            # First the clock: without it what is held would run.
            where = run_files.directory(self.root)
            new = writing.new_name(os.path.join(where, automation.HELD))
            writing.write(new, b"", flush=False)
            os.utime(new, (moment, moment))
            os.rename(new, self._clock())
            for service in changed:
                etc.write(self.root, automation.drop_in(service), _DROP_IN)
        except EnvironmentError as error:
            raise etc.refusal(error, "/" + automation.drop_in(services[0]), "/run")
        if changed:
            etc.systemctl(self.run_command, ["daemon-reload"], needed=True)
        self._prove(services)

    def _prove(self, services):
        """systemd has to know the condition, which it does since version 243; and what runs already is not ended."""
        code, output, errors = etc.asked(
            self.run_command, ["show", "--property=Id,ActiveState,ExecCondition", "--"] + services
        )
        parts = [part for part in output.split("\n\n") if part.strip()]
        known = [part for part in parts if "/%s" % os.path.join(run_files.DIRECTORY, automation.HELD) in part]
        if code != 0 or len(known) < len(services):
            self._give_back()
            raise LivepatchError(
                "not_held",
                "%s: expected systemd to hold it back by ExecCondition, which it knows since version 243; found %s. Nothing is "
                "held back. Stop the timer for the time of the rollout by other means."
                % (", ".join(services), (errors.strip() or "a systemd that does not")[-300:]),
            )
        for part in parts:
            if "ActiveState=activating" in part or "ActiveState=active" in part:
                self.warnings.append(
                    "%s runs right now, and is not ended: what it installs may still come."
                    % dict(line.partition("=")[::2] for line in part.splitlines()).get("Id")
                )

    def _give_back(self):
        try:
            writing.remove(self._clock())
            for path in self._drop_ins():
                writing.remove(path)
                try:
                    os.rmdir(os.path.dirname(path))
                except EnvironmentError:
                    pass  # It has drop-ins of others.
        except EnvironmentError as error:
            raise etc.refusal(error, self._clock(), "/run")
        etc.systemctl(self.run_command, ["daemon-reload"])
