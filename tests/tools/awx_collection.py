# Brings the collection awx.awx, which the playbook awx needs, from the last ansible package that holds it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import fcntl
import subprocess
import tempfile
import zipfile
from pathlib import Path

from venvs import CACHE, environment

PACKAGE = "ansible==13.8.0"
INSIDE = "ansible_collections/awx/awx/"


def collection():
    """Return a collections path (Path) that holds awx.awx, fetching it once per machine."""
    place = CACHE / ("awx-" + PACKAGE.rpartition("=")[2])
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(str(place) + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            with tempfile.TemporaryDirectory() as scratch:
                pip = [str(environment("current") / "bin/python"), "-m", "pip", "download", "-qq", "--no-deps"]
                subprocess.run(pip + ["--dest", scratch, PACKAGE], check=True)
                with zipfile.ZipFile(str(next(Path(scratch).glob("*.whl")))) as wheel:
                    wheel.extractall(str(place), [name for name in wheel.namelist() if name.startswith(INSIDE)])
            (place / "complete").touch()
    return place
