import importlib.util
from pathlib import Path

import numpy as np
import pytest

from kerasmirror.core import device as devices

PATH = Path(__file__).resolve().parents[3] / "examples" / "cpu_and_gpu.py"


@pytest.fixture
def example(some_gpu):
    spec = importlib.util.spec_from_file_location("cpu_and_gpu", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    devices.GPU.used = False  # the other tests of this process go on as if there were none


def test_both_devices_give_the_same_losses(example, capsys):
    found = example.main(epochs=2)
    np.testing.assert_allclose(found["gpu:0"], found["cpu:0"], rtol=1e-5)
    assert "loss on gpu:0" in capsys.readouterr().out
