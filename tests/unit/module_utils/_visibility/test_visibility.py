# Keeping the livepatches of a host visible: what is written, what is refused, and what is taken back.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import json
import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files import etc
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import visibility
from tests.unit.fakes.configfs import Configfs
from tests.unit.fakes.systemd import SystemdHost

INSTALLED = [
    "etc/ansible/facts.d/livepatch.fact",
    "etc/livepatch/livepatch.fact",
    "etc/livepatch/visibility.json",
    "etc/systemd/system/livepatch-publish.service",
    "etc/systemd/system/livepatch-publish.timer",
]
LINKS = [
    "etc/systemd/system/multi-user.target.wants/livepatch-publish.service",
    "etc/systemd/system/timers.target.wants/livepatch-publish.timer",
]
STATE = ["run/livepatch/active", "run/livepatch/effective-release"]


class Host(SystemdHost):
    """A host with systemd that runs hotfix1."""

    links = LINKS

    def __init__(self, root):
        super(Host, self).__init__(root)
        self.directory("textfiles")
        self.insert("hotfix1", transition=0)

    def run_command(self, argv, **unused):
        if argv[0] == "/sbin/modprobe":
            self.commands.append(argv)
            return 1, "", "not found"
        return super(Host, self).run_command(argv)

    def show(self, check_mode=False, **options):
        params = {
            "state": "present",
            "fact": True,
            "fact_directory": "/etc/ansible/facts.d",
            "textfile_directory": None,
        }
        params["netconsole_targets"] = None
        run = visibility.Run(dict(params, **options), self.run_command, check_mode, "/usr/bin/python3", self.root)
        result = run.execute()
        self.warnings = run.warnings
        return result

    def files(self):
        found = []
        for parent, dummy, names in os.walk(self.root):
            here = os.path.relpath(parent, self.root)
            found += [os.path.join(here, name) for name in names if here.startswith(("etc", "run/livepatch", "text"))]
        return sorted(found)

    def content(self, path):
        with open(os.path.join(self.root, path)) as stream:
            return stream.read()


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def test_check_real_again_and_again_in_check(host):
    before = host.files()
    predicted = host.show(check_mode=True)
    assert host.files() == before and host.commands == []
    done = host.show()
    assert predicted == done and done["changed"]
    words = [command[0] for command in host.commands]
    assert words == ["daemon-reload", "start", "restart", "enable"], "it is seen to work before it is relied on"
    assert host.files() == sorted(INSTALLED + LINKS + STATE)
    assert done["active"] == ["hotfix1\tenabled\t" + "11" * 20] and done["effective_release"].endswith("-hotfix1")
    assert done["kept_by"] == "livepatch-publish.timer"
    assert not host.show()["changed"] and not host.show(check_mode=True)["changed"]


def test_the_program_may_be_executed_and_its_unit_names_the_interpreter_of_the_host(host):
    host.show()
    for path in INSTALLED[:2]:
        assert os.stat(os.path.join(host.root, path)).st_mode & 0o777 == 0o755
    unit = host.content("etc/systemd/system/livepatch-publish.service")
    assert "ExecStart=/usr/bin/python3 -I /etc/livepatch/livepatch.fact publish\n" in unit
    assert ["enable", "livepatch-publish.service", "livepatch-publish.timer"] in host.commands
    assert ["start", "livepatch-publish.service"] in host.commands


def test_a_program_that_others_could_replace_is_refused(host):
    host.directory("etc/ansible/facts.d")
    os.chmod(os.path.join(host.root, "etc/ansible/facts.d"), 0o777)
    with pytest.raises(LivepatchError) as refused:
        host.show(check_mode=True)
    assert refused.value.code == "insecure_path" and "facts.d" in refused.value.message


def test_all_of_it_can_be_taken_back(host):
    host.show(textfile_directory="/textfiles")
    assert "textfiles/livepatch.prom" in host.files()
    predicted = host.show(check_mode=True, state="absent")
    done = host.show(state="absent")
    assert predicted == done and done["changed"] and done["kept_by"] is None
    assert host.files() == []
    assert not host.show(state="absent")["changed"]


def test_metrics_move_with_their_directory_and_go_when_nobody_wants_them(host):
    host.directory("others")
    host.show(textfile_directory="/textfiles")
    assert json.loads(host.content("etc/livepatch/visibility.json"))["textfile_directory"] == "/textfiles"
    assert host.show(textfile_directory="/others")["changed"]
    assert os.listdir(os.path.join(host.root, "textfiles")) == []
    assert os.listdir(os.path.join(host.root, "others")) == ["livepatch.prom"]
    assert host.show()["changed"]
    assert os.listdir(os.path.join(host.root, "others")) == []


def test_the_fact_can_be_left_out_and_lie_elsewhere(host):
    host.show(fact_directory="/etc/facts")
    assert "etc/facts/livepatch.fact" in host.files()
    host.show(fact=False, fact_directory="/etc/facts")
    assert "etc/facts/livepatch.fact" not in host.files()
    host.show(fact_directory="/etc/facts")
    host.show()
    assert "etc/facts/livepatch.fact" not in host.files() and "etc/ansible/facts.d/livepatch.fact" in host.files()
    host.show(fact_directory="/etc/facts")
    host.show(state="absent")
    assert host.files() == [], "also where it was put another time"


def test_a_directory_of_metrics_that_is_not_there_is_refused_before_anything_is_written(host):
    with pytest.raises(LivepatchError) as caught:
        host.show(textfile_directory="/var/lib/nowhere")
    assert caught.value.code == "not_found" and "/var/lib/nowhere" in caught.value.message
    assert host.files() == []


def test_without_systemd_the_files_are_written_once_and_a_warning_says_so(host):
    os.rmdir(os.path.join(host.root, "run/systemd/system"))
    done = host.show()
    assert done["kept_by"] is None and host.commands == []
    assert host.files() == sorted(INSTALLED[:3] + STATE)
    assert "without systemd" in host.warnings[0] and "/etc/livepatch/livepatch.fact publish" in host.warnings[0]
    assert not host.show()["changed"]


def test_a_unit_that_cannot_be_enabled_is_a_failure_with_its_reason(host):
    host.refuses = (1, "", "Failed to enable unit: masked")
    with pytest.raises(LivepatchError) as caught:
        host.show()
    assert caught.value.code == "systemctl_failed" and "masked" in caught.value.message


@pytest.mark.parametrize("number, code", [(errno.EACCES, "not_permitted"), (errno.EROFS, "write_failed")])
def test_what_cannot_be_written_is_a_failure_that_names_it(host, monkeypatch, number, code):
    def refuse(root, path, content, mode):
        raise OSError(number, os.strerror(number), "/" + path)

    monkeypatch.setattr(etc, "write", refuse)
    with pytest.raises(LivepatchError) as caught:
        host.show()
    assert caught.value.code == code and "/etc/livepatch/livepatch.fact" in caught.value.message


def test_a_file_that_somebody_has_changed_is_put_right(host):
    host.show()
    host.text("etc/livepatch/livepatch.fact", "#!/bin/sh\n")
    done = host.show()
    assert done["changed"] and done["diff"]["before"]["files"] == {"/etc/livepatch/livepatch.fact": "other content"}
    assert not host.show()["changed"]


# As the module's options come, with what is not given.
TARGET = {"name": "dc1", "dev_name": "eth0", "remote_ip": "10.0.2.2", "local_ip": None, "remote_mac": None}
TARGET.update(local_port=6665, remote_port=6666)


@pytest.fixture
def configfs(tmp_path, monkeypatch):
    class Both(Host, Configfs):
        def __init__(self, root):
            Host.__init__(self, root)
            self.begin(monkeypatch)

    return Both(tmp_path)


def test_targets_of_netconsole_are_predicted_set_up_kept_and_taken_back(configfs):
    wanted = {"netconsole_targets": [TARGET]}
    predicted = configfs.show(check_mode=True, **wanted)
    assert configfs.written == [] and predicted["changed"] and predicted["netconsole"] == []
    done = configfs.show(**wanted)
    assert done["diff"] == predicted["diff"] and done["diff"]["after"]["netconsole_targets"] == ["dc1"]
    assert done["netconsole"] == [
        {"name": "livepatch-dc1", "enabled": True, "remote_ip": "10.0.2.2", "how": "userdata"}
    ]
    assert not configfs.show(**wanted)["changed"] and not configfs.show(check_mode=True, **wanted)["changed"]
    unit = configfs.content("etc/systemd/system/livepatch-publish.service")
    assert "ExecStartPre=-/sbin/modprobe -q netconsole\nExecStart=" in unit
    assert "PrivateNetwork" not in unit, "there the interface of the target would not be"
    configfs.text("sys/kernel/config/netconsole/livepatch-dc1/enabled", "0")
    assert configfs.show(**wanted)["changed"], "somebody has switched it off"
    kept = configfs.show(textfile_directory="/textfiles")
    assert [target["name"] for target in kept["netconsole"]] == ["livepatch-dc1"], "what is not said stays as it is"
    gone = configfs.show(state="absent")
    assert gone["changed"] and gone["netconsole"] is None
    assert os.listdir(os.path.join(configfs.root, "sys/kernel/config/netconsole")) == []


def test_a_target_that_cannot_be_set_up_yet_is_told_and_tried_again_by_the_timer(configfs):
    configfs.text("sys/class/net/eth1/flags", "0x1002")
    targets, systemctl = [dict(TARGET, name="down", dev_name="eth1"), TARGET], configfs.run_command
    # The service fails for the same reason.
    configfs.run_command = lambda argv, **unused: (1, "", "failed") if "start" in argv else systemctl(argv)
    with pytest.raises(LivepatchError) as caught:
        configfs.show(netconsole_targets=targets)
    assert caught.value.code == "netconsole_failed" and "eth1 is not up" in caught.value.message
    assert configfs.commands[-1] == ["enable", "livepatch-publish.service", "livepatch-publish.timer"]
    assert set(STATE) <= set(configfs.files())
    configfs.run_command = systemctl
    configfs.text("sys/class/net/eth1/flags", "0x1003")
    assert configfs.show(netconsole_targets=targets)["changed"]
    assert not configfs.show(netconsole_targets=targets)["changed"]


def test_targets_are_kept_as_the_kernel_shows_them(configfs):
    configfs.show(netconsole_targets=[dict(TARGET, remote_ip="2001:DB8:0::1", remote_mac="AA:BB:CC:DD:EE:FF")])
    (found,) = json.loads(configfs.content("etc/livepatch/visibility.json"))["netconsole_targets"]
    assert (found["remote_ip"], found["remote_mac"], found["remote_port"]) == ("2001:db8::1", "aa:bb:cc:dd:ee:ff", 6666)


def test_targets_of_others_are_none_of_its_business_where_netconsole_was_not_asked_for(configfs):
    configfs.make(os.path.join(configfs.root, "sys/kernel/config/netconsole/livepatch-theirs"))
    configfs.make(os.path.join(configfs.root, "sys/kernel/config/netconsole/livepatch-theirs/userdata/livepatch"))
    configfs.show()
    assert not configfs.show()["changed"]
    configfs.show(state="absent")
    assert configfs.read("livepatch-theirs", "userdata", "livepatch", "value") == "" and configfs.written == []


def test_where_there_is_no_netconsole_that_is_said_before_anything_is_written(host):
    with pytest.raises(LivepatchError) as caught:
        host.show(netconsole_targets=[TARGET])
    assert caught.value.code == "netconsole_missing" and "not supported here" in caught.value.message
    assert host.files() == [] and host.commands == [["/sbin/modprobe", "netconsole"]]
    assert host.show(check_mode=True, netconsole_targets=[TARGET])["changed"], "check mode loads no module"
