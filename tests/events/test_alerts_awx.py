# Alerts start templates of AWX: what a server that answers like its API is asked for, and takes.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

import pytest

from tests.awx import server
from tests.awx.test_surveys import SURVEYS
from tests.events.conftest import wait_for

ASKED = {
    "Livepatch halt": ("job_templates", "halt"),
    "Livepatch rollback after approval": ("workflow_job_templates", "alert"),
}


class Awx(server.Server):
    """Has both templates, with their surveys."""

    def __enter__(self):
        super().__enter__()
        organization = self.store.add("organizations", {"name": "Default"})["id"]
        address = next(iter(self.store.repositories))
        project = self.store.add("projects", {"name": "Livepatch", "organization": organization, "scm_url": address})[
            "id"
        ]
        for name, (kind, survey) in ASKED.items():
            made = {"name": name, "organization": organization, "project": project, "survey_enabled": True}
            one = self.store.add(
                kind,
                dict(made, **dict.fromkeys(server.rules.JOB_PROMPTS.values(), False), ask_variables_on_launch=False),
            )
            self.store.surveys[one["id"]] = SURVEYS["livepatch_awx_surveys"][survey]
        return self

    @property
    def launched(self):
        """What was launched: (name of the template, variables of the job)."""
        kinds = (self.store.objects[kind].values() for kind in ("jobs", "workflow_jobs"))
        return [(one["name"], json.loads(one["extra_vars"])) for found in kinds for one in found]


@pytest.fixture
def awx():
    with Awx() as running:
        yield running


def test_an_alert_starts_the_template_that_halts_and_asks_once_whether_to_roll_back(servers, awx, tmp_path):
    (tmp_path / "hosts.yml").write_text("all: {}\n")
    there = ("--controller-url", awx.url, "--controller-token", server.TOKEN)
    rulebook = servers.rulebook("alerts_awx", tmp_path / "hosts.yml", *there)
    alert = {"alertname": "LivepatchCrashRate", "livepatch_release": "1.10"}
    bad = [
        dict(alert, livepatch_release="{{ 7 }}"),
        dict(alert, livepatch_release="../1.10"),
        {"alertname": "LivepatchCrashRate"},
    ]
    assert rulebook.alert(*bad, *[alert] * 20) == 200
    wait_for(lambda: len(awx.launched) >= 2, 120)
    assert rulebook.alert(dict(alert, alertname="Errors: {{ 7 }}")) == 200
    wait_for(lambda: len(awx.launched) >= 3, 120)
    assert rulebook.alert({"alertname": "the-last"}) == 200
    rulebook.seen("the-last")
    launched = {
        (name, given["livepatch_reason"], given.get("livepatch_rollback_reason")) for name, given in awx.launched
    }
    assert launched == {
        ("Livepatch halt", "alert LivepatchCrashRate", None),
        ("Livepatch halt", "alert Errors:  7 ", None),
        ("Livepatch rollback after approval", "alert LivepatchCrashRate", "approved after an alert"),
    }
    assert len(awx.launched) == 3
    assert all(given["livepatch_release"] == "1.10" for _name, given in awx.launched)
    assert [given["livepatch_override"] for name, given in awx.launched if name == "Livepatch halt"] == ["abort"] * 2
