# The rulebooks name what exists, tell their variables, and let nothing from outside through that is no name.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import Environment

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError

ROOT = Path(__file__).resolve().parents[2]
RULEBOOKS = sorted((ROOT / "extensions/eda/rulebooks").glob("*.yml"))
ALERTS = yaml.safe_load((ROOT / "extensions/prometheus/livepatch-rollout-alerts.yml").read_text())
SPECIFIED = set(
    yaml.safe_load((ROOT / "roles/rollout/meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
)
OURS = "kernel.livepatch."
# Where ansible-rulebook itself brings them along: ansible.eda gives up its own.
SOURCE, FILTER = "eda.builtin.webhook", "eda.builtin.event_splitter"
TEMPLATE = re.compile(r"{{(.*?)}}")

each = pytest.mark.parametrize("path", RULEBOOKS, ids=lambda path: path.stem)


def rulesets(path):
    return yaml.safe_load(path.read_text())


def sources(path):
    return [source for ruleset in rulesets(path) for source in ruleset["sources"]]


def rules(path):
    return [rule for ruleset in rulesets(path) for rule in ruleset["rules"]]


def actions(rule):
    """Yield (kind, arguments) of each action of a rule."""
    for action in rule.get("actions") or [rule["action"]]:
        yield from action.items()


def extra_vars(arguments):
    return arguments.get("extra_vars") or arguments.get("job_args", {}).get("extra_vars") or {}


def texts(value):
    """Yield every text of nested YAML."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def conditions(rule):
    return [rule["condition"]] if isinstance(rule["condition"], str) else rule["condition"]["all"]


def test_there_are_rulebooks():
    assert [path.stem for path in RULEBOOKS] == ["alerts", "alerts_awx"]


@each
def test_whoever_sends_something_needs_a_token_that_is_a_variable_and_no_two_sources_share_one(path):
    tokens = []
    for source in sources(path):
        assert set(source) <= {"name", SOURCE, "filters"}
        tokens.append(source[SOURCE]["token"])
        assert source[SOURCE]["host"] == "{{ livepatch_events_address | default('127.0.0.1') }}"
        assert [set(one) for one in source.get("filters", [])] in ([], [{FILTER}])
    assert all(re.fullmatch(r"{{ livepatch_\w+_token }}", token) for token in tokens)
    assert len(set(tokens)) == len(tokens)


@each
def test_an_alert_cannot_bring_a_source_of_its_own_along(path):
    splitters = [one[FILTER] for source in sources(path) for one in source.get("filters", [])]
    assert splitters and all(splitter["attributes_key_map"] == {"meta": "meta"} for splitter in splitters)


@each
def test_the_variables_that_a_rulebook_uses_are_those_that_its_head_tells(path):
    head = path.read_text().partition("\n- name:")[0]
    told = set(re.findall(r"(?m)^#   (livepatch_\w+) ", head))
    used = {
        name
        for text in texts(rulesets(path))
        for template in TEMPLATE.findall(text)
        for name in re.findall(r"(?<![.\w])livepatch_\w+", template)
    }
    assert used == told


@each
def test_an_action_names_a_playbook_that_exists_and_variables_that_are_specified(path):
    for rule in rules(path):
        for kind, arguments in actions(rule):
            assert kind in ("run_playbook", "run_job_template", "run_workflow_template", "post_event")
            if kind == "run_playbook":
                assert arguments["name"].startswith(OURS)
                assert (ROOT / "playbooks" / (arguments["name"][len(OURS) :] + ".yml")).is_file()
            assert set(extra_vars(arguments)) <= SPECIFIED
            assert kind == "post_event" or "livepatch_release" in extra_vars(arguments)


@each
def test_a_release_is_checked_before_an_action_hands_it_on_and_stays_a_text(path):
    for rule in rules(path):
        checked = 'event.labels.livepatch_release is not regex("[^' in " ".join(conditions(rule))
        for unused, arguments in actions(rule):
            assert checked or "event.labels" not in " ".join(texts(arguments))
            assert extra_vars(arguments).get("livepatch_release", "| tojson }}").endswith("| tojson }}")


@each
def test_of_the_name_of_an_alert_only_letters_that_make_no_template_are_handed_on(path):
    template, = {text for rule in rules(path) for unused, arguments in actions(rule) for text in texts(arguments) if "alertname" in text}
    hostile = "High {{ lookup('pipe', 'true') }} {% x %} {# y #} \n\\ $(id): 99.9"
    rendered = Environment().from_string(template).render(event={"labels": {"alertname": hostile}})
    assert rendered == "alert High  lookuppipe true   x   y   id: 99.9"
    assert Environment().from_string(template).render(event={"labels": {}}) == "alert "
    assert len(Environment().from_string(template).render(event={"labels": {"alertname": "x" * 999}})) < 500
    used = {label for rule in rules(path) for text in texts(rule) for label in re.findall(r"event\.labels\.(\w+)", text)}
    assert used == {"alertname", "livepatch_release"}
    assert not [text for rule in rules(path) for text in texts(rule) if "annotations" in text]


@each
def test_the_same_alert_starts_an_action_once_in_a_while(path):
    for rule in rules(path):
        if "event.labels" in " ".join(conditions(rule)):
            assert "once_within" in rule["throttle"]
            assert "event.labels.livepatch_release" in rule["throttle"]["group_by_attributes"]


def test_the_words_of_a_halt_are_those_with_which_the_workflow_halts_again_so_that_it_is_said_once():
    halt, ask = rules(ROOT / "extensions/eda/rulebooks/alerts_awx.yml")
    (unused, started), (unused, posted) = actions(halt)
    assert posted["event"]["livepatch_reason"] == extra_vars(started)["livepatch_reason"]
    (unused, asking), = actions(ask)
    assert extra_vars(asking)["livepatch_reason"] == "{{ event.livepatch_reason }}"


def test_no_alert_alone_rolls_anything_back():
    for rule in rules(ROOT / "extensions/eda/rulebooks/alerts.yml"):
        rolls_back = [kind for kind, arguments in actions(rule) if arguments.get("name") == OURS + "rollback"]
        if rolls_back:
            first, second = conditions(rule)
            assert "halted" in first and 'event.meta.source.name == "approvals"' in second
    started = [kind for rule in rules(ROOT / "extensions/eda/rulebooks/alerts_awx.yml") for kind, unused in actions(rule)]
    assert started == ["run_job_template", "post_event", "run_workflow_template"], "the workflow asks a person first"


CONDITIONS = [" ".join(conditions(rules(path)[0])) for path in RULEBOOKS]


def passes(condition, label):
    """Would a label's text pass what a condition demands of it? Java reads these patterns as Python does."""
    found = re.findall(r'event\.labels\.livepatch_release is (not )?regex\("(.*?)"\)', condition)
    assert len(found) == 2
    return all(bool(re.search(pattern, label)) != bool(negated) for negated, pattern in found)


@given(st.one_of(st.text(max_size=8), st.text(st.sampled_from("aZ09_.+~^-/ \n{}%'\""), max_size=8)))
@example("hotfix3")
@example("hotfix3\n")
@example("../hotfix3")
@example("{{ 7 }}")
@example("-e")
@example("")
def test_exactly_the_names_of_releases_pass(text):
    try:
        is_name = bool(values.name(text, "release"))
    except RolloutError:
        is_name = False
    assert [passes(condition, text) for condition in CONDITIONS] == [is_name] * len(RULEBOOKS)


def test_every_alert_about_a_rollout_carries_the_release_that_the_rulebooks_look_for():
    alerts = [rule for rule in ALERTS["groups"][0]["rules"] if "alert" in rule]
    assert alerts and all(rule["labels"]["livepatch_release"] == "{{ $labels.livepatch }}" for rule in alerts)
