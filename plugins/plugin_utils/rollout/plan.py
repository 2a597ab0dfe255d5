# The plan: which host is patched in which tier and slice. Pure: same hosts, same seed, same plan.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import random

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError

MAX_TIERS = 100
# A slice given as a share of a huge tier would patch thousands of hosts before the gate looks.
MAX_SHARE_SLICE = 250
# A host that has not been up for so long (seconds) may be one that reboots by itself: any crash in the first tier is a stop.
STEADY = 24 * 3600
TIER_KEYS = {"name", "hosts", "share", "group", "max_share", "soak", "spread", "max_failures"}
WAYS = ("hosts", "share", "group")


def parse_tiers(tiers, max_failures):
    """Return the checked tiers: dicts with name, way, amount, max_share, soak and spread (seconds), max_failures.

    tiers: what the user wrote (list of dicts); max_failures: for tiers that give none (count or share).
    """
    if not isinstance(tiers, list) or not tiers:
        raise RolloutError(
            f"livepatch_tiers is {tiers!r}: expected a list of at least one tier, like [{{name: all, share: '100%'}}]."
        )
    if len(tiers) > MAX_TIERS:
        raise RolloutError(f"livepatch_tiers has {len(tiers)} tiers: expected at most {MAX_TIERS}.")
    parsed = [_parse_tier(number, tier, max_failures) for number, tier in enumerate(tiers, 1)]
    _check_names(parsed)
    _check_shares(parsed)
    return parsed


def _parse_tier(number, tier, max_failures):
    if not isinstance(tier, dict):
        raise RolloutError(
            f"Tier {number} of livepatch_tiers is {tier!r}: expected a dictionary with a name and one of {', '.join(WAYS)}."
        )
    what = f"Tier {tier.get('name', number)!r}"
    unknown = sorted(set(tier) - TIER_KEYS)
    if unknown:
        raise RolloutError(f"{what} has the unknown key {unknown[0]!r}: expected only {', '.join(sorted(TIER_KEYS))}.")
    ways = [way for way in WAYS if tier.get(way) is not None]
    if len(ways) != 1:
        raise RolloutError(
            f"{what} gives {' and '.join(ways) or 'no hosts'}: expected exactly one of {', '.join(WAYS)}."
        )
    return {
        "name": values.name(tier.get("name"), f"The name of tier {number},", more="%"),
        "way": ways[0],
        "amount": _amount(ways[0], tier[ways[0]], what),
        "max_share": _max_share(tier, ways[0], what),
        "soak": values.duration(tier.get("soak", 0), f"{what}: soak"),
        "spread": values.duration(tier.get("spread", 0), f"{what}: spread"),
        "max_failures": _max_failures(number, tier, max_failures, what),
    }


def _amount(way, value, what):
    if way == "hosts":
        return values.count(value, f"{what}: hosts")
    if way == "share":
        return values.share(value, f"{what}: share")
    if not isinstance(value, str) or not value:
        raise RolloutError(f"{what}: group is {value!r}: expected the name of an inventory group.")
    return value


def _max_share(tier, way, what):
    if tier.get("max_share") is None:
        return None
    if way != "hosts":
        raise RolloutError(f"{what} gives max_share with {way}: expected it only with hosts.")
    return values.share(tier["max_share"], f"{what}: max_share")


def _max_failures(number, tier, default, what):
    given = tier.get("max_failures")
    parsed = values.tolerance(default if given is None else given, f"{what}: max_failures")
    if number == 1 and given is not None and any(parsed):
        raise RolloutError(
            f"{what}: max_failures is {given!r}, but the first tier tolerates no failure: take max_failures out."
        )
    return parsed


def _check_names(tiers):
    seen = set()
    for tier in tiers:
        if tier["name"] in seen:
            raise RolloutError(f"Two tiers are called {tier['name']!r}: expected each name once.")
        seen.add(tier["name"])


def _check_shares(tiers):
    shares = [tier for tier in tiers if tier["way"] == "share"]
    for before, after in zip(shares, shares[1:]):
        if after["amount"] <= before["amount"]:
            raise RolloutError(
                f"The share of tier {after['name']!r} is not above that of tier {before['name']!r}: "
                "shares are cumulative, so they must rise from tier to tier."
            )
    if shares and shares[-1]["amount"] != 1:
        raise RolloutError(
            f"The last share, of tier {shares[-1]['name']!r}, is {float(shares[-1]['amount']):.6g} of the hosts: "
            "shares are cumulative, so the last must be 100%."
        )


def make_plan(hosts, tiers, slice_size, seed, groups=None, excluded=(), already=()):
    """Return (tiers, notes): the planned tiers in order, and a line for each tier that got no host.

    hosts: dicts with name, cohort, domain, and uptime_seconds where it is known; tiers: from parse_tiers; slice_size: count
    (int) or share of a tier (Fraction); seed: int or str; groups: inventory group -> names; excluded: names that were looked
    at and cannot be patched; already: those that run the release. A planned tier: number, name, hosts (the dicts), slices
    (counts), soak, spread, max_failures (count).
    """
    members = _group_members(hosts, tiers, groups or {}, {*excluded, *already})
    claimed = set().union(*members.values()) if members else set()
    pool = order([host for host in hosts if host["name"] not in claimed], seed)
    planned, notes, covered, taken = [], [], 0, 0
    for tier in tiers:
        if tier["way"] == "group":
            chosen = order([host for host in hosts if host["name"] in members[tier["name"]]], seed)
        else:
            count = _wanted(tier, len(hosts), covered)
            if not planned:
                notes += _steady_first(pool, count, seed)
            chosen = pool[taken : taken + count]
            taken += len(chosen)
        covered += len(chosen)
        if chosen:
            planned.append(_planned_tier(len(planned) + 1, tier, chosen, slice_size))
            continue
        if tier["way"] == "group" and not planned:
            _check_first(tier, sorted(set(groups[tier["amount"]]) & set(excluded)))
        notes.append(f"tier {tier['name']} adds no host and is skipped")
    if covered < len(hosts):
        raise RolloutError(
            f"The tiers cover {covered} of {len(hosts)} hosts to be patched: end livepatch_tiers with a tier of share: 100%."
        )
    return planned, notes


def _check_first(tier, unfit):
    """The first hosts are those that somebody has chosen to go first: others must not take their place unasked."""
    if unfit:
        raise RolloutError(
            f"No host of the first tier {tier['name']!r} (group {tier['amount']!r}) can be patched now: {', '.join(unfit[:10])}"
            f"{f' and {len(unfit) - 10} more' if len(unfit) > 10 else ''} cannot be reached or do not fit. Others would be the "
            "first instead. Bring one of them back, or give other livepatch_tiers."
        )


def _group_members(hosts, tiers, groups, excluded):
    names = {host["name"] for host in hosts}
    members, owner = {}, {}
    for tier in tiers:
        if tier["way"] != "group":
            continue
        if tier["amount"] not in groups:
            raise RolloutError(
                f"Tier {tier['name']!r} names the group {tier['amount']!r}, which the inventory does not have."
            )
        inside = set(groups[tier["amount"]])
        if not inside & (names | set(excluded)):
            raise RolloutError(
                f"Tier {tier['name']!r}: the group {tier['amount']!r} has none of the hosts of this rollout."
            )
        members[tier["name"]] = inside & names
        for host in sorted(members[tier["name"]]):
            if host in owner:
                raise RolloutError(
                    f"Host {host} is in two tiers, {owner[host]!r} and {tier['name']!r}: take it out of one of the groups."
                )
            owner[host] = tier["name"]
    return members


def _wanted(tier, total, covered):
    """How many hosts a count or share tier adds: a share counts what earlier tiers cover, a count does not."""
    if tier["way"] == "share":
        return max(0, values.of(tier["amount"], total) - covered)
    if tier["max_share"] is None:
        return tier["amount"]
    return min(tier["amount"], max(1, values.of(tier["max_share"], total)))


def _planned_tier(number, tier, chosen, slice_size):
    return {
        "number": number,
        "name": tier["name"],
        "hosts": chosen,
        "slices": slices(len(chosen), slice_size),
        "soak": tier["soak"],
        "spread": tier["spread"],
        "max_failures": 0 if number == 1 else max(values.of(part, len(chosen)) for part in tier["max_failures"]),
    }


def slices(total, size):
    """Return the counts of hosts that are patched at once: a count, or a share of the tier, at most 250 hosts then."""
    width = size if isinstance(size, int) else min(values.of(size, total), MAX_SHARE_SLICE)
    width = max(1, width)
    return [min(width, total - start) for start in range(0, total, width)]


def order(hosts, seed):
    """Return the hosts so that every stretch of them is a fair mix of cohorts and domains.

    First one host of each cohort, largest cohort first; then cohorts interleaved in proportion to their size.
    Inside a cohort the domains are interleaved likewise, and hosts of one domain are shuffled with the seed.
    """
    rng = random.Random(str(seed))
    cohorts = _grouped(hosts, "cohort")
    mixed = [
        _mix_domains(cohorts[cohort], rng) for cohort in sorted(cohorts, key=lambda key: (-len(cohorts[key]), key))
    ]
    return [queue[0] for queue in mixed] + _interleave(mixed, rng, skip=1)


def _steady_first(pool, count, seed):
    """Let hosts that have been up for long take the first places (int) of the order; return a note (list of str) if some do.

    Each changes places with one that was up for too short, and is of the same cohort, and of the same domain where one is left.
    Which one is drawn by lot, so that the hosts behind the first places are as fair a mix as before.
    """
    short = [place for place, host in enumerate(pool[:count]) if not _is_steady(host)]
    steady = [place for place in range(count, len(pool)) if _is_steady(pool[place])] if short else []
    random.Random(f"{seed} steady").shuffle(steady)
    left, taken = {}, set()
    for place in steady:
        for kind in _kinds(pool[place]):
            left.setdefault(kind, []).append(place)
    for place in short:
        other = _drawn(left, pool[place], taken)
        if other is not None:
            taken.add(other)
            pool[place], pool[other] = pool[other], pool[place]
    if not taken:
        return []
    hours = f"up for less than {STEADY // 3600} h"
    if len(taken) == 1:
        return [f"1 host has been {hours}: another of its cohort is in the first tier instead"]
    return [f"{len(taken)} hosts have been {hours}: others of their cohorts are in the first tier instead"]


def _drawn(left, host, taken):
    for kind in _kinds(host):
        while left.get(kind):
            place = left[kind].pop()
            if place not in taken:
                return place
    return None


def _kinds(host):
    return (host["cohort"], host["domain"]), (host["cohort"],)


def _is_steady(host):
    uptime = host.get("uptime_seconds")
    return uptime is None or uptime >= STEADY


def _mix_domains(hosts, rng):
    domains = _grouped(hosts, "domain")
    queues = []
    for domain in sorted(domains):
        queue = sorted(domains[domain], key=lambda host: host["name"])
        rng.shuffle(queue)
        queues.append(queue)
    return _interleave(queues, rng)


def _grouped(hosts, key):
    groups = {}
    for host in hosts:
        groups.setdefault(host[key], []).append(host)
    return groups


def _interleave(queues, rng, skip=0):
    """Merge queues so that each advances in proportion to its length; leave out the first `skip` of each.

    Each queue starts at an offset of its own: otherwise all the short ones would meet in the middle.
    """
    placed = []
    for number, queue in enumerate(queues):
        offset = rng.random()
        placed += [((place + offset) / len(queue), number, host) for place, host in enumerate(queue) if place >= skip]
    return [entry[2] for entry in sorted(placed, key=lambda entry: entry[:2])]
