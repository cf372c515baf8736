"""One network in one package, in a process of its own; prints one JSON line.

python scripts/timing_child.py PACKAGE '{"structure": ..., "shape": ..., ...}'

PACKAGE is kerasmirror or keras (then KERAS_BACKEND decides). scripts/bench_vs_tensorflow.py runs
this file; it says what the numbers mean.
"""

import importlib
import json
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "compat_tests"))

ONE_ROW_CALLS = 20


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


def median_time(call, times):
    return statistics.median(timed(call)[0] for _ in range(times))


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


def measure(package, spec):
    """All numbers of one process; times in seconds."""
    import_time, keras = timed(lambda: importlib.import_module(package))
    import numpy as np
    from cases import paper

    after_import = peak_megabytes()
    rng = np.random.default_rng(spec["seed"])
    samples, batch = spec["steps"] * spec["batch"], spec["batch"]
    x = rng.random((samples, *spec["shape"]), dtype=np.float32)
    y = rng.integers(0, spec["classes"], samples).astype("int32")
    build_time, model = timed(lambda: prepared(keras, spec, paper))

    def epoch():
        return model.fit(x, y, batch_size=batch, epochs=1, verbose=0).history["loss"][0]

    first_time, first_loss = timed(epoch)
    found = {
        "import": import_time,
        "first_epoch": import_time + build_time + first_time,
        "parameters": int(model.count_params()),
        "losses": [float(first_loss)],
        "memory_after_import": after_import,
    }
    if not spec["start_only"]:
        epochs = [timed(epoch) for _ in range(spec["epochs"])]
        found["losses"] += [float(loss) for _, loss in epochs]
        found["train"] = statistics.median(seconds for seconds, _ in epochs) / spec["steps"]
        call = lambda: model.predict(x, batch_size=batch, verbose=0)  # noqa: E731
        call()
        found["predict"] = median_time(call, spec["epochs"]) / spec["steps"]
        call = lambda: model.predict(x[:1], verbose=0)  # noqa: E731
        call()
        found["predict_one"] = median_time(call, ONE_ROW_CALLS)
    found["memory"] = peak_megabytes()
    return found


def main():
    package, spec = sys.argv[1], json.loads(sys.argv[2])
    if spec.get("cores"):
        # Every library takes its number of threads from the cores that the process may use.
        allowed = sorted(os.sched_getaffinity(0))[: spec["cores"]]
        os.sched_setaffinity(0, allowed)
    print(json.dumps(measure(package, spec)), flush=True)


if __name__ == "__main__":
    main()
