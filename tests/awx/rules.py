# What AWX refuses, and with which words: surveys, variables and fields at a launch, schedules, links of a workflow.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Pure: each function returns what the server has against something, and nothing ([] or {}) where it takes it.

import json
import re

import yaml

TEXTS = ("text", "textarea", "password")
NUMBERS = ("integer", "float")
CHOICES = ("multiplechoice", "multiselect")
# Field of a job -> field of its template that lets whoever launches it give another value.
JOB_PROMPTS = {
    "inventory": "ask_inventory_on_launch",
    "limit": "ask_limit_on_launch",
    "scm_branch": "ask_scm_branch_on_launch",
    "labels": "ask_labels_on_launch",
    "job_tags": "ask_tags_on_launch",
    "skip_tags": "ask_skip_tags_on_launch",
    "diff_mode": "ask_diff_mode_on_launch",
    "job_type": "ask_job_type_on_launch",
    "verbosity": "ask_verbosity_on_launch",
    "execution_environment": "ask_execution_environment_on_launch",
    "forks": "ask_forks_on_launch",
    "job_slice_count": "ask_job_slice_count_on_launch",
    "timeout": "ask_timeout_on_launch",
}
WORKFLOW_PROMPTS = {
    field: JOB_PROMPTS[field] for field in ("inventory", "limit", "scm_branch", "labels", "job_tags", "skip_tags")
}
NOTIFICATIONS = {"webhook": ("url", "http_method", "headers", "disable_ssl_verification")}


def spec(survey):
    """A survey that somebody gives to a template."""
    for field, kind in (("name", str), ("description", str), ("spec", list)):
        if not isinstance(survey.get(field), kind):
            return "Field '%s' is missing from survey spec." % field
    if not survey["spec"]:
        return "'spec' doesn't contain any items."
    seen = set()
    for number, question in enumerate(survey["spec"]):
        found = _question(number, question)
        if not found and question["variable"] in seen:
            found = "'variable' '%s' duplicated in survey question %d." % (question["variable"], number)
        if found:
            return found
        seen.add(question["variable"])
    return ""


def _question(number, question):
    for field, kind in (("type", str), ("question_name", str), ("variable", str), ("required", bool)):
        if not isinstance(question.get(field), kind):
            return "'%s' in survey question %d expected to be %s." % (field, number, kind.__name__)
    if question["type"] not in TEXTS + NUMBERS + CHOICES:
        return "'%s' in survey question %d is not one of the allowed question types." % (question["type"], number)
    default = question.get("default", "")
    if default != "" and isinstance(default, str) == (question["type"] in NUMBERS):
        return "Default value %s in survey question %d expected to be %s." % (default, number, question["type"])
    for field in ("min", "max"):
        if not isinstance(question.get(field), (int, type(None))):
            return "The %s limit in survey question %d expected to be integer." % (field, number)
    if question["type"] in CHOICES:
        if "choices" not in question:
            return "Survey question %d of type %s must specify choices." % (number, question["type"])
        if any(one not in choices(question) for one in default.splitlines()):
            return "Default choice must be answered from the choices listed."
    return ""


def choices(question):
    """Return what may be chosen (list of str)."""
    found = question["choices"]
    return [line for line in found.splitlines() if line.strip()] if isinstance(found, str) else found


def answer(question, answers, needed=True):
    """The answer to one question; needed: a required one must be there, whatever the default is."""
    name, kind = question["variable"], question["type"]
    if name not in answers:
        return ["'%s' value missing" % name] if question["required"] and needed else []
    value = answers[name]
    if kind in CHOICES:
        given = value if kind == "multiselect" else [value]
        return [
            "Value %s for '%s' expected to be one of %s." % (one, name, choices(question))
            for one in given
            if one not in choices(question)
        ]
    if isinstance(value, str) != (kind in TEXTS) or isinstance(value, bool):
        return ["Value %s for '%s' expected to be a %s." % (value, name, "string" if kind in TEXTS else "number")]
    size = len(value) if kind in TEXTS else value
    found = []
    if question.get("min") is not None and size < question["min"]:
        found.append("'%s' value %s is too small (must be at least %s)." % (name, value, question["min"]))
    if question.get("max") is not None and size > question["max"]:
        found.append("'%s' value %s is too large (must be no more than %s)." % (name, value, question["max"]))
    return found


def variables(template, survey, given, needed=True, prompts=True):
    """The variables that a launch, a schedule or a node gives (dict); prompts: one that nobody asks for is refused."""
    found = {}
    questions = survey.get("spec", []) if template.get("survey_enabled") else []
    wrong = [text for question in questions for text in answer(question, given, needed)]
    if wrong:
        found["variables_needed_to_start"] = wrong
    asked = {question["variable"] for question in questions}
    own = yaml.safe_load(template.get("extra_vars") or "") or {}
    unasked = [name for name in given if name not in asked and (name not in own or own[name] != given[name])]
    if unasked and prompts and not template.get("ask_variables_on_launch"):
        found["extra_vars"] = [
            "Variables %s are not allowed on launch. Check the Prompt on Launch setting to include Extra Variables."
            % ", ".join(unasked)
        ]
    return found


def fields(template, asking, given):
    """The other fields that a launch, a schedule or a node gives; asking: JOB_PROMPTS or WORKFLOW_PROMPTS."""
    return {
        field: ["Field is not configured to prompt on launch."]
        for field, asks in asking.items()
        if given.get(field) is not None and given[field] != template.get(field) and not template.get(asks)
    }


def started(template, survey, given):
    """Return the variables of a job (dict): its template's, defaults of the survey that pass it, what is asked for and given."""
    found = yaml.safe_load(template.get("extra_vars") or "") or {}
    questions = survey.get("spec", []) if template.get("survey_enabled") else []
    for question in questions:
        if "default" in question and not answer(question, {question["variable"]: question["default"]}):
            found[question["variable"]] = question["default"]
    asked = {question["variable"] for question in questions}
    return {
        **found,
        **{name: given[name] for name in given if name in asked or template.get("ask_variables_on_launch")},
    }


def recurrence(rule):
    """The rule of a schedule."""
    found = []
    if not re.search(r"DTSTART(;[^:]+)?:[0-9]+T[0-9]+Z?", rule):
        found.append("Valid DTSTART required in rrule. Value should start with: DTSTART:YYYYMMDDTHHMMSSZ")
    if re.search(r"DTSTART:[0-9]+T[0-9]+ ", rule):
        found.append("DTSTART cannot be a naive datetime.  Specify ;TZINFO= or YYYYMMDDTHHMMSSZZ.")
    if "RRULE:" not in rule:
        found.append("One or more rule required in rrule.")
    found += ["INTERVAL required in rrule: " + one for one in re.findall(r"RULE:\S*", rule) if "INTERVAL" not in one]
    return found


def link(nodes, parent, child, kind):
    """A link of a kind from one node to another (numbers); nodes: number -> {kind: numbers}."""
    if parent == child or parent in _reached(nodes, child):
        return "Cycle detected."
    if any(child in found for other, found in nodes[parent].items() if other != kind):
        return "Relationship not allowed."
    return ""


def _reached(nodes, start):
    found, left = set(), [start]
    while left:
        for children in nodes[left.pop()].values():
            left += [child for child in children if child not in found]
            found.update(children)
    return found


def facts(directory, before, hosts):
    """Return the facts of each host (dict) after a job that had this directory of facts.

    before: those before the job; hosts: all hosts of the inventory. Whoever has no file of its name there loses what it had.
    """
    found = {}
    for name in hosts:
        path = directory / name
        found[name] = json.loads(path.read_text()) if path.exists() else {}
    return {**before, **found}
