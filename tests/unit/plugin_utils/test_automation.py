# What patches hosts by itself beside a rollout: told in the plan, held back, and given back.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import rules
from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import messages, summary
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import answers, automation, run

from tests.unit.plugin_utils.rollouts import Rollout, hosts
from tests.unit.plugin_utils.test_run import TIERS, Played

HOUR = 3600
THREE = [{"name": "one", "hosts": 2}, {"name": "some", "share": "20%"}, {"name": "all", "share": "100%"}]
NIGHTLY = {"by": "dnf-automatic", "timer": "dnf-automatic-install.timer", "applies": "security"}
CRON = {"by": "zypper", "timer": "/etc/cron.daily/patch", "applies": "all"}
PLUGIN = {"by": "kpatch-dnf", "timer": None, "applies": "livepatches"}


def rollout(changed, count=12, **options):
    return Rollout(hosts(count), changed=changed, **{"tiers": TIERS, "slice": "50%", "rules": rules.parse({}), **options})


class Held(Played):
    """A fleet that holds back when it is asked to."""

    def __init__(self, *args, troubles=None, says=None):
        super().__init__(*args, troubles=troubles)
        self.says, self.asked = says or {}, []

    def hold(self, wanted):
        self.asked.append(wanted)
        usual = {"changed": True, "held": ["dnf-automatic-install.timer"], "not_held": []}
        return {name: answers.result(self.says.get(name, usual)) for name in wanted}


TWO = {"host_1": {"automation": [NIGHTLY]}, "host_2": {"automation": [NIGHTLY, CRON]}, "host_3": {"automation": [PLUGIN]}}


def test_the_plan_says_which_hosts_patch_themselves_and_what_would_hold_that_back():
    found = rollout(TWO)
    assert found.notes[-3:] == [
        "2 hosts patch themselves (dnf-automatic by dnf-automatic-install.timer, security updates): host-1, host-2",
        "1 host patches itself (zypper by /etc/cron.daily/patch, all updates): host-2",
        "livepatch_hold_automation holds timers back for the time of a rollout",
    ]
    assert summary.summary(found.state, "j")["automation"] == {"hosts": 2, "held": 0}
    assert "patch themselves" in " ".join(messages.status_lines(found.state, "j"))
    assert "livepatch_hold_automation" not in " ".join(rollout(TWO, hold_automation=True).notes)


def test_a_fleet_that_nobody_patches_but_this_rollout_has_no_word_about_it():
    found = rollout({"host_3": {"automation": [PLUGIN]}})
    assert "themselves" not in " ".join([*found.notes, *messages.status_lines(found.state, "j")])
    world = Held(found)
    assert world.go() and world.asked == [] and not [entry for entry in found.entries if entry["kind"] == "held"]


def test_hosts_hold_back_before_any_of_them_is_touched_once_a_run_and_give_back_when_all_tiers_have_passed():
    found = rollout(TWO)
    world = Held(found)
    assert world.go()
    assert [sorted(wanted) for wanted in world.asked] == [["host-1", "host-2"]]
    # The plan takes two hours and a half, a hold eight at most.
    assert all(10.5 * HOUR < seconds < 20 * HOUR for seconds in world.asked[0].values())
    kinds = [entry["kind"] for entry in found.entries]
    assert kinds.index("held") < kinds.index("slice")
    assert summary.summary(found.state, "j")["automation"] == {"hosts": 2, "held": 2}
    run.Run(world, world).give_back()
    assert world.asked[1] == {"host-1": 0, "host-2": 0} and found.state.held == {}
    run.Run(world, world).give_back()
    assert len(world.asked) == 2, "once"


def test_a_host_that_cannot_hold_back_is_named_and_not_asked_again_in_this_run():
    says = {
        "host-1": {"failed": True, "error": "not_held", "msg": "systemd is too old"},
        "host-2": {"unreachable": True, "msg": "no route"},
    }
    found = rollout(TWO)
    world = Held(found, says=says)
    assert world.go() and len(world.asked) == 1
    lines = messages.status_lines(found.state, "j")
    assert "host-1 is not held back: systemd is too old" in lines and "host-2 is not held back: it did not answer" in lines
    assert "is held back until" not in " ".join(lines)


def test_after_a_stop_what_was_stopped_is_held_back_on_until_a_rollback_and_the_message_says_how_to_end_it():
    found = rollout(TWO)
    world = Held(found, troubles={found.tier(1)[0]: lambda host, now: {"events": [{"kind": "oops", "new": True}]}})
    assert not world.go() and found.state.stop
    assert automation.to_give_back(found.state) == {} and automation.to_hold(found.state, found.now) == {}
    message = messages.stop_message(found.state, "/j/web.jsonl")
    assert "What patches 2 hosts without being asked is held back until 19" in message
    assert "kernel.livepatch.livepatch_automation -a hold=0" in message
    found.write([{"kind": "rollback", "user": "ann", "reason": "bad", "hosts": []}])
    assert automation.to_give_back(found.state) == {"host-1": 0, "host-2": 0}


def test_a_host_that_does_not_give_back_is_named_and_asked_again():
    found = rollout(TWO)
    world = Held(found)
    assert world.go()
    world.says = {"host-2": {"unreachable": True, "msg": "no route"}}
    run.Run(world, world).give_back()
    assert list(found.state.held) == ["host-2"]
    words = "host-2 is still holding back what patches the host, until its time is over or it boots: it did not answer"
    assert automation.kept_lines(found.entries[-1]) == [words]
    world.says = {}
    run.Run(world, world).give_back()
    assert world.asked[-1] == {"host-2": 0} and found.state.held == {}


def test_a_later_run_asks_anew_as_a_boot_ends_a_hold_and_gives_back_what_an_earlier_one_has_held():
    found = rollout(TWO)
    world = Held(found)
    assert world.go(1)
    found.open(**TWO)
    again = Held(found)
    assert again.go() and [sorted(wanted) for wanted in again.asked] == [["host-1", "host-2"]]
    found.open(**TWO)
    assert set(automation.to_give_back(found.state)) == {"host-1", "host-2"}, "whatever is asked for now"


def test_a_hold_that_is_about_to_end_is_made_longer_and_none_is_longer_than_the_module_takes():
    found = rollout(TWO, tiers=[{"name": "all", "share": "100%", "soak": "1000h"}])
    wanted = automation.to_hold(found.state, found.now)
    assert set(wanted.values()) == {automation.LONGEST}
    found.write([automation.of_hold({"host-1": 2 * HOUR}, {"host-1": {"held": ["x"]}}, found.now)])
    assert set(automation.to_hold(found.state, found.now)) == {"host-2"}
    assert set(automation.to_hold(found.state, found.now + 1.5 * HOUR)) == {"host-1", "host-2"}


@pytest.mark.parametrize("ran, control", [("6.1.0-1-kpatch_1_5", ""), ("6.1.0-1", "control"), (None, "control")])
def test_a_control_host_that_crashed_of_what_it_had_brought_itself_is_no_control_though_the_boot_took_that_out(ran, control):
    found = Rollout(hosts(60), tiers=THREE, slice="100%", rules=rules.parse({}))
    found.patch(1)
    found.look(1)
    found.patch(2)
    name = found.waiting()[0]
    event = {"kind": "crash", "text": "Kernel panic", "age_seconds": 60, "effective_release": ran}
    boot = {"boot_id": "other", "rebooted": True, "enabled": None, "uptime_seconds": 50, "events": [event]}
    verdict = found.look(2, after=600, **{name.replace("-", "_"): {"look": boot}})
    assert found.state.hosts[name].arm == control
    assert verdict["evidence"]["crashes"]["control"]["incidents"] == (1 if control else 0)


def test_what_a_control_host_had_before_the_plan_does_not_take_it_off_its_arm():
    found = Rollout(hosts(60), tiers=THREE, slice="100%", rules=rules.parse({}))
    found.patch(1)
    name = found.waiting()[0]
    event = {"kind": "crash", "text": "Kernel panic", "age_seconds": 10**6, "effective_release": "6.1.0-1-kpatch_1_5"}
    found.look(1, **{name.replace("-", "_"): {"look": {"enabled": None, "events": [event]}}})
    assert found.state.hosts[name].arm == "control"


@pytest.mark.parametrize("foreign", ["x", {"by": 1}, [1], [{"by": "a\nb"}], [{"by": "a", "timer": 5, "applies": "all"}]])
def test_what_a_host_says_of_it_is_checked(foreign):
    assert "facts that livepatch_facts cannot have given" in answers.facts({"automation": foreign})[1]


def test_a_control_host_that_patches_itself_to_a_newer_build_meanwhile_is_no_control_and_the_verdict_says_so():
    older, newer = "kpatch_5_14_0_162_6_1_1_4", "kpatch_5_14_0_162_6_1_1_5"
    count = 60
    runs = {name.replace("-", "_"): {"enabled": older, "automation": [NIGHTLY]} for name in hosts(count)}
    found = Rollout(hosts(count), changed=runs, tiers=THREE, slice="100%", rules=rules.parse({}))
    found.patch(1)
    found.look(1)
    found.patch(2)
    name = found.waiting()[0]
    assert found.state.hosts[name].arm == "control" and found.state.hosts[name].enabled == older
    itself = {name.replace("-", "_"): {"look": {"enabled": newer, "boot_id": "other", "rebooted": True, "uptime_seconds": 5}}}
    keep = {other.replace("-", "_"): {"look": {"enabled": older}} for other in found.waiting() if other != name}
    verdict = found.look(2, after=600, **keep, **itself)
    assert found.state.hosts[name].arm == "" and name not in found.crashes()
    assert verdict["evidence"]["crashes"]["control"]["incidents"] == 0
    assert "1 hosts that wait have changed their livepatch by another way: not compared with" in " ".join(verdict["reasons"])
