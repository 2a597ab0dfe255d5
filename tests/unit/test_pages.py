# What stands in the code blocks of the Markdown pages is known to the collection: languages, YAML, variables, options.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import configparser
import json
import re

import pytest
import yaml

from ansible_collections.kernel.livepatch.plugins.plugin_utils import netconsole
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import plan
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import sources
from tests.docs import pages
from tests.unit.test_collection import FQCN, OPTIONS, ROLE_VARS, SPECS, TASKS, made, read, specified, stems, walk

LANGUAGES = {"shell", "yaml", "json", "ini", "text", "python"}
COMMENTS = {"shell": re.compile(r"not run: .{10,}|in the lab(, long(, fails)?)?"), "yaml": re.compile(r"file: [\w.-]+")}
BLOCKS = pages.every()
NAME = re.compile(r"(?<![\w./-])livepatch_[a-z0-9_]*[a-z0-9](?![\w(/-])")


def place(block):
    return "%s:%d" % (block.page, block.line)


def of(language):
    return pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == language], ids=place)


def test_every_block_is_fenced_and_says_its_language():
    assert {place(block): block.language for block in BLOCKS if block.language not in LANGUAGES} == {}


def test_a_comment_before_a_block_says_who_runs_it_or_what_file_it_is():
    unknown = {}
    for block in BLOCKS:
        known = COMMENTS.get(block.language)
        # A licence at the end of a page's head is no word about the block.
        if block.comment is not None and not (known and known.fullmatch(block.comment)):
            unknown[place(block)] = block.comment
    assert unknown == {}


@of("yaml")
def test_yaml_is_well_formed_and_uses_options_that_modules_have(block):
    for key, options in walk(yaml.safe_load(block.text)):
        if str(key).startswith(FQCN):
            unknown = set(options or {}) - OPTIONS.get(key[len(FQCN) :], set())
            assert not unknown, "%s has no option %s" % (key, sorted(unknown))


@of("json")
def test_json_is_well_formed(block):
    for line in block.text.splitlines():
        json.loads(line)


@of("ini")
def test_settings_are_well_formed(block):
    assert configparser.ConfigParser(interpolation=None).read_string(block.text) is None


def values(name):
    """Return (block, value) of each variable of this name in the YAML of the pages."""
    found = [(place(block), value) for block in BLOCKS if block.language == "yaml"
             for key, value in walk(yaml.safe_load(block.text)) if key == name]  # fmt: skip
    assert found
    return found


def test_tiers_that_are_shown_can_be_planned():
    for where, tiers in values("livepatch_tiers"):
        assert plan.parse_tiers(tiers, "2 or 1%"), where


def test_sources_that_are_shown_are_taken():
    for where, given in values("livepatch_sources"):
        assert sources.check(given), where


def test_netconsole_targets_that_are_shown_are_taken():
    for where, targets in values("livepatch_netconsole_targets"):
        assert netconsole.check(targets), where


def variables():
    """Return the names of all variables: those of roles, those of hosts, and those that the playbooks make."""
    described = "".join((pages.ROOT / "roles" / role / "meta/argument_specs.yml").read_text() for role in SPECS)
    of_roles = [name for entries in SPECS.values() for name in specified(entries)]
    return set(of_roles + re.findall(r"C\((livepatch_\w+)\)", described)).union(*(made(read(name)) for name in TASKS + ROLE_VARS))


def others():
    """Return what else is called livepatch_...: modules, metrics, groups of the example inventory, variables of rulebooks, parsers that are fuzzed."""
    metrics = re.findall(r"page\.add\(\s*\"(\w+)\"", (pages.ROOT / "plugins/module_utils/_visibility/metrics.py").read_text())
    groups = list(read("inventories/example/livepatch_groups.yml")["groups"])
    rulebooks = "".join(path.read_text() for path in (pages.ROOT / "extensions/eda/rulebooks").glob("*.yml"))
    events = re.findall(r"(?m)^#   (livepatch_\w+)", rulebooks)
    fuzzed = [name[len("fuzz_") :] for name in stems("tests/fuzz/fuzz_*.py")]
    return {*OPTIONS, *groups, *fuzzed, *events, *("livepatch_" + name for name in metrics + stems("tests/lab/livepatches/*.c"))}


def test_every_livepatch_variable_that_a_page_names_exists():
    known = variables() | others()
    for page in pages.pages():
        names = set(NAME.findall((pages.ROOT / page).read_text(encoding="utf-8")))
        unknown = sorted(name for name in names - known if not name.startswith("livepatch_release_"))
        assert not unknown, "%s names %s" % (page, unknown)
