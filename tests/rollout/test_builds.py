# Rollouts of builds on real kernels, from a real repository: newest, CVEs and an advisory, over two kernels at once.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

# What the vendor of the lab numbers is the digit: hotfix1, hotfix2, hotfix3.
LAB = {"livepatch_package_pattern": "klp-{kernel}-hotfix{release}", "livepatch_tiers": [{"name": "all", "share": "100%"}], "livepatch_slice": "100%"}


class Shelf:
    """The repository of the lab, from which builds are taken away and published later."""

    def __init__(self, fleet, directory):
        self.repository, self.directory = fleet.repository, directory

    def take(self, release, kernel=""):
        """Take the builds of a release away, or the one for a kernel (its release begins so)."""
        for path in self.repository.directory.glob(f"klp-{kernel}*-{release}-1.x86_64.rpm"):
            path.rename(self.directory / path.name)
        self.repository.refresh()

    def publish(self):
        """Put everything back."""
        for path in self.directory.glob("*.rpm"):
            path.rename(self.repository.directory / path.name)
        self.repository.refresh()


@pytest.fixture
def shelf(fleet, tmp_path_factory):
    found = Shelf(fleet, tmp_path_factory.mktemp("shelf"))
    yield found
    found.publish()


def builds(run):
    """The packages of the last round, by kernel release."""
    return {entry["kernel_release"]: entry["package"] for entry in run.of("build")}


def test_the_newest_build_reaches_two_kernels_at_once_the_next_one_when_it_is_published_and_both_are_taken_back(rollouts, shelf):
    hosts = sorted(rollouts.fleet.guests)
    shelf.take("hotfix3")
    first = rollouts.rollout("newest", **LAB)
    assert first.status == 0 and first.outcomes == {host: "patched" for host in hosts}
    assert rollouts.running() == {host: ["hotfix2"] for host in hosts}
    assert len(builds(first)) == 2 and builds(first) == {kernel: f"klp-{kernel}-hotfix2-1.x86_64" for kernel in builds(first)}
    assert {entry["package"] for entry in first.of("outcome")} == set(builds(first).values())
    assert all(entry["cves"] == ["CVE-2026-40001", "CVE-2026-40002"] for entry in first.of("build"))

    shelf.publish()
    second = rollouts.rollout("newest", **LAB)
    assert second.status == 0 and [entry["result"] for entry in second.of("end")] == ["complete", "complete"]
    assert rollouts.running() == {host: ["hotfix3"] for host in hosts}
    assert builds(second) == {kernel: f"klp-{kernel}-hotfix3-1.x86_64" for kernel in builds(second)}
    nothing = rollouts.rollout("newest", **LAB)
    assert nothing.status == 0 and "the rollout is complete and nothing is left to do: 2 already" in nothing.output

    back = rollouts.rollback("newest", **LAB)
    assert back.status == 0 and rollouts.running() == {host: ["hotfix2"] for host in hosts}, "what the round before has brought"
    for guest in rollouts.fleet.guests.values():
        assert guest.ssh(["rpm", "-qa", "klp-*"]).stdout.split()[0].endswith("-hotfix2-1.x86_64")


def test_a_build_that_lacks_a_wanted_cve_is_brought_and_its_hosts_are_named_and_an_advisory_takes_nothing_newer_away(rollouts, shelf):
    hosts = sorted(rollouts.fleet.guests)
    kernels = {name: guest.ssh(["uname", "-r"]).stdout.strip() for name, guest in rollouts.fleet.guests.items()}
    lacking = hosts[0]
    shelf.take("hotfix3", kernels[lacking])
    run = rollouts.rollout("", journal="CVE-2026-40003", livepatch_cves="CVE-2026-40003", **LAB)
    assert run.status == 0 and run.outcomes == {host: "patched" for host in hosts}
    assert rollouts.running() == {host: ["hotfix2" if host == lacking else "hotfix3"] for host in hosts}
    assert {entry["kernel_release"]: entry["missing"] for entry in run.of("build")}[kernels[lacking]] == ["CVE-2026-40003"]
    assert f"uncovered: the build of kernel {kernels[lacking]} is not known to mend CVE-2026-40003: {lacking}" in run.output

    unknown = rollouts.rollout("", livepatch_advisory="LAB-2026-nobody", journal="LAB-2026-nobody", **LAB)
    assert unknown.status != 0 and "knows advisory LAB-2026-nobody" in unknown.output and not unknown.journal.exists()
    named = rollouts.rollout("", livepatch_advisory="LAB-2026-hotfix2", journal="LAB-2026-hotfix2", **LAB)
    assert named.status == 0 and named.outcomes == {host: "already" for host in hosts}
    newer = next(entry["reason"] for entry in named.of("outcome") if entry["host"] != lacking)
    assert "-hotfix3-1.x86_64, which is newer than the build klp-" in newer
    assert rollouts.running() == {host: ["hotfix2" if host == lacking else "hotfix3"] for host in hosts}
