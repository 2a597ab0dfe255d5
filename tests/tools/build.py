# Builds the collection, installs it in another place, reads its documentation and runs it there.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from collection import ROOT, copy
from venvs import environment

NAME = "kernel.livepatch"
EXTRA_VARS = {"tier": ["-e", "livepatch_tier=1"]}  # rollout.yml imports it once per tier, each time with its number
UNWANTED = ("tests/", ".ci/", ".work/", ".lab/", ".venv/", "inventories/lab/")


def ansible(venv, directory, *words):
    """Run one of ansible's commands against the installed collection and return its output."""
    settings = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(directory), ANSIBLE_HOME=str(directory / "home"))
    command = [str(venv / "bin" / words[0])] + [str(word) for word in words[1:]]
    return subprocess.run(command, env=settings, cwd=str(directory), check=True, stdout=subprocess.PIPE).stdout.decode()


def contents(archive):
    with tarfile.open(str(archive)) as members:
        return members.getnames()


def documented(venv, directory, kind):
    """Return the names of our plugins of one kind that ansible-doc can show from the installed collection."""
    names = list(json.loads(ansible(venv, directory, "ansible-doc", "-t", kind, "--list", "--json", NAME)))
    if names:
        ansible(venv, directory, "ansible-doc", "-t", kind, "--json", *names)
    return sorted(names)


def execution_environment(directory):
    """Make the context of an execution environment, and run a playbook with nothing but what that asks for."""
    venv = environment("ee")
    made = directory / "context"
    ansible(venv, directory, "ansible-builder", "create", "--file", ROOT / "execution-environment.yml", "--context", made)
    asked = ansible(venv, directory, "ansible-builder", "introspect", "--sanitize", directory)
    for name in ("jmespath", "netaddr", "openssh-client"):
        if name not in asked:
            sys.exit("ansible-builder does not find that the installed collection needs %s:\n%s" % (name, asked))
    command = ["ansible-playbook", NAME + ".status", "-i", "localhost,", "-c", "local", "-e", "livepatch_become=false"]
    said = ansible(venv, directory, *command)
    if "1 host" not in said:
        sys.exit("The playbook status was to tell of one host in the execution environment:\n%s" % said)
    print("execution environment: %s holds what the collection asks for, and status runs there" % sorted(
        path.name for path in made.iterdir()))  # fmt: skip


def main():
    venv = environment("current")
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        source = copy(directory / "source")
        ansible(venv, directory, "ansible-galaxy", "collection", "build", source, "--output-path", directory)
        archive = next(directory.glob("*.tar.gz"))
        unwanted = [name for name in contents(archive) if name.startswith(UNWANTED)]
        if unwanted:
            sys.exit("The built collection holds what it should not: %s. Add it to build_ignore." % unwanted[:5])
        ansible(venv, directory, "ansible-galaxy", "collection", "install", "--offline", "-p", directory, archive)
        for kind in ("module", "callback", "role"):
            print("%s: %s" % (kind, " ".join(documented(venv, directory, kind)) or "none"))
        playbooks = sorted((ROOT / "playbooks").glob("*.yml"))
        for playbook in playbooks:
            check = ["ansible-playbook", "--syntax-check", "-i", "localhost,"] + EXTRA_VARS.get(playbook.stem, [])
            ansible(venv, directory, *(check + [NAME + "." + playbook.stem]))
        execution_environment(directory)
    print("built, installed and read: %s, %d playbooks" % (archive.name, len(playbooks)))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit("%s failed; its messages are above." % " ".join(error.cmd))
