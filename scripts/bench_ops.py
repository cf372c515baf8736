"""Time single kernels: operations a second, the share of the machine's peak, TensorFlow's ratio.

python scripts/bench_ops.py                            # every family, shape and row; all cores
python scripts/bench_ops.py convolution adam --containing "3 x 3" --rows cifar:12 --threads 1,2
python scripts/bench_ops.py --rows mnist --no-tensorflow --rounds 1

The shapes are the distinct ones of the paper's rows: convolutions and dense layers forward (with
bias and relu), by their inputs and by their weights, pooling alone and together with what stands
around it, dropout, softmax with cross-entropy, and Adam.

Peaks are measured in the same run with as many threads: multiply-adds on registers for products and
convolutions (counted as the direct algorithm's operations, so Winograd's may exceed it), a copy of
128 MiB for what moves memory (what fits into the caches may exceed it). Where TensorFlow is
installed, a child process with as many threads runs the same operation as a compiled graph, in turn
with ours, and the norms of the two results are compared. What a call of an empty graph costs there
stands above the table: small operations mostly wait for that. ops.json and ops.md go to `--out`.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import bench_report
import networks
import numpy as np
import op_cases
import peaks
import processes

from kerasmirror.commands import machine
from kerasmirror.kernels import for_device

SAME_NORM = 1e-4  # relative; float32 sums in another order
EMPTY_GRAPH = "a call of an empty graph"


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

    def __init__(self, threads):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve-tensorflow", "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=processes.environment_of("tensorflow"),
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


def serve_tensorflow(threads):
    """The child: answer a line of JSON for each line until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints, prints to stderr
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    known = op_cases.by_name()
    for line in sys.stdin:
        name, budget = json.loads(line)
        try:
            if name == EMPTY_GRAPH:
                answer = measure(op_cases.empty_graph(tf), budget)
            else:
                answer = measure(known[name].theirs(tf, known[name].arrays()), budget)
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def time_case(case, peak, threads, peer, options):
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
        "family": case.family,
        "rows": case.rows,
        "threads": threads,
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
        cells.append(bench_report.ratio_text(found["ratio"]))
        cells.append("same" if found["same_result"] else "**differs**")
    return "| " + " | ".join(cells) + " |"


def heading(peer):
    cells = ["operation", "ms", "rate", "of the peak"]
    cells += ["TensorFlow's ms", "ratio", "result"] if peer else []
    return "| " + " | ".join(cells) + " |\n" + "|---" * len(cells) + "|"


def summary(cases):
    """For each family and number of threads: shares of the peak, ratios; and what threads give."""
    lines, groups = [], {}
    for case in cases:
        groups.setdefault((case["family"], case["threads"]), []).append(case)
    for (family, threads), group in groups.items():
        share = statistics.median(case["share_of_peak"] for case in group)
        name = f"{family}, threads: {threads}"
        if "ratio" in group[0]:
            lines.append(bench_report.ratios_line(name, [case["ratio"] for case in group]))
        else:
            lines.append(f"- {name}")
        lines[-1] += f"; median share of the peak {share:.0%}"
        least = min(threads for name, threads in groups if name == family)
        if threads > least:
            gains = _gains(groups[family, least], group)
            lines[-1] += f"; {statistics.geometric_mean(gains):.2f} times as fast as {least}"
    return lines


def _gains(few, many):
    before = {case["name"]: case["milliseconds"] for case in few}
    return [before[c["name"]] / c["milliseconds"] for c in many if c["name"] in before]


def time_with_threads(threads, chosen, options):
    """(peaks, cases) with so many threads on both sides; prints the table as it grows."""
    for_device("cpu").set_threads(threads)
    peak = {"GFLOP/s": peaks.gflops(), "GB/s": peaks.gigabytes()}
    peer = None if options.no_tensorflow else TensorFlow(threads)
    cases = []
    try:
        if peer:
            peak[EMPTY_GRAPH] = 1e3 * peer.measure(EMPTY_GRAPH, options.budget)[1]
        print("\n".join(opening(threads, peak)), flush=True)
        for case in chosen:
            cases.append(time_case(case, peak, threads, peer, options))
            print(table_line(cases[-1]), flush=True)
    finally:
        if peer:
            peer.close()
    return peak, cases


def opening(threads, peak):
    """What stands above a table."""
    text = (
        f"Threads: {threads}. Peak: {peak['GFLOP/s']:.0f} GFLOP/s float32, "
        f"copy {peak['GB/s']:.1f} GB/s."
    )
    if EMPTY_GRAPH in peak:
        text += f" TensorFlow: {EMPTY_GRAPH} {peak[EMPTY_GRAPH]:.2g} ms."
    return [text, "", heading(EMPTY_GRAPH in peak)]


def markdown(result):
    """The tables of ops.md."""
    lines = [f"{machine.sentence(result['machine'])}.", ""]
    for threads, peak in result["peaks"].items():
        cases = [case for case in result["cases"] if case["threads"] == int(threads)]
        lines += [*opening(threads, peak), *map(table_line, cases), ""]
    return "\n".join([*lines, *summary(result["cases"])]) + "\n"


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("families", nargs="*", help=f"of {', '.join(op_cases.FAMILIES)}")
    parser.add_argument("--rows", default="all", help="all (default), a table, or mnist:2,cifar:12")
    parser.add_argument("--containing", default="", help="only cases whose names contain this")
    parser.add_argument("--threads", help="numbers of threads such as 1,2 (default: all cores)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--budget", type=float, default=0.1, help="seconds of one turn")
    parser.add_argument("--no-tensorflow", action="store_true", help="time our kernels only")
    parser.add_argument("--out", type=Path, default=processes.OUT, help="folder")
    parser.add_argument("--serve-tensorflow", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for family in options.families:
        if family not in op_cases.FAMILIES:
            parser.error(f"families: must be of {', '.join(op_cases.FAMILIES)}. Received: {family}")
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1. Received: {options.rounds}")
    texts = (options.threads or str(machine.cores())).split(",")
    if not all(text.isdigit() and 1 <= int(text) <= machine.cores() for text in texts):
        parser.error(
            f"--threads: must be numbers from 1 to {machine.cores()}. Received: {options.threads}"
        )
    options.threads = [int(text) for text in texts]
    return options


def main():
    options = arguments()
    if options.serve_tensorflow:
        return serve_tensorflow(options.threads[0])
    rows = networks.chosen_rows(options.rows)
    chosen = op_cases.cases(options.families or op_cases.FAMILIES, rows, options.containing)
    if not chosen:
        sys.exit(f"--containing: no case's name contains {options.containing!r}")
    if not options.no_tensorflow and not importlib.util.find_spec("tensorflow"):
        options.no_tensorflow = True
        print("TensorFlow is not installed: timing our kernels only", file=sys.stderr)
    result = {"machine": machine.describe(), "commit": processes.commit(), "peaks": {}, "cases": []}
    print(f"{machine.sentence(result['machine'])}.\n")
    for threads in options.threads:
        peak, cases = time_with_threads(threads, chosen, options)
        result["peaks"][str(threads)] = peak
        result["cases"] += cases
        processes.write_json(result, options.out / "ops.json")
        print()
    (options.out / "ops.md").write_text(markdown(result))
    print("\n".join(summary(result["cases"])))
    return 0 if all(found.get("same_result", True) for found in result["cases"]) else 1


if __name__ == "__main__":
    sys.exit(main())
