# The times of all transitions as a picture (SVG): a strip of dots per kernel, with the median and the 95th percentile.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import math

from tests.endurance.analysis import quantile

_WIDTH, _ROW, _LEFT, _TOP, _BOTTOM, _RIGHT = 760, 84, 70, 44, 46, 20
_DOT, _LINE, _TEXT, _GRID = "#2f6fab", "#b5432a", "#333333", "#dddddd"
_TICKS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 120)


def draw(times):
    """Return the SVG (str) of {kernel: [seconds]}; the axis is logarithmic."""
    everything = [value for values in times.values() for value in values]
    low = max(tick for tick in _TICKS if tick <= max(_TICKS[0], min(everything)))
    high = min(tick for tick in _TICKS if tick >= min(_TICKS[-1], max(everything)))
    height = _TOP + _ROW * len(times) + _BOTTOM

    def place(seconds):
        share = math.log(min(max(seconds, low), high) / low) / math.log(high / low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13" fill="%s">'
        % (_WIDTH, height, _TEXT),
        # REUSE-IgnoreStart
        "<!-- Copyright: (c) 2026, kernel.livepatch contributors. SPDX-License-Identifier: GPL-3.0-or-later -->",
        # REUSE-IgnoreEnd
        '<rect width="100%" height="100%" fill="white"/>',
        '<text x="%d" y="22" font-size="15">Seconds that a transition took, one dot for each replacement</text>'
        % _LEFT,
    ]
    for tick in (tick for tick in _TICKS if low <= tick <= high):
        x, bottom = place(tick), _TOP + _ROW * len(times)
        parts.append('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="%s"/>' % (x, x, _TOP, bottom, _GRID))
        parts.append('<text x="%.1f" y="%d" text-anchor="middle">%g s</text>' % (x, bottom + 20, tick))
    for number, (kernel, values) in enumerate(times.items()):
        parts += _strip(kernel, values, _TOP + _ROW * number, place)
    parts.append(
        '<text x="%d" y="%d" font-size="12">long line: median, short line: 95th percentile</text>' % (_LEFT, height - 8)
    )
    return "\n".join(parts + ["</svg>", ""])


def _strip(kernel, values, top, place):
    """A kernel's dots; equal ones are spread upwards and downwards, always in the same way."""
    middle = top + _ROW / 2
    parts = ['<text x="%d" y="%.1f" text-anchor="end">%s</text>' % (_LEFT - 12, middle + 4, kernel)]
    for number, value in enumerate(values):
        y = middle + (number * 0.618 % 1 - 0.5) * (_ROW - 30)
        parts.append('<circle cx="%.1f" cy="%.1f" r="2.4" fill="%s" fill-opacity="0.45"/>' % (place(value), y, _DOT))
    for share, reach in ((0.5, _ROW / 2 - 8), (0.95, _ROW / 4 - 4)):
        x = place(quantile(values, share))
        parts.append(
            '<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="2"/>'
            % (x, x, middle - reach, middle + reach, _LINE)
        )
    return parts
