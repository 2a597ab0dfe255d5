# The program that a host keeps: made of the sources of this collection, it runs by itself.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import io
import json
import os
import subprocess
import sys
import zipfile

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import fact_program, kernel_facts
from tests.unit.fakes.kernel import FakeKernel


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "livepatch.fact"
    path.write_bytes(fact_program.build(sys.executable))
    path.chmod(0o755)
    return str(path)


def run(program, *arguments):
    done = subprocess.Popen(
        [program] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", env={"PATH": "/usr/bin"}
    )
    output, errors = done.communicate()
    return done.returncode, output.decode(), errors.decode()


def test_it_prints_the_facts_of_this_machine_without_the_collection_and_without_ansible(program):
    code, output, errors = run(program)
    assert (code, errors) == (0, "")
    found = json.loads(output)
    assert set(found) == set(kernel_facts.gather())
    assert found["boot_id"] == kernel_facts.gather()["boot_id"]


def test_it_is_the_same_bytes_every_time_and_holds_only_what_it_needs():
    first = fact_program.build("/usr/bin/python3")
    assert first == fact_program.build("/usr/bin/python3")
    assert first.startswith(b"#!/usr/bin/python3 -I\n")
    names = zipfile.ZipFile(io.BytesIO(first)).namelist()
    assert "__main__.py" in names
    assert any(name.endswith("/kernel_facts.py") for name in names) and not any("_preflight" in name for name in names)
    assert len(first) < 400000


def python(root, path, status=0, mode=0o755):
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("#!/bin/sh\nexit %d\n" % status)
    place.chmod(mode)
    return path


def test_the_interpreter_is_the_systems_or_another_one_that_only_root_can_change(tmp_path):
    own = python(tmp_path, "/home/deploy/venv/bin/python3")
    assert fact_program.interpreter(own, str(tmp_path)) == own
    system = python(tmp_path, "/usr/bin/python3")
    assert fact_program.interpreter(own, str(tmp_path)) == system
    python(tmp_path, "/usr/bin/python3", status=1)
    assert fact_program.interpreter(own, str(tmp_path)) == own, "the system's is too old"


@pytest.mark.parametrize("open_to_others", ["home/deploy/venv/bin/python3", "home/deploy"])
def test_root_never_runs_an_interpreter_that_others_can_change(tmp_path, open_to_others):
    own = python(tmp_path, "/home/deploy/venv/bin/python3")
    (tmp_path / open_to_others).chmod(0o777)
    with pytest.raises(LivepatchError, match="that only root can change") as refused:
        fact_program.interpreter(own, str(tmp_path))
    assert refused.value.code == "insecure_path"
    system = python(tmp_path, "/usr/bin/python3")
    assert fact_program.interpreter(own, str(tmp_path)) == system


def test_other_words_are_refused(program):
    code, output, errors = run(program, "remove", "everything")
    assert (code, output) == (2, "") and "remove everything" in errors


def test_it_publishes_when_it_is_told_to(tmp_path):
    kernel = FakeKernel(tmp_path)
    assert fact_program.main(["publish"], kernel.root) == 0
    assert os.path.exists(os.path.join(kernel.root, "run/livepatch/active"))


def test_what_fails_is_told_in_a_line_and_by_the_exit_status(tmp_path):
    kernel = FakeKernel(tmp_path)
    kernel.text("run/livepatch", "a file where the directory should be")
    errors = io.StringIO()
    assert fact_program.main(["publish"], kernel.root, errors=errors) == 1
    assert errors.getvalue().startswith("livepatch: ") and errors.getvalue().count("\n") == 1


def test_in_a_container_without_sys_it_says_that_livepatches_are_not_supported(tmp_path):
    out = io.StringIO()
    assert fact_program.main([], str(tmp_path), out=out) == 0
    assert json.loads(out.getvalue())["supported"] is False
