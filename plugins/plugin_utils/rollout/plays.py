# Plays of one task that an action runs itself, on other hosts than its own. The one file of this side that imports Ansible.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import gc
import signal
from collections import namedtuple

from ansible import context
from ansible.executor.task_queue_manager import TaskQueueManager
from ansible.playbook.play import Play
from ansible.plugins.callback import CallbackBase
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.rollout import answers, builds, schedule

try:
    from ansible.template import trust_as_template  # since ansible-core 2.19
except ImportError:

    def trust_as_template(value):
        """Before, every text was a template."""
        return value


# A host that dies may leave its connection open.
TIMEOUT = 300

Nested = namedtuple("Nested", "title module option variables timeout", defaults=(TIMEOUT,))
Nested.__doc__ = """A task that is executed on many hosts: module (str) with an option that the action gives for each host, or, for None,
those that it gives (dict); variables: option -> name, without livepatch_, of the variable of the host that may give it; timeout:
seconds after which Ansible ends it."""


def run(action, hostvars, task, hosts, check=answers.result):
    """Run a task (Nested) on these hosts, with their own variables and connections, on the forks; return {host: its result}.

    The worker that the action runs in is an ansible-playbook of its own for as long as that takes: what it learns of the hosts goes
    nowhere but into the result. hosts: name -> value (plain) of the option that the action gives, or dict of options;
    check: what a result (plain) passes first.
    """
    found = {name: {"unreachable": True, "msg": "it is in the inventory no longer"} for name in hosts}
    for names in schedule.plays([name for name in hosts if name in hostvars]):
        found.update(_play(action, hostvars, task, {name: hosts[name] for name in names}))
        gc.collect()
    return {name: check(values.plain(result)) for name, result in found.items()}


# It refreshes what the package manager knows of each repository, and then asks it.
BUILDS = Nested("Builds", "livepatch_builds", None, {"pattern": "package_pattern", "timeout": "package_timeout"}, timeout=900)


def resolve(action, hostvars, what, seen, seed, support, tell):
    """Ask hosts of each kernel which build it is to get; return (entries, lost, notes), see builds.resolve.

    what: builds.Wanted; seen: from fleet.survey; seed: decides who is asked; support: from builds.days; tell: function of a line.
    """
    options = {name: value for name, value in (("cves", what.cves), ("advisory", what.advisory)) if value}

    def ask(names):
        tell(f"asks {len(names)} hosts which builds their repositories have")
        return run(action, hostvars, BUILDS, dict.fromkeys(names, options), answers.build)

    return builds.resolve(what, builds.ask(seen, seed, ask), support)


def forks():
    """Return on how many hosts Ansible works at once (int)."""
    return int(context.CLIARGS.get("forks") or 5)


def _play(action, hostvars, task, hosts):
    manager = hostvars._variable_manager
    inventory = hostvars._inventory
    inventory.remove_restriction()
    inventory.restrict_to_hosts([inventory.get_host(name) for name in hosts])
    common = _play_vars(action)
    names = set(common).union(*(hostvars.raw_get(name) for name in hosts))
    given = sorted(set().union(*hosts.values())) if task.option is None else None
    play = Play().load(
        {"name": task.title, "hosts": list(hosts), "gather_facts": False, "strategy": "linear", "tasks": [_task(task, names, given)]},
        variable_manager=manager,
        loader=action._loader,
        vars={**common, "livepatch_nested": wrap_var(dict(hosts))},  # Hosts have said some of it.
    )
    collector = Collector()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    queue = _queue(inventory, manager, action, collector)
    try:
        queue.run(play)
    finally:
        queue.cleanup()
        inventory.remove_restriction()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return collector.found


def _play_vars(action):
    """The variables of the play that this task is in: those who import the playbook may give them there."""
    block = action._task._parent
    return dict(getattr(getattr(block, "_play", None), "vars", None) or {})


class Collector(CallbackBase):
    """Keeps the result of the one task of a nested play for each host, and prints nothing."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "kernel.livepatch.collector"

    def __init__(self):
        super().__init__()
        self.found = {}

    def _keep(self, result, **how):
        # The names with an underscore are the only ones that ansible-core 2.16 has. What became of a task is not in its result.
        host = result.host if hasattr(result, "host") else result._host
        data = result.result if hasattr(result, "result") else result._result
        self.found[host.get_name()] = dict(data, **how)

    def v2_runner_on_ok(self, result, **unused):
        self._keep(result)

    def v2_runner_on_failed(self, result, ignore_errors=False, **unused):
        self._keep(result, failed=True)

    def v2_runner_on_unreachable(self, result, **unused):
        self._keep(result, unreachable=True)

    def v2_runner_on_skipped(self, result, **unused):
        self._keep(result, skipped=True)


def _task(nested, names, given):
    """Return the task (dict) of a Nested; names: of all variables that any of its hosts has; given: options that the action gives.

    Each template costs the controller a millisecond a host: there is none for a variable that nobody has.
    """
    if given is None:
        options = {nested.option: trust_as_template("{{ livepatch_nested[inventory_hostname] }}")}
    else:
        options = {name: trust_as_template("{{ livepatch_nested[inventory_hostname].%s | default(omit) }}" % name) for name in given}
    for option, variable in nested.variables.items():
        if f"livepatch_{variable}" in names:
            options[option] = trust_as_template("{{ livepatch_%s | default(omit) }}" % variable)
    become = trust_as_template("{{ livepatch_become | default(true) }}") if "livepatch_become" in names else True
    keywords = {"become": become, "timeout": nested.timeout, "ignore_errors": True, "ignore_unreachable": True}
    return {"name": nested.title, f"kernel.livepatch.{nested.module}": options, **keywords}


def _queue(inventory, manager, action, collector):
    """Return what runs a play inside this worker; the results go to the collector alone."""
    secrets = {"conn_pass": action._play_context.password, "become_pass": action._play_context.become_pass}
    queue = TaskQueueManager(inventory, manager, action._loader, secrets, run_additional_callbacks=False, forks=forks())
    if hasattr(collector, "_init_callback_methods"):
        collector._init_callback_methods()
    # Before 2.21 a callback of one's own is handed over; since then there are only names.
    queue._stdout_callback, queue._callback_plugins, queue._callbacks_loaded = collector, [collector], True
    return queue
