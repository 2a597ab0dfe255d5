# Tests of the list of sources: what is accepted, what is refused, and how a number becomes a verdict.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import pathlib
import re
import socket
import threading
import time

import pytest
import yaml
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import common, http, log, prometheus, sources
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.plugin_utils import sources_web

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "evidence.md"
SETTINGS = settings(max_examples=100, deadline=None, database=None, derandomize=True)
NOW = 1_800_000_000
ARMS = {"patched": ["web1", "web2"], "control": ["web3"], "addresses": {"web1": "10.0.0.1", "web2": "10.0.0.2"}}
FIELDS = "name type status verdict patched control ratio rule limit reason events lost".split()

PROMETHEUS = {"name": "p", "type": "prometheus", "url": "http://prom:9090", "query": "up", "rule": {"max": 1}}
HTTP = {"name": "h", "type": "http", "url": "http://app/x?y=1", "expression": "a", "rule": {"max": 1}}
LOG = {"name": "l", "type": "log", "directory": "/var/log/remote"}
EVENTS = {"name": "e", "type": "events", "path": "/var/lib/events.jsonl"}


def judge(patched, control=None, arms=None, **changes):
    """Return the reading of an address that answers these two numbers."""
    spec = {**HTTP, "control_expression": "b", **changes}
    if control is None:
        del spec["control_expression"]
    answer = json.dumps({"a": patched, "b": control}).encode()
    return sources.read(sources.check([spec])[0], arms or ARMS, NOW - 60, NOW, lambda url, **options: answer)


# What a person writes


def test_no_sources_are_a_list_without_any():
    assert sources.check([]) == []


def test_a_source_of_each_type_is_accepted_with_its_defaults():
    found = sources.check([PROMETHEUS, HTTP, LOG, EVENTS])
    assert [source.type for source in found] == ["prometheus", "http", "log", "events"]
    assert {(source.timeout, source.stale_after, source.report_only, source.on_violation) for source in found} == {
        (30, 900, False, "hold")
    }
    assert found[0].options["label"] == "instance" and found[0].options["aggregate"] == "mean"


def test_every_example_of_the_page_is_accepted():
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found = [source for block in blocks for source in sources.check(yaml.safe_load(block)["livepatch_sources"])]
    assert {source.type for source in found} == set(sources.TYPES)


def test_every_key_of_every_type_is_on_the_page():
    for reader in sources.TYPES.values():
        for key in (*reader.REQUIRED, *reader.OPTIONAL):
            assert f"`{key}`" in PAGE.read_text() or f"{key}: " in PAGE.read_text(), key


@pytest.mark.parametrize(
    "specs, text",
    [
        (None, "livepatch_sources is not given: expected a list"),
        ({"name": "p"}, "livepatch_sources is a dictionary: expected a list"),
        ("x", "livepatch_sources is text of 1 characters: expected a list"),
        ([3], "Source 1 of livepatch_sources is a number: expected a dictionary"),
        ([{}], "The name of source 1 .* is not a name"),
        ([{"name": "a b", "type": "log"}], "is not a name"),
        ([{"name": "p"}], "Source 'p': type is None: expected one of prometheus, http, log, events"),
        ([{"name": "p", "type": "snmp"}], "type is 'snmp': expected one of"),
        ([{"name": "p", "type": ["log"]}], "type is .*: expected one of"),
        ([LOG, {**EVENTS, "name": "l"}], "Two of livepatch_sources are called 'l': expected each name once"),
        ([{**LOG, "name": f"l{number}"} for number in range(51)], "has 51 sources: expected at most 50"),
        ([{**LOG, "path": "/x"}], "Source 'l' has the unknown key 'path': type log takes directory, name"),
        ([{**LOG, 3: 4}], "unknown key '3'"),
        ([{"name": "l", "type": "log"}], "Source 'l' has no directory: type log needs directory"),
        ([{"name": "p", "type": "prometheus"}], "has no url and no query: type prometheus needs url, query"),
        ([{**LOG, "report_only": "yes"}], "report_only is 'yes': expected true or false"),
        ([{**LOG, "on_violation": "fail"}], "on_violation is 'fail': expected one of hold, stop"),
        ([{**LOG, "timeout": 0}], "timeout is 0 s: expected 1 to 300 s"),
        ([{**LOG, "timeout": "1h"}], "timeout is 3600 s: expected 1 to 300 s"),
        ([{**LOG, "timeout": "soon"}], "timeout is 'soon': expected seconds"),
        ([{**LOG, "stale_after": 0}], "stale_after is 0 s: expected at least 1 s"),
        ([{**LOG, "stale_after": "ever"}], "stale_after is 'ever': expected seconds"),
        ([{**HTTP, "rule": None}], "rule is not given with no limit: expected exactly one of max, min"),
        ([{**HTTP, "rule": {}}], "rule is a dictionary with no limit: expected exactly one of"),
        ([{**HTTP, "rule": "max"}], "rule is text of 3 characters with no limit: expected exactly one of"),
        ([{**HTTP, "rule": {"max": 1, "min": 0}}], "with max and min: expected exactly one of"),
        ([{**HTTP, "rule": {"max": 1, "maximum": 0}}], "rule has the unknown key 'maximum': expected max alone"),
        ([{**HTTP, "rule": {"max": 1, "at_least": 0}}], "rule has the unknown key 'at_least'"),
        ([{**HTTP, "rule": {"max": "many"}}], "max is 'many': expected a number"),
        ([{**HTTP, "rule": {"max": True}}], "max is True: expected a number"),
        ([{**HTTP, "rule": {"max": ".nan"}}], "max is '.nan': expected a number"),
        ([{**HTTP, "rule": {"max": float("inf")}}], "max is inf: expected a number"),
        ([{**HTTP, "rule": {"max": 10**400}}], "max is 1000.*: expected a number"),
        ([{**HTTP, "rule": {"max_ratio_to_control": 0}}], "max_ratio_to_control is 0, .* expected a ratio above 0"),
        ([{**HTTP, "rule": {"max_ratio_to_control": 2, "at_least": -1}}], "at_least -1: expected"),
        ([{**LOG, "rule": {"min": 1}}], "with no limit: expected exactly one of max, max_ratio_to_control"),
        ([{**LOG, "directory": "logs"}], "directory is 'logs': expected an absolute path"),
        ([{**LOG, "directory": 3}], "directory is a number: expected text"),
        ([{**EVENTS, "path": "/a\0b"}], "path is '/a.*: expected an absolute path"),
        ([{**LOG, "pattern": "("}], r"pattern is '\(': expected a regular expression"),
        ([{**LOG, "pattern": "(.*)"}], r"pattern is .*: expected a group that names the host"),
        ([{**HTTP, "url": ""}], "url is text of 0 characters: expected text"),
        ([{**HTTP, "url": "ftp://x/"}], "url is not a proper address"),
        ([{**HTTP, "url": "x:80"}], "url is not a proper address"),
        ([{**HTTP, "url": "http://x:port/"}], "url is not a proper address"),
        ([{**HTTP, "url": "http://[::1/"}], "url is not a proper address"),
        ([{**HTTP, "url": "http://x/a b"}], "url is not a proper address"),
        ([{**HTTP, "url": "http://x/\r\nHost: y"}], "url is not a proper address"),
        ([{**HTTP, "url": "http://x/#top"}], "url has a '#'"),
        ([{**PROMETHEUS, "url": "http://x/?a=b"}], r"url has a '\?'"),
        ([{**HTTP, "headers": ["a"]}], "headers is a list: expected a dictionary"),
        ([{**HTTP, "headers": {"a b": "c"}}], "headers is a dictionary: expected a dictionary of names and values"),
        ([{**HTTP, "headers": {"a": "b\r\nc: d"}}], "header a is text of 7 characters: expected one line"),
        ([{**HTTP, "bearer_token": 12}], "bearer_token is a number: expected one line"),
        ([{**HTTP, "bearer_token": ""}], "bearer_token is text of 0 characters"),
        ([{**HTTP, "unit": 3}], "unit is a number: expected text"),
        ([{**HTTP, "expression": "a["}], "expression is 'a.': expected a JMESPath expression"),
        ([{**HTTP, "rule": {"max_ratio_to_control": 2}}], "max_ratio_to_control without control_expression"),
        ([{**HTTP, "stale_after": "5m"}], "stale_after without time_expression"),
        ([{**PROMETHEUS, "label": "a-b"}], "label is 'a-b': expected the name of a label"),
        ([{**PROMETHEUS, "label": "a", "query": 'x{i=~"{patched}"}'}], "gives label and a query with {patched}"),
        ([{**PROMETHEUS, "query": 'x{i=~"{control}"}'}], "query names {control} and not {patched}"),
        ([{**PROMETHEUS, "time_query": 'x{i=~"{patched}"}'}], "time_query names arms and query does not"),
        ([{**PROMETHEUS, "aggregate": "median"}], "aggregate is 'median': expected one of mean, sum, max, min"),
        ([{**PROMETHEUS, "step": "1m"}], "gives step without range"),
        ([{**PROMETHEUS, "range": "1m", "step": "2m"}], "range is 60 s and step 120 s: expected a step"),
        ([{**PROMETHEUS, "range": "1d", "step": "1s"}], "at most 1000 steps"),
        ([{**PROMETHEUS, "range": 0}], "range is 0 s and step 1 s"),
        ([{**PROMETHEUS, "min_series": 0}], "min_series is 0: expected at least 1"),
        ([{**PROMETHEUS, "min_series": "0%"}], "min_series is '0%': expected at least 1"),
        ([{**PROMETHEUS, "min_series": "all"}], "min_series is 'all': expected a count"),
        ([{**PROMETHEUS, "query": "rate(x[1m])", "stale_after": "1m"}], "stale_after cannot be judged from this query"),
    ],
)
def test_what_is_not_a_list_of_proper_sources_is_refused(specs, text):
    with pytest.raises(RolloutError, match=text):
        sources.check(specs)


@pytest.mark.parametrize(
    "change, text",
    [
        ({"query": 'a{i=~"{patched}"}/a{i=~"{control}"}'}, "compares them itself: expected max or min"),
        ({"aggregate": "sum"}, "compares arms of different size"),
    ],
)
def test_a_comparison_that_would_mislead_is_refused(change, text):
    with pytest.raises(RolloutError, match=text):
        sources.check([{**PROMETHEUS, "rule": {"max_ratio_to_control": 2}, **change}])


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["name", "type", "url", "query", "rule", "max", "path", "directory", "pattern", "expression", "range"]) | st.text(), inner)))
@SETTINGS
def test_whatever_a_person_writes_is_accepted_or_refused_in_words(specs):
    try:
        sources.check([dict({"name": "a", "type": "http"}, **specs)] if isinstance(specs, dict) else specs)
    except RolloutError as error:
        assert "expected" in str(error) or "needs" in str(error) or "takes" in str(error)


def test_without_its_library_an_http_source_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jmespath", None)
    with pytest.raises(RolloutError, match="need the Python library jmespath .* python3 -m pip install jmespath"):
        sources.check([HTTP])
    assert sources.check([PROMETHEUS, LOG, EVENTS])
    monkeypatch.undo()
    source = sources.check([HTTP])[0]
    monkeypatch.setitem(__import__("sys").modules, "jmespath", None)
    found = sources.read(source, ARMS, 0, NOW, lambda url, **options: b"{}")
    assert found["status"] == "missing" and "pip install jmespath" in found["reason"]


# Secrets


@pytest.mark.parametrize(
    "secret",
    [
        {"bearer_token": "hunter2-token"},
        {"headers": {"X-Key": "hunter2-token"}},
        {"url": "http://admin:hunter2-token@prom:9090"},
        {"url": "http://admin:hunter2%2Dtoken@prom:9090"},
        {**HTTP, "url": "http://app/x?key=hunter2-token"},
    ],
)
def test_a_secret_reaches_the_server_and_nobody_else(secret):
    seen = {}

    def fetch(url, **options):
        seen.update(options, url=url)
        raise OSError(f"cannot talk to {url} with {options['headers']}" + " hunter2-token" * 9)

    source = sources.check([secret if "type" in secret else {**PROMETHEUS, **secret}])[0]
    found = sources.read(source, ARMS, NOW - 60, NOW, fetch)
    sent = seen["headers"].get("Authorization") or seen["headers"].get("X-Key") or seen["url"].partition("=")[2]
    assert sent in ("Bearer hunter2-token", "hunter2-token", "Basic YWRtaW46aHVudGVyMi10b2tlbg==")
    assert "@" not in seen["url"]
    everywhere = repr(source) + json.dumps(found) + str(source)
    assert "hunter2" not in everywhere and "YWRtaW4" not in everywhere
    assert "***" in found["reason"]


def test_a_server_that_repeats_a_secret_does_not_bring_it_into_the_journal():
    source = sources.check([{**PROMETHEUS, "bearer_token": "hunter2-token"}])[0]
    echoes = [
        json.dumps({"status": "error", "errorType": "x", "error": "y" * 190 + "hunter2-token"}).encode(),
        b"you sent " + b"z" * 45 + b"hunter2-token",
        json.dumps({"status": "success", "data": {"resultType": "hunter2-token", "result": []}}).encode(),
    ]
    for echo in echoes:
        found = sources.read(source, ARMS, NOW - 60, NOW, lambda url, **options: echo)
        assert found["status"] == "missing" and "hunt" not in found["reason"]


def test_a_refused_source_does_not_show_its_secrets():
    for spec in (
        {**PROMETHEUS, "bearer_token": "hunter2\n"},
        {**PROMETHEUS, "headers": {"X-Key": "hunter2\n"}},
        {**PROMETHEUS, "headers": "hunter2"},
        {**PROMETHEUS, "url": "http://a:hunter2@x:port"},
        {**PROMETHEUS, "url": "http://a:hunter2@x", "bearer_token": "hunter2"},
        {**PROMETHEUS, "headers": {"authorization": "hunter2"}, "bearer_token": "hunter2"},
    ):
        with pytest.raises(RolloutError) as error:
            sources.check([spec])
        assert "hunter2" not in str(error.value)


# From a number to a verdict


@pytest.mark.parametrize(
    "rule, patched, control, status",
    [
        ({"max": 5}, 5, None, "ok"),
        ({"max": 5}, 5.01, None, "violated"),
        ({"max": "0.5"}, 0.5, None, "ok"),
        ({"min": 5}, 5, None, "ok"),
        ({"min": 5}, 4, None, "violated"),
        ({"min": -5}, -4, None, "ok"),
        ({"max_ratio_to_control": 2}, 4, 2, "ok"),
        ({"max_ratio_to_control": 2}, 4.1, 2, "violated"),
        ({"max_ratio_to_control": 2}, 0, 0, "ok"),
        ({"max_ratio_to_control": 2}, 1, 0, "violated"),
        ({"max_ratio_to_control": 2, "at_least": 5}, 4.9, 0, "ok"),
        ({"max_ratio_to_control": 2, "at_least": 5}, 5, 0, "violated"),
        ({"max_ratio_to_control": 2, "at_least": 5}, 4.9, 1, "ok"),
        ({"max_ratio_to_control": 2}, -1, 1, "missing"),
        ({"max_ratio_to_control": 2}, 1, -1, "missing"),
        ({"max_ratio_to_control": 1e-300}, 1e308, 5e-324, "violated"),
    ],
)
def test_a_rule_is_judged_and_a_value_at_its_limit_is_allowed(rule, patched, control, status):
    found = judge(patched, control, rule=rule)
    assert found["status"] == status
    assert found["verdict"] == {"ok": "pass"}.get(status, "hold")
    json.dumps(found, allow_nan=False)


def test_a_reading_has_all_fields_and_says_numbers_and_units():
    found = judge(12.5, 10, rule={"max_ratio_to_control": 1.2, "at_least": 3}, unit="ms", on_violation="stop")
    assert list(found) == FIELDS
    assert found["verdict"] == "stop" and found["ratio"] == 1.25 and found["limit"] == 1.2
    assert found["rule"] == "max_ratio_to_control" and found["events"] == [] and found["lost"] == 0
    assert found["reason"] == (
        "h: 12.5 ms, control 10 ms: 1.25 times the control, at most 1.2 times the control allowed from 3 ms on"
    )
    assert judge(7, rule={"max": 5})["reason"] == "h: 7: at most 5 allowed"
    assert judge(7, rule={"min": 8}, unit="req/s")["reason"] == "h: 7 req/s: at least 8 req/s expected"
    assert "no ratio, as the control is 0" in judge(7, 0, rule={"max_ratio_to_control": 2})["reason"]
    assert "a ratio needs numbers from 0 on" in judge(-7, 1, rule={"max_ratio_to_control": 2})["reason"]


def test_a_source_that_only_reports_never_decides():
    for patched, rule in ((1, {"max": 5}), (9, {"max": 5}), ("x", {"max": 5})):
        assert judge(patched, rule=rule, report_only=True, on_violation="stop")["verdict"] == "report"


def test_a_missing_value_holds_even_where_a_violation_stops():
    found = judge("x", on_violation="stop")
    assert (found["status"], found["verdict"], found["patched"]) == ("missing", "hold", None)


def test_without_a_control_a_comparison_holds_until_the_plan_leaves_none():
    spec = {**EVENTS, "path": "/dev/null/x", "rule": {"max_ratio_to_control": 2}}
    assert sources.read(sources.check([spec])[0], ARMS, 0, NOW, None)["verdict"] == "hold"
    alone = {"patched": ["web1"], "control": []}
    ratio = {"max_ratio_to_control": 2}
    answer = {"a": 1, "b": None}
    source = sources.check([{**HTTP, "control_expression": "b", "rule": ratio}])[0]

    def read(arms):
        return sources.read(source, arms, 0, NOW, lambda url, **options: json.dumps(answer).encode())

    assert read(alone)["verdict"] == "hold"
    assert "control_expression 'b' finds nothing" in read(alone)["reason"]
    found = read({**alone, "last_tier": True})
    assert (found["status"], found["verdict"]) == ("missing", "report")
    assert "there is no control to compare with" in found["reason"]


# Times, hosts


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("1970-01-01T00:00:10Z", 10),
        ("1970-01-01 00:00:10Z", 10),
        ("1970-01-01T01:00:10.250+01:00", 10.25),
        ("1969-12-31T19:00:10,5-0500", 10.5),
        ("1970-01-01T01:00+01", 0),
        (12.5, 12.5),
        (0, 0),
        ("12", None),
        ("1970-13-01T00:00:00Z", None),
        ("0001-01-01T00:00:00", None),
        ("9999-12-31T24:00:00Z", None),
        ("1970-01-01T00:00:10+99:00", None),
        ("soon", None),
        (None, None),
        (True, None),
        (float("nan"), None),
        (10**400, None),
    ],
)
def test_a_time_is_seconds_or_iso_8601(text, seconds):
    assert common.epoch(text) == seconds


@given(st.text() | st.from_regex(common.ISO, fullmatch=True))
@SETTINGS
def test_no_text_is_a_time_that_raises(text):
    found = common.epoch(text)
    assert found is None or isinstance(found, float)


@given(st.from_regex(log.SYSLOG, fullmatch=True))
@SETTINGS
def test_no_syslog_time_raises_or_lies_far_in_the_future(text):
    found = log._of_syslog(log.SYSLOG.match(text), NOW)
    assert found is None or found <= NOW + 86401


@pytest.mark.parametrize(
    "text, host",
    [
        ("web1", "web1"),
        ("WEB1:9100", "web1"),
        ("10.0.0.1", "web1"),
        ("10.0.0.1:9100", "web1"),
        ("fe80::1", "six"),
        ("[fe80::1]:9100", "six"),
        ("[fe80::1]", "six"),
        ("web11", None),
        ("10.0.0.11:9100", None),
        ("10.0.0.9", None),
        ("", None),
        (":9100", None),
        ("db", None),
    ],
)
def test_a_host_is_known_by_its_name_or_its_own_address_with_or_without_a_port(text, host):
    arms = sources.Arms({
        "patched": ["web1", "two"], "control": ["six", "three"],
        "addresses": {"web1": "10.0.0.1", "six": "fe80::1", "two": "10.0.0.9", "three": "10.0.0.9", "db": "10.0.0.3"},
    })  # fmt: skip
    assert arms.host(text) == host


HOSTS = st.text("abz019.-_:[]()|*+?^$\\\"'` é", min_size=1, max_size=12)


@given(st.lists(HOSTS, min_size=1, max_size=5), HOSTS)
@SETTINGS
def test_the_expression_of_an_arm_matches_its_hosts_and_has_nothing_that_a_string_of_promql_would_change(hosts, other):
    text = prometheus._names(hosts, {})
    assert not set(text) & set("\\\"'`\n")
    for host in hosts:
        assert re.fullmatch(text, host) and re.fullmatch(text, host + ":9100")
    plain = [host for host in hosts if re.fullmatch(r"[a-z0-9.-]+", host)]
    if plain == hosts and re.fullmatch(r"[a-z0-9.-]+", other) and other not in hosts:
        assert not re.fullmatch(text, other)


# A real server on loopback


def ask(answer, **changes):
    with sources_web.server(answer) as (url, requests):
        source = sources.check([{**HTTP, "url": url + "/x?window=15m", "timeout": 1, **changes}])[0]
        begin = time.monotonic()
        found = sources.read(source, ARMS, NOW - 60, NOW, sources_web.fetch)
        return found, requests, time.monotonic() - begin


def test_a_server_that_answers_well_is_read():
    found, requests, unused = ask(lambda handler: sources_web.give(handler, b'{"a": 1}'), bearer_token="secret1")
    assert found["verdict"] == "pass" and found["patched"] == 1
    (path, headers, body), = requests
    assert path == "/x?window=15m" and headers["Authorization"] == "Bearer secret1" and body == b""


@pytest.mark.parametrize(
    "answer, reason",
    [
        (lambda handler: sources_web.give(handler, b"<html>Sign in</html>"), "answered HTML, perhaps a login page"),
        (lambda handler: sources_web.give(handler, b""), "gave an empty answer"),
        (lambda handler: sources_web.give(handler, b'{"a": 1'), "no JSON, or not all of it"),
        (lambda handler: sources_web.give(handler, b'{"a": 1', length=100), "ended 93 bytes too early"),
        (lambda handler: sources_web.give(handler, b'{"error": "no such\\npool"}', 404), "HTTP 404: no such pool"),
        (lambda handler: sources_web.give(handler, b"no", 401), r"HTTP 401 \(check the credentials\)"),
        (lambda handler: sources_web.give(handler, b"", 302, Location="http://127.0.0.1:1/"), "HTTP 302 .redirects are"),
        (lambda handler: handler.wfile.write(b"\0\xff" * 40), "did not answer"),
        (lambda handler: handler.connection.shutdown(socket.SHUT_RDWR), "did not answer"),
    ],
)
def test_a_server_that_answers_badly_is_missing(answer, reason):
    found, *unused = ask(answer)
    assert (found["status"], found["verdict"]) == ("missing", "hold")
    assert re.search(reason, found["reason"]), found["reason"]
    assert "window=15m" not in found["reason"]


def test_a_server_that_never_answers_is_given_up_after_the_timeout():
    gone = threading.Event()
    found, unused, seconds = ask(lambda handler: gone.wait(5))
    assert "did not answer within 1 s" in found["reason"] and found["verdict"] == "hold"
    assert seconds < 5
    gone.set()


@pytest.mark.parametrize("status, reason", [(200, "did not answer within 1 s"), (500, "answered HTTP 500")])
def test_a_server_that_drips_is_given_up_after_the_timeout(status, reason):
    def drip(handler):
        handler.send_response(status)
        handler.end_headers()
        for unused in range(40):
            handler.wfile.write(b" ")
            time.sleep(0.1)

    found, unused, seconds = ask(drip)
    assert reason in found["reason"]
    assert seconds < 3


def test_an_answer_that_is_too_long_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1024 * 1024)
    found, *unused = ask(lambda handler: sources_web.give(handler, b'{"a": 1, "b": "' + b"x" * 3000000 + b'"}'))
    assert "answered more than 1 MiB" in found["reason"]


def test_an_address_where_nobody_listens_is_missing():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = "http://127.0.0.1:%d/" % listener.getsockname()[1]
        found = sources.read(sources.check([{**HTTP, "url": url}])[0], ARMS, 0, NOW, sources_web.fetch)
    assert "did not answer: " in found["reason"] and "refused" in found["reason"]


@pytest.mark.parametrize("answer", ["text", None, 3])
def test_a_fetch_that_gives_no_bytes_is_missing(answer):
    found = sources.read(sources.check([HTTP])[0], ARMS, 0, NOW, lambda url, **options: answer)
    assert "gave no bytes" in found["reason"]


# JMESPath


@pytest.mark.parametrize(
    "expression, answer, reason",
    [
        ("a", {}, "expression 'a' finds nothing"),
        ("a", {"a": "3"}, r"gives text of 1 characters, expected a number; use to_number\(\)"),
        ("a", {"a": [1]}, r"gives a list, expected a number; use length\(\)"),
        ("a", {"a": True}, "gives true or false, expected a number"),
        ("a", {"a": {}}, "gives a dictionary, expected a number"),
        ("a", {"a": float("nan")}, "expected a finite number"),
        ("a", {"a": 10**400}, "expected a finite number"),
        ("sum(a)", {"a": "x"}, "expression cannot be applied to the answer"),
        ("length(a)", {}, "expression cannot be applied to the answer"),
        ("sum(a)", {"a": [1e308, 1e308]}, "expected a finite number"),
    ],
)
def test_an_expression_that_gives_no_number_is_missing(expression, answer, reason):
    source = sources.check([{**HTTP, "expression": expression}])[0]
    found = sources.read(source, ARMS, 0, NOW, lambda url, **options: json.dumps(answer).encode())
    assert found["status"] == "missing" and re.search(reason, found["reason"]), found["reason"]


@pytest.mark.parametrize(
    "moment, status, reason",
    [
        (NOW - 10, "ok", "10 s old"),
        (NOW - 300, "ok", "300 s old"),
        (NOW + 30, "ok", "0 s old"),
        (NOW - 301, "missing", "the numbers are 301 s old, at most 300 s expected"),
        (NOW * 1000, "missing", "in the future: are these milliseconds?"),
        ("2027-01-15T08:00:00Z", "ok", "0 s old"),
        ("2027-01-15T07:00:00Z", "missing", "the numbers are 3600 s old"),
        ("yesterday", "missing", "time_expression gives 'yesterday', expected seconds since 1970"),
        (None, "missing", "time_expression gives None"),
    ],
)
def test_numbers_that_are_too_old_are_missing(moment, status, reason):
    source = sources.check([{**HTTP, "time_expression": "t", "stale_after": "5m"}])[0]
    answer = json.dumps({"a": 1, "t": moment}).encode()
    found = sources.read(source, ARMS, 0, NOW, lambda url, **options: answer)
    assert found["status"] == status and reason in found["reason"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abt"), inner),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()), st.sampled_from(["a", "a.b", "sum(a)", "sort(a)", "max_by(a, &b)"]))
@SETTINGS
def test_no_answer_of_a_json_address_raises(answer, expression):
    spec = {**HTTP, "expression": expression, "control_expression": "b", "time_expression": "t", "rule": {"max_ratio_to_control": 2}}
    found = sources.read(sources.check([spec])[0], ARMS, 0, NOW, lambda url, **options: answer)
    assert found["status"] in ("ok", "violated", "missing")
    assert found["reason"].isprintable()
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("answer", [b"[" * 100000, b'{"a":' * 100000, b"1" * 100000, b'{"a": ' + b"9" * 5000 + b"}"])
def test_an_answer_made_to_break_a_parser_is_missing(answer):
    found = sources.read(sources.check([HTTP])[0], ARMS, 0, NOW, lambda url, **options: answer)
    assert found["status"] == "missing"


def test_an_expression_made_to_break_the_library_is_refused():
    with pytest.raises(RolloutError, match="expected a JMESPath expression"):
        sources.check([{**HTTP, "expression": "(" * 9000}])
    assert http.library().__name__ == "jmespath"
