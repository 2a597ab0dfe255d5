# Tests of what random rollouts have found, each as small as it can be.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import outcomes

from tests.unit.plugin_utils.rollouts import Rollout, good, hosts

UNCHANGED = {"package": {"changed": False, "outcome": "present"}, "apply": {"changed": False, "before": {"enabled": "hotfix3"}}}


def outcome(rollout, name):
    return rollout.state.hosts[name].outcome["outcome"]


def close(rollout, **steps):
    rollout.now += 10
    rollout.write(outcomes.of_slice(rollout.state, lambda name: good(name, **steps), rollout.now))


def test_what_a_dead_controller_had_brought_in_is_this_rollouts_though_the_next_run_finds_nothing_to_change():
    rollout = Rollout(hosts(2))
    unused, names = rollout.begin(1)
    rollout.open(**{name.replace("-", "_"): {"enabled": "hotfix3"} for name in names})
    rollout.begin(1)
    close(rollout, **UNCHANGED)
    assert {outcome(rollout, name) for name in names} == {"patched"}
    assert set(rollout.state.to_roll_back()) == set(names)
