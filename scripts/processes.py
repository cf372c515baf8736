"""Measurements in processes of their own: their environment, their turns, their medians."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import networks
import peers

from kerasmirror.commands import machine

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
OUT = ROOT / "build" / "timings"
SEED = 1
# What a parent may have set and what would hold a side back or change its arithmetic.
_DROPPED = ("OPENBLAS_", "TF_ENABLE_ONEDNN_OPTS", "OMP_NUM_THREADS", "KERAS_BACKEND")
# A guess for the time that is printed before anything was measured: seconds of a process without
# its steps, and float operations a second.
_START = {"kerasmirror": 2.0, "onnxruntime": 2.0, "torch-native": 5.0}
_SPEED = 8e10


def commit():
    """The checked-out commit, or None outside a repository or without git."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
        )
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def environment_of(peer, cache=None, device="cpu"):
    """The child's environment: nothing that holds a side back, Keras's backend, the cache."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_DROPPED)}
    kept["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if device == "cpu":
        kept["CUDA_VISIBLE_DEVICES"] = "-1"
        kept["JAX_PLATFORMS"] = "cpu"
    else:
        kept["KERASMIRROR_DEVICE"] = "gpu:0"
        kept["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    if peers.SIDES[peer].backend:
        kept["KERAS_BACKEND"] = peers.SIDES[peer].backend
    if cache:
        kept["KERASMIRROR_CACHE_DIR"] = cache
    return kept


def measured(peer, spec, options, cache=None):
    """One process's numbers, or {"error": its last words}."""
    side = peers.SIDES[peer]
    text = json.dumps({**spec, "package": side.package, "device": options.device})
    try:
        done = subprocess.run(
            [options.pythons[peer], str(SCRIPTS / side.program), text],
            capture_output=True,
            text=True,
            env=environment_of(peer, cache, options.device),
            timeout=options.timeout,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no result after {options.timeout:g} s"}
    except OSError as error:
        return {"error": f"{options.pythons[peer]}: {error.strerror}"}
    if done.returncode:
        last = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"error": last[-1][:200]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def first_epoch(peer, spec, options, cache=None):
    """A process that stops after the first epoch."""
    return measured(peer, {**spec, "until": "first epoch"}, options, cache)


def cold_start(spec, options):
    """kerasmirror's first epoch where no kernel is compiled yet."""
    with tempfile.TemporaryDirectory() as cache:
        return first_epoch(peers.OURS, spec, options, cache)


def median_of(runs):
    """The medians over a peer's processes, or the first error; losses are those of the first."""
    failed = [run for run in runs if "error" in run]
    if failed or not runs:
        return failed[0] if failed else {"error": "nothing measured"}
    medians = {}
    for key, value in runs[0].items():
        if isinstance(value, list) or key in ("parameters", "initial_loss"):
            medians[key] = value
        else:
            values = [run[key] for run in runs]
            medians[key] = None if None in values else statistics.median(values)
    return {**medians, "runs": runs}


def alternating(sides, spec, options):
    """{side: medians}: their processes in turn, another one first in every round.

    A side that fails is not tried in the later rounds. Before the first round a process of ours
    that is not counted compiles the kernels, where no earlier one did.
    """
    runs = {side: [] for side in sides}
    cold = []
    first_epoch(peers.OURS, spec, options)
    for number in range(options.rounds):
        for side in sides[number % len(sides) :] + sides[: number % len(sides)]:
            if not any("error" in run for run in runs[side]):
                runs[side].append(measured(side, spec, options))
        if options.cold:
            cold.append(cold_start(spec, options))
    found = {side: median_of(runs[side]) for side in sides}
    if options.cold:
        _add_cold(found, median_of(cold))
    return found


def _add_cold(found, ours):
    """The first epoch without compiled kernels; the others keep nothing between processes."""
    for side, medians in found.items():
        start = ours if side == peers.OURS else medians
        if "first_epoch" in start and "error" not in medians:
            medians["first_epoch_cold"] = start["first_epoch"]
        elif side == peers.OURS and "error" not in medians:
            medians["error"] = ours["error"]


def guessed_seconds(spec, sides, options):
    """About how long `alternating` takes; only the relation between rows must be good."""
    once = networks.operations(spec["structure"], spec["shape"]) * spec["batch"] * spec["steps"]
    # A training step is about three forward passes, and as many batches are predicted.
    passes, start = (4, 9.0) if spec["until"] == "end" else (3, 6.0)
    work = passes * once * (spec["epochs"] + 1) / _SPEED
    total = sum(_START.get(side, start) + work for side in sides) * options.rounds
    cold = (4.0 + 3 * once / _SPEED) * options.rounds if options.cold else 0
    return total + cold + _START[peers.OURS]


def duration(seconds):
    """Seconds as a text for people."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def about_the_machine(versions):
    """machine.describe() with the versions of those peers that take part, and no others."""
    about = machine.describe()
    packages = {need for peer in peers.PEERS.values() for need in peer.needs}
    kept = {k: v for k, v in about["versions"].items() if k not in packages}
    return {**about, "versions": {**kept, **versions}}


def write_json(result, path):
    """Replace the file at once, so that an interruption leaves the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")
    scratch.write_text(json.dumps(result, indent=1) + "\n")
    scratch.replace(path)


def add_arguments(parser, rounds):
    """Options that bench_vs_tensorflow.py and bench_sweeps.py share."""
    peers.add_arguments(parser, "tensorflow")
    parser.add_argument("--rounds", type=int, default=rounds, help="processes of each side")
    parser.add_argument("--epochs", type=int, help="timed epochs in a process")
    parser.add_argument("--batch", type=int, help="images of a batch (default 128, Olivetti 28)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one process")
    parser.add_argument("--out", type=Path, default=OUT, help="folder")
    parser.add_argument(
        "--device", choices=("cpu", "gpu"), default="cpu", help="gpu: every side on the first GPU"
    )
    parser.add_argument("--plot", action="store_true", help="also a PNG (needs matplotlib)")


def check_arguments(parser, options, names):
    """Refuse numbers below 1; settle the interpreters."""
    for name in names:
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1. Received: {value}")
    if options.threads and not hasattr(os, "sched_setaffinity"):
        parser.error("threads: this system cannot bind a process to some of its cores")
    options.pythons = peers.interpreters(options.python)
    if options.device == "gpu":
        require_gpu(parser)


def require_gpu(parser):
    """Refuse where kerasmirror finds no GPU, with what it says is missing."""
    asked = subprocess.run(
        [sys.executable, "-c", "import kerasmirror; kerasmirror.device('gpu:0')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if asked.returncode:
        parser.error(f"--device gpu: {asked.stderr.strip().splitlines()[-1]}")


def left_out(name, reason):
    print(f"{name}: left out from here on: {reason}", file=sys.stderr, flush=True)
