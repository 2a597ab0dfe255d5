# Keeps the walls between the rooms: what may import what.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import ast
import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OURS = "ansible_collections.kernel.livepatch."
UTILS = OURS + "plugins.module_utils."
TARGET_MAY = (OURS + "plugins.module_utils", "ansible.module_utils")
# Pure parsers of the target side that the controller uses for logs that reach it.
PARSERS = (UTILS + "_health.kernel_alarms", UTILS + "_kernel.kernel_log.Record")
# The one file of the controller's work that imports Ansible: plays that actions run themselves.
PLAYS = os.path.join("plugins", "plugin_utils", "rollout", "plays.py")
# Libraries that a controller needs for one kind of evidence only; the file asks for it when it is used.
CONTROLLER_LIBRARIES = {
    "jmespath": ["plugins/plugin_utils/sources/http.py"],
    "netaddr": ["plugins/plugin_utils/netconsole.py"],
}
# What opens crash dumps, on an analysis host: the module says so when it is missing.
ANALYSIS_LIBRARIES = {
    "drgn": ["plugins/modules/livepatch_vmcore.py", "plugins/module_utils/_vmcore/dump.py"],
}
# Libraries that every controller has, as Ansible itself needs them.
ANSIBLES_LIBRARIES = {"jinja2": ["plugins/plugin_utils/report/html.py"]}


def sources(room):
    top = os.path.join(ROOT, "plugins", room)
    found = [
        os.path.join(where, name) for where, unused, names in os.walk(top) for name in names if name.endswith(".py")
    ]
    return sorted(found)


def imports(path):
    """Return the dotted names that a file imports, relative ones made absolute."""
    with open(path, encoding="utf-8") as stream:
        tree = ast.parse(stream.read())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = os.path.relpath(path, ROOT).split(os.sep)[: -node.level or None] if node.level else []
            base = ".".join(
                ([OURS.rstrip(".")] + package if node.level else []) + ([node.module] if node.module else [])
            )
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def forbidden(room, allowed):
    """Return (file, import) for each import of Ansible or of the collection that is not in the allowed rooms."""
    return [
        (os.path.relpath(path, ROOT), name)
        for path in sources(room)
        for name in sorted(imports(path))
        if name.split(".")[0] in ("ansible", "ansible_collections", "tests")
        and not name.startswith(allowed)
        and not (room == "plugin_utils" and name in PARSERS)
        and not (os.path.relpath(path, ROOT) == PLAYS and name.split(".")[0] == "ansible")
    ]


@pytest.mark.parametrize(
    "room, allowed",
    [
        ("modules", TARGET_MAY),
        ("module_utils", TARGET_MAY),
        ("plugin_utils", (OURS + "plugins.plugin_utils",)),
    ],
)
def test_a_room_imports_only_what_its_walls_let_in(room, allowed):
    assert sources(room), f"no file in plugins/{room}"
    assert forbidden(room, allowed) == []


def upward(room, floors):
    """Return (file, import) for each import between the folders of a room that does not go to a lower floor."""
    top = OURS + "plugins." + room + "."
    found = []
    for path in sources(room):
        floor = os.path.relpath(path, os.path.join(ROOT, "plugins", room)).split(os.sep, maxsplit=1)[0]
        lower = floors[floors.index(floor) + 1 :] if floor in floors else []
        found += [
            (os.path.relpath(path, ROOT), name)
            for name in sorted(imports(path))
            if name.startswith(top)
            and name[len(top) :].split(".")[0] in floors
            and name[len(top) :].split(".")[0] not in [floor, *lower]
        ]
    return found


# Top to bottom; each folder imports only itself and those below it.
CONTROLLER_FLOORS = ["report", "rollout", "gate", "sources"]
TARGET_FLOORS = (
    "_preflight _visibility _boot _change _packages _vmcore _health _module_file _kernel _files".split()
)


@pytest.mark.parametrize(
    "room, floors, beside",
    [("plugin_utils", CONTROLLER_FLOORS, ["."]), ("module_utils", TARGET_FLOORS, [])],
)
def test_imports_between_the_folders_of_a_room_go_down_only(room, floors, beside):
    top = os.path.join(ROOT, "plugins", room)
    assert {os.path.relpath(os.path.dirname(path), top) for path in sources(room)} == {*beside, *floors}
    assert upward(room, floors) == []


@pytest.mark.parametrize("room, floors", [("plugin_utils", CONTROLLER_FLOORS), ("module_utils", TARGET_FLOORS)])
def test_an_import_that_goes_up_would_be_noticed(room, floors):
    assert upward(room, floors[::-1])


def test_what_makes_a_folder_a_package_imports_nothing_for_a_host():
    for floor in TARGET_FLOORS:
        assert os.path.getsize(os.path.join(ROOT, "plugins", "module_utils", floor, "__init__.py")) == 0


def test_the_architecture_tells_which_files_each_room_of_the_target_side_has():
    with open(os.path.join(ROOT, "docs", "architecture.md"), encoding="utf-8") as stream:
        rows = re.findall(r"(?m)^\| `(_\w+)` \| .* \| (.*) \|$", stream.read())
    assert [floor for floor, _files in rows] == TARGET_FLOORS
    for floor, files in rows:
        there = {os.path.basename(path)[: -len(".py")] for path in sources(os.path.join("module_utils", floor))}
        assert set(files.split(", ")) == there - {"__init__"}, floor


def test_nothing_under_plugins_imports_tests():
    assert [
        found for room in os.listdir(os.path.join(ROOT, "plugins")) for found in forbidden(room, ("ansible",))
    ] == []


def test_the_target_side_uses_nothing_but_the_standard_library_and_ansible_itself():
    import sys

    known = set(sys.stdlib_module_names) | {"ansible", "ansible_collections", "__future__"}
    for room in ("modules", "module_utils", "plugin_utils"):
        for path in sources(room):
            here = os.path.relpath(path, ROOT)
            beside = {**CONTROLLER_LIBRARIES, **ANALYSIS_LIBRARIES, **ANSIBLES_LIBRARIES}
            libraries = {name for name, files in beside.items() if here in files}
            assert {name.split(".")[0] for name in imports(path)} <= known | libraries, path


def test_an_execution_environment_gets_the_libraries_of_the_controller():
    with open(os.path.join(ROOT, "meta", "ee-requirements.txt"), encoding="utf-8") as stream:
        asked = {line.split()[0] for line in stream if line.strip() and not line.startswith("#")}
    assert asked == set(CONTROLLER_LIBRARIES)


def test_the_pure_parsers_that_the_controller_may_use_touch_nothing_of_a_target():
    path = os.path.join(ROOT, "plugins", "module_utils", "_health", "kernel_alarms.py")
    assert imports(path) <= {"collections", "re"}


def test_a_library_that_not_every_controller_has_is_not_imported_with_its_file():
    for files in CONTROLLER_LIBRARIES.values():
        for path in files:
            with open(os.path.join(ROOT, path), encoding="utf-8") as stream:
                body = ast.parse(stream.read()).body
            at_once = [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
            names = {alias.name.split(".")[0] for node in at_once for alias in node.names}
            assert not names & set(CONTROLLER_LIBRARIES)


def test_a_forbidden_import_would_be_noticed(tmp_path):
    source = tmp_path / "bad.py"
    source.write_text("import ansible.errors\nfrom tests.lab import fleet\n")
    assert imports(str(source)) == {"ansible.errors", "tests.lab.fleet"}
