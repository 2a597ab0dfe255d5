# The page about endurance: what was measured, how, and what it means.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from tests.endurance import analysis
from tests.endurance.replacer import LOAD

_HEAD = """<!--
Copyright: (c) 2026, kernel.livepatch contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->
# Endurance

One livepatch replaced by another and back, over and over, on a busy host: `%(command)s`

Each replacement is an execution of the module `livepatch`, which loads the new livepatch, waits for the transition, proves that the code in the \
kernel is that of the file, and unloads the one that was replaced. The guests' processors are emulated by one thread, which the load keeps busy \
all the time: %(load)s. Times are those of emulated machines: they show how replacements are spread, not how long one takes on hardware.

## Transitions

%(times)s

%(picture)s

A stall is a transition that has not ended within %(timeout)d seconds; the module turns it round then, and the next round tries again. `execution` \
is the whole execution of the module.

6.12 has one processor here (`--processors 1`): with two, the system call that loads a livepatch took minutes under this load. Each time it makes the \
scheduler help (`sched_dynamic_klp_enable`), which rewrites every place that may reschedule, one by one, and interrupts the other processors for each; \
where one thread emulates both, each interruption waits for the load. On hardware it takes milliseconds.

## What is left behind

%(trends)s

KiB a replacement, with the 95 %% interval of the trend (least squares over readings every %(every)d replacements, the first fifth left out). For a \
reading the load is stopped and caches are dropped. A value that is worse than %(tolerance)g KiB with 95 %% certainty fails the run: a module that \
stayed loaded would cost 16 KiB and more, a forgotten page 4.

Also compared before and after: the number of modules, of livepatches in sysfs, `warn_count` and `oops_count`. At each reading `livepatch_health` \
looks for alarms in the kernel's log.

%(verdicts)s
"""


def _row(cells):
    return "| %s |" % " | ".join(cells)


def _table(head, rows):
    lines = [_row(head), _row(["---"] + ["---:"] * (len(head) - 1))]
    return "\n".join(lines + [_row(cells) for cells in rows])


def _kernel_times(kernel, report):
    times, done = analysis.transition_times(report), analysis.rounds(report)
    totals = [line["total"] for line in done]
    words = ["%.2f" % analysis.quantile(times, share) for share in (0.5, 0.95, 1)] if times else ["-"] * 3
    stalled = len(analysis.stalls(report))
    return [kernel, "%d" % report[0].get("processors", 2), "%d" % len(done)] + words + [
        "%d (%.1f %%)" % (stalled, 100.0 * stalled / max(1, len(done))),
        "%.1f" % analysis.quantile(totals, 0.5),
    ]  # fmt: skip


def _kernel_trends(kernel, report):
    found = {one.name: "%+.2f (%+.2f to %+.2f)" % one[1:4] for one in analysis.trends(report)}
    return [kernel] + [found.get(name, "-") for name in analysis.GROWING + analysis.FALLING]


def _verdict(kernel, report):
    first, last = (analysis.readings(report)[place] for place in (0, -1))
    problems = analysis.problems(report)
    counts = ", ".join(
        "%s %d and %d" % (name, first[name], last[name]) for name in ("loaded", "warn_count", "oops_count")
    )
    said = "; ".join(problems) if problems else "nothing speaks against it"
    return "- %s: %s. Before and after: %s." % (kernel, said, counts)


def write(reports, command, timeout, every, picture):
    """Return the page (str). reports: {kernel: report}. picture: the name of its file."""
    return _HEAD % {
        "command": command,
        "load": ", ".join(sorted(LOAD)),
        "timeout": timeout,
        "every": every,
        "tolerance": analysis.TOLERANCE,
        "picture": "![Times of the transitions](%s)" % picture,
        "times": _table(
            ["kernel", "processors", "replacements", "median s", "95 % s", "longest s", "stalls", "execution, median s"],
            [_kernel_times(*pair) for pair in reports.items()],
        ),
        "trends": _table(
            ["kernel"] + list(analysis.GROWING + analysis.FALLING), [_kernel_trends(*pair) for pair in reports.items()]
        ),
        "verdicts": "\n".join(_verdict(*pair) for pair in reports.items()),
    }
