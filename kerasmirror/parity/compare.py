"""compare_model: one architecture built, run and trained in both packages."""

from __future__ import annotations

import contextlib

from kerasmirror.parity import measure
from kerasmirror.parity.peer import RealKeras
from kerasmirror.parity.report import Report

# Relative errors: uniform initializers are exact, normal ones differ in the last bits of log, sin
# and cos; a layer's forward and gradient are float32 sums in another order.
TOLERANCES = {"initial": 2e-6, "outputs": 1e-5, "loss": 1e-5, "gradient": 1e-5, "step": 1e-4}


def compare_model(
    build,
    x,
    y,
    loss,
    optimizer="adam",
    steps=0,
    batch_size=32,
    seed=1,
    weights=None,
    tolerances=None,
    real=None,
    title=None,
):
    """A Report of how far kerasmirror is from real Keras on the model that `build(keras)` makes.

    Compares the initial weights from one seed; from the same weights the outputs, the loss and
    every weight's gradient on (x, y); and, with `steps`, the loss of every step of a shuffled `fit`
    with dropout on, from one seed. `build` is a module-level function. `real` is a RealKeras to
    use; without one, a process is started for this call.
    """
    import kerasmirror

    allowed = {**TOLERANCES, **(tolerances or {})}
    report = Report(title or f"{build.__name__}: kerasmirror against Keras on TensorFlow")
    with contextlib.ExitStack() as stack:
        real = real or stack.enter_context(RealKeras())

        def both(function, *arguments):
            return function(kerasmirror, *arguments), real.call(function, *arguments)

        ours, theirs = both(measure.initial_weights, build, seed)
        if weights is None:
            for i, (actual, expected) in enumerate(zip(ours, theirs, strict=True)):
                report.add(f"initial weight {i}", actual, expected, allowed["initial"])
            weights = theirs
        ours, theirs = both(measure.forward_and_gradients, build, seed, weights, x, y, loss)
        report.add("outputs", ours["outputs"], theirs["outputs"], allowed["outputs"])
        report.add("loss", ours["loss"], theirs["loss"], allowed["loss"])
        for name, actual, expected in zip(
            theirs["names"], ours["gradients"], theirs["gradients"], strict=True
        ):
            report.add(f"gradient of {name}", actual, expected, allowed["gradient"])
        if steps:
            arguments = (build, seed, weights, x, y, loss, optimizer, steps, batch_size)
            ours, theirs = both(measure.training_curve, *arguments)
            pairs = zip(ours["losses"], theirs["losses"], strict=True)
            for i, (actual, expected) in enumerate(pairs):
                report.add(f"step {i + 1}", actual, expected, allowed["step"])
    return report
