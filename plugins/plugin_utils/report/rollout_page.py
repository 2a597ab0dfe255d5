# The report of a rollout as a page: what it came to, its tiers in time, the evidence, and the hosts.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.report import chart, html, summary

WIDTH, LEFT, RIGHT = 960, 150, 930
ROW = 34
TOP, BOTTOM = 15, 215
COLORS = {"complete": "pass", "stopped": "stop", "held": "hold", "rolled_back": "stop"}


def render(report):
    """Return the page (str, HTML) of a report (dict, as report.report returns it)."""
    span = chart.Span(report["begun"], report["until"], LEFT, RIGHT)
    points = report["evidence"]
    values = [point[kind]["e"] for point in points for kind in ("crashes", "alarms")]
    decades = chart.Decades(0.1, min(max([100.0, *values]), 1e9), BOTTOM, TOP)
    return html.render(
        "rollout.html.j2",
        title=f"{report['rollout']}: {report['result']}",
        report=report,
        color=COLORS.get(report["result"], ""),
        width=WIDTH, left=LEFT, right=RIGHT, row=ROW, rows=len(report["tiers"]), top=TOP, bottom=BOTTOM,
        span=span,
        bars=[_bar(tier, number, span) for number, tier in enumerate(report["tiers"])],
        decades=decades,
        crashes=_curve(points, "crashes", span, decades),
        alarms=_curve(points, "alarms", span, decades),
        marks=[_mark(event, span) for event in report["events"][: html.MOST_ROWS]],
        last=points[-1] if points else None,
        eye=[host for host in report["hosts"] if host["outcome"] not in summary.QUIET],
        lists=_lists(report["hosts"]),
        texts=html.texts,
    )  # fmt: skip


def _bar(tier, number, span):
    drawn = {"name": f"{tier['name']} ({tier['hosts']})", "y": number * ROW, "x": None}
    if tier["begun"] is None:
        return drawn
    begin, end = span.x(tier["begun"]), max(span.x(tier["until"]), span.x(tier["begun"]) + 2)
    patched = span.x(tier["patched"]) if tier["patched"] is not None else end
    patching = round(min(max(patched - begin, 2), end - begin), 1)
    verdict = tier["verdict"] or "no verdict yet"
    return {
        **drawn,
        "x": begin,
        "patching": patching,
        "soak": round(end - begin - patching, 1),
        "holds": [(span.x(since), round(max(span.x(until) - span.x(since), 1), 1)) for since, until in tier["holds"]],
        "end": end,
        "color": tier["verdict"] or "control",
        "says": f"{tier['name']}: {verdict}, after {chart.duration(tier['until'] - tier['begun'])}",
    }


def _curve(points, kind, span, decades):
    return chart.steps((span.x(point["at"]), decades.y(point[kind]["e"])) for point in points)


def _mark(event, span):
    says = f"{event['host']} ({event['arm']}): {event['text']}"
    return {"x": span.x(event["at"]), "y": BOTTOM - 8, "patched": event["arm"] == "patched", "says": says}


def _lists(hosts):
    """(title, texts) for each tier and for the hosts outside the plan: a line each, in texts of bounded length."""
    tiers = {}
    for host in hosts:
        tiers.setdefault(host["tier"], []).append(host)
    for tier, found in tiers.items():
        title = f"tier {tier}" if tier else "not in the plan"
        yield f"{title}: {len(found)} hosts", html.texts([_line(host) for host in found])


def _line(host):
    parts = [host["host"], host["outcome"].replace("_", " "), host["effective_release"] or "-"]
    if host["at"] is not None:
        parts.append(chart.clock(host["at"]))
    return "  ".join(parts)
