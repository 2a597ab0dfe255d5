# What a fleet runs, as a page: coverage of each cohort, releases by kernel, and the hosts that need a person.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import fleet_status, html

WIDTH, LEFT, RIGHT, ROW = 960, 240, 870, 28
MOST_COHORTS = 60
# What is well, what waits, and what somebody has to look at.
COLORS = {
    "current": "pass",
    "elsewhere": "soak",
    "reboot_pending": "hold",
    "behind": "patched",
    "unpatched": "patched",
    "unsupported": "control",
}
WRONG = "stop"
LEGEND = (
    ("pass", "current"),
    ("patched", "behind or unpatched"),
    ("hold", "reboot pending"),
    ("stop", "stalled, switching, other code, failed, unreachable"),
    ("control", "unsupported"),
    ("soak", "livepatched by another engine"),
)


def render(found):
    """Return the page (str, HTML) of a status (dict, as fleet_status.status returns it)."""
    hosts = [f"{host['host']}  {host['state'].replace('_', ' ')}  {host['effective_release'] or '-'}" for host in found["hosts"]]
    largest = sorted(found["cohorts"].items(), key=lambda item: -sum(item[1].values()))[:MOST_COHORTS]
    return html.render(
        "fleet.html.j2",
        title=f"{len(found['hosts'])} hosts and their livepatches",
        found=found,
        width=WIDTH, row=ROW, legend=LEGEND,
        cohorts=[_cohort(number, name, counts) for number, (name, counts) in enumerate(largest)],
        more_cohorts=len(found["cohorts"]) - len(largest),
        eye=fleet_status.need(found),
        texts=html.texts(hosts),
    )  # fmt: skip


def _cohort(number, name, counts):
    total = sum(counts.values())
    parts, x = [], float(LEFT)
    for state in reversed(fleet_status.STATES):
        if counts.get(state):
            width = (RIGHT - LEFT) * counts[state] / total
            says = f"{counts[state]} of {total}: {state.replace('_', ' ')}"
            parts.append({"x": round(x, 1), "width": round(max(width, 1), 1), "color": COLORS.get(state, WRONG), "says": says})
            x += width
    current = sum(counts.get(state, 0) for state in fleet_status.FINE)
    shown = name if len(name) <= 34 else name[:33] + "…"
    return {"name": f"{shown} ({total})", "y": number * ROW, "parts": parts, "share": f"{100 * current // total} %"}
