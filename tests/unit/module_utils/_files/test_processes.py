# Programs whose output is bounded: in bytes, in time, and whatever they leave running.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import signal
import time

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import processes


def run(script, most=1000, seconds=10.0):
    begun = time.monotonic()
    status, output = processes.run(["sh", "-c", script], most, seconds)
    return status, output, time.monotonic() - begun


def test_a_program_says_what_it_prints_and_how_it_ends():
    assert run("echo well; exit 3")[:2] == (3, b"well\n")


def test_a_program_that_takes_too_long_is_ended():
    status, output, seconds = run("echo begun; sleep 60", seconds=0.3)
    assert (status != 0, output, seconds < 5) == (True, b"begun\n", True)


def test_a_program_that_closes_its_output_and_goes_on_is_ended_too():
    status, dummy, seconds = run("exec >&-; sleep 60", seconds=0.3)
    assert status != 0 and seconds < 5


def test_a_program_that_prints_too_much_is_ended():
    status, output, seconds = run("yes", most=100000)
    assert (status != 0, len(output), seconds < 5) == (True, 100000, True)


@pytest.mark.parametrize("seconds", [1.0, 10.0])
def test_a_daemon_that_keeps_the_pipe_open_is_not_waited_for(seconds):
    status, output, took = run("setsid sh -c 'echo $$; exec sleep 8' & sleep 0.2; exit 0", seconds=seconds)
    try:
        assert status == 0 and took < 4
    finally:
        os.kill(int(output), signal.SIGKILL)
