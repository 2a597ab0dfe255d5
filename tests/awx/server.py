# A server that answers like the API of AWX, as far as its collection asks, and records what it was asked to change.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# It keeps objects by kind, finds them by their fields or by their named URL, associates them, and makes what the real one
# makes by itself: roles of each object, the source of a constructed inventory, the template of an approval.

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "a-token"
ROOT = "/api/v2/"
TYPES = {
    "organizations": "organization",
    "teams": "team",
    "credentials": "credential",
    "execution_environments": "execution_environment",
    "instance_groups": "instance_group",
    "inventories": "inventory",
    "inventory_sources": "inventory_source",
    "notification_templates": "notification_template",
    "projects": "project",
    "job_templates": "job_template",
    "workflow_job_templates": "workflow_job_template",
    "workflow_job_template_nodes": "workflow_job_template_node",
    "workflow_approval_templates": "workflow_approval_template",
    "schedules": "schedule",
}
UNIFIED = ("job_templates", "workflow_job_templates", "projects", "inventory_sources", "workflow_approval_templates")
NOTIFIED = ["notification_templates_" + when for when in ("started", "success", "error")]
LISTS = {
    "inventories": ["input_inventories", "instance_groups"],
    "projects": NOTIFIED,
    "job_templates": ["credentials", "instance_groups", "labels", *NOTIFIED],
    "workflow_job_templates": ["labels", "notification_templates_approvals", *NOTIFIED],
    "workflow_job_template_nodes": ["success_nodes", "failure_nodes", "always_nodes", "credentials", "labels", "instance_groups"],
}
ROLES = ("admin_role", "execute_role", "read_role", "use_role", "approval_role", "update_role")
SECRETS = ("password",)


class Refused(Exception):
    """An answer that is no success: (status, body)."""


class Store:
    """What the server holds: objects by kind and number, associations by path, and the changes it was asked for."""

    def __init__(self):
        self.objects = {kind: {} for kind in TYPES}
        self.links = {}  # path of a list below an object -> numbers
        self.surveys = {}
        self.changes = []  # (method, path, data)
        self.last = 0

    def add(self, what, fields):
        """Keep a new object of a kind and return it."""
        self.last += 1
        base = ROOT + "%s/%d/" % (what, self.last)
        roles = {name: {"id": self.last * 100 + number} for number, name in enumerate(ROLES)}
        organization = self.objects["organizations"].get(fields.get("organization"), {})
        self.objects[what][self.last] = made = dict(
            {"description": "", "organization": None, **fields},
            id=self.last,
            type=TYPES[what],
            url=base,
            related={"survey_spec": base + "survey_spec/"},
            summary_fields={"object_roles": roles, "organization": {"name": organization.get("name")}},
        )
        if what == "projects":
            made.update(status="successful", scm_revision="0123abc")
        if fields.get("kind") == "constructed":
            name = "Auto-created source for: " + fields["name"]
            source = {"name": name, "inventory": made["id"], "source": "constructed", "source_vars": ""}
            self.add("inventory_sources", source)
        return made

    def listed(self, kind, query):
        """Return the objects of a kind whose fields have these values."""
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        found = [one for each in kinds for one in self.objects[each].values()]
        return [one for one in found if all(_has(one, key, values) for key, values in query.items())]

    def named(self, kind, name):
        """Return the object with a named URL: name++organization."""
        first, _unused, organization = name.partition("++")
        for one in self.objects[kind].values():
            owner = self.objects["organizations"].get(one["organization"], {})
            if one.get("name") == first and owner.get("name") == organization:
                return one
        raise Refused(404, {"detail": "Not found."})

    def changed(self):
        """Return what was asked to be changed so far, and forget it."""
        changes, self.changes = self.changes, []
        return changes


def _has(one, key, values):
    if key.startswith("or__"):
        return True
    return str(one.get(key)) in values


def answer(store, method, path, query, data):
    """Return (status, body) of one request; raises Refused."""
    parts = [urllib.parse.unquote(part) for part in path[len(ROOT):].strip("/").split("/")]
    if method != "GET":
        store.changes.append((method, path, data))
    if parts[0] in ("ping", "me"):
        return 200, {"results": [{"username": "ann"}], "count": 1, "next": None}
    if parts[0] == "roles":
        return _associated(store, method, path, data)
    if len(parts) == 1:
        return _list(store, method, parts[0], query, data)
    one = store.named(parts[0], parts[1]) if "++" in parts[1] else store.objects[parts[0]].get(int(parts[1]))
    if one is None:
        raise Refused(404, {"detail": "Not found."})
    if len(parts) == 2:
        return _one(store, method, parts[0], one, data)
    if parts[2] == "survey_spec":
        if method == "POST":
            store.surveys[one["id"]] = data
        return 200, store.surveys.get(one["id"], {})
    if parts[2] == "create_approval_template":
        made = store.add("workflow_approval_templates", data)
        one["unified_job_template"], one["related"]["unified_job_template"] = made["id"], made["url"]
        return 201, made
    if parts[2] not in LISTS.get(parts[0], ()):
        raise Refused(404, {"detail": "Not found."})
    return _associated(store, method, path, data)


def _list(store, method, kind, query, data):
    if method == "GET":
        found = store.listed(kind, query)
        return 200, {"count": len(found), "next": None, "results": found}
    same = [one for one in store.objects[kind].values() if _unique(one) == _unique(data)]
    if same:
        raise Refused(400, {"__all__": ["%s with this name already exists." % TYPES[kind]]})
    return 201, store.add(kind, {key: value for key, value in data.items() if key != "type"})


def _unique(fields):
    return [fields.get(key) for key in ("name", "organization", "identifier", "workflow_job_template", "inventory")]


def _one(store, method, kind, one, data):
    if method == "PATCH":
        owner = data.get("organization")
        if kind == "execution_environments" and owner and owner != one["organization"]:
            raise Refused(400, {"organization": ["Cannot change the organization of an execution environment"]})
        one.update({key: value for key, value in data.items() if key != "type"})
    elif method == "DELETE":
        del store.objects[kind][one["id"]]
        return 204, None
    return 200, _shown(one)


def _shown(one):
    """The server never tells a secret that it was told."""
    hidden = one.get("notification_configuration")
    if not isinstance(hidden, dict):
        return one
    return dict(one, notification_configuration={k: "$encrypted$" if k in SECRETS and v else v for k, v in hidden.items()})


def _associated(store, method, path, data):
    numbers = store.links.setdefault(path, [])
    if method == "POST":
        if data.get("disassociate"):
            numbers.remove(data["id"])
        elif data["id"] not in numbers:
            numbers.append(data["id"])
        return 204, None
    return 200, {"count": len(numbers), "next": None, "results": [{"id": number} for number in numbers]}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def _handle(self):
        length = int(self.headers.get("Content-Length") or 0)
        data = json.loads(self.rfile.read(length) or b"null")
        url = urllib.parse.urlsplit(self.path)
        try:
            if self.headers.get("Authorization") != "Bearer " + TOKEN:
                raise Refused(401, {"detail": "Authentication credentials were not provided."})
            with self.server.lock:
                status, body = answer(self.server.store, self.command, url.path, urllib.parse.parse_qs(url.query), data)
        except Refused as refused:
            status, body = refused.args
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = _handle

    def log_message(self, *_unused):
        """Quiet: the store has it all."""


class Server:
    """The server in a thread, on a free port of 127.0.0.1: `with Server() as server: server.url, server.store`."""

    def __enter__(self):
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.store = self.store = Store()
        self.http.lock = threading.Lock()
        self.url = "http://127.0.0.1:%d" % self.http.server_port
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_unused):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()
