# Runs ansible-test sanity on a copy of the checkout, with a home of its own and the real interpreters on PATH.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: sanity.py ENVIRONMENT... [-- ansible-test arguments]; the environments run side by side, "all" is every
# supported ansible-core

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from collection import ROOT, copy
from pythons import interpreters
from venvs import CACHE, CORES, NoPython, core, environment, named

# Files of the lab's guests: their init runs under busybox, which ansible-test does not know as a shell.
FOREIGN = ["tests/lab/guest/"]
# What the hubs check is the collection itself; the tests are checked with one ansible-core, that they are written for.
TESTS = ["tests/"]

ONE_AT_A_TIME = Lock()  # two that prepare would fetch the same pip into the same place
HOME = CACHE / "ansible-test"
PIP_CACHE = HOME / ".ansible/test/cache"

# ansible-test makes environments without pip and fetches pip from a server of its own; this takes the same
# version from the package index instead. It is named get_pip_<version>.py, the wheel lies beside it.
GET_PIP = """\
import os
import re
import sys

here = os.path.dirname(os.path.abspath(__file__))
version = re.sub(r".*get_pip_([0-9_]+).*", r"\\1", __file__).replace("_", ".")
sys.path.insert(0, os.path.join(here, "pip-%s-py3-none-any.whl" % version))

from pip._internal.cli.main import main

options = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(main(["install", "--upgrade", "--force-reinstall"] + options))
"""


def provide_pip(venv):
    """Put the pips that this ansible-test asks for into its cache."""
    PIP_CACHE.mkdir(parents=True, exist_ok=True)
    source = next(venv.glob("lib/python3*/site-packages/ansible_test/_internal/python_requirements.py")).read_text()
    for version in re.findall(r"pip='([0-9.]+)'", source):
        stub = PIP_CACHE / ("get_pip_%s.py" % version.replace(".", "_"))
        if version.startswith("20.") or stub.exists():  # pip 20 is for Python 2.7, which is not checked
            continue
        command = [venv / "bin/python", "-m", "pip", "download", "-qq", "--no-deps", "--dest", PIP_CACHE]
        subprocess.run([str(word) for word in command] + ["pip==" + version], check=True)
        stub.write_text(GET_PIP)


def share_pip_settings():
    """Let pip in the separate home use the user's own settings (proxy, certificates, index)."""
    target, link = Path.home() / ".config/pip", HOME / ".config/pip"
    if target.is_dir() and not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)


def settings(venv):
    """Return the environment for ansible-test: real interpreters first, because it cannot use shims."""
    # Python 3 versions that this core knows; where one is missing, ansible-test skips it and says so.
    found = interpreters(CORES[core(venv)][2])
    if 6 in CORES[core(venv)][2] and 6 not in found and os.environ.get("CI") == "true":
        raise NoPython(
            "Without Python 3.6 nothing checks that modules run on the oldest targets. "
            "Install it, e.g.: pyenv install 3.6.15"
        )
    directories = [venv / "bin"] + [Path(path).parent for path in found.values()] + ["/usr/local/bin", "/usr/bin", "/bin"]
    return dict(os.environ, HOME=str(HOME), PATH=os.pathsep.join(str(directory) for directory in directories))


def not_in_the_index(venv):
    """Return {sanity test: requirement} of the tests that want something which no package index has."""
    found = {}
    for path in venv.glob("lib/python3*/site-packages/ansible_test/_data/requirements/sanity.*.txt"):
        elsewhere = re.findall(r"(?m)^[\w.-]+ @ .*$", path.read_text())
        if elsewhere:
            found[path.name.split(".")[1]] = elsewhere[0].split("#")[0]
    return found


def left_out(name, venv):
    """Say which tests cannot be run with this ansible-core, and return the words that leave them out."""
    without = not_in_the_index(venv)
    for test, requirement in without.items():
        print("NOT RUN: the sanity test %s of ansible-core %s. It wants a package that is not in the package index: %s"
              % (test, name, requirement), flush=True)  # fmt: skip
    return [word for test in without for word in ("--skip-test", test)]


def prepare(name):
    """Return the program, its arguments, directory and environment variables of ansible-test in one environment."""
    venv = environment(name)
    provide_pip(venv)
    command = [str(venv / "bin/ansible-test"), "sanity", "--local", "--color", "no"]
    left = FOREIGN if name == "current" else TESTS
    command += [word for folder in left for word in ("--exclude", folder)] + left_out(core(venv), venv)
    return command, str(copy(ROOT / ".work" / ("sanity-" + name))), settings(venv)


def run(name, arguments):
    """Run all sanity tests with one environment's ansible-core, show what they wrote, and return whether they passed."""
    try:
        with ONE_AT_A_TIME:
            command, place, variables = prepare(name)
    except NoPython as error:
        print("\nNOT RUN: ansible-test sanity, %s environment. %s" % (name, error), flush=True)
        return os.environ.get("CI") != "true"
    print("ansible-test sanity, %s environment: begun" % name, flush=True)
    started = time.monotonic()
    done = subprocess.run(
        command + arguments, cwd=place, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    outcome = "passed" if done.returncode == 0 else "FAILED (status %d)" % done.returncode
    words = (name, done.stdout.decode(errors="replace"), name, outcome, time.monotonic() - started)
    print("\n== ansible-test sanity, %s environment\n%s== ansible-test sanity, %s environment: %s in %d s" % words, flush=True)
    return done.returncode == 0


def main(words):
    split = words.index("--") if "--" in words else len(words)
    share_pip_settings()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        passed = list(pool.map(lambda name: run(name, words[split + 1 :]), named(words[:split])))
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit("%s failed; its messages are above." % " ".join(map(str, error.cmd)))
