# Tests of the playbook awx: what it makes, that it makes it once, and what it says when it cannot.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal, lock
from tests.awx.server import NODES, PLAYBOOKS, TOKEN, Refused, Server, answer
from tests.awx.test_surveys import QUESTIONS
from tests.unit.plugin_utils.rollouts import Rollout

ROOT = Path(__file__).resolve().parents[2]
ORGANIZATION = "Operations"
SITE = {
    "livepatch_awx_organization": ORGANIZATION,
    # Another organization has these names, too.
    "livepatch_awx_inventories": ["production++Operations"],
    "livepatch_awx_credentials": ["fleet key++Machine+ssh++Operations"],
    "livepatch_awx_image": "registry.example.com/livepatch-ee:0.1.0",
    "livepatch_awx_webhook_url": "https://chat.example.com/hook",
    "livepatch_awx_variables": {"livepatch_tiers": [{"name": "canary", "hosts": 2}, {"name": "100", "share": "100%"}]},
}
# Which module takes which list; the names of the lists are those of the collection infra.aap_configuration.
MODULES = {
    "controller_teams": "team",
    "controller_execution_environments": "execution_environment",
    "controller_notifications": "notification_template",
    "controller_projects": "project",
    "controller_inventories": "inventory",
    "controller_inventory_sources": "inventory_source",
    "controller_templates": "job_template",
    "controller_workflows": "workflow_job_template",
    "controller_schedules": "schedule",
    "controller_roles": "role",
}


def play(playbook, variables, collections, directory=ROOT, **environment):
    """Run a playbook and return (exit status, output)."""
    settings = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=os.pathsep.join(map(str, collections)), ANSIBLE_NOCOLOR="1")
    settings.update(environment, ANSIBLE_LOCALHOST_WARNING="false", ANSIBLE_DEPRECATION_WARNINGS="false")
    command = [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), playbook, "-e", json.dumps(variables)]
    done = subprocess.run(
        command, env=settings, cwd=str(directory), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, done.stdout.decode()


def setup(server, variables, collections, **environment):
    # Beside guests the server may have to wait minutes for a processor.
    asked = {"CONTROLLER_HOST": server.url, "CONTROLLER_OAUTH_TOKEN": TOKEN, "CONTROLLER_REQUEST_TIMEOUT": "1800"}
    return play("kernel.livepatch.awx", variables, collections, **dict(asked, **environment))


def prepare(store):
    """Make an organization of ours, and another one that calls its things by the same names."""
    ours, other = (store.add("organizations", {"name": name})["id"] for name in (ORGANIZATION, "Other"))
    for owner in (ours, other):
        store.add("inventories", {"name": "production", "organization": owner, "kind": ""})
        store.add("credentials", {"name": "fleet key", "organization": owner, "credential_type": store.machine})
    for kind, name in (
        ("projects", "Livepatch"),
        ("inventories", "Livepatch fleet"),
        ("notification_templates", "Livepatch"),
        ("job_templates", "Livepatch one tier"),
        ("workflow_job_templates", "Livepatch tier by tier"),
        ("teams", "Livepatch operators"),
    ):
        store.add(kind, {"name": name, "organization": other, "kind": ""})
    # Ours from before, when there were more tiers.
    workflow = store.add("workflow_job_templates", {"name": "Livepatch tier by tier", "organization": ours})
    store.add("workflow_job_template_nodes", {"identifier": "tier-03", "workflow_job_template": workflow["id"]})


@pytest.fixture
def server():
    """A server of which nothing was asked yet."""
    with Server() as running:
        prepare(running.store)
        yield running


@pytest.fixture(scope="module")
def site(collections):
    """A server that the playbook has set up."""
    with Server() as running:
        prepare(running.store)
        strangers = json.dumps(by_name(running.store, "job_templates", "Other"))
        status, output = setup(running, SITE, collections)
        assert status == 0, output
        assert TOKEN not in output
        assert json.dumps(by_name(running.store, "job_templates", "Other")) == strangers
        yield running


def by_name(store, kind, organization=ORGANIZATION):
    """Return {name: object} of the organization's objects of a kind."""
    owners = {number for number, one in store.objects["organizations"].items() if one["name"] == organization}
    return {one["name"]: one for one in store.objects[kind].values() if one["organization"] in owners}


def names(store, path):
    """Return the names or identifiers of what is associated at a path below the API's root."""
    every = {number: one for kind in store.objects.values() for number, one in kind.items()}
    found = [every[number] for number in store.links.get("/api/v2/" + path, [])]
    return sorted(one.get("identifier") or one["name"] for one in found)


def test_a_site_is_set_up_once_and_the_second_run_changes_nothing(site, collections):
    check_templates(site.store)
    check_workflow(site.store)
    check_access(site.store)
    (source,) = [one for one in site.store.objects["inventory_sources"].values() if one["source_vars"]]
    assert set(json.loads(source["source_vars"])["groups"]) >= {"livepatch_none", "livepatch_unsupported"}
    (production,) = site.store.links["/api/v2/inventories/%d/input_inventories/" % source["inventory"]]
    assert by_name(site.store, "inventories")["production"]["id"] == production
    site.store.changed()
    status, output = setup(site, SITE, collections)
    assert status == 0, output
    assert site.store.changed() == []
    assert "changed=0 " in output


def check_templates(store):
    templates = by_name(store, "job_templates")
    assert len(templates) == 7
    for name, template in templates.items():
        assert template["job_slice_count"] == 1, name
        assert template["allow_simultaneous"] is (name in ("Livepatch halt", "Livepatch status")), name
        variables = json.loads(template["extra_vars"])
        assert variables["livepatch_journal_dir"] == "/var/lib/livepatch" and len(variables["livepatch_tiers"]) == 2
        assert names(store, "job_templates/%d/credentials/" % template["id"]) == ["fleet key"]
        assert names(store, "job_templates/%d/notification_templates_error/" % template["id"]) == ["Livepatch"]
        assert store.surveys[template["id"]]["spec"], name
        assert store.objects["projects"][template["project"]] == by_name(store, "projects")["Livepatch"]


def links(store, workflow):
    """Return the links of a workflow: (identifier of a node, kind) -> identifiers."""
    found = {
        (store.any(number)["identifier"], kind[: -len("_nodes")]): sorted(
            store.any(each)["identifier"] for each in linked
        )
        for number, kinds in store.node_links(workflow["id"]).items()
        for kind, linked in kinds.items()
    }
    return {key: linked for key, linked in found.items() if linked}


def check_workflow(store):
    workflow = by_name(store, "workflow_job_templates")["Livepatch tier by tier"]
    nodes = {
        node["identifier"]: node
        for node in store.objects["workflow_job_template_nodes"].values()
        if node["workflow_job_template"] == workflow["id"]
    }
    assert links(store, workflow) == {
        ("tier-01", "success"): ["approve-02"],
        ("tier-01", "failure"): ["approve-rollback"],
        ("approve-02", "success"): ["tier-02"],
        ("approve-02", "failure"): ["denied"],
        ("tier-02", "failure"): ["approve-rollback"],
        ("approve-rollback", "success"): ["rollback"],
    }
    ours = by_name(store, "job_templates")
    assert nodes["tier-01"]["unified_job_template"] == ours["Livepatch one tier"]["id"]
    assert nodes["denied"]["unified_job_template"] == ours["Livepatch halt"]["id"]
    assert [nodes["tier-%02d" % number]["extra_data"]["livepatch_last_tier"] for number in (1, 2)] == ["canary", "100"]
    asked = by_name(store, "workflow_job_templates")["Livepatch rollback after approval"]
    assert [node["identifier"] for node in store.objects["workflow_job_template_nodes"].values()
            if node["workflow_job_template"] == asked["id"]] == ["halt", "approve-rollback", "rollback"]  # fmt: skip
    assert links(store, asked) == {
        ("halt", "success"): ["approve-rollback"],
        ("approve-rollback", "success"): ["rollback"],
    }
    assert asked["allow_simultaneous"] is True, "who is asked about one release keeps no other one from being halted"
    approval = store.objects["workflow_approval_templates"][nodes["approve-02"]["unified_job_template"]]
    assert approval["timeout"] == 86400 and "tier 100" in approval["name"]
    assert workflow["allow_simultaneous"] is False
    for event in ("error", "success", "approvals"):
        for one in (workflow, asked):
            assert names(store, "workflow_job_templates/%d/notification_templates_%s/" % (one["id"], event)) == [
                "Livepatch"
            ]


def check_access(store):
    teams = by_name(store, "teams")
    templates, workflows = by_name(store, "job_templates"), by_name(store, "workflow_job_templates")

    def may(team, role, one):
        return store.may(teams[team], [role], one)

    workflow = workflows["Livepatch tier by tier"]
    denied = ("Livepatch rollout", "Livepatch one tier")
    assert {name for name, one in templates.items() if not may("Livepatch operators", "execute_role", one)} == set(
        denied
    )
    assert may("Livepatch operators", "execute_role", workflow)
    assert may("Livepatch approvers", "approval_role", workflow) and not may(
        "Livepatch operators", "approval_role", workflow
    )
    assert may("Livepatch approvers", "execute_role", templates["Livepatch rollback"])
    assert not may("Livepatch approvers", "execute_role", templates["Livepatch rollout"])


def started(store, kind, one, **given):
    """Start a template with these variables; return those of the job, or raise Refused."""
    status, job = answer(store, "POST", "/api/v2/%s/%d/launch/" % (kind, one["id"]), {}, {"extra_vars": given})
    assert status == 201
    return json.loads(job["extra_vars"])


def startable(store):
    """Yield (kind, object) of each template and workflow."""
    for kind in ("job_templates", "workflow_job_templates"):
        for one in by_name(store, kind).values():
            yield kind, one


@pytest.mark.parametrize("given", [
    {"livepatch_release": "hotfix3"}, {"livepatch_cves": "CVE-2026-1,CVE-2026-2"}, {"livepatch_advisory": "RHSA-2026:1234"},
])  # fmt: skip
def test_whoever_starts_something_gives_the_release_or_cves_or_an_advisory_and_nothing_else(site, given):
    for kind, one in startable(site.store):
        asked = {question["variable"] for question in site.store.survey(one)["spec"]}
        if not set(given) <= asked | {"livepatch_release"}:
            continue  # A preflight is for one release, and the fleet is asked about none.
        found = started(site.store, kind, one, **given)
        assert asked <= set(found) | set(given), "the defaults are there"


def test_an_answer_that_is_empty_is_refused_where_it_makes_no_sense(site):
    refused = set()
    for kind, one in startable(site.store):
        for question in site.store.survey(one)["spec"]:
            given = {"livepatch_release": "hotfix3", question["variable"]: ""}
            try:
                assert started(site.store, kind, one, **given)[question["variable"]] == ""
            except Refused:
                refused.add(question["variable"])
    assert refused == {question["variable"] for question in QUESTIONS.values()} - {
        "livepatch_release",
        "livepatch_cves",
        "livepatch_advisory",
        "livepatch_retry",
        "livepatch_takeover",
        "livepatch_wanted",
    }


def test_what_no_survey_asks_for_reaches_no_job(site):
    workflow = by_name(site.store, "workflow_job_templates")["Livepatch tier by tier"]
    with pytest.raises(Refused, match="livepatch_last_tier are not allowed on launch"):
        started(site.store, "workflow_job_templates", workflow, livepatch_release="hotfix3", livepatch_last_tier="100")
    template = by_name(site.store, "job_templates")["Livepatch rollout"]
    given = {"livepatch_release": "hotfix3", "livepatch_tiers": [], "livepatch_journal_dir": "/tmp"}
    found = started(site.store, "job_templates", template, **given)
    assert found["livepatch_journal_dir"] == "/var/lib/livepatch" and found["livepatch_tiers"]


def test_the_server_takes_what_a_rulebook_starts(site):
    (ruleset,) = yaml.safe_load((ROOT / "extensions/eda/rulebooks/alerts_awx.yml").read_text())
    kinds = {"run_job_template": "job_templates", "run_workflow_template": "workflow_job_templates"}
    found = []
    for rule in ruleset["rules"]:
        for action in rule.get("actions") or [rule["action"]]:
            for kind in kinds.keys() & action.keys():
                name = re.search("default\\('(.*?)'\\)", action[kind]["name"]).group(1)
                one = by_name(site.store, kinds[kind])[name]
                given = started(site.store, kinds[kind], one, **action[kind]["job_args"]["extra_vars"])
                found.append((name, given.get("livepatch_override")))
    assert found == [("Livepatch halt", "abort"), ("Livepatch rollback after approval", None)]


def test_whoever_starts_a_workflow_or_approves_in_it_may_see_all_of_its_jobs(site):
    for workflow in by_name(site.store, "workflow_job_templates").values():
        for team in by_name(site.store, "teams").values():
            assert site.store.may(team, ["execute_role", "approval_role"], workflow)
            for node in site.store.objects["workflow_job_template_nodes"].values():
                template = site.store.any(node["unified_job_template"])
                if node["workflow_job_template"] == workflow["id"] and template["type"] == "job_template":
                    assert site.store.may_read(team, template), (team["name"], template["name"])


def test_every_job_may_be_seen_by_everybody_who_has_to_do_with_rollouts(site):
    for team in by_name(site.store, "teams").values():
        for template in by_name(site.store, "job_templates").values():
            assert site.store.may_read(team, template), (team["name"], template["name"])


def shape(store):
    """Return what a job or a workflow may do, without the numbers of objects."""
    hidden = {"id", "url", "related", "summary_fields", "project", "inventory", "execution_environment"}
    found = {
        one["name"]: dict({key: one[key] for key in one if key not in hidden}, survey=store.survey(one))
        for _kind, one in startable(store)
    }
    for node in store.objects["workflow_job_template_nodes"].values():
        whole = answer(store, "GET", node["url"], {}, None)[1]
        links = {kind: sorted(store.any(number)["identifier"] for number in whole[kind]) for kind in NODES}
        does = store.any(node["unified_job_template"])
        name = (store.any(node["workflow_job_template"])["name"], node["identifier"])
        found[name] = (does["type"], does["name"], node["extra_data"], links)
    return found


def test_what_was_changed_by_hand_is_put_back_where_it_opens_a_gate(site, collections):
    store = site.store
    before = shape(store)

    def change(one, **fields):
        answer(store, "PATCH", one["url"], {}, fields)

    def link(parent, kind, child, **more):
        answer(store, "POST", parent["url"] + kind + "_nodes/", {}, {"id": child["id"], **more})

    templates, workflow = (
        by_name(store, "job_templates"),
        by_name(store, "workflow_job_templates")["Livepatch tier by tier"],
    )
    nodes = {node["identifier"]: node for node in store.objects["workflow_job_template_nodes"].values()
             if node["workflow_job_template"] == workflow["id"]}  # fmt: skip
    asking = {
        field: True
        for field in templates["Livepatch rollout"]
        if field.startswith("ask_") and "scm_branch" not in field
    }
    change(
        templates["Livepatch rollout"],
        job_tags="x",
        skip_tags="always",
        limit="canary",
        timeout=60,
        start_at_task="End",
    )
    change(
        templates["Livepatch one tier"], survey_enabled=False, host_config_key="k", webhook_service="github", **asking
    )
    change(templates["Livepatch one tier"], job_type="check", job_slice_count=3, allow_simultaneous=True)
    asking = {field: True for field in workflow if field.startswith("ask_")}
    change(workflow, extra_vars='{"livepatch_last_tier": "100"}', limit="canary", job_tags="x", skip_tags="x", **asking)
    questions = store.survey(templates["Livepatch one tier"])["spec"]
    last_tier = next(dict(question) for question in questions if question["variable"] == "livepatch_last_tier")
    for one in (templates["Livepatch rollout"], workflow):
        survey = dict(store.survey(one), spec=[*store.survey(one)["spec"], last_tier])
        answer(store, "POST", one["url"] + "survey_spec/", {}, survey)
    link(nodes["tier-01"], "always", nodes["tier-02"])
    for parent, kind, child in (("approve-02", "success", "tier-02"), ("approve-02", "failure", "denied")):
        link(nodes[parent], kind, nodes[child], disassociate=True)
    link(nodes["approve-02"], "failure", nodes["tier-02"])
    link(nodes["approve-02"], "success", nodes["denied"])
    change(nodes["approve-rollback"], unified_job_template=templates["Livepatch status"]["id"])
    change(nodes["tier-01"], extra_data={"livepatch_last_tier": "100"})
    assert shape(store) != before
    status, output = setup(site, SITE, collections)
    assert status == 0, output
    assert shape(store) == before


def test_a_project_that_cannot_be_brought_is_told_with_the_reason_each_time_and_is_tried_again(server, collections):
    address = "https://git:hunter2@example.com/livepatch.git"
    site = dict(SITE, livepatch_awx_project_branch="0.1.0", livepatch_awx_project_url=address)
    server.store.repositories[address] = {"": PLAYBOOKS}
    before = len(server.store.objects["project_updates"])
    for _time in range(2):
        status, output = setup(server, site, collections)
        said = " ".join(output.split())
        assert status == 2 and "Playbook not found" not in output
        assert (
            "cannot be brought from https://example.com/livepatch.git, branch 0.1.0: " in said and "hunter2" not in said
        )
        assert "Failed to checkout branch 0.1.0" in said and "Jobs, project update" in said
        assert by_name(server.store, "job_templates") == {}
    # That of a project which is new, one more for the reason, and one more in the second run.
    assert len(server.store.objects["project_updates"]) == before + 3


def closed_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_server_that_does_not_answer_is_named_and_nothing_was_changed(server, collections):
    url = "http://127.0.0.1:%d" % closed_port()
    status, output = setup(server, SITE, collections, CONTROLLER_HOST=url)
    assert status == 2
    assert "The server %s cannot be used" % url in output and "Connection refused" in output
    assert "CONTROLLER_OAUTH_TOKEN. Nothing was changed." in output


def test_a_wrong_token_is_said_and_not_shown(server, collections):
    status, output = setup(server, SITE, collections, CONTROLLER_OAUTH_TOKEN="wrong-one")
    assert status == 2
    assert "Invalid authentication credentials" in output and "with a token that it knows" in output
    assert "wrong-one" not in output and server.store.changed() == []


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"livepatch_awx_organization": "Nobody"}, "There is no organization Nobody on the server"),
        ({"livepatch_awx_image": ""}, "There is no execution environment Livepatch, and livepatch_awx_image is empty"),
        ({"livepatch_awx_inventories": []}, "livepatch_awx_inventories is empty: name the inventories of the fleet"),
        ({"livepatch_awx_execution_environment": "Theirs"}, "The execution environment Theirs belongs to Other"),
        (
            {"livepatch_awx_execution_environment": "Everybody's"},
            "The execution environment Everybody's belongs to no organization",
        ),
        (
            {"livepatch_awx_variables": {"livepatch_retry": "x"}},
            "livepatch_awx_variables has livepatch_retry: the answer of a survey",
        ),
        (
            {"livepatch_awx_inventories": ["production"]},
            "Expected one inventory production, found 2: give livepatch_awx_inventories a full name, "
            "production++Operations or production++Other.",
        ),
        (
            {"livepatch_awx_credentials": ["fleet key"]},
            "give livepatch_awx_credentials a full name, "
            "fleet key++Machine+ssh++Operations or fleet key++Machine+ssh++Other.",
        ),
        (
            {"livepatch_awx_credentials": ["fleet key++Operations"]},
            "Expected one credential fleet key++Operations, found none: give",
        ),
        (
            {"livepatch_awx_credentials": ["nothing"]},
            "Expected one credential nothing, found none, or none that the token may see",
        ),
        (
            {"livepatch_awx_credentials": ["fleet key++Machine+ssh++Operations", "fleet key++Machine+ssh++Other"]},
            "is of the same type as another one of livepatch_awx_credentials, and a job has one of each",
        ),
        (
            {"livepatch_awx_inventories": ["made"]},
            "The inventory made is constructed, and the server takes no such inventory",
        ),
        ({"livepatch_awx_instance_groups": ["pods"]}, "Expected one instance group pods, found none"),
        (
            {"livepatch_awx_schedule": "FREQ=DAILY"},
            "livepatch_awx_schedule is FREQ=DAILY: expected a beginning, a rule and its interval",
        ),
    ],
)
def test_what_is_missing_or_belongs_to_others_is_said_before_anything_is_changed(
    server, collections, change, complaint
):
    other = next(number for number, one in server.store.objects["organizations"].items() if one["name"] == "Other")
    server.store.add("execution_environments", {"name": "Theirs", "organization": other, "image": "theirs"})
    server.store.add("execution_environments", {"name": "Everybody's", "organization": None, "image": "of all"})
    server.store.add("inventories", {"name": "made", "organization": other, "kind": "constructed"})
    status, output = setup(server, dict(SITE, **change), collections)
    assert status == 2 and complaint in " ".join(output.split()), output
    assert "Nothing was changed" in output or "answer of a survey" in output or "is empty: name" in output
    assert server.store.changed() == []


def test_without_its_collection_the_playbook_says_how_to_get_it(server, collections):
    status, output = setup(server, SITE, collections[:1])
    assert status == 2
    assert "The collection awx.awx is not installed" in output and "ansible-galaxy collection install awx.awx" in output
    assert "couldn't resolve" not in output


@pytest.fixture(scope="module")
def exported(collections, tmp_path_factory):
    """What the playbook writes for infra.aap_configuration, without a server and without awx.awx: {list: objects}."""
    directory = tmp_path_factory.mktemp("export") / "configs"
    variables = dict(SITE, livepatch_awx_export=str(directory))
    status, output = play("kernel.livepatch.awx", variables, collections[:1])
    assert status == 0, output
    status, output = play("kernel.livepatch.awx", variables, collections[:1])
    assert status == 0 and "changed=0 " in output
    return {path.stem: yaml.safe_load(path.read_text())[path.stem] for path in directory.iterdir()}


def test_the_data_is_written_for_those_who_set_their_server_up_with_another_collection(exported):
    assert set(exported) == {*MODULES, "aap_teams"}
    assert exported["aap_teams"] == exported["controller_teams"]
    assert "{{" not in json.dumps(exported)


def test_a_relative_directory_lies_where_the_command_was_given_and_is_told(collections, tmp_path):
    status, output = play(
        "kernel.livepatch.awx", dict(SITE, livepatch_awx_export="configs"), collections[:1], directory=tmp_path
    )
    assert status == 0, output
    assert (tmp_path / "configs/controller_templates.yml").is_file()
    assert "The data for infra.aap_configuration is in %s/configs." % tmp_path in output


def test_what_a_site_does_not_have_is_not_written(collections, tmp_path):
    variables = {
        "livepatch_awx_inventories": ["production"],
        "livepatch_awx_export": str(tmp_path),
        "livepatch_awx_schedule": "",
    }
    status, output = play("kernel.livepatch.awx", variables, collections[:1])
    assert status == 0, output
    for name in ("controller_execution_environments", "controller_notifications", "controller_schedules"):
        assert yaml.safe_load((tmp_path / (name + ".yml")).read_text()) == {name: []}


def options(collections, module):
    """Return the options of a module of awx.awx as its documentation has them, which its own tests keep equal to the code."""
    path = collections[1] / "ansible_collections/awx/awx/plugins/modules" / (module + ".py")
    text = re.search(r"DOCUMENTATION = (?:r?)(?:'''|\"\"\")(.*?)(?:'''|\"\"\")", path.read_text(), re.DOTALL).group(1)
    return yaml.safe_load(text)["options"]


def complaints(collections, module, value):
    kept = ("type", "elements", "required", "choices", "aliases")
    spec = {
        name: {key: option[key] for key in kept if key in option}
        for name, option in options(collections, module).items()
    }
    return ArgumentSpecValidator(spec).validate(value).error_messages


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_object_is_one_that_the_real_module_accepts(exported, collections, name):
    for one in exported[name]:
        nodes = one.pop("simplified_workflow_nodes", [])
        assert complaints(collections, MODULES[name], one) == []
        for node in nodes:
            whole = dict(node, workflow_job_template=one["name"])
            assert complaints(collections, "workflow_job_template_node", whole) == []
        if nodes:
            one["simplified_workflow_nodes"] = nodes


def handed_over():
    """Yield (list, options) of each task that hands a list of the data to a module."""
    for task in yaml.safe_load((ROOT / "roles/awx/tasks/server.yml").read_text()):
        found = re.search(r"controller_\w+", task.get("loop", ""))
        for module in [key for key in task if key.startswith("awx.awx.")] if found else []:
            yield found.group(0), set(task[module])


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_field_of_the_data_reaches_the_server(exported, name):
    taken = set().union(*(fields for found, fields in handed_over() if found == name))
    for one in exported[name]:
        nodes = one.get("simplified_workflow_nodes", [])
        assert set(one) - {"simplified_workflow_nodes"} <= taken
        for node in nodes:
            assert set(node) <= taken


def test_the_groups_of_the_inventory_are_those_of_the_example(exported):
    example = yaml.safe_load((ROOT / "inventories/example/livepatch_groups.yml").read_text())
    (source,) = exported["controller_inventory_sources"]
    assert source["source_vars"] == example


def test_every_template_starts_a_playbook_of_the_collection(exported):
    for template in exported["controller_templates"]:
        assert (ROOT / template["playbook"]).is_file()


def test_an_approval_that_is_denied_or_not_given_in_time_stops_the_rollout_and_says_so(exported, collections, tmp_path):
    workflow = next(one for one in exported["controller_workflows"] if one["name"] == "Livepatch tier by tier")
    nodes = {node["identifier"]: node for node in workflow["simplified_workflow_nodes"]}
    approvals = [node for name, node in nodes.items() if name.startswith("approve-0")]
    assert len(approvals) == 1 and all(node["failure_nodes"] == ["denied"] for node in approvals)
    assert all(
        node["approval_node"]["timeout"] > 0 for node in approvals
    ), "a server fails an approval that nobody gives"
    template = next(
        one for one in exported["controller_templates"] if one["name"] == nodes["denied"]["unified_job_template"]
    )
    rollout = Rollout(["h1"], tiers=[{"name": "canary", "hosts": 1}])
    rollout.begin(1)
    journal.append(str(tmp_path / "hotfix3.jsonl"), rollout.entries)
    variables = {
        "livepatch_release": "hotfix3",
        "livepatch_journal_dir": str(tmp_path),
        **nodes["denied"]["extra_data"],
    }
    status, output = play(template["playbook"], variables, collections[:1])
    assert status == 0, output
    (said,) = (json.loads(line) for line in (tmp_path / "hotfix3.jsonl.overrides").read_text().splitlines())
    assert (said["override"], said["reason"]) == ("abort", "the next tier was denied, or not approved in time")


@pytest.mark.parametrize("status, asks", [("canceled", True), ("running", True), ("error", True), ("canceled", False)])
def test_the_rollback_after_a_job_that_was_cancelled_begins_at_once_where_the_server_can_be_asked(collections, tmp_path, status, asks):
    rollout = Rollout(["h1"], tiers=[{"name": "canary", "hosts": 1}])
    rollout.begin(1)
    path = str(tmp_path / "hotfix3.jsonl")
    journal.append(path, rollout.entries)
    release = rollout.state.release
    with Server() as server:
        job = server.store.add("jobs", {"name": "Livepatch one tier", "status": status, "finished": "2026-10-02T08:15:00Z"})
        lost = {"controller": "pod-1", "processes": "pid:[1]", "user": "bob", "job": str(job["id"]), "server": server.url}
        lock.take(path, dict(lock.owner(os.getpid(), "bob"), **lost))
        asked = {"CONTROLLER_HOST": server.url, "CONTROLLER_OAUTH_TOKEN": TOKEN if asks else ""}
        variables = {"livepatch_release": release, "livepatch_rollout": "hotfix3", "livepatch_journal_dir": str(tmp_path), "awx_job_id": 99}
        code, output = play("kernel.livepatch.rollback", variables, collections[:1], **asked)
    entries = list(journal.read(path))
    if status == "canceled" and asks:
        assert code == 0 and "the server has seen job" in output, output
        (taken,) = (entry for entry in entries if entry["kind"] == "takeover")
        assert taken["of"]["job"] == str(job["id"]) and [entry["kind"] for entry in entries][-1] == "end"
    else:
        assert code == 2 and "Another controller works on this rollout: bob on pod-1" in output, output
        assert len(entries) == len(rollout.entries)


@pytest.mark.parametrize("name", [name for name, question in QUESTIONS.items() if "choices" in question])
def test_an_answer_that_is_no_choice_is_refused_by_the_playbook_too_with_what_it_may_be(collections, tmp_path, name):
    question = QUESTIONS[name]
    playbook = "halt" if question["variable"] == "livepatch_override" else "rollout"
    variables = {"livepatch_release": "hotfix3", "livepatch_journal_dir": str(tmp_path), "livepatch_reason": "a test"}
    variables[question["variable"]] = "nonsense"
    status, output = play("kernel.livepatch." + playbook, variables, collections[:1])
    said = " ".join(output.split())
    named = question["variable"] if playbook == "rollout" else "override"
    assert status == 2, output
    found = re.search(named + " must be one of: (.*?), got: nonsense", said)
    assert found and sorted(found.group(1).split(", ")) == sorted(question["choices"]), output
    assert list(tmp_path.iterdir()) == []


def test_everybody_who_may_do_something_is_a_team_and_may_do_it_to_what_there_is(exported):
    teams = {team["name"] for team in exported["controller_teams"]}
    there = {one["name"] for name in ("controller_templates", "controller_workflows") for one in exported[name]}
    for role in exported["controller_roles"]:
        assert set(role["teams"]) <= teams
        assert set(role.get("job_templates", []) + role.get("workflows", [])) <= there
