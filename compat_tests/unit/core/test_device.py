"""keras.device, KERASMIRROR_DEVICE, and the settings that say what engine this is."""

import os
import subprocess
import sys

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.core.device import current_device


@pytest.mark.parametrize("name", ["cpu", "cpu:0", "CPU:0", "/cpu:0", "/device:CPU:0"])
def test_the_cpu_is_a_device(name):
    with keras.device(name):
        x = keras.ops.ones((2,))
        assert x.device == current_device() == "cpu:0"
        with keras.device("cpu:0"):
            assert np.asarray(x + 1).tolist() == [2, 2]
    assert current_device() == "cpu:0"


GPU = (
    "{owner}: `{argument}` must be 'cpu:0'. kerasmirror computes on the CPU and has no kernels for "
    "other devices, whatever this machine has. Name 'cpu:0', or none; a script for both can choose "
    "by `keras.config.backend() == 'kerasmirror'`. Received: {argument}='{name}'"
)
OTHER = (
    "{owner}: `{argument}` must be 'cpu:0', the one device there is (its cores are threads, see "
    "`keras.config.set_threads`). Received: {argument}={name!r}"
)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("gpu:0", RuntimeError, GPU),
        ("GPU:1", RuntimeError, GPU),
        ("cuda", RuntimeError, GPU),
        ("cpu:1", ValueError, OTHER),
        ("abacus:0", ValueError, OTHER),
        ("", ValueError, OTHER),
        (3, ValueError, OTHER),
    ],
)
def test_another_device_is_refused(name, error, message):
    with pytest.raises(error) as raised:
        keras.device(name)
    expected = message.format(owner="keras.device", argument="device_name", name=name)
    assert str(raised.value) == expected


@pytest.mark.parametrize(("name", "good"), [("cpu:0", True), ("gpu:0", False), ("", True)])
def test_the_environment_names_the_device_of_the_process(name, good):
    run = subprocess.run(
        [sys.executable, "-c", "import kerasmirror"],
        env={**os.environ, "KERASMIRROR_DEVICE": name},
        capture_output=True,
        text=True,
    )
    assert (run.returncode == 0) is good
    expected = GPU.format(owner="kerasmirror", argument="KERASMIRROR_DEVICE", name=name)
    assert good or run.stderr.strip().endswith(f"RuntimeError: {expected}")


def test_the_engine_can_be_named_and_no_other_taken():
    keras.config.set_backend(keras.config.backend())
    with pytest.raises(ValueError) as raised:
        keras.config.set_backend("jax")
    assert str(raised.value) == (
        "keras.config.set_backend: `backend` must be 'kerasmirror': kerasmirror is its own engine "
        "and runs on no other. For TensorFlow, JAX or PyTorch, `import keras` (the package from "
        "PyPI) with the environment variable KERAS_BACKEND. Received: backend='jax'"
    )


def test_the_wish_for_flash_attention_is_remembered(monkeypatch):
    from kerasmirror.core import config

    monkeypatch.setattr(config, "_FLASH_ATTENTION", None)
    assert keras.config.is_flash_attention_enabled() is None
    keras.config.enable_flash_attention()
    assert keras.config.is_flash_attention_enabled() is True
    keras.config.disable_flash_attention()
    assert keras.config.is_flash_attention_enabled() is False
