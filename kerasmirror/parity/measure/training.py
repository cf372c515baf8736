"""Training: the losses of its steps, the weights and accuracy after it, its time and memory."""

import contextlib
import pathlib
import sys
import time

import numpy as np

from .building import compiled, ready
from .nests import map_nest, named
from .noise import noisy
from .recording import all_layers


def training_curve(
    keras, target, seed, weights, data, settings, steps, batch_size, drawn=True, noise=None
):
    """`fit`, shuffled, dropout on: the losses of each step, final weights and accuracy, seconds.

    Not `drawn`: in the order of the data and with dropout off, for sides that draw other numbers.
    With `noise`, the last arguments of noise.noisy, outputs and gradients have errors.

    Gives a dict; `losses` has a list for each loss that `fit` logs ("loss" is their sum);
    `step_seconds` is the median of the steps after the first; `accuracy`, a list of (output's
    name, share on the training data), has what outputs are classes.
    """
    x, y, sample_weights = data
    model = ready(keras, target, seed, map_nest(lambda part: part[:1], x), weights)
    compiled(keras, model, settings)
    losses, moments = {}, []
    for layer in [] if drawn else all_layers(model):
        if hasattr(layer, "rate"):
            layer.rate = 0.0

    class Recorder(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            for name, value in _losses(logs or {}).items():
                losses.setdefault(name, []).append(float(value))
            moments.append(time.perf_counter())
            self.model.reset_metrics()  # so that the next value is that of one step
            if len(moments) == steps:
                self.model.stop_training = True

    epochs = -(-steps * batch_size // len(named(x)[0][1]))
    keras.utils.set_random_seed(seed)
    begun = time.perf_counter()
    options = {"batch_size": batch_size, "epochs": epochs, "shuffle": drawn, "verbose": 0}
    with noisy(keras, model, *noise) if noise else contextlib.nullcontext():
        model.fit(x, y, sample_weight=sample_weights, callbacks=[Recorder()], **options)
    between = np.diff(moments)
    return {
        "losses": {name: values[:steps] for name, values in losses.items()},
        "weights": model.get_weights(),
        "accuracy": _accuracy(model, x, y),
        "first_step_seconds": moments[0] - begun,
        "step_seconds": float(np.median(between)) if len(between) else None,
        "peak_memory": peak_memory(),
    }


def _losses(logs):
    """The losses in the logs of a step; all of them where a model's own step names none so."""
    found = {name: value for name, value in logs.items() if name.split("_")[-1] == "loss"}
    if not found and not logs:
        raise ValueError("parity: the model's training step must give logs. Received: none")
    return found or logs


def _accuracy(model, x, y):
    outputs, targets = named(model.predict(x, verbose=0)), dict(named(y))
    names = getattr(model, "output_names", None) or []
    found = []
    for i, (name, output) in enumerate(outputs):
        target = targets.get(name)
        if target is None and len(names) == len(outputs):
            target = targets.get(names[i])  # a dict by the names of a list of outputs
        share = None if target is None else _share(output, target)
        if share is not None:
            found.append((name, share))
    return found


def _share(outputs, y):
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        return None
    if y.shape == outputs.shape and np.all((y == 0) | (y == 1)) and np.all(y.sum(1) == 1):
        y = y.argmax(1)
    if y.dtype.kind not in "iu" or y.size != len(outputs):
        return None
    return float(np.mean(outputs.argmax(1) == y.reshape(-1)))


def peak_memory():
    """The largest resident memory of this process in bytes; None where the system does not say."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        # Linux counts what the parent had when it started this process in ru_maxrss.
        lines = status.read_text().splitlines()
        return next((int(li.split()[1]) * 1024 for li in lines if li.startswith("VmHWM:")), None)
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
