# The tables: what came of many simulated rollouts.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from tests.simulation import gates


def summary(results):
    """Return the numbers (dict) of many Results of one model."""
    count = len(results)
    held = [result for result in results if result.held]
    return {
        "runs": count,
        "stopped": sum(result.outcome == "stop" for result in results) / count,
        "rules": [sum(result.rule == rule and result.outcome == "stop" for result in results) for rule in (1, 2, 3)],
        "ended_held": sum(result.outcome == "held" for result in results) / count,
        "held": len(held) / count,
        "noticed": sum(result.held or result.outcome == "stop" for result in results) / count,
        "hold_hours": sum(result.hold_hours for result in held) / len(held) if held else 0.0,
        "crashed": sum(result.crashed for result in results) / count,
        "patched": sum(result.patched for result in results) / count,
        "hours": sum(result.hours for result in results) / count,
    }


def others(results):
    """Return {gate: (share stopped, mean crashed, mean share patched)}, the product's first."""
    own = summary(results)
    found = {"the product's": (own["stopped"], own["crashed"], own["patched"])}
    for name in ("no gate", *gates.Others.NAMES) if results[0].others else ():
        columns = zip(*(result.others[name] for result in results))
        found[name] = tuple(sum(column) / len(results) for column in columns)
    return found


def table(head, rows):
    """Return a Markdown table (str)."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def own_table(found):
    """Return the table of the product's gate; found: model name -> Results."""
    head = [
        "model",
        "stopped %",
        "stopped or held %",
        "runs stopped by rule 1 / 2 / 3",
        "ended as held %",
        "ever held %",
        "hours held, if ever",
    ]
    head += ["crashed", "patched %", "hours"]
    return table(head, [[name, *_own_row(summary(results))] for name, results in found.items()])


def _own_row(numbers):
    row = [
        _share(numbers["stopped"]),
        _share(numbers["noticed"]),
        " / ".join(str(rule) for rule in numbers["rules"]),
        _share(numbers["ended_held"]),
    ]
    row += [_share(numbers["held"]), f"{numbers['hold_hours']:.1f}", f"{numbers['crashed']:.1f}"]
    return row + [_share(numbers["patched"]), f"{numbers['hours']:.1f}"]


def others_table(found):
    """Return the table of all gates beside each other: stopped % / crashed / patched %."""
    columns = {name: others(results) for name, results in found.items()}
    names = list(next(iter(columns.values())))
    return table(["model", *names], [[name, *(_cell(row[gate]) for gate in names)] for name, row in columns.items()])


def _cell(numbers):
    stopped, crashed, patched = numbers
    return f"{_share(stopped)} / {crashed:.{0 if crashed >= 20 else 1}f} / {_share(patched)}"


def _share(number):
    return f"{100 * number:.3g}"
