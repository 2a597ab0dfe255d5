# What all pages share: one self-contained HTML file, light and dark, without scripts and without a network.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import jinja2
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import chart

PAGES = os.path.join(os.path.dirname(__file__), "pages")
# A table that people read; the rest is in lists, and in the data.
MOST_ROWS = 500
# So many lines make one text, which is drawn only when it is looked at.
LINES = 500


def texts(lines):
    """Return lines (list of str) as texts of bounded length (list of str), for as many <pre> in a <details>."""
    return ["\n".join(lines[start : start + LINES]) for start in range(0, len(lines), LINES)]


def render(template, **values):
    """Return the page (str) that a template of PAGES (its name) makes, which fills the block body of the frame.

    It also gets `most`, MOST_ROWS. Whatever is filled in is escaped, whoever gave it its name.
    """
    loader = jinja2.FileSystemLoader(PAGES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)  # fmt: skip
    values["most"] = MOST_ROWS
    environment.filters.update(duration=chart.duration, clock=chart.clock)
    return environment.get_template(template).render(**values)
