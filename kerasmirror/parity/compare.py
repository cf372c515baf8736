"""compare: one model built, run and trained in both packages, and where they first disagree."""

from __future__ import annotations

import contextlib
import inspect
import os
import tempfile

import numpy as np

from kerasmirror.core import checks
from kerasmirror.parity import measure
from kerasmirror.parity.peer import Peer, RealKeras
from kerasmirror.parity.report import Report, relative_error
from kerasmirror.parity.targets import made_data, usual_loss

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
# Training magnifies roundings: Adam divides a gradient by its size, a relu near 0 is on or off. A
# curve may leave Keras's by this many times what Keras leaves itself by when its first weights are
# moved by one rounding each.
_OWN = 4
# ... and this many steps earlier.
_SOONER = 5


def compare(
    build,
    data=None,
    *,
    loss=None,
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

    Where a training curve is beyond its tolerance, Keras is trained once more from weights that are
    moved by one rounding each; what it then departs from itself by, times 4, widens the bound.

    Args:
        build: a module-level function that takes `keras` and gives a model, or what
            `parity.targets.resolve` gives.
        data: (x, y), arrays; random ones if there are none.
        loss, optimizer: names or configs; by default those the model was compiled with, else a
            cross-entropy for class outputs and the mean squared error for others, and "adam".
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
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(Peer())
        real = real or stack.enter_context(RealKeras(python, backend))
        known = ours.call(measure.describe, build, seed, samples)
        loss = loss or known["loss"] or usual_loss(known["outputs"])
        if data is None:
            data = known["data"]
        if data is None:
            if known["inputs"] is None or known["outputs"] is None:
                raise ValueError(
                    "compare: `data` must be given for a model that does not know the shapes of "
                    "its inputs and outputs. Received: data=None"
                )
            data = made_data(known["inputs"], known["outputs"], loss, samples, seed)
        task = _Task(build, *data, loss, optimizer or known["optimizer"] or "adam", seed)
        report = Report(title or _title(build), {**TOLERANCES, **(tolerances or {})})
        task.same_draws = real.backend == "tensorflow"
        weights = _compare_initial_weights(report, task, ours, real, weights_from)
        _compare_one_pass(report, task, ours, real, weights, batch_size)
        _compare_files(report, task, ours, real, weights, batch_size)
        if steps:
            _compare_training(report, task, ours, real, weights, steps, batch_size)
    return report


class _Task:
    def __init__(self, build, x, y, loss, optimizer, seed):
        self.build, self.loss, self.optimizer, self.seed = build, loss, optimizer, seed
        self.x, self.y = np.asarray(x), np.asarray(y)
        self.same_draws = True

    def batch(self, size):
        return self.x[:size], self.y[:size]


def _title(build):
    if callable(build):
        return build.__name__
    named = f"{os.path.basename(build['file'])}:{build.get('name', '')}".rstrip(":")
    return build.get("structure") or named


def _compare_initial_weights(report, task, ours, real, weights_from):
    arguments = (task.build, task.seed, task.x[:1])
    found = [side.call(measure.initial_weights, *arguments) for side in (ours, real)]
    shapes = [[w.shape for w in weights] for weights in found]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "compare: both sides must have weights of equal shapes. Received: kerasmirror "
            f"{shapes[0]}, keras {shapes[1]}"
        )
    for i, (actual, expected) in enumerate(zip(*found, strict=True) if task.same_draws else ()):
        report.add("initial weights", f"weight {i}", actual, expected)
    return found[1] if weights_from == "keras" else found[0]


def _compare_one_pass(report, task, ours, real, weights, batch_size):
    x, y = task.batch(batch_size)
    arguments = (task.build, task.seed, weights, x, y, task.loss)
    actual = ours.call(measure.forward_and_gradients, *arguments)
    expected = real.call(measure.forward_and_gradients, *arguments)
    exact = real.call(measure.forward_and_gradients, *arguments, "float64")
    for (name, kind, a), (_, _, e), (_, _, t) in _equally_many(
        actual["layers"], expected["layers"], exact["layers"]
    ):
        report.add("layer", name, a, e, t, kind)
    for name in ("outputs", "loss"):
        report.add(name, "model", actual[name], expected[name], exact[name])
    theirs, truth = dict(expected["flow"]), dict(exact["flow"])
    for name, a in actual["flow"]:
        if name in theirs:
            report.add("flow", name, a, theirs[name], truth.get(name))
    for (path, a), (_, e), (_, t) in _equally_many(
        actual["gradients"], expected["gradients"], exact["gradients"]
    ):
        report.add("gradient", path, a, e, t)


def _equally_many(*lists):
    if len({len(items) for items in lists}) != 1:
        raise ValueError(
            "compare: both sides must call equally many layers. Received: "
            f"{[[item[0] for item in items] for items in lists[:2]]}"
        )
    return zip(*lists, strict=True)


def _compare_files(report, task, ours, real, weights, batch_size):
    x, _ = task.batch(batch_size)
    with tempfile.TemporaryDirectory(prefix="kerasmirror-parity-") as folder:
        for writer, reader, name in (
            (ours, real, "written by kerasmirror, read by keras"),
            (real, ours, "written by keras, read by kerasmirror"),
        ):
            path = os.path.join(folder, f"{writer.package}.weights.h5")
            writer.call(measure.save, task.build, task.seed, weights, x, path)
            arguments = (task.build, task.seed, x, path)
            actual = reader.call(measure.outputs_of_file, *arguments)
            expected = writer.call(measure.outputs_of_file, *arguments)
            report.add("file", name, actual, expected)


def _compare_training(report, task, ours, real, weights, steps, batch_size):
    def curve(side, start):
        arguments = (task.build, task.seed, start, task.x, task.y, task.loss, task.optimizer)
        more = (steps, batch_size, task.same_draws)
        return side.call(measure.training_curve, *arguments, *more)

    actual, expected = curve(ours, weights), curve(real, weights)
    bounds = [report.tolerances["step"]] * len(expected["losses"])
    weight_bounds = [report.tolerances["final weights"]] * len(expected["weights"])
    accuracy_bound = report.tolerances["accuracy"]
    if any(map(_beyond, actual["losses"], expected["losses"], bounds)) or any(
        map(_beyond, actual["weights"], expected["weights"], weight_bounds)
    ):
        other = curve(real, [_one_rounding_away(w, task.seed) for w in weights])
        bounds = _widened(bounds, expected["losses"], other["losses"], running=True)
        weight_bounds = _widened(weight_bounds, expected["weights"], other["weights"])
        # A sample is right or wrong: what leaves the losses leaves some of them.
        accuracy_bound = max(accuracy_bound, bounds[-1])
        report.sensitivity = [
            relative_error(o, e) for o, e in zip(other["losses"], expected["losses"], strict=True)
        ]
    for i, (a, e, bound) in enumerate(
        zip(actual["losses"], expected["losses"], bounds, strict=True)
    ):
        report.add("step", f"{i + 1}", a, e, allowed=bound)
    for i, (a, e, bound) in enumerate(
        zip(actual["weights"], expected["weights"], weight_bounds, strict=True)
    ):
        report.add("final weights", f"weight {i}", a, e, allowed=bound)
    if actual["accuracy"] is not None and expected["accuracy"] is not None:
        found = actual["accuracy"], expected["accuracy"]
        report.add("accuracy", "after training", *found, allowed=accuracy_bound)
    names = ("first_step_seconds", "step_seconds", "peak_memory")
    report.costs = {n: {"kerasmirror": actual[n], "keras": expected[n]} for n in names}


def _beyond(actual, expected, bound):
    return not relative_error(actual, expected) <= bound


def _one_rounding_away(weight, seed):
    """Each element moved to the next or the previous float."""
    if weight.dtype.kind != "f":
        return weight
    up = np.random.default_rng(seed).random(weight.shape) < 0.5
    return np.nextafter(weight, np.where(up, np.inf, -np.inf).astype(weight.dtype))


def _widened(bounds, expected, other, running=False):
    """The bounds, or _OWN times what Keras departs from itself, so far if `running`."""
    departures = [relative_error(o, e) for o, e in zip(other, expected, strict=True)]
    if running:
        # A curve that has left the other may cross it again; and when it leaves is chance.
        departures = np.maximum.accumulate(departures)
        later = np.minimum(np.arange(len(departures)) + _SOONER, len(departures) - 1)
        departures = departures[later]
    return [max(b, _OWN * float(d)) for b, d in zip(bounds, departures, strict=True)]


def assert_parity(build, data=None, **options):
    """`compare`, and an AssertionError with the table if the two sides differ; gives the report.

    Takes what `compare` takes.
    """
    return compare(build, data, **options).check()


assert_parity.__signature__ = inspect.signature(compare)
