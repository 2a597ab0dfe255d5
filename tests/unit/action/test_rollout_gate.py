# Tests of what rollout_gate does on many hosts, without a run of Ansible.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from types import SimpleNamespace

from ansible_collections.kernel.livepatch.plugins.action import rollout_gate


def test_many_hosts_are_looked_at_a_thousand_in_a_play_and_each_once(monkeypatch):
    names = [f"h{number}" for number in range(2500)]
    world = rollout_gate.World.__new__(rollout_gate.World)
    world.hostvars = set(names[:-1])
    world.current = SimpleNamespace(path="journal", owner={})
    plays = []

    def part(unused, hosts):
        plays.append(list(hosts))
        return {name: {"boot_id": f"boot-{name}"} for name in hosts}

    monkeypatch.setattr(rollout_gate.lock, "take", lambda *unused: None)
    monkeypatch.setattr(rollout_gate, "_forks", lambda: 5)
    monkeypatch.setattr(world, "_play_part", part)
    found = world.look({name: {} for name in names})
    assert [len(hosts) for hosts in plays] == [1000, 1000, 499] and [*plays[0], *plays[1], *plays[2]] == names[:-1]
    assert list(found) == names and found["h0"]["boot_id"] == "boot-h0"
    assert found["h2499"]["unreachable"] is True
