# The verdict of the gate, from what it has counted.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils.gate import findings, rules

# The product's own defaults: stop_evidence, hold_evidence, look_interval, max_hold.
RULES = rules.parse({})


def decide(evidence, first_tier_bad, tiers, silent=False):
    """Return (verdict, rule): stop, hold or pass, and the number of the rule of docs/health-gate.md that says so.

    evidence: with e and suspicion; first_tier_bad: hosts of the first tier that crashed or failed; tiers: for each tier begun,
    (hosts that failed while their own slice was patched, as many as it tolerates); silent: whether a patched host does not
    answer.
    """
    if first_tier_bad:
        return "stop", 1
    reached = findings.reached(evidence, RULES)
    if reached != "stop" and any(failed > tolerated for failed, tolerated in tiers):
        return "stop", 3
    if reached == "pass" and silent:
        return "hold", 5
    return reached, {"stop": 2, "hold": 4, "pass": None}[reached]
