# Commands beside each other: all are run to their end, all are heard, and each can fail the whole.
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


def command(directory, *scripts):
    """The tool in a place of its own, so that a test run that uses it is not disturbed; the last script is in front."""
    tools = directory / "tests" / "tools"
    tools.mkdir(parents=True)
    for name in ("beside.py", "collection.py"):
        with open(os.path.join(os.path.dirname(BESIDE), name), encoding="utf-8") as source:
            (tools / name).write_text(source.read(), encoding="utf-8")
    words = [word for script in scripts for word in ("--", "sh", "-c", script)]
    return [sys.executable, str(tools / "beside.py")] + words[1:]


def run(*words):
    """Run it; returns (status, output)."""
    done = subprocess.run(command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=60)
    return done.returncode, done.stdout.decode()


def test_the_output_of_those_in_the_background_follows_at_the_end(tmp_path):
    status, output = run(tmp_path, "printf 'be%s\\n' hind", "printf 'la%s\\n' st", "sleep 0.2; printf 'be%s\\n' fore")
    assert status == 0 and output.index("before") < output.index("behind") < output.index("last")


def test_the_one_in_the_background_gives_way(tmp_path):
    status, output = run(tmp_path, "echo behind $(nice)", "echo before $(nice)")
    assert status == 0 and "before %d\n" % os.nice(0) in output and "behind 19\n" in output


@pytest.mark.parametrize(
    "scripts",
    [
        ("exit 3", "sleep 0.5; printf 'o%s' ne"),
        ("sleep 0.5; printf 'o%s' ne", "exit 3"),
        ("sleep 0.5; printf 'o%s' ne; exit 3", "exit 4"),
        ("true", "exit 3", "sleep 0.5; printf 'o%s' ne"),
    ],
)
def test_each_can_fail_the_whole_and_the_others_are_run_to_their_end(tmp_path, scripts):
    status, output = run(tmp_path, *scripts)
    assert status == 1 and "one" in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_whoever_ends_it_ends_all_and_it_waits_for_their_own_end(tmp_path, number):
    every = [tmp_path / "one", tmp_path / "two", tmp_path / "three"]
    scripts = [
        "trap 'sleep 0.3; echo gone > %s; exit' TERM; echo > %s; sleep 30 & wait" % (path, path) for path in every
    ]
    running = subprocess.Popen(command(tmp_path, *scripts), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while not all(path.exists() for path in every) and time.monotonic() < end:
        time.sleep(0.05)
    running.send_signal(number)
    assert running.wait(timeout=20) != 0
    assert [path.read_text() for path in every] == ["gone\n"] * 3
