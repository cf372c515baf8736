"""What the machine code of the CUDA kernels lets one expect of three GPUs, as an HTML page.

    python scripts/cuda_report.py --output cuda.html --markdown cuda.md

No GPU is needed, and nothing here was measured on one. Each kernel is compiled and assembled for
each card; its registers, memory and instructions are read from the code, and bounds are put on its
speed: by what its inner loop computes per instruction, and by what it moves per byte of bandwidth.
"""

import argparse
import html
import re
import sys
from pathlib import Path
from typing import NamedTuple

import cuda_roofline
from bench_report import number, table

from kerasmirror.kernels.cuda import load, static
from kerasmirror.kernels.cuda.kernel import KERNELS

# Seconds from a load to its value while memory is busy: an assumption, on the safe side.
LATENCY = 600e-9
# Warps for each scheduler that keep its multiply-adds coming: their results take four clocks, and
# the loops that count have tens of independent sums.
ENOUGH_WARPS = 2


class Card(NamedTuple):
    """A GPU: clock in GHz, bandwidth in GB/s. Source: NVIDIA's data sheets."""

    name: str
    capability: tuple
    multiprocessors: int
    clock: float
    bandwidth: float

    @property
    def lanes(self):
        return static.MULTIPROCESSORS[self.capability].lanes

    @property
    def peak(self):
        """TFLOP/s of float32, tensor cores aside."""
        return 2 * self.multiprocessors * self.lanes * self.clock / 1e3


CARDS = (
    Card("A100 SXM 80 GB", (8, 0), 108, 1.41, 2039),
    Card("H100 SXM", (9, 0), 132, 1.98, 3352),
    Card("RTX 4090", (8, 9), 128, 2.52, 1008),
)

PUBLISHED = (
    (
        "cuBLAS, float32 product of 4096 x 4096 on an RTX A6000: 23,270 GFLOP/s; a hand-written "
        "kernel with the same tiling as ours reaches 93.7 % of that",
        "https://www.abhik.ai/articles/cuda-matrix-multiplication-optimization",
    ),
    (
        "float32 products with 8 x 8 results per thread on an L20: 85 to 90 % of cuBLAS's speed",
        "https://github.com/DefTruth/CUDA-Learn-Notes/blob/main/sgemm",
    ),
    (
        "cuDNN: we know of no published share of the float32 peak that states shapes and card, "
        "so none is given",
        None,
    ),
)

_OPERATIONS = {"FFMA": 2, "FFMA2": 4, "DFMA": 2, "FADD": 1, "FMUL": 1, "DADD": 1, "DMUL": 1}
_ALSO = ("MUFU", "FMNMX", "FSEL", "FSETP")  # one each


class Estimate(NamedTuple):
    """What bounds a kernel on a card, the share of it to expect at best, in TFLOP/s or GB/s."""

    bound: str
    share: float
    speed: float
    intensity: float  # operations per byte of the card's memory; infinite where none is touched


def operations(part):
    """Floating-point operations of one thread in a part of a kernel."""
    known = sum(part.count(name) * each for name, each in _OPERATIONS.items())
    return known + part.count(*_ALSO)


def moved(part):
    """Bytes of the card's memory that one thread loads and stores in a part of a kernel."""
    return part.bytes_of("LDG", "STG")


def estimate(facts, threads, card):
    """The Estimate of a kernel with blocks of so many threads."""
    held = static.occupancy(facts, threads)
    part = facts.hot if moved(facts.hot) or static.multiply_adds(facts.hot) else facts.whole
    n_bytes, work = moved(part), operations(part)
    # A scheduler issues an instruction a clock. Where it has 16 lanes, a multiply-add of 32 threads
    # occupies them for two clocks, in which it issues another instruction.
    room = static.SCHEDULERS * 32 / card.lanes
    issued = min(1.0, room * work / 2 / part.size)
    computing = issued * min(1.0, held.warps / (ENOUGH_WARPS * static.SCHEDULERS))
    wanted = card.bandwidth * 1e9 * LATENCY / card.multiprocessors
    moving = min(1.0, held.warps * 32 * part.bytes_of("LDG", "STG") / wanted)
    intensity = work / n_bytes if n_bytes else float("inf")
    by_memory = moving * card.bandwidth / 1e3 * intensity
    if n_bytes and by_memory < computing * card.peak:
        return Estimate("memory", moving, moving * card.bandwidth, intensity)
    return Estimate("arithmetic", computing, computing * card.peak, intensity)


class Row(NamedTuple):
    """One form of a kernel and its facts and estimates, by card."""

    kernel: object
    signature: object
    facts: dict
    estimates: dict


def rows_of(forms, say=lambda text: None):
    """A Row for each (kernel, signature)."""
    for card in CARDS:
        say(f"compiling {len(forms)} kernels for {card.name}")
        static.gather(forms, card.capability)
    rows = []
    for kernel, signature in forms:
        facts = {card: static.facts_of(kernel, signature, card.capability) for card in CARDS}
        estimates = {card: estimate(facts[card], kernel.block, card) for card in CARDS}
        rows.append(Row(kernel, signature, facts, estimates))
    return rows


HEADINGS = (
    "file",
    "kernel",
    "registers",
    "shared memory",
    "blocks of threads",
    "occupancy",
    "multiply-adds in the inner loop",
    "operations per byte",
    *(card.name for card in CARDS),
)


def cells(row):
    """The texts of a row of the table; facts that no card is named for are of the H100's code."""
    card = CARDS[1]
    facts = row.facts[card]
    held = static.occupancy(facts, row.kernel.block)
    hot = facts.hot
    intensity = row.estimates[card].intensity
    return (
        Path(row.kernel.source).stem,
        row.kernel.name.strip("_"),
        str(facts.registers),
        f"{facts.shared / 1024:.3g} KiB" if facts.shared else "",
        f"{held.blocks} x {row.kernel.block}",
        f"{held.share:.0%} ({held.bound})",
        f"{static.multiply_adds(hot) / hot.size:.0%}" if static.multiply_adds(hot) else "",
        number(intensity) if intensity < float("inf") else "none moved",
        *(_bounded(row.estimates[card]) for card in CARDS),
    )


def _bounded(told):
    unit = "GB/s" if told.bound == "memory" else "TFLOP/s"
    return f"{told.share:.0%} of {told.bound}: {number(told.speed)} {unit}"


def markdown(rows):
    """The table and what to know of it, as Markdown."""
    lines = [f"- {note}" for note in notes(rows)]
    return "\n".join([*lines, "", *table(HEADINGS, [cells(row) for row in rows]), ""])


def notes(rows):
    """Sentences on what the figures are and are not."""
    told = [
        f"{len(rows)} kernels in their first form (float32 where there is one). Nothing here was "
        "measured on a GPU: registers, memory and instructions are read from NVIDIA's machine "
        "code for each card, speeds are upper bounds from them.",
        "Arithmetic: what part of the float32 peak the inner loop's mix of instructions allows "
        "when each scheduler issues one a clock; bank conflicts, waiting at barriers and clocks "
        "lowered by heat are not in it.",
        "Memory: what part of the bandwidth the bytes on their way allow, with "
        f"{LATENCY * 1e9:.0f} ns from load to value; caches are not in it.",
        *(
            f"{card.name}: {card.peak:.1f} TFLOP/s, {card.bandwidth:,.0f} GB/s (data sheet)."
            for card in CARDS
        ),
    ]
    return told + [f"{said} ({source})." if source else f"{said}." for said, source in PUBLISHED]


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>CUDA kernels</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 90em; padding: 0 1em }}
table {{ border-collapse: collapse; font-size: 13px }}
th, td {{ border-bottom: 1px solid #ccc; padding: .3em .6em; text-align: left }}
th {{ background: #f4f4f4; position: sticky; top: 0 }}
figure {{ display: inline-block; margin: 1em 1em 1em 0 }}
</style></head><body><h1>CUDA kernels: what their machine code allows</h1>
<ul>{notes}</ul>
{figures}
<table><thead><tr>{headings}</tr></thead><tbody>
{rows}
</tbody></table></body></html>
"""


def page(rows):
    """The report as HTML that needs no other file."""
    return _PAGE.format(
        notes="".join(f"<li>{html.escape(note)}</li>" for note in notes(rows)),
        figures="".join(cuda_roofline.figure(card, rows) for card in CARDS),
        headings="".join(f"<th>{html.escape(text)}</th>" for text in HEADINGS),
        rows="\n".join(
            "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in cells(row)) + "</tr>"
            for row in rows
        ),
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("cuda.html"), help="the page")
    parser.add_argument("--markdown", type=Path, help="a file for the table as Markdown")
    parser.add_argument("--kernels", default="", help="a regular expression that names must match")
    options = parser.parse_args(arguments)
    if static.missing():
        sys.exit(f"scripts/cuda_report.py {static.missing()}: pip install 'kerasmirror[cuda]'")
    load()
    chosen = [k for k in KERNELS if re.search(options.kernels, k.name)]
    forms = [(kernel, next(iter(kernel.signatures.values()))) for kernel in chosen]
    if not forms:
        sys.exit(f"scripts/cuda_report.py: no kernel's name matches {options.kernels!r}")
    rows = rows_of(forms, lambda text: print(text, file=sys.stderr))
    rows.sort(key=lambda row: (Path(row.kernel.source).stem, row.kernel.name))
    options.output.write_text(page(rows), encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(markdown(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
