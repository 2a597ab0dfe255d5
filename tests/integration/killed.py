# Kills an execution of the module livepatch at each of its steps, in a guest, and gives the same task again.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: killed.py DIRECTORY BEFORE.ko AFTER.ko
# DIRECTORY holds in_guest.py and what that needs. Prints one JSON object a line for each step at which it killed.

import importlib
import json
import os
import signal
import sys

OURS = "ansible_collections.kernel.livepatch.plugins."
# Before and after each change of the kernel, and once while it is waited for.
CALLS = ("load", "unload", "write")
SLEEPS = 1


class Killer(object):
    """Sends SIGKILL to its own process at one of the steps; counts those that it passes."""

    def __init__(self, at):
        self.at = at
        self.passed = 0
        self.sleeps = 0

    def step(self, name):
        if self.passed == self.at:
            os.write(self.report, name.encode("ascii"))
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed += 1

    def watch(self, kernel, clock, report):
        """Put the steps into the process that will be killed; report: a descriptor for the name of the last step."""
        self.report = report
        for name in CALLS:
            setattr(kernel, name, self._around(name, getattr(kernel, name)))
        clock.sleep = staticmethod(self._sleeping(clock.sleep))

    def _around(self, name, function):
        def called(*arguments):
            self.step("before " + name)
            function(*arguments)
            self.step("after " + name)

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


def task(**options):
    return {"name": "livepatch", "kernel.livepatch.livepatch": options}


def run(in_guest, **options):
    return dict({"failed": False}, **in_guest.run_task(task(**options)))


def main():
    directory, before, after = sys.argv[1:]
    import in_guest

    in_guest.use(directory)
    with in_guest.arguments({}):
        pass
    importlib.import_module(OURS + "modules.livepatch")
    for at in range(100):
        first = run(in_guest, path=before)
        step = killed(in_guest, task(path=after), at)
        with open("/proc/modules") as stream:
            loaded = [line.split()[0] for line in stream if line.startswith("hotfix")]
        if step is None:
            break
        again = run(in_guest, path=after)
        third = run(in_guest, path=after)
        sys.stdout.write(
            json.dumps({"step": step, "first": first, "loaded": loaded, "again": again, "third": third}) + "\n"
        )
        sys.stdout.flush()
    run(in_guest, all=True, state="absent")


if __name__ == "__main__":
    main()
