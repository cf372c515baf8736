"""`config.conv_algorithm` and `config.conv_algorithm_for`."""

import importlib.util
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import kerasmirror as keras

NAMES = ("auto", "direct", "winograd", "gemm", "fft", "numpy", "opencv", "tiles")


@pytest.fixture(autouse=True)
def former(monkeypatch):
    monkeypatch.setenv("KERASMIRROR_CONV_ALGORITHM", "auto")
    keras.config.conv_algorithm("auto")
    yield
    keras.config.conv_algorithm("auto")


def in_a_process(program, **variables):
    """What a program prints as JSON."""
    environment = {k: v for k, v in os.environ.items() if k != "KERASMIRROR_CONV_ALGORITHM"}
    done = subprocess.run(
        [sys.executable, "-c", f"import json, os, sys, kerasmirror as keras\n{program}"],
        capture_output=True,
        text=True,
        env={**environment, **variables},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_set_read_and_restored():
    config = keras.config
    assert config.conv_algorithm() == "auto"
    config.conv_algorithm("fft")
    assert config.conv_algorithm() == "fft"
    with config.conv_algorithm("gemm"):
        assert config.conv_algorithm() == "gemm"
        with pytest.raises(KeyError), config.conv_algorithm("numpy"):
            assert config.conv_algorithm() == "numpy"
            raise KeyError
        assert config.conv_algorithm() == "gemm"
    assert config.conv_algorithm() == "fft"


def test_it_is_set_without_loading_the_kernels_and_reaches_them_and_children():
    program = (
        "keras.config.conv_algorithm('numpy')\n"
        "found = ['numba' in sys.modules, os.environ['KERASMIRROR_CONV_ALGORITHM']]\n"
        "keras.ops.conv(keras.ops.ones((1, 2, 2, 1)), keras.ops.ones((1, 2, 1, 1)))\n"
        "from kerasmirror.kernels.cpu import conv\n"
        "found.append(conv._algorithm)\n"
        "keras.config.conv_algorithm('gemm')\n"
        "found.append(conv._algorithm)\n"
        "print(json.dumps(found))"
    )
    assert in_a_process(program) == [False, "numpy", "numpy", "gemm"]


def test_the_variable_sets_it_from_outside():
    program = "print(json.dumps(keras.config.conv_algorithm()))"
    assert in_a_process(program) == "auto"
    assert in_a_process(program, KERASMIRROR_CONV_ALGORITHM="fft") == "fft"


def test_a_bad_variable_is_named():
    program = (
        "found = []\n"
        "for run in (keras.config.conv_algorithm, lambda: keras.ops.ones(3) + 1):\n"
        "    try:\n        run()\n"
        "    except ValueError as error:\n        found.append(str(error))\n"
        "print(json.dumps(found))"
    )
    found = in_a_process(program, KERASMIRROR_CONV_ALGORITHM="fast")
    for text, owner in zip(found, ("keras.config.conv_algorithm", "conv2d"), strict=True):
        assert re.fullmatch(
            rf"{re.escape(owner)}: `KERASMIRROR_CONV_ALGORITHM` must be one of 'auto', .*\. "
            r"Received: KERASMIRROR_CONV_ALGORITHM='fast'",
            text,
        )


@pytest.mark.parametrize("name", ["Direct", "cudnn", "", 3, True, ["fft"]])
def test_other_names_are_errors(name):
    expected = (
        "keras.config.conv_algorithm: `algorithm` must be one of "
        f"{', '.join(map(repr, NAMES))}. Received: algorithm={name!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        keras.config.conv_algorithm(name)
    assert keras.config.conv_algorithm() == "auto"


def test_without_opencv_the_extra_is_named_when_it_is_set(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    expected = (
        'keras.config.conv_algorithm: `algorithm` "opencv" needs OpenCV, which '
        "`pip install kerasmirror[opencv]` installs."
    )
    with pytest.raises(ImportError, match=f"^{re.escape(expected)}$"):
        keras.config.conv_algorithm("opencv")
    assert keras.config.conv_algorithm() == "auto"


def test_the_choice_of_auto_is_told_whatever_is_set():
    told = keras.config.conv_algorithm_for((8, 16, 16, 64), (3, 3, 64, 64), padding="same")
    assert told == ("winograd", "winograd", "winograd")
    assert told._fields == ("forward", "grad_input", "grad_kernel")
    with keras.config.conv_algorithm("fft"):
        again = keras.config.conv_algorithm_for([8, 16, 16, 64], [3, 3, 64, 64], [1, 1], "same")
    assert again == told
    first = keras.config.conv_algorithm_for(
        (8, 64, 16, 16), (3, 3, 64, 64), data_format="channels_first"
    )
    assert first == keras.config.conv_algorithm_for((8, 16, 16, 64), (3, 3, 64, 64))
    wider = keras.config.conv_algorithm_for((8, 16, 16, 64), (3, 3, 64, 64), dtype="float64")
    assert "winograd" not in wider
    half = keras.config.conv_algorithm_for((8, 16, 16, 64), (3, 3, 64, 64), dtype="float16")
    assert half == first


def test_the_choice_for_one_axis_is_that_of_images_with_one_row():
    assert keras.config.conv_algorithm_for((8, 50, 32), (1, 32, 64)) == ("gemm",) * 3
    row = keras.config.conv_algorithm_for((8, 1, 50, 32), (1, 5, 32, 64), (1, 2), "same")
    assert keras.config.conv_algorithm_for((8, 50, 32), (5, 32, 64), 2, "same") == row


def test_the_choice_needs_sizes_and_a_convolution():
    expected = (
        "keras.config.conv_algorithm_for: `input_shape` must be a shape whose sizes are all known. "
        "Received: input_shape=(None, 8, 8, 3)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        keras.config.conv_algorithm_for((None, 8, 8, 3), (3, 3, 3, 4))
    with pytest.raises(ValueError, match="^keras.config.conv_algorithm_for: `strides` must be "):
        keras.config.conv_algorithm_for((1, 8, 8, 3), (3, 3, 3, 4), strides=0)


def losses_of(algorithm, dtype, **options):
    """A small network's losses over three steps of training with one algorithm."""
    layers = keras.layers
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            layers.Input((9, 8, 8), dtype=dtype),
            layers.Conv2D(16, 3, activation="relu", dtype=dtype, **options),
            layers.Flatten(dtype=dtype),
            layers.Dense(4, dtype=dtype),
        ]
    )
    model.compile(optimizer=keras.optimizers.SGD(0.005), loss="mse")
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(12, 9, 8, 8)).astype(dtype), rng.normal(size=(12, 4)).astype(dtype)
    with keras.config.conv_algorithm(algorithm):
        return [model.train_on_batch(x, y) for _ in range(4)]


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize(
    "options", [{"padding": "same"}, {"strides": 2}, {"dilation_rate": 2, "groups": 4}], ids=str
)
def test_a_layer_trains_alike_with_every_algorithm(options, dtype, tolerance):
    expected = losses_of("direct", dtype, **options)
    assert expected[-1] < expected[0]
    for name in NAMES[:-1]:  # tiles are for GPUs
        if name == "opencv" and importlib.util.find_spec("cv2") is None:
            continue
        if name == "winograd" and (dtype == "float64" or options != {"padding": "same"}):
            with pytest.raises(ValueError, match='"winograd" needs '):
                losses_of(name, dtype, **options)
            continue
        np.testing.assert_allclose(losses_of(name, dtype, **options), expected, rtol=tolerance)


def test_transposed_and_depthwise_convolutions_go_by_it_too():
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(2, 5, 6, 4)), rng.normal(size=(3, 3, 7, 4))
    depthwise = rng.normal(size=(3, 3, 4, 2))
    expected = None
    for name in ("direct", "gemm", "fft", "numpy"):
        with keras.config.conv_algorithm(name):
            found = [
                np.asarray(keras.ops.conv_transpose(x, w, 2, "same")),
                np.asarray(keras.ops.depthwise_conv(x, depthwise, 2, "same")),
            ]
        expected = expected or found
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
