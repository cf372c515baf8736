"""A card's roofline with the kernels under it, as SVG: speed over operations per byte."""

import html
import math

WIDTH, HEIGHT, MARGIN = 460, 320, 46
LEAST, MOST = 2**-6, 2**9  # operations per byte that are shown


def _place(intensity, tflops, card):
    """Pixels of a point; both axes are logarithmic."""
    least = LEAST * card.bandwidth / 1e3 / 4
    x = math.log2(min(max(intensity, LEAST), MOST) / LEAST) / math.log2(MOST / LEAST)
    y = math.log2(max(tflops, least) / least) / math.log2(card.peak * 1.3 / least)
    across = MARGIN + x * (WIDTH - MARGIN - 10)
    return f"{across:.1f}", f"{HEIGHT - MARGIN - y * (HEIGHT - MARGIN - 10):.1f}"


def _roof(card):
    ridge = card.peak / card.bandwidth * 1e3
    corners = [(LEAST, LEAST * card.bandwidth / 1e3), (ridge, card.peak), (MOST, card.peak)]
    return " ".join(",".join(_place(*corner, card)) for corner in corners)


def _dot(row, card):
    told = row.estimates[card]
    tflops = told.speed
    if not tflops:  # nothing is computed, or nothing was estimated
        return ""
    x, y = _place(told.intensity, tflops, card)
    colour = {"memory": "#c60", "arithmetic": "#06c"}.get(told.bound, "#888")
    title = html.escape(f"{row.kernel.name.strip('_')}: {tflops:.3g} TFLOP/s")
    return f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"><title>{title}</title></circle>'


def _marks(card):
    texts = []
    for exponent in range(-6, 10, 3):
        x, _ = _place(2.0**exponent, card.peak, card)
        label = f"{2.0**exponent:g}"
        texts.append(
            f'<text x="{x}" y="{HEIGHT - MARGIN + 16}" text-anchor="middle">{label}</text>'
        )
    _, y = _place(1, card.peak, card)
    texts.append(f'<text x="{MARGIN - 4}" y="{y}" text-anchor="end">{card.peak:.0f}</text>')
    return "".join(texts)


def figure(card, rows):
    """The roofline of a card as an HTML figure; the bounds of each kernel are dots with titles."""
    bottom = HEIGHT - MARGIN
    return (
        f'<figure><svg width="{WIDTH}" height="{HEIGHT}" font-size="11" role="img">'
        f'<path d="M{MARGIN},10V{bottom}H{WIDTH - 10}" fill="none" stroke="#888"/>'
        f'<polyline points="{_roof(card)}" fill="none" stroke="#444" stroke-width="2"/>'
        f"{_marks(card)}{''.join(_dot(row, card) for row in rows)}"
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">operations per byte</text>'
        f'<text x="{MARGIN + 6}" y="18">TFLOP/s</text></svg>'
        f"<figcaption>{html.escape(card.name)}: orange dots are bound by memory, blue ones by "
        "arithmetic, grey ones by the instructions around</figcaption></figure>\n"
    )
