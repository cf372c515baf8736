"""The stages of a comparison: each measures both sides and adds rows to the report."""

from __future__ import annotations

import os
import tempfile

from kerasmirror.parity.measure import building, one_pass, weight_files


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
    """Outputs of layers and of the model, the loss, gradients; gives what Keras found."""
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
    return expected


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
    decide otherwise, and a gradient goes another way. At the same values it may not: what is beyond
    its tolerance there too is a wrong backward pass. kerasmirror's is the one it has anyway, with
    whatever it fuses.
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
