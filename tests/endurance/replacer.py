# Replaces one livepatch by another, over and over, in a guest that is busy; prints one JSON object a line.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: replacer.py DIRECTORY < order.json
# DIRECTORY holds in_guest.py and what that needs. The order: {"files": [two .ko], "rounds": N, "seconds": at most,
# "timeout": of one transition, "every": rounds between two readings}. Each replacement is an execution of the module
# livepatch in a process forked from this one, as an Ansible task is, only without the start of Python.

import json
import os
import signal
import subprocess
import sys
import time

TRACING = "/sys/kernel/tracing"
MEMORY = ("MemAvailable", "Slab", "SUnreclaim", "Percpu", "VmallocUsed", "KernelStack", "PageTables")

# What keeps the host busy, all of it below the priority of the replacements: two programs that only compute, one that
# starts programs, one whose two halves wake each other, one that writes to the disk and waits for it, one that switches
# the tracing of kernel functions on and off, that of the patched function among them.
LOAD = {
    "computing": "while :; do :; done",
    "computing too": "while :; do :; done",
    "forking": "while :; do /bin/true; done",
    "pipes": "while :; do head -c 1000000 /dev/zero | cat | wc -c >/dev/null; done",
    "writing": "while :; do dd if=/dev/zero of=/var/tmp/load bs=64k count=64 conv=fsync 2>/dev/null; rm /var/tmp/load; done",
    "tracing": "cd %s || exit; echo version_proc_show >set_ftrace_filter; echo 'vfs_*' >>set_ftrace_filter; "
    "while :; do echo function >current_tracer; sleep 2; echo nop >current_tracer; sleep 1; done" % TRACING,
}


class Load(object):
    """The programs of LOAD, each a group of processes of its own."""

    def __init__(self):
        if not os.path.exists(TRACING + "/current_tracer"):
            subprocess.call(["mount", "-t", "tracefs", "none", TRACING])
        self.processes = {
            name: subprocess.Popen(
                ["nice", "-n", "5", "sh", "-c", words], stdin=subprocess.DEVNULL, start_new_session=True
            )
            for name, words in LOAD.items()
        }

    def running(self):
        """Names of the programs that still run, sorted."""
        return sorted(name for name, process in self.processes.items() if process.poll() is None)

    def send(self, number):
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, number)


def reading(load):
    """What the kernel has in use while the load stands still and no cache counts."""
    load.send(signal.SIGSTOP)
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as stream:
        stream.write("3")
    time.sleep(0.5)
    found = memory()
    found["modules"] = len(os.listdir("/sys/module"))
    found["loaded"] = sum(1 for _unused in open("/proc/modules"))
    found["livepatches"] = len(os.listdir("/sys/kernel/livepatch"))
    found["processes"] = sum(name.isdigit() for name in os.listdir("/proc"))
    for name in ("warn_count", "oops_count"):
        with open("/sys/kernel/" + name) as stream:
            found[name] = int(stream.read())
    load.send(signal.SIGCONT)
    return found


def memory():
    """KiB by name of /proc/meminfo."""
    with open("/proc/meminfo") as stream:
        words = [line.split() for line in stream]
    return {word[0].rstrip(":"): int(word[1]) for word in words if word[0].rstrip(":") in MEMORY}


def say(kind, **fields):
    sys.stdout.write(json.dumps(dict(fields, kind=kind)) + "\n")
    sys.stdout.flush()


def replace(in_guest, path, timeout):
    """Execute the module once; return what is of interest in its result."""
    started = time.monotonic()
    options = {"path": path, "state": "enabled", "timeout": timeout}
    result = in_guest.run_task({"name": "replace", "kernel.livepatch.livepatch": options})
    return {
        "total": round(time.monotonic() - started, 3),
        "seconds": result.get("transition", {}).get("seconds"),
        "blocking": result.get("transition", {}).get("blocking", 0),
        "error": result.get("error") if result.get("failed") else None,
        "message": result.get("msg", "") if result.get("failed") else "",
        "proven": bool(result.get("proven")),
        "unloaded": result.get("unloaded", []),
        "since": result.get("since"),
    }


def alarms(in_guest, since):
    """(alarms since a position, the next position), as the module livepatch_health tells them."""
    result = in_guest.run_task({"name": "look", "kernel.livepatch.livepatch_health": {"since": since}})
    events = [event["text"] for event in result.get("events", [])]
    status = result.get("sources", {}).get("kmsg", result.get("msg"))
    following = {key: result.get(key) for key in ("boot_id", "sequence", "time")}
    return events, status, following


def main():
    import in_guest

    in_guest.use(sys.argv[1])
    order = json.load(sys.stdin)
    with in_guest.arguments({}):
        pass
    for name in ("livepatch", "livepatch_health"):
        __import__("ansible_collections.kernel.livepatch.plugins.modules." + name)
    first = replace(in_guest, order["files"][1], order["timeout"])
    since = first["since"]
    say("begin", uptime=time.monotonic(), processors=os.cpu_count(), load=sorted(LOAD), **first)
    load = Load()
    try:
        go_round(in_guest, order, load, since)
    finally:
        load.send(signal.SIGCONT)
        load.send(signal.SIGKILL)
        if os.path.exists(TRACING + "/current_tracer"):
            with open(TRACING + "/current_tracer", "w") as stream:
                stream.write("nop")
    say("end", running=sorted(LOAD), result=in_guest.run_task(
        {"name": "clean up", "kernel.livepatch.livepatch": {"all": True, "state": "absent"}}))  # fmt: skip


def go_round(in_guest, order, load, since):
    deadline = time.monotonic() + order["seconds"]
    for number in range(order["rounds"]):
        if number % order["every"] == 0:
            events, status, since = alarms(in_guest, since)
            say("reading", round=number, events=events, log=status, running=load.running(), **reading(load))
        if time.monotonic() > deadline:
            break
        path = order["files"][number % 2]
        say("round", round=number, path=path, **replace(in_guest, path, order["timeout"]))
    events, status, since = alarms(in_guest, since)
    say("reading", round=number + 1, events=events, log=status, running=load.running(), **reading(load))


if __name__ == "__main__":
    main()
