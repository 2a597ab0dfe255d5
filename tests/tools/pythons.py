# Finds the real Python interpreters of this machine.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import shutil
import subprocess
import sys
from pathlib import Path

MINORS = range(6, 16)

# A version manager's shim answers with the interpreter behind it, or fails; a venv's python is none of ours.
# Without ensurepip (a Debian python without its -venv package) no environment can be made from it.
PROBE = "import ensurepip, sys; print(sys.version_info[1] if sys.prefix == sys.base_prefix else ''); print(sys.executable)"


def pyenv_directories():
    """Return the bin directories of all versions that pyenv has installed, newest last."""
    if not shutil.which("pyenv"):
        return []
    root = subprocess.run(["pyenv", "root"], stdout=subprocess.PIPE, universal_newlines=True, check=False).stdout.strip()
    return sorted(Path(root).glob("versions/*/bin")) if root else []


def candidates(minor):
    """Return the paths that may be python3.<minor>, in order of preference."""
    directories = [Path(d) for d in os.environ.get("PATH", "").split(os.pathsep) if d]
    names = [d / ("python3.%d" % minor) for d in directories + pyenv_directories()]
    return [name for name in names if os.access(str(name), os.X_OK)]


def real(path):
    """Return (minor, executable) of an interpreter, or None where it is not a usable one."""
    answer = subprocess.run(
        [str(path), "-c", PROBE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True, check=False
    )
    lines = answer.stdout.split("\n")
    return (int(lines[0]), lines[1]) if answer.returncode == 0 and lines[0] else None


def interpreters(minors=MINORS):
    """Return {minor: executable} of the usable Python 3 interpreters, oldest first."""
    found = {}
    for minor in minors:
        for path in candidates(minor):
            answer = real(path)
            if answer and answer[0] == minor:
                found[minor] = answer[1]
                break
    return found


if __name__ == "__main__":
    for number, executable in interpreters().items():
        sys.stdout.write("3.%d %s\n" % (number, executable))
