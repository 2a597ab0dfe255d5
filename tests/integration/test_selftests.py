# Some of the kernel's own selftests through the modules. `make test-selftests` plays all of them on every kernel.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from tests.selftests import host, sources

SCENARIOS, SHORT = host.scenarios()


@pytest.fixture(scope="module")
def play(some, put_python, tasks_in):
    """A function that plays a scenario, by its name, on the newest kernel; returns what is wrong, as sentences."""
    guests = some("7.2")
    files = {name: sources.get(guest.machine.kernel) for name, guest in guests.items()}
    for name, guest in guests.items():
        put_python(guest)
        guest.copy(files[name], host.FILES.rstrip("/"))

    def one(name, steps):
        return host.Host(lambda tasks: tasks_in(guests[name], tasks), files[name]).play(steps)

    return lambda scenario: [problem for name in guests for problem in one(name, SCENARIOS[scenario])]


@pytest.mark.parametrize("scenario", SHORT)
def test_what_the_modules_say_in_a_selftest_of_the_kernel_is_what_the_kernel_shows(play, scenario):
    problems = play(scenario)
    assert not problems, "\n".join(problems)
