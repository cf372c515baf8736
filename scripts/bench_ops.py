"""Time single kernels: operations a second, the share of the machine's peak, TensorFlow's ratio.

python scripts/bench_ops.py                       # every family
python scripts/bench_ops.py convolution adam --containing "3 x 3"

Peaks are measured in the same run: multiply-adds on registers for products and convolutions
(counted as the direct algorithm's operations, so Winograd's may exceed it), a copy of 128 MiB for
what moves memory (what fits into the caches may exceed it). Where TensorFlow is installed, a child
process runs the same operation as a compiled graph, in turn with ours, and the norms of the two
results are compared.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import op_cases
import peaks

from kerasmirror.commands import machine
from kerasmirror.kernels import for_device

ROOT = Path(__file__).resolve().parent.parent
SAME_NORM = 1e-4  # relative; float32 sums in another order


def norm_of(result):
    """The Euclidean norm of an operation's first call's result, all parts together."""
    parts = result if isinstance(result, (tuple, list)) else [result]
    return sum(float(np.square(np.asarray(p), dtype=np.float64).sum()) for p in parts) ** 0.5


def measure(call, budget):
    """(norm of the first result, median seconds)."""
    norm = norm_of(call())
    return norm, peaks.seconds(call, budget)


class TensorFlow:
    """A child process that times cases by name with TensorFlow, and nothing else at that time."""

    def __init__(self):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        kept |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve-tensorflow"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=kept,
        )

    def measure(self, name, budget):
        """(norm, median seconds) of TensorFlow's operation."""
        self.process.stdin.write(json.dumps([name, budget]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process with TensorFlow died at {name}")
        found = json.loads(answer)
        if isinstance(found, str):
            raise RuntimeError(f"TensorFlow failed at {name}: {found}")
        return found

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def serve_tensorflow():
    """The child: answer a line of JSON for each line until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints, prints to stderr
    import tensorflow as tf

    known = {case.name: case for case in op_cases.cases(op_cases.FAMILIES)}
    for line in sys.stdin:
        name, budget = json.loads(line)
        case = known[name]
        try:
            answer = measure(case.theirs(tf, case.arrays()), budget)
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def time_case(case, peak, peer, options):
    """One line of the result."""
    call = case.ours(for_device("cpu"), case.arrays())
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(measure(call, options.budget))
        if peer:
            theirs.append(peer.measure(case.name, options.budget))
    took = statistics.median(seconds for _, seconds in ours)
    rate = 1e-9 * case.work / took
    found = {
        "name": case.name,
        "unit": case.unit,
        "milliseconds": 1e3 * took,
        "rate": rate,
        "share_of_peak": rate / peak[case.unit],
    }
    if theirs:
        their_time = statistics.median(seconds for _, seconds in theirs)
        found["tensorflow_milliseconds"] = 1e3 * their_time
        found["ratio"] = their_time / took
        # A later round of an update starts from what the one before left.
        difference = abs(ours[0][0] - theirs[0][0]) / theirs[0][0]
        found["same_result"] = difference <= SAME_NORM
    return found


def table_line(found):
    """A case as a row of a Markdown table."""
    cells = [
        found["name"],
        f"{found['milliseconds']:.3g}",
        f"{found['rate']:.3g} {found['unit']}",
        f"{found['share_of_peak']:.0%}",
    ]
    if "ratio" in found:
        cells.append(f"{found['tensorflow_milliseconds']:.3g}")
        text = f"{found['ratio']:.2f}"
        cells.append(text if found["ratio"] >= 1 else f"**{text} (behind)**")
        cells.append("same" if found["same_result"] else "**differs**")
    return "| " + " | ".join(cells) + " |"


def heading(peer):
    cells = ["operation", "ms", "rate", "of the peak"]
    cells += ["TensorFlow's ms", "ratio", "result"] if peer else []
    return "| " + " | ".join(cells) + " |\n" + "|---" * len(cells) + "|"


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("families", nargs="*", help=f"of {', '.join(op_cases.FAMILIES)}")
    parser.add_argument("--containing", default="", help="only cases whose names contain this")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--budget", type=float, default=0.2, help="seconds of one turn")
    parser.add_argument("--no-tensorflow", action="store_true", help="time our kernels only")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "timings", help="folder")
    parser.add_argument("--serve-tensorflow", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for family in options.families:
        if family not in op_cases.FAMILIES:
            parser.error(f"families: must be of {', '.join(op_cases.FAMILIES)}. Received: {family}")
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1. Received: {options.rounds}")
    return options


def main():
    options = arguments()
    if options.serve_tensorflow:
        return serve_tensorflow()
    chosen = op_cases.cases(options.families or op_cases.FAMILIES, options.containing)
    if not chosen:
        sys.exit(f"--containing: no case's name contains {options.containing!r}")
    peer = None
    if not options.no_tensorflow and importlib.util.find_spec("tensorflow"):
        peer = TensorFlow()
    elif not options.no_tensorflow:
        print("TensorFlow is not installed: timing our kernels only", file=sys.stderr)
    threads = for_device("cpu").thread_count()
    peak = {"GFLOP/s": peaks.gflops(), "GB/s": peaks.gigabytes()}
    lines = [
        machine.sentence(machine.describe()),
        f"Peak: {peak['GFLOP/s']:.0f} GFLOP/s float32, copy {peak['GB/s']:.1f} GB/s; "
        f"threads of the kernels: {threads}.",
        "",
        heading(peer),
    ]
    print("\n".join(lines), flush=True)
    results = []
    try:
        for case in chosen:
            results.append(time_case(case, peak, peer, options))
            lines.append(table_line(results[-1]))
            print(lines[-1], flush=True)
    finally:
        if peer:
            peer.close()
    options.out.mkdir(parents=True, exist_ok=True)
    whole = {"machine": machine.describe(), "threads": threads, "peak": peak, "cases": results}
    (options.out / "ops.json").write_text(json.dumps(whole, indent=1) + "\n")
    (options.out / "ops.md").write_text("\n".join(lines) + "\n")
    return 0 if all(found.get("same_result", True) for found in results) else 1


if __name__ == "__main__":
    sys.exit(main())
