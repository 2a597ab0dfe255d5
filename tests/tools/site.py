# Builds the documentation as one static site: the Markdown pages, and the reference from the collection; checks its links.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: site.py [DIRECTORY]    default: .work/site

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import links
from collection import ROOT, files, link
from venvs import environment

NAME = "kernel.livepatch"


def sources(directory):
    """Make the directory that Sphinx reads: the files of the checkout, and the reference that the collection gives."""
    for name in files():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(str(ROOT / name), str(directory / name))
    (directory / "reference").mkdir(mode=0o755)
    run("antsibull-docs", "collection", "--use-current", "--squash-hierarchy", "--fail-on-error",
        "--no-add-antsibull-docs-version", "--dest-dir", directory / "reference", NAME)  # fmt: skip


def run(*command):
    """Run a program of the environment for the documentation."""
    tools = environment("docs") / "bin"
    settings = dict(os.environ, PATH="%s:%s" % (tools, os.environ["PATH"]), ANSIBLE_COLLECTIONS_PATH=str(link()))
    subprocess.run([str(word) for word in command], env=settings, check=True)


def main(site):
    shutil.rmtree(str(site), ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        sources(source)
        run("sphinx-build", "--quiet", "--fail-on-warning", "-c", ROOT / "docs", "-d", Path(scratch) / "doctrees", source, site)
    shutil.copy2(str(site / "README.html"), str(site / "index.html"))
    wrong = links.wrong(site, ROOT)
    if wrong:
        sys.exit("\n".join(wrong))
    print("%d pages: %s" % (len(list(site.rglob("*.html"))), site / "index.html"))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".work/site"))
    except subprocess.CalledProcessError as error:
        sys.exit("%s failed; its messages are above." % " ".join(error.cmd))
