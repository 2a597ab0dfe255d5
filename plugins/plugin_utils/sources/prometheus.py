# Evidence from Prometheus: one number for each arm, out of an instant or a range query.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import math
import re
from dataclasses import replace
from fractions import Fraction

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import common, http
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources.common import Missing, NoControl

RULES = ("max", "min", common.RATIO)
REQUIRED = ("url", "query")
OPTIONAL = ("label", "aggregate", "range", "step", "time_query", "min_series", "unit", *http.ACCESS)
AGGREGATES = {"mean": lambda numbers: sum(numbers) / len(numbers), "sum": sum, "max": max, "min": min}
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,199}")
PATCHED, CONTROL = "{patched}", "{control}"
PLAIN = re.compile(r"[A-Za-z0-9_:/@%-]")
QUOTABLE = re.compile(r"[.+*?|(){}$ ,;=~!#&<>]")
MAX_POINTS = 1000
MAX_QUERY_BYTES = 2 * 1024 * 1024
NAMED = 5

# A selector and nothing else: only of such a query can Prometheus tell when its samples were taken.
SELECTOR = re.compile(
    r"""[a-zA-Z_:][a-zA-Z0-9_:]*\s*(\{([^{}"'`]|"([^"\\]|\\.)*"|'([^'\\]|\\.)*'|`[^`]*`)*\})?""", re.DOTALL
)


def check(source, spec, what):
    """Return the Source with what Prometheus needs, or raise RolloutError."""
    access = http.address(spec, what)
    query = common.text(spec, "query", what)
    way = _way(source, query, spec, what)
    label = spec.get("label", "instance")
    if not isinstance(label, str) or not LABEL.fullmatch(label):
        raise RolloutError(f"{what}: label is {label!r}: expected the name of a label like instance.")
    if "label" in spec and way != "label":
        raise RolloutError(f"{what} gives label and a query with {PATCHED}: expected only one of the two ways.")
    common.one_of(spec, "aggregate", AGGREGATES, what, default="mean")
    if spec.get("aggregate") == "sum" and source.rule == common.RATIO:
        raise RolloutError(
            f"{what}: aggregate sum with {common.RATIO} compares arms of different size: expected mean, max or min."
        )
    span, step = _range(spec, what)
    time_query = common.text(spec, "time_query", what)
    if source.stale_given and not span and not time_query and not SELECTOR.fullmatch(_filled(query, "x", "x")):
        raise RolloutError(
            f"{what}: stale_after cannot be judged from this query, as Prometheus gives its result the time of the asking: "
            "give time_query, like timestamp(up), or a range."
        )
    options = {
        "query": query,
        "way": way,
        "label": label,
        "aggregate": spec.get("aggregate", "mean"),
        "range": span,
        "step": step,
        "time_query": time_query,
        "min_series": _min_series(spec, way, what),
        "unit": common.text(spec, "unit", what, 20),
    }
    access["url"] = access["url"].rstrip("/")
    return replace(source, options=options, **access)


def _way(source, query, spec, what):
    """How the arms are told apart: "label", "arms" (asked once for each), "both" (the query compares them itself)."""
    if CONTROL in query and PATCHED not in query:
        raise RolloutError(f"{what}: query names {CONTROL} and not {PATCHED}: expected {PATCHED}, or neither.")
    if CONTROL in query and source.rule == common.RATIO:
        raise RolloutError(
            f"{what}: query names {PATCHED} and {CONTROL}, so it compares them itself: expected max or min in rule, "
            f"or only {PATCHED} in query, which is then asked for each arm."
        )
    way = "both" if CONTROL in query else "arms" if PATCHED in query else "label"
    asked = spec.get("time_query")
    if way == "label" and isinstance(asked, str) and (PATCHED in asked or CONTROL in asked):
        raise RolloutError(f"{what}: time_query names arms and query does not: expected both to be divided alike.")
    return way


def _range(spec, what):
    """Return (range, step) in seconds; (0, 0) for an instant query."""
    if spec.get("range") is None:
        if spec.get("step") is not None:
            raise RolloutError(f"{what} gives step without range: expected both, or neither for an instant query.")
        return 0, 0
    span = values.duration(spec["range"], f"{what}: range")
    step = values.duration(spec.get("step", max(1, span // 60)), f"{what}: step")
    if not 1 <= step <= span or span // step > MAX_POINTS:
        raise RolloutError(
            f"{what}: range is {span} s and step {step} s: expected a step from 1 s up to the range, "
            f"and at most {MAX_POINTS} steps."
        )
    return span, step


def _min_series(spec, way, what):
    if spec.get("min_series") is None:
        return Fraction(1) if way == "label" else 1
    number = values.count_or_share(spec["min_series"], f"{what}: min_series")
    if number < 1 and not (isinstance(number, Fraction) and number > 0):
        raise RolloutError(f"{what}: min_series is {spec['min_series']!r}: expected at least 1, or a share above 0%.")
    return number


def read(source, sides, since, now, fetch):
    """Return what Prometheus says of the arms (common.Found), or raise Missing."""
    if not sides.patched:
        raise Missing("no host is patched yet, so there is none to ask for")
    arms = _by_label if source.options["way"] == "label" else _by_arm
    patched, control, notes = arms(_Server(source, since, now, fetch), sides)
    unit, aggregate = common.unit_of(source), source.options["aggregate"]
    said = f"{aggregate} {_shown(patched.value)}{unit} over {patched.said}"
    if control.said:
        said += f", {_shown(control.value)}{unit} over {control.said}"
    if source.options["range"]:
        said += f", over the last {min(source.options['range'], max(0, int(now - since)))} s"
    return common.Found(patched=patched.value, control=control.value, said=said, notes=tuple(notes))


def _shown(value):
    return "no value" if value is None else common.shown(value)


class _Arm:
    """The number of one arm, None if there is none, and what it was made of, for people ("": was not asked for)."""

    def __init__(self, value=None, said=""):
        self.value, self.said = value, said


def _by_label(server, sides):
    """Divide the series of one answer by the host that a label names."""
    options = server.source.options
    found, strangers = {}, 0
    fresh = server.fresh_hosts(sides)
    stale = set()
    for series in server.series(options["query"]):
        host = sides.host(series.labels.get(options["label"], ""))
        if host is None:
            strangers += 1
        elif series.age > server.source.stale_after or (fresh is not None and host not in fresh):
            stale.add(host)
        else:
            found.setdefault(host, []).append(series)
    have = [host for host in sides.patched if host in found]
    wanted = _wanted(options["min_series"], len(sides.patched))
    if len(have) < wanted:
        raise Missing(_too_few(server, sides, found, stale, wanted, strangers))
    arms = []
    for arm, hosts in (("patched", sides.patched), ("control", sides.control)):
        some = [series for host in hosts for series in found.get(host, ())]
        count = sum(host in found for host in hosts)
        said = f"{count} of {common.hosts_text(len(hosts), arm)}"
        arms.append(_Arm(server.aggregated(some) if some else None, said if hosts else ""))
    notes = [f"{strangers} series of other hosts left out"] if strangers else []
    notes += [f"{len(stale)} hosts with stale series left out"] if stale else []
    return (*arms, notes)


def _too_few(server, sides, found, stale, wanted, strangers):
    absent = [host for host in sides.patched if host not in found]
    have = len(sides.patched) - len(absent)
    text = f"{have} of {common.hosts_text(len(sides.patched), 'patched')} gave a series, {wanted} expected: "
    text += f"none of {common.some(absent, NAMED)}"
    old = sum(host in stale for host in absent)
    if old:
        text += f" ({old} of them stale for more than {server.source.stale_after} s)"
    if strangers and not found and not stale:
        text += (
            f"; the label {server.source.options['label']} of {strangers} series names no host by its "
            "inventory name or address"
        )
    return text


def _by_arm(server, sides):
    """Ask once for each arm (or once at all, where the query compares the arms itself)."""
    source = server.source
    least = _wanted(source.options["min_series"], len(sides.patched))
    patched = _names(sides.patched, sides.addresses)
    control = _names(sides.control, sides.addresses) if sides.control else None
    if source.options["way"] == "both":
        if control is None:
            raise NoControl("no control host is left, and the query compares with them")
        return server.arm((patched, control), least, "both arms"), _Arm(), []
    first = server.arm((patched, ""), least, common.hosts_text(len(sides.patched), "patched"))
    if control is None:
        return first, _Arm(), []
    try:
        return first, server.arm((control, ""), 1, common.hosts_text(len(sides.control), "control")), []
    except Missing:
        if source.rule == common.RATIO:
            raise
        return first, _Arm(), []  # It would only be told to people: the rule can be judged all the same.


def _names(hosts, addresses):
    """Return a regular expression (RE2) that matches these hosts' names and addresses, with or without a port.

    It has no backslash and no quote, so it means the same in every kind of PromQL string.
    """
    words = dict.fromkeys(word for host in hosts for word in (host, addresses.get(host)) if word)
    return f"({'|'.join(_literal(word) for word in words)})(:[0-9]+)?"


def _literal(word):
    text = "".join(one if PLAIN.fullmatch(one) else f"[{one}]" if QUOTABLE.fullmatch(one) else "." for one in word)
    return f"[^0-9a-zA-Z:]?{text}[^0-9a-zA-Z:]?" if ":" in word else text


def _filled(query, patched, control=""):
    return query.replace(PATCHED, patched).replace(CONTROL, control)


def _wanted(number, total):
    return number if isinstance(number, int) else max(1, math.ceil(number * total))


class _Series:
    """labels, values (as they came, oldest first), age of the newest one (seconds), name for people."""

    def __init__(self, labels, values, age, name):
        self.labels, self.values, self.age, self.name = labels, values, age, name

    def numbers(self):
        """Return the values (list of float), or raise Missing: a series that counts has to have proper ones."""
        return [common.finite(value, f"the value of {self.name}") for value in self.values]


class _Server:
    """Prometheus, asked for one source at one time."""

    def __init__(self, source, since, now, fetch):
        self.source, self.since, self.now, self.fetch = source, since, now, fetch

    def arm(self, names, least, what):
        """Return the _Arm of one query, or raise Missing; names: of its hosts, for {patched} and {control}."""
        query = _filled(self.source.options["query"], *names)
        series = [one for one in self.series(query) if one.age <= self.source.stale_after]
        if len(series) < least:
            raise Missing(f"the query gave {len(series)} fresh series for {what}, {least} expected")
        asked = self._time_query(query, names)
        if asked is not None:
            times = [one.numbers()[-1] for one in self.series(asked, instant=True)]
            self._check_ahead(max(times))
            age = self.now - min(times)
            if age > self.source.stale_after:
                raise Missing(
                    f"the oldest sample of {what} is {age:.0f} s old, at most {self.source.stale_after} s expected"
                )
        return _Arm(self.aggregated(series), f"{len(series)} series of {what}")

    def fresh_hosts(self, sides):
        """Return the hosts (set) whose newest sample is no older than stale_after; None where that cannot be asked."""
        asked = self._time_query(self.source.options["query"], ("", ""))
        if asked is None:
            return None
        newest = {}
        for series in self.series(asked, instant=True):
            host = sides.host(series.labels.get(self.source.options["label"], ""))
            if host is not None:
                newest[host] = max(newest.get(host, -math.inf), series.numbers()[-1])
        for moment in newest.values():
            self._check_ahead(moment)
        return {host for host, moment in newest.items() if self.now - moment <= self.source.stale_after}

    def _check_ahead(self, moment):
        if moment > self.now + common.AHEAD:
            raise Missing(
                f"the time query gave {common.shown(moment - self.now)} s in the future: expected seconds since "
                "1970, by a clock like the controller's"
            )

    def _time_query(self, query, words):
        given = self.source.options["time_query"]
        if given:
            return _filled(given, *words)
        if self.source.options["range"] or not SELECTOR.fullmatch(query):
            return None
        return f"timestamp({query})"

    def series(self, query, instant=False):
        """Return the series (list of _Series) of a query's answer, or raise Missing."""
        if len(query) > MAX_QUERY_BYTES:
            raise Missing(
                f"the query with all names of the hosts is {len(query)} characters long: use label for a fleet of this size"
            )
        over = bool(self.source.options["range"]) and not instant
        path, kind = ("query_range", "matrix") if over else ("query", "vector")
        url = f"{self.source.url}/api/v1/{path}"
        answer = http.ask(self.source, self.fetch, url, {"query": query, **self._times(over)})
        return [self._one(entry, kind) for entry in _result(answer, kind, url)]

    def _times(self, over):
        timeout = {"timeout": f"{self.source.timeout}s"}
        if not over:
            return {"time": f"{self.now:.3f}", **timeout}
        # The last point is now; nothing from before the rollout counts.
        span, step = self.source.options["range"], self.source.options["step"]
        points = max(0, int(min(span, self.now - self.since) // step))
        return {"start": f"{self.now - points * step:.3f}", "end": f"{self.now:.3f}", "step": str(step), **timeout}

    def _one(self, entry, kind):
        try:
            labels = {str(key): str(value) for key, value in entry["metric"].items()}
            samples = entry["values"] if kind == "matrix" else [entry["value"]]
            points = [(float(moment), value) for moment, value in samples]
            age = self.now - float(points[-1][0])
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
            raise Missing(
                f"Prometheus gave a series that is no number over time: {values.words(repr(entry), 80)}"
            ) from None
        name = values.words(labels.get(self.source.options["label"]) or "a series", 60)
        return _Series(labels, [value for unused, value in points], age if math.isfinite(age) else math.inf, name)

    def aggregated(self, series):
        """Return the number (float) of several series: over time first, then over them."""
        function = AGGREGATES[self.source.options["aggregate"]]
        return common.finite(function([function(one.numbers()) for one in series]), "the aggregate of the series")


def _result(answer, kind, url):
    """Return the list of series in an answer of the HTTP API, or raise Missing."""
    status = answer.get("status") if isinstance(answer, dict) else None
    if status == "error":
        said = values.words(answer.get("error"), common.MAX_WORD)
        raise Missing(f"Prometheus says {answer.get('errorType')}: {said}")
    data = answer.get("data") if status == "success" else None
    if not isinstance(data, dict):
        raise Missing(f"{http.place(url)} answered JSON, but not as Prometheus does: check the url")
    if answer.get("warnings"):
        raise Missing(
            f"the answer may not be complete, Prometheus warns: {values.words(answer['warnings'], common.MAX_WORD)}"
        )
    if data.get("resultType") != kind:
        hint = ": take scalar() out of the query" if data.get("resultType") == "scalar" else ""
        raise Missing(f"the query gives a {values.words(data.get('resultType'), 40)}, expected a {kind}{hint}")
    result = data.get("result")
    if not isinstance(result, list):
        raise Missing(f"{http.place(url)} answered JSON, but not as Prometheus does: check the url")
    if not result:
        raise Missing("the query gave no series at all: is the metric's name right, and does anything report it?")
    return result
