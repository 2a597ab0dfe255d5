# What playbooks read of a rollout: tiers and hosts still to be done, hosts to roll back. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from itertools import groupby

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import arms, judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import journal
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout.state import DONE_WELL


def last_tier(state, wanted):
    """Return the number (int) of the tier after which a run ends.

    wanted: a tier's name, its number, or `next` for the first one that is not done, None or empty for the last one of all.
    A run that was lost right after a tier had passed has not ended with it: then that tier is the next.
    A tier that was asked for and that the plan has skipped, because it would have had no host, stands for the planned one
    before it; 0 is before the first. A plan without tiers, which patches nobody, gives 0.
    """
    return find_tier(state.tiers or [], state.parameters.get("tiers"), wanted, _next(state))


def _next(state):
    left = [tier["number"] for tier in state.tiers or [] if tier["number"] not in state.tiers_done]
    return state.just_done or (left[0] if left else len(state.tiers or []))


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


def tiers(state, now, last=None):
    """Return a dict a tier: number, name, hosts (to be patched by this run, in order), serial, all_hosts, soak_seconds, done.

    serial: how many of exactly these hosts make up each slice, never empty; now: seconds since 1970; last: the number of
    the tier after which this run ends, None for the last one.
    """
    return [_tier(state, tier, now, last is not None and tier["number"] > last) for tier in state.tiers]


def _tier(state, tier, now, later):
    number = tier["number"]
    done = number in state.tiers_done
    left = [] if done or later else state.remaining(number)
    sizes = [len(list(group)) for unused, group in groupby(left, key=lambda name: state.hosts[name]["slice"])]
    return {
        "number": number,
        "name": tier["name"],
        "hosts": left,
        "serial": sizes or [1],
        "all_hosts": state.tier_hosts(number),
        "soak_seconds": 0 if done else soak_left(state, number, now),
        "done": done,
    }


def soak_left(state, number, now):
    """Return the seconds (int) that tier `number` has still to soak."""
    if judge.soak_is_over(state, number, now):
        return 0
    if number in state.soaks:
        return max(0, round(state.soaks[number] - now))
    return _tier_entry(state, number)["soak"]


def soak_until(state, number, now):
    """Return when (seconds since 1970) the soak of tier `number` ends, which begins now.

    It lasts from the tier's last host on; the time that the slices were spread over counts, as planned. Where no host has
    the livepatch there is nothing to wait for.
    """
    if not state.watched():
        return now
    tier = _tier_entry(state, number)
    begun, finished = state.begun_at.get(number, now), state.finished_at.get(number, now)
    return max(begun + tier["soak"], finished + max(0, tier["soak"] - tier.get("spread", 0)))


def slice_due(state, number):
    """Return when (seconds since 1970) the next slice of tier `number` may begin, 0.0 for at once.

    The slices of a tier are spread evenly. After a hold the later ones are not brought forward.
    """
    tier, last = _tier_entry(state, number), state.last_slice
    if not last or last["tier"] != number or not state.remaining(number):
        return 0.0
    return journal.seconds(last["time"]) + tier.get("spread", 0) / len(tier["slices"])


def look_due(state):
    """Return when (seconds since 1970) the hosts are to be looked at next, 0.0 for at once.

    At once when a run goes on, and when a host was lost since the last look: only a look tells how the others are.
    """
    news = max([moment for moment, unused in state.crashes.values()] + list(state.lost.values()), default=0.0)
    if state.looked_at < 0 or (state.patched_at and news > state.looked_at):
        return 0.0
    return state.looked_at + state.rules["look_interval"]


def to_look_at(state, since=None):
    """Return a dict for each host that looks are for: host, since (what to hand to livepatch_health: read on from there).

    All patched hosts and the control sample; since: only those whose last look was before (seconds since 1970).
    None after a stop: nobody is looked at then.
    """
    if state.stop:
        return []
    names = [*state.watched(), *arms.control_sample(state)]
    seen = {**state.seen_control, **state.seen_patched}
    return [
        {"host": name, "since": _since(state, name)} for name in names if since is None or seen.get(name, 0.0) < since
    ]


def arms_of(state, addresses):
    """Return what sources.read is asked about: the hosts with the livepatch, those that do not have it yet, and addresses.

    addresses: name -> address by which others may know the host.
    """
    control = state.waiting()
    return {"patched": state.watched(), "control": control, "addresses": addresses, "last_tier": not control}


def _since(state, name):
    outcome, look = state.outcomes.get(name, {}), state.looks.get(name, {})
    boot_id = state.boot_ids.get(name)
    usable = look.get("boot_id") == boot_id and look.get("sequence") is not None
    if usable and journal.seconds(look["time"]) > state.patched_at.get(name, 0.0):
        return {"boot_id": boot_id, "sequence": look["sequence"], "time": look.get("host_time")}
    return outcome.get("since") or {"boot_id": boot_id}


def _tier_entry(state, number):
    return next(tier for tier in state.tiers if tier["number"] == number)


def to_keep(state, number):
    """Return host and livepatch (dict) of each host of tier `number` that was not asked yet to keep it over reboots.

    None after a stop: what has just been stopped is not to be there after a reboot.
    """
    if state.stop:
        return []
    found = [state.outcomes[name] for name in state.tier_hosts(number) if name in state.outcomes]
    return [
        {"host": entry["host"], "livepatch": entry["livepatch"]}
        for entry in found
        if entry["outcome"] in DONE_WELL and entry.get("livepatch") and entry["host"] not in state.persistence
    ]


def to_roll_back(state):
    """Return a dict for each host that the rollout touched, latest first: what it had before, and has now.

    What a former round of the rollout had done, and nobody has undone, belongs to it.
    """
    return [_target(state, name) for name in state.to_roll_back()]


def _target(state, name):
    planned, first = state.before(name)
    now = state.outcomes.get(name) or first
    package_before = first.get("package_before")
    return {
        "host": name,
        "package": now.get("package"),
        # A controller that died had installed it already: what was there before is not known.
        "package_before": None if package_before == first.get("package") else package_before,
        "livepatch": now.get("livepatch") or first.get("livepatch"),
        "enabled_before": first.get("enabled_before", planned["enabled"]),
        "outcome": now.get("outcome"),
        "reason": now.get("reason"),
    }
