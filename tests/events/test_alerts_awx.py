# Alerts start templates of AWX: what a server that answers like its API is asked for.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import http.server
import json
import threading
import urllib.parse

import pytest

from tests.events.conftest import wait_for

KINDS = {"Livepatch halt": "job", "Livepatch rollback after approval": "workflow_job"}


class Awx(http.server.ThreadingHTTPServer):
    """Has both templates, and remembers what was launched: (name of the template, what was given to it)."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.launched = []

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.server_port


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if "unified_job_templates" in url.path:
            self.answer({"results": [template(query["name"])] if query["name"] in KINDS else []})
        elif "id__in" in query:
            # The workflow waits for its approval.
            status = "running" if "workflow" in url.path else "successful"
            self.answer({"results": [{"id": int(number), "status": status, "created": "now"} for number in query["id__in"].split(",")]})
        else:
            self.answer({"version": "24.6.1"})

    def do_POST(self):
        name = urllib.parse.unquote(self.path.rpartition("/")[2])
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.launched.append((name, given))
        self.answer({"url": "/api/v2/%ss/%d/" % (KINDS[name], len(self.server.launched))})

    def answer(self, content):
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *unused):
        pass


def template(name):
    asks = dict.fromkeys(("limit", "labels", "inventory", "variables"), False)
    return {"id": 1, "type": KINDS[name] + "_template", "name": name, "related": {"launch": "/launch/" + urllib.parse.quote(name)},
            "summary_fields": {"organization": {"name": "Default"}},
            **{"ask_%s_on_launch" % what: asked for what, asked in asks.items()}}  # fmt: skip


@pytest.fixture
def awx():
    server = Awx()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_alert_starts_the_template_that_halts_and_asks_once_whether_to_roll_back(servers, awx, tmp_path):
    (tmp_path / "hosts.yml").write_text("all: {}\n")
    rulebook = servers.rulebook("alerts_awx", tmp_path / "hosts.yml", "--controller-url", awx.url, "--controller-token", "secret")
    alert = {"alertname": "LivepatchCrashRate", "livepatch_release": "1.10"}
    bad = [dict(alert, livepatch_release="{{ 7 }}"), dict(alert, livepatch_release="../1.10"), {"alertname": "LivepatchCrashRate"}]
    assert rulebook.alert(*bad, *[alert] * 20) == 200
    wait_for(lambda: len(awx.launched) >= 2, 120)
    assert rulebook.alert(dict(alert, alertname="Errors: {{ 7 }}")) == 200
    wait_for(lambda: len(awx.launched) >= 3, 120)
    assert rulebook.alert({"alertname": "the-last"}) == 200
    rulebook.seen("the-last")
    launched = {(name, given["extra_vars"].get("livepatch_reason") or given["extra_vars"]["livepatch_rollback_reason"])
                for name, given in awx.launched}  # fmt: skip
    assert launched == {("Livepatch halt", "alert LivepatchCrashRate"), ("Livepatch halt", "alert Errors:  7 "),
                        ("Livepatch rollback after approval", "approved after an alert")}  # fmt: skip
    assert len(awx.launched) == 3
    for _name, given in awx.launched:
        assert given.get("limit", "") == "" and set(given) <= {"limit", "extra_vars"}
        assert given["extra_vars"]["livepatch_release"] == "1.10" and len(given["extra_vars"]) == 2
