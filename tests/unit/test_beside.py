# Two commands beside each other: both are run to their end, both are heard, and each can fail the whole.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import subprocess
import sys

import pytest

BESIDE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tools", "beside.py")


def run(directory, background, foreground):
    """Run the tool from a copy of its own, so that a test run that uses it is not disturbed; returns (status, output)."""
    tools = directory / "tests" / "tools"
    tools.mkdir(parents=True)
    for name in ("beside.py", "collection.py"):
        with open(os.path.join(os.path.dirname(BESIDE), name), encoding="utf-8") as source:
            (tools / name).write_text(source.read(), encoding="utf-8")
    command = [sys.executable, str(tools / "beside.py"), "sh", "-c", background, "--", "sh", "-c", foreground]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=60)
    return done.returncode, done.stdout.decode()


def test_the_output_of_the_one_in_the_background_follows_at_the_end(tmp_path):
    status, output = run(tmp_path, "echo behind; exit 0", "sleep 0.2; echo before")
    assert status == 0 and output.index("before") < output.rindex("behind")


def test_the_one_in_the_background_only_has_what_is_left_of_the_processors(tmp_path):
    status, output = run(tmp_path, "chrt --pid $$", "chrt --pid $$")
    assert status == 0 and output.count("SCHED_IDLE") == 1 and output.rstrip().count("SCHED_OTHER") == 1


@pytest.mark.parametrize("background, foreground", [("exit 3", "true"), ("true", "exit 3"), ("exit 3", "exit 4")])
def test_each_can_fail_the_whole_and_the_other_is_run_to_its_end(tmp_path, background, foreground):
    status, output = run(tmp_path, "echo one; " + background, "echo two; " + foreground)
    assert status == 1 and "one" in output and "two" in output
