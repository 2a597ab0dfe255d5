# A few replacements on busy guests: the short form of `python -m tests.endurance`.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import concurrent.futures
import os

import pytest

from tests.endurance import analysis, guests

ROUNDS, SECONDS = 6, 30


@pytest.fixture(scope="module")
def reports(fleet, some):
    """{kernel: report}, of at most as many guests at once as the machine bears."""
    named = {guest.machine.kernel.name: guest for guest in some("6.1").values()}
    with concurrent.futures.ThreadPoolExecutor(min(fleet.at_once, os.cpu_count() or 1)) as pool:
        found = pool.map(lambda guest: guests.endure(fleet, guest, ROUNDS, SECONDS, every=5), named.values())
        return dict(zip(named, found))


def test_livepatches_replace_each_other_under_load_and_leave_nothing_behind(reports):
    for kernel, report in reports.items():
        assert analysis.problems(report) == [], kernel
        done = [line for line in analysis.rounds(report) if line["proven"]]
        assert len(done) >= 2, "%s: too slow to replace a livepatch twice in %d seconds" % (kernel, SECONDS)
        assert all(len(line["unloaded"]) == 1 for line in done), kernel


def test_the_guests_were_busy_all_the_time(reports):
    for kernel, report in reports.items():
        begin = report[0]
        for reading in analysis.readings(report):
            assert reading["running"] == begin["load"], kernel
