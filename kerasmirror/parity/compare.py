"""compare: one model built, run and trained in both packages, and where they first disagree."""

from __future__ import annotations

import contextlib
import inspect
import os

from kerasmirror.core import checks
from kerasmirror.parity import courses, stages
from kerasmirror.parity.measure import building
from kerasmirror.parity.peer import Peer, RealKeras
from kerasmirror.parity.report import Report
from kerasmirror.parity.task import Task, data_of, settings_of

# How far the two sides may be apart, relative to the largest expected value. Uniform initializers
# are exact, normal ones differ in the last bits of log, sin and cos; a layer's forward and gradient
# are float32 sums in another order, convolutions by Winograd's algorithm with a few roundings more.
TOLERANCES = {
    "initial weights": 2e-6,
    "layer": 5e-5,
    "outputs": 5e-5,
    "loss": 1e-5,
    "flow": 5e-5,
    "gradient": 5e-5,
    "step": 1e-4,
    "final weights": 1e-2,
    "accuracy": 0.02,
    "file": 5e-5,
}


def compare(
    build,
    data=None,
    *,
    loss=None,
    loss_weights=None,
    optimizer=None,
    steps=20,
    batch_size=32,
    samples=256,
    seed=1,
    weights_from="keras",
    backend="tensorflow",
    python=None,
    tolerances=None,
    real=None,
    title=None,
):
    """A Report of how far kerasmirror is from real Keras on one model.

    Both sides build the model and get the same weights. Compared are: the initial weights from one
    seed; in inference mode the output of every layer, the outputs as a user gets them, the loss,
    the gradient with respect to every layer's output and to every weight; with `steps`, the loss of
    each step of a shuffled `fit` with dropout on, the weights and the accuracy after it; and a
    weights file written by either side and read by the other. Each worst element is judged by
    real Keras in float64. Keras on JAX and PyTorch draws other random numbers: there the initial
    weights are not compared, and training goes without dropout, in the order of the data.

    Inputs and outputs may be lists or dicts, of Functional and of subclassed models.

    Where gradients are beyond their tolerance though the forward pass agrees, they are compared
    with Keras's at kerasmirror's outputs of the layers: at a maximum or a relu, values a rounding
    apart decide which way a gradient goes, and at equal values both have to decide alike. Where a
    training's course is beyond its tolerance, Keras is trained up to six times more with errors in
    its layers, random ones of the size that kerasmirror's layers have at the same inputs, and if
    that does not explain it of 2 and of 4 times that size (parity.courses). A training that is
    right but for its roundings is one of Keras's own then: it may leave Keras's by as many times
    what the farthest of them does as that is of the nearest, but at least 4 and at most 10 times,
    and 5 steps earlier.

    Args:
        build: a module-level function that takes `keras` and gives a model, or what
            `parity.targets.resolve` gives.
        data: (x, y) or (x, y, sample_weight), each an array, a list or a dict of them; a script's
            own or random ones if there are none.
        loss, optimizer: names or configs (of several losses a list, or a dict by outputs); by
            default those the model was compiled with, else a cross-entropy for class outputs and
            the mean squared error for others, and "adam". `loss_weights`, as in `compile`.
        weights_from: whose initial weights both sides get, "keras" or "kerasmirror".
        backend: of real Keras, "tensorflow", "jax" or "torch"; `python`, the interpreter of an
            environment that has it.
        tolerances: replaces some of TOLERANCES. 0 steps: no training.
        real: a RealKeras to use; without one, a process is started for this call.
    Raises: ValueError, TargetError, PeerError (the model cannot be built), ImportError.
    """
    if weights_from not in ("keras", "kerasmirror"):
        raise ValueError(
            'compare: `weights_from` must be "keras" or "kerasmirror". '
            f"Received: weights_from={weights_from!r}"
        )
    for name, value, minimum in (
        ("steps", steps, 0),
        ("batch_size", batch_size, 1),
        ("samples", samples, 1),
        ("seed", seed, 0),
    ):
        checks.count(value, name, owner="compare", minimum=minimum)
    unknown = sorted(set(tolerances or {}) - set(TOLERANCES))
    if unknown:
        raise ValueError(
            f"compare: `tolerances` must be for {', '.join(TOLERANCES)}. Received: {unknown}"
        )
    if not all(bound >= 0 for bound in (tolerances or {}).values()):
        raise ValueError(
            f"compare: `tolerances` must be numbers of at least 0. Received: {tolerances}"
        )
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(Peer())
        real = real or stack.enter_context(RealKeras(python, backend))
        known = ours.call(building.describe, build, seed, samples)
        settings = settings_of(known, loss, loss_weights, optimizer)
        task = Task(build, data_of(known, data, settings, samples, seed), settings, seed)
        task.same_draws = real.backend == "tensorflow"
        report = Report(title or _title(build), {**TOLERANCES, **(tolerances or {})})
        report.settings = {
            "steps": steps,
            "batch_size": batch_size,
            "samples": task.samples,
            "seed": seed,
        }
        weights = stages.compare_initial_weights(report, task, ours, real, weights_from)
        first = stages.compare_one_pass(report, task, ours, real, weights, batch_size)
        stages.compare_files(report, task, ours, real, weights, batch_size)
        if steps:
            courses.compare_training(report, task, ours, real, weights, first, steps, batch_size)
    return report


def _title(build):
    if callable(build):
        return build.__name__
    named = f"{os.path.basename(build['file'])}:{build.get('name', '')}".rstrip(":")
    return build.get("structure") or named


def assert_parity(build, data=None, **options):
    """`compare`, and an AssertionError with the table if the two sides differ; gives the report.

    Takes what `compare` takes.
    """
    return compare(build, data, **options).check()


assert_parity.__signature__ = inspect.signature(compare)
