# The rules of the gate: what people may set, checked and turned into numbers that go into the journal with the plan.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError

# They stay as they are for the whole rollout: a limit that is moved after a look at the data means nothing.
DEFAULTS = {
    "stop_evidence": 20,
    "hold_evidence": 5,
    "look_interval": "15m",
    "control_hosts": 5000,
    "max_hold": "8h",
    "report_lag": 0,
    "unreachable_grace": "15m",
    "history": None,
    "on_alarm": "hold",
    "report_only": False,
}
DURATIONS = ("look_interval", "max_hold", "report_lag", "unreachable_grace")
# What history has to have.
LEAST = {"crashes": 0, "hosts": 1, "days": 7}


def parse(given):
    """Return the rules (dict of numbers) that a dict of options stands for; options that are left out have DEFAULTS."""
    if not isinstance(given, dict) or set(given) - set(DEFAULTS):
        unknown = sorted(set(given) - set(DEFAULTS)) if isinstance(given, dict) else [given]
        raise RolloutError(f"gate has {unknown[0]!r}: expected a dictionary with {', '.join(sorted(DEFAULTS))}.")
    found = {**DEFAULTS, **{key: value for key, value in given.items() if value not in (None, "", "None")}}
    for key in DURATIONS:
        found[key] = values.duration(found[key], f"livepatch_{key}")
    if found["look_interval"] < 1:
        raise RolloutError("livepatch_look_interval is 0: expected at least 1s, like '15m'.")
    found["control_hosts"] = _control_hosts(found["control_hosts"])
    for key in ("stop_evidence", "hold_evidence"):
        found[key] = _number(found[key], f"livepatch_{key}", lambda one: 1 < one < 1e9, "a number above 1, like 20")
    if found["hold_evidence"] > found["stop_evidence"]:
        raise RolloutError(
            f"livepatch_hold_evidence {found['hold_evidence']:g} is above livepatch_stop_evidence "
            f"{found['stop_evidence']:g}: expected the rollout to be held before it is stopped."
        )
    if found["on_alarm"] not in ("hold", "stop", "report"):
        raise RolloutError(f"livepatch_on_alarm is {found['on_alarm']!r}: expected hold, stop or report.")
    found["report_only"] = _flag(found["report_only"], "livepatch_report_only")
    found["history"] = _history(found["history"])
    return found


def _control_hosts(value):
    number = values.count_or_share(value, "livepatch_control_hosts")
    if not isinstance(number, int):
        raise RolloutError(f"livepatch_control_hosts is {value!r}: expected a count of hosts, like 5000.")
    return number


def _number(value, what, fits, expected):
    """Return a number (float) that fits, a function, takes; one may have come through a template as text."""
    number = values.number(value)
    if not fits(number):
        raise RolloutError(f"{what} is {value!r}: expected {expected}.")
    return number


def _flag(value, what):
    found = {"true": True, "false": False}.get(str(value).lower())
    if found is None:
        raise RolloutError(f"{what} is {value!r}: expected true or false.")
    return found


def _history(given):
    """{crashes, hosts, days} of the time before the rollout -> {crashes, host_hours}."""
    if given is None:
        return None
    what = "livepatch_history"
    if not isinstance(given, dict) or set(given) != set(LEAST):
        raise RolloutError(f"{what} is {given!r}: expected a dictionary with crashes, hosts and days.")
    crashes, hosts, days = (
        _number(given[key], f"{what}: {key}", lambda one, least=least: least <= one < 1e12, f"a number of at least {least}")
        for key, least in LEAST.items()
    )
    return {"crashes": int(crashes), "host_hours": hosts * days * 24}
