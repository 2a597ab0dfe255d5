# The code blocks of the Markdown pages, each with what a comment before it says about it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A shell block without a comment is run by `make test-docs`. The comments, on the line before a block:
#
#   <!-- not run: REASON -->         nobody runs it
#   <!-- in the lab -->              a test runs it on real kernels
#   <!-- in the lab, long -->        only `make walk` does; `in the lab, long, fails` expects it to end with a failure
#   <!-- file: NAME -->              a file that later commands of the page use

import re
from collections import namedtuple

from tests.tools import collection
from tests.tools.collection import ROOT

FENCE = re.compile(r"( *)(`{3,})(.*)")
COMMENT = re.compile(r" *<!-- (.*) -->")
INDENTED = re.compile(r"( {4}|\t)")

Block = namedtuple("Block", "page line language comment text")
Block.__doc__ = """One block of a page (its path in the checkout): number of its first line, language, comment or None, text.

language is None for a block that is only indented.
"""


class Unclosed(Exception):
    """A block that has no end."""


def pages():
    """Return the paths (list of str) of the Markdown pages in the checkout, the guide that begins first, then README.md."""
    first = ["docs/first-rollout.md", "README.md"]
    return first + sorted(name for name in collection.files() if name.endswith(".md") and name not in first)


def blocks(page, text=None):
    """Yield each Block of a page; text: what stands in it, where that is not read from the checkout."""
    lines = iter(enumerate(((ROOT / page).read_text(encoding="utf-8") if text is None else text).splitlines(), 1))
    before = ""
    for number, line in lines:
        fence = FENCE.fullmatch(line)
        comment = COMMENT.fullmatch(before)
        if fence:
            said = comment and comment.group(1)
            yield Block(page, number, fence.group(3).strip(), said, _inside(lines, fence, f"{page}:{number}"))
        elif INDENTED.match(line) and not before.strip():
            yield Block(page, number, None, None, line)
        before = line


def _inside(lines, fence, where):
    indent, ticks, found = len(fence.group(1)), fence.group(2), []
    for _unused, line in lines:
        if line.strip() == ticks:
            return "".join(text + "\n" for text in found)
        found.append(line[indent:] if line[:indent].isspace() else line)
    raise Unclosed(f"{where}: expected the block to end with {ticks}, found the end of the page")


def every():
    """Return the blocks (list) of all pages."""
    return [block for page in pages() for block in blocks(page)]
