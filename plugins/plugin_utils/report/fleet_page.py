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

TEMPLATE = """{% extends "frame" %}
{% block body %}
<h1>{{ found.hosts | length }} hosts</h1>
<p class="soft">as they answered at {{ found.at | clock }} UTC{% if found.wanted %}; wanted is release {{ found.wanted }}{% endif %}</p>
<div class="numbers">
{% for state, number in found.counts.items() %}
<div><b>{{ number }}</b>{{ state | replace('_', ' ') }}</div>
{% endfor %}
</div>

<h2>Cohorts</h2>
<svg viewBox="0 0 {{ width }} {{ cohorts | length * row + 6 }}" role="img" aria-label="The states of the hosts of each cohort">
{% for cohort in cohorts %}
<text x="0" y="{{ cohort.y + 17 }}">{{ cohort.name }}</text>
{% for part in cohort.parts %}
<rect x="{{ part.x }}" y="{{ cohort.y + 3 }}" width="{{ part.width }}" height="18" fill="var(--{{ part.color }})"><title>{{ part.says }}</title></rect>
{% endfor %}
<text class="soft" x="{{ width }}" y="{{ cohort.y + 17 }}" text-anchor="end">{{ cohort.share }}</text>
{% endfor %}
</svg>
<p class="soft">{% for color, words in legend %}<span style="color:var(--{{ color }})">&#9632;</span> {{ words }} {% endfor %}</p>
{% if more_cohorts %}<p class="soft">{{ more_cohorts }} smaller cohorts are in the data.</p>{% endif %}

<h2>What they run</h2>
<div class="scroll"><table>
<tr><th>cohort</th><th>kernel release</th><th>livepatch</th><th class="n">hosts</th><th class="n">need a person</th></tr>
{% for line in found.rows[:most] %}
<tr><td>{{ line.cohort }}</td><td>{{ line.kernel_release }}</td><td>{{ line.livepatch }}</td><td class="n">{{ line.hosts }}</td>
<td class="n">{{ line.need or '-' }}</td></tr>
{% endfor %}
</table></div>

{% if found.kernels %}
<h2>Builds</h2>
<div class="scroll"><table>
<tr><th>kernel release</th><th class="n">hosts</th><th>run</th><th>newest build</th><th>built</th><th>CVEs between</th><th>supported until</th></tr>
{% for row in found.kernels[:most] %}
<tr><td>{{ row.kernel_release }}</td><td class="n">{{ row.hosts }}</td>
<td>{% for livepatch, number in row.runs.items() %}{{ livepatch }} ({{ number }}){{ ', ' if not loop.last }}{% endfor %}</td>
<td>{{ row.build or 'none: ' ~ row.why }}</td><td>{{ (row.built or '-')[:10] }}</td>
<td>{% if row.cves | length > 5 %}<details><summary>{{ row.cves | length }}</summary>{{ row.cves | join(', ') }}</details>{% else -%}
{{ row.cves | join(', ') or '-' }}{% endif %}</td><td>{{ row.supported_until or '-' }}</td></tr>
{% endfor %}
</table></div>
<p class="soft">CVEs between: what the newest build mends, and what runs on one of these hosts at least is not known to mend.</p>
{% endif %}

<h2>Hosts that need a person</h2>
{% if eye %}
<div class="scroll"><table>
<tr><th>host</th><th>state</th><th>cohort</th><th>effective release</th><th>why</th></tr>
{% for host in eye[:most] %}
<tr><td>{{ host.host }}</td><td>{{ host.state | replace('_', ' ') }}</td><td>{{ host.cohort }}</td><td>{{ host.effective_release or '-' }}</td>
<td>{{ host.reasons | join('; ') }}
{% if host.blockers %}
<details><summary>what holds it up, the first {{ host.blockers | length }}</summary>
{% for task in host.blockers %}
<p class="soft">{{ task.comm }} ({{ task.pid }}){% if task.unit %}, {{ task.unit }}{% endif %}: {{ task.reason }}</p>
{% endfor %}
</details>
{% endif %}
</td></tr>
{% endfor %}
</table></div>
{% if eye | length > most %}<p class="soft">{{ eye | length - most }} more are in the list below.</p>{% endif %}
{% else %}
<p>None.</p>
{% endif %}
<details><summary>all {{ found.hosts | length }} hosts</summary>
{% for text in texts %}
<pre>{{ text }}</pre>
{% endfor %}
</details>
{% endblock %}
"""


def render(found):
    """Return the page (str, HTML) of a status (dict, as fleet_status.status returns it)."""
    hosts = [f"{host['host']}  {host['state'].replace('_', ' ')}  {host['effective_release'] or '-'}" for host in found["hosts"]]
    largest = sorted(found["cohorts"].items(), key=lambda item: -sum(item[1].values()))[:MOST_COHORTS]
    return html.render(
        TEMPLATE,
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
