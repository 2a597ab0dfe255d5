# What comes next in a rollout: when a slice may begin, who is to be looked at when, whether a tier is done. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import math
from collections import namedtuple
from itertools import groupby

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import arms, judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout.state import DONE_WELL

# What Ansible keeps and copies for each host grows with the hosts of a play.
MOST_HOSTS = 1000

Step = namedtuple("Step", "do at hosts")
Step.__doc__ = """What a run does next: do is slice (the next one of the tier may begin), pass (the tier is done), look (at these
hosts, list of names), wait (until `at`, seconds since 1970), stop, or held (on hold for so long that a person must decide)."""


def step(state, number, verdict, now):
    """Return the Step that comes next in tier `number` after this verdict (dict) on the state as it is at `now`."""
    if verdict["verdict"] == "stop":
        return Step("stop", now, [])
    if number in state.tiers_done:
        return Step("pass", now, [])
    targets, due = to_look_at(state), look_due(state, now)
    if verdict["verdict"] == "hold":
        return _on_hold(state, targets, due, now)
    if targets and now >= due:
        return Step("look", now, targets)
    if state.remaining(number):
        goal = slice_due(state, number, now)
        return Step("slice", now, []) if now >= goal else Step("wait", min(goal, due) if targets else goal, [])
    goal = judge.soak_end(state, number)
    if now < goal:
        return Step("wait", min(goal, due) if targets else goal, [])
    if state.looked_at < goal:
        # Whoever was not seen since the soak ended is looked at once more, on both arms, and sources are asked.
        return Step("look", now, [name for name in targets if state.hosts[name].seen < goal])
    return Step("pass", now, [])


def _on_hold(state, targets, due, now):
    end = (state.held_since or now) + state.rules["max_hold"]
    if now >= end:
        return Step("held", now, [])
    if targets and now >= due:
        return Step("look", now, targets)
    grace = state.rules["unreachable_grace"]
    moments = [end, *([due] if targets else [])]
    moments += [host.lost + grace for host in state.hosts.values() if host.lost is not None and host.lost + grace > now]
    return Step("wait", min(moments), [])


def last_tier(state, wanted):
    """Return the number (int) of the tier after which a run ends.

    wanted: a tier's name, its number, or `next` for the first one that is not done, None or empty for the last one of all.
    A run that was lost right after a tier had passed has not ended with it: then that tier is the next.
    A tier that was asked for and that the plan has skipped, because it would have had no host, stands for the planned one
    before it; 0 is before the first. A plan without tiers, which patches nobody, gives 0.
    """
    following = state.just_done or state.open_tier or len(state.tiers or [])
    return find_tier(state.tiers or [], state.parameters.get("tiers"), wanted, following)


def find_tier(planned, asked, wanted, following):
    """Return the number (int) of a tier, see last_tier; raises RolloutError for one that is neither planned nor asked for.

    planned: the tiers of the plan (list of dict with name and number); asked: those that it was made from (list of dict with
    name); following: the number that `next` stands for.
    """
    if wanted in (None, "") or not planned:
        return len(planned)
    text = str(wanted)
    named = {tier["name"]: tier["number"] for tier in planned}
    names = [str(tier.get("name")) for tier in asked or []]
    if text in named:
        return named[text]
    if text in names:
        return max((named[name] for name in names[: names.index(text)] if name in named), default=0)
    if text == "next":
        return following
    if text in map(str, named.values()):
        return int(text)
    raise RolloutError(
        f"livepatch_last_tier is {text!r}: expected a tier of the plan ({', '.join(named)}), its number, or next."
    )


def to_patch(state, last):
    """Return (names, sizes): the hosts that this run is still to patch, up to tier `last`, and how many make up each slice."""
    names, sizes = [], []
    for tier in state.tiers or []:
        number = tier["number"]
        if number > last or number in state.tiers_done:
            continue
        left = state.remaining(number)
        names += left
        sizes += [len(list(group)) for unused, group in groupby(left, key=lambda name: state.hosts[name].slice)]
    return names, sizes or [1]


def soak_until(state, number, now):
    """Return when (seconds since 1970) the soak of tier `number` ends, which begins now.

    It lasts from the tier's last host on; the time that the slices were spread over counts, as planned. Where no host has
    the livepatch there is nothing to wait for. Never longer than planned: a clock may have been ahead.
    """
    if not state.watched():
        return now
    tier = state.tier(number)
    begun, finished = state.begun_at.get(number, now), state.finished_at.get(number, now)
    return min(now + tier["soak"], max(begun + tier["soak"], finished + max(0, tier["soak"] - tier.get("spread", 0))))


def has_soak(state, number, now):
    """Is it written when the soak of tier `number` ends? What was written while the clock was far ahead does not count."""
    return number in state.soaks and state.soaks[number] <= now + state.tier(number)["soak"]


def soak_left(state, number, now):
    """Return the seconds (int) that tier `number` has still to soak."""
    if number in state.promoted or number in state.tiers_done:
        return 0
    if number in state.soaks:
        return max(0, round(state.soaks[number] - now))
    return state.tier(number)["soak"]


def slice_due(state, number, now):
    """Return when (seconds since 1970) the next slice of tier `number` may begin, 0.0 for at once.

    The slices of a tier are spread evenly. After a hold the later ones are not brought forward.
    """
    tier, last = state.tier(number), state.last_slice
    if not last or last["tier"] != number or not state.remaining(number):
        return 0.0
    began = journal.seconds(last["time"])
    return began + tier.get("spread", 0) / len(tier["slices"]) if began <= now else 0.0


def look_due(state, now):
    """Return when (seconds since 1970) the hosts are to be looked at next, 0.0 for at once.

    At once when a run goes on, and when a host was lost since the last look: only a look tells how the others are. What was
    written while the clock was ahead, so that it lies in the future, says nothing of when.
    """
    if not 0 <= state.looked_at <= now:
        return 0.0
    troubles = [host.crash[0] for host in state.hosts.values() if host.crash]
    troubles += [host.lost for host in state.hosts.values() if host.lost is not None]
    if state.last_slice and any(state.looked_at < moment <= now for moment in troubles):
        return 0.0
    return state.looked_at + state.rules["look_interval"]


def to_look_at(state):
    """Return the names of the hosts that looks are for: those that may have the livepatch, and the control sample.

    Nobody before the first slice, as there is nothing to compare, and nobody after a stop.
    """
    if state.stop or not state.last_slice:
        return []
    return [host.name for host in state.watched()] + arms.control_sample(state)


def since(host):
    """Return what is handed to livepatch_health for a Host (dict): where its look reads on from."""
    told = host.told
    if told.get("sequence") is not None and told.get("boot_id", host.boot_id) == host.boot_id:
        marks = {key: told[key] for key in ("counters", "taint") if key in told}
        return {"boot_id": host.boot_id, "sequence": told["sequence"], "time": told.get("host_time"), **marks}
    return told.get("since") or {"boot_id": host.boot_id}


def arms_of(state, addresses):
    """Return what sources.read is asked about: the hosts with the livepatch, those that do not have it yet, and addresses.

    addresses: name -> address by which others may know the host.
    """
    crashed = [host for host in state.hosts.values() if host.crash]
    control = [host.name for host in state.waiting() if host.arm == "control"]
    patched = [host.name for host in state.watched()]
    return {
        "patched": patched,
        "control": control,
        "addresses": addresses,
        "last_tier": not control,
        "crashed": {arm: [host.name for host in crashed if host.arm == arm] for arm in ("patched", "control")},
        "patched_at": {host.name: host.patched[0] for host in state.hosts.values() if host.patched},
    }


def to_keep(state, number):
    """Return {host: livepatch} of the hosts of tier `number` that were not asked yet to keep it over reboots.

    None after a stop: what has just been stopped is not to be there after a reboot. None either while nobody is to be touched.
    """
    if state.stop or state.rollback or state.aborted or state.paused or state.held_since is not None:
        return {}
    return {
        host.name: host.outcome["livepatch"]
        for host in state.tier_hosts(number)
        if host.is_(*DONE_WELL) and host.outcome.get("livepatch") and host.name not in state.persistence
    }


def to_roll_back(state):
    """Return a dict for each host that the rollout touched, latest first: what it had before, and has now.

    What a former round of the rollout had done, and nobody has undone, belongs to it.
    """
    return [_target(state, name) for name in state.to_roll_back()]


def _target(state, name):
    had = state.before[name]
    return {
        "host": name,
        "package": had["package_now"],
        # A controller that died had installed it already: what was there before is not known.
        "package_before": None if had["package"] == had["package_now"] else had["package"],
        "livepatch": had["livepatch"],
        "build": had.get("build"),
        "enabled_before": had["enabled"],
        "outcome": had["outcome"],
        "reason": had["reason"],
    }


def words(seconds):
    """Return a duration for people (str): "3 h 20 min", "45 s"."""
    seconds = math.ceil(seconds)
    if seconds < 120:
        return f"{seconds} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def plays(names):
    """Return the names (list) of hosts in lists of no more than a play should have."""
    return [names[start : start + MOST_HOSTS] for start in range(0, len(names), MOST_HOSTS)]
