"""What only a GPU can show: trainings at their size, other packages' memory, two processes."""

import subprocess
import sys
import time

import numpy as np
import pytest

import kerasmirror as keras

pytestmark = pytest.mark.cuda

CODE = """
import sys, time
import numpy as np
import kerasmirror as keras

keras.utils.set_random_seed(1)
rng = np.random.default_rng(0)
x, y = rng.random((512, 28, 28, 1), dtype="float32"), rng.integers(0, 10, 512)
layers = keras.layers
model = keras.Sequential([
    layers.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
    layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
    layers.Dropout(0.5), layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
print(model.fit(x, y, batch_size=64, epochs=2, verbose=0).history["loss"])
"""


def losses_of(device):
    run = subprocess.run(
        [sys.executable, "-c", f"import kerasmirror as k; k.config.set_device('{device}')\n{CODE}"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return [float(loss) for loss in run.stdout.strip("[]\n ").split(",")]


def test_a_network_of_mnists_size_trains_as_on_the_cpu():
    np.testing.assert_allclose(losses_of("gpu:0"), losses_of("cpu:0"), rtol=1e-4)


def test_two_processes_share_a_card():
    code = f"import kerasmirror as k; k.config.set_device('gpu:0')\n{CODE}"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    first, second = (process.communicate()[0] for process in both)
    assert first == second and all(process.returncode == 0 for process in both)


@pytest.mark.parametrize("package", ["cupy", "torch"])
def test_other_packages_share_memory_both_ways(package):
    other = pytest.importorskip(package)
    with keras.device("gpu:0"):
        ours = keras.ops.convert_to_tensor(np.arange(6, dtype="float32"))
        theirs = other.from_dlpack(ours) if package == "torch" else other.asarray(ours)
        assert float(theirs.sum()) == 15
        back = keras.ops.convert_to_tensor(theirs * 2)
        assert keras.ops.convert_to_numpy(back).tolist() == [0, 2, 4, 6, 8, 10]


def test_a_training_step_is_launched_as_one_graph_faster_than_eagerly(record_property):
    """Both times are recorded, none is asserted."""
    rng = np.random.default_rng(0)
    x, y = rng.random((2048, 32, 32, 3), dtype="float32"), rng.integers(0, 10, 2048)
    layers = keras.layers
    with keras.device("gpu:0"):
        for eagerly in (True, False):
            model = keras.Sequential(
                [
                    layers.Input((32, 32, 3)),
                    layers.Conv2D(64, 3, activation="relu"),
                    layers.MaxPooling2D(),
                    layers.Flatten(),
                    layers.Dense(10, activation="softmax"),
                ]
            )
            model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=eagerly)
            model.fit(x, y, batch_size=128, epochs=1, verbose=0)
            start = time.perf_counter()
            losses = model.fit(x, y, batch_size=128, epochs=2, verbose=0).history["loss"]
            name = "eager" if eagerly else "graph"
            record_property(f"{name} milliseconds", 1e3 * (time.perf_counter() - start) / 32)
            assert np.isfinite(losses).all()
