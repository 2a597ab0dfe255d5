# The processes in guests that run tasks: one for each guest, for as long as it answers.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# To log in, to start Python and to import what modules need costs an emulated guest more than most modules do.

import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

from tests.lab import libraries

COMMAND = ["python3", "/var/tmp/python/in_guest.py", "/var/tmp/python"]
# One that does not say so much sooner that it is there is of a boot that has gone.
ANSWERS_SECONDS = 10
LIMIT_SECONDS = 1800


class Runner:
    """in_guest.py in one boot of a guest, at the other end of an ssh connection."""

    def __init__(self, guest):
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            guest.command(COMMAND), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
        )

    def run(self, tasks, seconds):
        """Return the results of tasks; None where the guest, or its connection, has none within so many seconds."""
        try:
            self._process.stdin.write(json.dumps(tasks).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        answer, end = b"", time.monotonic() + seconds
        while not answer.endswith(b"\n"):
            ready = select.select([self._process.stdout], [], [], max(0, end - time.monotonic()))[0]
            found = os.read(self._process.stdout.fileno(), 1 << 20) if ready else b""
            if not found:
                return None
            answer += found
        return json.loads(answer)

    def end(self):
        """End it; return what it said besides."""
        self._process.kill()
        self._process.communicate()
        self._errors.seek(0)
        with self._errors:
            return self._errors.read().decode(errors="replace")


def put(guest):
    """Put what a module needs on a target into a guest."""
    with tempfile.TemporaryDirectory() as directory:
        python = pathlib.Path(directory) / "python"
        python.mkdir()
        libraries.pack(python)
        shutil.copy(pathlib.Path(__file__).with_name("in_guest.py"), python)
        guest.copy(python, "/var/tmp/")


class Runners:
    """Runs tasks in guests; a guest that has booted since gets a new runner."""

    def __init__(self):
        self._runners = {}

    def run(self, guest, tasks):
        """Run tasks in a guest that has what they need; return their results in order. {kernel} is its kernel release."""
        tasks = json.loads(json.dumps(tasks).replace("{kernel}", guest.kernel_release))
        results = self._of(guest).run(tasks, LIMIT_SECONDS)
        if results is None:
            # What it may still say is no answer to what comes next.
            raise AssertionError("%s gave no results\n%s" % (guest.name, self._runners.pop(guest).end()))
        return results

    def _of(self, guest):
        if guest in self._runners:
            if self._runners[guest].run([], ANSWERS_SECONDS) == []:
                return self._runners[guest]
            self._runners[guest].end()
        self._runners[guest] = Runner(guest)
        return self._runners[guest]

    def end(self):
        for runner in self._runners.values():
            runner.end()
