# Builds the collection, shows it to what the hubs check collections with, installs it in another place and runs it there.
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
UNWANTED = ("tests/", ".ci/", ".work/", ".lab/", ".venv/", "extensions/molecule/", "inventories/lab/")
DOCUMENTED = ("module", "filter", "callback", "role")

# galaxy-importer as Automation Hub runs it. What ansible-lint says is known from the checkout (make lint).
IMPORTER = """\
[galaxy-importer]
check_required_tags = true
run_ansible_lint = false
"""


def run(venv, directory, *words, status=0, **variables):
    """Run a program of an environment in the directory, where the installed collection lies, and return its output."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(directory),
        "ANSIBLE_HOME": str(directory / "home"),
        "PATH": "%s:%s" % (venv / "bin", os.environ["PATH"]),
    }
    command = [str(venv / "bin" / words[0])] + [str(word) for word in words[1:]]
    done = subprocess.run(command, env={**inherited, **settings, **variables}, cwd=str(directory), check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    said = done.stdout.decode(errors="replace")
    if done.returncode != status or "DEPRECATION" in said:
        sys.exit("Expected status %d and no deprecated feature, found status %d: %s\n%s"
                 % (status, done.returncode, " ".join(command), said))  # fmt: skip
    return said


def expect(words, said, what):
    """End with a message unless every one of the words is in what was said."""
    missing = [word for word in words if word not in " ".join(said.split())]
    if missing:
        sys.exit("%s: expected %r, found:\n%s" % (what, missing[0], said))


def build(directory):
    """Build, install and verify the collection; return the archive."""
    venv = environment("current")
    source = copy(directory / "source")
    run(venv, directory, "ansible-galaxy", "collection", "build", source, "--output-path", directory)
    archive = next(directory.glob("*.tar.gz"))
    with tarfile.open(str(archive)) as members:
        unwanted = [name for name in members.getnames() if name.startswith(UNWANTED)]
    if unwanted:
        sys.exit("The built collection holds what it should not: %s. Add it to build_ignore." % unwanted[:5])
    run(venv, directory, "ansible-galaxy", "collection", "install", "--offline", "-p", directory, archive)
    run(venv, directory, "ansible-galaxy", "collection", "verify", "--offline", NAME)
    return archive


def imported(directory, archive):
    """Let the importer of the hubs read the archive; what it warns of would stand beside the collection there."""
    (directory / "importer.cfg").write_text(IMPORTER)
    said = run(environment("hub"), directory, "python", "-m", "galaxy_importer.main", archive,
               GALAXY_IMPORTER_CONFIG=str(directory / "importer.cfg"))  # fmt: skip
    wrong = [line for line in said.splitlines() if line.startswith(("WARNING", "ERROR"))]
    if wrong or "completed successfully" not in said:
        sys.exit("galaxy-importer was to have nothing to say against the collection:\n%s" % ("\n".join(wrong) or said))
    found = json.loads((directory / "importer_result.json").read_text())
    for kind in DOCUMENTED:
        contents = [entry for entry in found["docs_blob"]["contents"] if entry["content_type"] == kind]
        undocumented = [entry["content_name"] for entry in contents if not (entry["doc_strings"] or entry["readme_html"])]
        if undocumented or not contents:
            sys.exit("Every %s was to be documented in the hub, found without: %s of %d" % (kind, undocumented, len(contents)))
        print("%s: %s" % (kind, " ".join(sorted(entry["content_name"] for entry in contents))))


def documentation(directory):
    """Check the markup of the documentation and every reference in it, as the community package does."""
    for unused in range(3):
        try:
            run(environment("docs"), directory / "source/ansible_collections/kernel/livepatch", "antsibull-docs", "lint-collection-docs",
                "--plugin-docs", "--validate-collection-refs=all", ".", ANSIBLE_COLLECTIONS_PATH=str(directory / "source"))  # fmt: skip
            return
        except SystemExit as error:
            # The pages name its temporary directory, and one whose name by chance ends with "_" is a reference in their markup.
            if 'Unknown target name: "antsibull-docs-' not in str(error):
                raise
            said = error
    raise said


def execution_environment(directory):
    """Make the context of an execution environment, and run all playbooks with nothing but what that asks for."""
    venv = environment("ee")
    made = directory / "context"
    run(venv, directory, "ansible-builder", "create", "--file", ROOT / "execution-environment.yml", "--context", made)
    asked = run(venv, directory, "ansible-builder", "introspect", "--sanitize", directory)
    expect(("jmespath", "netaddr", "openssh-client"), asked, "What ansible-builder finds that the installed collection needs")
    inventory = directory / "runner/inventory/hosts"
    inventory.parent.mkdir(parents=True)
    inventory.write_text("localhost ansible_connection=local livepatch_become=false\n")
    said = run(venv, directory, "ansible-runner", "run", directory / "runner", "-p", NAME + ".status")
    expect(("1 host",), said, "The playbook status in ansible-runner")
    print("execution environment: %s" % " ".join(sorted(path.name for path in made.iterdir())), flush=True)
    command = [environment("current") / "bin/python", "-m", "pytest", "--noconftest", "-q", "tests/rollout/test_ansible_playbooks.py"]
    there = {"PLAYBOOKS_PROGRAMS": str(venv / "bin"), "PLAYBOOKS_COLLECTIONS": str(directory)}
    subprocess.run([str(word) for word in command], cwd=str(ROOT), env={**os.environ, **there}, check=True)


def too_old(directory):
    """See that an ansible-core which is too old is refused before a host is touched."""
    for playbook in ("rollout", "rollback", "preflight"):
        said = run(environment("too-old"), directory, "ansible-playbook", NAME + "." + playbook, "-i", "localhost,", "-c", "local",
                   "-e", "livepatch_release=hotfix3", status=2)  # fmt: skip
        expect(("does not support Ansible version 2.15", "Expected ansible-core 2.16 or newer, found 2.15"), said, playbook)
    print("ansible-core 2.15: refused")


def main():
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        archive = build(directory)
        imported(directory, archive)
        documentation(directory)
        execution_environment(directory)
        too_old(directory)
    print("built, installed and read: %s" % archive.name)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit("%s failed; its messages are above." % " ".join(error.cmd))
