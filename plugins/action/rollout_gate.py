# rollout_gate: writes what became of a slice or what a look has found into the journal, and judges.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import time

from ansible.module_utils.urls import open_url
from ansible.plugins.action import ActionBase
from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages, timeline
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import lock, looking, results, session, view
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import fetching, sources

SPEC = {
    "journal": {"type": "path", "required": True},
    "tier": {"type": "int", "required": True},
    "after": {"type": "str", "required": True, "choices": ["slice", "look", "wait", "tier"]},
    "slice": {"type": "int"},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "delegated": {"type": "bool", "default": False},
    "sources": {"type": "list", "elements": "dict", "default": []},  # not no_log, as in rollout_plan
}
NEEDED = [("after", "slice", ["slice", "hosts"]), ("after", "look", ["hosts"])]


class ActionModule(ActionBase):
    """Runs on the controller; needs no connection to the host it is called for."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        unused, args = self.validate_argument_spec(SPEC, required_if=NEEDED)
        if self._task.check_mode:
            result.update(
                changed=False,
                verdict="pass",
                reasons=[],
                failures={},
                counts={},
                again=False,
                wait=0,
                look_at=[],
                rolls_back=False,
                progress=[],
                msg="Check mode: nothing is judged and nothing is written.",
            )
            return result
        try:
            result.update(_work(values.plain(args), task_vars))
        except RolloutError as error:
            result.update(failed=True, msg=str(error))
        return result


def _work(args, task_vars):
    with session.existing(args["journal"], lock.controller(task_vars)) as current:
        return _judge(current, args, task_vars["hostvars"])


def _judge(current, args, hostvars):
    number, after = args["tier"], args["after"]
    tier = next((tier for tier in current.state.tiers if tier["number"] == number), None)
    if tier is None:
        raise RolloutError(f"The plan has no tier {number}: expected 1 to {len(current.state.tiers)}.")
    said = current.take_overrides()
    if after == "tier":
        _require_whole(current.state, tier)
    now = time.time()
    found = _found(current.state, args, hostvars, now)
    current.add(found)
    current.add(results.of_silence(current.state, now))
    verdict = judge.judge(current.state, now, number, args["slice"])
    looked = any(entry["kind"] == "look" for entry in found) and after == "look"
    entries = [dict(verdict, looked=True) if looked else verdict]
    if after in ("look", "tier") and looking.tier_is_done(current.state, number, verdict, now):
        entries.append({"kind": "tier_done", "tier": number})
    if after != "wait" or said or verdict["verdict"] != "pass":
        current.add(entries)
    turn = looking.turn(current.state, number, verdict, now)
    if after == "tier" and verdict["verdict"] == "pass" and number not in current.state.tiers_done:
        raise RolloutError(
            f"Tier {tier['name']} is not done, though nothing holds it back any more: run the same command again, it goes on."
        )
    return _result(current, tier, args, verdict, found, turn)


def _require_whole(state, tier):
    left = state.remaining(tier["number"])
    if left and not state.stop and state.held_since is None:
        raise RolloutError(
            f"{len(left)} hosts of tier {tier['name']} have no outcome yet ({', '.join(left[:judge.NAMED_HOSTS])}): "
            "expected the whole tier to be patched before its verdict. Run the same command again."
        )


def _found(state, args, hostvars, now):
    if args["after"] == "slice":
        return results.of_slice(state, args["hosts"], _results(hostvars, results.REGISTERED), now)
    if args["after"] != "look" or state.stop:
        return []  # Nobody is looked at after a stop: that says nothing about the patched hosts.
    looks = _delegated(args["hosts"], hostvars) if args["delegated"] else _own(args["hosts"], hostvars)
    return results.of_looks(state, looks, now) + _readings(state, args["sources"], hostvars, now)


def _readings(state, specs, hostvars, now):
    found = sources.check(specs)
    if not found:
        return []
    addresses = {name: str(hostvars[name].get("ansible_host") or name) for name in state.hosts if name in hostvars}
    arms = view.arms_of(state, addresses)
    since = min(state.planned_at.values(), default=now)
    return results.of_sources(state, [sources.read(source, arms, since, now, _fetch) for source in found])


def _fetch(url, *, data=None, headers, timeout):
    """Ask over HTTP, with the proxies and certificates that Ansible uses; redirects would take the headers elsewhere."""
    method = "GET" if data is None else "POST"
    with open_url(url, data=data, headers=headers, timeout=timeout, method=method, follow_redirects="none") as response:
        return fetching.body(response, timeout)


def _results(hostvars, registered):
    def results(name):
        variables = hostvars[name]
        return {step: values.plain(variables.get(key) or {}) for step, key in registered.items()}

    return results


def _own(hosts, hostvars):
    """Return {name: look} of hosts that were looked at as hosts of their play."""
    return {name: values.plain(hostvars[name].get(results.REGISTERED["look"]) or {}) for name in hosts}


def _delegated(hosts, hostvars):
    """Return {name: look} of hosts that the hosts of a slice were asked to look at, each at its share of them."""
    looks = {}
    for name in hosts:
        for item in (hostvars[name].get("livepatch_result_looks") or {}).get("results") or []:
            looks[str(item["item"]["host"])] = values.plain({key: item[key] for key in item if key != "item"})
    return looks


def _result(current, tier, args, verdict, found, turn):
    state = current.state
    result = {
        "changed": True,
        "verdict": verdict["verdict"],
        "reasons": verdict["reasons"],
        "failures": verdict["failures"],
        "evidence": verdict["evidence"],
        "counts": judge.counts(state),
        "rolls_back": bool(state.aborted and state.aborted["override"] == "rollback"),
        "progress": _progress(state, tier, args, verdict, found, turn),
        "timeline": timeline.tiers(state, time.time()),
        **turn,
    }
    if verdict["verdict"] == "stop":
        report = messages.report(state, current.path)
        result.update(
            {key: report[key] for key in ("journal", "stop_message", "rollback", "summary", "table", "stats")}
        )
    return result


def _progress(state, tier, args, verdict, found, turn):
    counts = {}
    for entry in found:
        if entry["kind"] == "outcome":
            counts[entry["outcome"]] = counts.get(entry["outcome"], 0) + 1
    where = f"tier {tier['name']}"
    before = state.verdicts[-2] if len(state.verdicts) > 1 else {}
    if args["after"] == "tier" and (verdict["verdict"] == "pass" or verdict["reasons"] == before.get("reasons")):
        return []  # The last look has said it.
    if args["after"] == "slice":
        where += f", slice {args['slice']}: {values.count_line(counts)}"
    elif args["after"] == "wait" and verdict["verdict"] == "pass":
        return [f"{where}: the next slice begins in {turn['wait']} s"] if turn["wait"] else []
    elif state.stop is None and state.soaks.get(tier["number"]):
        left = view.soak_left(state, tier["number"], time.time())
        where += f", {looking.words(left)} of its soak left" if left else ""
    return [f"{where}; {reason}" for reason in verdict["reasons"]]
