# Programs whose output is bounded: AnsibleModule.run_command keeps all of it, and waits for as long as it takes.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import os
import signal
import subprocess
import threading


def run(command, most, seconds):
    """Return (status, output) of a command: its exit status (int, not 0 when it was ended) and what it printed (bytes).

    It is ended, with everything that it has started, when it has printed `most` bytes or takes longer than seconds.
    Raises EnvironmentError where it cannot be started.
    """
    with open(os.devnull, "r+b") as null:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            command,
            stdin=null,
            stdout=subprocess.PIPE,
            stderr=null,
            env=dict(os.environ, LC_ALL="C", LANGUAGE="C"),
            start_new_session=True,
        )
    late = threading.Timer(seconds, _end, [process])
    late.start()
    try:
        with process.stdout:
            output = process.stdout.read(most)
        if len(output) == most:
            _end(process)
        return process.wait(), output
    finally:
        late.cancel()


def _end(process):
    """End a command with everything it has started: a child would keep the pipe open."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except EnvironmentError:
        pass  # it has just ended by itself
