# What a rollout costs the controller: the real playbook, actions and roles on hosts that cost nothing themselves.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: python -m tests.bench.scale [--hosts 10000] [--forks 50] [--silent 30] [--bad 3] [--json file] [--micro]

"""Measures user + system CPU seconds of ansible-playbook and of all processes below it.

The hosts are stubs (connections/stub.py): each task goes its whole way through Ansible, but no process is started for
it and no bytes leave the machine. What ssh and a host cost comes on top. With --micro no playbook runs: the journal of
a rollout of 36 hours is written on a clock of its own by what the actions call, and an action's work on it is measured.
"""

import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
COLLECTIONS = CHECKOUT / ".work" / "collections"
FAST = [
    {"name": "canary", "hosts": 12, "max_share": "10%", "soak": "3s"},
    {"name": "5%", "share": "5%", "soak": "3s"},
    {"name": "25%", "share": "25%", "soak": "3s"},
    {"name": "all", "share": "100%", "soak": "3s"},
]
RELEASE = "hotfix3"
MEGABYTE = 1e6


def rollout(hosts, directory, forks=50, silent=0, bad=0, variables=None):
    """Run a whole rollout in this directory; return its figures (dict).

    silent: per cent of the hosts that never answer; bad: how many hosts crash when they are patched; variables: further
    variables of the playbook.
    """
    for name in ("patched", "executions", "told"):
        (directory / "hosts" / name).mkdir(parents=True, exist_ok=True)
    (directory / "inventory.json").write_text(json.dumps(_inventory(hosts, directory / "hosts", silent, bad)))
    given = {"livepatch_release": RELEASE, "livepatch_tiers": FAST, "livepatch_max_hold": "3s"}
    given.update({"livepatch_journal_dir": str(directory / "journals"), **(variables or {})})
    program = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "kernel.livepatch.rollout", "-i", "inventory.json", "-e", json.dumps(given)]
    begun, load = time.monotonic(), os.getloadavg()[0]
    _adopt()
    with open(directory / "output", "w", encoding="utf-8") as output:
        child = subprocess.Popen(command, cwd=directory, env=_environment(directory, forks), stdin=subprocess.DEVNULL,
                                 stdout=output, stderr=subprocess.STDOUT)  # fmt: skip
        with _watched(child.pid, directory / "hosts" / "executions") as memory:
            cpu = _wait(child)
    executions = {path.name: path.stat().st_size for path in sorted((directory / "hosts" / "executions").iterdir())}
    return {
        "hosts": hosts,
        "status": child.returncode,
        "patched": len(list((directory / "hosts" / "patched").iterdir())),
        "cpu_seconds": cpu,
        "wall_seconds": time.monotonic() - begun,
        "main_megabytes": memory["main"] / MEGABYTE,
        "worker_megabytes": memory["worker"] / MEGABYTE,
        "journal_megabytes": sum(path.stat().st_size for path in (directory / "journals").glob("*.jsonl")) / MEGABYTE,
        "executions": executions,
        "looks": executions.get("livepatch_health", 0),
        "tasks": _tasks(directory / "cost.json"),
        "load": [load, os.getloadavg()[0]],
    }


def _adopt():
    """Make this process the parent of what its children leave behind: workers that nobody has waited for count, too."""
    pr_set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _wait(child):
    """Wait for a process and for all that it leaves behind; return the processor seconds of all."""
    seconds = 0.0
    while True:
        try:
            pid, status, used = os.wait4(-1, 0)
        except ChildProcessError:
            return seconds
        seconds += used.ru_utime + used.ru_stime
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(status)


def _inventory(hosts, state, silent, bad):
    names = ["host-%d" % number for number in range(1, hosts + 1)]
    variables = {name: {} for name in names}
    for number in range(hosts * silent // 100):
        variables[names[number * 100 // silent]]["stub_silent"] = True
    for name in [name for name in names if not variables[name]][:bad]:
        variables[name]["stub_crashes"] = True
    common = {"ansible_connection": "stub", "ansible_python_interpreter": "/usr/bin/python3", "stub_state": str(state)}
    return {"all": {"children": {"stubs": {"hosts": variables, "vars": common}}}}


def _environment(directory, forks):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **inherited,
        "ANSIBLE_CONFIG": str(CHECKOUT / "tests" / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_CONNECTION_PLUGINS": str(HERE / "connections"),
        "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "kernel.livepatch.rollout",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_FORKS": str(forks),
        "ANSIBLE_HOME": str(directory / "home"),
        "ANSIBLE_NOCOLOR": "true",
        "COST_FILE": str(directory / "cost.json"),
        "COST_PARENT": str(os.getpid()),
    }


@contextlib.contextmanager
def _watched(pid, executions):
    """Watch a process and all below it, and say each minute how far it is (on stderr).

    Give the most resident bytes of it (main) and of the largest other (worker).
    """
    most, ended, begun = {"main": 0, "worker": 0}, threading.Event(), time.monotonic()

    def watch():
        told = begun
        while not ended.wait(0.5):
            most["main"] = max(most["main"], _peak(pid))
            most["worker"] = max([most["worker"], *map(_peak, _below(pid))])
            if time.monotonic() >= told + 60:
                told += 60
                counts = ", ".join(f"{path.name} {path.stat().st_size}" for path in sorted(executions.iterdir()))
                memory = "main %.0f MB, largest worker %.0f MB" % (most["main"] / MEGABYTE, most["worker"] / MEGABYTE)
                print("%5.0f s, CPU %.0f s, %s: %s" % (told - begun, _cpu(pid), memory, counts), file=sys.stderr, flush=True)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        ended.set()
        watcher.join()


def _cpu(pid):
    """Return the processor seconds of a process and of its children that it has waited for."""
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _peak(pid):
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0  # it has ended


def _below(pid):
    """Yield the pids of all processes that descend from this one."""
    with contextlib.suppress(OSError):
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
            yield from _below(int(child))


def _tasks(path):
    return json.loads(path.read_text()) if path.exists() else []


def lines(found, tasks=12):
    """Yield the lines of a table about what rollout() returned; tasks: how many of the dearest tasks it names."""
    hosts, cpu = found["hosts"], found["cpu_seconds"]
    executions = sum(found["executions"].values())
    yield "%d hosts, %d patched, exit status %d" % (hosts, found["patched"], found["status"])
    yield "  %-42s %10.1f s" % ("CPU of ansible-playbook and its workers", cpu)
    yield "  %-42s %10.1f ms" % ("CPU per host", cpu * 1000 / hosts)
    counts = executions, executions / hosts, found["looks"]
    yield "  %-42s %10d, %.1f per host, of which looks %d" % ("executions on hosts", *counts)
    yield "  %-42s %10.1f s" % ("wall time", found["wall_seconds"])
    yield "  %-42s %10.0f MB" % ("peak memory, main process", found["main_megabytes"])
    yield "  %-42s %10.0f MB" % ("peak memory, largest worker", found["worker_megabytes"])
    yield "  %-42s %10.2f MB, %.0f bytes per host" % (
        "journal", found["journal_megabytes"], found["journal_megabytes"] * MEGABYTE / hosts)  # fmt: skip
    yield "  %-42s %10.1f to %.1f" % ("load of the machine, before and after", *found["load"])
    yield "  CPU by task, ms per host"
    for task, seconds in found["tasks"][:tasks]:
        yield "    %-60s %8.1f" % (task[:60], seconds * 1000 / hosts)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale")
    parser.add_argument("--hosts", type=int, default=10000, help="default: %(default)s")
    parser.add_argument("--forks", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--silent", type=int, default=0, metavar="PER_CENT", help="of the hosts never answer")
    parser.add_argument("--bad", type=int, default=0, metavar="N", help="hosts crash when they are patched")
    parser.add_argument("--extra", type=json.loads, default={}, metavar="JSON", help="more variables of the playbook")
    parser.add_argument("--keep", type=pathlib.Path, help="new directory for what the run writes, kept")
    parser.add_argument("--micro", action="store_true", help="the actions alone, on the journal of 36 hours of looks")
    parser.add_argument("--interval", default="15m", help="of the looks, with --micro; default: %(default)s")
    parser.add_argument("--json", type=pathlib.Path, help="file for the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.keep or pathlib.Path(temporary)
        directory.mkdir(parents=True, exist_ok=not options.keep)
        if options.micro:
            sys.path.insert(0, str(COLLECTIONS))
            from tests.bench import micro

            found = micro.measure(options.hosts, directory, options.interval)
            table = micro.lines(found)
        else:
            found = rollout(options.hosts, directory, options.forks, options.silent, options.bad, options.extra)
            table = lines(found)
        print("\n".join(table), flush=True)
        if found.get("status") and not options.bad:
            print("\nThe end of what ansible-playbook said:\n" + (directory / "output").read_text()[-3000:])
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(0 if options.bad else found.get("status", 0))


if __name__ == "__main__":
    main()
