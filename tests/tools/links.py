# The links of a static site: those inside of it must lead somewhere, of others only the form is looked at.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

REPOSITORY = "https://github.com/kernel-livepatch/kernel.livepatch"


class Page(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.places = set(), {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.links.update(found[key] for key in ("href", "src") if found.get(key))
        self.places.update(found[key] for key in ("id", "name") if found.get(key))


def wrong(site, checkout):
    """Return a sentence for each link of the site (path) that leads nowhere; checkout: path of what the repository holds."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.resolve().rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for link in sorted(page.links):
            if not (_can_be(link, checkout) if urlsplit(link).scheme else _is_there(link, path, pages)):
                where = path.relative_to(site.resolve())
                found.append("%s links to %s: expected a place that exists, found none. Correct the link." % (where, link))
    return found


def _is_there(link, path, pages):
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    return target.exists() and (target not in pages or unquote(parts.fragment) in pages[target].places)


def _can_be(link, checkout):
    """Whether an address outside of the site can be one; one of a file in our own repository must name a file of the checkout."""
    parts = urlsplit(link)
    own = re.match(re.escape(REPOSITORY) + r"/(?:blob|edit|tree)/main/([^#?]*)", link)
    if own:
        return (checkout / unquote(own.group(1))).exists()
    if parts.scheme in ("http", "https"):
        return "." in parts.netloc.strip(".") and not re.search(r"\s", link)
    return parts.scheme in ("data", "mailto")
