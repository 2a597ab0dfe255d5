# A server that answers like the API of AWX, as far as its collection asks, and records what it was asked to change.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# It keeps objects by kind, finds them by their fields or by their named URL, associates them, and makes what the real one
# makes by itself: roles of each object, the source of a constructed inventory, the template of an approval, the updates of
# a project, jobs. It refuses what the real one refuses: tests/awx/rules.py.

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.awx import rules

TOKEN = "a-token"
ROOT = "/api/v2/"
TYPES = {
    "organizations": "organization",
    "teams": "team",
    "credential_types": "credential_type",
    "credentials": "credential",
    "execution_environments": "execution_environment",
    "instance_groups": "instance_group",
    "inventories": "inventory",
    "inventory_sources": "inventory_source",
    "notification_templates": "notification_template",
    "projects": "project",
    "project_updates": "project_update",
    "job_templates": "job_template",
    "jobs": "job",
    "workflow_job_templates": "workflow_job_template",
    "workflow_job_template_nodes": "workflow_job_template_node",
    "workflow_approval_templates": "workflow_approval_template",
    "workflow_jobs": "workflow_job",
    "schedules": "schedule",
}
UNIFIED = ("job_templates", "workflow_job_templates", "projects", "inventory_sources", "workflow_approval_templates")
NOTIFIED = ["notification_templates_" + when for when in ("started", "success", "error")]
NODES = ["success_nodes", "failure_nodes", "always_nodes"]
LISTS = {
    "inventories": ["input_inventories", "instance_groups"],
    "projects": NOTIFIED,
    "job_templates": ["credentials", "instance_groups", "labels", *NOTIFIED],
    "workflow_job_templates": ["labels", "notification_templates_approvals", *NOTIFIED],
    "workflow_job_template_nodes": [*NODES, "credentials", "labels", "instance_groups"],
}
# What an object has of which nobody has said anything, as far as it can be told from what somebody says.
DEFAULTS = {
    "job_templates": {
        "extra_vars": "---",
        "limit": "",
        "job_tags": "",
        "skip_tags": "",
        "start_at_task": "",
        "timeout": 0,
        "scm_branch": "",
    },
    "workflow_job_templates": {"extra_vars": "", "limit": None, "job_tags": None, "skip_tags": None},
    "workflow_job_template_nodes": {"extra_data": {}, "unified_job_template": None},
    "schedules": {"extra_data": {}},
}
LAUNCHES = {"job_templates": "jobs", "workflow_job_templates": "workflow_jobs"}
ROLES = ("admin_role", "execute_role", "read_role", "use_role", "approval_role", "update_role")
# Who may execute, approve or administer something may read it.
READERS = ("read_role", "execute_role", "approval_role", "admin_role")
SECRETS = ("password",)
PLAYBOOKS = ["playbooks/" + path.name for path in (Path(__file__).resolve().parents[2] / "playbooks").glob("*.yml")]


class Refused(Exception):
    """An answer that is no success: (status, body)."""


def refuse(found):
    """Raise Refused if something was found (dict, or a text for people)."""
    if found:
        raise Refused(400, found if isinstance(found, dict) else {"error": found})


class Store:
    """What the server holds: objects by kind and number, associations by path, and the changes it was asked for."""

    def __init__(self):
        self.objects = {kind: {} for kind in TYPES}
        self.links = {}  # path of a list below an object -> numbers
        self.surveys = {}
        self.changes = []  # (method, path, data)
        self.repositories = {
            "https://github.com/kernel-livepatch/kernel.livepatch": {"": PLAYBOOKS}
        }  # address -> branch -> files
        self.last = 0
        self.machine = self.add("credential_types", {"name": "Machine", "kind": "ssh"})["id"]

    def add(self, what, fields):
        """Keep a new object of a kind and return it."""
        self.last += 1
        base = ROOT + "%s/%d/" % (what, self.last)
        roles = {name: {"id": self.last * 100 + number} for number, name in enumerate(ROLES)}
        self.objects[what][self.last] = made = dict(
            {"description": "", "organization": None, **DEFAULTS.get(what, {}), **fields},
            id=self.last,
            type=TYPES[what],
            url=base,
            related={name: base + name + "/" for name in ("survey_spec", "update", "launch", "events")},
            summary_fields={"object_roles": roles},
        )
        if what == "job_templates" and "project" in made:
            made["organization"] = self.objects["projects"][made["project"]]["organization"]
        if "organization" in made:
            made["summary_fields"]["organization"] = {"id": made["organization"], "name": self.owner(made)}
        if what == "projects":
            made.update(status="never updated", scm_revision="")
            self.update(made)
        if fields.get("kind") == "constructed":
            name = "Auto-created source for: " + fields["name"]
            source = {"name": name, "inventory": made["id"], "source": "constructed", "source_vars": ""}
            self.add("inventory_sources", source)
        return made

    def owner(self, one):
        """Return the name of the organization of an object, None where it has none."""
        return self.objects["organizations"].get(one["organization"], {}).get("name")

    def update(self, project):
        """Bring a project up to date with its repository, as far as that is there; return the update."""
        branches = self.repositories.get(project.get("scm_url"), {})
        files = branches.get(project.get("scm_branch") or "")
        status = "failed" if files is None else "successful"
        reason = (
            "Failed to checkout branch %s" % project.get("scm_branch") if branches else "fatal: repository not found"
        )
        made = self.add(
            "project_updates", {"name": project["name"], "status": status, "failed": files is None, "finished": "now"}
        )
        event = {"event": "runner_on_failed", "event_data": {"res": {"msg": reason}}}
        made.update(events=[event] if files is None else [], scm_revision="" if files is None else "0123abc")
        project.update(status=status, playbook_files=files or [], scm_revision=made["scm_revision"])
        project["related"]["last_update"] = made["url"]
        project["sync"] = "waiting"  # what is said once: an update takes its time
        return made

    def listed(self, kind, query):
        """Return the objects of a kind whose fields have these values."""
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        found = [one for each in kinds for one in self.objects[each].values()]
        either = {key[4:]: query[key] for key in query if key.startswith("or__")}
        every = {key: query[key] for key in query if not key.startswith("or__")}
        return [
            one
            for one in found
            if all(_has(one, key, values) for key, values in every.items())
            and (not either or any(_has(one, key, values) for key, values in either.items()))
        ]

    def named(self, kind, name):
        """Return the object with a named URL."""
        for one in self.objects[kind].values():
            if name == self.name(kind, one):
                return one
        raise Refused(404, {"detail": "Not found."})

    def name(self, kind, one):
        """Return what the named URL of an object ends with: name++organization; between them the type of a credential."""
        type_ = self.objects["credential_types"].get(one.get("credential_type"))
        between = "++%s+%s" % (type_["name"], type_["kind"]) if type_ else ""
        return one.get("name", "") + (
            "" if kind in ("organizations", "instance_groups") else "%s++%s" % (between, self.owner(one) or "")
        )

    def any(self, number):
        """Return the object with this number, of whatever kind, or None."""
        return next((kind[number] for kind in self.objects.values() if number in kind), None)

    def survey(self, one):
        return self.surveys.get(one["id"], {})

    def node_links(self, workflow):
        """Return the links of a workflow: number of a node -> {kind: numbers}."""
        found = [
            one
            for one in self.objects["workflow_job_template_nodes"].values()
            if one["workflow_job_template"] == workflow
        ]
        return {one["id"]: {kind: self.links.get(one["url"] + kind + "/", []) for kind in NODES} for one in found}

    def may(self, team, roles, one):
        """May the members of a team do what one of these roles of an object allows?"""
        numbers = [one["summary_fields"]["object_roles"][role]["id"] for role in roles]
        return any(team["id"] in self.links.get(ROOT + "roles/%d/teams/" % number, []) for number in numbers)

    def may_read(self, team, one):
        """May the members of a team see an object, and its jobs, what they print and their events?"""
        return self.may(team, READERS, one)

    def changed(self):
        """Return what was asked to be changed so far, and forget it."""
        changes, self.changes = self.changes, []
        return changes


def _has(one, key, values):
    if key.endswith("__in"):
        return str(one.get(key[:-4])) in values[0].split(",")
    return key == "page_size" or str(one.get(key)) in values


def answer(store, method, path, query, data):
    """Return (status, body) of one request; raises Refused."""
    parts = [urllib.parse.unquote(part) for part in path[len(ROOT) :].strip("/").split("/")]
    if method != "GET":
        store.changes.append((method, path, data))
    if parts[0] in ("ping", "me", "config"):
        return 200, {"results": [{"username": "ann"}], "count": 1, "next": None, "version": "24.6.1"}
    if parts[0] == "roles":
        return _associated(store, method, path, data)
    if len(parts) == 1:
        return _list(store, method, parts[0], query, data)
    one = store.named(parts[0], parts[1]) if "++" in parts[1] else store.objects[parts[0]].get(int(parts[1]))
    if one is None:
        raise Refused(404, {"detail": "Not found."})
    if len(parts) == 2:
        return _one(store, method, parts[0], one, data)
    below = BELOW.get(parts[2])
    if below:
        return below(store, method, parts[0], one, data)
    if parts[2] not in LISTS.get(parts[0], ()):
        raise Refused(404, {"detail": "Not found."})
    if method == "POST" and not data.get("disassociate"):
        refuse(_unfit(store, parts[0], one, parts[2], data["id"]))
    return _associated(store, method, one["url"] + parts[2] + "/", data)


def _survey(store, method, _kind, one, data):
    if method == "POST":
        refuse(rules.spec(data))
        store.surveys[one["id"]] = data
    return 200, store.survey(one)


def _approval(store, _method, _kind, one, data):
    made = store.add("workflow_approval_templates", data)
    one["unified_job_template"] = made["id"]
    return 201, made


def _update(store, _method, _kind, one, _data):
    made = store.update(one)
    del one["sync"]
    return 202, dict(made, status="pending")


def _events(_store, _method, _kind, one, _data):
    return 200, {"count": len(one["events"]), "next": None, "results": one["events"]}


def _launch(store, _method, kind, one, data):
    data = dict(data or {})
    given, workflow = data.pop("extra_vars", None) or {}, kind == "workflow_job_templates"
    wrong = rules.variables(one, store.survey(one), given, prompts=workflow)
    if workflow:
        wrong.update(rules.fields(one, rules.WORKFLOW_PROMPTS, data))
    elif store.objects["projects"][one["project"]]["status"] != "successful":
        wrong["playbook"] = "The project revision for this job template is unknown due to a failed update."
    refuse(wrong)
    started = rules.started(
        one, store.survey(one), given
    )  # of a template what nobody asks for is left out, and not refused
    # A workflow waits for its approval; a job is over at once.
    status, finished = ("running", None) if workflow else ("successful", "2026-10-02T08:15:00Z")
    made = {"name": one["name"], "status": status, "created": "now", "finished": finished, "extra_vars": json.dumps(started)}
    return 201, store.add(LAUNCHES[kind], made)


BELOW = {
    "survey_spec": _survey,
    "create_approval_template": _approval,
    "update": _update,
    "events": _events,
    "launch": _launch,
}


def _list(store, method, kind, query, data):
    if method == "GET":
        found = [_shown(store, kind, one) for one in store.listed(kind, query)]
        return 200, {"count": len(found), "next": None, "results": found}
    data = {key: value for key, value in data.items() if key != "type"}
    if kind == "job_templates":
        data.pop("organization", None)  # it is that of its project
    refuse(_wrong(store, kind, data, data))
    owner = store.objects["projects"][data["project"]] if kind == "job_templates" else data
    same = [
        one
        for one in store.objects[kind].values()
        if _unique(one) == _unique({**data, "organization": owner.get("organization")})
    ]
    if same:
        raise Refused(400, {"__all__": ["%s with this name already exists." % TYPES[kind]]})
    return 201, _shown(store, kind, store.add(kind, data))


def _unique(fields):
    return [fields.get(key) for key in ("name", "organization", "identifier", "workflow_job_template", "inventory")]


def _wrong(store, kind, whole, data):
    """Return what the server has against an object (dict); whole: as it would be; data: what was given of it."""
    if kind == "job_templates":
        return _wrong_template(store, whole)
    if kind == "notification_templates":
        needed = rules.NOTIFICATIONS[whole["notification_type"]]
        missing = [field for field in needed if field not in whole["notification_configuration"]]
        return {"notification_configuration": ["Missing required fields: %s." % missing]} if missing else {}
    found = {}
    if kind == "schedules" and rules.recurrence(whole["rrule"]):
        found["rrule"] = rules.recurrence(whole["rrule"])
    template = (
        store.any(whole.get("unified_job_template")) if kind in ("schedules", "workflow_job_template_nodes") else None
    )
    if template and ("extra_data" in data or set(rules.JOB_PROMPTS) & set(data) or "unified_job_template" in data):
        # Of what a node does not give, the workflow may give the rest; of a schedule it is all there is.
        variables = rules.variables(
            template, store.survey(template), whole.get("extra_data") or {}, needed=kind == "schedules"
        )
        if "extra_vars" in variables:
            variables["extra_data"] = variables.pop("extra_vars")
        asking = rules.JOB_PROMPTS if template["type"] == "job_template" else rules.WORKFLOW_PROMPTS
        found.update(variables, **rules.fields(template, asking, whole))
    return found


def _wrong_template(store, whole):
    project = store.objects["projects"].get(whole.get("project"))
    if not project:
        return {"project": ["This field is required."]}
    if whole.get("playbook") not in project["playbook_files"]:
        return {"playbook": ["Playbook not found for project."]}
    if whole.get("scm_branch") or whole.get("ask_scm_branch_on_launch"):
        return {"scm_branch": ["Project does not allow overriding branch."]}
    if not whole.get("inventory") and not whole.get("ask_inventory_on_launch"):
        return {"inventory": ["You must either set a default value or ask to prompt on launch."]}
    return {}


def _unfit(store, kind, one, which, number):
    """Return why an object cannot be put on a list of another one (str), "" if it can."""
    other = store.any(number)
    if which in NODES:
        if other["workflow_job_template"] != one["workflow_job_template"]:
            return "Cannot associate a node of another workflow."
        return rules.link(store.node_links(one["workflow_job_template"]), one["id"], number, which)
    if which == "input_inventories" and other["kind"] == "constructed":
        return "You cannot add a constructed inventory to another constructed inventory."
    if kind == "job_templates" and which == "credentials":
        type_ = store.any(other["credential_type"])
        there = [store.any(each)["credential_type"] for each in store.links.get(one["url"] + "credentials/", [])]
        if type_["id"] in there:
            return "Cannot assign multiple %s credentials." % type_["name"]
        if type_["kind"] not in ("ssh", "vault", "cloud", "net", "kubernetes"):
            return "Cannot assign a Credential of kind `%s`." % type_["kind"]
    return ""


def _one(store, method, kind, one, data):
    if method == "PATCH":
        owner = data.get("organization")
        if kind == "execution_environments" and owner and owner != one["organization"]:
            raise Refused(400, {"organization": ["Cannot change the organization of an execution environment"]})
        readonly = {"workflow_job_template_nodes": "workflow_job_template", "job_templates": "organization"}.get(kind)
        data = {key: value for key, value in data.items() if key not in ("type", readonly)}
        refuse(_wrong(store, kind, {**one, **data}, data))
        moved = kind == "projects" and any(
            data.get(key, one.get(key)) != one.get(key) for key in ("scm_url", "scm_branch")
        )
        one.update(data)
        if moved:
            store.update(one)
    elif method == "DELETE":
        del store.objects[kind][one["id"]]
        for numbers in store.links.values():
            numbers[:] = [number for number in numbers if number != one["id"]]
        return 204, None
    shown = _shown(store, kind, one)
    return 200, dict(shown, related=dict(shown["related"], named_url="%s%s/%s/" % (ROOT, kind, store.name(kind, one))))


def _shown(store, kind, one):
    """What the server tells of an object: no secret, the links of a node, that an update of a project takes its time."""
    if kind == "workflow_job_template_nodes":
        links = store.node_links(one["workflow_job_template"])[one["id"]]
        template = store.any(one["unified_job_template"])
        if not template:
            return dict(one, **links)
        named = {
            "id": template["id"],
            "name": template["name"],
            "unified_job_type": template["type"].replace("_template", ""),
        }
        related = dict(one["related"], unified_job_template=template["url"])
        return dict(
            one, related=related, summary_fields=dict(one["summary_fields"], unified_job_template=named), **links
        )
    if "sync" in one:
        return dict(one, status=one.pop("sync"))
    hidden = one.get("notification_configuration")
    if isinstance(hidden, dict):
        return dict(
            one, notification_configuration={k: "$encrypted$" if k in SECRETS and v else v for k, v in hidden.items()}
        )
    return one


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
