# What the evidence says: numbers for the journal, sentences for people, and whether they stop or hold a rollout. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import arms, bets, exposure

NAMED_HOSTS = 10
# Livepatches that make hosts crash this many times as often are what the sentence on power is about.
SHOWN_RATIOS = (20, 5)
MOST_ROLLOUTS = 1000000
# A crash rate of the control hosts is known from so many crashes on.
ENOUGH_TO_TELL = 3
# Fewer host-hours than that tell nothing.
WORTH_TELLING = 0.5
# More crashes than that are no number for people.
MOST_CRASHES = 1000


def evidence(state, now):
    """Return the evidence (dict) as it stands: crashes and alarms, each with numbers of both arms and the e-values."""
    known = state.rules["history"]
    history = (known["crashes"], known["host_hours"]) if known else None
    crashed, alarmed = (arms.tally(state, now, kind) for kind in ("crash", "alarm"))
    return {
        "crashes": {**_numbers(state, crashed, history), **_power(state, crashed, history)},
        "alarms": _numbers(state, alarmed, None),
        "readings": [
            {"source": name, "verdict": entry["verdict"], "reason": entry["reason"]}
            for name, entry in state.readings.items()
        ],
    }


def _numbers(state, tally, history):
    found = exposure.weigh(tally, history)
    sides = {
        side: {
            "incidents": tally.incidents[side],
            "hosts": _watched(state, side),
            "host_hours": tally.total(side),
        }
        for side in ("patched", "control")
    }
    rates = {side: numbers["incidents"] / (numbers["host_hours"] or 1) for side, numbers in sides.items()}
    compared = sides["patched"]["host_hours"] and rates["control"]
    return {
        "e": found.pop("e"),
        "suspicion": found.pop("suspicion"),
        "bets": found,
        **sides,
        "rate_ratio": rates["patched"] / rates["control"] if compared else None,
    }


def _watched(state, side):
    return sum(1 for host in state.hosts.values() if getattr(host, side))


def _power(state, tally, history):
    """What the gate would have seen by now: how many crashes would stop, and how likely a bad livepatch brings them."""
    most = min(_watched(state, "patched"), MOST_CRASHES)  # A host counts once.
    needed = exposure.crashes_to(tally, state.rules["stop_evidence"], history, most)
    hours, control = tally.total("patched"), tally.total("control")
    if history:
        rate = history[0] / history[1]
    elif control and tally.incidents["control"] >= ENOUGH_TO_TELL:
        rate = tally.incidents["control"] / control
    else:
        rate = None  # How often hosts crash anyway is not known.
    seen = {}
    if needed is not None and rate is not None:
        seen = {str(ratio): bets.poisson_at_least(needed, ratio * rate * hours) for ratio in SHOWN_RATIOS}
    return {"would_stop": needed, "would_have_seen": seen}


def reached(found, rules):
    """Return what evidence (dict with e and suspicion) alone leads to: stop, hold or pass.

    What is not settled stops nothing: another host of the same failure domain may still go down with the first.
    """
    if found["e"] >= rules["stop_evidence"]:
        return "stop"
    return "hold" if max(found["e"], found["suspicion"]) >= rules["hold_evidence"] else "pass"


def reasons(state, found, verdict):
    """Return the sentences (list) of what leads to a verdict (stop or hold); what would stop holds, too."""
    enough, said = ("stop",) if verdict == "stop" else ("stop", "hold"), []
    if reached(found["crashes"], state.rules) in enough:
        said.append(_compared("crash", "crashes", found["crashes"]))
    if reached(found["alarms"], state.rules) in enough and state.rules["on_alarm"] in enough:
        said.append(_compared("host with a new kernel alarm", "hosts with new kernel alarms", found["alarms"]))
    # The reason of a reading begins with the name of its source.
    return said + [entry["reason"] for entry in found["readings"] if entry["verdict"] == verdict]


def of_tier(entry):
    """Return how many hosts of a tier (dict, as judge.numbers returns it) have failed, as words (str)."""
    return f"{entry['failed']} of {entry['hosts']} hosts of tier {entry['name']} failed, {entry['tolerated']} tolerated"


def sentence(found, tier):
    """Return the sentence (str) of a pass: what the tier has come to, and what was compared with what."""
    words = [of_tier(tier)] if tier else []
    both = [found["crashes"][arm] for arm in ("patched", "control")]
    if any(arm["incidents"] for arm in both) or both[0]["host_hours"] >= WORTH_TELLING:
        words.append(arms_line(found["crashes"]))
    return "; ".join(words) or "nothing was touched yet"


def arms_line(found):
    """Return the crashes of both arms and E as a line for people (str)."""
    return f"{_arms('crash', 'crashes', found)}, E {found['e']:.2g}"


def power_line(verdict):
    """Return the sentence (str) on what this gate would have seen by a verdict (entry), '' where that cannot be said."""
    found = (verdict.get("evidence") or {}).get("crashes") or {}
    if found.get("would_stop") is None:
        return ""
    number = found["would_stop"]
    enough = f"{number} {'crash' if number == 1 else 'crashes'} on patched hosts, evenly spread, would have stopped"
    told = [
        f"a {ratio}-fold crash rate with {_per_cent(chance)} chance"
        for ratio, chance in found["would_have_seen"].items()
    ]
    if not told:
        return f"by now {enough}"
    return f"by now this gate would have seen {', '.join(told)}; {enough}"


def _compared(one, many, found):
    return (
        f"{_arms(one, many, found)}; a harmless livepatch would look this bad in fewer than 1 of "
        f"{_many(int(min(max(found['e'], found['suspicion']), MOST_ROLLOUTS)))} rollouts"
    )


def _arms(one, many, found):
    patched, control = found["patched"], found["control"]
    return (
        f"{patched['incidents']} {one if patched['incidents'] == 1 else many} on {_many(patched['hosts'])} patched hosts in "
        f"{_hours(patched['host_hours'])} host-hours, {control['incidents']} on {_many(control['hosts'])} unpatched in "
        f"{_hours(control['host_hours'])}"
    )


def _hours(hours):
    return _many(round(hours)) if hours >= 10 else f"{hours:.1f}"


def _many(number):
    """12000 as "12 000"."""
    return f"{number:,}".replace(",", " ")


def _per_cent(chance):
    return f"{chance * 100:.0f} %" if 0.005 <= chance < 0.995 else "under 1 %" if chance < 0.5 else "over 99 %"
