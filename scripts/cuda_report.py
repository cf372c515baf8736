"""What the machine code of the CUDA kernels lets one expect of three GPUs, as an HTML page.

    python scripts/cuda_report.py --output cuda.html --markdown cuda.md

No GPU is needed, and nothing here was measured on one. Each kernel is compiled and assembled for
each card; its registers, memory and instructions are read from the code, and bounds are put on its
speed: by the instructions that its items take, and by the bytes that they move.
"""

import argparse
import html
import re
import sys
from pathlib import Path
from typing import NamedTuple

import cuda_roofline
from bench_report import number, table
from cuda_estimates import CARDS, LATENCY, estimate

from kerasmirror.kernels import scalar
from kerasmirror.kernels.cuda import formulas, load, static
from kerasmirror.kernels.cuda.kernel import KERNELS

# The share of the float32 peak that products and convolutions are to reach.
AIM = 0.6

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
        estimates = {card: estimate(facts[card], kernel, signature, card) for card in CARDS}
        rows.append(Row(kernel, signature, facts, estimates))
    return rows


def shown(kernel):
    """The form of a kernel that the page is about, or None where it is for float64 alone."""
    forms = [s for s in kernel.signatures.values() if s.key[0] != "f8"]
    return min(forms, key=lambda s: (s.key[0] not in _FOUR, not _FOUR & set(s.key)), default=None)


_FOUR = {"f4", "u4"}


HEADINGS = (
    "file",
    "kernel",
    "registers",
    "shared memory",
    "blocks of threads",
    "occupancy",
    "multiply-adds in the inner loop",
    "bytes read",
    "written",
    "operations",
    *(card.name for card in CARDS),
)


def cells(row):
    """The texts of a row of the table; facts that no card is named for are of the H100's code."""
    facts = row.facts[CARDS[1]]
    held = static.occupancy(facts, row.kernel.block)
    hot, stated = facts.hot, row.kernel.traffic
    read, loaded = (float(of(row.signature)) for of in (stated.read, stated.loaded))
    again = f" ({number(loaded)} with caches)" if loaded > read else ""
    return (
        _file(row),
        row.kernel.name.strip("_"),
        str(facts.registers),
        f"{facts.shared / 1024:.3g} KiB" if facts.shared else "",
        f"{held.blocks} x {row.kernel.block}",
        f"{held.share:.0%} ({held.bound})",
        f"{static.multiply_adds(hot) / hot.size:.0%}" if static.multiply_adds(hot) else "",
        number(read) + again,
        number(float(stated.written(row.signature))),
        number(float(stated.operations)),
        *(_bounded(row.estimates[card]) for card in CARDS),
    )


def _file(row):
    return Path(row.kernel.source).stem


def _bounded(told):
    if told.bound == "tensor cores":
        return "tensor cores: not estimated"
    if told.bound == "arithmetic":
        return f"arithmetic: {told.peak:.0%} of the peak"
    return f"{told.bound}: {told.bandwidth:.0%} of the bandwidth"


def markdown(rows):
    """The page as Markdown."""
    lines = [f"- {note}" for note in notes(rows)]
    aims = [f"- {aim}" for aim in against_the_aims(rows)]
    tabled = table(HEADINGS, [cells(row) for row in rows])
    return "\n".join(
        [*_HEAD, *lines, "", "## Against the aims", "", *aims, "", _ALL, "", *tabled, ""]
    )


_HEAD = (
    "# CUDA kernels: what their machine code allows",
    "",
    "Nothing here was timed: no GPU was at hand. The figures say what the code lets one expect and",
    "where it cannot be fast; they do not say how fast it is. Written by",
    "`python scripts/cuda_report.py --markdown kerasmirror/kernels/cuda/PERFORMANCE.md`.",
    "",
)
_ALL = "## All kernels"


def against_the_aims(rows):
    """Sentences on what of the aims the estimates meet, and which kernels do not."""
    told = []
    for what, names in (
        ("Products (128 x 128 tiles)", ("_gemm_128_nn", "_gemm_128_tn", "_gemm_128_nt")),
        ("3 x 3 convolutions (128 x 128 tiles)", ("_convolve_wide_128", "_gradient_wide_128")),
    ):
        for row in rows:
            if row.kernel.name in names:
                told.append(f"{what}, {row.kernel.name.strip('_')}: {_aimed(row)}")
    streams = [row for row in rows if _file(row) in STREAMS]
    slow = [r for r in streams if any(e.bound != "memory" for e in r.estimates.values())]
    again = [r for r in streams if not r.kernel.traffic.is_one_pass]
    told.append(
        f"Element by element, pooling and optimizers: {len(streams) - len(slow)} of {len(streams)} "
        f"are bound by memory on all three cards. Not: {_names(slow)}."
    )
    told.append(
        f"Of these {len(streams) - len(again)} load each value once and write it once; in the "
        "machine code of those without loops, loads and stores were counted and are as many. Not: "
        f"{_names(again)}."
    )
    return told


STREAMS = ("activation", "casting", "formulas", "half", "optimizer", "pool", "pool_places")


def _aimed(row):
    shares = [(card.name, row.estimates[card].peak) for card in CARDS]
    met = all(share >= AIM for _, share in shares)
    figures = ", ".join(f"{name} {share:.0%}" for name, share in shares)
    return f"{figures} of the float32 peak; the aim of {AIM:.0%} is {'met' if met else 'not met'}."


def _names(rows):
    return ", ".join(f"`{row.kernel.name.strip('_')}`" for row in rows) or "none"


def notes(rows):
    """Sentences on what the figures are and are not."""
    told = [
        f"{len(rows)} kernels, of float32 or four bytes where they are for several types, those of "
        "float64 alone left out; of the formulas element by element only some. Registers, memory "
        "and instructions are read from NVIDIA's machine code for each card; bytes and operations "
        "of an item are what a kernel's declaration states (kerasmirror/kernels/cuda/traffic.py "
        "says what an item is).",
        "Memory: what part of the bandwidth the bytes on their way allow, with "
        f"{LATENCY * 1e9:.0f} ns from load to value. What is loaded more than once is taken to "
        "come from the caches, and tiles side by side to share what they load. Pooling has windows "
        "of 2 x 2 side by side; where windows overlap, a value is loaded for each that it is in.",
        "Arithmetic and instructions: each scheduler issues one instruction a clock, its lanes as "
        "many operations as the card has. Both ways of a branch count. Bank conflicts, waiting at "
        "barriers, the bandwidth of caches and clocks lowered by heat are not in it: but for the "
        "ways not taken, all shares are upper bounds.",
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
<h2>Against the aims</h2>
<ul>{aims}</ul>
{figures}
<table><thead><tr>{headings}</tr></thead><tbody>
{rows}
</tbody></table></body></html>
"""


def page(rows):
    """The report as HTML that needs no other file."""
    return _PAGE.format(
        notes="".join(f"<li>{html.escape(note)}</li>" for note in notes(rows)),
        aims="".join(f"<li>{html.escape(aim)}</li>" for aim in against_the_aims(rows)),
        figures="".join(cuda_roofline.figure(card, rows) for card in CARDS),
        headings="".join(f"<th>{html.escape(text)}</th>" for text in HEADINGS),
        rows="\n".join(
            "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in cells(row)) + "</tr>"
            for row in rows
        ),
    )


# Of the formulas element by element those that layers use most.
_FORMULAS = (
    *((scalar.__dict__[name], 2) for name in ("add", "multiply", "divide", "maximum")),
    *((scalar.__dict__[name], 1) for name in ("exp", "log", "sqrt", "tanh", "sigmoid", "gelu")),
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
    for formula, arrays in _FORMULAS:
        formulas.kernels_of(formula, arrays)
    chosen = [k for k in KERNELS if re.search(options.kernels, k.name)]
    forms = [(kernel, signature) for kernel in chosen if (signature := shown(kernel))]
    if not forms:
        sys.exit(f"scripts/cuda_report.py: no kernel's name matches {options.kernels!r}")
    rows = rows_of(forms, lambda text: print(text, file=sys.stderr))
    rows.sort(key=lambda row: (Path(row.kernel.source).stem, row.kernel.name))
    options.output.write_text(page(rows), encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(markdown(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
