# The links of the site: what leads nowhere is told, with the page that it stands in.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from tests.tools import links

REPOSITORY = "https://github.com/kernel-livepatch/kernel.livepatch"


def wrong(directory, link):
    site, checkout = directory / "site", directory / "checkout"
    (site / "docs").mkdir(parents=True)
    checkout.mkdir()
    (checkout / "README.md").write_text("")
    (site / "index.html").write_text('<h1 id="begin">x</h1>')
    (site / "docs/page.html").write_text('<p><a href="%s">x</a></p><h2 id="here">x</h2>' % link)
    return links.wrong(site, checkout)


@pytest.mark.parametrize("link", [
    "../index.html", "../index.html#begin", "#here", "#", "page.html#here", "https://example.com/a?b=c#d", "mailto:a@example.com",
    REPOSITORY, REPOSITORY + "/issues", REPOSITORY + "/blob/main/README.md#begin",
])  # fmt: skip
def test_links_that_lead_somewhere_are_fine(tmp_path, link):
    assert wrong(tmp_path, link) == []


@pytest.mark.parametrize("link", [
    "index.html", "../index.html#end", "#begin", "https://example", "https:///path", "https://example.com/a b", "htp://example.com",
    REPOSITORY + "/blob/main/missing.md",
])  # fmt: skip
def test_a_link_that_leads_nowhere_is_told(tmp_path, link):
    assert wrong(tmp_path, link) == ["docs/page.html links to %s: expected a place that exists, found none. Correct the link." % link]
