# The livepatches of a host as metrics, in the text format of Prometheus, for node_exporter's textfile collector.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import stalls

# What one look can tell.
REASONS = (stalls.RUNNING, stalls.SLEEPING, stalls.UNKNOWN)


def render(facts, transition_seconds=None, blockers=None, changed=None):
    """Return the metrics (str).

    facts: as kernel_facts.gather returns them. transition_seconds: how long the pending transition has lasted, None when that
    is not known. blockers: {reason: number of tasks} of it. changed: when the enabled livepatches last changed, in
    seconds since 1970, None when that is not known.
    """
    page = _Page()
    info = {
        "kernel_release": facts["kernel_release"],
        "effective_release": facts["effective_release"],
        "livepatch": facts["enabled"] or "",
    }
    page.add("info", "What this kernel runs: always 1.", [(info, 1)])
    page.add("supported", "Whether this kernel can be livepatched.", [({}, int(facts["supported"]))])
    page.add(
        "enabled",
        "Each livepatch: 1 when all tasks run it, 0 while tasks are still switching.",
        [(_patch(name, patch), int(patch["enabled"] and not patch["transition"])) for name, patch in _patches(facts)],
    )
    page.add(
        "persistent",
        "Whether the next boot of this kernel enables the livepatch.",
        [({"livepatch": name}, int(patch["persistent"])) for name, patch in _patches(facts)],
    )
    guard = facts["boot_guard"]
    page.add(
        "boot_guard",
        "What the last boot did about the livepatch that is kept for it: the state that is 1.",
        [({"state": guard["state"]}, 1)] if guard else [],
    )
    _add_transition(page, facts["transition"], transition_seconds, blockers or {})
    page.add("inert_modules", "Livepatch modules that are loaded but no longer enabled.", [({}, len(facts["inert"]))])
    page.add(
        "kernel_taint",
        "The taint flags of the kernel that are set (Documentation/admin-guide/tainted-kernels.rst).",
        [({"flag": flag}, 1) for flag in facts["taint"]["flags"]],
    )
    if changed is not None:
        page.add("last_change_timestamp_seconds", "When the enabled livepatches last changed.", [({}, int(changed))])
    return page.text()


def _patches(facts):
    """Return the livepatches of the facts as (name, patch), sorted by name."""
    return sorted(facts["patches"].items())


def _patch(name, patch):
    return {"livepatch": name, "build_id": patch["build_id"] or ""}


def _add_transition(page, transition, seconds, blockers):
    labels = {"livepatch": transition["livepatch"], "direction": transition["direction"]} if transition else {}
    page.add("transition", "Whether tasks are switching to or from a livepatch.", [(labels, int(bool(transition)))])
    if transition and seconds is not None:
        page.add("transition_seconds", "How long the transition has lasted.", [(labels, round(seconds, 1))])
    page.add(
        "blockers",
        "Tasks that have not switched yet, by what holds them up.",
        [({"reason": reason}, blockers.get(reason, 0)) for reason in REASONS],
    )


class _Page(object):
    """Metrics in the text format (prometheus.io/docs/instrumenting/exposition_formats), all of them gauges."""

    def __init__(self):
        self.lines = []

    def add(self, name, words, samples):
        """Add a metric livepatch_NAME; samples: list of (labels, number). Without a sample it is left out."""
        if not samples:
            return
        self.lines.append("# HELP livepatch_%s %s" % (name, words))
        self.lines.append("# TYPE livepatch_%s gauge" % name)
        for labels, number in samples:
            written = ",".join('%s="%s"' % (key, _escaped(value)) for key, value in sorted(labels.items()))
            self.lines.append("livepatch_%s%s %s" % (name, "{%s}" % written if written else "", number))

    def text(self):
        return "\n".join(self.lines) + "\n"


def _escaped(value):
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
