# Builds the documentation as one static site: the Markdown pages, and the reference from the collection; checks its links.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: site.py [DIRECTORY]    default: .work/site

import os
import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from collection import ROOT, files, link
from venvs import environment

NAME = "kernel.livepatch"
REPOSITORY = "https://github.com/kernel-livepatch/kernel.livepatch"


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


class Page(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places = [], {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.links += [found[key] for key in ("href", "src") if found.get(key)]
        self.places.update(found[key] for key in ("id", "name") if found.get(key))


def wrong_links(site):
    """Yield a sentence for each link of the site that leads nowhere. Of others' sites only the form of the address is seen."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        for address in page.links:
            parts = urlsplit(address)
            if parts.scheme:
                found = well_formed(parts, address)
            else:
                target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                found = target.exists() and (target not in pages or unquote(parts.fragment) in pages[target].places)
            if not found:
                yield "%s links to %s: expected it to be there. Correct the link." % (path.relative_to(site), address)


def well_formed(parts, address):
    """Tell whether an address outside of the site can be one; one in our own repository must name a file of the checkout."""
    if address.startswith(REPOSITORY):
        kind, unused, name = parts.path[len(urlsplit(REPOSITORY).path) :].partition("/main/")
        return kind in ("", "/issues") or (kind in ("/blob", "/tree", "/edit") and (ROOT / name).exists())
    if parts.scheme in ("http", "https"):
        return "." in parts.netloc.strip(".") and not re.search(r"\s", address)
    return parts.scheme in ("data", "mailto")


def main(site):
    shutil.rmtree(str(site), ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        sources(source)
        run("sphinx-build", "--quiet", "--fail-on-warning", "-c", ROOT / "docs", "-d", Path(scratch) / "doctrees", source, site)
    shutil.copy2(str(site / "README.html"), str(site / "index.html"))
    wrong = sorted(set(wrong_links(site)))
    if wrong:
        sys.exit("\n".join(wrong))
    print("%d pages: %s" % (len(list(site.rglob("*.html"))), site / "index.html"))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".work/site"))
    except subprocess.CalledProcessError as error:
        sys.exit("%s failed; its messages are above." % " ".join(error.cmd))
