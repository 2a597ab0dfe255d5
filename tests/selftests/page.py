# The page about the kernel's selftests: which scenario is right on which kernel, and what is not.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

_PAGE = """<!--
Copyright: (c) 2026, kernel.livepatch contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->
# The kernel's own selftests

The kernel tests its livepatches with modules (`tools/testing/selftests/livepatch`, `samples/livepatch`) and with \
scripts that load them. Here the modules are the kernel's, and this collection loads them. A cell is one scenario on \
one kernel: of %(cells)d cells %(measured)d were measured, and %(right)d of these are right. `make test-selftests` \
plays them and makes this page; `make test-integration` plays a few of them on one kernel.

The modules are built for each kernel from the sources in Debian's package %(package)s. Nothing of them is in this \
repository. Where a script gives a parameter to a module that the collection loads, a copy of the module has it as its \
default (`_r` and `_eN` at the end of its name), as the module `livepatch` gives none. A scenario that one of the \
kernel's scripts has too begins with the name of that script; the others are more of the kind.

## What is compared

A step that enables, disables or unloads a livepatch is a preflight (before a livepatch is enabled), check mode, the \
run, the same run again, the facts, and the health since the run. Between these the kernel is read without the \
collection: `/sys/kernel/livepatch`, `/sys/module`, `/proc/modules`, its log, and the file whose function is patched. \
A cell is right when all of this holds:

- Preflight and check mode change nothing. Preflight finds what makes the run fail, and has no other error or warning \
than the scenario expects. Check mode predicts `changed`, `before`, `diff`, `replaced`, `unloaded` and \
`effective_release`.
- The run says `changed` exactly where the kernel differs. `diff`, `replaced` and `unloaded` are what the kernel \
shows. The build id is that of the file and of the code in the kernel. A refusal has the code that the scenario \
expects and leaves the kernel as it was.
- The second run changes nothing, or is refused as the first one was.
- The facts have the livepatches, objects, build ids, flags and inert modules that the kernel has.
- The kernel's log has no alarm, and the health tells none that is not the scenario's.
- Nothing is left behind.

What a callback answers, and whether a `klp_state` is compatible, only the kernel can tell: there preflight is ready, \
and the run is refused. Where only the code of a livepatch says whether it replaces the others, check mode takes it for \
one that does, unless `replace` says that it stacks: such scenarios give that option.

## Scenarios

%(table)s

%(problems)s
"""


def _row(cells):
    return "| %s |" % " | ".join(cells)


def _cell(problems):
    return "not measured" if problems is None else "wrong" if problems else "right"


def write(reports, package):
    """Return the page (str).

    reports: {kernel: {"release": str, "results": {scenario: problems, None where it was not played}}}, each with all
    scenarios. package: name and version of the package with the sources.
    """
    cells = {}
    for kernel, report in reports.items():
        cells.update({(scenario, kernel): problems for scenario, problems in report["results"].items()})
    scenarios = list(dict.fromkeys(scenario for scenario, _kernel in cells))
    lines = [["scenario", *(report["release"] for report in reports.values())], ["---"] * (1 + len(reports))]
    lines += [[scenario, *(_cell(cells[scenario, kernel]) for kernel in reports)] for scenario in scenarios]
    wrong = ["- %s, %s: %s" % (*cell, "; ".join(problems)) for cell, problems in cells.items() if problems]
    return _PAGE % {
        "cells": len(cells),
        "measured": sum(problems is not None for problems in cells.values()),
        "right": sum(problems == [] for problems in cells.values()),
        "package": "`%s` %s" % package,
        "table": "\n".join(_row(line) for line in lines),
        "problems": "\n".join(["## What is not right", "", *wrong] if wrong else ["What was measured is right."]),
    }
