# What all pages share: one self-contained HTML file, light and dark, without scripts and without a network.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import jinja2
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import chart

# A table that people read; the rest is in lists, and in the data.
MOST_ROWS = 500
# So many lines make one text, which is drawn only when it is looked at.
LINES = 500

FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --line: #d5dae0; --paper: #ffffff; --raised: #f5f7f9;
  --pass: #1a7f4b; --hold: #b07a00; --stop: #c62f2f; --patched: #2563b0; --control: #7d8790; --soak: #a9c6ec; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #9aa5b0; --line: #38414b; --paper: #14181c;
  --raised: #1d2329; --pass: #4cc38a; --hold: #e0a92e; --stop: #f06a6a; --patched: #6aa5f0; --control: #8b96a1; --soak: #2f4f78; } }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); }
.badge { display: inline-block; padding: 0 .6em; border-radius: 1em; color: var(--paper); background: var(--soft); font-weight: 600; }
.badge.pass { background: var(--pass); } .badge.hold { background: var(--hold); } .badge.stop { background: var(--stop); }
.numbers { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; }
.numbers div { background: var(--raised); border-radius: .5rem; padding: .4rem .9rem; }
.numbers b { font-size: 1.4rem; display: block; line-height: 1.3; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg text.soft { fill: var(--soft); } svg .grid { stroke: var(--line); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 600; } th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; } th.n, td.n { text-align: right; }
details { margin: .4rem 0; } summary { cursor: pointer; } pre { font: 12px/1.45 ui-monospace, monospace; margin: .4rem 0;
  white-space: pre-wrap; content-visibility: auto; contain-intrinsic-size: auto 8000px; }
@media print { body { max-width: none; } details { display: block; } }
</style>
</head>
<body>
{% block body %}{% endblock %}
</body>
</html>
"""


def texts(lines):
    """Return lines (list of str) as texts of bounded length (list of str), for as many <pre> in a <details>."""
    return ["\n".join(lines[start : start + LINES]) for start in range(0, len(lines), LINES)]


def render(template, **values):
    """Return the page (str) that a template makes, which extends "frame" and fills its block body.

    It also gets `most`, MOST_ROWS. Whatever is filled in is escaped, whoever gave it its name.
    """
    loader = jinja2.DictLoader({"frame": FRAME, "page": template})
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)  # fmt: skip
    values["most"] = MOST_ROWS
    environment.filters.update(duration=chart.duration, clock=chart.clock)
    return environment.get_template("page").render(**values)
