# Makes the Python environments of the tests, once per machine, and prints where they are.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: venvs.py NAME; ENVIRONMENTS below has the names

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pythons import interpreters

TESTS = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kernel-livepatch"

# Every ansible-core that the collection supports: (its first version, Pythons of its controllers, Pythons of its targets).
# Of one that is not out yet, the first version is that of a candidate.
CORES = {
    "2.16": ("2.16.0", range(10, 13), range(6, 13)),
    "2.17": ("2.17.0", range(10, 13), range(7, 13)),
    "2.18": ("2.18.0", range(11, 14), range(8, 14)),
    "2.19": ("2.19.0", range(11, 14), range(8, 14)),
    "2.20": ("2.20.0", range(12, 15), range(9, 15)),
    "2.21": ("2.21.0", range(12, 15), range(9, 15)),
    "2.22": ("2.22.0rc1", range(13, 16), range(9, 16)),
}

# name: (requirements, Pythons that these can run on, which of them, what else to install)
ENVIRONMENTS = {
    "current": ("requirements.txt", range(11, 15), max, ()),
    "target": ("requirements-target.txt", range(6, 7), min, ()),
    "fuzz": ("requirements-fuzz.txt", range(12, 14), max, ()),
    "ee": ("requirements-ee.txt", range(11, 14), max, ()),
    "events": ("requirements-events.txt", range(11, 14), max, ()),
    "docs": ("requirements-docs.txt", range(11, 15), max, ()),
    "hub": ("requirements-hub.txt", range(11, 15), max, ()),
    "too-old": ("../meta/ee-requirements.txt", range(9, 12), max, ("ansible-core ~= 2.15.0",)),
}
# With the oldest Python of each core, and the newest of the current one, every Python of controllers has its turn.
ENVIRONMENTS.update(
    {core: ("requirements-core.txt", pythons, min, ("ansible-core ~= " + first,))
     for core, (first, pythons, _targets) in CORES.items()}
)  # fmt: skip
OLDEST = next(iter(CORES))
WORDS = {"oldest": [OLDEST], "all": list(CORES)}


class NoPython(Exception):
    """No interpreter on this machine can run the environment."""


def choose(name):
    """Return (requirements file, interpreter, what else to install) for an environment, or raise NoPython."""
    requirements, minors, pick, more = ENVIRONMENTS[name]
    found = interpreters(minors)
    if not found:
        raise NoPython(
            "The %s environment needs Python 3.%d to 3.%d with its venv module; none was found on PATH or in pyenv. "
            "Install one, e.g.: apt-get install -y python3-venv, or: pyenv install 3.%d"
            % (name, minors[0], minors[-1], minors[-1])
        )
    return TESTS / requirements, found[pick(found)], more


def core(directory):
    """Return which ansible-core an environment holds, e.g. 2.21."""
    holds = next(directory.glob("lib/python3*/site-packages/ansible_core-*.dist-info"))
    return ".".join(holds.name.split("-")[1].split(".")[:2])


def named(words):
    """Return the names of the environments that words on a command line mean."""
    names = [name for word in words for name in WORDS.get(word, [word])]
    unknown = [name for name in names if name not in ENVIRONMENTS]
    if unknown or not names:
        found = unknown[0] if unknown else "without a name"
        sys.exit("There is no environment %s. Take some of: %s" % (found, " ".join([*WORDS, *ENVIRONMENTS])))
    return names


def version_of(python):
    answer = subprocess.run([python, "-VV"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    return python.encode() + answer.stdout


def run(command):
    """Run a command; its output goes to stderr, because stdout is for the path alone."""
    subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr)


def add_module_utils(directory):
    """Put ansible.module_utils of the oldest supported core beside the tests of Python 3.6.

    No ansible-core installs on a 3.6 controller, but 2.16's module_utils run on 3.6 targets.
    """
    packages = next(directory.glob("lib/python3.6/site-packages"))
    python = choose(OLDEST)[1]
    run([python, "-m", "pip", "install", "-qq", "--no-deps", "--no-compile", "--only-binary=:all:",
         "--target", packages, *ENVIRONMENTS[OLDEST][3]])  # fmt: skip


def build(name, requirements, more, python, directory):
    """Make one environment from nothing."""
    sys.stderr.write("Making the %s environment with %s (once per machine) ...\n" % (name, python))
    shutil.rmtree(str(directory), ignore_errors=True)
    run([python, "-m", "venv", directory])
    install = [directory / "bin/python", "-m", "pip", "install", "-qq"]
    if name == "target":
        run(install + ["pip ~= 21.3"])  # the one that comes with 3.6 picks packages that need a newer Python
    run(install + ["-r", requirements, *more])
    if name == "target":
        add_module_utils(directory)
    (directory / "complete").touch()


def content(requirements):
    """Return what a file of requirements says (bytes), with the files that it names."""
    text = requirements.read_bytes()
    others = [line[3:].strip() for line in text.decode().splitlines() if line.startswith("-r ")]
    return text + b"".join(content(requirements.parent / other) for other in others)


def environment(name):
    """Return the directory of an environment, making it where it is missing."""
    requirements, python, more = choose(name)
    key = hashlib.sha256(version_of(python) + content(requirements) + "".join(more).encode()).hexdigest()[:12]
    directory = CACHE / "venvs" / ("%s-%s" % (name, key))
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(str(directory) + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "complete").exists():
            build(name, requirements, more, python, directory)
    return directory


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ENVIRONMENTS:
        sys.exit("usage: venvs.py " + "|".join(ENVIRONMENTS))
    try:
        print(environment(sys.argv[1]))
    except NoPython as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit("%s failed; its messages are above." % " ".join(error.cmd))
