"""One network in one package, in a process of its own; prints one JSON line.

python scripts/timing_child.py '{"package": "keras", "structure": ..., "shape": ..., ...}'

It stops after the "first epoch", the "training", or at the "end", as `until` says.
The package is kerasmirror or keras (then KERAS_BACKEND decides). scripts/processes.py runs this
file and those of the peers that have words of their own (timing_torch.py, timing_onnxruntime.py),
which share the data, the clock and the warm-up with it.
"""

import importlib
import json
import os
import statistics
import sys
import time

ONE_ROW_CALLS = 20
BATCH_CALLS = 10
SQUARE = 7  # pixels


def peak_megabytes():
    """The largest resident memory of this process so far; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def timed(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def warm_median(call, times):
    """The median seconds of `times` calls after one that is not counted."""
    call()
    return statistics.median(timed(call)[0] for _ in range(times))


def data_of(spec):
    """(images, labels) of an epoch: the same in every process of a seed.

    Each class is a pattern of large squares under noise: the loss falls where gradients are right.
    """
    import numpy as np

    rng = np.random.default_rng(spec["seed"])
    samples = spec["steps"] * spec["batch"]
    y = rng.integers(0, spec["classes"], samples).astype("int32")
    height, width, channels = spec["shape"]
    coarse = (spec["classes"], -(-height // SQUARE), -(-width // SQUARE), channels)
    patterns = rng.random(coarse, dtype=np.float32).repeat(SQUARE, 1).repeat(SQUARE, 2)
    x = rng.random((samples, *spec["shape"]), dtype=np.float32)
    x += patterns[y, :height, :width]
    x -= 1
    return x, y


def cross_entropy(probabilities, labels):
    """The mean of -log p[label], in float64."""
    import numpy as np

    chosen = np.asarray(probabilities, np.float64)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-30)).mean())


def training_numbers(epoch, spec):
    """Seconds of a step after the first epoch, and the loss of each of these epochs."""
    epochs = [timed(epoch) for _ in range(spec["epochs"])]
    seconds = statistics.median(seconds for seconds, _ in epochs) / spec["steps"]
    return {"train": seconds}, [float(loss) for _, loss in epochs]


def calling_numbers(name, call, x, batch):
    """Seconds of a call on a batch and on one row."""
    one, many = x[:1], x[:batch]
    return {
        name: warm_median(lambda: call(many), BATCH_CALLS),
        f"{name}_one": warm_median(lambda: call(one), ONE_ROW_CALLS),
    }


def prepared(keras, spec, paper):
    """A compiled model of the structure, from one seed."""
    keras.utils.set_random_seed(spec["seed"])
    model = paper.build(keras, spec["structure"], tuple(spec["shape"]))
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def predicting_numbers(keras, model, x, spec):
    """Seconds of predict, of predict_on_batch and of calling the model."""
    batch = spec["batch"]
    whole = warm_median(lambda: model.predict(x, batch_size=batch, verbose=0), spec["epochs"])
    return {
        "predict": whole / spec["steps"],
        "predict_one": warm_median(lambda: model.predict(x[:1], verbose=0), ONE_ROW_CALLS),
        **calling_numbers("on_batch", model.predict_on_batch, x, batch),
        # The copy to NumPy waits for backends that compute in the background.
        **calling_numbers("call", lambda v: keras.ops.convert_to_numpy(model(v)), x, batch),
    }


def measure(spec):
    """All numbers of one process; times in seconds."""
    import_time, keras = timed(lambda: importlib.import_module(spec["package"]))
    import networks

    x, y = data_of(spec)
    weights = networks.initial_weights(spec["structure"], spec["shape"], spec["seed"])
    build_time, model = timed(lambda: prepared(keras, spec, networks.paper))
    model.set_weights(weights)

    def epoch():
        history = model.fit(x, y, batch_size=spec["batch"], epochs=1, verbose=0)
        return float(history.history["loss"][0])

    first_time, first_loss = timed(epoch)
    found = {
        "import": import_time,
        "first_epoch": import_time + build_time + first_time,
        "parameters": int(model.count_params()),
        "losses": [first_loss],
    }
    if spec["until"] != "first epoch":
        numbers, losses = training_numbers(epoch, spec)
        found["losses"] += losses
        found |= numbers
    if spec["until"] == "end":
        found |= predicting_numbers(keras, model, x, spec)
    found["memory"] = peak_megabytes()
    model.set_weights(weights)
    batch = spec["batch"]
    probabilities = model.predict(x[:batch], batch_size=batch, verbose=0)
    found["initial_loss"] = cross_entropy(probabilities, y[:batch])
    return found


def main(measure):
    spec = json.loads(sys.argv[1])
    if spec.get("cores"):
        # Every library takes its number of threads from the cores that the process may use.
        allowed = sorted(os.sched_getaffinity(0))[: spec["cores"]]
        os.sched_setaffinity(0, allowed)
    print(json.dumps(measure(spec)), flush=True)


if __name__ == "__main__":
    main(measure)
