# How Sphinx makes one site of the Markdown pages and the reference. tests/tools/site.py calls it: `make docs`.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import re
from pathlib import Path

from docutils import nodes

ROOT = Path(__file__).resolve().parent.parent

# The side bar. What does not exist is left out; pages below docs/ that are not named come last.
NAVIGATION = {
    "Guides": ["docs/first-rollout", "docs/rhel", "docs/suse", "docs/amazon-linux", "docs/builds", "docs/tiers",
               "docs/reading-the-gate", "docs/stalls", "docs/facts", "docs/automation", "docs/vendors", "docs/scale", "docs/awx",
               "docs/events", "docs/faq"],
    "In depth": ["docs/health-gate", "docs/evidence", "docs/preflight", "docs/persistence", "docs/visibility"],
    "Reference": ["reference/index", *sorted("roles/%s/README" % role.name for role in (ROOT / "roles").iterdir())],
    "How it is made": ["docs/architecture", "docs/hardening", "docs/selftests", "docs/endurance", "docs/kpatch",
                       "tests/lab/README", "CONTRIBUTING", "CODE_OF_CONDUCT", "SECURITY"],
}  # fmt: skip
TITLES = {"reference/index": "Modules, roles and plugins <reference/index>"}
named = {page for pages in NAVIGATION.values() for page in pages}
NAVIGATION["How it is made"] += sorted({"docs/" + path.stem for path in (ROOT / "docs").glob("*.md")} - named)

project = "kernel.livepatch"
html_title = project
root_doc = "README"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
include_patterns = ["README.md", "*/*.md", "*.md", "roles/*/README.md", "tests/lab/README.md", "reference/*.rst"]
nitpicky = True

# Links to headings, as a Git forge makes their names.
myst_heading_anchors = 4

html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
html_use_index = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

# The tables of the reference in the colours of the theme, which has a light and a dark side.
PAPER, RAISED = "var(--color-background-primary)", "var(--color-background-secondary)"
TABLES = {"table-border": "var(--color-background-border)", "table-background-header": RAISED, "table-background-even": RAISED,
          "table-background-odd": PAPER, "narrowtable-background": RAISED, "links-background": "var(--color-brand-primary)",
          "links-background-active": "var(--color-brand-content)", "links-text": PAPER}  # fmt: skip
DARK = {"option-type": "#d3a6ff", "option-elements": "#d3a6ff", "option-required": "#ff8282", "option-version-added": "#71d471",
        "option-aliases": "#71d471", "option-default": "#9db8ff", "option-sample": "#9db8ff", "option-sample-header": "#ffffff",
        "attribute-support-none": "#ff8282", "attribute-support-partial": "#cccc33", "attribute-support-full": "#71d471"}  # fmt: skip
html_theme_options = {
    "light_css_variables": {"antsibull-" + name: value for name, value in TABLES.items()},
    "dark_css_variables": {"antsibull-" + name: value for name, value in DARK.items()},
}


def add_navigation(app, docname, source):
    """The side bar is made of tables of contents, which the first page has no place for on a Git forge."""
    if docname == root_doc:
        for caption, pages in NAVIGATION.items():
            found = [TITLES.get(page, page) for page in pages if page in app.env.found_docs]
            source[0] += "\n```{toctree}\n:hidden:\n:caption: %s\n\n%s\n```\n" % (caption, "\n".join(found))


def trim_reference(app, docname, source):
    """The theme shows the contents of a page beside it, and the side bar has no room for whole sentences."""
    if docname.startswith("reference/"):
        source[0] = re.sub(r"(?m)^\.\. contents::\n( +:.*\n)+", "", source[0])
        source[0] = re.sub(r"(?m)^    (\w+)_(module|role|callback|filter)$", r"    \1 (\2) <\1_\2>", source[0])


# Where the reference leads outside of it: labels of Ansible's own documentation, which is not asked for them.
ANSIBLE = "https://docs.ansible.com/ansible/latest/"
LABELS = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "callback_plugins": "plugins/callback.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}


def link_to_ansible(app, env, node, content):
    """Resolve a label of Ansible's documentation; any other one that is missing stays a warning."""
    label = node.get("reftarget", "")
    builtin = label.removeprefix("ansible_collections.ansible.builtin.")
    page = LABELS.get(label) or (builtin != label and "collections/ansible/builtin/%s.html" % builtin)
    return nodes.reference("", "", content, refuri=ANSIBLE + page) if page else None


def setup(app):
    app.connect("source-read", add_navigation)
    app.connect("source-read", trim_reference)
    app.connect("missing-reference", link_to_ansible)
