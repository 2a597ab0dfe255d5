# Programs whose output is bounded, and signals that wait until this process has put back what it must.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import contextlib
import os
import select
import signal
import subprocess
import time

_CHUNK = 64 * 1024
_STEP = 0.1  # seconds between two looks at whether it has ended


def run(command, most, seconds):
    """Return (status, output) of a command: its exit status (int, not 0 when it was ended) and what it printed (bytes).

    It is ended, with everything that it has started, when it has printed `most` bytes or takes longer than seconds. What
    it leaves running (a daemon with a session of its own) may keep the pipe open: that is not waited for.
    Raises EnvironmentError where it cannot be started.
    """
    process = _started(command)
    deadline = time.monotonic() + seconds
    try:
        with process.stdout:
            output = _read(process, most, deadline)
        if len(output) < most:
            process.wait(max(0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:
            _end(process)
    return process.wait(), output


@contextlib.contextmanager
def output_of(command):
    """A context that gives what a command prints as a file of bytes; ValueError where it fails after it was read to its end.

    It is ended when the context is left before. Raises EnvironmentError where it cannot be started.
    """
    process = _started(command)
    try:
        with process.stdout:
            yield process.stdout
            whole = not process.stdout.read(1)
        if whole and process.wait():
            raise ValueError("%s ended with %d" % (command[0], process.returncode))
    finally:
        if process.poll() is None:
            _end(process)
            process.wait()


def _started(command):
    with open(os.devnull, "r+b") as null:
        return subprocess.Popen(  # pylint: disable=ansible-bad-function
            command,
            stdin=null,
            stdout=subprocess.PIPE,
            stderr=null,
            env=dict(os.environ, LC_ALL="C", LANGUAGE="C"),
            start_new_session=True,
        )


def _read(process, most, deadline):
    """Return what a process prints until it ends, or the deadline (bytes, at most `most`)."""
    descriptor, parts, left = process.stdout.fileno(), [], most
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    while left > 0 and time.monotonic() < deadline:
        ended = process.poll() is not None
        if not poller.poll(0 if ended else _STEP * 1000):
            if ended:
                break
            continue
        part = os.read(descriptor, min(_CHUNK, left))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _end(process):
    """End a command with everything it has started: a child would keep the pipe open."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except EnvironmentError:
        pass  # it has just ended by itself


class Signals(object):
    """While in this context, a signal that would end the process raises SystemExit, or waits for the end."""

    _NUMBERS = (signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self._former = {}
        self._waits = False
        self._late = None

    def __enter__(self):
        for number in self._NUMBERS:
            # None: whoever embeds Python has put a handler there, which could not be put back.
            if signal.getsignal(number) not in (None, signal.SIG_IGN):
                self._former[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *unused):
        for number, former in self._former.items():
            signal.signal(number, former)
        if self._late is not None:
            os.kill(os.getpid(), self._late)

    def wait(self):
        """From now on a signal waits for the end of the context."""
        self._waits = True

    def _heard(self, number, unused):
        if self._waits:
            self._late = number
            return
        self._waits = True
        raise SystemExit(128 + number)
