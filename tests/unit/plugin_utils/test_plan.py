# Tests of the plan: tiers, order and slices.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pathlib
from collections import Counter

import pytest
import yaml
from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import plan
from hypothesis import given, settings
from hypothesis import strategies as st

FLEETS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 5)), min_size=1, max_size=300)
SHARES = st.lists(st.integers(1, 999), max_size=5, unique=True).map(sorted)
SETTINGS = settings(max_examples=150, deadline=None, database=None, derandomize=True)


ROLE = pathlib.Path(__file__).parents[3] / "roles" / "rollout"


@pytest.mark.parametrize("change, hours", [("scheduled", 36), ("emergency", 10), ("incident", 1)])
def test_the_plans_of_the_role_are_plans_and_last_as_long_as_they_say(change, hours):
    default = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    plans = yaml.safe_load((ROLE / "vars/plans.yml").read_text())["livepatch_plans"]
    tiers = plan.parse_tiers(plans[change], default["livepatch_max_failures"])
    assert tiers[0]["name"] == "canary" and tiers[0]["spread"] == 0
    assert all(tier["spread"] <= tier["soak"] for tier in tiers)
    assert sum(tier["soak"] for tier in tiers) == hours * 3600
    options = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert options["livepatch_change"]["choices"] == list(plans) and options["livepatch_change"]["default"] == "scheduled"


def test_a_tier_tolerates_the_larger_of_a_count_and_a_share():
    tiers = plan.parse_tiers([{"name": "a", "hosts": 1}, {"name": "b", "share": "100%"}], "2 or 1%")
    for size, tolerated in ((11, 2), (251, 2), (401, 4)):
        hosts = [{"name": f"h{number}", "cohort": "", "domain": ""} for number in range(size)]
        planned, unused = plan.make_plan(hosts, tiers, 5, 1)
        assert [tier["max_failures"] for tier in planned] == [0, tolerated]


def test_a_tier_without_a_proper_name_is_refused():
    for name in ("", "a b", "-x", 7, None):
        with pytest.raises(RolloutError, match="The name of tier 1, .* is not a name"):
            plan.parse_tiers([{"name": name, "share": "100%"}], "1%")


def fleet(kinds):
    return [
        {"name": f"h{number}", "cohort": cohort, "domain": str(domain)} for number, (cohort, domain) in enumerate(kinds)
    ]


def tiers_of(canary, shares):
    tiers = [{"name": "canary", "hosts": canary}] + [
        {"name": f"t{share}", "share": f"{share / 10}%"} for share in shares
    ]
    return plan.parse_tiers(tiers + [{"name": "rest", "share": "100%"}], "1%")


def make(kinds, tiers=None, size=5, seed=1, **options):
    parsed = tiers or tiers_of(2, [])
    return plan.make_plan(fleet(kinds), parsed, values.count_or_share(size, "slice"), seed, **options)[0]


def names(tiers):
    return [[host["name"] for host in tier["hosts"]] for tier in tiers]


@SETTINGS
@given(FLEETS, st.integers(1, 20), SHARES)
def test_every_host_is_in_exactly_one_tier(kinds, canary, shares):
    found = [name for tier in names(make(kinds, tiers_of(canary, shares))) for name in tier]
    assert sorted(found) == sorted(host["name"] for host in fleet(kinds))


@SETTINGS
@given(FLEETS, st.integers(0, 3))
def test_a_first_tier_that_is_big_enough_has_one_host_of_each_cohort(kinds, more):
    cohorts = {cohort for cohort, unused in kinds}
    first = make(kinds, tiers_of(len(cohorts) + more, []))[0]
    assert {host["cohort"] for host in first["hosts"]} == cohorts


@SETTINGS
@given(FLEETS, st.integers(1, 40))
def test_the_cohorts_of_a_slice_are_near_those_of_the_fleet(kinds, size):
    hosts = plan.order(fleet(kinds), 3)
    share = {cohort: number / len(kinds) for cohort, number in Counter(cohort for cohort, unused in kinds).items()}
    for start in range(0, len(hosts), size):
        window = hosts[start : start + size]
        mix = Counter(host["cohort"] for host in window)
        for cohort, part in share.items():
            # Each cohort is placed to within one host, and so is each end of the window; one more goes to the front.
            assert abs(mix[cohort] - part * len(window)) <= 3 + 2 * part * len(share)


@SETTINGS
@given(FLEETS, st.integers())
def test_same_hosts_and_seed_give_the_same_plan_in_whatever_order_they_come(kinds, seed):
    hosts, parsed = fleet(kinds), tiers_of(3, [100])
    assert plan.make_plan(hosts, parsed, 5, seed) == plan.make_plan(hosts[::-1], parsed, 5, str(seed))


UPTIMES = st.sampled_from([None, 0, 60, plan.STEADY - 1, plan.STEADY, 1e7])


@SETTINGS
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), UPTIMES), min_size=1, max_size=80), st.integers(1, 20))
def test_a_host_that_booted_lately_is_in_the_first_tier_only_where_its_cohort_has_no_other(kinds, canary):
    hosts = [dict(host, uptime_seconds=kind[2]) for host, kind in zip(fleet([kind[:2] for kind in kinds]), kinds)]
    planned, notes = plan.make_plan(hosts, tiers_of(canary, []), 5, 1)
    plain = make([kind[:2] for kind in kinds], tiers_of(canary, []))
    first, later = planned[0]["hosts"], [host for tier in planned[1:] for host in tier["hosts"]]
    short = {host["cohort"] for host in first if not (host["uptime_seconds"] is None or host["uptime_seconds"] >= plan.STEADY)}
    fit = {host["cohort"] for host in later if host["uptime_seconds"] is None or host["uptime_seconds"] >= plan.STEADY}
    assert not short & fit
    assert [host["cohort"] for host in first] == [host["cohort"] for host in plain[0]["hosts"]]
    assert sorted(host["name"] for host in first + later) == sorted(host["name"] for host in hosts)
    moved = len({host["name"] for host in first} - {host["name"] for host in plain[0]["hosts"]})
    assert [int(note.split()[0]) for note in notes if "in the first tier instead" in note] == ([moved] if moved else [])


def test_one_of_the_same_domain_takes_the_place_of_a_host_that_booted_lately():
    hosts = [dict(host, uptime_seconds=1e6) for host in fleet([("a", number // 10) for number in range(100)])]
    before = plan.make_plan(hosts, tiers_of(5, []), 5, 1)[0][0]["hosts"]
    for host in before:
        host["uptime_seconds"] = 600
    after = plan.make_plan(hosts, tiers_of(5, []), 5, 1)[0][0]["hosts"]
    assert [host["domain"] for host in after] == [host["domain"] for host in before]
    assert not {host["name"] for host in after} & {host["name"] for host in before}


def test_behind_the_first_tier_hosts_that_booted_lately_are_everywhere_alike():
    kinds, early, late = [("a", number // 10) for number in range(100)], 0, 0
    for seed in range(200):
        hosts = [dict(host, uptime_seconds=60 if number % 5 == 0 else 1e6) for number, host in enumerate(fleet(kinds))]
        rest = plan.make_plan(hosts, tiers_of(20, []), 5, seed)[0][1]["hosts"]
        short = [host["uptime_seconds"] == 60 for host in rest]
        early, late = early + sum(short[:20]), late + sum(short[-20:])
    assert abs(early - late) < 60, "of about 1000 in each"


def test_a_group_that_goes_first_keeps_its_hosts_whenever_they_booted():
    tiers = plan.parse_tiers([{"name": "rc", "group": "rc"}, {"name": "rest", "share": "100%"}], 1)
    hosts = [dict(host, uptime_seconds=60 if number < 3 else 1e6) for number, host in enumerate(fleet([("a", 0)] * 10))]
    planned, notes = plan.make_plan(hosts, tiers, 5, 1, groups={"rc": ["h0", "h1", "h2"]})
    assert sorted(host["name"] for host in planned[0]["hosts"]) == ["h0", "h1", "h2"] and not notes


def test_a_fleet_that_has_all_booted_lately_is_planned_as_one_that_has_not():
    kinds = [("ab"[number % 2], number // 10) for number in range(60)]
    hosts = [dict(host, uptime_seconds=60) for host in fleet(kinds)]
    assert names(plan.make_plan(hosts, tiers_of(8, []), 5, 1)[0]) == names(make(kinds, tiers_of(8, [])))


def test_another_seed_gives_another_plan():
    assert names(make([("a", 0)] * 50, seed=1)) != names(make([("a", 0)] * 50, seed=2))


@SETTINGS
@given(FLEETS, st.integers(1, 20), SHARES)
def test_shares_are_cumulative_over_all_tiers_before(kinds, canary, shares):
    covered = 0
    by_name = {tier["name"]: len(tier["hosts"]) for tier in make(kinds, tiers_of(canary, shares))}
    for tier in tiers_of(canary, shares):
        covered += by_name.get(tier["name"], 0)
        if tier["way"] == "share":
            assert covered == max(values.of(tier["amount"], len(kinds)), min(canary, len(kinds)))


def test_no_slice_holds_a_whole_rack_although_names_are_sorted_by_rack():
    tiers = make([("a", number // 40) for number in range(400)], tiers_of(4, []), size=40)
    rest = tiers[1]["hosts"]
    for start in range(0, len(rest) - 40, 40):
        assert max(Counter(host["domain"] for host in rest[start : start + 40]).values()) <= 8


def test_many_small_domains_do_not_meet_in_the_middle():
    kinds = [("a", 0)] * 100 + [("a", number) for number in range(1, 101)]
    hosts = plan.order(fleet(kinds), 5)
    for start in range(0, 200, 40):
        assert 8 <= sum(host["domain"] == "0" for host in hosts[start : start + 40]) <= 32


@pytest.mark.parametrize(
    "total, size, found",
    [
        (10, 4, [4, 4, 2]),
        (10, "25%", [2, 2, 2, 2, 2]),
        (2, "25%", [1, 1]),
        (1, "100%", [1]),
        (2000, "25%", [250] * 8),
        (600, 500, [500, 100]),
    ],
)
def test_slices_are_counts_or_shares_and_a_share_never_means_more_than_250_hosts(total, size, found):
    assert plan.slices(total, values.count_or_share(size, "slice")) == found


def test_a_group_tier_has_the_hosts_of_its_group_and_no_other_tier_has_them():
    tiers = plan.parse_tiers(
        [{"name": "one", "hosts": 2}, {"name": "rc", "group": "rc"}, {"name": "rest", "share": "100%"}], 1
    )
    found = names(make([("a", 0)] * 10, tiers, groups={"rc": ["h0", "h1", "h2", "elsewhere"]}))
    assert sorted(found[1]) == ["h0", "h1", "h2"]
    assert not set(found[0]) & {"h0", "h1", "h2"}


def test_max_share_caps_a_count_on_a_small_fleet_but_leaves_one_host():
    tiers = plan.parse_tiers(
        [{"name": "canary", "hosts": 12, "max_share": "10%"}, {"name": "rest", "share": "100%"}], 1
    )
    assert [len(tier) for tier in names(make([("a", 0)] * 50, tiers))] == [5, 45]
    assert [len(tier) for tier in names(make([("a", 0)] * 5, tiers))] == [1, 4]


def test_a_tier_that_adds_no_host_is_skipped_and_said_and_the_next_is_the_first():
    tiers = plan.parse_tiers([{"name": "tiny", "share": "1%"}, {"name": "rest", "share": "100%"}], 3)
    planned, notes = plan.make_plan(fleet([("a", 0)] * 5), tiers, 5, 1)
    assert [(tier["number"], tier["name"], tier["max_failures"]) for tier in planned] == [(1, "rest", 0)]
    assert notes == ["tier tiny adds no host and is skipped"]


def test_the_first_tier_tolerates_none_and_later_ones_their_share_rounded_down():
    tiers = plan.parse_tiers(
        [{"name": "a", "hosts": 10}, {"name": "b", "share": "50%"}, {"name": "c", "share": "100%", "max_failures": 7}],
        "5%",
    )
    assert [tier["max_failures"] for tier in make([("a", 0)] * 100, tiers)] == [0, 2, 7]


@pytest.mark.parametrize(
    "tiers, message",
    [
        ([], "expected a list of at least one tier"),
        ("canary", "expected a list of at least one tier"),
        (None, "expected a list of at least one tier"),
        (["canary"], "expected a dictionary"),
        ([{"name": "t", "share": "100%"}] * 101, "has 101 tiers: expected at most 100"),
        ([{"name": "t"}], "gives no hosts: expected exactly one of hosts, share, group"),
        ([{"name": "t", "hosts": 1, "share": "100%"}], "gives hosts and share"),
        ([{"name": "t", "share": "100%", "sock": "4h"}], "unknown key 'sock'"),
        ([{"share": "100%"}], "The name of tier 1, None is not a name"),
        ([{"name": "a/b", "share": "100%"}], "is not a name"),
        ([{"name": "t", "hosts": 1}, {"name": "t", "share": "100%"}], "Two tiers are called 't'"),
        ([{"name": "t", "hosts": 0}], "hosts is 0: expected a count of at least 1"),
        ([{"name": "t", "hosts": "5%"}], "expected a count of at least 1"),
        ([{"name": "t", "share": 5}], "expected a share above 0%"),
        ([{"name": "t", "share": "0%"}], "expected a share above 0%"),
        ([{"name": "t", "group": 5}], "expected the name of an inventory group"),
        ([{"name": "t", "share": "100%", "max_share": "5%"}], "max_share with share"),
        ([{"name": "t", "share": "100%", "soak": "long"}], "soak is 'long'"),
        ([{"name": "t", "hosts": 1}, {"name": "u", "share": "100%", "max_failures": "x"}], "max_failures is 'x'"),
        ([{"name": "t", "share": "100%", "max_failures": 1}], "the first tier tolerates no failure"),
        ([{"name": "t", "share": "50%"}, {"name": "u", "share": "50%"}], "they must rise"),
        ([{"name": "t", "share": "50%"}, {"name": "u", "share": "20%"}], "they must rise"),
        ([{"name": "t", "share": "50%"}], "the last must be 100%"),
    ],
)
def test_tiers_that_make_no_sense_are_refused_with_the_reason(tiers, message):
    with pytest.raises(RolloutError, match=message):
        plan.parse_tiers(tiers, "1%")


@pytest.mark.parametrize(
    "tiers, message",
    [
        ([{"name": "t", "hosts": 2}], "The tiers cover 2 of 4 hosts"),
        ([{"name": "t", "group": "nope"}], "group 'nope', which the inventory does not have"),
        ([{"name": "t", "group": "empty"}], "group 'empty' has none of the hosts"),
        ([{"name": "t", "group": "foreign"}], "group 'foreign' has none of the hosts"),
        ([{"name": "t", "group": "one"}, {"name": "u", "group": "two"}], "Host h1 is in two tiers, 't' and 'u'"),
    ],
)
def test_tiers_that_do_not_fit_the_fleet_are_refused_with_the_reason(tiers, message):
    groups = {"one": ["h0", "h1"], "two": ["h1", "h2"], "empty": [], "foreign": ["elsewhere"]}
    with pytest.raises(RolloutError, match=message):
        make([("a", 0)] * 4, plan.parse_tiers(tiers, 1), groups=groups)


def test_a_group_whose_hosts_all_run_the_release_already_is_skipped_not_refused():
    tiers = plan.parse_tiers([{"name": "rc", "group": "rc"}, {"name": "rest", "share": "100%"}], 1)
    assert len(make([("a", 0)] * 4, tiers, groups={"rc": ["done"]}, already=["done"])) == 1


@pytest.mark.parametrize("more", [[], ["done"]])
def test_a_first_tier_of_a_group_whose_hosts_are_down_is_refused_by_their_names(more):
    tiers = plan.parse_tiers([{"name": "rc", "group": "rc"}, {"name": "rest", "share": "100%"}], 1)
    with pytest.raises(RolloutError, match=r"No host of the first tier 'rc' \(group 'rc'\) can be patched now: down1, down2 cannot"):
        make([("a", 0)] * 4, tiers, groups={"rc": ["down1", "down2", *more]}, excluded=["down1", "down2"], already=more)


def test_a_first_tier_of_a_group_of_which_some_hosts_are_down_is_made_of_the_others():
    tiers = plan.parse_tiers([{"name": "rc", "group": "rc"}, {"name": "rest", "share": "100%"}], 1)
    planned = make([("a", 0)] * 4, tiers, groups={"rc": ["down", "h2"]}, excluded=["down"])
    assert names(planned)[0] == ["h2"]


def test_a_group_is_the_first_tier_too_where_those_before_it_run_the_release_already():
    tiers = [{"name": "rc", "group": "rc"}, {"name": "beta", "group": "beta"}, {"name": "rest", "share": "100%"}]
    groups = {"rc": ["done"], "beta": ["down"]}
    with pytest.raises(RolloutError, match="No host of the first tier 'beta'"):
        make([("a", 0)] * 4, plan.parse_tiers(tiers, 1), groups=groups, excluded=["down"], already=["done"])


def test_a_later_tier_of_a_group_whose_hosts_are_down_is_skipped():
    tiers = plan.parse_tiers([{"name": "first", "hosts": 1}, {"name": "rc", "group": "rc"}, {"name": "rest", "share": "100%"}], 1)
    planned = make([("a", 0)] * 4, tiers, groups={"rc": ["down"]}, excluded=["down"])
    assert [tier["name"] for tier in planned] == ["first", "rest"]
