# netconsole's targets in configfs: set up, tagged with the livepatch that runs, and taken away again.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import netconsole, publish
from tests.unit.fakes.configfs import FIRST, TARGETS, Configfs
from tests.unit.fakes.elf import KERNEL


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    return Configfs(tmp_path).begin(monkeypatch)


@pytest.fixture
def old(tmp_path, monkeypatch):
    return Configfs(tmp_path).begin(monkeypatch, userdata=False)


def test_a_target_is_set_up_switched_on_and_its_messages_carry_what_runs(kernel):
    kernel.insert("hotfix1", transition=0)
    kernel.publish()
    told = [kernel.read("livepatch-dc1", name) for name in ("remote_ip", "remote_port", "extended", "release", "enabled")]
    assert told == ["10.0.2.2", "6000", "1", "1", "1"]
    assert kernel.read("livepatch-dc1", "userdata", "livepatch", "value") == "hotfix1"
    assert kernel.written.index(("enabled", "1")) > kernel.written.index(("release", "1"))
    assert netconsole.described(kernel.root) == [
        {"name": "livepatch-dc1", "enabled": True, "remote_ip": "10.0.2.2", "how": "userdata"}
    ]


def test_what_is_so_already_is_left_alone_and_a_change_is_told_at_once(kernel):
    kernel.insert("hotfix1", transition=0)
    kernel.publish()
    kernel.publish()
    assert kernel.written == []
    kernel.insert("addon_a", replace=False)
    kernel.publish()
    assert kernel.written == [("value", "hotfix1,addon_a (patching)")]


@pytest.mark.parametrize("state, words", [("none", "none"), ("leaving", "hotfix1 (unpatching)")])
def test_a_livepatch_that_goes_and_none_at_all_are_told_too(kernel, state, words):
    if state == "leaving":
        kernel.insert("hotfix1", transition=0)
        kernel.write("hotfix1/enabled", "0")
    kernel.publish()
    assert kernel.read("livepatch-dc1", "userdata", "livepatch", "value") == words


def test_the_targets_of_others_are_tagged_and_not_changed(kernel):
    kernel.make(os.path.join(kernel.root, TARGETS, "theirs"))
    kernel.text(TARGETS + "/theirs/extended", "1")
    kernel.text(TARGETS + "/theirs/enabled", "1")
    kernel.publish([])
    assert kernel.written == [("value", "none")]
    assert not netconsole.differs(kernel.root, [])
    netconsole.remove(kernel.root)
    netconsole.untag(kernel.root)
    assert kernel.read("theirs", "enabled") == "1" and kernel.read("theirs", "userdata", "livepatch", "value") is None


def test_of_two_targets_of_others_one_that_is_off_does_not_hide_that_the_other_cannot_carry_it(kernel):
    for name, extended, enabled in (("a", "1", "0"), ("b", "0", "1")):
        kernel.make(os.path.join(kernel.root, TARGETS, name))
        kernel.text(TARGETS + "/%s/extended" % name, extended)
        kernel.text(TARGETS + "/%s/enabled" % name, enabled)
    kernel.publish([])
    assert [place for place, unused in kernel.written] == ["value", "kmsg"]


def test_an_interface_that_is_down_stays_down_and_the_other_targets_are_set_up_all_the_same(kernel):
    kernel.text("sys/class/net/eth1/flags", "0x1002")
    with pytest.raises(LivepatchError) as caught:
        kernel.publish([dict(FIRST, name="down", dev_name="eth1"), dict(FIRST, name="gone", dev_name="eth7"), FIRST])
    assert caught.value.code == "netconsole_failed"
    assert "interface eth1 is not up" in caught.value.message and "eth7" in caught.value.message
    assert netconsole.names(kernel.root) == ["livepatch-dc1"]
    assert kernel.read("livepatch-dc1", "userdata", "livepatch", "value") == "none"


def test_a_marker_that_could_not_be_written_is_written_the_next_time(old):
    place = os.path.join(old.root, "dev/kmsg")
    os.rename(place, place + ".away")
    with pytest.raises(LivepatchError):
        old.publish()
    os.rename(place + ".away", place)
    old.publish()
    assert [place for place, unused in old.written] == ["kmsg"]


def test_an_address_that_is_no_longer_given_is_forgotten(kernel):
    kernel.publish([dict(FIRST, remote_mac="00:11:22:33:44:55", local_ip="10.0.2.15")])
    assert netconsole.differs(kernel.root, [FIRST])
    kernel.publish()
    assert kernel.read("livepatch-dc1", "remote_mac") == netconsole.EVERYBODY
    assert kernel.read("livepatch-dc1", "local_ip") == "0.0.0.0"


def test_another_address_switches_the_target_off_and_on_again(kernel):
    kernel.publish()
    assert netconsole.differs(kernel.root, [dict(FIRST, remote_ip="10.0.2.3")])
    kernel.publish([dict(FIRST, remote_ip="10.0.2.3")])
    assert [entry for entry in kernel.written if entry[0] in ("enabled", "remote_ip")] == [
        ("enabled", "0"),
        ("remote_ip", "10.0.2.3"),
        ("enabled", "1"),
    ]
    assert not netconsole.differs(kernel.root, [dict(FIRST, remote_ip="10.0.2.3")])


def test_a_target_that_is_no_longer_wanted_goes(kernel):
    kernel.publish([FIRST, dict(FIRST, name="dc2")])
    assert netconsole.differs(kernel.root, [FIRST])
    netconsole.remove(kernel.root, ["dc1"])
    assert netconsole.names(kernel.root) == ["livepatch-dc1"] and not netconsole.differs(kernel.root, [FIRST])


def test_where_messages_cannot_carry_it_the_log_is_told_with_each_change_and_only_then(old):
    old.insert("hotfix1", transition=0)
    old.publish()
    marker = ("kmsg", "<5>livepatch-marker: active=hotfix1 release=%s\n" % KERNEL)
    assert marker in old.written and old.read("livepatch-dc1", "release") is None
    assert netconsole.described(old.root)[0]["how"] == "marker"
    old.publish()
    assert old.written == [], "it was told so last"
    old.insert("hotfix2", transition=0)
    old.publish()
    assert [place for place, unused in old.written] == ["kmsg"]


def test_without_a_target_nobody_is_told(old):
    old.publish([])
    assert old.written == [] and netconsole.described(old.root) == []


def test_a_value_is_never_longer_than_the_kernel_takes(kernel):
    for number in range(12):
        kernel.insert("livepatch_with_a_long_name_%02d" % number, transition=0, replace=False)
    kernel.publish()
    assert len(kernel.read("livepatch-dc1", "userdata", "livepatch", "value")) == netconsole.MOST_BYTES


def test_an_attribute_that_is_refused_is_named_with_what_was_written(tmp_path):
    place = tmp_path / "enabled"
    place.mkdir()
    with pytest.raises(OSError):
        netconsole._write(str(place), "1")
    full = "/dev/full"
    with pytest.raises(OSError, match="when '1' was written.*/dev/full"):
        netconsole._write(full, "1")


def test_publishing_tells_netconsole_only_where_that_was_asked_for(kernel):
    publish.publish(kernel.root)
    assert kernel.written == []
    target = '{"name": "dc1", "dev_name": "eth0", "remote_ip": "10.0.2.2"}'
    kernel.text("etc/livepatch/visibility.json", '{"netconsole_targets": [%s]}' % target)
    kernel.insert("hotfix1", transition=0)
    publish.publish(kernel.root)
    assert kernel.read("livepatch-dc1", "userdata", "livepatch", "value") == "hotfix1"
