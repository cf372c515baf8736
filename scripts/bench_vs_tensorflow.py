"""Time the paper's networks in kerasmirror and in Keras on TensorFlow, side by side.

python scripts/bench_vs_tensorflow.py                        # all 33 rows of the paper
python scripts/bench_vs_tensorflow.py --rows mnist:2,cifar:12 --rounds 5 --cold
python scripts/bench_vs_tensorflow.py --peers tensorflow,jax,torch --plot --write
python scripts/bench_vs_tensorflow.py --sweep batch --rows mnist:4

Each measurement is a process of its own; the processes of the two sides alternate within one run,
and the side that goes first changes from round to round. A process imports its package, builds and
compiles the network from one seed, and calls `fit` for epochs of `--steps` batches (128 images; 28
of Olivetti) of random images; every number is the median over the rounds of

  import              seconds to import the package
  first epoch         seconds from there on until the end of the first epoch, import included
  first epoch, cold   the same with an empty folder of compiled kernels (--cold)
  train               milliseconds a step of the later epochs
  predict             milliseconds a batch
  one row             milliseconds of `predict` of one image
  memory              the largest resident memory of the process
  loss                that of the first epoch: from one seed both sides must have the same

Results go to the folder `--out`: results.json, results.md and, with --plot, results.png. --write
puts the table into README.md. --sweep gives the seconds of an epoch and the memory for growing
batches, cores, numbers of layers or images.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import bench_report

from kerasmirror.commands import machine

ROOT = Path(__file__).resolve().parent.parent
CHILD = Path(__file__).with_name("timing_child.py")
sys.path.insert(0, str(ROOT / "compat_tests"))
from cases import paper  # noqa: E402 - the cases are the tests'

OURS = "kerasmirror"
PEERS = ("tensorflow", "jax", "torch")
SEED = 1
CLASSES = {"olivetti": 40, "mnist": 10, "cifar": 10}
SWEEP_SAMPLES = 1280
SWEEPS = {
    "batch": (16, 32, 64, 128, 256, 512),
    "threads": (1, 2, 4, 8, 16, 32),
    "depth": (1, 2, 4, 8),
    "image": (16, 32, 48, 64, 96),
}
# As CIFAR row 4 of the paper, with as many layers or as large an image as the sweep says.
SWEEP_STRUCTURE = "C(3,32,r)x{depth};M(2);DR(0.125);F();D(128,r);DR(0.25);D(10,sm)"


def commit():
    """The checked-out commit, or None outside a repository or without git."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
        )
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def spec_of_row(row, options):
    """What the child needs to know to measure a row of the paper."""
    table, number = row.split(":")
    return {
        "structure": paper.NETWORKS[table][int(number) - 1],
        "shape": paper.INPUT_SHAPES[table],
        "classes": CLASSES[table],
        "batch": options.batch or (28 if table == "olivetti" else 128),
        "steps": options.steps,
        "epochs": options.epochs,
        "seed": SEED,
        "start_only": False,
    }


def environment_of(peer, cache=None):
    """The child's environment: nothing that holds NumPy's BLAS back, Keras's backend, the cache."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    kept["TF_CPP_MIN_LOG_LEVEL"] = "3"
    kept["CUDA_VISIBLE_DEVICES"] = "-1"
    kept["JAX_PLATFORMS"] = "cpu"
    if peer != OURS:
        kept["KERAS_BACKEND"] = peer
    if cache:
        kept["KERASMIRROR_CACHE_DIR"] = cache
    return kept


def measured(peer, spec, options, cache=None):
    """One process's numbers, or {"error": its last words}."""
    package = OURS if peer == OURS else "keras"
    python = sys.executable if peer == OURS else options.peer_python
    try:
        done = subprocess.run(
            [python, str(CHILD), package, json.dumps(spec)],
            capture_output=True,
            text=True,
            env=environment_of(peer, cache),
            timeout=options.timeout,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no result after {options.timeout} s"}
    if done.returncode:
        last = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"error": last[-1][:200]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def measured_cold(peer, spec, options):
    """The first epoch of a process that finds no compiled kernels."""
    with tempfile.TemporaryDirectory() as cache:
        return measured(peer, {**spec, "start_only": True}, options, cache)


def median_of(runs):
    """The medians over a peer's processes; its losses are those of the first."""
    failed = [run for run in runs if "error" in run]
    if failed:
        return failed[0]
    medians = {"losses": runs[0]["losses"], "parameters": runs[0]["parameters"]}
    for key in runs[0]:
        if key not in medians:
            values = [run[key] for run in runs]
            medians[key] = None if None in values else statistics.median(values)
    return {**medians, "runs": runs}


def alternating(peers, spec_for, options):
    """{peer: medians}: the peers' processes in turn, another one first in every round."""
    runs = {peer: [] for peer in peers}
    cold = {peer: [] for peer in peers}
    for number in range(options.rounds):
        for peer in peers[number % len(peers) :] + peers[: number % len(peers)]:
            runs[peer].append(measured(peer, spec_for, options))
            if options.cold:
                cold[peer].append(measured_cold(peer, spec_for, options))
    found = {peer: median_of(runs[peer]) for peer in peers}
    for peer in peers:
        if options.cold and "error" not in found[peer]:
            start = median_of(cold[peer])
            if "error" in start:
                found[peer] = start
            else:
                found[peer]["first_epoch_cold"] = start["first_epoch"]
    return found


def time_rows(rows, peers, options):
    """The result of each row, printed as it comes."""
    results = []
    for row in rows:
        spec = spec_of_row(row, options)
        found = alternating(peers, spec, options)
        results.append(
            {"row": row, "structure": spec["structure"], "batch": spec["batch"], "peers": found}
        )
        print(bench_report.line(results[-1]), flush=True)
    return results


def sweep_specs(kind, row, options):
    """(value, spec) of each point of a sweep; an epoch has the same samples at every point."""
    base = {**spec_of_row(row, options), "epochs": options.epochs}
    values = options.values or SWEEPS[kind]
    for value in values:
        spec = dict(base)
        if kind == "batch":
            spec["batch"] = value
        elif kind == "threads":
            if value > machine.cores():
                continue
            spec["cores"] = value
        else:
            side, depth = (32, value) if kind == "depth" else (value, 1)
            spec.update(shape=(side, side, 3), classes=10, batch=options.batch or 128)
            spec["structure"] = SWEEP_STRUCTURE.format(depth=depth)
        spec["steps"] = max(1, options.samples // spec["batch"])
        yield value, spec


def time_sweep(kind, row, peers, options):
    """The result of each point of a sweep, printed as it comes."""
    points = []
    for value, spec in sweep_specs(kind, row, options):
        found = alternating(peers, spec, options)
        for medians in found.values():
            if "error" not in medians:
                medians["epoch"] = medians["train"] * spec["steps"]
        points.append(
            {kind: value, "structure": spec["structure"], "steps": spec["steps"], "peers": found}
        )
        print(bench_report.sweep_line(kind, points[-1]), flush=True)
    return points


# Prints what another interpreter has of the packages in its arguments: name to version.
PROBE = """
import importlib.metadata, importlib.util, json, sys
found = {}
for name in sys.argv[1:]:
    if importlib.util.find_spec(name):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "of unknown version"
print(json.dumps(found))
"""


def versions_in(python, names):
    """Name to version of the installed ones among `names`, in the environment of `python`."""
    done = subprocess.run([python, "-c", PROBE, *names], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"--peer-python: {python} does not run: {done.stderr.strip()[-200:]}")
    return json.loads(done.stdout)


def installed_peers(names, python):
    """(those of the peers that can be measured, versions); says which cannot."""
    for name in names:
        if name not in PEERS:
            sys.exit(f"--peers: must be among {', '.join(PEERS)}. Received: {name}")
    versions = versions_in(python, ["keras", *names])
    found = []
    for name in names:
        missing = [need for need in ("keras", name) if need not in versions]
        if missing:
            print(f"{name}: left out, {' and '.join(missing)} not installed", file=sys.stderr)
        else:
            found.append(name)
    return found, versions


def chosen_rows(text):
    """The rows that --rows names: "all", a table ("mnist") or rows ("mnist:2")."""
    rows = []
    for part in text.split(","):
        matching = [r for r in paper.ROWS if part in ("all", r, r.split(":")[0])]
        if not matching:
            sys.exit(
                f'--rows: must be "all", a table ({", ".join(paper.NETWORKS)}) or rows such as '
                f"mnist:2. Received: {part}"
            )
        rows += [row for row in matching if row not in rows]
    return rows


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default=None, help="all (default), a table, or mnist:2,cifar:12")
    parser.add_argument("--peers", default="tensorflow", help="Keras backends to compare with")
    parser.add_argument("--peer-python", default=sys.executable, help="their Python interpreter")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each side for a row")
    parser.add_argument("--steps", type=int, default=10, help="steps of an epoch")
    parser.add_argument("--epochs", type=int, default=3, help="timed epochs in a process")
    parser.add_argument("--batch", type=int, help="images of a batch (default 128, Olivetti 28)")
    parser.add_argument("--cold", action="store_true", help="also with an empty kernel cache")
    parser.add_argument("--sweep", choices=SWEEPS, help="grow one quantity instead of the rows")
    parser.add_argument("--values", type=int, nargs="+", help="the sweep's values")
    parser.add_argument("--samples", type=int, default=SWEEP_SAMPLES, help="of a sweep's epoch")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one process")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "timings", help="folder")
    parser.add_argument("--read", type=Path, help="a results.json: report it, measure nothing")
    parser.add_argument("--plot", action="store_true", help="also plot.png (needs matplotlib)")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    if options.sweep and options.write:
        parser.error("--write: README has the table of rows, not a sweep")
    if options.sweep == "threads" and not hasattr(os, "sched_setaffinity"):
        parser.error("--sweep threads: this system cannot bind a process to some of its cores")
    for name in ("rounds", "steps", "epochs", "samples"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1. Received: {getattr(options, name)}")
    return options


def measure_all(options):
    """The whole of results.json."""
    others, versions = installed_peers(options.peers.split(","), options.peer_python)
    peers = [OURS, *others]
    about = machine.describe()
    # What is installed beside kerasmirror but takes no part has no place in the caption.
    kept = {k: v for k, v in about["versions"].items() if k not in ("keras", *PEERS)}
    theirs = {k: v for k, v in versions.items() if others and k in ("keras", *others)}
    about["versions"] = {**kept, **theirs}
    result = {
        "machine": about,
        "commit": commit(),
        "seed": SEED,
        "rounds": options.rounds,
    }
    if options.sweep:
        row = chosen_rows(options.rows or "mnist:4")[0]
        points = time_sweep(options.sweep, row, peers, options)
        return {**result, "sweep": options.sweep, "peers": peers, "points": points}
    rows = time_rows(chosen_rows(options.rows or "all"), peers, options)
    return {**result, "steps": options.steps, "peers": peers, "rows": rows}


def main():
    options = arguments()
    result = json.loads(options.read.read_text()) if options.read else measure_all(options)
    options.out.mkdir(parents=True, exist_ok=True)
    name = f"sweep-{result['sweep']}" if "sweep" in result else "results"
    if not options.read:
        (options.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    table = bench_report.markdown(result)
    (options.out / f"{name}.md").write_text(table)
    print("\n" + table)
    if options.plot:
        bench_report.plot(result, options.out / f"{name}.png")
    if options.write:
        bench_report.write_readme(result, ROOT / "README.md")
    return 1 if bench_report.failures(result) else 0


if __name__ == "__main__":
    sys.exit(main())
