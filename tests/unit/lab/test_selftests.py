# What of the kernel's selftests needs no kernel: which scenarios there are, which are played, what the page says.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from tests.selftests import host, page
from tests.selftests.__main__ import wanted

SCENARIOS, SHORT = host.scenarios()


def test_each_step_of_a_scenario_is_something_that_a_host_can_do():
    for scenario, steps in SCENARIOS.items():
        for step in steps:
            assert hasattr(host.Host, step.split()[0]), (scenario, step)
            assert step.split()[0] != "do" or step.split()[1] in host.COMMANDS, (scenario, step)


def test_a_scenario_of_the_integration_tests_is_one_of_all():
    assert SHORT and set(SHORT) < set(SCENARIOS)


def test_a_run_that_was_cut_goes_on_with_what_is_not_known_to_be_right():
    results = {"played": [], "wrong": ["a sentence"], "not played": None}
    assert wanted(results, "") == ["wrong", "not played"]
    assert wanted(results, "played") == ["played", "not played"]
    assert wanted({"played": []}, "") == ["played"]


def test_the_page_says_of_each_scenario_and_kernel_what_was_measured():
    reports = {
        "6.1": {"release": "6.1.0-50-amd64", "results": {"one": [], "two": ["changed: expected True, found False"]}},
        "7.2": {"release": "7.2.13-amd64", "results": {"one": None, "two": []}},
    }
    text = page.write(reports, ("linux-source-7.2", "7.2.13-1"))
    assert "| one | right | not measured |" in text and "| two | wrong | right |" in text
    assert "of 4 cells 3 were measured, and 2 of these are right" in text
    assert "- two, 6.1: changed: expected True, found False" in text
