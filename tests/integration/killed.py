# Kills an execution of the module livepatch at each of its steps, in a guest, and gives the same task again.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: killed.py DIRECTORY BEFORE.ko AFTER.ko
#        killed.py DIRECTORY RELEASE OTHER LOADING
# DIRECTORY holds in_guest.py and what that needs. Prints one JSON object a line for each step at which it killed. With
# releases it goes from one to the other and back, killed each time at another step, and in the end to one whose package
# loads its livepatch.

import glob
import importlib
import json
import os
import signal
import sys
import threading
import time

OURS = "ansible_collections.kernel.livepatch.plugins."
# Before and after each change of the kernel, and once while it is waited for.
CALLS = ("load", "unload", "write")
SLEEPS = 1
# What a release takes besides, by the file and the name of what is called.
OF_A_RELEASE = (
    ("_files.run_files", "write"),
    ("_files.run_files", "remove"),
    ("_packages.package_manager", "Manager.run"),
    ("_change.copies", "Staged.__init__"),
    ("_change.copies", "Staged.keep"),
    ("_change.copies", "prune"),
)
STEPS = (
    "after write",  # what it begins with is noted
    "after run",  # of the package manager
    "after __init__",  # of the copy
    "before load",
    "after load",
    "after keep",
    "after unload",
    "after prune",
    "before remove",  # of the note
)
IN_A_SCRIPTLET = "in a scriptlet"


class Killer(object):
    """Sends SIGKILL to its own process at one of the steps, by its number or name; counts those that it passes."""

    def __init__(self, at):
        self.at = at
        self.passed = 0
        self.sleeps = 0

    def step(self, name):
        if self.at in (self.passed, name):
            os.write(self.report, name.encode("ascii"))
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed += 1

    def watch(self, kernel, clock, report):
        """Put the steps into the process that will be killed; report: a descriptor for the name of the last step."""
        self.report = report
        for name in CALLS:
            setattr(kernel, name, self._around(name, getattr(kernel, name)))
        clock.sleep = staticmethod(self._sleeping(clock.sleep))
        for where, what in OF_A_RELEASE if not isinstance(self.at, int) else ():
            place = importlib.import_module(OURS + "module_utils." + where)
            for name in what.split(".")[:-1]:
                place = getattr(place, name)
            name = what.rsplit(".", maxsplit=1)[-1]
            setattr(place, name, self._around(name, getattr(place, name)))
        if self.at == IN_A_SCRIPTLET:
            threading.Thread(target=self._when_a_scriptlet_loads, daemon=True).start()

    def _when_a_scriptlet_loads(self):
        before = set(enabled())
        while set(enabled()) <= before:
            time.sleep(0.01)
        self.step(IN_A_SCRIPTLET)

    def _around(self, name, function):
        def called(*arguments):
            self.step("before " + name)
            found = function(*arguments)
            self.step("after " + name)
            return found

        return called

    def _sleeping(self, function):
        def called(seconds):
            self.sleeps += 1
            if self.sleeps <= SLEEPS:
                self.step("waiting")
            function(seconds)

        return called


def killed(in_guest, one, at):
    """Run a task in a process that is killed at a step; return the step's name, None when it ended before."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        kernel = importlib.import_module(OURS + "module_utils._kernel.syscalls")
        clock = importlib.import_module(OURS + "module_utils._kernel.transitions").Clock
        Killer(at).watch(kernel, clock, writing)
        in_guest.run_module(one)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        name = stream.read()
    os.waitpid(child, 0)
    return name or None


def enabled():
    """The livepatches that the kernel shows."""
    return os.listdir("/sys/kernel/livepatch")


def task(**options):
    return {"name": "livepatch", "kernel.livepatch.livepatch": options}


def run(in_guest, **options):
    return dict({"failed": False}, **in_guest.run_task(task(**options)))


def tell(**found):
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def releases(in_guest, former, wanted, loading):
    """Go from one release to the other, killed at another step each time."""
    run(in_guest, release=former)
    for step in STEPS + (IN_A_SCRIPTLET,):
        wanted = loading if step == IN_A_SCRIPTLET else wanted
        for copy in glob.glob("/var/lib/livepatch/*/%s.ko" % wanted):
            os.unlink(copy)
        reached = killed(in_guest, task(release=wanted), step)
        runs = enabled()
        again = run(in_guest, release=wanted)
        third = run(in_guest, release=wanted)
        tell(step=step, reached=reached, former=former, runs=runs, again=again, third=third)
        former, wanted = wanted, former


def main():
    directory, before, after = sys.argv[1:4]
    import in_guest

    in_guest.use(directory)
    with in_guest.arguments({}):
        pass
    importlib.import_module(OURS + "modules.livepatch")
    if len(sys.argv) > 4:
        return releases(in_guest, before, after, sys.argv[4])
    for at in range(100):
        first = run(in_guest, path=before)
        step = killed(in_guest, task(path=after), at)
        with open("/proc/modules") as stream:
            loaded = [line.split()[0] for line in stream if line.startswith("hotfix")]
        if step is None:
            break
        again = run(in_guest, path=after)
        third = run(in_guest, path=after)
        tell(step=step, first=first, loaded=loaded, again=again, third=third)
    run(in_guest, all=True, state="absent")


if __name__ == "__main__":
    main()
