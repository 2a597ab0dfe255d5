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

TEMPLATE = """{% extends "frame" %}
{% block body %}
<h1>{{ report.rollout }} <span class="badge {{ color }}">{{ report.result | replace('_', ' ') }}</span></h1>
<p class="soft">release {{ report.release }}, begun {{ report.begun | clock }} UTC, {{ (report.until - report.begun) | duration -}}
{% if report.user %}, by {{ report.user }}{% endif %}{% if report.controller %} on {{ report.controller }}{% endif %}</p>
{% for reason in report.reasons %}
<p>{{ reason }}</p>
{% endfor %}
<div class="numbers">
{% for outcome, number in report.counts.items() %}
<div><b>{{ number }}</b>{{ outcome | replace('_', ' ') }}</div>
{% endfor %}
</div>

<h2>Tiers</h2>
<svg viewBox="0 0 {{ width }} {{ rows * row + 30 }}" role="img" aria-label="The tiers in time">
{% for x, text in span.ticks() %}
<line class="grid" x1="{{ x }}" x2="{{ x }}" y1="4" y2="{{ rows * row + 8 }}"/>
<text class="soft" x="{{ x }}" y="{{ rows * row + 24 }}" text-anchor="middle">{{ text }}</text>
{% endfor %}
{% for bar in bars %}
<text x="0" y="{{ bar.y + 18 }}">{{ bar.name }}</text>
{% if bar.x is not none %}
<rect x="{{ bar.x }}" y="{{ bar.y + 5 }}" width="{{ bar.patching }}" height="18" rx="3" fill="var(--patched)"/>
<rect x="{{ bar.x + bar.patching }}" y="{{ bar.y + 5 }}" width="{{ bar.soak }}" height="18" rx="3" fill="var(--soak)"/>
{% for x, length in bar.holds %}
<rect x="{{ x }}" y="{{ bar.y + 5 }}" width="{{ length }}" height="18" fill="var(--hold)"/>
{% endfor %}
<circle cx="{{ bar.end }}" cy="{{ bar.y + 14 }}" r="6" fill="var(--{{ bar.color }})"><title>{{ bar.says }}</title></circle>
{% else %}
<text class="soft" x="{{ left }}" y="{{ bar.y + 18 }}">not begun</text>
{% endif %}
{% endfor %}
</svg>
<p class="soft"><span style="color:var(--patched)">&#9632;</span> hosts are being patched
<span style="color:var(--soak)">&#9632;</span> the tier soaks <span style="color:var(--hold)">&#9632;</span> on hold;
at the end its last verdict: <span style="color:var(--pass)">&#9679;</span> pass <span style="color:var(--hold)">&#9679;</span> hold
<span style="color:var(--stop)">&#9679;</span> stop. Times are since the begin.</p>
<div class="scroll"><table>
<tr><th>tier</th><th class="n">hosts</th><th class="n">slices</th><th>began</th><th class="n">lasted</th><th>last verdict</th><th>outcomes</th></tr>
{% for tier in report.tiers %}
<tr><td>{{ tier.name }}</td><td class="n">{{ tier.hosts }}</td><td class="n">{{ tier.slices }}</td>
<td>{% if tier.begun is not none %}{{ tier.begun | clock }}{% else %}-{% endif %}</td>
<td class="n">{% if tier.begun is not none %}{{ (tier.until - tier.begun) | duration }}{% else %}-{% endif %}</td>
<td>{{ tier.verdict or '-' }}</td>
<td>{% for outcome, number in tier.counts.items() %}{{ number }} {{ outcome | replace('_', ' ') }}{{ ', ' if not loop.last }}{% endfor %}</td></tr>
{% endfor %}
</table></div>

{% if report.builds %}
<h2>Builds</h2>
<div class="scroll"><table>
<tr><th>kernel release</th><th class="n">hosts</th><th>build</th><th>built</th><th>mends</th><th>supported until</th></tr>
{% for build in report.builds[:most] %}
<tr><td>{{ build.kernel }}</td><td class="n">{{ build.hosts }}</td><td>{{ build.package or 'none: ' ~ build.why }}</td>
<td>{{ (build.built or '-')[:10] }}</td><td>{% if build.cves | length > 5 %}<details><summary>{{ build.cves | length }} CVEs</summary>
{{ build.cves | join(', ') }}</details>{% else %}{{ build.cves | join(', ') or '-' }}{% endif %}</td><td>{{ build.supported_until or '-' }}</td></tr>
{% endfor %}
</table></div>
{% for build in report.builds if build.uncovered %}
<details><summary>{{ build.uncovered | length }} hosts of kernel {{ build.kernel }} are uncovered: its build is not known to mend
{{ build.missing | join(', ') }}</summary>
{% for text in texts(build.uncovered) %}
<pre>{{ text }}</pre>
{% endfor %}
</details>
{% endfor %}
{% endif %}

<h2>Evidence against the livepatch</h2>
{% if report.evidence %}
<svg viewBox="0 0 {{ width }} {{ bottom + 35 }}" role="img" aria-label="E of crashes and of alarms over time">
{% for y, text in decades.ticks() %}
<line class="grid" x1="{{ left }}" x2="{{ right }}" y1="{{ y }}" y2="{{ y }}"/>
<text class="soft" x="{{ left - 8 }}" y="{{ y + 4 }}" text-anchor="end">{{ text }}</text>
{% endfor %}
{% for x, text in span.ticks() %}
<text class="soft" x="{{ x }}" y="{{ bottom + 22 }}" text-anchor="middle">{{ text }}</text>
{% endfor %}
{% for name, limit in (('stop', report.rules.stop_evidence), ('hold', report.rules.hold_evidence)) %}
<line x1="{{ left }}" x2="{{ right }}" y1="{{ decades.y(limit) }}" y2="{{ decades.y(limit) }}" stroke="var(--{{ name }})" stroke-dasharray="6 4"/>
<text x="{{ right }}" y="{{ decades.y(limit) - 5 }}" text-anchor="end" style="fill:var(--{{ name }})">{{ name }} at {{ '%g' | format(limit) }}</text>
{% endfor %}
<polyline points="{{ alarms }}" fill="none" stroke="var(--control)" stroke-width="1.5"/>
<polyline points="{{ crashes }}" fill="none" stroke="var(--patched)" stroke-width="2.5"/>
{% for event in marks %}
<circle cx="{{ event.x }}" cy="{{ event.y }}" r="4.5" fill="{{ 'var(--stop)' if event.patched else 'none' }}"
stroke="{{ 'var(--stop)' if event.patched else 'var(--soft)' }}" stroke-width="1.5"><title>{{ event.says }}</title></circle>
{% endfor %}
<text x="{{ left + 8 }}" y="{{ top + 10 }}" style="fill:var(--patched)">E of crashes</text>
<text x="{{ left + 100 }}" y="{{ top + 10 }}" style="fill:var(--control)">E of kernel alarms</text>
</svg>
<p class="soft">E weighs what befalls patched hosts against what befalls the others: a harmless livepatch reaches 20 in fewer than one of
twenty rollouts. Dots are crashes and kernel alarms: <span style="color:var(--stop)">filled</span> on patched hosts, empty on hosts without the livepatch.</p>
<div class="scroll"><table>
<tr><th></th><th class="n">hosts</th><th class="n">host-hours</th><th class="n">crashes</th><th class="n">kernel alarms</th></tr>
{% for arm in ('patched', 'control') %}
<tr><td>{{ 'with the livepatch' if arm == 'patched' else 'without it, looked at' }}</td>
<td class="n">{{ last.crashes[arm].hosts }}</td><td class="n">{{ '%.1f' | format(last.crashes[arm].host_hours) }}</td>
<td class="n">{{ last.crashes[arm].incidents }}</td><td class="n">{{ last.alarms[arm].incidents }}</td></tr>
{% endfor %}
</table></div>
{% else %}
<p>Nothing has been judged yet.</p>
{% endif %}

{% if report.events %}
<h2>Events</h2>
<div class="scroll"><table>
<tr><th>time (UTC)</th><th>host</th><th>arm</th><th>event</th><th>what was found</th></tr>
{% for event in report.events[:most] %}
<tr><td>{{ event.at | clock }}</td><td>{{ event.host }}</td><td>{{ event.arm }}</td><td>{{ event.event }}</td><td>{{ event.text }}</td></tr>
{% endfor %}
</table></div>
{% if report.events | length > most %}<p class="soft">{{ report.events | length - most }} more are in the data.</p>{% endif %}
{% endif %}

{% if report.overrides %}
<h2>What people said</h2>
<div class="scroll"><table>
<tr><th>time (UTC)</th><th>who</th><th>what</th><th>why</th></tr>
{% for said in report.overrides %}
<tr><td>{{ said.at | clock }}</td><td>{{ said.user }}</td><td>{{ said.override }}</td><td>{{ said.reason }}</td></tr>
{% endfor %}
</table></div>
{% endif %}

<h2>Hosts</h2>
{% if eye %}
<div class="scroll"><table>
<tr><th>host</th><th>tier</th><th>outcome</th><th>effective release</th><th>why</th></tr>
{% for host in eye[:most] %}
<tr><td>{{ host.host }}</td><td>{{ host.tier or '-' }}</td><td>{{ host.outcome | replace('_', ' ') }}</td>
<td>{{ host.effective_release or '-' }}</td><td>{{ host.reason }}</td></tr>
{% endfor %}
</table></div>
{% if eye | length > most %}<p class="soft">{{ eye | length - most }} more are in the lists below.</p>{% endif %}
{% else %}
<p>No host needs a person.</p>
{% endif %}
{% for line in report.not_persistent %}
<p>{{ line }}</p>
{% endfor %}
{% for title, listed in lists %}
<details><summary>{{ title }}</summary>
{% for text in listed %}
<pre>{{ text }}</pre>
{% endfor %}
</details>
{% endfor %}
<p class="soft">Journal: {{ report.journal }}</p>
{% endblock %}
"""


def render(report):
    """Return the page (str, HTML) of a report (dict, as report.report returns it)."""
    span = chart.Span(report["begun"], report["until"], LEFT, RIGHT)
    points = report["evidence"]
    values = [point[kind]["e"] for point in points for kind in ("crashes", "alarms")]
    decades = chart.Decades(0.1, min(max([100.0, *values]), 1e9), BOTTOM, TOP)
    return html.render(
        TEMPLATE,
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
