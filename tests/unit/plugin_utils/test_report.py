# The report of a rollout: as data, and as a page that a person can read.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import re
import time
from html.parser import HTMLParser

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import html, rollout_page, rollout_report
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal

from tests.unit.plugin_utils.rollouts import REBOOTED, Rollout, hosts

TIERS = [{"name": "canary", "hosts": 2, "soak": "10m"}, {"name": "rest", "share": "100%", "soak": "10m"}]
EMPTY = {"meta"}


def rollout(count=6, **options):
    return Rollout(hosts(count), tiers=TIERS, slice="50%", rules=rules.parse({"control_hosts": 100}), **options)


def of(found):
    return rollout_report.report(found.entries, "/var/lib/livepatch/web.jsonl", found.now)


@pytest.fixture
def passed():
    """A rollout whose first tier has passed, with a crash on each arm."""
    found = rollout()
    found.patch(1)
    found.patch(1)
    last = found.tier(2)[-1].replace("-", "_")
    found.look(1, after=300, **{last: REBOOTED})
    found.look(1, after=400)
    return found


class Tags(HTMLParser):
    """Fails on a page whose elements are not closed in order; collects its text and its elements."""

    def __init__(self, text):
        super().__init__()
        self.open, self.names, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.names.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_tiers_have_their_times_their_verdicts_and_their_outcomes(passed):
    found = of(passed)
    canary, rest = found["tiers"]
    assert (canary["verdict"], canary["counts"]) == ("pass", {"patched": 2})
    assert (canary["patched"] - canary["begun"], canary["over"] - canary["begun"]) == (20, 720)
    assert (rest["begun"], rest["verdict"], rest["counts"]) == (None, None, {"untouched": 4})
    assert (found["result"], found["begun"], found["until"]) == ("unfinished", 1000000.0, passed.now)


def test_evidence_has_a_point_for_each_verdict_and_events_have_their_arm(passed):
    passed.patch(2)
    passed.look(2, after=100, **{passed.tier(2)[0].replace("-", "_"): REBOOTED})
    found = of(passed)
    assert len(found["evidence"]) == len(passed.verdicts())
    assert found["evidence"][-1]["crashes"]["patched"]["incidents"] == 1
    assert sorted((event["arm"], event["event"]) for event in found["events"]) == [("control", "crash"), ("patched", "crash")]
    assert [host["outcome"] for host in found["hosts"]].count("rebooted") == 1


def test_what_people_said_and_how_long_a_tier_was_held_is_told(passed):
    passed.patch(2)
    passed.say("pause", reason="lunch")
    passed.judge(2)
    passed.now += 600
    passed.say("resume", reason="back")
    passed.judge(2)
    found = of(passed)
    assert [(said["override"], said["reason"]) for said in found["overrides"]] == [("pause", "lunch"), ("resume", "back")]
    assert [until - since for since, until in found["tiers"][1]["holds"]] == [600]
    assert "lunch" in rollout_page.render(found)


def test_a_hold_that_lasts_reaches_to_the_end(passed):
    passed.patch(2)
    passed.say("pause", reason="lunch")
    passed.judge(2)
    since = passed.now
    passed.now += 300
    assert of(passed)["tiers"][1]["holds"] == [[since, passed.now]]


def test_a_reason_that_a_retry_has_forgiven_is_not_told_any_more(passed):
    first = passed.tier(2)[0].replace("-", "_")
    passed.patch(2, **{first: {"apply": {"failed": True, "error": "stalled", "msg": "pid 7 blocks"}}})
    passed.write([{"kind": "verdict", **passed.judge(2), "verdict": "stop", "reasons": ["stop: too many"]}])
    assert of(passed)["reasons"] == ["stop: too many"]
    passed.now += 60
    passed.write([{"kind": "retry", "user": "ann", "reason": "mended"}])
    assert of(passed)["reasons"] == [] and of(passed)["overrides"][-1]["reason"] == "mended"


def test_only_the_last_round_is_told():
    found = rollout()
    for tier in (1, 2):
        found.patch(tier)
        found.patch(tier)
        found.look(tier, after=700)
    found.write([{"kind": "end", "result": "complete"}])
    before = of(found)
    found.now += 5000
    found.open(**{name.replace("-", "_"): {"enabled": None} for name in hosts(6)})
    again = of(found)
    assert before["result"] == "complete" and again["begun"] == found.now
    assert again["evidence"] == [] and again["events"] == []


def test_the_report_is_plain_data_and_of_an_ended_rollout_always_the_same(passed):
    passed.write([{"kind": "end", "result": "stopped"}])
    first = of(passed)
    passed.now += 1000
    assert json.loads(json.dumps(first)) == first == of(passed)


def test_many_verdicts_are_thinned_and_keep_their_peaks_and_their_end():
    points = [
        {"crashes": {"e": float(number == 777)}, "alarms": {"e": float(number == 888)}, "number": number}
        for number in range(5000)
    ]
    found = rollout_report._thinned(points)
    assert len(found) <= rollout_report.MOST_POINTS + 1
    assert found[-1]["number"] == 4999 and {777, 888} < {point["number"] for point in found}


def test_the_page_is_whole_and_tells_what_the_data_tells(passed):
    found = of(passed)
    tags = Tags(rollout_page.render(found))
    words = " ".join(" ".join(tags.words).split())
    assert tags.names.count("svg") == 2 and "script" not in tags.names and "img" not in tags.names
    for told in ("web", "hotfix3", "unfinished", "canary", "rest", "not begun", "stop at 20", "hold at 5", "by ann on desk"):
        assert told in words, told
    assert re.search(r"4\s*untouched", words) and re.search(r"2\s*patched", words)


def test_the_page_needs_nothing_from_anywhere_and_follows_the_readers_scheme(passed):
    text = rollout_page.render(of(passed))
    assert "prefers-color-scheme: dark" in text and "default-src 'none'" in text
    assert not re.search(r"(src|href)=|url\(|@import|https?:", text)


def test_a_rollout_that_has_just_been_planned_has_a_page(passed):
    assert "Nothing has been judged yet" in rollout_page.render(of(rollout()))


NASTY = '<script>alert(1)</script>"&\''


def test_whatever_hosts_tiers_and_reasons_are_called_is_text_and_never_markup():
    found = Rollout([NASTY, "b"], tiers=[{"name": "all", "share": "100%"}], slice="50%")
    found.patch(1, b={"apply": {"failed": True, "error": "stalled", "msg": NASTY}})
    found.say("pause", user=NASTY, reason=NASTY)
    text = rollout_page.render(rollout_report.report(found.entries, NASTY, found.now))
    assert "<script" not in text
    assert NASTY in "".join(Tags(text).words)


def large(count):
    """The journal of a fleet that was patched, a host in a thousand of it in vain."""
    begin = rollout()
    plan, stamp = [], {"time": journal.now(lambda: 1000000.0), "run": 1}
    example = next(entry for entry in begin.entries if entry["kind"] == "host")
    outcome = {"kind": "outcome", "tier": 1, "changed": True, "effective_release": "6.1.0-1-hotfix3", "livepatch": "hotfix3"}
    names = ["web-%06d.example.com" % number for number in range(count)]
    for entry in begin.entries:
        if entry["kind"] == "host":
            continue
        if entry["kind"] == "planned":
            plan += [{**example, "host": name, "tier": 1, "boot_id": name} for name in names]
            entry = {**entry, "tiers": [{**entry["tiers"][0], "hosts": count}]}
        plan.append(entry)
    plan.append({**stamp, "kind": "slice", "tier": 1, "slice": 1, "hosts": names})
    for number, name in enumerate(names):
        bad = number % 1000 == 7
        words = {"outcome": "failed", "reason": "locked: another run"} if bad else {"outcome": "patched", "reason": ""}
        plan.append({**stamp, **outcome, **words, "host": name, "boot_id": name, "seconds": 1.5})
    return plan


def test_a_hundred_thousand_hosts_make_a_page_of_bounded_size_in_bounded_time():
    entries = large(100000)
    before = time.process_time()
    text = rollout_page.render(rollout_report.report(entries, "web.jsonl", 1000100.0))
    assert time.process_time() - before < 30
    assert len(text.encode()) < 50e6
    assert text.count("<tr>") < 2 * html.MOST_ROWS and text.count("<pre>") <= 100000 / html.LINES + 1
    assert "web-099999.example.com" in text
