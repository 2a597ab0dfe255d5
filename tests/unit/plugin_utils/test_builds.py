# Builds: what people may ask for, whom that is asked of, what must agree, and what each host of a rollout gets.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest
import yaml
from jinja2 import Environment

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import judge
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages, rollout_page, rollout_report, summary
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import answers, builds, fleet, journal, outcomes, schedule, start
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import state as states
from tests.unit.plugin_utils import rollouts
from tests.model import ROOT
from tests.unit.plugin_utils.rollouts import good, hosts, request

A, B = "5.14.0-427.40.1.el9_4.x86_64", "5.14.0-503.11.1.el9_5.x86_64"


def package(kernel, version="1-5"):
    base, unused, tail = kernel.partition(".el9")
    return f"kpatch-patch-{base.replace('.', '_')}-{version}.el9{tail or '.x86_64'}"


def livepatch(kernel, version="1-5"):
    return f"kpatch_{kernel.partition('.el9')[0]}_{version}".replace("-", "_").replace(".", "_")


def said(kernel, version="1-5", **changed):
    """What livepatch_builds answers, raw."""
    found = {
        "kernel_release": kernel, "architecture": "x86_64", "vendor": "rhel", "reason": None, "missing": [], "unknown_cves": [],
        "advisory_known": None, "sources": {"changelog": "read", "advisories": "read"}, "newer_installed": None,
        "supported_until": None, "changed": False,
        "build": {
            "package": package(kernel, version), "version": version, "livepatch": livepatch(kernel, version),
            "built": "2026-11-01T10:00:00Z", "cves": ["CVE-2026-1", "CVE-2026-2"], "advisories": ["RHSA-2026:1"],
        },
    }  # fmt: skip
    return dict(found, **changed)


def without(kernel, reason="no_build", **changed):
    return said(kernel, build=None, reason=reason, **changed)


def surveyed(kernels, domains=None, **changed):
    """The fleet of these kernels (name -> kernel release), as survey gives it; domains: name -> domain."""
    raw = rollouts.raw(kernels, **changed)
    for name, kernel in kernels.items():
        if raw[name]["facts"]:
            raw[name]["facts"] = dict({"kernel_release": kernel, "architecture": "x86_64"}, **dict(raw[name]["facts"], kernel_release=kernel))
        raw[name]["domain"] = (domains or {}).get(name)
    return fleet.survey(raw, None)


def resolve(seen, says, what=None, seed=7, asked=None, **more):
    """Ask and resolve; says: name -> raw answer, or a function of the name."""

    def ask(names):
        if asked is not None:
            asked.append(names)
        return {name: answers.build(says(name)) for name in names}

    return builds.resolve(what or builds.wanted("newest"), builds.ask(seen, seed, ask), **more)


MIXED = {f"h{number}": A if number < 4 else B for number in range(8)}


def by_kernel(name):
    return said(MIXED[name])


# What a person gives


@pytest.mark.parametrize("given, word, name", [
    (("hotfix3", None, ""), "hotfix3", "hotfix3"),
    (("newest", [], None), "newest", "newest"),
    (("", "CVE-2026-2, cve-2026-1,CVE-2026-2", ""), "CVE-2026-1,CVE-2026-2", "CVE-2026-1+CVE-2026-2"),
    ((None, ["CVE-2026-2", "CVE-2026-1"], None), "CVE-2026-1,CVE-2026-2", "CVE-2026-1+CVE-2026-2"),
    ((None, None, "RHSA-2026:1234"), "RHSA-2026:1234", "RHSA-2026-1234"),
    ((None, None, "ALAS2023LIVEPATCH-2026-001"), "ALAS2023LIVEPATCH-2026-001", "ALAS2023LIVEPATCH-2026-001"),
])  # fmt: skip
def test_a_release_cves_or_an_advisory_is_what_a_rollout_brings_and_the_roles_variables_have_the_same_words(given, word, name):
    what = builds.wanted(*given)
    assert (what.word, builds.rollout_name(what.word)) == (word, name)
    assert builds.is_resolved(what) == (word != "hotfix3")
    defaults = yaml.safe_load((ROOT / "roles/rollout/defaults/main.yml").read_text())
    jinja = Environment()
    jinja.filters["flatten"] = lambda found: [one for item in found for one in (item if isinstance(item, list) else [item])]
    variables = dict(zip(("livepatch_release", "livepatch_cves", "livepatch_advisory"), given))
    assert jinja.from_string(defaults["livepatch_rollout"]).render(variables) == name


@pytest.mark.parametrize("given, words", [
    ((None, None, None), "found none"),
    (("hotfix3", "CVE-2026-1", None), "found livepatch_release and livepatch_cves"),
    ((None, "CVE-26-1", None), "expected 1 to 100 CVEs"),
    ((None, ["CVE-2026-1; reboot"], None), "expected 1 to 100 CVEs"),
    ((None, [f"CVE-2026-{number}" for number in range(101)], None), "expected 1 to 100 CVEs"),
    ((None, None, "RHSA 2026"), "expected the id of one advisory"),
    ((None, None, ["RHSA-2026:1"]), "expected the id of one advisory"),
    (("../etc", None, None), "is not a name"),
])  # fmt: skip
def test_what_is_none_of_these_or_several_is_refused(given, words):
    with pytest.raises(RolloutError, match=words):
        builds.wanted(*given)


# Whom that is asked of


def test_two_hosts_of_each_kernel_are_asked_at_once_of_different_domains_and_the_same_ones_for_a_seed():
    seen = surveyed(MIXED, {name: "left" if int(name[1:]) % 4 else "right" for name in MIXED})
    for seed in range(20):
        asked = []
        entries = resolve(seen, by_kernel, seed=seed, asked=asked)[0]
        assert len(asked) == 1 and len(asked[0]) == 4
        assert [entry["package"] for entry in entries] == [package(A), package(B)]
        for entry in entries:
            assert {seen[name]["domain"] for name in entry["asked"]} == {"left", "right"}
        again = []
        resolve(seen, by_kernel, seed=seed, asked=again)
        assert again == asked
    assert len({tuple(resolve(seen, by_kernel, seed=seed)[0][0]["asked"]) for seed in range(20)}) > 1


def test_a_host_that_does_not_answer_is_replaced_by_another_of_its_kernel_five_of_them_at_most():
    seen = surveyed({f"h{number}": A for number in range(20)})
    asked, silent = [], []

    def one_of_three(name):
        silent.append(name)
        return said(A) if len(silent) % 3 == 0 else {"unreachable": True, "msg": "x"}

    entries, lost, notes = resolve(seen, one_of_three, asked=asked)
    assert sum(map(len, asked)) == 5 and not lost
    assert len(entries[0]["asked"]) == 1 and "only" in notes[0] and "nobody confirms it" in notes[0]
    asked = []
    entries, lost, notes = resolve(seen, lambda name: {"unreachable": True}, asked=asked)
    assert sum(map(len, asked)) == 5 and not entries and list(lost.values())[0][0] == "unreachable"


def test_an_answer_of_another_kernel_than_the_facts_told_counts_for_neither():
    seen = surveyed({"h1": A, "h2": A})
    entries, unused, notes = resolve(seen, lambda name: said(B if name == "h1" else A))
    assert entries[0]["asked"] == ["h2"] and "h1 it runs kernel" in notes[0]


def test_forty_kernels_are_asked_in_one_go_eighty_hosts_at_once():
    kernels = {f"h{number}": f"6.1.{number % 40}-1-amd64" for number in range(400)}
    asked = []

    def says(name):
        return without(kernels[name], "empty")

    entries = resolve(surveyed(kernels), says, asked=asked)[0]
    assert [len(names) for names in asked] == [80] and len(entries) == 40


def test_kernels_of_one_name_on_two_architectures_are_two_kernels():
    kernel = "5.14.21-150400.24.33-default"
    raw = rollouts.raw(["h1", "h2"])
    for name, architecture in (("h1", "x86_64"), ("h2", "aarch64")):
        raw[name]["facts"].update(kernel_release=kernel, architecture=architecture)
    seen = fleet.survey(raw, None)

    def says(name):
        return dict(without(kernel, "no_build" if name == "h1" else "empty"), architecture=seen[name]["architecture"])

    entries = resolve(seen, says)[0]
    names = builds.labels({builds.key(entry): entry for entry in entries})
    assert {names[builds.key(entry)]: entry["reason"] for entry in entries} == {f"{kernel} (aarch64)": "empty", f"{kernel} (x86_64)": "no_build"}


def test_a_newer_build_that_a_host_keeps_out_by_its_configuration_is_said():
    notes = resolve(surveyed({"h1": A, "h2": A}), lambda name: said(A, held_back=package(A, "1-6") if name == "h2" else None))[2]
    assert notes == [f"h2 keeps {package(A, '1-6')} out by its configuration, which is newer than what it is to get"]


# What must agree


@pytest.mark.parametrize("other, shown", [
    (said(A, "1-4"), package(A, "1-4")),
    (without(A), "none (no build)"),
    (said(A, build=dict(said(A)["build"], cves=["CVE-2026-1"])), "mends CVE-2026-1"),
])  # fmt: skip
def test_a_plan_is_refused_where_two_hosts_of_a_kernel_see_different_builds_and_it_says_who_saw_what(other, shown):
    seen = surveyed({"h1": A, "h2": A})
    with pytest.raises(RolloutError, match="Nothing was touched") as error:
        resolve(seen, lambda name: other if name == "h2" else said(A))
    words = str(error.value)
    assert f"h1 sees {package(A)}" in words and "h2 sees" in words and shown in words


def test_a_cve_that_no_repository_knows_is_refused_one_that_some_know_is_not():
    seen, what = surveyed(MIXED), builds.wanted(cves="CVE-2026-1,CVE-2026-9")
    with pytest.raises(RolloutError, match="No repository of the hosts that were asked knows CVE-2026-9: "):
        resolve(seen, lambda name: dict(by_kernel(name), unknown_cves=["CVE-2026-9"], missing=["CVE-2026-9"]), what)

    def says(name):
        return dict(by_kernel(name), **({"unknown_cves": ["CVE-2026-9"], "missing": ["CVE-2026-9"]} if MIXED[name] == A else {}))

    assert [entry["missing"] for entry in resolve(seen, says, what)[0]] == [["CVE-2026-9"], []]


def test_an_advisory_that_nobody_knows_or_that_names_no_livepatch_package_is_refused():
    seen, what = surveyed(MIXED), builds.wanted(advisory="RHSA-2026:1")
    with pytest.raises(RolloutError, match="knows advisory RHSA-2026:1: "):
        resolve(seen, lambda name: without(MIXED[name], "not_in_advisory", advisory_known=False), what)
    with pytest.raises(RolloutError, match="RHSA-2026:1 names no livepatch package for any kernel"):
        resolve(seen, lambda name: without(MIXED[name], "not_in_advisory", advisory_known=True), what)
    known = {A: said(A, advisory_known=True), B: without(B, "not_in_advisory", advisory_known=True)}
    assert [bool(entry["package"]) for entry in resolve(seen, lambda name: known[MIXED[name]], what)[0]] == [True, False]


@pytest.mark.parametrize("odd", [
    {"build": {"package": "rm -rf /"}}, {"build": {"package": "-y-1-1.x86_64"}}, {"build": []}, {"build": None, "reason": None},
    {"build": None, "reason": "because"}, {"kernel_release": None}, {"missing": ["all"]}, {"missing": [None]}, {"supported_until": "soon"},
    {"advisory_known": "yes"}, {"build": {"package": package(A), "cves": "CVE-2026-1"}}, {"unknown_cves": {"CVE-2026-1": 1}},
    {"build": {"package": package(A), "livepatch": "a\nb"}},
])  # fmt: skip
def test_an_answer_that_the_module_cannot_have_given_is_a_failure_and_another_host_is_asked(odd):
    assert answers.build(dict(said(A), **odd))["failed"]
    seen = surveyed({f"h{number}": A for number in range(4)})
    first = []

    def says(name):
        first.append(name)
        return dict(said(A), **odd) if name == first[0] else said(A)

    entries, lost, notes = resolve(seen, says)
    assert not lost and not notes and len(entries[0]["asked"]) == 2 and first[0] not in entries[0]["asked"]


def test_what_a_host_says_of_cves_is_cut_to_size():
    found = answers.build(said(A, build=dict(said(A)["build"], cves=[f"CVE-2026-{number}" for number in range(500)])))
    assert len(found["build"]["cves"]) == answers.MOST_CVES


# What each host gets


class Rollout:
    """A rollout of builds in memory, on MIXED or other kernels; says: as for resolve."""

    def __init__(self, kernels=None, says=None, what=None, **options):
        self.kernels, self.what = dict(kernels or MIXED), what or builds.wanted("newest")
        self.now, self.entries, self.asked, self.options = 1.8e9, [], [], options
        self.says = says or (lambda name: said(self.kernels[name]))
        self.runs = {}  # name -> the livepatch that is enabled
        self.notes = []

    @property
    def state(self):
        return states.state(self.entries)

    def write(self, entries, run=None):
        stamped = journal.stamped(entries, self.state.runs if run is None else run, lambda: self.now)
        states.state([*self.entries, *stamped])
        self.entries += stamped

    def open(self, retry=None, **changed):
        changed = {name: {"enabled": self.runs.get(name), **(changed.get(name) or {})} if changed.get(name, {}) is not None else None for name in self.kernels}
        seen = surveyed(self.kernels, **changed)
        wanted = request(release=self.what.word, wanted=self.what, resolved=None, today="2026-12-01", retry=retry, **self.options)
        if start.plans_anew(self.state, wanted):
            wanted["resolved"] = resolve(seen, self.says, self.what, asked=self.asked)
        found, self.notes = start.opening(self.state, wanted, seen)
        self.write(found, self.state.runs + 1)
        return self.state

    def patch(self, **bad):
        """Patch slice after slice, each host with what the journal has for it; bad: name -> steps for good()."""
        given = {}
        for tier in [tier["number"] for tier in self.state.tiers]:
            while self.state.remaining(tier):
                number = self.state.hosts[self.state.remaining(tier)[0]].slice
                names = [name for name in self.state.remaining(tier) if self.state.hosts[name].slice == number]
                self.write([{"kind": "slice", "tier": tier, "slice": number, "hosts": names}])
                given.update({name: self.state.hosts[name].package for name in names})
                self.now += 10
                self.write(outcomes.of_slice(self.state, lambda name: self._answer(name, bad.get(name, {})), self.now))
                self.write([judge.judge(self.state, self.now, tier, number)])
            self.write([{"kind": "tier_done", "tier": tier}])
        return given

    def _answer(self, name, bad):
        host = self.state.hosts[name]
        build = self.state.builds[builds.key(vars(host))]
        before, self.runs[name] = {"enabled": self.runs.get(name)}, build["livepatch"]
        usual = {
            "package": {"package": host.package},
            "apply": {"name": build["livepatch"], "before": before},
            "look": {"enabled": build["livepatch"]},
        }
        return good(name, **{step: dict(found, **bad.get(step, {})) for step, found in usual.items()})

    def finish(self):
        given = self.patch()
        self.write([{"kind": "end", "result": "complete"}])
        return given

    def outcome(self, name):
        return self.state.hosts[name].outcome["outcome"], self.state.hosts[name].outcome["reason"]


def test_each_host_gets_exactly_the_build_of_its_kernel_in_the_journal_whatever_repositories_have_then():
    rollout = Rollout()
    rollout.open()
    rollout.says = lambda name: said(MIXED[name], "1-6")
    assert rollout.patch() == {name: package(kernel) for name, kernel in MIXED.items()}
    kinds = [entry["kind"] for entry in rollout.entries]
    assert kinds[:4] == ["rollout", "run", "build", "build"] and kinds[4] == "host"
    assert {entry["kernel_release"]: entry["package"] for entry in rollout.entries if entry["kind"] == "build"} == {A: package(A), B: package(B)}
    assert judge.counts(rollout.state) == {"patched": 8}


def test_a_journal_of_builds_has_no_host_without_one():
    rollout = Rollout()
    rollout.open()
    stranger = next(entry for entry in rollout.entries if entry["kind"] == "host")
    with pytest.raises(RolloutError, match="cannot be understood"):
        states.state([*rollout.entries, dict(stranger, host="new", kernel_release="6.1.0-1")])


@pytest.mark.parametrize("reason, until, words", [
    ("no_build", None, "no repository has a build"), ("empty", "2027-01-01", "is empty so far"),
    ("excluded", None, "configuration of the hosts excludes"), ("no_build", "2026-10-31", "it is out of support since 2026-10-31"),
])  # fmt: skip
def test_hosts_of_a_kernel_without_a_build_are_not_applicable_and_the_reason_says_why(reason, until, words):
    rollout = Rollout(says=lambda name: without(B, reason, supported_until=until) if MIXED[name] == B else said(A))
    state = rollout.open()
    assert {name for name, entry in state.excluded.items() if entry["outcome"] == "not_applicable"} == {"h4", "h5", "h6", "h7"}
    assert all(words in entry["reason"] for entry in state.excluded.values())
    assert any(words in line and B in line for line in messages.build_lines(state))


def test_a_plan_without_any_build_is_refused_and_says_why():
    with pytest.raises(RolloutError, match=r"None of the 8 hosts can be patched: 8 not applicable \(no repository has a build for kernel"):
        Rollout(says=lambda name: without(MIXED[name])).open()


def test_a_kernel_whose_only_host_is_down_is_left_out_and_said():
    kernels = {"h1": A, "h2": A, "h3": B}
    rollout = Rollout(kernels, lambda name: {"unreachable": True} if name == "h3" else said(A))
    state = rollout.open()
    assert (state.excluded["h3"]["outcome"], set(state.hosts)) == ("unreachable", {"h1", "h2"})
    assert any("no host could be asked" in line and B in line for line in rollout.notes)
    assert Rollout(kernels, lambda name: said(A)).open(h3=None).excluded["h3"]["outcome"] == "unreachable"


def test_a_repository_that_is_down_leaves_its_kernel_out_as_failed_and_no_build_is_not_said():
    down = {"failed": True, "error": "repository_unavailable", "msg": "livepatches: cannot be reached"}
    state = Rollout(says=lambda name: down if MIXED[name] == B else said(A)).open()
    assert state.excluded["h5"]["outcome"] == "failed" and "repository_unavailable" in state.excluded["h5"]["reason"]


def test_two_kernels_may_have_the_same_package_and_the_same_name_of_a_livepatch():
    one = dict(said(A)["build"], package="acme-livepatch-7-1.x86_64", livepatch="acme_7")
    rollout = Rollout(says=lambda name: said(MIXED[name], build=one))
    rollout.open()
    assert set(rollout.finish().values()) == {"acme-livepatch-7-1.x86_64"}
    assert [(row["kernel"], row["hosts"]) for row in messages.build_rows(rollout.state)] == [(A, 4), (B, 4)]


def test_hosts_that_run_the_build_already_are_not_planned():
    rollout = Rollout()
    rollout.runs = {"h1": livepatch(A), "h2": livepatch(B), "h5": livepatch(B)}
    state = rollout.open()
    assert {name for name, entry in state.excluded.items() if entry["outcome"] == "already"} == {"h1", "h5"}


def test_a_package_that_is_newer_than_the_build_of_the_plan_stays_and_is_said():
    rollout = Rollout()
    rollout.open()
    newer = {"package": {"outcome": "already", "package": package(A, "1-7"), "changed": False}, "apply": {"name": "newer", "changed": False}}
    rollout.patch(h1=dict(newer, look={"enabled": "newer"}))
    assert rollout.outcome("h1") == ("already", f"has {package(A, '1-7')}, which is newer than the build {package(A)}")
    assert rollout.outcome("h2")[0] == "patched"
    unloaded = Rollout()
    unloaded.open()
    unloaded.patch(h1=dict(newer, apply={"name": None, "changed": False}, look={"enabled": None}))
    assert unloaded.outcome("h1")[0] == "failed" and "does not run it: load it, or remove the package" in unloaded.outcome("h1")[1]


def test_another_package_than_the_build_is_a_failure():
    rollout = Rollout()
    rollout.open()
    rollout.patch(h1={"package": {"package": package(A, "1-6")}})
    assert rollout.outcome("h1") == ("failed", f"its answer names package {package(A, '1-6')}: expected the build {package(A)}")


def test_a_build_that_disappears_in_the_middle_is_a_failure_that_says_so():
    rollout = Rollout()
    rollout.open()
    gone = {"failed": True, "error": "package_gone", "msg": "no repository has it any more", "proven": False}
    name = rollout.state.tier_hosts(2)[-1].name
    rollout.patch(**{name: {"package": {"package": None}, "apply": gone, "look": {"skipped": True}}})
    assert rollout.outcome(name) == ("failed", "livepatch failed (package_gone): no repository has it any more")


def test_a_host_that_runs_another_kernel_by_now_is_left_for_the_next_round_and_is_no_failure():
    rollout = Rollout()
    rollout.open()
    other = {"failed": True, "error": "other_kernel", "msg": "x", "changed": False, "before": {"enabled": None}, "since": None}
    rollout.patch(h3={"package": {"package": None, "changed": False}, "apply": other, "look": {"skipped": True}})
    assert rollout.outcome("h3") == ("not_applicable", f"runs another kernel than {A} by now: it comes with the next round")
    assert not rollout.state.stop and not rollout.state.hosts["h3"].failure


@pytest.mark.parametrize("kernel, outcome", [(B, None), ("6.1.0-1", "not_applicable")])
def test_a_host_that_boots_another_kernel_before_a_resume_gets_the_build_of_that_where_the_plan_has_one(kernel, outcome):
    rollout = Rollout()
    rollout.open()
    rollout.kernels["h2"] = kernel
    state = rollout.open(h2={"boot_id": "another"})
    assert len(rollout.asked) == 1, "a resume asks nobody"
    assert (state.excluded["h2"]["outcome"] if "h2" in state.excluded else None) == outcome
    if not outcome:
        assert state.hosts["h2"].package == package(B)


def test_a_patched_host_that_came_back_with_another_kernel_has_rebooted_and_is_not_merely_out_of_the_plan():
    rollout = Rollout(slice="100%")
    rollout.open()
    name = rollout.state.tier_hosts(1)[0].name
    rollout.write([{"kind": "slice", "tier": 1, "slice": 1, "hosts": [host.name for host in rollout.state.tier_hosts(1)]}])
    rollout.write(outcomes.of_slice(rollout.state, lambda host: rollout._answer(host, {}), rollout.now))
    rollout.kernels[name], rollout.runs[name] = "6.1.0-1", None
    rollout.open(**{name: {"boot_id": "another"}})
    assert rollout.outcome(name)[0] == "rebooted"


# The next round


def test_the_same_command_next_week_begins_a_new_round_where_there_are_newer_builds_and_else_has_nothing_to_do():
    rollout = Rollout()
    rollout.open()
    rollout.finish()
    rollout.open()
    assert rollout.notes == ["the rollout is complete and nothing is left to do: 8 already"] and len(rollout.asked) == 2
    rollout.says = lambda name: said(MIXED[name], "1-6" if MIXED[name] == A else "1-5")
    state = rollout.open()
    assert state.rounds == 2 and set(state.hosts) == {"h0", "h1", "h2", "h3"}
    assert {name for name, entry in state.excluded.items() if entry["outcome"] == "already"} == {"h4", "h5", "h6", "h7"}
    assert set(rollout.finish().values()) == {package(A, "1-6")}
    back = schedule.to_roll_back(rollout.state)
    assert {target["host"] for target in back} == set(state.hosts), "what the round before has brought is not undone"
    assert {(target["build"], target["enabled_before"]) for target in back} == {(package(A, "1-6"), livepatch(A))}


def test_what_a_complete_round_has_left_open_is_taken_back_with_the_next_one():
    rollout = Rollout(max_failures=4)
    rollout.open()
    name = rollout.state.tier_hosts(2)[-1].name
    stalled = {"failed": True, "error": "stalled", "msg": "waits on", "changed": True}
    rollout.patch(**{name: {"package": {"package": None}, "apply": stalled, "look": {"skipped": True}}})
    rollout.write([{"kind": "end", "result": "complete"}])
    rollout.says = lambda host: said(MIXED[host], "1-6")
    rollout.runs[name] = None
    rollout.open()
    assert list(rollout.state.before) == [name]


def test_a_livepatch_whose_name_nobody_knows_before_it_runs_is_known_once_it_was_brought_and_not_taken_for_the_next_build():
    nameless = dict(said(A)["build"], livepatch=None)
    rollout = Rollout({f"h{number}": A for number in range(4)}, lambda name: said(A, build=nameless))
    rollout.open()
    named = {"apply": {"name": "livepatch_CVE_1"}, "look": {"enabled": "livepatch_CVE_1"}}
    rollout.patch(**{name: named for name in rollout.kernels})
    rollout.write([{"kind": "end", "result": "complete"}])
    rollout.runs = dict.fromkeys(rollout.kernels, "livepatch_CVE_1")
    rollout.open()
    assert rollout.notes == ["the rollout is complete and nothing is left to do: 4 already"]
    rollout.says = lambda name: said(A, build=dict(nameless, package=package(A, "1-6")))
    assert len(rollout.open().hosts) == 4


def test_a_journal_goes_on_with_what_it_was_begun_for_only():
    rollout = Rollout()
    rollout.open()
    rollout.what = builds.wanted(advisory="newest")
    with pytest.raises(RolloutError, match="is of release newest"):
        rollout.open()


# What people are told


def uncovered():
    what = builds.wanted(cves="CVE-2026-1,CVE-2026-9")
    rollout = Rollout(says=lambda name: said(MIXED[name], missing=["CVE-2026-9"] if MIXED[name] == B else []), what=what)
    rollout.open()
    return rollout


def test_hosts_whose_build_lacks_a_wanted_cve_are_patched_and_named_as_uncovered_in_plan_summary_status_and_report():
    rollout = uncovered()
    line, = [line for line in messages.build_lines(rollout.state) if line.startswith("uncovered: the build of kernel")]
    assert all(word in line for word in ("h4", "CVE-2026-9", B))
    rollout.finish()
    found = summary.summary(rollout.state, "/j")
    assert found["uncovered"] == 4 and found["builds"] == {A: package(A), B: package(B)}
    assert {row["host"]: row["uncovered"] for row in summary.rows(rollout.state)}["h7"] == ["CVE-2026-9"]
    assert any("uncovered" in line for line in messages.status_lines(rollout.state, "/j"))
    report = rollout_report.report(rollout.entries, "/j", rollout.now)
    assert [len(row["uncovered"]) for row in report["builds"]] == [0, 4]
    page = rollout_page.render(report)
    assert package(A) in page and "CVE-2026-9" in page


def test_a_rollout_of_a_plain_release_tells_nothing_of_builds():
    rollout = rollouts.Rollout(hosts(4))
    assert not messages.build_lines(rollout.state) and "builds" not in summary.summary(rollout.state, "/j")
    assert "uncovered" not in summary.rows(rollout.state)[0] and rollout.state.hosts["host-1"].package is None


@pytest.mark.parametrize("what, words", [
    (builds.wanted("newest"), "-e livepatch_release=newest"),
    (builds.wanted(cves="CVE-2026-1,CVE-2026-2"), "-e livepatch_cves=CVE-2026-1,CVE-2026-2"),
    (builds.wanted(advisory="RHSA-2026:1"), "-e livepatch_advisory=RHSA-2026:1"),
])  # fmt: skip
def test_the_commands_that_come_next_have_the_words_that_were_given(what, words):
    rollout = Rollout(says=lambda name: said(MIXED[name], advisory_known=True), what=what, rollout=builds.rollout_name(what.word))
    state = rollout.open()
    command = messages.command(state, "/j/x.jsonl", "rollback")
    assert words in command and "livepatch_rollout" not in command
    named = states.state([dict(rollout.entries[0], rollout="web"), *rollout.entries[1:]])
    assert messages.command(named, "/j/x.jsonl", None).count("livepatch_rollout=web") == 1


def test_until_when_a_kernel_is_supported_a_person_may_know_better():
    entries = resolve(surveyed(MIXED), lambda name: said(MIXED[name], supported_until="2027-01-01"), support={A: "2028-01-01"})[0]
    assert [entry["supported_until"] for entry in entries] == ["2028-01-01", "2027-01-01"]
    assert builds.days({A: "2028-01-01"}, "x") == {A: "2028-01-01"} and builds.days("", "x") == {}
    with pytest.raises(RolloutError, match="each with a day like"):
        builds.days({A: "next year"}, "x")
