# The parts of the collection fit together: names, variables, defaults, documentation, licences.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FQCN = "kernel.livepatch."


def tracked():
    """Return the paths of all files of the checkout that git does not ignore, relative to it."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"]
    names = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


def read(path):
    """Return the YAML content of a file of the checkout."""
    return yaml.safe_load((ROOT / path).read_text())


def stems(pattern):
    return sorted(path.stem for path in ROOT.glob(pattern) if path.stem != "__init__")


def constant(path, name):
    """Return a string constant of a Python file, parsed as YAML."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return yaml.safe_load(node.value.value)
    raise AssertionError("%s has no %s" % (path, name))


MODULES = sorted((ROOT / "plugins/modules").glob("*.py"))
OPTIONS = {path.stem: set(constant(path, "DOCUMENTATION").get("options") or {}) for path in MODULES}
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
SPECS = {role.name: read(role / "meta/argument_specs.yml")["argument_specs"] for role in ROLES}


def test_the_action_group_names_every_module_that_runs_on_targets():
    on_targets = {path.stem for path in MODULES if "AnsibleModule(" in path.read_text()}
    assert set(read("meta/runtime.yml")["action_groups"]["livepatch"]) == on_targets


def test_every_action_plugin_is_documented_by_a_module_of_its_name():
    assert set(stems("plugins/action/*.py")) <= set(OPTIONS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_examples_of_a_module_use_options_that_it_has(path):
    uses = [use for use in walk(constant(path, "EXAMPLES")) if use[0].startswith(FQCN)]
    assert FQCN + path.stem in [name for name, _options in uses]
    for name, options in uses:
        unknown = set(options or {}) - OPTIONS.get(name[len(FQCN):], set())
        assert not unknown, "%s has no option %s" % (name, sorted(unknown))


def walk(value):
    """Yield every (key, value) of nested YAML."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


TASKS = [name for name in tracked() if re.match(r"(roles/\w+/tasks|playbooks)/.*\.ya?ml$", name)]
ROLE_VARS = [name for name in tracked() if re.match(r"roles/\w+/vars/.*\.ya?ml$", name)]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_uses_options_that_its_module_has(name):
    for key, options in walk(read(name)):
        if str(key).startswith(FQCN) and key[len(FQCN):] in OPTIONS:
            unknown = set(options or {}) - OPTIONS[key[len(FQCN):]]
            assert not unknown, "%s has no option %s" % (key, sorted(unknown))


FLAGS = sorted(
    {
        name
        for specs in SPECS.values()
        for entry in specs.values()
        for name, option in entry["options"].items()
        if option["type"] == "bool"
    }
)


@pytest.mark.parametrize("name", TASKS)
def test_a_condition_takes_a_flag_that_came_as_text(name):
    """-e livepatch_persist=false and the survey of a job give text, which is no condition since ansible-core 2.19."""
    conditions = [value for key, value in walk(read(name)) if key in ("when", "until", "failed_when", "that")]
    for condition in [part for value in conditions for part in (value if isinstance(value, list) else [value])]:
        bare = [flag for flag in FLAGS if re.search(r"\b%s\b(?! \| bool)" % flag, str(condition))]
        assert not bare, "%s: write %s | bool" % (condition, bare[0])


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_defaults_of_a_role_equal_those_of_its_argument_specs(role):
    described = {}
    for entry in SPECS[role.name].values():
        described.update({key: option["default"] for key, option in entry["options"].items() if "default" in option})
    defaults = role / "defaults/main.yml"
    assert ((read(defaults) or {}) if defaults.exists() else {}) == described


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_describes_every_entry_that_is_called_and_has_a_readme(role):
    assert (role / "README.md").is_file()
    assert "main" in SPECS[role.name]
    for entry in SPECS[role.name]:
        assert (role / "tasks" / (entry + ".yml")).is_file()


def specified(entries):
    return {option for entry in entries.values() for option in entry.get("options", {})}


def made(content):
    """Return the variables and groups that tasks make themselves."""
    names = set()
    for key, value in walk(content):
        if key == "register":
            names.add(value)
        elif key == "groups":
            names.update([value] if isinstance(value, str) else value)
        elif str(key).startswith("livepatch_"):
            names.add(key)
    return names


@pytest.mark.parametrize("path", TASKS)
def test_no_file_of_tasks_is_empty(path):
    assert read(path)


@pytest.mark.parametrize("name", ["rollout", "rollback", "halt", "status"])
def test_each_play_on_a_fleet_names_its_strategy_as_a_site_may_have_another_one_as_its_default(name):
    assert [play["strategy"] for play in read("playbooks/%s.yml" % name)] == ["linear"] * len(read("playbooks/%s.yml" % name))


def test_a_task_that_may_wait_for_hours_has_no_time_limit_as_a_site_may_have_one_for_every_task():
    found = []
    for path in (ROOT / "roles").glob("*/tasks/*.yml"):
        found += [task.get("timeout") for task in read(path.relative_to(ROOT)) if FQCN + "rollout_gate" in task]
        found += [task.get("timeout") for task in read(path.relative_to(ROOT)) if FQCN + "rollout_plan" in task]
    assert len(found) >= 4 and set(found) == {0}


@pytest.mark.parametrize("way, touched", [("none", ["livepatch"]), ("next_boot", [])])
def test_on_the_way_to_no_livepatch_the_record_goes_before_the_livepatch_and_the_package_last(way, touched):
    tasks = read("roles/rollback/tasks/%s.yml" % way)
    assert tasks[-1]["ansible.builtin.include_tasks"] == "package.yml"
    tasks = tasks[:-1] + read("roles/rollback/tasks/package.yml")
    modules = ["livepatch_persistence", "livepatch", "livepatch_package"]
    found = [(name, task[FQCN + name]["state"]) for task in tasks for name in modules if FQCN + name in task]
    assert found == [(name, "absent") for name in ["livepatch_persistence"] + touched + ["livepatch_package"]]


def test_every_variable_of_playbooks_and_roles_is_specified_or_made_there():
    known = set().union(*(specified(entries) for entries in SPECS.values()), *(made(read(name)) for name in TASKS + ROLE_VARS))
    for name in TASKS:
        text = re.sub(r"(?m)^\s*#.*$", "", (ROOT / name).read_text())
        used = set(re.findall(r"(?<![\w.'-])livepatch_[a-z0-9_]*[a-z0-9]\b", text)) | set(re.findall(r"(?<=\]\.)livepatch_\w+", text))
        assert not used - known, "%s uses %s" % (name, sorted(used - known))


def raised_codes():
    """Yield (file name, code) of every LivepatchError that the target side raises with a literal code."""
    for path in (ROOT / "plugins/module_utils").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "LivepatchError" and node.args:
                if isinstance(node.args[0], ast.Constant):
                    yield path.name, node.args[0].value


def test_every_error_code_that_can_be_raised_is_documented():
    documented = "".join(path.read_text().split('\nfrom ')[0] for path in MODULES)
    codes = set(raised_codes())
    assert codes
    missing = sorted((name, code) for name, code in codes if not re.search(r"\b%s\b" % code, documented))
    assert not missing


def test_module_utils_may_be_used_by_modules_of_any_licence_and_plugins_are_gpl():
    for path in (ROOT / "plugins").rglob("*.py"):
        licence = "BSD-2-Clause" if "module_utils" in path.parts else "GPL-3.0-or-later"
        # A file that makes a folder a package holds nothing, not even a header.
        assert (path.name == "__init__.py" and not path.read_text()) or ("SPDX-License-" + "Identifier: %s\n" % licence) in path.read_text(), path


# Written in pieces, so that this file does not name them itself.
FORBIDDEN = ["/wo" + "rk/", "/ro" + "ot/.pyenv", "/ro" + "ot/.cache", "py" + "pi.org", "python" + "hosted", "deb.debian" + ".org", "ubuntu" + ".com"]


def test_nothing_names_paths_of_one_machine_or_hosts_that_packages_come_from():
    found = []
    for name in tracked():
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        found += ["%s: %s" % (name, word) for word in FORBIDDEN if word in text]
    assert not found


def test_the_versions_of_ansible_are_the_same_wherever_they_are_said():
    sys.path.insert(0, str(ROOT / "tests/tools"))
    import venvs
    oldest, newest = list(venvs.CORES)[0], list(venvs.CORES)[-1]
    assert read("meta/runtime.yml")["requires_ansible"] == ">=%s.0" % oldest
    assert list(venvs.CORES) == ["2.%d" % minor for minor in range(int(oldest[2:]), int(newest[2:]) + 1)]
    said = {
        name: re.search(r"ansible-core >= 2\.(\d+)(?:\.0)?, < 2\.(\d+)$", (ROOT / name).read_text(), re.M).groups()
        for name in ("tests/requirements.txt", "tests/requirements-ee.txt", "execution-environment.yml")
    }
    assert said["tests/requirements.txt"][1] == str(int(newest[2:]) + 1)
    assert said["tests/requirements-ee.txt"] == said["execution-environment.yml"] == ("18", "19"), "AWX reads no newer one's facts"


def test_the_makefile_names_every_target_that_it_calls_phony():
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"(?m)^\.PHONY: (.*)$", text).group(1).split()
    for target in phony:
        assert re.search(r"(?m)^%s:" % target, text), target
