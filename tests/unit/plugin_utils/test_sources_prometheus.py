# Tests of what is asked of Prometheus and made of its answers; the real server is asked in tests/rollout.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import re
import urllib.parse

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import prometheus, sources
from hypothesis import given, settings
from hypothesis import strategies as st

SETTINGS = settings(max_examples=150, deadline=None, database=None, derandomize=True)
NOW = 1_800_000_000
ARMS = {
    "patched": ["web1", "web2"],
    "control": ["web3", "web4"],
    "addresses": {"web1": "10.0.0.1", "web2": "10.0.0.2", "web3": "10.0.0.3", "web4": "10.0.0.4"},
}
SPEC = {"name": "p", "type": "prometheus", "url": "http://prom:9090/", "query": "sum by (instance) (x)", "rule": {"max": 5}}
PER_ARM = 'avg(x{instance=~"{patched}"})'


def vector(*samples, age=0, label="instance"):
    """An answer with a sample (host, value) each."""
    result = [{"metric": {label: host}, "value": [NOW - age, str(value)]} for host, value in samples]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def matrix(*series, step=60):
    """An answer with a series (host, values up to now, or (age, value) pairs) each."""
    result = []
    for host, values in series:
        pairs = [(step * (len(values) - 1 - place), value) for place, value in enumerate(values)]
        result.append({"metric": {"instance": host}, "values": [[NOW - age, str(value)] for age, value in pairs]})
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


class Server:
    """Answers each query by the first pattern that is found in it, and remembers what was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = answers, []

    def __call__(self, url, *, data, headers, timeout):
        form = dict(urllib.parse.parse_qsl(data.decode()))
        self.asked.append((url, form))
        for pattern, answer in self.answers:
            if re.search(pattern, form["query"]):
                return answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        raise AssertionError("nobody expected " + form["query"])

    @property
    def queries(self):
        return [form["query"] for unused, form in self.asked]


def read(server, arms=None, since=NOW - 3600, **changes):
    if not isinstance(server, Server):
        server = Server(("", server))
    return sources.read(sources.check([{**SPEC, **changes}])[0], arms or ARMS, since, NOW, server)


ALL = vector(("web1:9100", 2), ("10.0.0.2:9100", 4), ("web3:9100", 1), ("web4", 3), ("db:9100", 100))


@pytest.mark.parametrize("aggregate, patched, control", [("mean", 3, 2), ("sum", 6, 4), ("max", 4, 3), ("min", 2, 1)])
def test_series_are_divided_by_the_host_that_their_label_names(aggregate, patched, control):
    found = read(ALL, aggregate=aggregate, rule={"max": 6}, unit="ms")
    assert (found["patched"], found["control"]) == (patched, control)
    assert found["ratio"] == patched / control
    assert found["status"] == "ok" and found["verdict"] == "pass"
    assert found["reason"] == (
        f"p: {aggregate} {patched} ms over 2 of 2 patched hosts, {control} ms over 2 of 2 control hosts: "
        "at most 6 ms allowed; 1 series of other hosts left out"
    )


def test_several_series_of_one_host_all_count_for_its_arm_and_once_for_min_series():
    answer = vector(("web1", 1), ("web1", 1), ("web1", 1), ("web2", 5))
    assert read(answer)["patched"] == 2
    found = read(vector(("web1", 1), ("web1", 2)))
    assert "1 of 2 patched hosts gave a series, 2 expected: none of web2" in found["reason"]


def test_another_label_may_name_the_hosts():
    found = read(vector(("web1", 2), ("web2", 4), label="nodename"), label="nodename")
    assert found["patched"] == 3 and found["control"] is None
    assert "names no host" in read(ALL, label="nodename")["reason"]


def test_the_query_is_asked_once_at_the_controllers_time():
    server = Server(("", ALL))
    read(server, timeout="7s")
    assert server.asked == [
        ("http://prom:9090/api/v1/query", {"query": SPEC["query"], "time": f"{NOW}.000", "timeout": "7s"})
    ]


@pytest.mark.parametrize(
    "least, status", [(None, "missing"), (1, "ok"), ("50%", "ok"), ("51%", "missing"), (2, "missing"), ("1%", "ok")]
)
def test_fewer_patched_hosts_with_a_series_than_asked_for_are_missing(least, status):
    found = read(vector(("web1", 1), ("web3", 1)), **({"min_series": least} if least else {}))
    assert found["status"] == status
    assert ("none of web2" in found["reason"]) == (status == "missing")


def test_many_silent_hosts_are_counted_and_some_are_named():
    arms = {"patched": [f"h{number}" for number in range(9)], "control": []}
    reason = read(vector(("h0", 1)), arms)["reason"]
    assert "1 of 9 patched hosts gave a series, 9 expected: none of h1, h2, h3, h4, h5 and 3 more" in reason


def test_a_host_that_is_patched_is_no_control_whatever_the_lists_say():
    found = read(ALL, {"patched": ["web1"], "control": ["web1", "web3"]})
    assert (found["patched"], found["control"]) == (2, 1)


def test_without_a_control_series_a_comparison_holds():
    found = read(vector(("web1", 1), ("web2", 1)), rule={"max_ratio_to_control": 2})
    assert (found["status"], found["verdict"]) == ("missing", "hold")
    assert "no value over 0 of 2 control hosts; there is no control to compare with" in found["reason"]


def test_when_the_plan_leaves_no_control_a_comparison_only_reports():
    arms = {"patched": ["web1"], "control": [], "last_tier": True}
    for query, answer in ((SPEC["query"], vector(("web1", 1))), (PER_ARM, vector(("", 1)))):
        assert read(answer, arms, query=query, rule={"max_ratio_to_control": 2})["verdict"] == "report"
    both = PER_ARM + ' / avg(x{instance=~"{control}"})'
    assert read(ALL, arms, query=both)["verdict"] == "report"
    assert read(ALL, {"patched": ["web1"]}, query=both)["verdict"] == "hold"


def test_before_anybody_is_patched_there_is_nothing_to_ask():
    found = read(Server(), {"patched": [], "control": ["web3"]})
    assert found["verdict"] == "hold" and "no host is patched yet" in found["reason"]


# By the list of hosts


def test_a_query_that_names_the_arm_is_asked_once_for_each():
    server = Server((r"web1\|", vector(("", 4))), (r"web3\|", vector(("", 2))))
    found = read(server, query=PER_ARM, rule={"max_ratio_to_control": 1.5})
    assert (found["patched"], found["control"], found["ratio"], found["status"]) == (4, 2, 2, "violated")
    assert server.queries == [
        'avg(x{instance=~"(web1|10[.]0[.]0[.]1|web2|10[.]0[.]0[.]2)(:[0-9]+)?"})',
        'avg(x{instance=~"(web3|10[.]0[.]0[.]3|web4|10[.]0[.]0[.]4)(:[0-9]+)?"})',
    ]
    assert found["reason"].startswith("p: mean 4 over 1 series of 2 patched hosts, 2 over 1 series of 2 control hosts: 2 times")


def test_a_control_that_the_rule_does_not_need_may_be_missing():
    found = read(Server(("web1", vector(("", 4))), ("web3", b"")), query=PER_ARM)
    assert (found["patched"], found["control"], found["status"]) == (4, None, "ok")
    found = read(Server(("web1", vector(("", 4))), ("web3", b"")), query=PER_ARM, rule={"max_ratio_to_control": 9})
    assert (found["status"], found["verdict"]) == ("missing", "hold")


def test_a_vector_for_an_arm_is_aggregated_and_its_series_are_counted():
    answer = vector(("a", 1), ("b", 3))
    assert read(answer, query=PER_ARM)["patched"] == 2
    found = read(answer, query=PER_ARM, min_series=3)
    assert "the query gave 2 fresh series for 2 patched hosts, 3 expected" in found["reason"]


def test_a_query_that_names_both_arms_is_asked_once():
    server = Server(("", vector(("", 1.5))))
    found = read(server, query='avg(x{a=~"{patched}"}) / avg(x{a=~"{control}"})')
    assert found["patched"] == 1.5 and len(server.asked) == 1
    assert "web1" in server.queries[0] and "web3" in server.queries[0] and "{" not in re.sub(r"x{", "", server.queries[0])


def test_a_fleet_too_large_for_a_query_is_told_to_use_a_label(monkeypatch):
    monkeypatch.setattr(prometheus, "MAX_QUERY_BYTES", 50)
    assert "use label for a fleet of this size" in read(Server(), query=PER_ARM)["reason"]


# Ranges


def test_a_range_ends_now_and_does_not_begin_before_the_rollout():
    server = Server(("", matrix(("web1", [1, 2, 6]), ("web2", [3, 3, 3]))))
    found = read(server, range="15m", step="1m", since=NOW - 200)
    (url, form), = server.asked
    assert url.endswith("/api/v1/query_range")
    assert (form["start"], form["end"], form["step"]) == (f"{NOW - 180}.000", f"{NOW}.000", "60")
    assert found["patched"] == 3
    assert "over the last 200 s" in found["reason"]
    server.asked.clear()
    read(server, range="15m", step="1m", since=NOW - 86400)
    assert server.asked[0][1]["start"] == f"{NOW - 900}.000"
    server.asked.clear()
    read(server, range="15m", since=NOW + 10)
    assert server.asked[0][1]["start"] == server.asked[0][1]["end"] and server.asked[0][1]["step"] == "15"


@pytest.mark.parametrize("aggregate, patched", [("mean", 3), ("max", 6), ("min", 1)])
def test_a_range_is_aggregated_over_time_and_then_over_hosts(aggregate, patched):
    assert read(matrix(("web1", [1, 2, 6]), ("web2", [3, 3, 3])), range="2m", aggregate=aggregate, rule={"max": 9})["patched"] == patched


def test_a_series_of_a_range_that_has_ended_is_stale():
    answer = matrix(("web1", [1, 2]), ("web2", [3, 3]))
    answer["data"]["result"][1]["values"] = [[NOW - 400, "3"], [NOW - 301, "3"]]
    found = read(answer, range="15m", stale_after="5m")
    assert found["status"] == "missing"
    assert "none of web2 (1 of them stale for more than 300 s)" in found["reason"]
    found = read(answer, range="15m", stale_after="5m", min_series=1)
    assert found["patched"] == 1.5 and "1 hosts with stale series left out" in found["reason"]


# Age


def test_of_a_plain_metric_the_age_is_asked_without_being_told():
    for query in ("x", 'x{a="}",b=~\'{\'}', "x { job = `a\"b` }"):
        server = Server((r"^timestamp\(", vector(("web1", NOW - 10), ("web2", NOW - 3600))), ("", ALL))
        found = read(server, query=query)
        assert server.queries[0] == f"timestamp({query})"
        assert found["status"] == "missing" and "none of web2 (1 of them stale for more than 900 s)" in found["reason"]
    server = Server(("", ALL))
    read(server, query="x + y")
    assert server.queries == ["x + y"]


def test_the_newest_sample_of_a_host_counts():
    server = Server(("^t", vector(("web1", NOW), ("web1", 0), ("web2", NOW - 900))), ("", ALL))
    assert read(server, query="x")["status"] == "ok"


def test_a_time_query_tells_the_age_of_any_query():
    server = Server(("^mtime", vector(("web1", NOW - 60), ("web2", NOW - 61), ("db", 0))), ("", ALL))
    found = read(server, query="rate(x[5m])", time_query="mtime", stale_after="1m")
    assert server.queries == ["mtime", "rate(x[5m])"]
    assert "none of web2 (1 of them stale for more than 60 s)" in found["reason"]


def test_for_an_arm_the_oldest_sample_counts():
    times = vector(("a", NOW - 10), ("b", NOW - 301))
    server = Server(("^timestamp.*web1", times), ("web1|web3", vector(("", 1))))
    found = read(server, query='x{i=~"{patched}"}', stale_after="5m")
    assert found["reason"] == "p: the oldest sample of 2 patched hosts is 301 s old, at most 300 s expected"
    server = Server(("^mtime.*web1", times), ("^avg.*web1", vector(("", 1))))
    assert read(server, query=PER_ARM, time_query='mtime{i=~"{patched}"}', stale_after="5m")["status"] == "missing"


def test_a_time_query_that_gives_no_times_is_missing():
    answers = [
        (vector(), "gave no series at all"),
        (vector(("web1", NOW + 61)), "61 s in the future: expected seconds since 1970"),
        (vector(("web1", NOW * 1000)), "in the future"),
        (vector(("web1", "NaN")), "the value of web1 is 'NaN'"),
        (vector(("web1", 3)), "stale for more than 900 s"),
    ]
    for answer, reason in answers:
        found = read(Server(("^mtime", answer), ("", ALL)), time_query="mtime")
        assert found["status"] == "missing" and reason in found["reason"], found["reason"]


def test_an_answer_out_of_an_old_cache_is_stale():
    old = vector(("web1", 1), ("web2", 1), age=901)
    assert "0 of 2 patched hosts gave a series" in read(old)["reason"]
    assert "the query gave 0 fresh series" in read(old, query=PER_ARM)["reason"]


# Bad answers


def altered(**changes):
    return {**ALL, **changes}


@pytest.mark.parametrize(
    "answer, reason",
    [
        (b"", "http://prom:9090/api/v1/query gave an empty answer"),
        (b"<!DOCTYPE html>", "answered HTML"),
        (json.dumps(ALL).encode()[:-9], "answered no JSON, or not all of it"),
        ([], "answered JSON, but not as Prometheus does: check the url"),
        ({}, "answered JSON, but not as Prometheus does: check the url"),
        ({"status": "success", "data": {"resultType": "vector"}}, "not as Prometheus does"),
        ({"status": "error", "errorType": "timeout", "error": "query timed out"}, "Prometheus says timeout: query timed out"),
        (altered(warnings=["remote read failed"]), "may not be complete, Prometheus warns: ['remote read failed']"),
        ({"status": "success", "data": {"resultType": "scalar", "result": [NOW, "1"]}}, "gives a scalar, expected a vector: take scalar() out"),
        ({"status": "success", "data": {"resultType": "string", "result": [NOW, "x"]}}, "gives a string, expected a vector"),
        (matrix(("web1", [1])), "gives a matrix, expected a vector"),
        (vector(), "the query gave no series at all"),
        (vector(("web1", "NaN"), ("web2", 1)), "the value of web1 is 'NaN': expected a finite number"),
        (vector(("web1", "+Inf"), ("web2", 1)), "the value of web1 is '+Inf'"),
        (vector(("web1", 1), ("web2", 1), ("web3", "-Inf")), "the value of web3 is '-Inf'"),
        (vector(("web1", "1e308"), ("web2", "1e308")), "the aggregate of the series is inf"),
        ({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "histogram": [NOW, {}]}]}}, "gave a series that is no number"),
        ({"status": "success", "data": {"resultType": "vector", "result": [3]}}, "gave a series that is no number"),
        ({"status": "success", "data": {"resultType": "vector", "result": [{"metric": [], "value": [1, "2"]}]}}, "no number over time"),
    ],
)  # fmt: skip
def test_an_answer_that_gives_no_number_is_missing_and_says_why(answer, reason):
    found = read(answer, aggregate="sum")
    assert (found["status"], found["verdict"]) == ("missing", "hold")
    assert reason in found["reason"], found["reason"]
    assert read(answer, aggregate="sum", report_only=True)["verdict"] == "report"


def test_a_broken_number_of_a_host_of_somebody_else_harms_nobody():
    assert read(vector(("web1", 1), ("web2", 1), ("db", "NaN")))["status"] == "ok"


def test_notes_of_prometheus_that_are_no_warnings_are_passed_over():
    assert read(altered(infos=["metric might not be a counter"]))["status"] == "ok"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PAIRS = st.lists(st.tuples(st.floats() | JSON, st.text(max_size=5) | st.floats() | JSON), max_size=3)
SERIES = st.fixed_dictionaries({"metric": st.fixed_dictionaries({"instance": st.sampled_from(["web1", "web2:1", "web3"]) | JSON}) | JSON},
                               optional={"value": PAIRS.map(lambda pairs: list(pairs[0]) if pairs else []) | JSON, "values": PAIRS | JSON})
ANSWERS = st.fixed_dictionaries({
    "status": st.sampled_from(["success", "success", "success", "error"]) | JSON,
    "data": st.fixed_dictionaries({"resultType": st.sampled_from(["vector", "matrix", "scalar"]), "result": st.lists(SERIES | JSON, max_size=4)}) | JSON,
}, optional={"warnings": JSON, "error": JSON})


@given(st.binary() | ANSWERS.map(lambda value: json.dumps(value).encode()), st.sampled_from([{}, {"query": PER_ARM}, {"range": "1m"}, {"query": "x"}]))
@SETTINGS
def test_no_answer_raises(answer, changes):
    found = read(answer, rule={"max_ratio_to_control": 2}, min_series=1, **changes)
    assert found["status"] in ("ok", "violated", "missing")
    assert found["reason"].isprintable()
    json.dumps(found, allow_nan=False)
