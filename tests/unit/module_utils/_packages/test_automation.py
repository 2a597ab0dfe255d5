# What patches a host by itself: read from its timers, cron jobs and plugins of dnf, and held back in /run.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import automation, hold

UNITS = "usr/lib/systemd/system"
# As the packages of these programs have them: the line that counts.
COMMANDS = {
    "dnf-automatic": "/usr/bin/dnf-automatic /etc/dnf/automatic.conf --timer",
    "dnf-automatic-install": "/usr/bin/dnf-automatic /etc/dnf/automatic.conf --timer --installupdates",
    "dnf-automatic-notifyonly": "/usr/bin/dnf-automatic /etc/dnf/automatic.conf --timer --no-installupdates --no-downloadupdates",
    "dnf5-automatic": "/usr/bin/dnf5 automatic --timer",
    "tdnf-automatic-install": "/usr/bin/tdnf-automatic -c /etc/tdnf/automatic.conf --timer --install",
    "os-update": "/usr/libexec/os-update",
    "transactional-update": "/usr/sbin/transactional-update cleanup ${UPDATE_METHOD} reboot",
    "transactional-update-cleanup": "/usr/sbin/transactional-update cleanup",
    "nightly": "/usr/bin/zypper --non-interactive patch --category security",
    "dnf-makecache": "/usr/bin/dnf makecache --timer",
    "kpatches": "-/usr/bin/dnf -y upgrade kpatch-patch-*",
}
NOW = 1800000000.0


@pytest.fixture
def root(tmp_path):
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return str(tmp_path)


def put(root, path, text="", link=None):
    place = os.path.join(root, path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    if link is not None:
        os.symlink(link, place)
        return
    with open(place, "w") as stream:
        stream.write(text)


def timer(root, name, enabled=True, units=UNITS, command=None, unit=""):
    put(root, "%s/%s.timer" % (units, name), "[Timer]\nOnCalendar=daily\n%s\n[Install]\nWantedBy=timers.target\n" % unit)
    put(root, "%s/%s.service" % (units, name), "[Service]\nType=oneshot\nExecStart=%s\n" % (command or COMMANDS[name]))
    if enabled:
        put(root, "etc/systemd/system/timers.target.wants/%s.timer" % name, link="/%s/%s.timer" % (units, name))


def silent(command, most, seconds):
    return 1, b""


def find(root, ask=silent):
    return [
        (one.by, one.configured_in, one.timer, one.applies) for one in automation.find(root, ask=ask, now=lambda: NOW)
    ]


def test_a_host_that_nothing_patches_has_nothing_and_starts_no_process(root):
    for name in ("dnf-makecache", "transactional-update-cleanup", "dnf-automatic-notifyonly"):
        timer(root, name)
    timer(root, "dnf-automatic-install", enabled=False)
    put(root, "etc/cron.daily/logrotate", "#!/bin/sh\n/usr/sbin/logrotate /etc/logrotate.conf\n# dnf -y upgrade\n")
    put(root, "etc/cron.d/report", "0 5 * * * root dnf check-update; zypper list-patches; zypper patch --dry-run\n")
    put(root, "etc/dnf/plugins/kpatch.conf", "[main]\nenabled=1\nautoupdate = False\nautofilter = False\n")
    assert find(root, ask=None) == []


@pytest.mark.parametrize(
    "name, files, found",
    [
        ("dnf-automatic", {"etc/dnf/automatic.conf": "[commands]\napply_updates = no\n"}, None),
        ("dnf-automatic", {}, None),
        (
            "dnf-automatic",
            {"etc/dnf/automatic.conf": "[commands]\n# apply_updates = no\napply_updates = yes\nupgrade_type = security\n"},
            ("dnf-automatic", "/etc/dnf/automatic.conf", "security"),
        ),
        (
            "dnf-automatic-install",
            {"etc/dnf/automatic.conf": "[commands]\napply_updates = no\nupgrade_type = default\n[base]\nupgrade_type = security\n"},
            ("dnf-automatic", "/etc/dnf/automatic.conf", "all"),
        ),
        (
            "dnf5-automatic",
            {
                "usr/share/dnf5/dnf5-plugins/automatic.conf": "[commands]\napply_updates = no\nupgrade_type = security\n",
                "etc/dnf/automatic.conf": "[commands]\napply_updates=True\n",
            },
            ("dnf5-automatic", "/etc/dnf/automatic.conf", "security"),
        ),
        ("dnf5-automatic", {"usr/share/dnf5/dnf5-plugins/automatic.conf": "[commands]\napply_updates = no\n"}, None),
        (
            "tdnf-automatic-install",
            {"etc/tdnf/automatic.conf": "[commands]\nupgrade_type = all\n"},
            ("tdnf-automatic", "/etc/tdnf/automatic.conf", "all"),
        ),
        ("os-update", {"usr/etc/os-update.conf": 'UPDATE_CMD="auto"\n'}, ("os-update", "/etc/os-update.conf", "all")),
        (
            "os-update",
            {"usr/etc/os-update.conf": 'UPDATE_CMD="auto"\n', "etc/os-update.conf": 'UPDATE_CMD="security"\n'},
            ("os-update", "/etc/os-update.conf", "security"),
        ),
        ("transactional-update", {}, ("transactional-update", "/etc/transactional-update.conf", "all")),
        ("nightly", {}, ("zypper", "/usr/lib/systemd/system/nightly.service", "security")),
        ("kpatches", {}, ("dnf", "/usr/lib/systemd/system/kpatches.service", "livepatches")),
    ],
)
def test_a_timer_patches_when_its_command_and_its_settings_say_so(root, name, files, found):
    timer(root, name)
    for path, text in files.items():
        put(root, path, text)
    assert find(root) == ([] if found is None else [(found[0], found[1], name + ".timer", found[2])])


def test_a_timer_that_is_masked_does_not_patch_and_one_with_two_names_counts_once(root):
    timer(root, "dnf-automatic-install")
    put(root, "etc/systemd/system/dnf-automatic-install.timer", link="/dev/null")
    timer(root, "dnf5-automatic")
    put(root, UNITS + "/dnf-automatic.timer", link="dnf5-automatic.timer")
    put(root, "etc/systemd/system/timers.target.wants/dnf-automatic.timer", link="/%s/dnf-automatic.timer" % UNITS)
    put(root, "etc/dnf/automatic.conf", "[commands]\napply_updates = yes\n")
    assert [row[2] for row in find(root)] == ["dnf5-automatic.timer"]


def test_a_timer_may_start_a_service_of_another_name(root):
    timer(root, "nightly", unit="Unit=patching.service")
    put(root, UNITS + "/patching.service", "[Service]\nExecStart=-/usr/bin/dnf -y --security upgrade\n")
    assert find(root) == [("dnf", "/usr/lib/systemd/system/patching.service", "nightly.timer", "security")]
    assert automation.service_of(root, "nightly.timer") == "patching.service"


@pytest.mark.parametrize(
    "path, text, found",
    [
        ("etc/cron.d/patch", "17 3 * * 0 root /usr/bin/zypper -n patch\n", ("zypper", "all")),
        ("etc/cron.weekly/patch", "#!/bin/sh\nzypper ref && zypper -n patch -g security\n", ("zypper", "security")),
        ("etc/crontab", "0 4 * * * root yum -y update --security >/dev/null 2>&1\n", ("yum", "security")),
        ("var/spool/cron/root", "@daily dnf -y install kernel-livepatch-$(uname -r)\n", ("dnf", "livepatches")),
        ("var/spool/cron/tabs/root", "0 0 * * * dnf kernel-livepatch auto -y\n", ("dnf", "livepatches")),
        ("etc/cron.daily/hot", "dnf hotupgrade -y\n", ("dnf", "livepatches")),
        ("etc/cron.daily/mgr", "livepatch-mgr update\n", ("livepatch-mgr", "livepatches")),
        ("etc/cron.daily/install", "dnf -y install vim\n", None),
        ("etc/cron.daily/says", "echo 'please update zypper'\n", None),
    ],
)
def test_a_cron_job_patches_when_it_runs_a_package_manager_for_that(root, path, text, found):
    put(root, path, text)
    assert find(root, ask=None) == ([] if found is None else [(found[0], "/" + path, "/" + path, found[1])])


def test_the_online_update_of_yast_is_a_link_among_the_cron_jobs(root):
    put(root, "etc/cron.weekly/opensuse.org-online_update", link="/usr/lib/YaST2/bin/online_update")
    put(root, "etc/sysconfig/automatic_online_update", 'AOU_PATCH_CATEGORIES="security"\nAOU_ENABLE_CRONJOB="true"\n')
    where = "/etc/cron.weekly/opensuse.org-online_update"
    assert find(root) == [("yast-online-update", "/etc/sysconfig/automatic_online_update", where, "security")]


@pytest.mark.parametrize("by, path", [("kpatch-dnf", "kpatch"), ("kernel-livepatch-dnf", "kernel-livepatch")])
def test_a_plugin_of_dnf_that_adds_livepatches_is_told_without_a_timer(root, by, path):
    put(root, "etc/dnf/plugins/%s.conf" % path, "[main]\nautoupdate = True\n")
    assert find(root, ask=None) == [(by, "/etc/dnf/plugins/%s.conf" % path, None, "livepatches")]


@pytest.mark.parametrize(
    "said, found",
    [
        (b"NextElapseUSecRealtime=Tue 2026-12-01 06:12:31 UTC\nId=nightly.timer\n", "2026-12-01T06:12:31Z"),
        (b"Id=nightly.timer\nNextElapseUSecRealtime=\n", None),
        (b"Id=nightly.timer\nNextElapseUSecRealtime=Tue 2026-13-41 06:12:31 UTC\n", None),
        (b"\xff\xfe garbage\n\nId=other.timer\nNextElapseUSecRealtime=Tue 2026-12-01 06:12:31 UTC\n", None),
    ],
)
def test_systemd_is_asked_when_the_timer_comes_next(root, said, found):
    timer(root, "nightly")
    asked = []

    def ask(command, most, seconds):
        asked.append(command)
        return 0, said

    assert [one.next_run for one in automation.find(root, ask=ask)] == [found]
    assert asked == [
        ["env", "TZ=UTC", "systemctl", "show", "--property=Id,NextElapseUSecRealtime", "--", "nightly.timer"]
    ]


def test_a_systemctl_that_is_not_there_leaves_the_next_run_unknown(root):
    timer(root, "nightly")

    def ask(command, most, seconds):
        raise OSError("no such program")

    assert [one.next_run for one in automation.find(root, ask=ask)] == [None]


def test_what_is_found_is_bounded_whatever_lies_there(root):
    for number in range(300):
        put(root, "etc/cron.d/%03d" % number, "0 0 * * * root dnf -y upgrade\n" + "x" * 100000)
    os.mkdir(os.path.join(root, "etc/cron.d/directory"))
    put(root, "etc/cron.d/bytes", "\x00\udcff" .encode("utf-8", "surrogateescape").decode("latin-1"))
    assert len(find(root, ask=None)) == 20


# --- holding back ---------------------------------------------------------------------------------------------------------


class Systemctl:
    """Stands for AnsibleModule.run_command with a systemd that knows the drop-ins below a root when it was told to reload."""

    def __init__(self, root, knows=True, states=None):
        self.root, self.knows, self.states, self.calls, self.loaded = root, knows, states or {}, [], {}

    def __call__(self, command, handle_exceptions=True):
        words = [word for word in command if word != "--quiet"]
        self.calls.append(words[1])
        if words[1] == "daemon-reload":
            self.loaded = {}
            for name in os.listdir(os.path.join(self.root, "run/systemd/system")):
                path = os.path.join(self.root, "run/systemd/system", name, "50-livepatch-held.conf")
                if os.path.exists(path) and self.knows:
                    self.loaded[name[:-2]] = open(path).read().rpartition("ExecCondition=")[2]
            return 0, "", ""
        parts = []
        for service in words[words.index("--") + 1 :]:
            state = self.states.get(service, "inactive")
            parts.append("Id=%s\nActiveState=%s\n" % (service, state))
            if service in self.loaded:
                parts[-1] += "ExecCondition={ argv[]=%s }\n" % self.loaded[service].strip()
        return 0, "\n".join(parts), ""


def run(root, seconds, systemctl, check=False, now=NOW):
    one = hold.Run(seconds, systemctl, check, root=root, now=lambda: now)
    return one.execute(), one.warnings


@pytest.fixture
def patched_by_itself(root, monkeypatch):
    monkeypatch.setattr(automation, "_next_runs", lambda ask, names: {})
    timer(root, "nightly")
    put(root, "etc/cron.daily/patch", "zypper -n patch\n")
    return root


def test_a_service_is_held_back_for_a_while_given_back_and_nothing_else_is_touched(patched_by_itself):
    root, systemctl = patched_by_itself, Systemctl(patched_by_itself)
    path = os.path.join(root, "run/systemd/system/nightly.service.d/50-livepatch-held.conf")
    clock = os.path.join(root, "run/livepatch/automation-held")
    check = run(root, 3600, systemctl, check=True)[0]
    assert check["changed"] and not os.path.exists(path) and not os.path.exists(clock) and not systemctl.calls
    real = run(root, 3600, systemctl)[0]
    assert real["changed"] and real["held"] == ["nightly.timer"] and real["not_held"] == ["/etc/cron.daily/patch"]
    assert real["diff"] == check["diff"] and real["held_until"] == "2027-01-15T09:00:00Z"
    assert os.stat(clock).st_mtime == NOW + 3600
    assert open(path).read().splitlines()[-1] == (
        "ExecCondition=/usr/bin/test /run/livepatch/automation-held -ot /proc/self/cmdline"
    )
    assert [one["held_until"] for one in real["automation"]] == ["2027-01-15T09:00:00Z", None]
    again, again_in_check = run(root, 3600, systemctl)[0], run(root, 3600, systemctl, check=True)[0]
    assert not again["changed"] and not again_in_check["changed"] and again["held"] == ["nightly.timer"]
    assert systemctl.calls == ["daemon-reload", "show"]
    given = run(root, 0, systemctl)[0]
    assert given["changed"] and given["held"] == [] and given["held_until"] is None and given["not_held"] == []
    assert not os.path.exists(os.path.dirname(path)) and not os.path.exists(clock)
    assert not run(root, 0, systemctl)[0]["changed"]
    assert os.listdir(os.path.join(root, "etc/systemd/system")) == ["timers.target.wants"]


def test_a_hold_ends_by_itself_when_its_time_is_over_and_a_longer_one_takes_its_place(patched_by_itself):
    root, systemctl = patched_by_itself, Systemctl(patched_by_itself)
    run(root, 3600, systemctl)
    assert run(root, None, systemctl, now=NOW + 3599)[0]["held_until"]
    assert run(root, None, systemctl, now=NOW + 3601)[0]["held_until"] is None
    assert run(root, 3600, systemctl, now=NOW + 1800)[0]["changed"]
    assert os.stat(os.path.join(root, "run/livepatch/automation-held")).st_mtime == NOW + 5400
    assert systemctl.calls.count("daemon-reload") == 1, "the condition is the same"


def test_a_systemd_that_does_not_know_the_condition_holds_nothing_back_and_says_so(patched_by_itself):
    root = patched_by_itself
    with pytest.raises(LivepatchError, match="since version 243") as caught:
        run(root, 3600, Systemctl(root, knows=False))
    assert caught.value.code == "not_held"
    assert not os.path.exists(os.path.join(root, "run/systemd/system/nightly.service.d"))
    assert not os.path.exists(os.path.join(root, "run/livepatch/automation-held"))


def test_a_service_that_runs_right_now_is_not_ended_and_a_warning_tells_of_it(patched_by_itself):
    found, warnings = run(patched_by_itself, 60, Systemctl(patched_by_itself, states={"nightly.service": "activating"}))
    assert found["changed"] and warnings == ["nightly.service runs right now, and is not ended: what it installs may still come."]


def test_a_host_that_nothing_patches_is_left_as_it_is(root):
    found, warnings = run(root, 3600, None)
    assert not found["changed"] and found["held"] == [] and found["not_held"] == [] and not warnings
    assert not os.path.exists(os.path.join(root, "run/livepatch"))
