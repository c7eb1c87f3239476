"""Histograms and curves as SVG, with a text alternative; colours come from the page's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from azft.escapes import visible
from azft.views.description import Curves, Histogram

WIDE, HIGH, LEFT, BELOW = 760, 240, 64, 46
FLOOR = HIGH - BELOW
COLOURS = ("var(--azft-accent)", "var(--azft-second)", "var(--azft-muted)")
FEW_POINTS = 20
"""Points that are each drawn as a dot too."""
MOST_POINTS = 400
"""Points of a drawn line; a longer one is thinned."""


def histogram(part: Histogram) -> str:
    """Return bars side by side; a dashed line stands at the limit, and what is beyond it has another colour."""
    most = max((count for _start, _stop, count in part.bins), default=1) or 1
    first, last = (part.bins[0][0], part.bins[-1][1]) if part.bins else (0, 1)
    scale = (WIDE - LEFT) / ((last - first) or 1)
    drawn = [_axes(f"{most:,}", part.counted, "0")]
    for start, stop, count in part.bins:
        height = count / most * (FLOOR - 20)
        over = 0 < part.limit <= start
        drawn.append(
            f'<rect x="{LEFT + (start - first) * scale + 1:.1f}" y="{FLOOR - height:.1f}" '
            f'width="{max((stop - start) * scale - 2, 1):.1f}" height="{height:.1f}" '
            f'style="fill:var({"--azft-bad" if over else "--azft-accent"})">'
            f"<title>{start:,} to {stop - 1:,} {said(part.unit)}: {count:,} {said(part.counted)}</title></rect>"
        )
    every = max(1, -(-len(part.bins) // 6))
    drawn += [_label(LEFT + (start - first) * scale, FLOOR + 18, f"{start:,}") for start, _, _ in part.bins[::every]]
    drawn.append(_label(LEFT, HIGH - 6, part.unit))
    if first <= part.limit < last and part.limit:
        at = LEFT + (part.limit - first) * scale
        drawn.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{FLOOR}" style="stroke:var(--azft-bad)" '
            'stroke-dasharray="4"/>'
        )
        end = at > WIDE / 2
        drawn.append(_label(at + (-6 if end else 6), 14, f"{part.limit_name} {part.limit:,}", end=end))
    return _svg(part.alt, drawn)


def curves(part: Curves) -> str:
    """Return lines over steps, each in a colour of its own, named at the top."""
    lines = {name: [point for point in line if math.isfinite(point[1])] for name, line in part.lines.items()}
    points = [point for line in lines.values() for point in line]
    if not points:
        return ""
    last = max(step for step, _value in points) or 1.0
    first = min(step for step, _value in points)
    low, high = min(0.0, *(value for _step, value in points)), max(value for _step, value in points) or 1.0
    across, up = (WIDE - LEFT - 10) / ((last - first) or 1.0), (FLOOR - 30) / ((high - low) or 1.0)
    drawn = [_axes(f"{high:.3g}", "", f"{low:.3g}")]
    at = LEFT
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        thin = line[:: max(1, len(line) // MOST_POINTS)]
        thin = thin if not line or thin[-1] == line[-1] else [*thin, line[-1]]
        spots = " ".join(f"{LEFT + (s - first) * across:.1f},{FLOOR - (v - low) * up:.1f}" for s, v in thin)
        drawn.append(f'<polyline points="{spots}" fill="none" stroke-width="2" style="stroke:{colour}"/>')
        if len(line) <= FEW_POINTS:
            drawn += [
                f'<circle cx="{LEFT + (s - first) * across:.1f}" cy="{FLOOR - (v - low) * up:.1f}" r="4" '
                f'style="fill:{colour}"/>'
                for s, v in line
            ]
        drawn.append(f'<line x1="{at}" x2="{at + 18}" y1="10" y2="10" stroke-width="3" style="stroke:{colour}"/>')
        drawn.append(_label(at + 24, 14, name))
        at += 44 + 9 * len(name)
    drawn += [
        _label(LEFT, FLOOR + 18, f"{first:,.0f}"),
        _label(WIDE - 2, FLOOR + 18, f"{last:,.0f}", end=True),
        _label(LEFT, HIGH - 6, part.across),
    ]
    return _svg(part.alt, drawn)


def _axes(top: str, name: str, bottom: str) -> str:
    line = f'<line x1="{LEFT}" x2="{WIDE}" y1="{FLOOR}" y2="{FLOOR}" style="stroke:var(--azft-muted)"/>'
    return line + _label(0, 34, top) + _label(0, 52, name) + _label(0, FLOOR, bottom)


def _label(x: float, y: float, text: str, *, end: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{anchor}>{said(text)}</text>'


def _svg(alt: str, drawn: Sequence[str]) -> str:
    told = said(alt)
    return (
        f'<svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{told}"><title>{told}</title>{"".join(drawn)}</svg>'
    )


def said(text: str) -> str:
    """Return the text for HTML: escaped, and control characters as visible escapes."""
    return escape(visible(text), quote=True)
