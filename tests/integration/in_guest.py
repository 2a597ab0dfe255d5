# Runs many module executions in one Python process of a guest: under emulation, starting Python is what costs.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: in_guest.py DIRECTORY < tasks.json
# DIRECTORY holds libraries.zip, of tests/lab/libraries.py. Each line of the input is a list of tasks, for which it prints
# a line with the list of their results. A task is one of a playbook: a name, a module with its options or
# ansible.builtin.raw, and maybe check_mode and become. Each is a process of its own, forked from one that has imported
# everything.

import importlib
import io
import json
import os
import subprocess
import sys

UNPRIVILEGED = 65534


def use(directory):
    """Import from the libraries in this directory."""
    sys.path.insert(0, os.path.join(directory, "libraries.zip"))


def run_task(task):
    if "ansible.builtin.raw" in task:
        return run_raw(task["ansible.builtin.raw"])
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        if task.get("become") is False:
            os.setgroups([])
            os.setgid(UNPRIVILEGED)
            os.setuid(UNPRIVILEGED)
        with os.fdopen(writing, "w") as stream:
            stream.write(run_module(task))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        output = stream.read()
    os.waitpid(child, 0)
    return json.loads(output)


def run_raw(command):
    process = subprocess.Popen(
        ["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output = process.communicate()[0].decode("utf-8", "replace")
    return {"failed": process.returncode != 0, "stdout": output}


def run_module(task):
    """Run a module's main() as Ansible does on a target; return what it prints."""
    name = next(key for key in task if key.startswith("kernel.livepatch."))
    module = imported(name)
    options = dict(task[name], _ansible_check_mode=task.get("check_mode", False), _ansible_diff=True)
    sys.stdout = io.StringIO()
    with arguments(options):
        try:
            module.main()
        except SystemExit:
            pass
    return sys.stdout.getvalue()


def imported(name):
    """Return the Python module of one of the collection's modules, by its full name."""
    return importlib.import_module("ansible_collections.kernel.livepatch.plugins.modules." + name.rsplit(".", 1)[1])


def arguments(options):
    try:
        from ansible.module_utils.testing import patch_module_args
    except ImportError:  # ansible-core before 2.19
        from ansible.module_utils import basic

        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode()
        return open(os.devnull)
    return patch_module_args(options)


def main():
    use(sys.argv[1])
    # What a task starts must not read the tasks after it.
    requests = os.fdopen(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # All that a task imports is imported here: after the fork it would be imported once for every task.
    with arguments({}):
        pass
    for line in requests:
        tasks = json.loads(line)
        for task in tasks:
            for name in task:
                if name.startswith("kernel.livepatch."):
                    imported(name)
        print(json.dumps([dict({"failed": False}, **run_task(task)) for task in tasks]), flush=True)


if __name__ == "__main__":
    main()
