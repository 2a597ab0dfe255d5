# A guest in which one scenario is played: its steps, and what the modules say compared with what the kernel shows.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A step that changes livepatches is: preflight, check mode, the real run, the same run again, the facts, and the health
# since the run. Between them the kernel is read without the collection. What is not as it should be is a line of
# Host.problems.

import pathlib
import re

FILES = "/root/selftests/"
LISTS = ("replaced", "replaces", "inert")
PREDICTED = ("changed", "diff", "replaced", "unloaded", "effective_release", "name", "before")

# What people do beside the collection.
TRACING = "cd /sys/kernel/tracing; "
ASK = "import os\nwhile True: os.getpid()"
BLOCK = "/sys/module/test_klp_callbacks_busy/parameters/block_transition"
COMMANDS = {
    "ftrace_off": "sysctl -q kernel.ftrace_enabled=0",
    "ftrace_on": "sysctl -q kernel.ftrace_enabled=1",
    "trace": TRACING + "echo cmdline_proc_show > set_ftrace_filter; echo function > current_tracer",
    "untrace": TRACING + "echo nop > current_tracer; echo > set_ftrace_filter",
    # Four processes that do nothing but ask for their numbers.
    "hammer": "for i in 1 2 3 4; do python3 -c '%s' > /dev/null 2>&1 & echo $!; done > /run/hammers" % ASK,
    "calm": "kill $(cat /run/hammers)",
    "callbacks_refuse": "echo -19 > /sys/module/test_klp_callbacks_demo/parameters/pre_patch_ret",
    "release_soon": "(sleep 3; echo N > %s) > /dev/null 2>&1 &" % BLOCK,
    "wait": "sleep 1",
}
# The state of the kernel, a line for each thing, by nothing but its own files.
_READ = """cd /sys/kernel/livepatch && for p in *; do
    for f in enabled transition replace stack_order; do
        [ ! -e $p/$f ] || { read -r v < $p/$f; echo patch $p $f $v; }
    done
    for o in $p/*/; do
        v=; [ ! -e ${o}patched ] || read -r v < ${o}patched
        o=${o%/}; [ ! -d $o ] || echo object $p ${o#*/} $v
    done
    note=/sys/module/$p/notes/.note.gnu.build-id; [ ! -e $note ] || echo build $p $(od -An -v -tx1 $note | tr -d ' \\n')
done
while read -r name size users by state rest; do echo module $name $state "$rest"; done < /proc/modules"""
_LOG = "dmesg | tac | sed '/selftest: step %d$/q' | tac"
_ALARM = re.compile(r"WARNING: |BUG: |Oops|Call Trace|general protection|refcount_t|INFO: task")
_OURS = "grep -oE '^(test_klp|livepatch)_[a-z0-9_]+' /proc/modules"
_CLEAN = """sysctl -q kernel.ftrace_enabled=1; cd /sys/kernel/livepatch
for i in 1 2 3; do
    for p in */; do [ ! -d $p ] || echo 0 > ${p}enabled; done
    echo N > %s; sleep 0.3
    for m in $(%s); do rmmod $m; done
done 2> /dev/null; true""" % (BLOCK, _OURS)
# The head of the note that holds a build id of 20 bytes (elf.h: NT_GNU_BUILD_ID).
_BUILD_ID = b"\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0"


class Kernel:
    """What the kernel itself shows, in the result of a task with _READ.

    patches: files and their numbers, by name. objects: objects and whether they are patched (None where the kernel does
    not say), by name. builds: build ids in hexadecimal, by name. enabled, pending, inert, modules: sorted names.
    """

    def __init__(self, task):
        self.patches, self.objects, self.builds, modules = {}, {}, {}, {}
        for kind, name, *words in (line.split() for line in task["stdout"].splitlines()):
            if kind == "patch":
                self.patches.setdefault(name, {})[words[0]] = int(words[1])
            elif kind == "object":
                self.objects.setdefault(name, {})[words[0]] = words[1] == "1" if words[1:] else None
            elif kind == "module":
                modules[name] = words[-1]
            elif kind == "build":
                self.builds[name] = words[0][32:]
        livepatches = {name for name, taint in modules.items() if re.fullmatch(r"\([A-Z]*K[A-Z]*\)", taint)}
        self.enabled = sorted(name for name, files in self.patches.items() if files["enabled"])
        self.pending = sorted(name for name, files in self.patches.items() if files["transition"])
        self.inert = sorted(livepatches - set(self.patches))
        self.modules = sorted(modules)
        # What has to stay the same where nothing is changed.
        self.state = self.patches, self.objects, self.inert, self.modules


def scenarios():
    """What scenarios.txt has: {name: list of steps}; and the names that the integration tests play."""
    text = (pathlib.Path(__file__).parent / "scenarios.txt").read_text().replace("@", "test_klp_")
    entries = [entry.split(" | ") for entry in re.split(r"\n(?! )", text) if entry and not entry.startswith("#")]
    found = {name.lstrip("*"): steps.split(";") for name, steps in entries}
    return found, [name[1:] for name, _steps in entries if name.startswith("*")]


class Host:
    """A guest in one scenario; run: a function of a list of tasks to their results; files: directory of the modules."""

    def __init__(self, run, files):
        self.problems = []
        self._steps = 0
        self._run = run
        self._files = files

    def play(self, steps):
        """Go through steps, each the name of a method and its words; clean up; return the problems (list of str)."""
        for step in [*steps, "kernel"]:
            method, *words = step.split()
            options = dict(word.split(":", 1) for word in words if ":" in word)
            options.update({key: [name for name in options[key].split(",") if name] for key in LISTS if key in options})
            known = len(self.problems)
            getattr(self, method)(*(word for word in words if ":" not in word), **options)
            self.problems[known:] = ["%s: %s" % (step.strip(), problem) for problem in self.problems[known:]]
        self._raw(_CLEAN)
        self._expect(self._raw(_OURS), "", "left behind")
        return self.problems

    # What people do beside the collection, and what the kernel shows of itself.

    def insmod(self, name, *parameters, fails=False):
        self._command("insmod %s%s.ko %s" % (FILES, name, " ".join(parameters)), fails)

    def rmmod(self, name):
        # The kernel gives its own reference back a moment after a transition.
        self._command("for i in 1 2 3 4 5; do rmmod %s && exit 0; sleep 0.2; done; exit 1" % name)

    def do(self, name, fails=False):
        self._command(COMMANDS[name], bool(fails))

    def reads(self, path, words):
        self._expect(words in self._raw("cat " + str(pathlib.Path("/proc", path))), True, "it has %s" % words)

    def lacks(self, path, words):
        self._expect(words in self._raw("cat " + str(pathlib.Path("/proc", path))), False, "it has %s" % words)

    def kernel(self, *enabled, inert=()):
        """The kernel has these livepatches, and the facts tell what it shows of them."""
        output, facts = self._run([_raw(_READ), _FACTS])
        kernel, wanted = Kernel(output), (sorted(enabled), sorted(inert))
        self._expect((kernel.enabled, kernel.inert), wanted, "enabled and inert by the kernel")
        self._judge_facts(facts, kernel)

    # What the collection does.

    def enable(self, name, replaced=(), finding=None, **options):
        """Enable a livepatch: it works, and preflight is ready, with a finding (its id) where there is one."""
        before, real, after = self._change(dict(options, path=FILES + name + ".ko"), finding)
        gone = sorted(set(before.enabled) - set(after.enabled))
        said = sorted(real.get("replaced", []))
        self._expect((said, gone), (sorted(replaced),) * 2, "replaced, as said and by the kernel")
        self._expect(name in after.enabled and name not in after.pending, True, "enabled by the kernel")
        image = (self._files / (name + ".ko")).read_bytes()
        place = image.index(_BUILD_ID) + len(_BUILD_ID)
        builds = real.get("build_id"), after.builds.get(name)
        self._expect(builds, (image[place : place + 20].hex(),) * 2, "build id, as said and by the kernel")

    def disable(self, name):
        after = self._change({"name": name, "state": "disabled"})[2]
        self._expect(name in after.enabled, False, "enabled by the kernel")

    def absent(self, name):
        after = self._change({"name": name, "state": "absent"})[2]
        self._expect(name in after.modules, False, "loaded by the kernel")

    def away(self, name):
        self.disable(name)
        self.absent(name)

    def all_absent(self):
        self._change({"all": True, "state": "absent"})

    def refused(self, name, code, finding=None, log=None, ready=False, **options):
        """Enabling a livepatch fails with a code and leaves the host as it was.

        finding: an error of preflight with that code, or a warning where it is ready; without one, only the kernel can
        tell. log: a word of the kernel's log.
        """
        options["path"] = FILES + name + ".ko"
        self._change(options, finding, code=code, ready=bool(ready) or not finding, log=log)

    def stalls(self, name):
        """Enabling a livepatch stalls, as preflight warns, and is left pending."""
        options = {"path": FILES + name + ".ko", "timeout": 3, "on_stall": "fail"}
        preflight, real, kernel = self._run([_preflight(options), _livepatch(options), _raw(_READ)])
        warned = "task_in_function" in [found["id"] for found in preflight["findings"]]
        found = warned, real.get("error"), Kernel(kernel).pending
        self._expect(found, (True, "stalled", [name]), "warning, error, pending by the kernel")

    def waits(self, name):
        """A livepatch is enabled when what is pending has ended."""
        options = {"path": FILES + name + ".ko"}
        tasks = [_preflight(options), _livepatch(options), _raw(_READ), _livepatch(options), _FACTS]
        preflight, real, output, again, facts = self._run(tasks)
        kernel = Kernel(output)
        self._expect(preflight["ready"], True, "ready of preflight")
        self._expect((real["failed"], real.get("proven")), (False, True), "failed and proven (%s)" % real.get("msg"))
        self._expect(name in kernel.enabled and not kernel.pending, True, "enabled by the kernel")
        self._expect((again["failed"], again["changed"]), (False, False), "failed and changed of the second run")
        self._judge_facts(facts, kernel, real)

    def keeps_out(self, livepatch, module):
        """The kernel refuses a module for a livepatch's sake, and the health tells it."""
        (before,) = self._run([_health(None)])
        self.insmod(module, fails=True)
        since = {key: before[key] for key in ("boot_id", "sequence", "time", "taint", "counters")}
        (health,) = self._run([_health(since)])
        self._expect([event["kind"] for event in health["events"]], ["module_refused"], "events of the health")
        for name in (livepatch, module):
            self._expect(name in str(health["events"]), True, "%s in the event" % name)

    def _change(self, options, finding=None, code=None, ready=True, log=None):
        """One step with all that is compared; returns (the kernel before, the real run's result, the kernel after)."""
        self._steps += 1
        tasks = {
            "mark": _raw("echo selftest: step %d > /dev/kmsg" % self._steps),
            "before": _raw(_READ),
            "preflight": _preflight(options) if "path" in options else _raw("true"),
            "check": _livepatch(options, check_mode=True),
            "between": _raw(_READ),
            "real": _livepatch(options),
            "after": _raw(_READ),
            "again": _livepatch(options),
            "later": _raw(_READ),
            "facts": _FACTS,
            "log": _raw(_LOG % self._steps),
        }
        found = dict(zip(tasks, self._run(list(tasks.values()))))
        before, between, after, later = (Kernel(found[name]) for name in ("before", "between", "after", "later"))
        real, again = found["real"], found["again"]
        self._expect(between.state, before.state, "the kernel after preflight and check mode")
        self._expect(later.state, after.state, "the kernel after the second run")
        if "path" in options:
            self._judge_preflight(found["preflight"], finding, code, ready)
        if code:
            for one in (real, again):
                said = one["failed"], one.get("error"), one["changed"]
                self._expect(said, (True, code, False), "failed, error, changed (%s)" % one.get("msg"))
            self._expect(after.state, before.state, "the kernel after a refusal")
        else:
            self._judge_success(before, after, found["check"], real, again)
        self._judge_facts(found["facts"], later, real)
        lines = found["log"]["stdout"]
        self._expect(_ALARM.findall(lines), [], "alarms in the kernel's log")
        if log:
            told = log in lines, log in str(real.get("kernel_log"))
            self._expect(told, (True, True), "%s in the log and in kernel_log" % log)
        (health,) = self._run([_health(real["since"])])
        self._expect(health.get("events"), [], "events of the health")
        self._expect(health.get("effective_release"), real["effective_release"], "effective_release of the health")
        return before, real, after

    def _judge_preflight(self, preflight, finding, code, ready):
        found = {one["id"]: one["error"] for one in preflight["findings"] if one["severity"] != "info"}
        self._expect(found, {finding: None if ready else code} if finding else {}, "findings of preflight")
        self._expect(preflight["ready"], ready, "ready of preflight")

    def _judge_success(self, before, after, check, real, again):
        self._expect(real["failed"], False, "failed (%s)" % real.get("msg"))
        if real["failed"]:
            return
        self._expect((real["proven"], real["changed"]), (True, before.state != after.state), "proven and changed")
        for side, kernel in (("before", before), ("after", after)):
            if not kernel.pending:
                said = {key: sorted(real["diff"][side][key]) for key in ("enabled", "inert")}
                self._expect(said, {"enabled": kernel.enabled, "inert": kernel.inert}, "diff, " + side)
        self._expect(sorted(real["unloaded"]), sorted(set(before.modules) - set(after.modules)), "unloaded")
        if not before.pending:
            said, came = ({key: one.get(key) for key in PREDICTED} for one in (check, real))
            self._expect(said, came, "check mode")
        found = again["failed"], again["changed"], again.get("proven"), again.get("diff", {}).get("before")
        self._expect(found, (False, False, True, real["diff"]["after"]), "failed, changed, proven, diff of the second")

    def _judge_facts(self, facts, kernel, real=None):
        facts = facts["ansible_facts"]["livepatch"]
        found = sorted(facts["patches"]), sorted(facts["inert"])
        self._expect(found, (sorted(kernel.patches), kernel.inert), "facts")
        for name, files in kernel.patches.items():
            patch = facts["patches"].get(name, {"objects": {}})
            said = {key: int(patch[key]) for key in files if key in patch}
            objects = {key: one["patched"] for key, one in patch["objects"].items()}
            shown = files, kernel.objects[name], kernel.builds[name]
            self._expect((said, objects, patch.get("build_id")), shown, "facts of %s" % name)
        self._expect(facts["enabled"] in (kernel.enabled or [None]), True, "facts, topmost livepatch is the kernel's")
        if real:
            self._expect(facts["effective_release"], real["effective_release"], "facts, effective_release")

    def _command(self, command, fails=False):
        (result,) = self._run([_raw(command)])
        self._expect(result["failed"], fails, "failed (%s)" % result["stdout"].strip()[-300:])

    def _raw(self, command):
        return self._run([_raw(command)])[0]["stdout"]

    def _expect(self, found, expected, what):
        if found != expected:
            self.problems.append("%s: expected %s, found %s" % (what, expected, found))


# Tasks.

_FACTS = {"name": "facts", "kernel.livepatch.livepatch_facts": {}}


def _raw(command):
    return {"name": "raw", "ansible.builtin.raw": command}


def _preflight(options):
    options = {key: value for key, value in options.items() if key in ("path", "replace", "replaces")}
    return {"name": "preflight", "kernel.livepatch.livepatch_preflight": options}


def _livepatch(options, check_mode=False):
    return {"name": "livepatch", "check_mode": check_mode, "kernel.livepatch.livepatch": options}


def _health(since):
    return {"name": "health", "kernel.livepatch.livepatch_health": {"since": since} if since else {}}
