# Brings the replacer onto a guest, and its report back.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import pathlib
import shutil
import tempfile

from tests.lab import libraries

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = "/var/tmp/endurance"
RELEASES = ("hotfix1", "hotfix2")


def put(guest, files=()):
    """Put the collection, in_guest.py, the replacer and more files and directories (paths) into a guest."""
    with tempfile.TemporaryDirectory() as directory:
        place = pathlib.Path(directory) / pathlib.Path(HERE).name
        place.mkdir()
        libraries.pack(place)
        for path in (ROOT / "tests/integration/in_guest.py", ROOT / "tests/endurance/replacer.py", *files):
            if path.is_dir():
                shutil.copytree(path, place / path.name)
            else:
                shutil.copy(path, place)
        guest.copy(place, str(pathlib.Path(HERE).parent))


def endure(fleet, guest, rounds, seconds, timeout=60, every=10):
    """Run the replacer; return its report (list of dict, one a line that it printed)."""
    kernel = guest.machine.kernel.name
    put(guest, [fleet.module(release, kernel) for release in RELEASES])
    order = {
        "files": ["%s/%s.ko" % (HERE, release) for release in RELEASES],
        "rounds": rounds,
        "seconds": seconds,
        "timeout": timeout,
        "every": every,
    }
    # A transition and a reading that have begun may end.
    limit = seconds + 4 * timeout + 600
    ended = guest.ssh(["python3", HERE + "/replacer.py", HERE], stdin=json.dumps(order), timeout=limit)
    if ended.returncode != 0:
        raise RuntimeError(
            "the replacer ended with %d:\n%s\n%s" % (ended.returncode, ended.stderr[-4000:], guest.console()[-4000:])
        )
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
