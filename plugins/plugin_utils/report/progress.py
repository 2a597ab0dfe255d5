# The lines that tell how a rollout gets on while it runs: which are new, and how each is shown. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values

# By verdict, or by the mark of a tier; everything else has none.
COLORS = {"stop": "red", "hold": "yellow", "pass": "green"}
# A tier that waits for others is told of by the plan.
UNTOLD = "wait"
# A command that is to be typed is not cut.
MOST = 4000


def line(text):
    """Return a line for the terminal (str), whatever hosts have put into the text."""
    return f"livepatch | {values.words(text, MOST)}"


def marks(timeline):
    """Return where each tier stands (dict), from what timeline.tiers gave: what need not be told any more."""
    return {tier["tier"]: tier["mark"] for tier in timeline}


def news(known, timeline):
    """Return the tiers (list of dict with mark and line) of a timeline that stand elsewhere than in the marks `known`."""
    return [tier for tier in timeline if known.get(tier["tier"], UNTOLD) != tier["mark"]]
