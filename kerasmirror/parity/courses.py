"""Trainings compared: their courses, and how far roundings alone would take them apart.

Two right implementations round differently, and a training may magnify that: Adam divides small
gradients by their size, a maximum of values a rounding apart sends a gradient one way or another.
So where kerasmirror's course leaves Keras's, the question is whether it is one of those that Keras
takes when its layers have errors of kerasmirror's size. These are measured: each layer of
kerasmirror gets the inputs that Keras's has in the first pass, and its outputs and the gradients of
its weights differ from Keras's by some root mean square. With errors of that size in its layers,
normal, of different seeds, Keras is trained again, which gives a sample of right courses. Nothing
of kerasmirror's training goes into it, and nothing that is beyond tolerance in one pass: so a
defect of the training (an optimizer, dropout) takes kerasmirror's course away from the sample.
"""

from __future__ import annotations

import re

import numpy as np

from kerasmirror.parity.measure import noise, one_pass, training
from kerasmirror.parity.report import relative_error

# The sizes of errors in such courses, in those that were measured; as many courses as are needed.
# Errors of sums have longer tails than normal ones: the largest are 4 to 20 root mean squares, of
# normal ones 4 to 5. So where the first courses do not suffice, the others have errors of which the
# largest are like kerasmirror's: one may have opened a relu. Each second course has the errors of
# the one before with the other sign, so that what one keeps shut the other opens.
_SIZES = (1, -1, 2, -2, 4, -4)
# How many seeds a comparison's own seed stands for.
_SEEDS = 5
# One more course is farther than the farthest of six once in seven times. From where a rounding
# first decides, which is chance, a distance grows by some factor in each step, so distances spread
# by factors: one more may be as many times as far as the farthest as that is of the nearest. Not
# less than by the first factor, which is what few draws do not show, and not more than by the
# second ...
_BEYOND = 4, 10
# ... and this many steps earlier.
_SOONER = 5
# What is added to a layer's name for a further call, and for a part of its outputs.
_ADDED = re.compile(r"( \(call \d+\))?( \[[^]]*\])?$")


def compare_training(report, task, ours, real, weights, first, steps, batch_size):
    """Losses of steps, weights and accuracy after them; time and memory.

    `first` is what Keras's first pass gave, of measure.one_pass.
    """

    def curve(side, errors=None):
        arguments = (task.build, task.seed, weights, task.data, task.settings, steps, batch_size)
        return side.call(training.training_curve, *arguments, task.same_draws, errors)

    actual, expected = curve(ours), curve(real)
    if set(actual["losses"]) != set(expected["losses"]):
        raise ValueError(
            "compare: both sides must log losses of equal names. Received: kerasmirror "
            f"{sorted(actual['losses'])}, keras {sorted(expected['losses'])}"
        )
    bounds = _Bounds(report.tolerances, expected)
    if not bounds.hold(actual):
        report.roundings = _roundings(report, task, ours, weights, first, batch_size)
    for draw, size in enumerate(_SIZES):
        if bounds.hold(actual):
            break
        sizes = [
            {name: size * error for name, error in report.roundings[kind].items()}
            for kind in ("outputs", "gradients")
        ]
        bounds.widen(curve(real, (*sizes, _seed(task, draw))))
        report.times = abs(size)
    report.sensitivity = bounds.departures.get("loss")
    report.draws = bounds.draws
    _add_rows(report, actual, expected, bounds)
    names = ("first_step_seconds", "step_seconds", "peak_memory")
    report.costs = {n: {"kerasmirror": actual[n], "keras": expected[n]} for n in names}


def _seed(task, draw):
    """Seeds far enough apart for the layers of a model."""
    return (_SEEDS * task.seed + draw // 2) % 1024 * 1024


def _add_rows(report, actual, expected, bounds):
    for name, losses in sorted(actual["losses"].items(), key=lambda item: item[0] != "loss"):
        for i, (a, e) in enumerate(zip(losses, expected["losses"][name], strict=True)):
            title = f"{i + 1}" if name == "loss" else f"{i + 1} {name}"
            report.add("step", title, a, e, allowed=bounds.losses[name][i])
    for i, (a, e) in enumerate(zip(actual["weights"], expected["weights"], strict=True)):
        report.add("final weights", f"weight {i}", a, e, allowed=bounds.weights[i])
    for (name, a), (_, e) in zip(actual["accuracy"], expected["accuracy"], strict=True):
        title = f"after training: {name}" if name else "after training"
        report.add("accuracy", title, a, e, allowed=bounds.accuracy)


def _roundings(report, task, ours, weights, first, batch_size):
    """Sizes of kerasmirror's errors at Keras's outputs of layers, for measure.noise.noisy.

    {"outputs": {layer: size}, "gradients": {weight: size}}: root mean squares of those elements
    that are not 0 on both sides, in shares of the largest output, of a gradient's `scale`. What is
    beyond its tolerance is no rounding, and not in there.
    """
    values = {name: array for name, _, array in first["layers"]}
    data = task.batch(batch_size)
    arguments = (task.build, task.seed, weights, data, task.settings, "float32", values)
    found = ours.call(one_pass.forward_and_gradients, *arguments)
    outputs, gradients = {}, {}
    for name, array in found["own"]:
        if relative_error(array, values.get(name, ())) <= report.tolerances["layer"]:
            layer, expected = _ADDED.sub("", name), values[name]
            size = _root_mean_square(array, expected, np.max(np.abs(expected), initial=0))
            outputs[layer] = max(outputs.get(layer, 0.0), size)
    for (path, array), (_, expected) in zip(found["gradients"], first["gradients"], strict=True):
        if relative_error(array, expected) <= report.tolerances["gradient"]:
            scale = noise.scale(np, expected.astype("float64"))
            gradients[path] = _root_mean_square(array, expected, scale)
    return {"outputs": outputs, "gradients": gradients}


def _root_mean_square(actual, expected, scale):
    """Of the difference where either is not 0, in shares of `scale`."""
    difference = actual.astype("float64") - expected
    counts = ((actual != 0) | (expected != 0)) & (scale > 0)
    shares = np.divide(difference, scale, where=counts, out=np.zeros_like(difference))
    return float(np.sqrt(np.sum(shares**2) / max(np.sum(counts), 1)))


class _Bounds:
    """How far a training may be from Keras's, widened by how far Keras's own trainings are apart.

    `departures` has, by the names of losses, the largest departure of each step among the draws.
    """

    def __init__(self, tolerances, expected):
        self._tolerances, self._expected, self._others = tolerances, expected, []
        self.losses = {
            name: [tolerances["step"]] * len(losses) for name, losses in expected["losses"].items()
        }
        self.weights = [tolerances["final weights"]] * len(expected["weights"])
        self.accuracy, self.departures = tolerances["accuracy"], {}

    @property
    def draws(self):
        return len(self._others)

    def hold(self, actual):
        """Whether a training is within the bounds."""
        pairs = [
            (*three,)
            for name, losses in actual["losses"].items()
            for three in zip(losses, self._expected["losses"][name], self.losses[name], strict=True)
        ]
        pairs += zip(actual["weights"], self._expected["weights"], self.weights, strict=True)
        for (_, a), (_, e) in zip(actual["accuracy"], self._expected["accuracy"], strict=True):
            pairs.append((a, e, self.accuracy))
        return all(relative_error(a, e) <= bound for a, e, bound in pairs)

    def widen(self, other):
        """Widen them by another training of Keras's."""
        self._others.append(other)
        for name, expected in self._expected["losses"].items():
            found = self._departures(lambda side, name=name: side["losses"][name], expected)
            self.departures[name] = [float(departure) for departure in found.max(axis=0)]
            # A curve that has left the other may cross it again.
            found = np.maximum.accumulate(found, axis=1)
            later = np.minimum(np.arange(len(expected)) + _SOONER, len(expected) - 1)
            self.losses[name] = _widened(self._tolerances["step"], found[:, later])
        found = self._departures(lambda side: side["weights"], self._expected["weights"])
        self.weights = _widened(self._tolerances["final weights"], found, together=True)
        shares = [share for _, share in self._expected["accuracy"]]
        found = self._departures(lambda side: [share for _, share in side["accuracy"]], shares)
        # A sample is right or wrong: what leaves the losses leaves some of them.
        last = max(bounds[-1] for bounds in self.losses.values())
        least = self._tolerances["accuracy"]
        self.accuracy = max([least, last, *_widened(least, found)])

    def _departures(self, of, expected):
        """Of each draw (a row) from each of what is expected."""
        rows = [
            [relative_error(o, e) for o, e in zip(of(other), expected, strict=True)]
            for other in self._others
        ]
        return np.array(rows, "float64").reshape(len(rows), len(expected))


def _widened(tolerance, departures, together=False):
    """A bound for each column of departures, of which each row is a draw's.

    `together`: columns are parts of one state, in any of which a course may be far; so what draws
    spread by in one of them counts for all.
    """
    far, near = departures.max(axis=0), departures.min(axis=0)
    times = np.full(len(far), float(_BEYOND[1]))
    np.divide(far, near, out=times, where=(near > 0) & np.isfinite(far))
    if together and times.size:
        times[:] = times.max()
    return [max(tolerance, float(bound)) for bound in far * np.clip(times, *_BEYOND)]
