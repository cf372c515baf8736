"""`python -m kerasmirror parity TARGET`: one model in both packages, and where they differ."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from kerasmirror.experiments import data as data_sets
from kerasmirror.parity.compare import TOLERANCES, compare
from kerasmirror.parity.page import page
from kerasmirror.parity.peer import PeerError
from kerasmirror.parity.targets import resolve
from kerasmirror.saving.atomic import replacing


def _parser():
    parser = argparse.ArgumentParser(prog="python -m kerasmirror parity", description=__doc__)
    parser.add_argument(
        "target",
        metavar="TARGET",
        help='a row of the paper (mnist:4), a structure ("C(3,8,r);M(2);F();D(10,sm)"), '
        "module:function or file.py:function that takes keras and gives a model, or a Keras script",
    )
    parser.add_argument("--input-shape", help="of a structure: 28,28,1")
    parser.add_argument(
        "--data",
        default="made",
        help="olivetti, mnist, cifar10, made, or a file .npz with x and y (of several inputs or "
        "outputs x.0, x.1, y.left, y.right), and sample_weight if samples are weighed",
    )
    parser.add_argument(
        "--loss",
        help="a name, of several outputs mse,mae or left=mse,right=mae; "
        "default: the model's own, or one for each output",
    )
    parser.add_argument("--optimizer", help="a name; default: the model's own, or adam")
    parser.add_argument("--steps", type=int, default=20, help="training steps; 0: no training")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--samples", type=int, default=256, help="how many samples are used")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights-from", choices=("keras", "kerasmirror"), default="keras")
    parser.add_argument("--backend", choices=("tensorflow", "jax", "torch"), default="tensorflow")
    parser.add_argument("--python", help="the Python that has real Keras (default: this one)")
    parser.add_argument(
        "--tolerance",
        action="append",
        default=[],
        metavar="STAGE=VALUE",
        help=f"another bound for one of: {', '.join(TOLERANCES)}",
    )
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON")
    parser.add_argument("--html", metavar="FILE", help="write it as one page with plots")
    return parser


def main(arguments=None):
    """Compare as `arguments` (default: the command line) say, print. Status 1: differ; 2: error."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        report = _compared(options)
        for path, text in ((options.json, _json), (options.html, page)):
            if path:
                with replacing(path) as temporary:
                    Path(temporary).write_text(text(report), encoding="utf-8")
    except PeerError as error:
        own = error.kind == "ValueError" and error.text.startswith("parity: ")
        raised = "" if own else f"{error.title} raised {error.kind}: "
        return _fail(raised + error.text)
    except (ValueError, TypeError, OSError, ImportError, KeyError, RuntimeError) as error:
        return _fail(str(error))
    _print(report)
    return 0 if report.good else 1


def _fail(text):
    print("parity: " + text.removeprefix("parity: "), file=sys.stderr)
    return 2


def _compared(options):
    shape = options.input_shape
    if shape is not None:
        if not all(part.strip().isdecimal() for part in shape.split(",")):
            raise ValueError(f"--input-shape must be like 28,28,1. Received: {shape}")
        shape = tuple(int(part) for part in shape.split(","))
    elif options.data in data_sets.INPUT_SHAPES and options.data != "made":
        shape = data_sets.INPUT_SHAPES[options.data]
    target = resolve(options.target, shape)
    return compare(
        target,
        _data(options),
        loss=_loss(options.loss),
        optimizer=options.optimizer,
        steps=options.steps,
        batch_size=options.batch_size,
        samples=options.samples,
        seed=options.seed,
        weights_from=options.weights_from,
        backend=options.backend,
        python=options.python,
        tolerances=dict(map(_tolerance, options.tolerance)),
        title=options.target,
    )


def _tolerance(text):
    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError:
        raise ValueError(f"--tolerance must be like layer=1e-5. Received: {text}") from None


def _data(options):
    if options.data == "made":
        return None
    if options.data in data_sets.INPUT_SHAPES:
        return data_sets.load(options.data, samples=options.samples)[0]
    return _data_of_file(options.data, options.samples)


def _data_of_file(path, samples):
    found = {}
    with np.load(path) as file:
        for key in file.files:
            part, _, name = key.partition(".")
            found.setdefault(part, {})[name] = file[key][:samples]
    unknown = sorted(set(found) - {"x", "y", "sample_weight"})
    if unknown or not {"x", "y"} <= set(found):
        raise ValueError(
            "--data: the file must have the arrays x and y (of several inputs or outputs x.NAME, "
            f"y.NAME) and may have sample_weight. Received: {', '.join(sorted(found))} in {path}"
        )
    return tuple(_nest(found[part]) for part in ("x", "y", "sample_weight") if part in found)


def _nest(arrays):
    """An array alone, a list of those called 0, 1, ..., or a dict by their names."""
    if set(arrays) == {""}:
        return arrays[""]
    if set(arrays) == {str(i) for i in range(len(arrays))}:
        return [arrays[str(i)] for i in range(len(arrays))]
    return arrays


def _loss(text):
    """A name, a list of them ("mse,mae"), or a dict by outputs ("left=mse,right=mae")."""
    if text is None or not set(text) & {",", "="}:
        return text
    parts = [part.strip() for part in text.split(",")]
    if not any("=" in part for part in parts):
        return parts
    pairs = [part.partition("=")[::2] for part in parts]
    if not all(name and loss for name, loss in pairs):
        raise ValueError(
            f"--loss must be like mse, mse,mae or left=mse,right=mae. Received: {text}"
        )
    return dict(pairs)


def _json(report):
    return json.dumps(report.as_dict(), indent=1, allow_nan=False) + "\n"


def _print(report):
    console = Console(soft_wrap=True)
    table = Table(title=report.title, title_justify="left", show_edge=False)
    for name in ("compared", "agree", "error", "allowed", "worst element"):
        table.add_column(name, justify="left" if name in ("compared", "worst element") else "right")
    for stage, worst, count, good in report.summary():
        style = None if good == count else "bold red"
        table.add_row(stage, f"{good}/{count}", f"{worst.error:.1e}", f"{worst.allowed:.0e}",
                      _element(worst), style=style)  # fmt: skip
    console.print(table)
    for name, sides in report.costs.items():
        if all(sides.values()):
            unit, scale = ("MiB", 2**-20) if name == "peak_memory" else ("ms", 1e3)
            ours, theirs = (sides[side] * scale for side in ("kerasmirror", "keras"))
            name = name.replace("_seconds", "").replace("_", " ")
            console.print(f"{name}: kerasmirror {ours:.1f} {unit}, keras {theirs:.1f} {unit}")
    if not report.good and report.courses():
        console.print(report.courses())
    console.print(report.verdict(), style="green" if report.good else "bold red", markup=False)


def _element(row):
    if row.place is None:
        return row.name
    place = ",".join(map(str, row.place))
    values = f"{row.ours:.7g} | {row.theirs:.7g}"
    nearer = f" nearer: {row.nearer}" if row.nearer else ""
    return f"{row.name} [{place}] {values}{nearer}"


if __name__ == "__main__":
    sys.exit(main())
