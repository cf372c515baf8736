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


OTHER = (
    "{owner}: `{argument}` must be 'cpu:0' (one device: its cores are threads, see "
    "`keras.config.set_threads`) or a GPU such as 'gpu:0'. Received: {argument}={name!r}"
)
FOREIGN = (
    "{owner}: `{argument}` must be 'cpu:0' or an NVIDIA GPU ('gpu:0'). There are no kernels for "
    "other devices. Received: {argument}={name!r}"
)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("tpu:0", RuntimeError, FOREIGN),
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
    with pytest.raises(error) as raised:
        keras.config.set_device(name)
    owner = "kerasmirror.config.set_device"
    assert str(raised.value) == message.format(owner=owner, argument="device_name", name=name)


NO_GPU = (
    "Install an NVIDIA driver of release 580 or later and `pip install 'kerasmirror[cuda]'`, or "
    "compute on the CPU: unset KERASMIRROR_DEVICE and name no GPU."
)


def _run(code, **variables):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "CUDA_VISIBLE_DEVICES": "",
            "KERASMIRROR_CUDA_EMULATOR": "",
            **variables,
        },
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(("name", "good"), [("cpu:0", True), ("gpu:0", False), ("", True)])
def test_the_environment_names_the_device_of_the_process(name, good):
    run = _run("import kerasmirror", KERASMIRROR_DEVICE=name)
    assert (run.returncode == 0) is good
    last = run.stderr.strip().rpartition("\n")[2]
    assert good or last.startswith("RuntimeError: kerasmirror: no GPU can be used: ")
    assert good or last.endswith(NO_GPU)


@pytest.mark.parametrize("name", ["gpu:0", "GPU:1", "cuda", "/device:GPU:0"])
def test_without_a_gpu_asking_for_one_says_what_to_install_and_the_cpu_goes_on(name):
    code = f"""
import kerasmirror as keras
try:
    keras.device({name!r})
except RuntimeError as error:
    print(error)
print(keras.config.device(), float(keras.ops.sum(keras.ops.ones(3))))
"""
    run = _run(code)
    assert run.returncode == 0, run.stderr
    first, last = run.stdout.splitlines()
    assert first.startswith("kerasmirror: no GPU can be used: ") and first.endswith(NO_GPU)
    assert last == "cpu:0 3.0"


def test_without_numba_cuda_asking_for_a_gpu_says_so(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError) as raised:
        keras.device("gpu:0")
    assert str(raised.value) == (
        f"kerasmirror: no GPU can be used: the package numba-cuda is not installed. {NO_GPU}"
    )


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
