# rollout_plan: opens the journal, takes the lock, makes the plan or reads it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import contextlib
import hashlib
import os
import re
import time

from ansible import constants, context
from ansible.errors import AnsibleError
from ansible.inventory.manager import split_host_pattern
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible.utils.collection_loader import AnsibleCollectionConfig
from ansible_collections.kernel.livepatch.plugins.plugin_utils import ansible_core, awx, collection_copies, values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge, rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages, progress
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import (
    builds,
    fleet,
    journal,
    lock,
    plays,
    schedule,
    session,
    start,
)
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import http, sources

SPEC = {
    "release": {"type": "raw"},
    "cves": {"type": "raw"},
    "advisory": {"type": "raw"},
    "supported_until": {"type": "raw"},
    "rollout": {"type": "raw"},
    "journal_dir": {"type": "path", "required": True},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "named": {"type": "raw"},
    "tiers": {"type": "raw", "required": True},
    "slice": {"type": "raw", "default": "25%"},
    "max_failures": {"type": "raw", "default": "2 or 1%"},
    "seed": {"type": "raw"},
    "retry": {"type": "raw"},
    "takeover": {"type": "raw"},
    "module_pattern": {"type": "str"},
    "other_engines": {"type": "str", "choices": ["refuse", "ignore"], "default": "refuse"},
    "last_tier": {"type": "raw"},
    "former": {"type": "raw"},
    "volume": {"type": "bool", "default": True},
    "hold_automation": {"type": "bool", "default": False},
    "rules": {"type": "raw"},
    # Not no_log: since ansible-core 2.22 that strikes out every word of a source wherever it stands. sources.py itself keeps
    # credentials out of all that is said.
    "sources": {"type": "raw"},
}
FACTS = (
    "supported",
    "kernel_release",
    "architecture",
    "effective_release",
    "boot_id",
    "uptime_seconds",
    "enabled",
    "transition",
    "os_family_ids",
    "engines",
    "automation",
)


class ActionModule(ActionBase):
    """Runs on the controller; needs no connection to the host it is called for."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        unused, args = self.validate_argument_spec(SPEC)
        try:
            result.update(self._open(values.plain(args), task_vars))
        except RolloutError as error:
            result.update(failed=True, refused=True, msg=str(error))
        return result

    def _open(self, args, task_vars):
        owner = lock.controller(task_vars)
        what = builds.wanted(args["release"], args["cves"], args["advisory"])
        request = _request(args, what, task_vars, owner["user"])
        takeover = request["takeover"] = values.own_words(args["takeover"], "livepatch_takeover")
        unused = collection_copies.others(AnsibleCollectionConfig.collection_paths)
        if unused:
            self._display.warning(collection_copies.warning(request["run"]["collection"], unused))
        unknown = ansible_core.warning(ansible_version)
        if unknown:
            self._display.warning(unknown)
        sources.check(args["sources"] or [])
        names, left_out = _without_controller(args["hosts"], args["named"])
        raw = _raw(names, task_vars["hostvars"], task_vars.get("groups", {}))
        seen = fleet.survey(raw, None if request["wanted"] else what.word, args["module_pattern"], args["other_engines"])
        dry = self._task.check_mode
        if args["volume"] and awx.is_job(task_vars):
            _check_volume(args["journal_dir"])
        if not dry:
            session.make_directory(args["journal_dir"])
        path = os.path.join(args["journal_dir"], request["rollout"] + ".jsonl")
        if request["wanted"] and start.plans_anew(session.Session(path, None, dry=True).state, request):
            # Before the lock is taken, as that may last for minutes, and nothing is written for it.
            support = builds.days(args["supported_until"], "livepatch_supported_until")
            request["resolved"] = plays.resolve(self, task_vars["hostvars"], what, seen, request["seed"], support, self._tell)
        has_ended = awx.witness(awx.server(os.environ), http.fetching(_open_url))
        with contextlib.nullcontext() if dry else lock.alone(args["journal_dir"]):
            with session.Session(path, owner, dry, takeover=takeover, has_ended=has_ended) as current:
                session.refuse_overlap(path, owner, seen, has_ended)
                return self._start(current, args, request, seen, left_out, dry)

    def _start(self, current, args, request, seen, notes, dry):
        """Write what this run begins with, and return what the playbook goes by."""
        if request["takeover"] and not current.notes:
            current.notes.append("livepatch_takeover is ignored: nobody else has this rollout")
        shared = lock.local_only(current.path)
        if shared and not dry:
            self._display.warning(shared)
        resumed = current.state.tiers is not None and not current.state.over
        if not dry and current.state.tiers is not None:
            current.take_overrides()  # What was said to the last run is not meant for a retry or a new round.
        entries, found = start.opening(current.state, request, seen)
        _check_last_tier(current.state, entries, args["last_tier"], request)
        current.add(entries, current.state.runs + 1)
        _judge(current, time.time())
        last = schedule.last_tier(current.state, args["last_tier"])
        lines = [*current.notes, *notes, *found, *messages.build_lines(current.state)]
        for line in lines:
            self._tell(line)
        return _result(current, last, resumed, bool(entries) and not dry, lines)

    def _tell(self, line):
        self._display.display(progress.line(line))


def _open_url(*args, **options):
    # What asks a server takes its time to import, and few rollouts ask one.
    from ansible.module_utils.urls import open_url

    return open_url(*args, **options)


def _judge(current, now):
    """What was found at a resume may be too much already."""
    if current.state.stop or current.state.tiers is None:
        return
    verdict = judge.judge(current.state, now)
    if verdict["verdict"] == "stop":
        current.add([verdict])


def _request(args, what, task_vars, user):
    seed = args["seed"]
    if isinstance(seed, (bool, dict, list)) or len(str(seed)) > 100:
        raise RolloutError(f"seed is {seed!r}: expected a number or a short text.")
    rollout = args["rollout"] if args["rollout"] not in (None, "") else builds.rollout_name(what.word)
    return {
        "release": what.word,
        "wanted": what if builds.is_resolved(what) else None,
        "resolved": None,
        "today": journal.now()[:10],
        "rollout": values.name(rollout, "rollout"),
        "tiers": args["tiers"],
        "slice": args["slice"],
        "max_failures": args["max_failures"],
        "rules": rules.parse(args["rules"] or {}),
        "hold_automation": args["hold_automation"],
        "seed": _seed(rollout, what.word, args["hosts"]) if seed in (None, "") else seed,
        "retry": values.own_words(args["retry"], "livepatch_retry"),
        "former": _former(args["former"]),
        "groups": task_vars.get("groups", {}),
        "run": {
            "kind": "run",
            "user": user,
            "controller": os.uname().nodename,
            "ansible": ansible_version,
            "collection": collection_copies.copy(),
            "playbook": _playbook(),
            "inventory": values.plain(task_vars.get("ansible_inventory_sources") or []),
            **({"awx": awx.started_by(task_vars)} if awx.is_job(task_vars) else {}),
        },
    }


def _check_volume(directory):
    """Refuse a job of AWX whose journal would end with its container."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as stream:
        refusal = awx.volume_refusal(directory, stream.read())
    if refusal:
        raise RolloutError(refusal)


def _seed(rollout, word, hosts):
    """Return a seed (int) that is another one for each rollout and fleet, and the same in a check run before."""
    text = "\n".join([str(rollout), word, *sorted(hosts)])
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10**9


def _check_last_tier(state, entries, wanted, request):
    """Raise RolloutError for a tier that the plan does not have, before the plan is written."""
    planned = [entry["tiers"] for entry in entries if entry["kind"] == "planned"]
    if planned:
        schedule.find_tier(planned[0], request["tiers"], wanted, 1)
    else:
        schedule.last_tier(state, wanted)


def _former(summary):
    if summary in (None, ""):
        return None
    if not isinstance(summary, dict):
        raise RolloutError(
            f"livepatch_summary is {str(summary)[:100]!r}: expected what an earlier job left with set_stats, a dictionary."
        )
    return summary


def _playbook():
    """Return the playbook (str) of this run as it was given, None where several were or it is not known."""
    names = context.CLIARGS.get("args") or ()
    return str(names[0]) if len(names) == 1 else None


def _without_controller(hosts, named):
    """Return (hosts, notes) without the controller itself, which many an inventory has among all: it is patched if named."""
    words = re.split(r"[,:\s]+", str(named or ""))
    own = [name for name in hosts if name in constants.LOCALHOST and name not in words]
    notes = [f"{own[0]} is this controller and left out: name it in livepatch_hosts if it is to be patched"] if own else []
    return [name for name in hosts if name not in own], notes


def _raw(hosts, hostvars, groups):
    fleet.check_names(hosts, hostvars)
    return {name: _raw_host(name, hostvars, groups.get(name)) for name in hosts}


def _raw_host(name, hostvars, group):
    """Take what the plan needs, and no more: each variable that is read is templated. group: the hosts of a group of its name."""
    if split_host_pattern([name]) != [name] or name[0] in "!&~@" or set(name) & set("*?[]") or group not in (None, [name]):
        return {"odd": "its name means something else in a pattern of hosts: give it another one in the inventory"}
    variables = hostvars[name]
    result = variables.get("livepatch_result_facts") or {}
    facts = (result.get("ansible_facts") or variables.get("ansible_facts") or {}).get("livepatch") or {}
    found = {
        "result": values.plain({key: result[key] for key in ("unreachable", "failed", "msg") if key in result}),
        "facts": values.plain({key: facts.get(key) for key in FACTS}) if facts else None,
    }
    for key in ("cohort", "domain", "other_engines"):
        try:
            found[key] = values.plain(variables.get(f"livepatch_{key}"))
        except AnsibleError as error:
            found["odd"] = f"livepatch_{key} cannot be filled in: {values.words(str(error), 200)}"
        if "{{" in str(found.get(key)):  # ansible-core 2.16 leaves a template that it cannot fill in as it is.
            found["odd"] = f"livepatch_{key} cannot be filled in: {values.words(str(found[key]), 200)}"
    return found


def _result(current, last, resumed, changed, notes):
    state = current.state
    names, sizes = schedule.to_patch(state, last)
    refused = state.stop or (state.rollback and not state.over)
    result = messages.report(state, current.path) if refused or state.ended == "complete" else {}
    result.pop("rollback", None)
    result.update(
        journal=current.path,
        counts=judge.counts(state),
        hosts_patched=state.patched(),
        changed=changed,
        resumed=resumed,
        verdict="stop" if refused else "pass",
        seed=state.seed,
        progress=notes,
        complete=state.ended == "complete",
        hosts=names,
        serial=sizes,
        tiers=[_tier(state, tier) for tier in state.tiers or []],
        last_tier=last,
        builds=messages.build_rows(state),
        # Check mode has no journal from which the gate could take them.
        packages={name: state.hosts[name].package for name in names if state.hosts[name].package} if current.dry else {},
        hosts_already=[name for name, entry in state.excluded.items() if entry["outcome"] == "already"],
        hosts_excluded={
            name: entry["reason"] for name, entry in state.excluded.items() if entry["outcome"] != "already"
        },
    )
    if refused:
        current.release()
        result.update(
            failed=True,
            refused=True,
            msg=result["stop_message"] if state.stop else messages.rolled_back_message(state, current.path),
            # What may follow a stop is a rollback, of nobody but the hosts that were touched.
            hosts=[],
            serial=[1],
            rollback_asked=bool(state.aborted and state.aborted["override"] == "rollback"),
            rolls_back=bool(state.stop and state.to_roll_back() and not current.dry),
            ansible_stats=messages.left(result["stats"]),
        )
    return result


def _tier(state, tier):
    number = tier["number"]
    hosts = state.tier_hosts(number)
    left = len(state.remaining(number))
    return {"number": number, "name": tier["name"], "hosts": len(hosts), "left": left, "done": number in state.tiers_done}
