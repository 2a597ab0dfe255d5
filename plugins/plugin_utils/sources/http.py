# Evidence from any address that answers JSON: a JMESPath expression gives the number.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from dataclasses import replace

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import fetching, reading, specification, times
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources.reading import Missing

RULES = ("max", "min", specification.RATIO)
REQUIRED = ("url", "expression")
EXPRESSIONS = ("expression", "control_expression", "time_expression")
OPTIONAL = ("control_expression", "time_expression", "unit", *fetching.OPTIONAL)
AHEAD = 60


def check(source, spec, what):
    """Return the Source with what a JSON address needs, or raise RolloutError."""
    url, headers, secrets = fetching.check(spec, what, query=True)
    options = {key: specification.text(spec, key, what) for key in EXPRESSIONS}
    for key in EXPRESSIONS:
        _check_expression(options[key], f"{what}: {key}")
    if source.rule == specification.RATIO and not options["control_expression"]:
        raise RolloutError(f"{what} has {specification.RATIO} without control_expression: give the one for the control.")
    if source.stale_given and not options["time_expression"]:
        raise RolloutError(f"{what} has stale_after without time_expression: give the one for the time of the numbers.")
    options["unit"] = specification.text(spec, "unit", what, 20)
    return replace(source, url=url, options=options, headers=headers, secrets=secrets)


def library():
    """Return the module jmespath, or raise RolloutError."""
    try:
        import jmespath
    except ImportError:
        raise RolloutError(
            "Sources of type http need the Python library jmespath on the controller, which was not found: "
            "install it into Ansible's Python, e.g. python3 -m pip install jmespath."
        ) from None
    return jmespath


def _check_expression(text, what):
    if text is None:
        return
    jmespath = library()
    try:
        jmespath.compile(text)
    except (jmespath.exceptions.JMESPathError, RecursionError) as error:
        reason = reading.cut(str(error).partition("\n")[0])
        raise RolloutError(f"{what} is {text!r}: expected a JMESPath expression ({reason}).") from None


def read(source, sides, since, now, fetch):
    """Return what the address says (reading.Found), or raise Missing."""
    answer = fetching.ask(source, fetch, source.url)
    notes = _check_age(source, answer, now)
    patched = _number(source, answer, "expression")
    control = _control(source, answer, sides)
    unit = reading.unit_of(source)
    said = f"{reading.shown(patched)}{unit}"
    if control is not None:
        said += f", control {reading.shown(control)}{unit}"
    return reading.Found(patched=patched, control=control, said=said, notes=notes)


def _control(source, answer, sides):
    if not source.options["control_expression"]:
        return None
    try:
        return _number(source, answer, "control_expression")
    except Missing:
        if sides.last_tier and not sides.control:
            return None
        raise


def _number(source, answer, key):
    found, text = _search(source, answer, key), reading.cut(source.options[key], 80)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        if found is None:
            raise Missing(f"{key} {text!r} finds nothing in the answer")
        hint = (
            "; use to_number()"
            if isinstance(found, str)
            else "; use length(), sum() or avg()" * isinstance(found, list)
        )
        raise Missing(f"{key} {text!r} gives {specification.kind(found)}, expected a number{hint}")
    return reading.finite(found, f"{key} {text!r}")


def _check_age(source, answer, now):
    """Return notes (tuple) on the age of the numbers, or raise Missing for one that is too great."""
    if not source.options["time_expression"]:
        return ()
    found = _search(source, answer, "time_expression")
    moment = times.epoch(found)
    if moment is None:
        raise Missing(
            f"time_expression gives {reading.cut(repr(found), 60)}, expected seconds since 1970 or an ISO 8601 time"
        )
    age = now - moment
    if age < -AHEAD:
        raise Missing(f"the numbers are dated {reading.shown(-age)} s in the future: are these milliseconds?")
    if age > source.stale_after:
        raise Missing(f"the numbers are {age:.0f} s old, at most {source.stale_after} s expected")
    return (f"{max(0, age):.0f} s old",)


def _search(source, answer, key):
    try:
        return library().search(source.options[key], answer)
    except RolloutError as error:
        raise Missing(str(error)) from None
    except Exception as error:  # noqa: BLE001 - a library at work on foreign data: no value is all that matters.
        reason = reading.cut(str(error).partition("\n")[0])
        raise Missing(f"{key} cannot be applied to the answer: {reason or type(error).__name__}") from None
