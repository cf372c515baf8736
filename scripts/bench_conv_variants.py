"""Time a convolution's algorithms, forward and both gradients: a table, and plots of the sweeps.

python scripts/bench_conv_variants.py                          # every family
python scripts/bench_conv_variants.py window --plot window.png # plots need kerasmirror[plot]
python scripts/bench_conv_variants.py choice --json choice.json
python scripts/bench_conv_variants.py --quick                  # three small shapes, a few seconds

The families "image", "window" and "channels" let one size grow, for every algorithm that
`kerasmirror.config.conv_algorithm` knows (OpenCV's where kerasmirror[opencv] is installed);
"choice" has the shapes of other networks, and compares what "auto" takes with what it could have
taken. Times are medians in milliseconds; "-" is what an algorithm cannot do. Each result is
compared with the direct algorithm's: a difference above a twenty-thousandth of the largest value is
marked, and the exit status is 1.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import peaks

from kerasmirror import config
from kerasmirror.commands import machine
from kerasmirror.kernels import for_device
from kerasmirror.kernels.geometry import ConvGeometry, window_output

ALGORITHMS = ("direct", "winograd", "gemm", "fft", "numpy", "opencv")
CHOICE = ("direct", "winograd", "gemm")  # what "auto" chooses among
PASSES = {
    "forward": "forward",
    "grad_input": "gradient of inputs",
    "grad_kernel": "gradient of weights",
}
SAME = 5e-5  # of the largest value: Winograd's rounding
SLOW = 1.0  # seconds from which one call is measured once


class Case(NamedTuple):
    """A convolution with "same" padding: `value` is what its family lets grow."""

    family: str
    value: int
    images: int
    side: int
    channels: int
    window: int
    filters: int
    stride: int = 1

    @property
    def name(self):
        """Its sizes as a text."""
        stride = f" / {self.stride}" if self.stride > 1 else ""
        return (
            f"{self.images} x {self.side} x {self.side} x {self.channels}, "
            f"{self.window} x {self.window}{stride} -> {self.filters}"
        )

    @property
    def geometry(self):
        """Its ConvGeometry."""
        out, pad = window_output(self.side, self.window, self.stride, 1, "same")
        return ConvGeometry((self.stride,) * 2, (pad, pad), (1, 1), 1, (out, out))

    @property
    def operations(self):
        """Float operations of the direct algorithm."""
        outputs = self.images * self.geometry.out_size[0] ** 2
        return 2.0 * outputs * self.window**2 * self.channels * self.filters

    def arrays(self):
        """(x, w, dy), the same in every run."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        out = self.geometry.out_size
        shapes = (
            (self.images, self.side, self.side, self.channels),
            (self.window, self.window, self.channels, self.filters),
            (self.images, *out, self.filters),
        )
        return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


# (images, side, channels, window, filters, stride) of networks of today.
NETWORKS = (
    *((32, 28, 128, 1, 256, 2), (32, 14, 256, 1, 512, 2), (1, 56, 64, 1, 128, 2)),
    *((8, 56, 64, 1, 256, 1), (1, 14, 256, 1, 64, 1)),
    *((32, 28, 64, 3, 128, 2), (32, 14, 128, 3, 256, 2), (1, 56, 64, 3, 128, 2)),
    *((8, 112, 3, 7, 64, 2), (8, 64, 3, 3, 32, 2), (1, 112, 3, 7, 64, 2)),
    *((32, 14, 64, 5, 64, 1), (32, 14, 128, 5, 128, 1), (32, 28, 32, 5, 64, 2)),
    *((16, 14, 64, 7, 64, 1), (16, 28, 32, 7, 64, 2), (1, 28, 64, 5, 64, 1)),
    *((1, 28, 64, 3, 64, 1), (1, 7, 256, 3, 256, 1), (1, 14, 128, 3, 128, 1)),
    *((32, 7, 256, 3, 256, 1), (32, 7, 256, 3, 256, 2), (128, 4, 64, 3, 64, 1)),
    *((32, 28, 12, 3, 20, 1), (32, 28, 20, 5, 50, 1), (32, 16, 24, 3, 24, 1)),
)


def families(quick):
    """All cases by family."""
    if quick:
        return {
            "image": [Case("image", 6, 2, 6, 8, 3, 8), Case("image", 8, 2, 8, 8, 3, 8)],
            "window": [Case("window", 5, 2, 8, 8, 5, 8)],
            "channels": [],
            "choice": [Case("choice", 0, 1, 8, 8, 3, 16, 2)],
        }
    return {
        "image": [Case("image", n, 16, n, 16, 3, 16) for n in (8, 16, 24, 32, 48, 64)],
        "window": [Case("window", n, 16, 32, 16, n, 16) for n in (3, 5, 7, 9, 11, 15)],
        "channels": [Case("channels", n, 16, 16, n, 3, n) for n in (1, 4, 8, 16, 32, 64, 128)],
        "choice": [Case("choice", i, *sizes) for i, sizes in enumerate(NETWORKS)],
    }


def passes_of(case, kernels):
    """Each pass of a case as a function without arguments."""
    x, w, dy = case.arrays()
    geometry = case.geometry
    return {
        "forward": lambda: kernels.conv2d(x, w, None, geometry),
        "grad_input": lambda: kernels.conv2d_grad_input(dy, w, x.shape, geometry),
        "grad_kernel": lambda: kernels.conv2d_grad_kernel(dy, x, w.shape, geometry),
    }


def seconds(call, options):
    """The median time of one call that was made once before; of a slow call its only time."""
    start = time.perf_counter()
    call()
    once = time.perf_counter() - start
    if once > SLOW:
        return once
    return peaks.seconds(call, options.budget, options.fewest)


def time_algorithm(algorithm, calls, expected, options):
    """{pass: (milliseconds, difference from `expected`)}; None for what it cannot do."""
    found = {}
    with config.conv_algorithm(algorithm):
        for step, call in calls.items():
            try:
                result = call()
            except ValueError:
                found[step] = None
                continue
            truth = expected.setdefault(step, result)
            scale = np.abs(truth).max(initial=1e-30)
            difference = float(np.abs(result - truth).max(initial=0) / scale)
            found[step] = (1e3 * seconds(call, options), difference)
    return found


def time_case(case, options):
    """One line of the result for each pass."""
    kernels = for_device("cpu")
    calls, expected = passes_of(case, kernels), {}
    algorithms = [a for a in options.algorithms if case.family != "choice" or a in CHOICE]
    with config.conv_algorithm("direct"):
        for step, call in calls.items():
            expected[step] = call()
    rounds = [
        {a: time_algorithm(a, calls, expected, options) for a in algorithms}
        for _ in range(options.rounds)
    ]
    x, w, _ = case.arrays()
    taken = kernels.conv_algorithms(x.shape, w.shape, case.geometry)._asdict()
    for step in PASSES:
        times, differences = {}, {}
        for algorithm in algorithms:
            if rounds[0][algorithm][step] is not None:
                times[algorithm] = statistics.median(r[algorithm][step][0] for r in rounds)
                differences[algorithm] = rounds[0][algorithm][step][1]
        auto = times.get(taken[step])
        yield {
            **case._asdict(),
            "name": case.name,
            "pass": step,
            "operations": case.operations,
            "milliseconds": times,
            "differences": differences,
            "auto": taken[step],
            "auto_over_best": auto / min(times.values()) if auto else None,
        }


def table_line(found, algorithms):
    """A case's pass as a row of a Markdown table; the fastest is bold."""
    times = found["milliseconds"]
    cells = [found["name"], PASSES[found["pass"]]]
    for algorithm in algorithms:
        if algorithm not in times:
            cells.append("-")
            continue
        text = f"{times[algorithm]:.3g}"
        text = f"**{text}**" if times[algorithm] == min(times.values()) else text
        differs = found["differences"][algorithm] > SAME
        cells.append(f"{text} (differs)" if differs else text)
    cells.append(found["auto"])
    ratio = found["auto_over_best"]
    cells.append(f"{ratio:.2f}" if ratio else "-")
    if times and "direct" in times:
        cells.append(f"{1e-6 * found['operations'] / min(times.values()):.0f}")
    else:
        cells.append("-")
    return "| " + " | ".join(cells) + " |"


def heading(algorithms):
    cells = ["convolution", "pass", *algorithms, "auto", "auto / best", "GFLOP/s of the best"]
    return "| " + " | ".join(cells) + " |\n" + "|---" * len(cells) + "|"


def plot(results, algorithms, path):
    """The sweeps' curves, a row of plots for each pass, as an image."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sweeps = [f for f in dict.fromkeys(r["family"] for r in results) if f != "choice"]
    if not sweeps:
        sys.exit("--plot: draws the families image, window and channels; none of them was measured")
    figure, axes = pyplot.subplots(
        len(PASSES), len(sweeps), figsize=(4 * len(sweeps), 9), layout="constrained", squeeze=False
    )
    for row, (step, title) in zip(axes, PASSES.items(), strict=True):
        for axis, family in zip(row, sweeps, strict=True):
            lines = [r for r in results if r["family"] == family and r["pass"] == step]
            for algorithm in algorithms:
                points = [
                    (line["value"], line["milliseconds"][algorithm])
                    for line in lines
                    if algorithm in line["milliseconds"]
                ]
                if points:
                    axis.plot(*zip(*points, strict=True), marker="o", label=algorithm)
            values = [line["value"] for line in lines]
            axis.set_xscale("log", base=2)
            axis.set_yscale("log")
            axis.set_xticks(values, values)
            axis.set_xticks([], minor=True)
            axis.set_title(f"{title}, growing {family}", fontsize=9)
            axis.set_ylabel("ms", fontsize=8)
    axes[0][0].legend(fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    print(f"plot: {path}")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = tuple(families(False))
    parser.add_argument("families", nargs="*", help=f"of {', '.join(known)}")
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, help="only these")
    parser.add_argument("--containing", default="", help="only cases whose names contain this")
    parser.add_argument("--rounds", type=int, default=3, help="turns of all algorithms")
    parser.add_argument("--budget", type=float, default=0.1, help="seconds of one turn")
    parser.add_argument("--quick", action="store_true", help="few small shapes, short turns")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw the sweeps into this image file")
    options = parser.parse_args()
    for family in options.families:
        if family not in known:
            parser.error(f"families: must be of {', '.join(known)}. Received: {family}")
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1. Received: {options.rounds}")
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: pip install kerasmirror[plot]")
    options.fewest = 5
    if options.quick:
        options.rounds, options.budget, options.fewest = 1, 0.0, 1
    chosen = options.algorithms or ALGORITHMS
    if "opencv" in chosen and importlib.util.find_spec("cv2") is None:
        print("OpenCV is not installed (kerasmirror[opencv]): left out", file=sys.stderr)
        chosen = [name for name in chosen if name != "opencv"]
    options.algorithms = [name for name in ALGORITHMS if name in chosen]
    return options


def main():
    options = arguments()
    chosen = [
        case
        for family, cases in families(options.quick).items()
        for case in cases
        if (not options.families or family in options.families) and options.containing in case.name
    ]
    if not chosen:
        sys.exit("no case is left of these families and --containing")
    threads = for_device("cpu").thread_count()
    print(machine.sentence(machine.describe()))
    print(f"Milliseconds, medians; threads of the kernels: {threads}.\n")
    print(heading(options.algorithms), flush=True)
    results = []
    for case in chosen:
        for found in time_case(case, options):
            results.append(found)
            print(table_line(found, options.algorithms), flush=True)
    if options.json:
        whole = {"machine": machine.describe(), "threads": threads, "cases": results}
        options.json.write_text(json.dumps(whole, indent=1) + "\n")
    if options.plot:
        plot(results, options.algorithms, options.plot)
    same = all(d <= SAME for found in results for d in found["differences"].values())
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
