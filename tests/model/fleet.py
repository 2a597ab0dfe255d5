# A fleet with a true state: what each machine runs, whether it lives and can be reached, and what it answers when asked.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import heapq
import random

COUNTERS = ("oops_count", "warn_count")
RELEASE = "1.0-2"
OTHER = "older_fix"
START = 1_800_000_000.0
# What can go wrong. A scenario has some of them; one that fails is tried again without each, to see what it takes.
TROUBLES = (
    # befall machines
    "crash", "hang", "network", "selfpatch", "alarm", "inventory", "moved", "counters", "habit", "taken_out", "harm",
    # while a slice is patched
    "package", "not_applicable", "stall", "stall_in", "enable_crash", "enable_hang", "enable_timeout", "unproven", "look_lost",
    "look_reboot", "look_alarm", "look_error", "module_kill", "withdrawn",
    # what hosts say
    "odd", "unreadable", "other_livepatch", "vendor", "persist", "source",
    # the controller, and people
    "kill", "disk", "pause", "resume", "promote", "abort", "say_rollback", "rollback", "old_retry", "on_stop", "last_tier",
    "report_only", "few_control", "rollback_fails", "unfit", "clock", "burst", "regroup", "workflow",
    # with builds: hosts boot another kernel, repositories move on, lose what they had, differ, or cannot be asked
    "kernel", "publish", "dropped", "differ", "unasked",
)  # fmt: skip
ODD = (
    {"uptime_seconds": 10**400}, {"uptime_seconds": -1}, {"uptime_seconds": float("nan")}, {"events": "none"},
    {"events": [None, {}]}, {"events": [{"kind": "crash", "age_seconds": 1e9, "text": "x" * 10000}] * 500},
    {"boot_id": []}, {"boot_id": "\x1b[31m"}, {"boot_id": None}, {"sequence": "12"}, {"sequence": None}, {"counters": 5},
    {"counters": {"oops_count": None}}, {"enabled": {"name": "x"}}, {"enabled": "a" * 1000}, {"sources": []}, {"failed": "yes"},
    {"signatures": 5}, {"signatures": {"warning:f": {"count": 2**62, "seconds": 0}}}, {"known_signatures": {"warning:f": {}}},
    {"failed": True, "msg": ["x"]}, {"msg": "\n" * 9999, "failed": True}, {"rebooted": "no"}, {"time": 12}, {"skipped": True},
)  # fmt: skip
TIMED_OUT = {"failed": True, "msg": "The task did not complete within the expected time frame of 300 seconds.", "timedout": {}}
UNREACHABLE = {"unreachable": True, "msg": "Failed to connect to the host via ssh", "changed": False}
MODULE_FAILURE = {"failed": True, "changed": False, "msg": "MODULE FAILURE: No start of json char found", "rc": -9}
# What a host may say when it is asked for its build, but for the truth.
NO_ANSWER = (
    {"failed": True, "error": "repository_unavailable", "msg": "a repository cannot be reached"}, {"build": {"package": "-y"}},
    {"build": None, "reason": "because"}, {"kernel_release": "4.19.0-1"}, {"missing": "all"}, dict(TIMED_OUT), dict(UNREACHABLE), {},
)  # fmt: skip
# What a host may say of a rollback that it has not done.
NOT_BACK = ({"changed": True}, {"changed": True, "name": None}, {"changed": True, "name": "x", "proven": True}, {"skipped": True}, {})


class Scenario:
    """What is drawn from a seed: each thing from a stream of its own, so that one may be left out and the others stay."""

    def __init__(self, seed, without=(), most=None, final=None):
        self.seed, self.without, self.most = seed, frozenset(without), most
        self._streams = {}
        dice = self.dice("troubles")
        busy = dice.choice((0.05, 0.1, 0.2, 0.3, 0.5))
        self.troubles = {one: dice.choice((0.05, 0.15, 0.4)) for one in TROUBLES if dice.random() < busy}
        for one in self.without:
            self.troubles.pop(one, None)

    def dice(self, name):
        if name not in self._streams:
            self._streams[name] = random.Random(f"{self.seed}/{name}")
        return self._streams[name]

    def has(self, trouble):
        return trouble in self.troubles

    def strikes(self, trouble, whom="", scale=1.0):
        """Does this trouble strike now? Each asking has a new answer."""
        return trouble in self.troubles and self.dice(f"{trouble}/{whom}").random() < self.troubles[trouble] * scale


class Machine:
    """brought: who brought the release that runs (rollout, automation or None); had: what ran when the rollout first touched it."""

    def __init__(self, name, cohort, domain, vendor, boot):
        self.name, self.cohort, self.domain, self.vendor = name, cohort, domain, vendor
        self.boots, self.booted_at = 0, boot
        # With builds: the kernel that runs, and what the build that it is to get is called.
        self.kernel = self.wanted = None
        self.enabled = self.brought = self.package = self.had = None
        self.begun = None  # what a run of the module that was killed began with: (what ran, since)
        self.keeps = self.self_keeps = self.hung = self.transition = self.moved = False
        self.down_until = self.away_until = 0.0
        self.listed, self.supported = True, True
        self.sequence, self.log, self.counters = 100, [], [0, 0]
        # Whether a warning comes to it now and then, and whether that has become far more often.
        self.habit = self.bad_habit = False

    @property
    def boot_id(self):
        return f"boot-{self.name}-{self.boots}"

    @property
    def livepatch(self):
        """What the release is called there; of builds that of its kernel by the journal."""
        if self.kernel:
            return self.wanted
        return "livepatch_1_0_2" if self.vendor else "1.0_2"

    @property
    def runs(self):
        return self.livepatch is not None and self.enabled == self.livepatch

    @property
    def runs_ours(self):
        return self.runs and self.brought == "rollout"

    @property
    def has_ours(self):
        """Does it run what the rollout brought, in whatever round?"""
        return self.enabled is not None and self.brought == "rollout"

    def answers(self, now):
        return self.listed and not self.hung and now >= self.down_until and now >= self.away_until

    def note(self, now, kind, new=True):
        self.sequence += 1
        self.log.append((self.sequence, now, kind, new))
        if kind == "warning":
            self.counters[1] += 1

    def enable(self, livepatch, who):
        if self.enabled != livepatch:
            self.enabled, self.brought = livepatch, who

    def reboot(self, now, down):
        self.boots += 1
        self.down_until = self.booted_at = now + down
        self.sequence, self.log, self.counters, self.transition, self.begun = 100, [], [0, 0], False, None
        if not (self.keeps or self.self_keeps):
            self.enabled = self.brought = None


class Builds:
    """What the repositories have for each kernel: a number, 0 for none; of some kernels nobody knows what a build is called."""

    def __init__(self, scenario, machines):
        dice = scenario.dice("builds/kernels")
        self.kernels = [f"6.{number}.0-1" for number in range(dice.choice((1, 2, 3, 5)))]
        self.numbers = {kernel: dice.choice((0, 1, 1, 2)) for kernel in self.kernels}
        self.one_name, self.nameless = dice.random() < 0.3, {kernel for kernel in self.kernels if dice.random() < 0.2}
        self.cves = dice.choice(([], [], ["CVE-2026-1"], ["CVE-2026-1", "CVE-2026-3"]))
        for machine in machines.values():
            machine.kernel = scenario.dice(f"builds/{machine.name}").choice(self.kernels)

    def publish(self, kernel):
        self.numbers[kernel] += 1

    def newest(self, kernel):
        return self._package(kernel, self.numbers.get(kernel, 0))

    def _package(self, kernel, number):
        return f"kpatch-{kernel.replace('-', '_')}-1-{number}.x86_64" if number else None

    def kernel(self, package):
        return package.split("-")[1].replace("_", "-")

    def number(self, package):
        return int(package.rpartition("-")[2].partition(".")[0])

    def name(self, package):
        """What the livepatch of a package is called: on some fleets two kernels have one name for it."""
        own = "" if self.one_name else f"{self.kernel(package)}_"
        return f"fix_{own}{self.number(package)}"

    def answer(self, kernel, cves, old):
        """Return what livepatch_builds says where all is well (raw), or, for `old`, with yesterday's metadata."""
        number = max(0, self.numbers.get(kernel, 0) - old)
        package = self._package(kernel, number)
        mended = [f"CVE-2026-{one}" for one in range(1, number + 1)]
        named = None if not package or kernel in self.nameless else self.name(package)
        return {
            "kernel_release": kernel, "architecture": "x86_64", "reason": None if package else "no_build", "changed": False,
            "build": package and {"package": package, "version": f"1-{number}", "livepatch": named, "built": None, "cves": mended},
            "missing": [cve for cve in cves if cve not in mended], "unknown_cves": [], "advisory_known": None, "supported_until": None,
        }  # fmt: skip


class Fleet:
    """The machines, and what befalls them as time goes by. `told` is called with (time, text) of everything that happens."""

    def __init__(self, scenario, told):
        self.scenario, self.now, self.told = scenario, START, told
        dice = scenario.dice("fleet")
        count = dice.choice((1, 2, 3, 5, 8, 12, 20, 30))
        cohorts, domains = dice.choice((1, 1, 2, 4)), dice.choice((0, 0, 2, 4))
        self.machines = {}
        for number in range(1, min(count, scenario.most or count) + 1):
            own = scenario.dice(f"machine/{number}")
            name = f"h{number}"
            machine = Machine(
                name,
                f"kernel-{own.randrange(cohorts)}" if cohorts > 1 else None,
                own.randrange(domains) if domains else None,
                scenario.has("vendor") and own.random() < 0.5,
                START - own.choice((100, 1e5, 1e7)),
            )
            machine.self_keeps = scenario.strikes("persist", name)
            if scenario.strikes("other_livepatch", name):
                machine.enable(OTHER, "automation")
            if scenario.strikes("habit", name):
                machine.habit = True
            if scenario.strikes("unfit", name):
                machine.supported = False
            self.machines[name] = machine
        self.queue, self.calm = [], False
        self.builds = Builds(scenario, self.machines) if scenario.dice("builds").random() < 0.4 else None
        self.length = 36 * 3600
        for name in self.machines:
            for trouble in (*TROUBLES[:10], *(["kernel"] if self.builds else [])):
                while scenario.strikes(trouble, name):
                    self.later(scenario.dice(f"when/{trouble}/{name}").expovariate(1 / 14400), trouble, name)
        for kernel in self.builds.kernels if self.builds else ():
            while scenario.strikes("publish", kernel, 2):
                self.later(scenario.dice(f"when/publish/{kernel}").expovariate(1 / 14400), "publish", kernel)

    def later(self, seconds, what, name):
        heapq.heappush(self.queue, (self.now + seconds, len(self.queue), what, name))

    def advance(self, to):
        while self.queue and self.queue[0][0] <= to:
            self.now = max(self.now, self.queue[0][0])
            what, name = heapq.heappop(self.queue)[2:]
            getattr(self, f"_{what}")(self.machines.get(name) or name)
        self.now = max(self.now, to)

    def be_calm(self):
        """All troubles are over: what was lost comes back."""
        self.calm, self.queue = True, []
        for machine in self.machines.values():
            if machine.hung:
                self._power(machine)
            machine.away_until = machine.down_until = 0.0
            machine.listed, machine.moved = True, False

    def _crash(self, machine):
        dice = self.scenario.dice(f"crash/how/{machine.name}")
        machine.reboot(self.now, dice.choice((20, 60, 300, 1800)))
        self.told(f"{machine.name} crashes, is down for {machine.down_until - self.now:.0f} s, runs {machine.enabled} then")

    def _hang(self, machine):
        machine.hung = True
        self.told(f"{machine.name} hangs")
        if self.scenario.dice(f"power/{machine.name}").random() < 0.5:
            self.later(self.scenario.dice(f"power/{machine.name}").choice((600, 7200, 40000)), "power", machine.name)

    def _power(self, machine):
        if machine.hung:
            machine.hung = False
            machine.reboot(self.now, 60)
            self.told(f"{machine.name} is switched off and on")

    def _network(self, machine):
        machine.away_until = self.now + self.scenario.dice(f"away/{machine.name}").choice((10, 300, 1200, 20000))
        self.told(f"{machine.name} cannot be reached for {machine.away_until - self.now:.0f} s")

    def _selfpatch(self, machine):
        if not machine.hung and not machine.runs:
            package = self.builds.newest(machine.kernel) if self.builds else "klp"
            if package is None:
                return
            machine.package = package
            machine.enable(self.builds.name(package) if self.builds else machine.livepatch, "automation")
            self.told(f"{machine.name} patches itself")

    def _kernel(self, machine):
        if not machine.hung:
            machine.kernel = self.scenario.dice(f"kernel/{machine.name}").choice([*self.builds.kernels, "6.99.0-1"])
            machine.reboot(self.now, 60)
            machine.enabled = machine.brought = machine.package = None  # What boots with a kernel is of that kernel.
            machine.keeps = False
            self.told(f"{machine.name} boots kernel {machine.kernel}")

    def _publish(self, kernel):
        self.builds.publish(kernel)
        self.told(f"kernel {kernel} has the build {self.builds.newest(kernel)}")

    def _taken_out(self, machine):
        if machine.enabled:
            machine.enabled = machine.brought = None
            self.told(f"somebody takes the livepatch of {machine.name} out")

    def _alarm(self, machine):
        machine.note(self.now, "warning")
        self.told(f"{machine.name} has a kernel alarm")

    def _counters(self, machine):
        machine.counters[0] += 1
        self.told(f"{machine.name} counts an oops that its log does not tell")

    def _habit(self, machine):
        machine.bad_habit = machine.habit and not machine.bad_habit
        if machine.bad_habit:
            self.told(f"{machine.name} warns far more often than before")

    def _moved(self, machine):
        machine.moved = not machine.moved
        self.told(f"another machine answers as {machine.name}" if machine.moved else f"{machine.name} answers itself again")

    def _inventory(self, machine):
        machine.listed = not machine.listed
        self.told(f"{machine.name} {'comes back into' if machine.listed else 'leaves'} the inventory")
        if not machine.listed:
            self.later(self.scenario.dice(f"back/{machine.name}").choice((3600, 36000)), "inventory", machine.name)

    # What machines answer

    def facts(self, machine):
        """Return what the planner reads of a host."""
        found = {"cohort": machine.cohort, "domain": machine.domain, "facts": None, "result": {}}
        if not machine.answers(self.now):
            return dict(found, result=dict(UNREACHABLE))
        if not self.calm and self.scenario.strikes("odd", f"facts/{machine.name}", 0.2):
            return dict(found, **self.scenario.dice("odd/facts").choice((
                {"facts": {"supported": "yes"}}, {"facts": {"supported": True, "boot_id": 5}}, {"facts": []},
                {"facts": {"supported": True, "kernel_release": "6.1.0-1", "uptime_seconds": 10**400}},
                {"result": {"failed": True, "msg": {}}}, {"result": {"failed": True, "msg": "no sysfs"}}, {"odd": "{{ rack }}"},
                dict(result=TIMED_OUT),
            )))  # fmt: skip
        found["facts"] = {
            "supported": machine.supported,
            "kernel_release": machine.kernel or machine.cohort or "6.1.0-1",
            "architecture": "x86_64",
            "effective_release": "6.1.0-1",
            "boot_id": machine.boot_id,
            "uptime_seconds": max(0.0, self.now - machine.booted_at),
            "enabled": machine.enabled,
            "transition": {"livepatch": machine.enabled} if machine.transition else None,
            "os_family_ids": ["amzn"] if machine.vendor else ["fedora"],
            "engines": [],
        }
        return found

    def look(self, machine, since):
        """Return what livepatch_health answers (raw)."""
        if not machine.answers(self.now):
            return dict(UNREACHABLE)
        if not self.calm and self.scenario.strikes("look_error", machine.name, 0.2):
            return dict(
                self.scenario.dice("look_error/which").choice(
                    (TIMED_OUT, {"failed": True, "error": "unreadable", "msg": "sudo: a password is required"}, {})
                )
            )
        if machine.moved:
            return dict(self._look(machine, since), boot_id="boot-elsewhere", uptime_seconds=1e7, enabled=None)
        found = self._look(machine, since)
        if not self.calm and self.scenario.strikes("odd", f"look/{machine.name}", 0.1):
            found.update(self.scenario.dice("odd/look").choice(ODD))
        return found

    def _look(self, machine, since):
        here = since.get("boot_id") == machine.boot_id
        after = (since.get("sequence") or 0) if here else 0
        marks = since.get("counters") or {} if here else dict.fromkeys(COUNTERS, 0 if since.get("boot_id") else None)
        lines = [one for one in machine.log if one[0] > after]
        counted = {"oops_count": (), "warn_count": ("warning",)}
        untold = [
            {"kind": "untold", "signature": f"untold:{name}", "text": name, "age_seconds": 0, "new": True}
            for name, now in zip(COUNTERS, machine.counters)
            if marks.get(name) is not None and now - marks[name] > sum(one[2] in counted[name] for one in lines)
        ]
        habit = {"warning:habit": {"count": 40, "seconds": 36000}} if machine.habit else {}
        unreadable = not self.calm and self.scenario.strikes("unreadable", machine.name, 0.2)
        return {
            "changed": False,
            "boot_id": machine.boot_id,
            "rebooted": bool(since.get("boot_id")) and not here,
            "enabled": machine.enabled,
            "effective_release": f"6.1.0-1-{machine.enabled}" if machine.enabled else "6.1.0-1",
            "uptime_seconds": max(0.0, self.now - machine.booted_at),
            "sequence": machine.sequence,
            "time": "whatever",
            "counters": dict(zip(COUNTERS, machine.counters)),
            "signatures": {"warning:habit": {"count": 40 if machine.bad_habit else 1, "seconds": 900}} if habit else {},
            "known_signatures": habit,
            "unseen": ["warning"] if unreadable else [],
            "sources": {"kmsg": "unreadable" if unreadable else "read"},
            "events": [
                {"kind": kind, "signature": f"{kind} at f+0x{number:x}", "text": kind, "age_seconds": self.now - when, "new": new}
                for number, when, kind, new in lines
            ]
            + untold,
        }

    # One execution patches a host: its package, the livepatch, and a look. The clock goes on between these.

    def ask(self, machine, cves):
        """Return what livepatch_builds answers (raw)."""
        if not machine.answers(self.now):
            return dict(UNREACHABLE)
        found = self.builds.answer(machine.kernel, cves, self._fails("differ", machine.name))
        if self._fails("unasked", machine.name):
            found.update(self.scenario.dice("unasked").choice(NO_ANSWER))
        return found

    def install(self, machine, build=None):
        """Return (what livepatch says of the package, whether it goes on); build: the very package that is wanted, if so."""
        if not machine.answers(self.now):
            return dict(UNREACHABLE), False
        name = machine.name
        if self._fails("package", name):
            return {"failed": True, "error": "package_failed", "msg": "the repository does not answer", "changed": False}, False
        if build:
            return self._install_build(machine, build)
        if self._fails("withdrawn", name) and machine.package:
            self.told(f"the package of {name} is gone, and no repository has it any more")
            machine.package = None
            return self._without_build(machine), False
        if machine.package is None and not machine.runs and self._fails("not_applicable", name):
            return self._without_build(machine), False
        found = {"package": "klp-1.0-2.x86_64", "package_before": None}
        found["outcome"] = "already_installed" if machine.package else "installed"
        machine.package = "klp"
        return found, True

    def _install_build(self, machine, build):
        before, since = self._began(machine)
        if self.builds.kernel(build) != machine.kernel:
            told = {"before": {"enabled": before}, "since": since} if self.scenario.dice("other_kernel").random() < 0.5 else {}
            return {"failed": True, "error": "other_kernel", "msg": f"{build} is for another kernel", "changed": False, **told}, False
        had = machine.package
        if had and self.builds.number(had) > self.builds.number(build):
            found = {"outcome": "already", "package": had, "package_before": had, "name": machine.enabled, "proven": bool(machine.enabled)}
            return dict(found, changed=False, before={"enabled": before}, since=since), False
        if had != build and self._fails("dropped", machine.name):
            return {"failed": True, "error": "package_gone", "msg": "no repository has it any more", "changed": False}, False
        machine.package = build
        return {"package": build, "package_before": had, "outcome": "already_installed" if had == build else "installed"}, True

    def _without_build(self, machine):
        before, since = self._began(machine)
        goes_on, machine.begun = machine.begun is not None, None
        found = {"outcome": "not_applicable", "package": None, "package_before": None, "name": None, "proven": False}
        found.update(changed=goes_on and before != machine.enabled, before={"enabled": before}, since=since, kernel_release="6.1.0-1")
        return dict(found, health=self._look(machine, since) if goes_on else None)

    def _began(self, machine):
        """Return what ran, and where the log stood, before the first of the runs that belong together."""
        here = {"boot_id": machine.boot_id, "sequence": machine.sequence, "time": "whatever"}
        here["counters"] = dict(zip(COUNTERS, machine.counters))
        return machine.begun or (machine.enabled, here)

    def _fails(self, trouble, name):
        return not self.calm and self.scenario.strikes(trouble, name)

    def apply(self, machine, package):
        """Return what livepatch says then; the machine changes, or dies."""
        if not machine.answers(self.now):
            return dict(UNREACHABLE)
        name, (had, since) = machine.name, self._began(machine)
        if not machine.runs and self._fails("stall", name):
            machine.begun = None
            return {"failed": True, "error": "stalled", "msg": "1 task blocks it: turned round", "changed": False}
        if self._fails("module_kill", name) and self.scenario.dice(f"module_kill/{name}").random() < 0.5:
            machine.begun = had, since
            return dict(MODULE_FAILURE)
        before = machine.brought
        if machine.had is None:
            machine.had = machine.enabled or "none"
        # What it had before the rollout first touched it is not the rollout's.
        machine.enable(machine.livepatch, "automation" if machine.had == machine.livepatch else "rollout")
        if self.scenario.has("harm") and machine.runs_ours and before != "rollout" and not self.calm:
            if self.scenario.dice(f"harm/{name}").random() < self.scenario.troubles["harm"]:
                delay = self.scenario.dice(f"harm/{name}").expovariate(1 / 3600)
                self.later(delay, self.scenario.dice(f"harm/{name}").choice(("crash", "crash", "hang", "alarm")), name)
        if self._fails("module_kill", name):
            machine.begun = had, since
            self.told(f"the module is killed on {name}, which runs {machine.enabled}")
            return dict(MODULE_FAILURE)
        machine.begun = None
        if self._fails("stall_in", name):
            machine.transition = True
            return {"failed": True, "error": "stalled", "msg": "1 task blocks it: it waits on", "changed": True}
        machine.transition = False
        if self._fails("enable_crash", name):
            self._crash(machine)
            return dict(UNREACHABLE)
        if self._fails("enable_hang", name):
            self._hang(machine)
            return dict(self.scenario.dice(f"enable_hang/how/{name}").choice((TIMED_OUT, UNREACHABLE)))
        if self._fails("enable_timeout", name):
            return dict(TIMED_OUT)
        return {
            **package,
            "changed": had != machine.enabled or package["outcome"] == "installed",
            "name": machine.enabled,
            "proven": not self._fails("unproven", name),
            "before": {"enabled": had},
            "since": since,
            "transition": {"seconds": 0.5},
        }

    def answer(self, machine, apply):
        """Return the raw result of the whole execution: with a look, or lost with its host."""
        if "since" not in apply or "health" in apply:
            return apply
        if self._fails("look_lost", machine.name):
            self._network(machine)
        elif self._fails("look_reboot", machine.name):
            machine.reboot(self.now - 2, 0)
        elif self._fails("look_alarm", machine.name):
            self._alarm(machine)
        look = self.look(machine, apply["since"])
        if look.get("unreachable"):
            return look
        return dict(apply, health=None if look.get("failed") or not look else look)

    def keep(self, machine):
        if not machine.answers(self.now):
            return dict(UNREACHABLE)
        machine.keeps = machine.enabled is not None
        return {"changed": True, "boot_guard": {"state": "armed", "reason": None}}

    def roll_back(self, machine, target, persist):
        """Return {register: raw result} of a rollback's tasks."""
        if not machine.answers(self.now):
            return {"livepatch_result_rollback": dict(UNREACHABLE)}
        if self._fails("rollback_fails", machine.name):
            return {"livepatch_result_rollback": {"failed": True, "error": "stalled", "msg": "1 task blocks it"}}
        if self._fails("odd", f"back/{machine.name}"):
            return {"livepatch_result_rollback": dict(self.scenario.dice("odd/back").choice(NOT_BACK))}
        machine.transition, machine.had, machine.begun = False, None, None
        to = target["enabled_before"]
        if to is None:
            machine.enabled = machine.brought = machine.package = None
            machine.keeps = False
            name = None
        else:
            machine.enable(to, "before")
            name = to
        self.told(f"{machine.name} is rolled back to {to}")
        return {"livepatch_result_rollback": {"changed": True, "name": name, "proven": True}}
