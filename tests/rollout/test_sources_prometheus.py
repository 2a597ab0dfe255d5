# Evidence from a real Prometheus that scrapes real node_exporters, and what becomes of it when one of them dies.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import sources
from tests.lab import prerequisites, processes
from tests.unit.plugin_utils.sources_web import fetch

# Every host has an address of its own on loopback, as the label instance has only that.
ADDRESSES = {"web1": "127.0.0.11", "web2": "127.0.0.12", "web3": "127.0.0.13", "web4": "127.0.0.14"}
ARMS = {"patched": ["web1", "web2"], "control": ["web3", "web4"], "addresses": ADDRESSES}
LATENCIES = {"web1": 30, "web2": 50, "web3": 10, "web4": 30}


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain")


def free_port(address):
    with socket.socket() as listener:
        listener.bind((address, 0))
        return listener.getsockname()[1]


class Monitoring:
    """A Prometheus and one node_exporter for each host, with a directory of text files each."""

    def __init__(self, directory, stack):
        self.directory, self.stack, self.exporters, targets = directory, stack, {}, []
        for host, address in ADDRESSES.items():
            files, port = directory / host, free_port(address)
            files.mkdir()
            self.write(host, latency=LATENCIES[host])
            self.exporters[host] = self._start(host, [
                "prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile",
                f"--collector.textfile.directory={files}", f"--web.listen-address={address}:{port}"])  # fmt: skip
            targets.append({"targets": [f"{address}:{port}"], "labels": {"machine": host}})
        self._start_server({"scrape_interval": "1s", "scrape_timeout": "1s"}, targets)
        self.since = time.time()
        wait_for(lambda: len(self.up()) == len(ADDRESSES))

    def _start_server(self, settings, targets):
        config = self.directory / "prometheus.yml"
        config.write_text(yaml.safe_dump({"global": settings, "scrape_configs": [{"job_name": "node", "static_configs": targets}]}))
        port = free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{port}"
        self.server = self._start("prometheus", [
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.directory}/data",
            f"--web.listen-address=127.0.0.1:{port}"])  # fmt: skip

    def _start(self, name, command):
        with open(self.directory / f"{name}.log", "wb") as log:
            process = subprocess.Popen(command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT, preexec_fn=processes.die_with_parent)
        self.stack.callback(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.wait()

    def write(self, host, age=0, **numbers):
        """Let the host's exporter give these numbers from now on; age: how long ago they were written, in seconds."""
        path = self.directory / host / "app.prom"
        path.with_suffix(".new").write_text("".join(f"app_{name} {number}\n" for name, number in numbers.items()))
        moment = time.time() - age
        os.utime(path.with_suffix(".new"), (moment, moment))
        path.with_suffix(".new").rename(path)

    def up(self):
        """The hosts that have been scraped, read past the code under test."""
        with contextlib.suppress(OSError), urllib.request.urlopen(self.url + "/api/v1/query?query=app_latency", timeout=5) as answer:
            return {series["metric"]["machine"] for series in json.load(answer)["data"]["result"]}
        return set()

    def read(self, arms=None, **changes):
        spec = {"name": "app", "type": "prometheus", "url": self.url, "query": "app_latency", "rule": {"max": 1000}, **changes}
        return sources.read(sources.check([spec])[0], arms or ARMS, self.since, time.time(), fetch)

    def expect(self, condition, **changes):
        """Read until a reading is as expected, and return it: on a busy machine a scrape may fail, which is no news here."""
        readings = []

        def good():
            readings.append(self.read(**changes))
            return readings[-1] if condition(readings[-1]) else None

        try:
            return wait_for(good, 20)
        except AssertionError:
            raise AssertionError(f"not as expected: {readings[-1]}") from None


@contextlib.contextmanager
def monitoring_in(directory):
    absent = prerequisites.missing_servers()
    assert not absent, f"not found: {', '.join(absent)}. Next: {' '.join(prerequisites.install_command(absent))}"
    with contextlib.ExitStack() as stack:
        yield Monitoring(directory, stack)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """Only read by tests: everything in it lives."""
    with monitoring_in(tmp_path_factory.mktemp("healthy")) as found:
        yield found


@pytest.fixture
def monitoring(tmp_path):
    """For tests that kill."""
    with monitoring_in(tmp_path) as found:
        yield found


class TestAnswers:
    def test_the_address_in_the_label_instance_divides_the_arms(self, healthy):
        found = healthy.expect(lambda found: found["status"] == "ok", unit="ms")
        assert (found["patched"], found["control"], found["ratio"]) == (40, 20, 2)
        assert "mean 40 ms over 2 of 2 patched hosts, 20 ms over 2 of 2 control hosts" in found["reason"]

    def test_another_label_with_the_inventory_name_divides_the_arms(self, healthy):
        options = {"label": "machine", "aggregate": "max", "rule": {"max": 49}, "arms": {**ARMS, "addresses": {}}}
        found = healthy.expect(lambda found: found["status"] == "violated", **options)
        assert (found["verdict"], found["patched"], found["control"]) == ("hold", 50, 30)

    @pytest.mark.parametrize(
        "query",
        [
            'app_latency{instance=~"{patched}"}',
            "avg(app_latency{instance=~'{patched}'})",
            "sum(app_latency{machine=~`{patched}`}) / count(app_latency{machine=~`{patched}`})",
        ],
    )
    def test_a_list_of_hosts_is_asked_for_each_arm(self, healthy, query):
        rule = {"max_ratio_to_control": 1.9}
        found = healthy.expect(lambda found: found["ratio"] == 2, query=query, rule=rule, on_violation="stop")
        assert (found["patched"], found["control"], found["verdict"]) == (40, 20, "stop")

    def test_a_query_may_compare_the_arms_itself(self, healthy):
        query = 'avg(app_latency{machine=~"{patched}"}) / avg(app_latency{machine=~"{control}"})'
        healthy.expect(lambda found: found["patched"] == 2, query=query, rule={"max": 2})

    def test_the_address_of_one_host_is_not_the_beginning_of_anothers(self, healthy):
        arms = {"patched": ["a"], "control": ["b"], "addresses": {"a": "127.0.0.1", "b": "127.0.0.11"}}
        found = healthy.read(query='app_latency{instance=~"{patched}"}', arms=arms)
        assert found["status"] == "missing" and "gave no series at all" in found["reason"]

    def test_a_range_sees_what_has_passed(self, healthy):
        ranged = {"range": "5m", "step": "1s"}
        healthy.write("web1", latency=130)
        try:
            healthy.expect(lambda found: found["patched"] == 130, aggregate="max", **ranged)
            time.sleep(1.5)  # so that every later grid of seconds has a point in it
        finally:
            healthy.write("web1", latency=LATENCIES["web1"])
        healthy.expect(lambda found: found["patched"] == 50, aggregate="max")
        healthy.expect(lambda found: (found["patched"], found["control"]) == (130, 30), aggregate="max", **ranged)
        query = 'min(app_latency{machine=~"{patched}"})'
        healthy.expect(lambda found: found["patched"] == 30, query=query, aggregate="min", **ranged)

    def test_a_list_of_two_thousand_hosts_is_answered_in_time(self, healthy):
        many = [f"node-{number:05d}.rack-{number % 40}.example.com" for number in range(2000)]
        arms = {"patched": ["web1", *many], "control": ["web3"], "addresses": ADDRESSES}
        query = 'avg(app_latency{machine=~"{patched}"})'
        healthy.expect(lambda found: found["patched"] == 30, query=query, arms=arms, timeout=10)

    @pytest.mark.parametrize(
        "query, reason",
        [
            ("app_latency{", "answered HTTP 400: invalid parameter"),
            ("scalar(sum(app_latency))", "gives a scalar, expected a vector: take scalar() out of the query"),
            ('"text"', "gives a string, expected a vector"),
            ("app_latency[1m]", "gives a matrix, expected a vector"),
            ("app_latencies", "gave no series at all"),
            ("app_latency / 0", "is '+Inf': expected a finite number"),
            ("0 * app_latency / 0", "is 'NaN': expected a finite number"),
            ("sum(app_latency)", "the label instance of 1 series names no host"),
        ],
    )
    def test_a_query_that_gives_no_number_for_a_host_is_missing(self, healthy, query, reason):
        found = healthy.expect(lambda found: reason in found["reason"], query=query)
        assert (found["status"], found["verdict"]) == ("missing", "hold")

    def test_another_page_of_the_server_is_missing(self, healthy):
        found = healthy.read(url=healthy.url + "/nowhere")
        assert found["status"] == "missing" and "HTTP 404" in found["reason"]

    def test_a_clock_far_from_the_servers_is_missing(self, healthy):
        spec = {"name": "app", "type": "prometheus", "url": healthy.url, "query": "app_latency", "rule": {"max": 1000}}
        ahead = time.time() + 3600
        assert sources.read(sources.check([spec])[0], ARMS, ahead - 60, ahead, fetch)["verdict"] == "hold"


def has_stopped(pid):
    """Tell whether SIGSTOP has reached every thread: on a busy machine some go on for a while."""
    return all("\nState:\tT" in path.read_text() for path in Path("/proc/%d/task" % pid).glob("*/status"))


class TestDeaths:
    def test_the_exporter_of_a_patched_host_dies(self, monitoring):
        monitoring.expect(lambda found: found["verdict"] == "pass")
        ranged = {"range": "5m", "step": "1s", "stale_after": "2s"}
        monitoring.expect(lambda found: found["verdict"] == "pass", **ranged)
        time.sleep(1.5)  # so that every later grid of seconds has a point of each series
        monitoring.end(monitoring.exporters["web2"])
        wait_for(lambda: "web2" not in monitoring.up())
        found = monitoring.read()
        assert (found["status"], found["verdict"]) == ("missing", "hold")
        assert "1 of 2 patched hosts gave a series, 2 expected: none of web2" in found["reason"]
        # Prometheus itself goes on to answer from memory; only the time of the samples tells.
        remembered = {"query": "max_over_time(app_latency[5m])"}
        assert monitoring.read(**remembered)["verdict"] == "pass"
        found = monitoring.expect(lambda found: "none of web2 (1 of" in found["reason"], time_query="timestamp(app_latency)", **remembered)
        assert found["verdict"] == "hold"
        # A range knows the end of each series.
        found = monitoring.expect(lambda found: "none of web2 (1 of them stale" in found["reason"], **ranged)
        assert found["verdict"] == "hold"
        monitoring.expect(lambda found: found["verdict"] == "pass", min_series="50%")
        # A control host less is said, and the others go on.
        monitoring.end(monitoring.exporters["web4"])
        reason = "10 over 1 of 2 control hosts"
        found = monitoring.expect(lambda found: reason in found["reason"], min_series=1, rule={"max_ratio_to_control": 5})
        assert found["verdict"] == "pass"

    def test_the_job_that_writes_a_text_file_dies(self, monitoring):
        options = {"time_query": "node_textfile_mtime_seconds", "stale_after": "5m"}
        monitoring.expect(lambda found: found["verdict"] == "pass", **options)
        monitoring.write("web1", age=400, latency=30)
        found = monitoring.expect(lambda found: "none of web1 (1 of them stale for more than 300 s)" in found["reason"], **options)
        assert found["verdict"] == "hold"
        options["time_query"] = 'node_textfile_mtime_seconds{machine=~"{patched}"}'
        options["query"] = 'avg(app_latency{machine=~"{patched}"})'
        found = monitoring.expect(lambda found: "the oldest sample of 2 patched hosts is 4" in found["reason"], **options)
        assert found["verdict"] == "hold"

    def test_the_server_hangs_and_dies(self, monitoring):
        monitoring.expect(lambda found: found["verdict"] == "pass")
        monitoring.server.send_signal(signal.SIGSTOP)
        wait_for(lambda: has_stopped(monitoring.server.pid))
        found = monitoring.read(timeout=1)
        assert found["verdict"] == "hold" and "did not answer within 1 s" in found["reason"]
        monitoring.server.send_signal(signal.SIGCONT)
        monitoring.expect(lambda found: found["verdict"] == "pass")
        monitoring.end(monitoring.server)
        found = monitoring.read(on_violation="stop")
        assert (found["status"], found["verdict"]) == ("missing", "hold")
        assert "did not answer: " in found["reason"] and "refused" in found["reason"]
        assert monitoring.read(report_only=True)["verdict"] == "report"
