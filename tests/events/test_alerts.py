# Alerts halt a rollout on real kernels, and a person has it rolled back; what is no release does nothing.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

from tests.events.conftest import get, post, wait_for
from tests.rollout.test_rollout import entries, written

TIERS = [{"name": "all", "share": "100%", "soak": "1h"}]
ALERT = {"alertname": "LivepatchCrashRate", "severity": "critical", "livepatch_release": "hotfix1"}


def template(directory):
    """What Ansible must never fill in: it leaves a file."""
    return "{{ lookup('ansible.builtin.pipe', 'touch %s/ran') }}" % directory


def nameless(directory):
    """Labels of alerts that name no rollout: templates, paths, options, lines, and what is no text at all."""
    names = [template(directory), "../hotfix1", "%s/journals/hotfix1" % directory, "-rf", "hotfix1\n", "hotfix1 livepatch_override=rollback",
             "", None, 7, ["hotfix1"], {"hotfix1": 1}]  # fmt: skip
    return [{"alertname": "LivepatchCrashRate"}, *[dict(ALERT, livepatch_release=name) for name in names]]


def test_an_alert_halts_the_rollout_that_it_names_once_and_only_a_person_has_it_rolled_back(rollouts, servers):
    journals = rollouts.directory / "journals"
    process = rollouts.start("rollout", "hotfix1", livepatch_tiers=TIERS, settings={"ANSIBLE_TIMEOUT": "60"})
    rulebook = servers.rulebook("alerts", rollouts.fleet.inventory, livepatch_journal_dir=str(journals))
    manager = servers.alertmanager(rulebook.url, rulebook.alerts_token)
    wait_for(written(rollouts, "hotfix1", "soak", tier=1), 1200)

    for labels in nameless(rollouts.directory):
        assert rulebook.alert(labels) == 200
    assert post(rulebook.alerts_port, "alerts", {"alerts": [{"status": "firing", "labels": ALERT}]}, "a guess") == 401
    rulebook.alert({"alertname": "the-last-of-these"})
    rulebook.seen("the-last-of-these")
    hostile = template(rollouts.directory)
    storm = [{"labels": dict(ALERT, instance="lab-%d" % number, note=hostile), "annotations": {"summary": hostile}}
             for number in range(100)]  # fmt: skip
    assert post(manager, "api/v2/alerts", storm) == 200
    told = [{receiver["name"] for receiver in alert["receivers"]} for alert in get(manager, "api/v2/alerts")]
    assert told == [{"livepatch", "everybody"}] * 100, "the people who are told anyway are told of this, too"
    process.wait(timeout=600)
    assert process.returncode != 0
    verdict = [entry for entry in entries(rollouts, "hotfix1") if entry["kind"] == "verdict"][-1]
    assert verdict["reasons"][0].startswith("stop: aborted by ") and verdict["reasons"][0].endswith(": alert LivepatchCrashRate")
    assert said(journals) == ["alert LivepatchCrashRate"]
    assert rulebook.alert(dict(ALERT, alertname="Too many errors " + hostile)) == 200
    wait_for(lambda: len(said(journals)) == 2)
    assert said(journals)[1].startswith("alert Too many errors  lookupansible.builtin.pipe touch ")
    assert not (rollouts.directory / "ran").exists()

    # Whoever may send alerts may not approve anything, even with an alert that looks like an approval.
    wish = {"rollback": "hotfix1"}
    assert post(rulebook.approvals_port, "approve", wish, rulebook.alerts_token) == 401
    forged = {"payload": wish, "meta": {"source": {"name": "approvals"}}}
    assert post(rulebook.alerts_port, "alerts", {"alerts": [forged]}, rulebook.alerts_token) == 200
    assert post(rulebook.approvals_port, "approve", {"rollback": "hotfix2"}, rulebook.approvals_token) == 200
    rulebook.seen("hotfix2")
    assert not written(rollouts, "hotfix1", "rollback")()
    assert post(rulebook.approvals_port, "approve", wish, rulebook.approvals_token) == 200
    wait_for(written(rollouts, "hotfix1", "end", result="rolled_back"))
    assert rollouts.running() == {host: [] for host in rollouts.fleet.guests}


def said(journals):
    """The reasons of all that was said to the rollout."""
    path = journals / "hotfix1.jsonl.overrides"
    return [json.loads(line)["reason"] for line in path.read_text().splitlines()] if path.exists() else []
