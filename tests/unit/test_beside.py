# Two commands beside each other: both are run to their end, both are heard, and each can fail the whole.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import signal
import subprocess
import sys
import time

import pytest

BESIDE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tools", "beside.py")


def command(directory, background, foreground):
    """The tool in a place of its own, so that a test run that uses it is not disturbed."""
    tools = directory / "tests" / "tools"
    tools.mkdir(parents=True)
    for name in ("beside.py", "collection.py"):
        with open(os.path.join(os.path.dirname(BESIDE), name), encoding="utf-8") as source:
            (tools / name).write_text(source.read(), encoding="utf-8")
    return [sys.executable, str(tools / "beside.py"), "sh", "-c", background, "--", "sh", "-c", foreground]


def run(*words):
    """Run it; returns (status, output)."""
    done = subprocess.run(command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=60)
    return done.returncode, done.stdout.decode()


def test_the_output_of_the_one_in_the_background_follows_at_the_end(tmp_path):
    status, output = run(tmp_path, "printf 'be%s\\n' hind", "sleep 0.2; printf 'be%s\\n' fore")
    assert status == 0 and output.index("before") < output.index("behind")


def test_the_one_in_the_background_only_has_what_is_left_of_the_processors(tmp_path):
    status, output = run(tmp_path, "chrt --pid $$", "chrt --pid $$")
    assert status == 0 and output.count("SCHED_IDLE") == 1 and output.count("SCHED_OTHER") == 1


@pytest.mark.parametrize(
    "background, foreground, word",
    [
        ("exit 3", "sleep 0.5; printf 'o%s' ne", "one"),
        ("sleep 0.5; printf 'o%s' ne", "exit 3", "one"),
        ("sleep 0.5; printf 'o%s' ne; exit 3", "exit 4", "one"),
    ],
)
def test_each_can_fail_the_whole_and_the_other_is_run_to_its_end(tmp_path, background, foreground, word):
    status, output = run(tmp_path, background, foreground)
    assert status == 1 and word in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_whoever_ends_it_ends_both_and_it_waits_for_their_own_end(tmp_path, number):
    both = [tmp_path / "one", tmp_path / "two"]
    scripts = [
        "trap 'sleep 0.3; echo gone > %s; exit' TERM; echo > %s; sleep 30 & wait" % (path, path) for path in both
    ]
    running = subprocess.Popen(command(tmp_path, *scripts), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while not all(path.exists() for path in both) and time.monotonic() < end:
        time.sleep(0.05)
    running.send_signal(number)
    assert running.wait(timeout=20) != 0
    assert [path.read_text() for path in both] == ["gone\n", "gone\n"]
