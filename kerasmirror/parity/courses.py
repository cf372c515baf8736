"""Trainings compared: their courses, and how far roundings alone would take them apart.

Two right implementations round differently, and a training may magnify that: Adam divides small
gradients by their size, a maximum of values a rounding apart sends a gradient one way or another.
So where kerasmirror's course leaves Keras's, the question is whether it is one of those that Keras
takes when its layers have errors of kerasmirror's size. These are measured: each layer of
kerasmirror gets the inputs that Keras's has in the first pass, and its outputs and the gradients of
its weights differ from Keras's by some root mean square. With errors of that size in its layers,
normal, of different seeds, Keras is trained again, which gives a sample of right courses. Not what
is known of the training as a whole goes into this, nor what is beyond tolerance in one pass: a
defect of the training (an optimizer, dropout) moves kerasmirror's course and not the sample.
"""

from __future__ import annotations

import re

import numpy as np

from kerasmirror.parity.measure import one_pass, training
from kerasmirror.parity.report import relative_error

# How many such courses there are at most.
_DRAWS = 5
# With so few, one more leaves Keras's further than any of them once in six times: when a rounding
# first decides is chance, and from there on the distance grows by a factor in each step. So this
# many times as far is still one of them ...
_OWN = 4
# ... and this many steps earlier.
_SOONER = 5
# What is added to a layer's name for a further call, and for a part of its outputs.
_ADDED = re.compile(r"( \(call \d+\))?( \[[^]]*\])?$")


def compare_training(report, task, ours, real, weights, first, steps, batch_size):
    """Losses of steps, weights and accuracy after them; time and memory.

    `first` is what Keras's first pass gave, of measure.one_pass.
    """

    def curve(side, noise=None):
        arguments = (task.build, task.seed, weights, task.data, task.settings, steps, batch_size)
        return side.call(training.training_curve, *arguments, task.same_draws, noise)

    actual, expected = curve(ours), curve(real)
    if set(actual["losses"]) != set(expected["losses"]):
        raise ValueError(
            "compare: both sides must log losses of equal names. Received: kerasmirror "
            f"{sorted(actual['losses'])}, keras {sorted(expected['losses'])}"
        )
    bounds = _Bounds(report.tolerances, expected)
    if not bounds.hold(actual):
        report.roundings = _roundings(report, task, ours, weights, first, batch_size)
    for draw in range(_DRAWS):
        if bounds.hold(actual):
            break
        bounds.widen(curve(real, (report.roundings, _seed(task, draw))))
    report.sensitivity = bounds.departures.get("loss")
    report.draws = bounds.draws
    _add_rows(report, actual, expected, bounds)
    names = ("first_step_seconds", "step_seconds", "peak_memory")
    report.costs = {n: {"kerasmirror": actual[n], "keras": expected[n]} for n in names}


def _seed(task, draw):
    """Seeds far enough apart for the layers of a model."""
    return (_DRAWS * task.seed + draw) % 1024 * 1024


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
    """{layer: (error of its outputs, error of its weights' gradients)} at Keras's values.

    Each is a root mean square of those elements that are not 0 on both sides, in shares of the
    largest. What is beyond its tolerance is no rounding, and counts as 0.
    """
    values = {name: array for name, _, array in first["layers"]}
    data = task.batch(batch_size)
    arguments = (task.build, task.seed, weights, data, task.settings, "float32", values)
    found = ours.call(one_pass.forward_and_gradients, *arguments)
    sizes = {}

    def keep(name, place, actual, expected, allowed):
        if relative_error(actual, expected) <= allowed:
            forth_and_back = sizes.setdefault(name, [0.0, 0.0])
            forth_and_back[place] = max(forth_and_back[place], _share_of_largest(actual, expected))

    for name, array in found["own"]:
        if name in values:
            layer = _ADDED.sub("", name)
            keep(layer, 0, array, values[name], report.tolerances["layer"])
    for (path, array), (_, theirs) in zip(found["gradients"], first["gradients"], strict=True):
        layer = path.rpartition("/")[0].rpartition("/")[2]
        keep(layer, 1, array, theirs, report.tolerances["gradient"])
    return {name: tuple(size) for name, size in sizes.items() if any(size)}


def _share_of_largest(actual, expected):
    """The root mean square of the difference where either is not 0, of the largest expected."""
    counts = (actual != 0) | (expected != 0)
    if not counts.any():
        return 0.0
    difference = actual[counts].astype("float64") - expected[counts]
    return float(np.sqrt(np.mean(difference**2)) / (np.max(np.abs(expected)) or 1.0))


class _Bounds:
    """How far a training may be from Keras's, widened by how far Keras's own trainings are apart.

    `departures` has, by the names of losses, the largest departure of each step among the draws.
    """

    def __init__(self, tolerances, expected):
        self._tolerances, self._expected = tolerances, expected
        self.losses = {
            name: [tolerances["step"]] * len(losses) for name, losses in expected["losses"].items()
        }
        self.weights = [tolerances["final weights"]] * len(expected["weights"])
        self.accuracy, self.departures, self.draws = tolerances["accuracy"], {}, 0

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
        self.draws += 1
        for name, expected in self._expected["losses"].items():
            found = _departures(other["losses"][name], expected)
            largest = np.maximum(found, self.departures.get(name, 0.0))
            self.departures[name] = [float(departure) for departure in largest]
            # A curve that has left the other may cross it again; and when it leaves is chance.
            largest = np.maximum.accumulate(largest)
            later = np.minimum(np.arange(len(largest)) + _SOONER, len(largest) - 1)
            self.losses[name] = _widened(self.losses[name], largest[later])
        found = _departures(other["weights"], self._expected["weights"])
        self.weights = _widened(self.weights, found)
        # A sample is right or wrong: what leaves the losses leaves some of them.
        self.accuracy = max(self.accuracy, *(bounds[-1] for bounds in self.losses.values()))
        accuracies = ([share for _, share in side["accuracy"]] for side in (other, self._expected))
        self.accuracy = max(
            _widened([self.accuracy] * len(self._expected["accuracy"]), _departures(*accuracies)),
            default=self.accuracy,
        )


def _departures(other, expected):
    return np.array([relative_error(o, e) for o, e in zip(other, expected, strict=True)])


def _widened(bounds, departures):
    return [max(b, _OWN * float(d)) for b, d in zip(bounds, departures, strict=True)]
