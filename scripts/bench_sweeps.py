"""How cost grows: with the batch, the image, the depth, the threads; kerasmirror beside Keras.

python scripts/bench_sweeps.py                          # all four, about 4 minutes
python scripts/bench_sweeps.py batch --row mnist:4 --values 8 32 128 512 2048 --plot
python scripts/bench_sweeps.py threads depth --peers tensorflow,torch-native --python torch-native=P
python scripts/bench_sweeps.py --quick                  # two small points of each

  batch     seconds of an epoch (the same images at every size of batch) of a row of the paper, and
            the memory that a batch takes; too small a batch wastes calls, too large a one caches
  image     the sides of a square image, one convolution
  depth     how many convolutions of 32 filters follow one another
  threads   every side bound to so many cores, with the row of `batch`

Measurements are processes of their own, in turn, as in bench_vs_tensorflow.py. Memory is the
process's largest. sweeps.json, sweeps.md and, with --plot, sweeps.png go to the folder `--out`.
"""

import argparse
import sys

import bench_plots
import bench_report
import networks
import peers
import processes
from peers import OURS

from kerasmirror.commands import machine

VALUES = {
    "batch": (8, 32, 128, 512, 1024),
    "image": (16, 32, 64),
    "depth": (1, 2, 4),
    "threads": (1, 2, 4, 8, 16, 32),
}
QUICK = {"batch": (16, 64), "image": (8, 16), "depth": (1, 2), "threads": (1, 2)}
SAMPLES, QUICK_SAMPLES = 1024, 64
# Epochs of few steps are repeated: the first ones also fetch memory from the system.
FEWEST_STEPS = 8
# As CIFAR row 4 of the paper, with as many layers or as large an image as the sweep says.
STRUCTURE = "C(3,32,r)x{depth};M(2);DR(0.125);F();D(128,r);DR(0.25);D(10,sm)"
BATCH = 128


def values_of(kind, options):
    """The points of a sweep; no more threads than there are cores."""
    values = options.values or (QUICK if options.quick else VALUES)[kind]
    return [v for v in values if kind != "threads" or v <= machine.cores()]


def spec_of(kind, value, options):
    """What a point measures; an epoch has as many samples at every point."""
    structure, shape, classes, batch = networks.structure_of(options.row)
    cores = None
    if kind == "batch":
        batch = value
    elif kind == "threads":
        cores = value
    else:
        side, depth = (32, value) if kind == "depth" else (value, 1)
        structure, shape, classes = STRUCTURE.format(depth=depth), (side, side, 3), 10
        batch = BATCH
    batch = min(options.batch or batch, options.samples) if kind != "batch" else batch
    steps = max(1, options.samples // batch)
    repeats = 1 if options.quick else -(-FEWEST_STEPS // steps)
    return {
        "structure": structure,
        "shape": shape,
        "classes": classes,
        "batch": batch,
        "steps": steps,
        "epochs": max(options.epochs, repeats),
        "cores": cores,
        "seed": processes.SEED,
        "until": "training",
    }


def measured_point(kind, value, sides, options):
    """The medians of one point, with the seconds of an epoch."""
    spec = spec_of(kind, value, options)
    found = processes.alternating(sides, spec, options)
    for medians in found.values():
        if "train" in medians:
            medians["epoch"] = medians["train"] * spec["steps"]
    kept = ("structure", "shape", "batch", "steps")
    return {"value": value, **{name: spec[name] for name in kept}, "peers": found}


def cell(found, per_batch):
    """One side's numbers at a point."""
    if "error" in found:
        return f"failed: {found['error']}"
    text = f"{bench_report.number(found['epoch'])} s, {bench_report.number(per_batch)} us a sample"
    return text if found.get("memory") is None else f"{text}, {found['memory']:.0f} MB"


def point_cells(point, names):
    """Each side's numbers, then the ratios of time and memory of the others to ours."""
    samples = point["batch"] * point["steps"]
    cells = [
        cell(point["peers"][name], 1e6 * point["peers"][name].get("epoch", 0) / samples)
        for name in names
    ]
    for name in names:
        if name != OURS:
            cells.append(bench_report.ratio_text(bench_report.ratio_of(point, name, "epoch")))
            cells.append(bench_report.ratio_text(bench_report.ratio_of(point, name, "memory")))
    return cells


def markdown(result):
    """A table for each sweep: the seconds of an epoch and of a sample, the memory; in words."""
    names = result["peers"]
    ratios = [f"{n}: {what}" for n in names if n != OURS for what in ("time ratio", "memory ratio")]
    parts = [bench_report.caption(result), ""]
    for kind, points in result["sweeps"].items():
        rows = [[str(point["value"]), *point_cells(point, names)] for point in points]
        parts += [f"Growing {kind}, starting from `{points[0]['structure']}`:", ""]
        parts += [*bench_report.table([kind, *names, *ratios], rows), ""]
        words = [growth(kind, points, name) for name in names]
        parts += [*filter(None, words), ""]
    return "\n".join([*parts, *failures(result)]) + "\n"


def growth(kind, points, name):
    """In words: where an epoch is shortest, and how time and memory grow; None where failed."""
    seen = {p["value"]: p["peers"][name] for p in points if "epoch" in p["peers"][name]}
    if len(seen) < 2:
        return None
    first, last = min(seen), max(seen)
    times = seen[last]["epoch"] / seen[first]["epoch"]
    words = [
        f"{times:.2f} times the time" if kind != "threads" else f"{1 / times:.2f} times as fast"
    ]
    if seen[first].get("memory"):
        words.append(f"{seen[last]['memory'] - seen[first]['memory']:+.0f} MB")
    text = f"- {name}: {', '.join(words)} from {first} to {last}"
    if kind == "batch":
        text += f"; the shortest epoch is at {min(seen, key=lambda v: seen[v]['epoch'])}"
    return text


def failures(result):
    return [
        f"- {name} failed at {kind} {point['value']}: {found['error']}"
        for kind, points in result["sweeps"].items()
        for point in points
        for name, found in point["peers"].items()
        if "error" in found
    ]


def measure_all(options):
    """The whole of sweeps.json, kept in the file after every point."""
    names, versions = peers.available(peers.named(options.peers), options.pythons)
    sides = [OURS, *names]
    result = {
        "machine": processes.about_the_machine(versions),
        "commit": processes.commit(),
        "rounds": options.rounds,
        "row": options.row,
        "peers": sides,
        "sweeps": {},
    }
    plan = [(kind, value) for kind in options.kinds for value in values_of(kind, options)]
    seconds = sum(
        processes.guessed_seconds(spec_of(*point, options), sides, options) for point in plan
    )
    print(f"{len(plan)} points, {', '.join(sides)}: about {processes.duration(seconds)}")
    for kind, value in plan:
        point = measured_point(kind, value, sides, options)
        result["sweeps"].setdefault(kind, []).append(point)
        processes.write_json(result, options.out / "sweeps.json")
        print(f"{kind} {value}: " + " | ".join(point_cells(point, sides)), flush=True)
    return result


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(VALUES)}; default all")
    parser.add_argument("--row", default="cifar:4", help="the paper's row of batch and threads")
    parser.add_argument("--values", type=int, nargs="+", help="the points of the one sweep")
    parser.add_argument("--samples", type=int, help=f"of an epoch (default {SAMPLES})")
    parser.add_argument("--quick", action="store_true", help="few small points")
    processes.add_arguments(parser, rounds=1)
    options = parser.parse_args()
    for kind in options.kinds:
        if kind not in VALUES:
            parser.error(f"kinds: must be of {', '.join(VALUES)}. Received: {kind}")
    if options.values and len(options.kinds) != 1:
        parser.error("--values: needs exactly one kind of sweep before it")
    options.kinds = options.kinds or [*VALUES]
    options.row = networks.chosen_rows(options.row)[0]
    options.samples = options.samples or (QUICK_SAMPLES if options.quick else SAMPLES)
    options.epochs = options.epochs or (1 if options.quick else 2)
    options.cold, options.threads = False, "threads" in options.kinds
    processes.check_arguments(parser, options, ("rounds", "epochs", "batch", "samples"))
    return options


def main():
    options = arguments()
    result = measure_all(options)
    table = markdown(result)
    (options.out / "sweeps.md").write_text(table)
    print("\n" + table)
    if options.plot:
        bench_plots.save(bench_plots.sweeps, result, options.out / "sweeps.png")
    return 1 if failures(result) else 0


if __name__ == "__main__":
    sys.exit(main())
