# Where the commands of the pages are run: a clone of the checkout, a home directory of its own, Ansible on the PATH.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import pathlib
import shlex
import shutil
import subprocess
import sys

from tests.tools import collection

# One host that answers everywhere. It is not root's: nothing may be changed on it.
HERE = "all: {hosts: {here: {ansible_connection: local, livepatch_become: false}}}\n"
KEPT = ("PATH", "LANG", "TMPDIR")


class Terminal:
    """A shell in which blocks of commands are run one after the other; what one exports, the next one has."""

    def __init__(self, directory, **settings):
        """directory: an empty one, with a short path (of sockets for ssh); settings: environment variables."""
        self.directory, self.clone = directory, directory / "clone"
        self.run_already = set()
        _clone(self.clone)
        self.write("inventories/production/hosts.yml", HERE)
        self.environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        self.environment["PATH"] = "%s:%s" % (pathlib.Path(sys.executable).parent, self.environment["PATH"])
        self.environment.update(HOME=str(directory), ANSIBLE_NOCOLOR="true", ANSIBLE_PYTHON_INTERPRETER="auto_silent", **settings)

    def write(self, name, text):
        path = self.clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def block(self, block, fails=False):
        """Run the commands of a Block that were not run before, and return what they printed, all in one (str).

        fails: the last one is expected to end with a failure; any other one that does is an error.
        """
        lines = [line for line in block.text.splitlines() if line not in self.run_already or line.startswith("export ")]
        self.run_already.update(lines)
        kept = self.directory / "environment"
        script = "trap 'env -0 > %s' EXIT\n%s\n" % (shlex.quote(str(kept)), "\n".join(lines))
        done = subprocess.run(["sh", "-euc", script], cwd=self.clone, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)  # fmt: skip
        said = done.stdout.decode(errors="replace")
        print("== %s:%d\n%s\n%s" % (block.page, block.line, "\n".join(lines), said), flush=True)
        assert (done.returncode != 0) == (fails and bool(lines)), "%s:%d: ended with status %d:\n%s\n%s" % (
            block.page, block.line, done.returncode, "\n".join(lines), said)  # fmt: skip
        self.environment = dict(text.split("=", 1) for text in kept.read_text(encoding="utf-8").split("\0") if text)
        return said


def _clone(directory):
    for name in collection.files():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(collection.ROOT / name, directory / name, follow_symlinks=False)
