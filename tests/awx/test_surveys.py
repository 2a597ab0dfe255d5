# The surveys ask for variables as the argument specifications of the roles have them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import builds, overrides

ROOT = Path(__file__).resolve().parents[2]
SURVEYS = yaml.safe_load((ROOT / "playbooks/vars/awx/surveys.yml").read_text())
QUESTIONS = SURVEYS["livepatch_awx_questions"]
OPTIONS = yaml.safe_load((ROOT / "roles/rollout/meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
# A flag would be asked for as a choice of two texts, a number as an integer.
KINDS = {"str": ("text", "multiplechoice"), "list": ("text",), "bool": ("multiplechoice",), "int": ("integer",)}
# What is said as one line of text, and how long it may be; a pattern of hosts is Ansible's.
LIMITS = {
    "livepatch_release": 100,
    "livepatch_advisory": 100,
    "livepatch_last_tier": 100,
    "livepatch_wanted": 100,
    "livepatch_retry": 500,
    "livepatch_takeover": 500,
    "livepatch_reason": 500,
    "livepatch_rollback_reason": 500,
}


def default(question):
    """Return the default of a question; a template has that of a site that has set nothing."""
    found = re.fullmatch(r"\{\{ livepatch_awx_variables\.(\w+) \| default\('(\w*)'\) \}\}", question["default"])
    if not found:
        return question["default"]
    assert found.group(1) == question["variable"]
    return found.group(2)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_about_a_variable_and_has_its_type_choices_and_default(name):
    question = QUESTIONS[name]
    option = OPTIONS[question["variable"]]
    assert question["type"] in KINDS[option["type"]]
    assert question.get("choices") == option.get("choices"), "the order is that of the variable"
    elsewhere = {"livepatch_last_tier": "next", "livepatch_hosts": "all"}  # a job takes one tier more; unset means all hosts
    if question["variable"] in elsewhere:
        assert default(question) == elsewhere[question["variable"]]
    else:
        assert default(question) == (option.get("default") or "")


@pytest.mark.parametrize("name", [name for name, question in QUESTIONS.items() if question["variable"] in LIMITS])
def test_a_text_may_be_as_long_as_the_variable_and_no_longer(name):
    longest = QUESTIONS[name]["max"]
    assert longest == LIMITS[QUESTIONS[name]["variable"]]
    advisory = QUESTIONS[name]["variable"] == "livepatch_advisory"
    check = (lambda text, what: builds.wanted(advisory=text).word) if advisory else values.name if longest == 100 else values.reason
    assert check("x" * longest, "it") == "x" * longest
    with pytest.raises(values.RolloutError, match="at most %d characters" % longest):
        check("x" * (longest + 1), "it")


def test_an_answer_is_required_only_where_there_is_no_default_and_empty_only_where_that_means_something():
    for question in QUESTIONS.values():
        may_be_empty = question["type"] == "text" and question["min"] == 0
        assert question["required"] == (not question["default"] and not may_be_empty)
        if OPTIONS[question["variable"]].get("required"):
            assert not may_be_empty


def test_what_can_be_said_to_a_rollout_can_be_chosen():
    assert set(QUESTIONS["override"]["choices"]) == set(overrides.OVERRIDES)


def test_every_question_is_asked_and_every_survey_asks_for_a_release_first_or_for_the_fleet():
    asked = {question["variable"] for survey in SURVEYS["livepatch_awx_surveys"].values() for question in survey["spec"]}
    assert asked == {question["variable"] for question in QUESTIONS.values()}
    for name, survey in SURVEYS["livepatch_awx_surveys"].items():
        first = survey["spec"][0]["variable"]
        assert first == ("livepatch_wanted" if name == "fleet_status" else "livepatch_release")
