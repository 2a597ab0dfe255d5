# Tests of the journal's file: nothing acknowledged is lost, nothing torn survives.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import signal
import stat
import subprocess
import sys

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal

# Appends entries of about 20 KB and acknowledges each on its standard output.
WRITER = """
import os, sys
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal
path, number = sys.argv[1], int(sys.argv[2])
while True:
    entries = [{"kind": "look", "number": number, "half": half, "text": "x" * 10000} for half in (1, 2)]
    journal.append(path, journal.stamped(entries, 1))
    os.write(1, b"%d\\n" % number)
    number += 1
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "web.jsonl")


def append(path, entries, run, clock=None):
    journal.append(path, journal.stamped(entries, run, clock))


def test_what_is_appended_is_read_in_order_with_time_run_and_schema(path):
    append(path, [{"kind": "rollout"}, {"kind": "run"}], 1, lambda: 0)
    append(path, [{"kind": "end", "text": "ä\n"}], 2, lambda: 1.5)
    assert list(journal.read(path)) == [
        {"schema": 2, "time": "1970-01-01T00:00:00.000Z", "run": 1, "kind": "rollout"},
        {"time": "1970-01-01T00:00:00.000Z", "run": 1, "kind": "run"},
        {"time": "1970-01-01T00:00:01.500Z", "run": 2, "kind": "end", "text": "ä\n"},
    ]
    assert journal.seconds("1970-01-01T00:00:01.500Z") == 1.5


def test_a_journal_that_is_not_there_has_no_entries(path):
    assert list(journal.read(path)) == []


def test_only_its_owner_may_read_a_journal(path):
    append(path, [{"kind": "rollout"}], 1)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_torn_last_line_is_dropped_on_reading_and_cut_off_by_the_next_append(path):
    append(path, [{"kind": "rollout"}], 1)
    with open(path, "ab") as stream:
        stream.write(b'{"kind": "outcome", "host": "' + b"x" * 200000)
    assert [entry["kind"] for entry in journal.read(path)] == ["rollout"]
    append(path, [{"kind": "end"}], 1)
    assert [entry["kind"] for entry in journal.read(path)] == ["rollout", "end"]


def test_a_torn_first_line_leaves_an_empty_journal(path):
    with open(path, "wb") as stream:
        stream.write(b'{"schema": 2, "ki')
    assert list(journal.read(path)) == []
    append(path, [{"kind": "rollout"}], 1)
    assert [entry["schema"] for entry in journal.read(path)] == [2]


@pytest.mark.parametrize("line", [b"garbage\n", b"[1]\n", b"{}\n", b"\0\0\n", b"\n", b"\xff\xfe\n"])
def test_garbage_in_the_middle_is_refused_and_named_by_its_line(path, line):
    append(path, [{"kind": "rollout"}], 1)
    with open(path, "ab") as stream:
        stream.write(line)
    append(path, [{"kind": "end"}], 1)
    with pytest.raises(RolloutError, match="is not a journal: line 2 is"):
        list(journal.read(path))


def test_a_journal_of_another_schema_is_refused(path):
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(json.dumps({"kind": "rollout", "schema": 1}) + "\n")
    with pytest.raises(RolloutError, match="has schema 1, expected 2: it was written by another version"):
        list(journal.read(path))


def test_a_directory_in_place_of_the_journal_is_a_clear_error(tmp_path):
    with pytest.raises(RolloutError, match="cannot be read"):
        list(journal.read(str(tmp_path)))
    with pytest.raises(RolloutError, match="cannot be written"):
        append(str(tmp_path), [{"kind": "rollout"}], 1)


def test_a_full_disk_leaves_the_journal_as_it_was(path):
    append(path, [{"kind": "rollout"}], 1)
    before = os.stat(path).st_size
    script = (
        "import resource, signal, sys\n"
        "from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "journal.append(sys.argv[1], [{'kind': 'look', 'text': 'x' * 5000}])\n"
    )
    found = run_python(script, path)
    assert found.returncode == 1
    assert (
        "RolloutError: The journal" in found.stderr.decode()
        and "cannot be written: File too large" in found.stderr.decode()
    )
    assert os.stat(path).st_size == before


def test_a_controller_killed_in_the_middle_of_appends_loses_nothing_and_leaves_nothing_torn(path):
    acknowledged = -1
    for round_number in range(15):
        child = start_python(WRITER, path, str(acknowledged + 1))
        for unused in range(round_number % 4 + 1):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split(b"\n")
        child.wait()
        child.stdout.close()
        acknowledged = int(rest[-2]) if len(rest) > 1 else acknowledged
        numbers = [entry["number"] for entry in journal.read(path) if entry["half"] == 2]
        assert numbers[: acknowledged + 1] == list(range(acknowledged + 1))
        # The kill may have come between the write and its acknowledgement.
        assert len(numbers) <= acknowledged + 2
        acknowledged = len(numbers) - 1
    append(path, [{"kind": "end"}], 1)
    assert list(journal.read(path))[-1]["kind"] == "end"


def test_two_processes_that_append_at_once_do_not_mix_their_lines(path):
    children = [start_python(WRITER, path, str(first)) for first in (0, 1000000)]
    for child in children:
        for unused in range(10):
            assert child.stdout.readline()
    for child in children:
        child.kill()
        child.wait()
        child.stdout.close()
    numbers = [entry["number"] for entry in journal.read(path)]
    for first in (0, 1000000):
        mine = [number for number in numbers if number // 1000000 == first // 1000000]
        assert mine[:20] == [first + place // 2 for place in range(20)]


def start_python(script, *arguments):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    return subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, env=environment)


def run_python(script, *arguments):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, env=environment, check=False)
