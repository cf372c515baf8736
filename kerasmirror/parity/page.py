"""The report as one HTML file: tables and plots, nothing fetched from anywhere."""

from __future__ import annotations

import html
import json
import math

from kerasmirror.parity.report import STAGES, describe

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64em; margin: 2em auto; padding: 0 1em;
       color: #222; background: #fff }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .2em .8em; text-align: left }
td.n { text-align: right; font-variant-numeric: tabular-nums } tr { border-bottom: 1px solid #ddd }
.bad { color: #b00020; font-weight: 600 } .good { color: #1b6e3c } svg { max-width: 100% }
text { font: 12px system-ui, sans-serif; fill: #444 }
"""
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 260, 70, 40
_COLOURS = {"kerasmirror": "#c2410c", "keras": "#1d4ed8", "allowed": "#888"}


def page(report):
    """The whole page as text."""
    verdict = html.escape(report.verdict())
    parts = [
        f"<h1>{html.escape(report.title)}</h1>",
        f'<p class="{"good" if report.good else "bad"}">{verdict}</p>',
        _settings(report.settings),
        "<h2>What was compared</h2>",
        _summary_table(report),
    ]
    errors = [(row.name, row.error, row.allowed) for row in report.of("layer")]
    if errors:
        parts += ["<h2>Error of each layer's output</h2>", _bars(errors)]
    gradients = [(row.name, row.error, row.allowed) for row in report.of("gradient")]
    if gradients:
        parts += ["<h2>Error of each weight's gradient</h2>", _bars(gradients)]
    for name, steps in _losses_of_steps(report).items():
        curves = {
            "keras": [row.theirs for row in steps],
            "kerasmirror": [row.ours for row in steps],
        }
        of = f" ({html.escape(name)})" if name else ""
        parts += [f"<h2>Loss of each training step{of}</h2>", _curves(curves)]
        errors = [(f"step {i + 1}", row.error, row.allowed) for i, row in enumerate(steps)]
        parts += [f"<h2>Error of each step's loss{of}</h2>", _bars(errors)]
    if report.sensitivity is not None:
        parts += ["<h2>Departure of Keras's losses by errors in its layers</h2>", _courses(report)]
    if report.costs:
        parts += ["<h2>Time and memory</h2>", _costs(report.costs)]
    parts += ["<h2>All comparisons</h2>", _all_rows(report)]
    data = json.dumps(report.as_dict(), allow_nan=False).replace("<", "\\u003c")
    body = "\n".join(parts)
    title = html.escape(f"kerasmirror parity: {report.title}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n"
        f'<script type="application/json" id="report">{data}</script>\n</body></html>\n'
    )


def _settings(settings):
    shown = ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in settings.items())
    return f"<p>{html.escape(shown)}</p>" if shown else ""


def _losses_of_steps(report):
    """The rows of each loss that training logs: "" for their sum, else the loss's name."""
    found = {}
    for row in report.of("step"):
        found.setdefault(row.name.partition(" ")[2], []).append(row)
    return found


def _courses(report):
    """How far such errors take Keras from itself, and their sizes."""
    steps = _losses_of_steps(report)[""]
    errors = [
        (f"step {i + 1}", departure, steps[i].allowed)
        for i, departure in enumerate(report.sensitivity)
    ]
    rows = [
        f"<td>{kind}</td><td>{html.escape(name)}</td>{_number(f'{size:.1e}')}"
        for kind, sizes in report.roundings.items()
        for name, size in sizes.items()
    ]
    table = _table(("", "errors in", "root mean square"), rows)
    return f"<p>{html.escape(report.courses())}</p>{_bars(errors)}{table}"


def _table(head, rows):
    cells = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    lines = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>\n{lines}</table>"


def _number(text):
    return f'<td class="n">{html.escape(text)}</td>'


def _summary_table(report):
    rows = []
    for stage, worst, count, good in report.summary():
        kind = "good" if good == count else "bad"
        rows.append(
            f'<td>{stage}</td><td class="{kind}">{good} of {count}</td>'
            f"{_number(f'{worst.error:.2e}')}{_number(f'{worst.allowed:.1e}')}"
            f"<td>{html.escape(worst.name)}</td>"
        )
    return _table(("", "agree", "largest error", "allowed", "where"), rows)


def _all_rows(report):
    rows = [
        f"<td>{STAGES[row.stage]}</td><td>{html.escape(row.name)}</td>"
        f'<td class="{"good" if row.good else "bad"}">{html.escape(describe(row))}</td>'
        for row in report.rows
    ]
    return _table(("", "what", "worst element"), rows)


def _costs(costs):
    titles = {
        "first_step_seconds": ("first step", 1e3, "ms"),
        "step_seconds": ("training step", 1e3, "ms"),
        "peak_memory": ("peak memory of the process", 1 / 2**20, "MiB"),
    }
    rows, bars = [], []
    for name, sides in costs.items():
        title, scale, unit = titles[name]
        shown = {side: None if v is None else v * scale for side, v in sides.items()}
        cells = [_number("-" if v is None else f"{v:.1f} {unit}") for v in shown.values()]
        ratio = "-"
        if all(shown.values()):
            ratio = f"{shown['keras'] / shown['kerasmirror']:.2f}"
            bars.append((title, shown["kerasmirror"] / shown["keras"]))
        rows.append(f"<td>{title}</td>{''.join(cells)}{_number(ratio)}")
    table = _table(("", "kerasmirror", "keras", "keras / kerasmirror"), rows)
    return table + _ratio_bars(bars)


def _ratio_bars(bars):
    """kerasmirror's share of what Keras takes."""
    lines = []
    largest = max([1, *(share for _, share in bars)])
    for i, (title, share) in enumerate(bars):
        top = 10 + 44 * i
        for j, (side, value) in enumerate((("keras", 1), ("kerasmirror", share))):
            width = 420 * value / largest
            lines.append(
                f'<rect x="200" y="{top + 18 * j}" width="{width:.1f}" height="15" '
                f'fill="{_COLOURS[side]}"/><text x="{206 + width:.1f}" y="{top + 12 + 18 * j}">'
                f"{side}</text>"
            )
        lines.append(f'<text x="0" y="{top + 20}">{html.escape(title)}</text>')
    return _svg(lines, 20 + 44 * len(bars))


def _svg(lines, height=_HEIGHT):
    inside = "\n".join(lines)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img">{inside}</svg>'


def _bars(errors):
    """Errors on a logarithmic axis, each with a line where it is allowed to be."""
    low, high = -9, 0
    step = (_WIDTH - _LEFT) / len(errors)
    lines = _ticks(low, high)

    def height(value):
        exponent = math.log10(min(max(value, 10**low), 10**high)) if value < math.inf else high
        return (_HEIGHT - _BOTTOM - 10) * (exponent - low) / (high - low)

    floor = _HEIGHT - _BOTTOM
    for i, (name, error, allowed) in enumerate(errors):
        x, tall = _LEFT + step * i, height(error)
        colour = "#1b6e3c" if error <= allowed else "#b00020"
        bound = floor - height(allowed)
        lines.append(
            f'<g><title>{html.escape(name)}: {error:.2e}</title><rect x="{x + 1:.1f}" '
            f'y="{floor - tall:.1f}" width="{max(step - 2, 1):.1f}" height="{tall:.1f}" '
            f'fill="{colour}"/><line x1="{x:.1f}" x2="{x + step:.1f}" y1="{bound:.1f}" '
            f'y2="{bound:.1f}" stroke="{_COLOURS["allowed"]}"/></g>'
        )
        if len(errors) <= 12:
            lines.append(
                f'<text x="{x + 2:.1f}" y="{floor + 14 + 12 * (i % 2)}">{html.escape(name[:14])}'
                "</text>"
            )
    return _svg(lines)


def _ticks(low, high):
    lines = []
    for exponent in range(low, high + 1, 3):
        y = _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - 10) * (exponent - low) / (high - low)
        lines.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>'
            f'<text x="10" y="{y + 4:.1f}">1e{exponent}</text>'
        )
    return lines


def _curves(curves):
    """Lines over each other, the first drawn broad below the second; gaps where not finite."""
    values = [v for curve in curves.values() for v in curve if v is not None and math.isfinite(v)]
    low, high = min(values, default=0), max(values, default=1)
    span = (high - low) or 1
    lines, floor = [], _HEIGHT - _BOTTOM
    for share in (0, 0.5, 1):
        y = floor - (floor - 10) * share
        lines.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>'
            f'<text x="4" y="{y + 4:.1f}">{low + span * share:.4g}</text>'
        )
    for i, (side, curve) in enumerate(curves.items()):
        step = (_WIDTH - _LEFT - 10) / max(len(curve) - 1, 1)
        for start, piece in _pieces(curve):
            points = [
                f"{_LEFT + step * (start + n):.1f},{floor - (floor - 10) * (v - low) / span:.1f}"
                for n, v in enumerate(piece)
            ]
            points = " ".join(points if len(points) > 1 else points * 2)
            lines.append(
                f'<polyline points="{points}" fill="none" stroke="{_COLOURS[side]}" '
                f'stroke-width="{(5, 1.5)[i]}" stroke-opacity="{(0.35, 1)[i]}" '
                'stroke-linecap="square"/>'
            )
        lines.append(
            f'<text x="{_LEFT + 130 * i}" y="{_HEIGHT - 8}" style="fill: {_COLOURS[side]}">{side}'
            "</text>"
        )
    return _svg(lines)


def _pieces(curve):
    """(where it starts, its values) of each stretch of finite values."""
    finite = [v is not None and math.isfinite(v) for v in curve]
    starts = [n for n, here in enumerate(finite) if here and not (n and finite[n - 1])]
    for start in starts:
        end = next((n for n in range(start, len(curve)) if not finite[n]), len(curve))
        yield start, curve[start:end]
