# What a fleet runs: its states, its table, and its page.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import time

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import fleet_page, fleet_status

from tests.unit.plugin_utils.rollouts import facts
from tests.unit.plugin_utils.test_report import NASTY, Tags

NOW = 1000000.0


def entry(name="a", cohort="web", result=None, **changed):
    return {"facts": facts(name, **changed), "result": result or {}, "cohort": cohort}


def patched(**changed):
    return entry(enabled="hotfix3", effective_release="6.1.0-1-hotfix3", patches={"hotfix3": {"packaged": True}}, **changed)


def one(host, wanted=None, reasons=None):
    found = fleet_status.status({"a": host}, NOW, wanted, reasons=reasons)["hosts"][0]
    return found["state"], "; ".join(found["reasons"])


BLOCKERS = [{"pid": 7, "comm": "cat", "unit": "web.service", "reason": "sleeping on patched function f of object vmlinux"}]
SWITCHING = {"livepatch": "hotfix3", "direction": "patching", "summary": "1 task sleeping in f", "blockers": BLOCKERS}
ENGINES = [{"name": "kcarectl", "active": True}]


@pytest.mark.parametrize(
    "host, wanted, state, words",
    [
        (entry(result={"unreachable": True, "msg": "timed out"}), None, "unreachable", "timed out"),
        (entry(result={"failed": True, "msg": "no python"}), None, "failed", "no python"),
        ({"facts": None, "result": {}}, None, "failed", "did not run"),
        (entry(supported=False), None, "unsupported", "no livepatch support"),
        (entry(transition=SWITCHING), None, "switching", "patching hotfix3, tasks are still switching: 1 task sleeping in f"),
        (entry(transition={**SWITCHING, "seconds": 60.4}), None, "stalled", "tasks are still switching after 60 s: 1 task"),
        (entry(transition={**SWITCHING, "seconds": 59.6}), None, "switching", "tasks are still switching after 60 s: 1 task"),
        (patched(), None, "current", ""),
        (patched(), "hotfix3", "current", ""),
        (patched(), "hotfix4", "behind", "runs hotfix3, not hotfix4"),
        (entry(), None, "unpatched", "runs no livepatch"),
        (entry(), "hotfix3", "unpatched", "runs no livepatch, not hotfix3"),
        (entry(engines=ENGINES), "hotfix3", "elsewhere", "livepatched by kcarectl"),
        (entry(engines=ENGINES, supported=False), "hotfix3", "elsewhere", "livepatched by kcarectl"),
        (
            patched(pending_kernel={"kernel_release": "6.1.0-2", "livepatches": []}),
            None,
            "reboot_pending",
            "boots 6.1.0-2 next, for which no livepatch lies ready",
        ),
        (
            patched(pending_kernel={"kernel_release": "6.1.0-2", "livepatches": ["hotfix4"]}),
            None,
            "reboot_pending",
            "for which hotfix4 lies ready",
        ),
    ],
)
def test_a_host_has_the_state_that_its_facts_tell_and_the_reason(host, wanted, state, words):
    found, reason = one(host, wanted)
    assert found == state and words in reason


def test_code_that_is_in_no_package_is_told_and_of_several_problems_the_worst_names_the_host():
    host = patched(pending_kernel={"kernel_release": "6.1.0-2", "livepatches": []})
    host["facts"]["patches"]["hotfix3"]["packaged"] = False
    state, reason = one(host, "hotfix4")
    assert state == "other_code"
    assert "in no installed package" in reason and "not hotfix4" in reason and "boots 6.1.0-2 next" in reason


def test_the_journal_tells_why_a_host_is_behind():
    assert one(entry(), "hotfix3", {"a": ("not_applicable", "no build for 6.1.0-1")}) == (
        "unpatched",
        "runs no livepatch, not hotfix3: not applicable, no build for 6.1.0-1",
    )


def fleet(count):
    raw = {}
    for number in range(count):
        name = "web-%05d" % number
        kernel = ("6.1.0-1", "6.12.0-3", "5.10.0-40")[number % 3]
        raw[name] = patched(cohort="rack-%d" % (number % 8), kernel_release=kernel)
        if number % 10 == 3:
            raw[name] = entry(name, cohort="rack-3", kernel_release=kernel)
        if number % 97 == 5:
            raw[name] = entry(name, result={"unreachable": True, "msg": "timed out"}, cohort="rack-5")
        if number % 501 == 7:
            raw[name] = entry(name, transition=SWITCHING, cohort="rack-7", kernel_release=kernel)
    return raw


def test_the_table_counts_each_cohort_kernel_and_livepatch_once():
    found = fleet_status.status(fleet(1000), NOW, "hotfix3")
    assert sum(row["hosts"] for row in found["rows"]) == 1000
    assert sum(found["counts"].values()) == 1000 == sum(sum(states.values()) for states in found["cohorts"].values())
    assert json.loads(json.dumps(found)) == found


def test_on_a_terminal_there_are_a_sum_a_table_and_the_worst_hosts_first():
    lines = fleet_status.lines(fleet_status.status(fleet(1000), NOW, "hotfix3"))
    assert lines[0].startswith("1000 hosts, wanted is hotfix3: 11 unreachable, ")
    assert lines[1].split() == "cohort kernel release livepatch hosts need a person".split()
    told = [line for line in lines if ": " in line][1:]
    assert told[0].startswith("web-00005: unreachable: timed out") and len(told) == fleet_status.MOST_LINES
    assert lines[-1].startswith("and ") and lines[-1].endswith(" more, in the page and the data")


def test_an_empty_fleet_is_no_error():
    found = fleet_status.status({}, NOW)
    assert fleet_status.lines(found)[0] == "0 hosts: none"
    Tags(fleet_page.render(found))


def test_the_page_is_whole_and_names_who_blocks():
    text = fleet_page.render(fleet_status.status(fleet(1000), NOW, "hotfix3"))
    words = " ".join(" ".join(Tags(text).words).split())
    for told in ("1000 hosts", "wanted is release hotfix3", "rack-7 (", "cat (7) , web.service : sleeping on patched", "timed out"):
        assert told.replace(" ", "") in words.replace(" ", ""), told
    assert "default-src 'none'" in text


def test_a_cohort_is_complete_only_when_every_host_is():
    raw = {name: patched() for name in ("a", "b", "c")}
    assert "100 %" in fleet_page.render(fleet_status.status(raw, NOW))
    raw.update({"h%d" % number: patched() for number in range(500)}, z=entry())
    assert "99 %" in fleet_page.render(fleet_status.status(raw, NOW)) and "100 %" not in fleet_page.render(
        fleet_status.status(raw, NOW)
    )


def test_whatever_hosts_and_reasons_are_called_is_text_and_never_markup():
    raw = {NASTY: entry(result={"unreachable": True, "msg": NASTY}, cohort=NASTY)}
    text = fleet_page.render(fleet_status.status(raw, NOW, None))
    assert "<script" not in text and NASTY in "".join(Tags(text).words)


def test_ten_thousand_hosts_take_seconds():
    raw = fleet(10000)
    before = time.process_time()
    text = fleet_page.render(fleet_status.status(raw, NOW, "hotfix3"))
    assert time.process_time() - before < 10 and len(text) < 5e6


def build(**changed):
    found = {
        "kernel_release": "6.1.0-1", "architecture": "x86_64", "package": "kpatch-patch-6_1_0-1-1-5.x86_64", "version": "1-5",
        "livepatch": "kpatch_6_1_0_1_1_5", "built": "2026-11-02T10:00:00Z", "cves": ["CVE-2026-1", "CVE-2026-2"], "missing": [],
        "reason": None, "supported_until": "2027-05-31", "asked": ["a"],
    }  # fmt: skip
    return {"6.1.0-1 x86_64": dict(found, **changed)}


def on(name, livepatch=None, package=None, **changed):
    patches = {livepatch: {"packaged": True, "package": package, "cves": ["CVE-2026-1"]}} if livepatch else {}
    return entry(name, architecture="x86_64", enabled=livepatch, patches=patches, **changed)


def test_of_each_kernel_it_says_what_runs_the_newest_build_what_lies_between_and_until_when():
    fleet = {
        "a": on("a", "kpatch_6_1_0_1_1_5"),
        "b": on("b", "kpatch_6_1_0_1_1_4"),
        "c": on("c"),
        "d": on("d", "livepatch_CVE", "kpatch-patch-6_1_0-1-1-5.x86_64"),
        "e": on("e", "other", kernel_release="6.1.0-2"),
    }
    found = fleet_status.status(fleet, NOW, "newest", wanted_builds=build(), today="2026-12-01")
    states = {host["host"]: host["state"] for host in found["hosts"]}
    assert states == {"a": "current", "b": "behind", "c": "unpatched", "d": "current", "e": "behind"}
    first, second = found["kernels"]
    assert (first["hosts"], first["build"], first["cves"]) == (4, "kpatch-patch-6_1_0-1-1-5.x86_64", ["CVE-2026-1", "CVE-2026-2"])
    assert first["runs"] == {"kpatch_6_1_0_1_1_4": 1, "kpatch_6_1_0_1_1_5": 1, "livepatch_CVE": 1, "none": 1}
    assert first["supported_until"] == "2027-05-31" and second["why"] == "no host of it could be asked"
    only = fleet_status.status({"b": fleet["b"]}, NOW, "newest", wanted_builds=build())
    assert only["kernels"][0]["cves"] == ["CVE-2026-2"]
    lines = fleet_status.lines(found)
    assert any(line.startswith("6.1.0-1  ") and "2027-05-31" in line and line.split()[-2] == "2" for line in lines)
    page = fleet_page.render(found)
    assert "CVEs between" in page and "kpatch-patch-6_1_0-1-1-5.x86_64" in page


def test_a_kernel_without_a_build_says_why_and_since_when_it_is_out_of_support():
    none = build(package=None, livepatch=None, cves=[], reason="no_build", supported_until="2026-10-31")
    found = fleet_status.status({"a": on("a")}, NOW, "newest", wanted_builds=none, today="2026-12-01")
    assert found["hosts"][0]["state"] == "unpatched" and "out of support since 2026-10-31" in found["hosts"][0]["reasons"][0]
    assert "out of support since" in fleet_status.lines(found)[4]


def test_without_builds_nothing_is_said_of_kernels():
    found = fleet_status.status({"a": patched()}, NOW, "hotfix3")
    assert found["kernels"] == [] and "CVEs between" not in fleet_page.render(found)
