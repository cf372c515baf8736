"""Time the paper's networks in kerasmirror and in Keras on TensorFlow, side by side.

python scripts/bench_vs_tensorflow.py                        # all 33 rows of the paper
python scripts/bench_vs_tensorflow.py --rows mnist:2,cifar:12 --rounds 5 --cold
python scripts/bench_vs_tensorflow.py --resume               # go on after an interruption
python scripts/bench_vs_tensorflow.py --device gpu --peers tensorflow,torch-native
python scripts/bench_vs_tensorflow.py --peers tensorflow,jax,torch,onnxruntime,torch-native \\
    --python jax=/path/to/python --python torch=/other/python --rounds 1 --out build/peers
python scripts/bench_vs_tensorflow.py --read build/timings/results.json build/peers/results.json \\
    --write                                                  # README's part from two runs

Each measurement is a process of its own; the processes of the sides alternate within one run, and
the side that goes first changes from round to round. Every side gets the same images, labels,
weights to start from and compile arguments, and calls `fit` for epochs of `--steps` batches (128
images; 28 of Olivetti), then predicts. Every number is the median over the rounds of

  import              seconds to import the package
  first epoch         seconds from there on until the end of the first epoch, import included
  first epoch, cold   the same with an empty folder of compiled kernels (--cold; the other sides
                      keep nothing from one process to the next)
  training step       median of the later epochs
  predict             `predict` of all batches, or of one row (median of 20 calls)
  model(x), predict_on_batch   called directly, on a batch and on one row
  memory              the largest resident memory of the process
  loss                that of the last timed epoch

The peers: tensorflow, jax and torch are Keras on these backends; torch-native is PyTorch without
Keras (channels last, fused Adam); onnxruntime predicts only. The loss before training, which only
depends on the weights, must be the same on all sides; on TensorFlow that of the first epoch too,
where the same units are dropped. A row in which they are not is named and makes the exit status 1.

With --device gpu every side computes on the first GPU (TensorFlow and PyTorch builds for CUDA are
needed); batches come from the host's memory on all sides. ONNX Runtime is for the CPU here.

Results go to the folder `--out`: results.json (after every row), results.md and, with --plot,
results.png. --write puts the table into README.md. A peer that cannot run is named and left out.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import bench_plots
import bench_report
import networks
import peers
import processes

# Rows that cost less than this (float operations of a forward pass of a batch) are timed longer.
CHEAP = 2e9
EPOCHS, EPOCHS_OF_CHEAP = 3, 6


def spec_of_row(row, options):
    """What the child needs to know to measure a row of the paper."""
    structure, shape, classes, batch = networks.structure_of(row)
    batch = options.batch or batch
    cheap = batch * networks.operations(structure, shape) < CHEAP
    return {
        "structure": structure,
        "shape": shape,
        "classes": classes,
        "batch": batch,
        "steps": options.steps,
        "epochs": options.epochs or (EPOCHS_OF_CHEAP if cheap else EPOCHS),
        "cores": options.threads,
        "seed": processes.SEED,
        "until": "end",
    }


def settings_of(options, sides):
    """What must be the same in a run that is resumed."""
    kept = ("rounds", "steps", "epochs", "batch", "threads", "cold", "device")
    return {"peers": sides, **{name: getattr(options, name) for name in kept}}


def resumed_rows(path, settings, now):
    """The complete rows of an interrupted run; refuses those of another one."""
    if not path.exists():
        return []
    before = json.loads(path.read_text())
    had = before.get("settings", {})
    for name, value in settings.items():
        if had.get(name) != value:
            sys.exit(
                f"--resume: {path} has {name}={had.get(name)!r}, this run {name}={value!r}; "
                "use the same options or another --out"
            )
    if before.get("commit") != now:
        print(f"--resume: the rows before are of commit {before.get('commit')}", file=sys.stderr)
    return [
        row
        for row in before["rows"]
        if not any("error" in found for found in row["peers"].values())
    ]


class Remaining:
    """How long the rows that are left take: a guess, scaled by how long those done took."""

    def __init__(self, rows, sides, options):
        self.guesses = {
            row: processes.guessed_seconds(spec_of_row(row, options), sides, options)
            for row in rows
        }
        self.guessed, self.took = 0.0, 0.0

    def done(self, row, seconds):
        self.guessed += self.guesses.pop(row)
        self.took += seconds

    def text(self):
        factor = self.took / self.guessed if self.guessed else 1.0
        return f"about {processes.duration(sum(self.guesses.values()) * factor)}"


def without_hopeless(sides, failed_twice, found):
    """The sides without those that failed in this row and in the one before."""
    kept = []
    for side in sides:
        if "error" not in found[side]:
            failed_twice.discard(side)
        elif side in failed_twice and side != peers.OURS:
            processes.left_out(side, found[side]["error"])
            continue
        else:
            failed_twice.add(side)
        kept.append(side)
    return kept


def time_rows(rows, result, options, path):
    """Measure the rows that the result lacks, keeping it in a file after each one."""
    have = {row["row"] for row in result["rows"]}
    left = [row for row in rows if row not in have]
    sides, failed = list(result["peers"]), set()
    remaining = Remaining(left, sides, options)
    print(f"{len(left)} rows, {', '.join(sides)}: {remaining.text()}", flush=True)
    for row in left:
        spec, start = spec_of_row(row, options), time.perf_counter()
        found = processes.alternating(sides, spec, options)
        sides = without_hopeless(sides, failed, found)
        result["rows"].append(
            {"row": row, "structure": spec["structure"], "batch": spec["batch"], "peers": found}
        )
        result["rows"].sort(key=lambda one: networks.paper.ROWS.index(one["row"]))
        processes.write_json(result, path)
        remaining.done(row, time.perf_counter() - start)
        print(bench_report.line({**spec, "row": row, "peers": found}), flush=True)
        if row != left[-1]:
            print(f"             {remaining.text()} left", flush=True)


def measure_all(options, path):
    """The whole of results.json."""
    names, versions = peers.available(peers.named(options.peers), options.pythons)
    sides = [peers.OURS, *names]
    settings, now = settings_of(options, sides), processes.commit()
    result = {
        "machine": processes.about_the_machine(versions),
        "commit": now,
        "seed": processes.SEED,
        "rounds": options.rounds,
        "steps": options.steps,
        "threads": options.threads,
        "settings": settings,
        "peers": sides,
        "rows": resumed_rows(path, settings, now) if options.resume else [],
    }
    time_rows(networks.chosen_rows(options.rows), result, options, path)
    return result


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="all", help="all (default), a table, or mnist:2,cifar:12")
    processes.add_arguments(parser, rounds=3)
    parser.add_argument("--steps", type=int, default=10, help="steps of an epoch")
    parser.add_argument("--threads", type=int, help="bind every side to this many cores")
    parser.add_argument("--cold", action="store_true", help="also with an empty kernel cache")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are in --out")
    parser.add_argument("--read", type=Path, nargs="+", help="results.json files: measure nothing")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    names = ("rounds", "steps", "epochs", "batch", "threads")
    processes.check_arguments(parser, options, names)
    return options


def main():
    options = arguments()
    path = options.out / "results.json"
    if options.read:
        results = [json.loads(one.read_text()) for one in options.read]
    else:
        results = [measure_all(options, path)]
    table = "\n".join(bench_report.markdown(result) for result in results)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.md").write_text(table)
    print("\n" + table)
    if options.plot:
        bench_plots.save(bench_plots.rows, results[0], options.out / "results.png")
    if options.write:
        bench_report.write_readme(results, processes.ROOT / "README.md")
    wrong = [line for result in results for line in bench_report.wrong_rows(result)]
    if wrong:
        print("\n".join(["Losses that should agree and do not:", *wrong]), file=sys.stderr)
    failed = any(bench_report.failures(result, (peers.OURS,)) for result in results)
    return 1 if wrong or failed else 0


if __name__ == "__main__":
    sys.exit(main())
