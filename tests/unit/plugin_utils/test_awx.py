# Tests of what a rollout does as a job of AWX.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
from pathlib import Path

import pytest
import yaml

from ansible_collections.kernel.livepatch.plugins.plugin_utils import awx

DATA = Path(__file__).resolve().parents[3] / "playbooks/vars/awx"
SURVEYS = yaml.safe_load((DATA / "surveys.yml").read_text())
TEMPLATES = yaml.safe_load((DATA / "templates.yml").read_text())
WORKFLOW = yaml.safe_load((DATA / "workflow.yml").read_text())

MOUNTS = """\
300 200 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/x
301 300 0:51 / /dev/shm rw - tmpfs shm rw
302 300 8:1 /tmp/awx_7/ {runner} rw - ext4 /dev/sda1 rw
303 300 8:2 {root} {volume} rw,relatime shared:9 - {kind} server:/journals rw
"""


def mounts(tmp_path, volume=None, kind="nfs4", root="/", runner="/runner"):
    return MOUNTS.format(
        volume=str(volume or tmp_path / "elsewhere").replace(" ", "\\040"), kind=kind, root=root, runner=runner
    )


@pytest.mark.parametrize("below", ["", "journals/web"])
@pytest.mark.parametrize("name", ["volume", "a volume"])
def test_journals_may_lie_on_a_volume_and_below_it(tmp_path, name, below):
    directory = tmp_path / name / below
    directory.mkdir(parents=True)
    assert awx.volume_refusal(str(directory), mounts(tmp_path, tmp_path / name)) == ""


def test_a_directory_that_is_not_there_is_refused_as_the_volume_is_not_mounted(tmp_path):
    said = awx.volume_refusal(str(tmp_path / "none"), mounts(tmp_path))
    assert said.startswith("The journal's directory %s/none is not there. Expected the volume" % tmp_path)
    assert "livepatch_awx_instance_groups" in said and not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"volume": "here", "kind": "tmpfs"},
        {"volume": "here", "kind": "overlay"},
        {"volume": "here", "kind": "ext4", "root": "/var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/journals"},
    ],
)
def test_what_ends_with_the_job_is_no_place_for_a_journal(tmp_path, how):
    where = dict(how, volume=tmp_path) if how else {}
    said = awx.volume_refusal(str(tmp_path), mounts(tmp_path, **where))
    assert "ends with this job: it lies on %s (" % (tmp_path if how else "/") in said


def test_the_directory_of_the_job_itself_is_no_volume(tmp_path, monkeypatch):
    monkeypatch.setattr(awx.os.path, "isdir", lambda path: True)
    assert "it lies on /runner (ext4)" in awx.volume_refusal("/runner/journals", mounts(tmp_path))


def test_of_two_mounts_at_one_place_the_later_one_counts_and_a_torn_line_none(tmp_path):
    text = mounts(tmp_path, tmp_path) + "304 300 0:52 / %s rw - tmpfs tmpfs rw\n305 300\n" % tmp_path
    assert "(tmpfs)" in awx.volume_refusal(str(tmp_path), text)


def test_the_machine_that_runs_this_is_understood():
    assert awx.volume_refusal("/proc/self", Path("/proc/self/mountinfo").read_text()) == "", "a mount of its own"


def test_templates_and_questions_are_called_as_the_playbook_calls_them():
    names = {value["name"] for value in TEMPLATES.values() if isinstance(value, dict) and "name" in value}
    assert {*awx.TEMPLATES.values(), awx.TAKES_OVER} <= names
    asked = {
        question["variable"]: question["question_name"] for question in SURVEYS["livepatch_awx_questions"].values()
    }
    assert {variable: asked[variable] for variable in awx.QUESTIONS} == awx.QUESTIONS
    assert "'livepatch_reason': '%s'" % awx.DENIED in WORKFLOW["livepatch_awx_nodes"]
    surveys = {
        name: {question["variable"] for question in survey["spec"]}
        for name, survey in SURVEYS["livepatch_awx_surveys"].items()
    }
    assert "livepatch_takeover" in surveys["one_tier"] and "livepatch_takeover" not in surveys["workflow"]


JOB = {"awx_job_id": 12, "awx_job_template_name": "Livepatch rollout"}
NODE = {
    "awx_job_id": 13,
    "awx_job_template_name": "Livepatch one tier",
    "awx_workflow_job_name": "Livepatch tier by tier",
}


@pytest.mark.parametrize(
    "variables, playbook, answers, expected",
    [
        (JOB, "rollback", {}, "start the template Livepatch rollback (Release: hotfix3)"),
        (
            JOB,
            None,
            {"livepatch_retry": "REASON"},
            "start the template Livepatch rollout (Release: hotfix3, Go on after a stop: REASON)",
        ),
        (NODE, None, {}, "start the workflow Livepatch tier by tier (Release: hotfix3)"),
        (
            NODE,
            None,
            {"livepatch_takeover": "REASON"},
            "start the template Livepatch one tier (Release: hotfix3, Take over from a job that was lost: REASON)",
        ),
        (NODE, "rollback", {}, "start the template Livepatch rollback (Release: hotfix3)"),
        ({}, None, {}, "start the template of this job (Release: hotfix3)"),
    ],
)
def test_a_person_is_told_which_template_to_start_and_what_to_answer(variables, playbook, answers, expected):
    assert awx.start(playbook, {"livepatch_release": "hotfix3"}, variables, **answers) == expected


def test_what_a_run_keeps_of_its_job_is_enough_to_name_what_is_started_again():
    for variables in (JOB, NODE):
        assert awx.start(None, {}, awx.started_by(variables)) == awx.start(None, {}, variables)
    assert awx.started_by(dict(NODE, awx_workflow_job_name="a\nb")) == {"awx_job_template_name": "Livepatch one tier"}
    assert awx.started_by({"awx_job_template_name": "x"}) == {} == awx.started_by({"awx_job_id": 3})


def test_a_run_is_a_job_where_the_server_has_said_so():
    assert awx.is_job(JOB) and not awx.is_job({}) and not awx.is_job({"awx_job_id": None})


ENDED = {"id": 12, "type": "job", "status": "canceled", "finished": "2026-10-02T08:15:00Z"}
ENVIRONMENT = {"CONTROLLER_HOST": "https://awx.example.com/", "CONTROLLER_OAUTH_TOKEN": "secret"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"CONTROLLER_HOST": "https://awx.example.com"},
        {"CONTROLLER_HOST": "awx.example.com", "CONTROLLER_OAUTH_TOKEN": "x"},
        {"CONTROLLER_HOST": "https://a b", "CONTROLLER_OAUTH_TOKEN": "x"},
        {"CONTROLLER_HOST": "https://awx.example.com", "CONTROLLER_USERNAME": "ann"},
    ],
)
def test_without_a_credential_of_the_server_nothing_is_asked(environment):
    assert awx.server(environment) is None
    assert awx.is_over("12", None, fails) is False
    assert awx.denial({"awx_workflow_job_id": 7}, None, fails) == ("workflow job 7", awx.DENIED)


def fails(*unused, **also_unused):
    raise AssertionError("nothing was to be asked")


def test_a_credential_with_a_token_or_a_password_asks():
    assert awx.server(ENVIRONMENT)["headers"]["Authorization"] == "Bearer secret"
    assert awx.server(ENVIRONMENT)["url"] == "https://awx.example.com" and awx.server(ENVIRONMENT)["verify"] is True
    known = {
        "CONTROLLER_HOST": "http://awx",
        "CONTROLLER_USERNAME": "ann",
        "CONTROLLER_PASSWORD": "pw",
        "CONTROLLER_VERIFY_SSL": "False",
    }
    assert awx.server(known)["headers"]["Authorization"] == "Basic YW5uOnB3" and awx.server(known)["verify"] is False


def answering(answers, root="/api/v2/"):
    """Return a fetch that knows these paths."""

    def fetch(url, headers, verify, timeout):
        assert timeout == awx.MAX_SECONDS
        assert headers["Authorization"] == "Bearer secret" and verify is True
        assert url.startswith("https://awx.example.com/api/")
        path = url.partition(root)[2]
        if path not in answers:
            raise OSError("HTTP Error 404: Not Found")
        answer = answers[path]
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    return fetch


@pytest.mark.parametrize(
    "status, expected",
    [
        ("canceled", True),
        ("failed", True),
        ("successful", True),
        ("running", False),
        ("error", False),
        (None, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize("root", awx.ROOTS)
def test_a_job_is_over_when_the_server_saw_it_end(status, expected, root):
    fetch = answering({"jobs/12/": dict(ENDED, status=status)}, root)
    assert awx.is_over("12", awx.server(ENVIRONMENT), fetch) is expected


@pytest.mark.parametrize("odd", [{"id": 13}, {"id": True}, {"id": "12"}, {"type": "workflow_job"}, {"finished": None}, {"finished": 5}])
def test_an_answer_that_is_not_surely_about_the_job_and_its_end_says_nothing(odd):
    assert awx.is_over("12", awx.server(ENVIRONMENT), answering({"jobs/12/": dict(ENDED, **odd)})) is False


def test_of_a_lock_that_server_is_asked_that_has_given_the_job_its_number_and_no_other():
    asked = awx.server(ENVIRONMENT)
    has_ended = awx.witness(asked, answering({"jobs/12/": ENDED}))
    assert has_ended({"job": "12", "server": asked["url"]}) is True
    assert has_ended({"job": "14", "server": asked["url"]}) is False
    for holder in ({"job": "12"}, {"job": "12", "server": "https://other.example.com"}, {"job": "12", "server": None}):
        assert awx.witness(asked, fails)(holder) is False
        assert awx.witness(None, fails)(holder) is False


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[1]", b'"over"', b"x" * (awx.MAX_ANSWER_BYTES + 1)])
def test_an_answer_that_is_none_says_nothing(answer):
    assert awx.is_over("12", awx.server(ENVIRONMENT), answering({"jobs/12/": answer})) is False


@pytest.mark.parametrize("job", ["", "../users/1", "12/cancel", "1" * 19])
def test_only_a_number_is_a_job(job):
    assert awx.is_over(job, awx.server(ENVIRONMENT), fails) is False


def node(number, kind="workflow_approval", status="failed"):
    return {"summary_fields": {"job": {"id": number, "type": kind, "status": status}}}


def approvals(nodes, approval):
    return {"workflow_jobs/7/workflow_nodes/?page_size=200": {"results": nodes}, "workflow_approvals/31/": approval}


DENIED_BY_BOB = {
    "name": "Livepatch: go on with tier rest?",
    "timed_out": False,
    "summary_fields": {"approved_or_denied_by": {"username": "bob"}},
}


@pytest.mark.parametrize(
    "approval, expected",
    [
        (DENIED_BY_BOB, ("bob", "Livepatch: go on with tier rest? was denied")),
        (
            dict(DENIED_BY_BOB, timed_out=True),
            ("workflow job 7", "Livepatch: go on with tier rest? was not answered in time"),
        ),
        (dict(DENIED_BY_BOB, summary_fields={}), ("workflow job 7", awx.DENIED)),
        (
            dict(DENIED_BY_BOB, summary_fields={"approved_or_denied_by": {"username": "a\nb"}}),
            ("workflow job 7", awx.DENIED),
        ),
        (dict(DENIED_BY_BOB, name="x\n{{ y }}"), ("bob", "the approval was denied")),
        ([], ("workflow job 7", awx.DENIED)),
    ],
)
def test_who_denied_is_known_and_nobody_is_named_for_an_approval_that_was_not_answered(approval, expected):
    nodes = [node(1), node(31), node(40, "job"), node(41, status="successful"), {"summary_fields": {}}, {}, None]
    fetch = answering(approvals(nodes, approval))
    assert awx.denial({"awx_workflow_job_id": 7, "awx_user_name": "ann"}, awx.server(ENVIRONMENT), fetch) == expected


@pytest.mark.parametrize("nodes", [[], None, {}, "x", [node("31")], [node(True)]])
def test_without_an_approval_that_failed_it_is_the_workflow_that_stopped_it(nodes):
    fetch = answering(approvals(nodes, DENIED_BY_BOB))
    assert awx.denial({"awx_workflow_job_id": 7}, awx.server(ENVIRONMENT), fetch) == ("workflow job 7", awx.DENIED)
