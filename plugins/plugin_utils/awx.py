# A rollout as a job of AWX: where its journal may lie, what a person starts there, and what only the server knows.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import base64
import json
import os
import re

# Names that playbooks/vars/awx gives to templates and questions. A test keeps both the same.
TEMPLATES = {"halt": "Livepatch halt", "rollback": "Livepatch rollback", "status": "Livepatch status"}
TAKES_OVER = "Livepatch one tier"
QUESTIONS = {
    "livepatch_release": "Release",
    "livepatch_cves": "CVEs",
    "livepatch_advisory": "Advisory",
    "livepatch_retry": "Go on after a stop",
    "livepatch_takeover": "Take over from a job that was lost",
}
# The reason with which the workflow halts a rollout whose approval was not given; the server knows who did not give it.
DENIED = "the next tier was denied, or not approved in time"
# A job in one of these states was seen to end; "error" is also that of one whose machine was lost, which may live on.
OVER = ("successful", "failed", "canceled")
# Below which paths the API answers: the server's own, and the gateway's before newer ones.
ROOTS = ("/api/v2/", "/api/controller/v2/")
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_SECONDS = 10  # for one answer
# File systems that live in memory, or in the layers of a container, and end with it.
PASSING = ("overlay", "aufs", "tmpfs", "ramfs", "fuse.fuse-overlayfs")


def is_job(variables):
    """Do these variables (dict) come from AWX, so that this run is a job of it?"""
    return bool(variables.get("awx_job_id"))


def started_by(variables):
    """Return which template and workflow started this job (dict), {} for no job; the entry of a run keeps it for start()."""
    names = ("awx_job_template_name", "awx_workflow_job_name")
    return {name: _text(variables.get(name)) for name in names if is_job(variables) and _text(variables.get(name))}


def volume_refusal(directory, mounts):
    """Return why journals of jobs must not lie in this directory (str), "" if they may.

    mounts: what /proc/self/mountinfo says (str). A job runs in a container of its own: what it writes beside the volumes
    ends with it, and the next job finds no journal.
    """
    expected = (
        "Expected the volume of the journals, mounted there into every job: a persistent volume claim in the pod "
        "specification of a container group, or a path in Paths to expose to isolated jobs. Nothing was touched. "
        "Mount it, and name that container group in livepatch_awx_instance_groups."
    )
    if not os.path.isdir(directory):
        return f"The journal's directory {directory} is not there. {expected}"
    place, root, kind = _mount(os.path.realpath(directory), mounts)
    if place == "/" or kind in PASSING or _below(place, "/runner") or "kubernetes.io~empty-dir" in root:
        return f"The journal's directory {directory} ends with this job: it lies on {place} ({kind}). {expected}"
    return ""


def _mount(path, mounts):
    """Return (where, root in its file system, type) of the mount that holds a path (all str)."""
    found = ("/", "", "unknown")
    for line in mounts.splitlines():
        before, unused, after = line.partition(" - ")
        fields, kind = before.split(), after.split()[:1]
        if len(fields) < 5 or not kind:
            continue
        place = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal.group(1), 8)), fields[4])
        # Of two mounts at one place the later one is seen.
        if _below(path, place) and len(place) >= len(found[0]):
            found = (place, fields[3], kind[0])
    return found


def _below(path, place):
    return path == place or path.startswith(place.rstrip("/") + "/")


def start(playbook, given, variables, **answers):
    """Return what a person starts in AWX in the place of a command (str).

    playbook: halt, rollback or status, or None for the rollout's own, once more; given: variable -> value of what it brings;
    variables: of the job, or what started_by() kept of them (dict); answers: variable -> what is to be answered.
    """
    name = TEMPLATES.get(playbook) or variables.get("awx_workflow_job_name") or variables.get("awx_job_template_name")
    kind = "workflow" if playbook is None and variables.get("awx_workflow_job_name") else "template"
    if "livepatch_takeover" in answers and playbook is None and kind == "workflow":
        # The workflow does not ask for it: each of its jobs would take over from the one before.
        name, kind = TAKES_OVER, "template"
    asked = {**given, **answers}
    said = ", ".join(f"{QUESTIONS.get(variable, variable)}: {value}" for variable, value in asked.items())
    return f"start the {kind} {name or 'of this job'} ({said})"


def server(environment):
    """Return how to ask the server (dict), None where nobody gave the job a credential of the server's own type.

    environment: of the process (dict), into which such a credential brings where the server is and who asks.
    """
    address = environment.get("CONTROLLER_HOST", "")
    token = environment.get("CONTROLLER_OAUTH_TOKEN")
    user, password = (environment.get("CONTROLLER_" + name) for name in ("USERNAME", "PASSWORD"))
    if not re.fullmatch(r"https?://[\x21-\x7e]+", address) or not (token or (user and password)):
        return None
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {
        "url": address.rstrip("/"),
        "headers": {"Accept": "application/json", "Authorization": f"Bearer {token}" if token else f"Basic {basic}"},
        "verify": environment.get("CONTROLLER_VERIFY_SSL", "true").lower() not in ("false", "0", "no"),
    }


def witness(asked, fetch):
    """Return a function of the holder of a lock (dict) that tells whether the server has seen its job end.

    asked, fetch: see is_over. A server numbers its own jobs only: one that the holder has not named is not asked.
    """
    return lambda holder: bool(asked) and holder.get("server") == asked["url"] and is_over(holder.get("job"), asked, fetch)


def is_over(job, asked, fetch):
    """Has the server seen the job with this number (str) end? False where it does not say so.

    asked: from server, or None; fetch: function(url, headers=..., verify=..., timeout=...) that returns the bytes of an
    answer, or raises. Only an answer that is surely about this job, and says when it ended, is believed.
    """
    found = _get(asked, fetch, f"jobs/{job}/") if re.fullmatch("[0-9]{1,18}", str(job)) else {}
    same = found.get("type") == "job" and not isinstance(found.get("id"), bool) and found.get("id") == int(job)
    return same and found.get("status") in OVER and bool(_text(found.get("finished")))


def denial(variables, asked, fetch):
    """Return (who, why) of the approval that this job's workflow was not given (both str), as far as it can be known.

    variables: of the job (dict); asked, fetch: see is_over.
    """
    workflow = str(variables.get("awx_workflow_job_id") or "")
    number = workflow if re.fullmatch("[0-9]{1,18}", workflow) else "0"
    nodes = _get(asked, fetch, f"workflow_jobs/{number}/workflow_nodes/?page_size=200").get("results")
    failed = [job["id"] for job in map(_job, nodes if isinstance(nodes, list) else []) if job]
    found = _get(asked, fetch, f"workflow_approvals/{max(failed)}/") if failed else {}
    name = _text(found.get("name")) or "the approval"
    if found.get("timed_out") is True:
        return f"workflow job {number}", f"{name} was not answered in time"
    person = _dict(_dict(found.get("summary_fields")).get("approved_or_denied_by")).get("username")
    if _text(person):
        return _text(person), f"{name} was denied"
    return f"workflow job {number}", DENIED


def _job(node):
    """Return the approval of a node that was denied or not given in time (dict), or None."""
    job = _dict(_dict(_dict(node).get("summary_fields")).get("job"))
    fits = job.get("type") == "workflow_approval" and job.get("status") == "failed" and isinstance(job.get("id"), int)
    return job if fits else None


def _get(asked, fetch, path):
    """Return the object (dict) that the server answers with, {} for anything else."""
    for root in ROOTS if asked else ():
        try:
            answer = fetch(asked["url"] + root + path, headers=asked["headers"], verify=asked["verify"], timeout=MAX_SECONDS)
            if len(answer) <= MAX_ANSWER_BYTES:
                return _dict(json.loads(answer))
        except Exception:  # noqa: BLE001 - whatever a library raises for a network: it has not answered.
            continue
    return {}


def _dict(value):
    return value if isinstance(value, dict) else {}


def _text(value):
    """Return what may stand in a line for people (str), "" for anything else."""
    return value[:150] if isinstance(value, str) and value.isprintable() else ""
