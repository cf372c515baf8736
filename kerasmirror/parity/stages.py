"""The stages of a comparison: each measures both sides and adds rows to the report."""

from __future__ import annotations

import os
import tempfile

import numpy as np

from kerasmirror.parity.measure import building, one_pass, training, weight_files
from kerasmirror.parity.report import relative_error

# A curve may leave Keras's by this many times what Keras leaves itself by when its first weights
# are moved by one rounding each ...
_OWN = 4
# ... and this many steps earlier.
_SOONER = 5
# How often Keras is trained so, at most: when a rounding decides at a maximum or at relu is chance.
_DRAWS = 4


def compare_initial_weights(report, task, ours, real, weights_from):
    """Weights from one seed; gives those that both sides go on with."""
    first = task.batch(1)[0]
    arguments = (task.build, task.seed, first)
    found = [side.call(building.initial_weights, *arguments) for side in (ours, real)]
    shapes = [[w.shape for w in weights] for weights in found]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "compare: both sides must have weights of equal shapes. Received: kerasmirror "
            f"{shapes[0]}, keras {shapes[1]}"
        )
    for i, (actual, expected) in enumerate(zip(*found, strict=True) if task.same_draws else ()):
        report.add("initial weights", f"weight {i}", actual, expected)
    return found[1] if weights_from == "keras" else found[0]


def compare_one_pass(report, task, ours, real, weights, batch_size):
    """Outputs of layers and of the model, the loss, gradients."""
    data = task.batch(batch_size)
    arguments = (task.build, task.seed, weights, data, task.settings)
    actual = ours.call(one_pass.forward_and_gradients, *arguments)
    expected = real.call(one_pass.forward_and_gradients, *arguments)
    exact = real.call(one_pass.forward_and_gradients, *arguments, "float64")
    _compare_layers(report, actual, expected, exact)
    outputs = (side["outputs"] for side in (actual, expected, exact))
    for (name, a), (_, e), (_, t) in zip(*outputs, strict=True):
        report.add("outputs", name or "model", a, e, t)
    report.add("loss", "model", actual["loss"], expected["loss"], exact["loss"])
    _compare_gradients(report, actual, expected, exact)
    backward = [row for row in report.rows if row.stage in ("flow", "gradient")]
    if report.forward_is_good and not all(row.good for row in backward):
        if real.backend == "tensorflow":
            _judge_by_values(report, actual, real, arguments)


def _compare_layers(report, actual, expected, exact):
    theirs, truth = ({call[0]: call[2] for call in side["layers"]} for side in (expected, exact))
    called = [
        [name for name, _, _ in side["layers"] if name not in side["inner"]]
        for side in (actual, expected)
    ]
    if called[0] != called[1]:
        raise ValueError(
            "compare: both sides must call the same layers. Received: kerasmirror "
            f"{called[0]}, keras {called[1]}"
        )
    for name, kind, array in actual["layers"]:
        if name in theirs:  # a layer may do without the layers inside it: a cell of a loop
            report.add("layer", name, array, theirs[name], truth.get(name), kind)


def _gradients(side):
    """(stage, name, array) of all gradients; the names are told apart by their order."""
    for stage, key in (("flow", "flow"), ("gradient", "gradients")):
        seen = {}
        for name, array in side[key]:
            seen[name] = number = seen.get(name, 0) + 1
            yield stage, name if number == 1 else f"{name} ({number})", array


def _compare_gradients(report, actual, expected, exact):
    theirs, truth = ({g[:2]: g[2] for g in _gradients(side)} for side in (expected, exact))
    for stage, name, array in _gradients(actual):
        if (stage, name) in theirs:
            report.add(stage, name, array, theirs[stage, name], truth.get((stage, name)))


def _judge_by_values(report, actual, real, arguments):
    """Compare gradients once more, with Keras's at the outputs of layers that kerasmirror has.

    A maximum of two values a rounding apart, a relu of what is almost 0: there the two sides
    decide otherwise, and a gradient goes another way. At the same values it may not.
    """
    values = {name: array for name, _, array in actual["layers"]}
    given = real.call(one_pass.forward_and_gradients, *arguments, "float32", values)
    theirs = {gradient[:2]: gradient[2] for gradient in _gradients(given)}
    for stage, name, array in _gradients(actual):
        if (stage, name) in theirs:
            report.decide_as_ours(stage, name, array, theirs[stage, name])


def compare_files(report, task, ours, real, weights, batch_size):
    """A weights file of either side, read by the other."""
    x = task.batch(batch_size)[0]
    with tempfile.TemporaryDirectory(prefix="kerasmirror-parity-") as folder:
        for writer, reader, title in (
            (ours, real, "written by kerasmirror, read by keras"),
            (real, ours, "written by keras, read by kerasmirror"),
        ):
            path = os.path.join(folder, f"{writer.package}.weights.h5")
            writer.call(weight_files.save, task.build, task.seed, weights, x, path)
            arguments = (task.build, task.seed, x, path)
            actual = reader.call(weight_files.outputs_of_file, *arguments)
            expected = writer.call(weight_files.outputs_of_file, *arguments)
            for (name, a), (_, e) in zip(actual, expected, strict=True):
                report.add("file", f"{title}: {name}" if name else title, a, e)


def compare_training(report, task, ours, real, weights, steps, batch_size):
    """Losses of steps, weights and accuracy after them; time and memory."""

    def curve(side, start):
        arguments = (task.build, task.seed, start, task.data, task.settings)
        return side.call(training.training_curve, *arguments, steps, batch_size, task.same_draws)

    actual, expected = curve(ours, weights), curve(real, weights)
    if set(actual["losses"]) != set(expected["losses"]):
        raise ValueError(
            "compare: both sides must log losses of equal names. Received: kerasmirror "
            f"{sorted(actual['losses'])}, keras {sorted(expected['losses'])}"
        )
    bounds = _Bounds(report.tolerances, expected)
    reach = max((row.error for row in report.of("layer") if row.good), default=0)
    for draw in range(_DRAWS):
        if bounds.hold(actual):
            break
        moved = [_moved(w, task.seed + draw, 0 if draw < _DRAWS // 2 else reach) for w in weights]
        bounds.widen(curve(real, moved))
    report.sensitivity = bounds.departures.get("loss")
    report.draws = bounds.draws
    for name, losses in sorted(actual["losses"].items(), key=lambda item: item[0] != "loss"):
        for i, (a, e) in enumerate(zip(losses, expected["losses"][name], strict=True)):
            title = f"{i + 1}" if name == "loss" else f"{i + 1} {name}"
            report.add("step", title, a, e, allowed=bounds.losses[name][i])
    for i, (a, e) in enumerate(zip(actual["weights"], expected["weights"], strict=True)):
        report.add("final weights", f"weight {i}", a, e, allowed=bounds.weights[i])
    for (name, a), (_, e) in zip(actual["accuracy"], expected["accuracy"], strict=True):
        title = f"after training: {name}" if name else "after training"
        report.add("accuracy", title, a, e, allowed=bounds.accuracy)
    names = ("first_step_seconds", "step_seconds", "peak_memory")
    report.costs = {n: {"kerasmirror": actual[n], "keras": expected[n]} for n in names}


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


def _moved(weight, seed, reach):
    """Each element moved to the next or the previous float, or by up to `reach` of itself.

    The latter is for sums whose roundings are more than one: by as much as outputs of layers differ
    in the two packages, weights of Keras's may be moved too.
    """
    if weight.dtype.kind != "f":
        return weight
    rng = np.random.default_rng(seed)
    if reach > np.finfo(weight.dtype).eps:
        return (weight * (1 + rng.uniform(-reach, reach, weight.shape))).astype(weight.dtype)
    up = rng.random(weight.shape) < 0.5
    return np.nextafter(weight, np.where(up, np.inf, -np.inf).astype(weight.dtype))
