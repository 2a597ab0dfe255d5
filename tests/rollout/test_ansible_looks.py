# What a rollout executes on hosts, and with whose variables: the patch, and the looks, which are plays of their own inside
# rollout_gate. With one ansible-core, on hosts that are stubs.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tools")]
from collection import link  # noqa: E402
from forked import SECONDS  # noqa: E402

# It waits for all of its children, so it is a process of its own.
RUN = """
import json, pathlib, sys
from tests.bench import scale

print(json.dumps(scale.rollout(6, pathlib.Path(sys.argv[1]), forks=3, variables=json.loads(sys.argv[2]))))
"""
TIERS = [{"name": "canary", "hosts": 1, "soak": "1s"}, {"name": "rest", "share": "100%"}]
OWN = {
    "livepatch_become": False,
    "livepatch_coredump_directories": ["/srv/cores"],
    "livepatch_guard_minutes": 33,
    "livepatch_timeout": "{{ livepatch_guard_minutes + 11 }}",
    "livepatch_stall_restart_units": ["{{ inventory_hostname }}.service"],
    "livepatch_package_pattern": "lp-{{ '{release}' }}",
    "livepatch_replace": "{{ omit }}",
    "livepatch_replaces": ["hotfix2"],
}
# What role apply has where nobody has said anything.
USUAL = {
    "state": "enabled", "release": "hotfix3", "gpg_check": True, "drift": "warn", "package_timeout": 600, "unload_inert": True,
    "timeout": 60, "on_stall": "revert", "other_engines": "refuse", "stall_restart_units": [], "lock_timeout": 0, "become": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A rollout to six hosts, one of which has variables of its own, and one a word that a template would run."""
    link()
    directory = tmp_path_factory.mktemp("site")
    (directory / "group_vars").mkdir()
    (directory / "group_vars" / "stubs.json").write_text(json.dumps({"stub_told": True}))
    (directory / "host_vars").mkdir()
    (directory / "host_vars" / "host-2.json").write_text(json.dumps(OWN))
    variables = json.dumps({"livepatch_tiers": TIERS, "livepatch_slice": 1})
    command = [sys.executable, "-c", RUN, str(directory), variables]
    done = subprocess.run(command, cwd=str(ROOT), stdout=subprocess.PIPE, text=True, check=True, timeout=SECONDS)
    return json.loads(done.stdout.splitlines()[-1]), directory


def told(directory, host, module):
    return json.loads((directory / "hosts" / "told" / f"{host}.{module}").read_text())


def test_a_whole_rollout_runs_to_its_end_and_shows_no_look_as_a_task(site):
    figures, directory = site
    output = (directory / "output").read_text()
    assert (figures["status"], figures["patched"]) == (0, 6), output[-3000:]
    assert figures["looks"] > 6 and "TASK [Look]" not in output
    assert "livepatch | complete: 6 patched" in output
    assert "no hosts matched" not in output.replace("PLAY [Roll back]", "").split("PLAY [Watch", maxsplit=1)[0]


def test_a_host_is_patched_with_the_options_that_its_own_variables_give_templates_among_them(site):
    unused, directory = site
    own = {
        "become": False, "coredump_directories": ["/srv/cores"], "timeout": 44, "stall_restart_units": ["host-2.service"],
        "pattern": "lp-{release}", "replaces": ["hotfix2"],
    }  # fmt: skip
    assert told(directory, "host-3", "livepatch") == USUAL
    found = told(directory, "host-2", "livepatch")
    # Before ansible-core 2.19 a template gives words; the module makes numbers of them.
    assert dict(found, timeout=int(found["timeout"])) == {**USUAL, **own}


def test_a_host_is_looked_at_with_its_own_variables_whichever_slice_is_next(site):
    unused, directory = site
    own = told(directory, "host-2", "livepatch_health")
    assert own["coredump_directories"] == ["/srv/cores"] and own["become"] is False
    other = told(directory, "host-3", "livepatch_health")
    assert "coredump_directories" not in other and other["become"] is True


def test_a_look_reads_on_from_where_the_last_one_ended(site):
    unused, directory = site
    since = told(directory, "host-1", "livepatch_health")["since"]
    assert since["sequence"] > 0
    assert (since["counters"], since["taint"]) == ({"oops_count": 0, "warn_count": 0}, 32768)


def test_a_host_of_a_tier_that_has_passed_is_asked_to_keep_the_livepatch_with_its_own_variables(site):
    unused, directory = site
    assert int(told(directory, "host-2", "livepatch_persistence")["guard_minutes"]) == 33
